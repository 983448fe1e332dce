"""Notebooks in Databricks' source format, as Jupyter has them: cells without widgets, and the same bytes every time."""

import ast
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fruits.errors import FruitsError
from fruits.platform.progress import report
from fruits.settings import Settings

if TYPE_CHECKING:
    from nbformat import NotebookNode

HEADER = "# Databricks notebook source\n"
SEPARATOR = "\n# COMMAND ----------\n"
ENVIRONMENT = re.compile(r"^# /// script\n.*?^# ///\n", re.M | re.S)  # what Databricks installs; a kernel has it
MAGIC = "# MAGIC "
READ = re.compile(r"^settings = parameters\.read\(.*$", re.M)
OPEN = re.compile(r"^spark = open_session\(\)$", re.M)
HAND_OVER = "parameters.hand_over("
# What Jupyter shows a notebook with, by kernel: those of a laptop and of sparkmagic, as EMR names it.
KERNELS = {
    "python": {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
    },
    "sparkmagic": {
        "kernelspec": {"name": "pysparkkernel", "display_name": "PySpark", "language": "python"},
        "language_info": {
            "name": "pyspark",
            "mimetype": "text/x-python",
            "codemirror_mode": {"name": "python", "version": 3},
            "pygments_lexer": "python3",
        },
    },
}


@dataclass(frozen=True)
class Cell:
    """One cell: what is in it, whether it is words or code, and whether its code is folded away."""

    source: str
    is_code: bool = True
    folded: bool = False


def convert(file: Path, settings: Mapping[str, Any]) -> "NotebookNode":
    """Make a notebook for a Python kernel of one in Databricks' source format.

    Args:
        file: the source.
        settings: values that its parameters cell shall have; the others are defaults.
    """
    cells = [
        replace(cell, source=READ.sub(lambda _: write_settings(settings), cell.source)) for cell in read_cells(file)
    ]
    return make_notebook(tidy_imports(cells), "python")


