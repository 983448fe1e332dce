"""What `fruits emr cost` says."""

from typing import Any

from fruits.platform.progress import in_words
from fruits.views.summaries import write_table


def show_cost(result: dict[str, Any]) -> str:
    """Write the table of ways, what S3 costs beside them, and what all of it rests on."""
    rows = [
        [
            way["way"],
            way["workers"],
            in_words(way["minutes"] * 60),
            f"{way['vcpu_hours']:.1f}",
            f"{way['dollars']:.2f}",
            "<- cheapest" if way["way"] == result["recommended"] else "",
        ]
        for way in result["ways"]
    ]
    told = {name: value for name, value in result["assumed"].items() if name != "photos_per_second"}
    storage, requests = result["storage"], result["requests"]
    lines = [f"photos    {result['photos']}, {result['new']} of them new"]
    lines.append(write_table(["way", "workers", "time", "vCPU hours", "dollars", ""], rows))
    if actual := result.get("actual"):
        told_hours = ", ".join(f"{amount:.2f} {name}" for name, amount in actual["used"].items())
        lines.append(
            f"actual    {actual['way']}: {in_words(actual['minutes'] * 60)}, {actual['dollars']:.2f} dollars "
            f"({told_hours})"
        )
        if same := actual["estimated"]:
            lines.append(f"estimated {in_words(same['minutes'] * 60)}, {same['dollars']:.2f} dollars")
    lines += [
        f"storage   {storage['gigabytes']:.2f} GB of photos and tables, "
        f"{storage['dollars_per_month']:.2f} dollars a month",
        f"requests  {requests['upload_dollars']:.2f} dollars to upload, {requests['run_dollars']:.2f} a run",
        f"network   {result['assumed']['photos_per_second']} photos/s on one core, measured {result['rates']['date']} "
        f"on {result['rates']['machine']}",
        "assumed   "
        + ", ".join(
            f"{name} {value:g}" if isinstance(value, int | float) else f"{name} {value}" for name, value in told.items()
        ),
        f"prices    {result['prices']['date']}, {result['prices'].get('source', 'no source')}: "
        f"{result['prices']['file']}",
        "left out  logs, transfer out of AWS, keys of KMS, taxes",
        "note      a spot machine may be taken away; arm64 was not measured",
    ]
    return "\n".join(lines)
