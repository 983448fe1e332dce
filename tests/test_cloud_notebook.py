"""The cloud notebook: what is in it, and that it runs, in a kernel of its own and as Livy would run it."""

import ast
import base64
import copy
import io
import json
import os
import re
import socket
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from aws import type_emr  # noqa: F401 - a fixture
from conftest import photo_set, versions
from PIL import Image as Picture

from fruits.errors import FruitsError
from fruits.platform.session import DELTA_SQL
from fruits.views import notebooks
from fruits.views.notebook_emr import FILES, Place, compose
from fruits.views.notebook_texts import TEXTS
from fruits.views.notebooks import execute

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[1] / "notebooks"
COPIES = sorted((Path(__file__).parents[1] / "docs").glob("*.ipynb"))
# What Livy 0.9 takes in POST /sessions.
LIVY = {
    *("kind", "proxyUser", "jars", "pyFiles", "files", "archives", "queue", "name", "conf", "heartbeatTimeoutInSecond"),
    *("driverMemory", "driverCores", "executorMemory", "executorCores", "numExecutors", "ttl", "idleTimeout"),
}
TOLD = ("images", "lake", "weights", "k", "k_values", "tracking")
LOCAL = "%%local\n"
FETCH = re.compile(r"%%spark -o (\w+) -n -1 -c False\n")  # all rows, as they are: a label may read as a date
# Folders of a machine and its names; `s3://` and what is in the project's own folder are nobody's.
MACHINE = re.compile(r"(?<![\w.:/])/(?:work|tmp|home|root|Users|var|opt/hostedtoolcache)\b|localhost|127\.0\.0\.1")


def cloud(kernel: str = "sparkmagic", language: str = "en", on_cluster: bool = False, **settings: object):
    return compose(FOLDER, Place(kernel, "fruits-123", "0.1.0", "arm64", on_cluster), language, settings)


def code_of(notebook) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def words_of(notebook) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def configuration(on_cluster: bool) -> dict:
    head, _, body = code_of(cloud(on_cluster=on_cluster))[0].partition("\n")
    assert head == "%%configure -f"
    return json.loads(body)


@pytest.mark.parametrize("kernel", ["python", "sparkmagic"])
def test_all_four_steps_are_there_in_order_and_nothing_that_only_databricks_or_a_command_line_has(kernel):
    code = "\n".join(code_of(cloud(kernel)))
    verbs = ["ingest_photos(", "featurise_photos(", "reduce_features(", "compare_components("]
    places = [code.index(f"summary = {verb}") for verb in verbs]
    assert places == sorted(places)
    for gone in ("dbutils", "parameters.read", "hand_over", "has_work", "MAGIC", "/// script"):
        assert gone not in code
    assert (code.count("settings = Settings("), code.count("spark = open_session()")) == (1, 1)


@pytest.mark.parametrize("kernel", ["python", "sparkmagic"])
def test_the_same_input_gives_the_same_bytes_and_every_cell_an_id_of_its_own(kernel):
    first, second = cloud(kernel), cloud(kernel)
    assert nbformat.writes(first) == nbformat.writes(second)
    ids = [cell.id for cell in first.cells]
    assert len(set(ids)) == len(ids)
    changed = cloud(kernel, k=8)
    assert sum(a != b.id for a, b in zip(ids, changed.cells, strict=True)) == 1  # the parameters


def test_both_languages_say_the_same_things_about_every_step():
    assert TEXTS["fr"].keys() == TEXTS["en"].keys() >= FILES.keys()
    for key, words in TEXTS["en"].items():
        other = TEXTS["fr"][key]
        assert re.findall(r"`[\w.]+`", words) == re.findall(r"`[\w.]+`", other), key  # tables, parameters
        assert words != other
    for step in FILES:
        assert ("**In:**" in TEXTS["en"][step], "**Entrée :**" in TEXTS["fr"][step]) == (True, True)
    french = code_of(cloud(language="fr"))
    assert sum(source.endswith(', language="fr")))') for source in french) == 3  # the charts
    assert [source.replace(', language="fr")))', ")))") for source in french] == code_of(cloud())


def test_english_titles_are_those_of_the_notebooks():
    titles = [words.splitlines()[0] for words in words_of(cloud())]
    assert [title for title in titles if title.startswith("# ")][1:] == ["# Bronze", "# Silver", "# Gold", "# Compare"]


def test_the_session_on_serverless_is_asked_for_with_the_release_delta_and_python():
    asked = configuration(on_cluster=False)
    release = "s3://fruits-123/releases/0.1.0"
    assert set(asked) <= LIVY
    assert asked["pyFiles"] == [f"{release}/fruits-0.1.0.zip"]
    assert asked["archives"] == [f"{release}/site-packages-arm64.tar.gz#dependencies"]
    conf = asked["conf"]
    assert conf.items() >= DELTA_SQL.items()
    assert conf["spark.jars"].count("/usr/share/aws/delta/lib/") == 2
    for who in ("spark.emr-serverless.driverEnv", "spark.executorEnv"):
        assert (conf[f"{who}.PYSPARK_PYTHON"], conf[f"{who}.PYTHONPATH"]) == ("python3.11", "./dependencies")
    assert all(isinstance(value, str) for value in conf.values())


