"""What the slides say that no lake holds: figures of the repository's own files, lines of its code, and prices."""

import ast
import re
import textwrap
from pathlib import Path
from typing import Any

import fruits
from fruits.errors import FruitsError
from fruits.platform.emr_cost import estimate, read_prices
from fruits.settings import Settings
from fruits.views.words import Words

REGION = "eu-west-3"
CELL = "# COMMAND ----------"  # between two cells of a notebook
SHOWN = ("serverless arm64", "EC2 spot arm64")  # of the ways to run on AWS
MARKS = ("README.md", "databricks.yml")  # of the repository's folder
# File to patterns whose names are the facts; a table's row is one line.
PATTERNS = {
    "README.md": [
        r"Fruits-360 has (?P<whole>[\d,]+) photos of (?P<kinds>\d+) kinds",
        r"Measured on (?P<cores>\d+) cores \((?P<processor>[^)]+)\), (?P<measured>[\d,]+) photos",
        r"\| .*, (?P<few>[\d,]+) photos, .*\| (?P<few_ours>\d+) s against (?P<few_usual>\d+) s, (?P<few_times>[\d.]+)",
        r"\| the same, (?P<many>[\d,]+) photos, .*\| (?P<many_ours>\d+) s against (?P<many_usual>\d+) s, "
        r"(?P<many_times>[\d.]+) times",
        r"\| peak memory of a process .*, (?P<held>[\d,]+) and (?P<held_more>[\d,]+) photos in its partition "
        r"\| (?P<memory>\d+) and (?P<memory_more>\d+) MB",
        r"\| accuracy of the discriminant on Test, k = 32, 64, 128 \| .*, (?P<imagenet_128>[\d.]+) %",
        r"\| the same with the network of the package, .*\| .*, (?P<package_128>[\d.]+) %",
        r"with the network of the package, (?P<package_times>\d+) times as fast",
    ],
    "docs/model-card.md": [
        r"\| sure \| .*\| (?P<sure>[\d.]+) % of photos, (?P<sure_right>[\d.]+) % of them right",
        *(
            rf"\| {english} \| (?P<{name}_fruits>[\d.]+) \| (?P<{name}_imagenet>[\d.]+) \|"
            for name, english in {
                "light": r"brightness ±30 %",
                "turn": r"rotation ±20°",
                "jpeg": r"JPEG quality 40",
                "grey": r"grey background",
            }.items()
        ),
    ],
    "resources/emr/fruits.yaml": [
        r"!Contains \[\[(?P<regions>[^\]]+)\], !Ref AWS::Region\]",
        r"Prefix: logs/, Status: Enabled, ExpirationInDays: (?P<logs_days>\d+)",
        r"Prefix: tmp/, Status: Enabled, ExpirationInDays: (?P<tmp_days>\d+)",
        r"Id: access, Status: Enabled, ExpirationInDays: (?P<access_days>\d+)",
        r"IdleTimeoutMinutes: (?P<idle_minutes>\d+)",
    ],
    "src/fruits/silver.py": [r"\nROWS_PER_BATCH = (?P<batch>\d+)"],
}


def find_repository() -> Path:
    """Find the clone this package runs from, or else the one of the current folder.

    Raises:
        FruitsError: neither is a clone.
    """
    for folder in (Path(fruits.__file__).parents[2], Path.cwd()):
        if all((folder / name).is_file() for name in MARKS):
            return folder
    raise FruitsError("the slides quote README.md, docs/ and src/; run this in a clone of the repository")


def read_facts(root: Path) -> dict[str, Any]:
    """Read figures of the repository's files; whole numbers as numbers, others as French writes them.

    Raises:
        FruitsError: a file does not say what a slide is to quote.
    """
    facts: dict[str, Any] = {}
    for name, patterns in PATTERNS.items():
        text = (root / name).read_text("utf-8")
        for pattern in patterns:
            found = re.search(pattern, text)
            if found is None:
                raise FruitsError(
                    f"{name} says nothing like {pattern!r}, which a slide quotes; see views/deck_facts.py"
                )
            facts |= {each: read_number(said) for each, said in found.groupdict().items()}
    facts["region_count"] = len(facts["regions"].split(","))
    tests = (root / "tests").glob("test_*.py")
    facts["tests"] = sum(len(re.findall(r"^def test_", file.read_text("utf-8"), re.M)) for file in tests)
    return facts


def read_number(said: str) -> Any:
    """Turn a figure as English writes it into a whole number, or into a French decimal; a word stays."""
    if re.fullmatch(r"[\d,]+", said):
        return int(said.replace(",", ""))
    return said.replace(".", ",") if re.fullmatch(r"\d+\.\d+", said) else said


def quote_code(root: Path, file: str, function: str = "", first: str = "", last: str = "") -> str:
    """Give lines of a source file as they are, without docstring, empty lines and ends of cells.

    Args:
        root: of the repository.
        file: from there on.
        function: only of this function; empty for the whole file.
        first: what the first line begins with; empty for the beginning.
        last: what the last line begins with; empty for the end.

    Raises:
        FruitsError: there are no such lines.
    """
    text = (root / file).read_text("utf-8")
    lines = text.splitlines()
    if function:
        lines = _without_docstring(ast.parse(text), lines, function)
    starts = [place for place, line in enumerate(lines) if line.strip().startswith(first)]
    ends = [place for place, line in enumerate(lines) if line.strip().startswith(last)] if last else [len(lines) - 1]
    ends = [place for place in ends if starts and place >= starts[0]]
    if not ends:
        raise FruitsError(f"{file} has no lines {function} from {first!r} to {last!r}, which a slide shows")
    quoted = [line for line in lines[starts[0] : ends[0] + 1] if line and line != CELL]
    return textwrap.dedent("\n".join(quoted))


def _without_docstring(tree: ast.Module, lines: list[str], function: str) -> list[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == function:
            body = node.body[1:] if ast.get_docstring(node) else node.body
            return lines[node.lineno - 1 : node.body[0].lineno - 1] + lines[body[0].lineno - 1 : node.end_lineno]
    return []


def price_runs(runs: list[dict[str, Any]], words: Words) -> list[list[str]]:
    """Estimate runs on AWS: how long and how dear on EMR Serverless and on spot machines, and what storage costs.

    Args:
        runs: name, photos, workers and weights, perhaps new.
        words: how numbers are written.

    Returns:
        A row of texts each: name, workers, Serverless, spot machines, storage a month.
    """
    prices, there = read_prices(None, REGION)
    rows = []
    for run in runs:
        settings = Settings(weights=run["weights"])
        told = estimate(run["photos"], run.get("new"), run["workers"], None, settings, prices, there)
        ways = {way["way"]: way for way in told["ways"]}
        cells = [f"{_last(way['minutes'], words)}, {_pay(way['dollars'], words)}" for way in map(ways.get, SHOWN)]
        rows.append([run["name"], str(run["workers"]), *cells, _pay(told["storage"]["dollars_per_month"], words)])
    return rows


def price_date() -> str:
    """Say of when the prices are."""
    return read_prices(None, REGION)[0]["date"].strftime("%d/%m/%Y")


def _last(minutes: float, words: Words) -> str:
    return f"{words.number(minutes)} min" if minutes < 120 else f"{words.number(minutes / 60)} h"


def _pay(dollars: float, words: Words) -> str:
    return f"{words.number(dollars, 2 if dollars < 10 else 0)}\u00a0$"
