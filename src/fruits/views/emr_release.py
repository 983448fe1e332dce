"""What people read about releases for `fruits emr`."""

from typing import Any

from fruits.platform.progress import in_words


def show_build(result: dict[str, Any]) -> str:
    """Write what a release consists of."""
    commit = result["commit"] or "none: the clone has changes that are not committed"
    lines = [
        f"release   {result['version']} for {' and '.join(result['architectures'])}, "
        f"{result['bytes'] / 1e6:.1f} MB in {in_words(result['seconds'])}",
        f"commit    {commit}",
        f"folder    {result['folder']}",
    ]
    lines += [f"          {each['size'] / 1e6:7.2f} MB  {name}" for name, each in result["files"].items()]
    return "\n".join([*lines, "next      fruits emr publish"])


def show_publish(result: dict[str, Any]) -> str:
    """Write what is published now."""
    lines = [
        f"release   {result['version']} for {' and '.join(result['architectures'])}",
        f"to        {result['destination']}",
        f"files     {result['sent']} sent ({result['bytes'] / 1e6:.1f} MB), {result['skipped']} there already, "
        f"in {in_words(result['seconds'])}",
    ]
    lines += [f"network   fruits emr run --weights {each}" for each in result["networks"]]
    return "\n".join([*lines, "next      fruits emr upload DIR, fruits emr run"])
