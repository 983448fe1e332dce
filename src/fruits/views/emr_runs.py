"""What `fruits emr run`, `status`, `logs` and `stop` say when they are done."""

import json
from typing import Any

from fruits.platform.progress import in_words
from fruits.views.summaries import write_table


def show_end(result: dict[str, Any]) -> str:
    """Write how a run ended and what it used, with the cause of a failure; of a dry run, the requests."""
    if "requests" in result:
        return json.dumps(result["requests"], indent=2, ensure_ascii=False)
    lines = [
        f"run {result['run_id']}  {result['state']} in {in_words(result['seconds'])}, on {_place(result['kind'])}",
        f"used      {_used(result['used'])}",
    ]
    for each in result["failed"]:
        lines.append(f"failed    {each['error']}")
        lines += [f"cause     {each['cause']}"] if each["cause"] else []
        lines += [f"way out   {each['way_out']}"] if each["way_out"] else []
    lines += [f"          {line}" for line in result["said"]]
    lines.append(f"logs      {result['logs']}")
    lines.append(f"next      fruits emr {'logs ' + result['run_id'] if result['failed'] else 'status'}")
    return "\n".join(lines)


def show_status(result: dict[str, Any]) -> str:
    """Write the runs of a stack, newest first, and how to stop what is under way."""
    rows = [
        [
            row["run_id"],
            row["kind"],
            row["state"],
            row["started"].astimezone().strftime("%Y-%m-%d %H:%M"),
            in_words(row["seconds"]),
            row["name"],
        ]
        for row in result["runs"]
    ]
    lines = [f"stack {result['stack']} in {result['region']}, s3://{result['bucket']}"]
    lines.append(write_table(["run", "on", "state", "started", "took", "name"], rows) or "no run yet; fruits emr run")
    active = [row["run_id"] for row in result["runs"] if row["is_active"]]
    lines += [f"under way: fruits emr run --follow {run_id}, or fruits emr stop {run_id}" for run_id in active]
    return "\n".join(lines)


def show_logs(result: dict[str, Any]) -> str:
    """Write the end of each log under its place."""
    parts = [f"run {result['run_id']}  {result['state']}"]
    parts += ["\n".join([f"{name}  {log['uri']}", *log["lines"]]) for name, log in result["logs"].items()]
    return "\n\n".join(parts)


def show_stopped(result: dict[str, Any]) -> str:
    """Write what was stopped, and what it had used."""
    lines = [f"run {each['run_id']}  {each['state']}, used {_used(each['used'])}" for each in result["stopped"]]
    return "\n".join(lines) or f"no run of stack {result['stack']} is under way"


def _place(kind: str) -> str:
    return {"serverless": "EMR Serverless", "cluster": "a cluster of its own"}[kind]


def _used(used: dict[str, float]) -> str:
    """Write amounts by name: 1.25 vcpu hours, 2.5 memory gb hours."""
    return ", ".join(f"{amount:g} {name.replace('_', ' ')}" for name, amount in used.items()) or "not told yet"
