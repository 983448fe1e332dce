"""The cloud notebook as it runs: in a kernel of its own, as Livy runs it, and in the executed copies of docs/."""

import ast
import base64
import copy
import io
import json
import os
import re
import socket
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from conftest import photo_set, versions
from PIL import Image as Picture
from test_cloud_notebook import FETCH, FOLDER, LOCAL, cloud, code_of

from fruits.views import notebooks
from fruits.views.notebook_emr import Place, compose
from fruits.views.notebooks import execute

pytestmark = pytest.mark.slow

COPIES = sorted((Path(__file__).parents[1] / "docs").glob("*.ipynb"))
TOLD = ("images", "lake", "weights", "k", "k_values", "tracking")
# Folders of a machine and its names; `s3://` and what is in the project's own folder are nobody's.
MACHINE = re.compile(r"(?<![\w.:/])/(?:work|tmp|home|root|Users|var|opt/hostedtoolcache)\b|localhost|127\.0\.0\.1")


def test_it_runs_in_a_kernel_and_does_nothing_the_second_time(place, monkeypatch):
    """Twice in one kernel: all cells, then all again; and in the same one, the notebook to explore the lake."""
    for name in [name for name in os.environ if name.startswith("SPARK_")]:
        monkeypatch.delenv(name)  # a kernel starts classic
    here = place(photo_set(labels=2, training=4))
    told = {name: getattr(here.settings, name) for name in TOLD}
    notebook = cloud("python", "fr", **told)
    once = len(notebook.cells)
    notebook.cells += copy.deepcopy(notebook.cells)
    notebook.cells += notebooks.convert(FOLDER / "05_explore.py", told).cells
    execute(notebook, here.lake.parent)
    first, second, explored = notebook.cells[:once], notebook.cells[once : 2 * once], notebook.cells[2 * once :]
    check_looks(outputs_of(first))
    check_looks(outputs_of(second))
    assert [step["new"] for step in summaries(first)[:1]] == [12]
    bronze, silver, gold, comparison = summaries(second)
    assert (bronze["new"], bronze["unchanged"], silver["computed"], gold["projected"]) == (0, 12, 0, 0)
    assert [row["k"] for row in comparison["rows"]] == [2, 3, 4]
    assert versions(here.lake) == {
        "bronze_images": 0,
        "silver_features": 0,
        "gold_moments": 0,
        "gold_pca": 0,
        "gold_spectrum": 0,
        "gold_comparison": 0,
    }
    pages = [output.data["text/html"] for output in outputs_of(explored) if output.output_type == "display_data"]
    assert [page.count("<iframe ") for page in pages].count(1) == 1  # the map
    charts = [page for page in pages if page.startswith('<img alt="')]
    assert (len(pages), len(charts), sum("<table" in page for page in pages)) == (11, 3, 2)


def test_the_sparkmagic_variant_runs_as_livy_runs_it(spark, first_run, tmp_path, capsys):
    """Cells in one interpreter that was given `spark`; tables go as JSON to another one, which knows no Spark."""
    here = first_run[0].copy(tmp_path)
    told = {name: getattr(here.settings, name) for name in TOLD}
    remote, local, looks = {"spark": spark}, {}, []
    for source in code_of(cloud(**told))[1:]:
        if source.startswith(LOCAL):
            looks.append(run(source.removeprefix(LOCAL), local))
            continue
        run(FETCH.sub("", source), remote)
        if found := FETCH.match(source):
            rows = remote[found[1]].toPandas().to_json(orient="records", lines=True).splitlines()
            rows = [{name: value for name, value in json.loads(row).items() if value is not None} for row in rows]
            local[found[1]] = pd.DataFrame(rows)
    tables = [look for look in looks if isinstance(look, pd.DataFrame)]
    assert [len(table) for table in tables] == [2, 2, 3]
    assert list(tables[0]["photos"]) == [6, 18]
    charts = [look.data for look in looks if hasattr(look, "data")]
    assert len(charts) == 3
    assert [is_drawn(chart) for chart in charts] == [True] * 3
    assert "'unchanged': 24" in capsys.readouterr().out


