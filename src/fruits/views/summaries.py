"""What a command says when it is done: a few lines for people, made from the dict that `--json` prints."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from fruits.platform.progress import in_words

MOST_ERRORS = 20  # kinds shown; a size in the words makes each its own
COMPARED = {
    "k": "k",
    "cumulative_explained_variance": "variance",
    "reconstruction_error_test": "lost on Test",
    "accuracy_train": "right on Training",
    "accuracy_test": "right on Test",
    "centroid_accuracy_test": "nearest centroid",
    "bytes_per_photo": "bytes per photo",
}
BRONZE_SAID = re.compile(r"bronze    (\d+) photos?: (\d+) new, (\d+) changed, ")


def show_run(result: dict[str, Any]) -> str:
    """Write the summary of a run, of one step or of all."""
    lines = [f"lake      {result['lake']}"]
    if step := result.get("bronze"):
        lines.append(
            f"bronze    {_count(step['listed'], 'photo')}: {step['new']} new, {step['changed']} changed, "
            f"{_gone(step)}, {step['unchanged']} unchanged, {step['errors']} not read ({in_words(step['seconds'])})"
        )
    if step := result.get("silver"):
        lines.append(
            f"silver    {_count(step['total'], 'photo')}: {step['computed']} computed, {step['reused']} reused, "
            f"{step['removed']} removed, {step['errors']} with an error ({in_words(step['seconds'])})"
        )
        lines.append(f"          {step['backbone']}")
    if step := result.get("gold"):
        lines.append(
            f"gold      k={step['k']} explains {step['explained']:.1%} of the variance, "
            f"{_count(step['projected'], 'photo')} projected ({in_words(step['seconds'])})"
        )
        lines.append(f"          {step['model']}")
    if step := result.get("compare"):
        lines.append(f"compare   {_recommend(step)} ({in_words(step['seconds'])})")
        lines += [f"          {line}" for line in _show_comparison(step["rows"]).splitlines()]
        if step["promoted"]:
            versions = ", ".join(f"{kind} version {version}" for kind, version in step["promoted"].items())
            lines.append(f"champion  {versions}")
    lines.append(f"next      fruits report --lake {_quoted(result['lake'])}")
    lines.append(f"          fruits status --lake {_quoted(result['lake'])}")
    return "\n".join(lines)


def read_counts(lines: Sequence[str]) -> tuple[int, int] | None:
    """Read from the summary of a run how many photos were listed, and how many of them new or changed."""
    found = [match for match in map(BRONZE_SAID.match, lines) if match]
    return (int(found[-1][1]), int(found[-1][2]) + int(found[-1][3])) if found else None


def show_status(result: dict[str, Any]) -> str:
    """Write what is in a lake, a table per subject; photos with a row per label and a column per split."""
    tables = [
        [name, *(["-", "-"] if about is None else [about["version"], about["rows"]])]
        for name, about in result["tables"].items()
    ]
    parts = [
        f"lake {result['lake']}",
        write_table(["table", "version", "rows"], tables),
        _show_photos(result["photos"]),
    ]
    if errors := sorted(result["errors"], key=lambda row: -row["photos"]):
        shown = [[row["photos"], row["table"], row["error"]] for row in errors[:MOST_ERRORS]]
        left = len(errors) - len(shown)
        parts.append(write_table(["errors", "table", "reason"], shown) + (f"\nand {left} more reasons" if left else ""))
    parts.append(
        write_table(["features", "backbone"], [[row["photos"], row["backbone"]] for row in result["features"]])
    )
    parts.append(write_table(["scores", "model"], [[row["photos"], row["model"]] for row in result["projections"]]))
    models = [
        [row["name"], row["version"], ", ".join(row["aliases"]), row["k"], _when(row["created"]), row["model"]]
        for row in result["models"]
    ]
    parts.append(write_table(["registered", "version", "alias", "k", "made", "model"], models))
    runs = [
        [
            _when(row["start_time"]),
            row["status"].lower(),
            row["k"],
            _share(row["cumulative_explained_variance"]),
            row["recommended_k"],
            row["name"],
        ]
        for row in result["runs"]
    ]
    parts.append(write_table(["run", "status", "k", "variance", "recommended k", "model"], runs))
    return "\n\n".join(part for part in parts if part)


def show_report(result: dict[str, Any]) -> str:
    """Write where a page is, and what it shows."""
    left = "" if result["shown"] == result["photos"] else f", {result['shown']} of them looked at one by one"
    what = f"{_count(result['photos'], 'photo')}{left}; {_bytes(result['bytes'])} ({in_words(result['seconds'])})"
    return f"page      {what}\nnext      open {_quoted(result['file'])} in a browser"


def show_deck(result: dict[str, Any]) -> str:
    """Write where slides are, and what shows them."""
    what = f"{result['slides']} of them; {_bytes(result['bytes'])} ({in_words(result['seconds'])})"
    files = [result["file"], *([result["pdf"]] if result["pdf"] else [])]
    return "\n".join([f"slides    {what}", *(f"file      {_quoted(file)}" for file in files)])


def show_forget(result: dict[str, Any]) -> str:
    """Write what was erased, and what a person has to do still."""
    lines = [f"{_count(count, 'row')} erased from {table}" for table, count in result["erased"].items()]
    lines += [f"not found: {path}" for path in result["not_found"]]
    if result["not_found"]:
        lines.append("a path is written as in the tables: Training/Apple Red 1/7_100.jpg")
    if any(result["erased"].values()):
        lines.append("a photo still in its folder is read again by the next run: delete it there too")
    return "\n".join(lines)


def show_upload(result: dict[str, Any], place: str = "volume", next: str = "fruits databricks run") -> str:
    """Write what an upload did, and the photos that are not there; `place` and `next` are words of the store."""
    lines = [
        f"photos    {_count(result['photos'], 'photo')}: {result['sent']} sent ({_bytes(result['bytes'])}), "
        f"{result['skipped']} there already, {len(result['failed'])} failed ({in_words(result['seconds'])})",
        f"{place:<8}  {result['destination']}",
    ]
    shown = result["failed"][:MOST_ERRORS]
    lines += [f"failed    {each['path']}: {each['error']}" for each in shown]
    if len(result["failed"]) > len(shown):
        lines.append(f"          and {len(result['failed']) - len(shown)} more")
    lines.append(f"next      {'the same command again' if result['failed'] else next}")
    return "\n".join(lines)


def show_job_run(result: dict[str, Any]) -> str:
    """Write how a run of a job ended, with the error of each task that failed."""
    seconds = "" if result["seconds"] is None else f" in {in_words(result['seconds'])}"
    lines = [f"run {result['run_id']}  {result['state']}{seconds}  {result['link'] or ''}".rstrip()]
    for each in result["failed"]:
        lines.append(f"{each['task'] or 'run'}: {each['state']}  {each['link'] or ''}".rstrip())
        lines.append(f"    {each['error']}")
    lines.append(f"next      {_after_run(result)}")
    return "\n".join(lines)


def show_job_runs(result: dict[str, Any]) -> str:
    """Write the last runs of a job, newest first."""
    rows = [
        [
            row["run_id"],
            _when(row["started"]) if row["started"] else None,
            row["trigger"],
            row["state"],
            None if row["seconds"] is None else in_words(row["seconds"]),
            row["link"],
        ]
        for row in result["runs"]
    ]
    head = f"job {result['job']} ({result['job_id']})"
    return f"{head}\n{write_table(['run', 'started', 'trigger', 'state', 'took', 'link'], rows)}"


def show_fit(result: dict[str, Any]) -> str:
    """Write the comparison of k of a fit, and what to promote."""
    versions = ", ".join(f"{kind} version {version}" for kind, version in result["versions"].items())
    lines = [f"fit       {result['model']}"]
    lines += [f"          {line}" for line in _show_comparison(result["rows"]).splitlines()]
    lines.append(f"models    {versions or 'none registered'}")
    if "pca" in result["versions"]:
        lines.append(f"next      fruits databricks promote {result['versions']['pca']}")
    return "\n".join(lines)


def show_version(about: dict[str, Any]) -> str:
    """Write what a model version is, in one line."""
    parts = [f"version {about['version']}"]
    if about["k"] is not None:
        parts.append(f"k={about['k']}")
    if about["explained"] is not None:
        parts.append(f"{about['explained']:.1%} of the variance")
    if about["made"] is not None:
        parts.append(f"made {_when(about['made'])}")
    return ", ".join(parts) + (f", {about['model']}" if about["model"] else "")


def show_promotion(result: dict[str, Any]) -> str:
    """Write what is the champion now."""
    lines = [
        f"champion  {each['name']} version {each['version']}"
        + (f", instead of {each['replaces']}" if each["replaces"] is not None else "")
        for each in result["promoted"].values()
    ]
    return "\n".join(lines) or f"champion  version {result['about']['version']} is the champion already"


def show_download(result: dict[str, Any]) -> str:
    """Write what a file holds."""
    what = f"{_count(result['rows'], 'row')}, {_bytes(result['bytes'])} ({in_words(result['seconds'])})"
    return f"table     {result['table']}\nfile      {result['file']}: {what}"


def show_pairs(result: dict[str, Any]) -> str:
    """Write names and values, one pair a line."""
    return "\n".join(f"{name:10}  {value}" for name, value in result.items())


def _gone(step: dict[str, Any]) -> str:
    """Say what became of the photos that left the folder."""
    kept = step["gone"] - step["removed"]
    return f"{step['removed']} removed" + (f", {kept} gone but kept" if kept else "")


def _recommend(step: dict[str, Any]) -> str:
    if step["recommended_k"] is None:
        return "no k is recommended, for no labelled Test photo could be scored"
    return f"k={step['recommended_k']} is the smallest within one point of the best Test accuracy"


def _show_comparison(rows: Sequence[dict[str, Any]]) -> str:
    cells = [
        [row[name] if isinstance(row.get(name), int) else _share(row.get(name)) for name in COMPARED]
        + ["<- recommended" if row["recommended"] else ""]
        for row in rows
    ]
    return write_table([*COMPARED.values(), ""], cells)


def _show_photos(counts: Sequence[dict[str, Any]]) -> str:
    """Turn counts of (split, label) into a row per label and a column per split, and their sum."""
    splits = sorted({row["split"] or "-" for row in counts}, key=["Training", "Test", "-"].index)
    labels: dict[str, dict[str, int]] = {}
    for row in counts:
        labels.setdefault(row["label"] or "(no label)", {})[row["split"] or "-"] = row["photos"]
    cells = [[label, *(labels[label].get(split, 0) for split in splits)] for label in sorted(labels)]
    sums = [f"{len(labels)} labels", *(sum(row[place] for row in cells) for place in range(1, len(splits) + 1))]
    return write_table(["label", *splits], [*cells, sums] if len(cells) > 1 else cells)


def write_table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Write rows under a head, numbers to the right, words to the left; nothing for no rows."""
    if not rows:
        return ""
    cells = [["-" if cell is None else str(cell) for cell in row] for row in rows]
    right = [all(cell[:1].isdigit() or cell == "-" for cell in column) for column in zip(*cells, strict=True)]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in (head, *cells)
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _after_run(result: dict[str, Any]) -> str:
    return "fruits databricks run, once that is mended" if result["failed"] else "fruits databricks compare"


def _bytes(number: int) -> str:
    return f"{number / 1e6:.1f} MB" if number >= 1e6 else f"{number / 1e3:.1f} kB"


def _share(value: float | None) -> str | None:
    return None if value is None else f"{value:.1%}"


def _when(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000).strftime("%Y-%m-%d %H:%M")


def _quoted(text: str) -> str:
    return f"'{text}'" if " " in text else text