def test_the_session_on_a_cluster_takes_what_the_bootstrap_and_the_classification_made():
    asked = configuration(on_cluster=True)
    assert set(asked) == {"pyFiles", "conf"}
    assert asked["conf"].items() >= DELTA_SQL.items()
    assert asked["conf"]["spark.pyspark.python"] == "/opt/fruits/bin/python"
    assert not [name for name in asked["conf"] if "serverless" in name or name == "spark.jars"]


def test_charts_are_drawn_where_the_notebook_is_from_tables_that_were_fetched_before():
    fetched = set()
    for source in code_of(cloud()):
        if found := FETCH.match(source):
            fetched.add(found[1])
            assert f"\n{found[1]} = (" in source
        elif source.startswith(LOCAL):
            assert "fruits." not in source and "spark." not in source  # neither is there
            ast.parse(source.removeprefix(LOCAL))
        else:
            assert "plot_" not in source
    assert fetched == {"photos", "features", "spectrum", "scores", "comparison"}


def test_the_python_variant_has_no_magic():
    assert not [source for source in code_of(cloud("python")) if "%" in source]


def test_parameters_are_in_one_cell_and_those_given_stand_as_they_are():
    cell = next(source for source in code_of(cloud(k=0.9, k_values=(2, 4))) if "Settings(" in source)
    told: dict = {}
    exec(cell, told)
    settings = told["settings"]
    assert (settings.images, settings.lake) == ("s3://fruits-123/photos", "s3://fruits-123/lake")
    assert (settings.k, settings.k_values) == (0.9, (2, 4))
    exec(next(source for source in code_of(cloud(images='./a "b"', lake="x")) if "Settings(" in source), told)
    assert (told["settings"].images, told["settings"].lake) == ('./a "b"', "x")


def test_a_notebook_is_converted_by_itself_and_a_changed_one_is_left_alone(tmp_path):
    made = notebooks.convert_all(FOLDER.glob("*.py"), tmp_path, {"images": "../samples", "lake": "../lake"})
    assert [file.stem for file in made] == sorted(file.stem for file in FOLDER.glob("*.py"))
    for file in made:
        code = "\n".join(code_of(nbformat.read(file, 4)))
        assert '    images="../samples",\n    lake="../lake",\n' in code
        assert "from fruits.settings import Settings" in code
        assert "parameters" not in code
        compile(code, file.name, "exec")
    made[0].write_text("changed")
    made[1].unlink()
    again = notebooks.convert_all(FOLDER.glob("*.py"), tmp_path, {})
    assert (again, made[0].read_text()) == ([made[1]], "changed")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("print(1)\n", "is no notebook in Databricks' source format"),
        ("# Databricks notebook source\n# MAGIC %sql SELECT 1\n", "has a cell %sql, which only Databricks runs"),
    ],
)
def test_what_cannot_be_converted_is_one_line(tmp_path, text, words):
    file = tmp_path / "odd.py"
    file.write_text(text)
    with pytest.raises(FruitsError, match=re.escape(words)):
        notebooks.read_cells(file)


def test_the_command_writes_a_notebook_that_jupyter_takes(tmp_path, type_emr):  # noqa: F811
    file = tmp_path / "fruits.ipynb"
    status, out, _ = type_emr("notebook", str(file), "--bucket", "fruits-9", "--cluster", "--language", "fr")
    assert (status, str(file) in out) == (0, True)
    made = nbformat.read(file, 4)
    nbformat.validate(made)
    assert made.metadata.kernelspec.name == "pysparkkernel"
    assert 'bucket = "fruits-9"' in "\n".join(code_of(made))
    assert words_of(made)[0] == TEXTS["fr"]["title"]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["x.txt"], 2, "is not a file name that ends in .ipynb"),
        (["none/x.ipynb"], 2, "is not a folder to write to"),
        (["x.ipynb", "--execute"], 2, "--execute runs a notebook on this machine"),
        (["x.ipynb", "--bucket", 'a"b'], 2, "is no name of a bucket"),
        (["x.ipynb", "--k", "1281"], 2, "k=1281 is neither"),
    ],
)
def test_wrong_use_is_one_line(tmp_path, monkeypatch, type_emr, words, status, said):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    ended, out, err = type_emr("notebook", *words)
    assert (ended, out, err.count("\n")) == (status, "", 1)
    assert said in err
    assert list(tmp_path.iterdir()) == []


def test_without_nbformat_the_command_says_what_to_install(tmp_path, monkeypatch, type_emr):  # noqa: F811
    monkeypatch.setitem(sys.modules, "nbformat", None)
    status, _, err = type_emr("notebook", str(tmp_path / "x.ipynb"))
    assert (status, err) == (1, "fruits: nbformat is not installed here; pip install 'fruits[lab]'\n")


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
    here = first_run[0].copy(tmp_path)
    told = {name: getattr(here.settings, name) for name in TOLD}
    before = versions(here.lake)
    for file in notebooks.convert_all(FOLDER.glob("*.py"), tmp_path / "lab", told):
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