def convert_all(sources: Iterable[Path], folder: Path, settings: Mapping[str, Any]) -> list[Path]:
    """Convert notebooks into a folder, leaving alone what is there: somebody may have changed it."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for source in sorted(sources):
        file = folder / f"{source.stem}.ipynb"
        if not file.exists():
            save(convert(source, settings), file)
            made.append(file)
    return made


def read_cells(file: Path) -> list[Cell]:
    """Read the cells of a source, without what only Databricks has: its environment, and what a job is handed over.

    Raises:
        FruitsError: not a notebook in source format, or one with a magic that only Databricks knows.
    """
    text = file.read_text(encoding="utf-8")
    if not text.startswith(HEADER):
        raise FruitsError(f"{file} is no notebook in Databricks' source format; its first line is not {HEADER.strip()}")
    text = ENVIRONMENT.sub("", text.removeprefix(HEADER))
    cells = [_read_cell(part.strip("\n"), file) for part in text.split(SEPARATOR) if part.strip()]
    return [cell for cell in cells if HAND_OVER not in cell.source]


def _read_cell(text: str, file: Path) -> Cell:
    if not text.startswith(MAGIC.rstrip()):
        return Cell(text)
    lines = [line.removeprefix(MAGIC.rstrip()).removeprefix(" ") for line in text.splitlines()]
    kind, _, rest = lines[0].partition(" ")
    if kind != "%md":
        raise FruitsError(f"{file} has a cell {kind}, which only Databricks runs; write it in Python")
    return Cell("\n".join([rest, *lines[1:]]).strip("\n"), is_code=False)


def write_settings(settings: Mapping[str, Any], literals: Mapping[str, str] | None = None) -> str:
    """Write Python that makes settings, one a line.

    Args:
        settings: values by name; a name that is not a setting, or a wrong value, is a SettingError.
        literals: values that are written as they are, as Python.
    """
    Settings(**settings)
    words = dict(literals or {}) | {name: _as_python(value) for name, value in settings.items()}
    return "\n".join(["settings = Settings(", *(f"    {name}={word}," for name, word in words.items()), ")"])


def _as_python(value: Any) -> str:
    # Black's quotes, which the sources have too.
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def tidy_imports(cells: Sequence[Cell]) -> list[Cell]:
    """Leave out imports that no cell uses any longer, and import what makes the settings."""
    used = {
        node.id
        for cell in cells
        if cell.is_code
        for node in ast.walk(ast.parse(_without_magic(cell.source)))
        if isinstance(node, ast.Name)
    }
    tidied = []
    for cell in cells:
        tree = ast.parse(cell.source) if cell.is_code and not cell.source.startswith("%") else None
        if tree is None or not all(isinstance(node, ast.Import | ast.ImportFrom) for node in tree.body):
            tidied.append(cell)
            continue
        lines = []
        for node in tree.body:
            node.names = [name for name in node.names if (name.asname or name.name).split(".")[0] in used]
            lines += [ast.unparse(node)] if node.names else []
        if "Settings" in used and not any("import Settings" in each.source for each in tidied):
            lines.append("from fruits.settings import Settings")
        if lines:
            tidied.append(replace(cell, source="\n".join(sorted(lines))))
    return tidied


def _without_magic(source: str) -> str:
    """Give the code of a cell that begins with a magic; none of one that is no Python."""
    if source.startswith("%%configure"):
        return ""
    return source.partition("\n")[2] if source.startswith("%%") else source


def make_notebook(cells: Sequence[Cell], kernel: str) -> "NotebookNode":
    """Make a notebook of cells; a cell's id comes from what is in it, so the same cells give the same notebook."""
    nbformat = _nbformat()
    made, seen = [], {}
    for cell in cells:
        digest = hashlib.sha256(cell.source.encode()).hexdigest()[:12]
        seen[digest] = seen.get(digest, 0) + 1
        make = nbformat.v4.new_code_cell if cell.is_code else nbformat.v4.new_markdown_cell
        hidden = {"jupyter": {"source_hidden": True}} if cell.folded else {}
        made.append(make(cell.source, id=f"{digest}-{seen[digest]}", metadata=hidden))
    notebook = nbformat.v4.new_notebook(cells=made, metadata=KERNELS[kernel])
    nbformat.validate(notebook)
    return notebook


def execute(notebook: "NotebookNode", folder: Path) -> None:
    """Run a notebook in a kernel of its own, from a folder, and keep in it what its cells say.

    Raises:
        FruitsError: nbclient is missing, or a cell ended with an error.
    """
    try:
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError
    except ModuleNotFoundError as missing:
        raise FruitsError(f"{missing.name} is not installed here; pip install 'fruits[lab,local]'") from missing
    client = NotebookClient(
        notebook,
        timeout=None,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": folder}},
        extra_arguments=["--log-level=40"],  # or it warns that it listens on this machine's own address
    )
    try:
        # A library's warning names a file of this machine, and tells a reader nothing.
        client.execute(env=os.environ | {"PYTHONWARNINGS": "ignore"})
    except CellExecutionError as error:
        raise FruitsError(f"a cell of the notebook failed: {error.ename}: {error.evalue}") from error
    notebook.metadata = KERNELS["python"]  # without this machine's version of Python


def save(notebook: "NotebookNode", file: Path) -> None:
    """Write a notebook, its last line ended."""
    file.write_text(_nbformat().writes(notebook).rstrip("\n") + "\n", encoding="utf-8")


def _nbformat() -> Any:
    try:
        import nbformat
    except ModuleNotFoundError as missing:
        raise FruitsError("nbformat is not installed here; pip install 'fruits[lab]'") from missing
    return nbformat


def _open_lab(images: str, lake: str) -> None:
    """Write the notebooks of this folder into lab/, whose kernels work there: what is named from here gets its path."""
    from fruits.platform.tables import URI, locate

    images = images if URI.match(images) else os.path.abspath(images)
    made = convert_all(Path("notebooks").glob("*.py"), Path("lab"), {"images": images, "lake": locate(lake)})
    report(f"lab: {len(made)} notebooks written; those that were there are as they were")


if __name__ == "__main__":
    _open_lab(*sys.argv[1:])
