"""What people read about the stack of `fruits emr`."""

import json
from typing import Any


def show_deploy(result: dict[str, Any]) -> str:
    """Write what the stack is made of now, or what would be sent."""
    if "request" in result:
        return f"{result['operation']} with {result['template']}\n{json.dumps(result['request'], indent=2)}"
    changes = f"{len(result['changes'])} changed" if result["changes"] else "nothing to change"
    lines = [f"stack     {result['stack']}: {changes}"]
    lines += [f"          {name}  {value}" for name, value in result["outputs"].items()]
    return "\n".join([*lines, "next      fruits emr build, fruits emr publish, fruits emr upload DIR, fruits emr run"])


def show_destroy(result: dict[str, Any]) -> str:
    """Write what is gone, and what is still there."""
    gone = "is still there" if result["failed"] else "is gone"
    lines = [f"stack     {result['stack']} {gone}, {result['deleted']} objects deleted"]
    lines += [f"failed    {each['path']}: {each['error']}" for each in result["failed"][:10]]
    lines += [f"remains   {each}" for each in result["remains"]]
    if result["remains"]:
        lines.append("next      fruits emr destroy --with-data removes what remains")
    return "\n".join(lines)