def test_converted_notebooks_run_one_by_one_as_make_lab_opens_them(spark, first_run, tmp_path, capsys):
    """The steps; the one to explore runs in the kernel above."""
    here = first_run[0].copy(tmp_path)
    told = {name: getattr(here.settings, name) for name in TOLD}
    before = versions(here.lake)
    for file in notebooks.convert_all(FOLDER.glob("0[1-4]*.py"), tmp_path / "lab", told):
        names: dict = {}
        for source in code_of(nbformat.read(file, 4)):
            run(source, names)
    assert "'unchanged': 24" in capsys.readouterr().out
    assert versions(here.lake) == before


def run(source: str, names: dict) -> object:
    """Run a cell, and give what its last line is worth, as every kernel does."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return last and eval(compile(ast.Expression(last.value), "cell", "eval"), names)


def outputs_of(cells) -> list[dict]:
    return [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]


def check_looks(outputs: list[dict]) -> None:
    """Three tables and three charts, and no error."""
    assert not [output for output in outputs if output.output_type == "error"]
    shown = [output.data for output in outputs if output.output_type == "execute_result"]
    assert sum("<table" in data.get("text/html", "") for data in shown) == 3
    charts = [base64.b64decode(data["image/png"]) for data in shown if "image/png" in data]
    assert [is_drawn(chart) for chart in charts] == [True] * 3


def summaries(cells) -> list[dict]:
    """Give the four dicts that the steps printed."""
    printed = [output.text for output in outputs_of(cells) if output.get("name") == "stdout"]
    lines = [line for text in printed for line in text.splitlines() if line.startswith("{")]
    return [ast.literal_eval(line) for line in lines]


def is_drawn(png: bytes) -> bool:
    """Whether a picture is large, and of many colours."""
    picture = Picture.open(io.BytesIO(png)).convert("RGB")
    return picture.width > 500 and len(picture.getcolors(10**6)) > 50


def test_there_is_an_executed_copy_in_each_language():
    assert [file.name for file in COPIES] == ["notebook-aws-en.ipynb", "notebook-aws-fr.ipynb"]


@pytest.mark.parametrize("file", COPIES, ids=lambda file: file.name)
def test_an_executed_copy_is_whole_small_and_names_no_machine(file):
    assert file.stat().st_size < 2_000_000
    notebook = nbformat.read(file, 4)
    check_looks(outputs_of(notebook.cells))
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    said = re.sub(r'"image/png": "[^"]*"', "", file.read_text())
    assert MACHINE.findall(said) == []
    assert socket.gethostname() not in said


@pytest.mark.parametrize("file", COPIES, ids=lambda file: file.name)
def test_an_executed_copy_has_the_cells_that_the_command_makes_today(file):
    """Fails where a cell changed since: `make notebook` makes the copy anew."""
    language = "fr" if "Entrée" in file.read_text() else "en"
    there = nbformat.read(file, 4)
    note = there.cells[1].source
    told = {"images": "fruits-360", "lake": "lake", "weights": "mobilenet_v2.h5", "k": 0.95}
    told["k_values"] = (8, 32, 64, 128, 256, 512)
    made = compose(FOLDER, Place("python", "YOUR-BUCKET", "0.1.0"), language, told, note)
    assert re.search(r" \d+ (cores|cœurs) ", note)
    assert [(cell.id, cell.source) for cell in there.cells] == [(cell.id, cell.source) for cell in made.cells]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/tmp/x", True),
        (f"at '{Path('/', 'home', 'me', 'lake')}'", True),
        ("s3://bucket/tmp/x", False),
        ("/usr/share/aws", False),
        ("127.0.0.1", True),
    ],
)
def test_the_search_for_machines_finds_them(text, found):
    assert bool(MACHINE.search(text)) == found
