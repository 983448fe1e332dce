"""The cloud notebook: what is in it, in each language and for each kernel, and the command that writes it."""

import ast
import json
import re
import sys
from pathlib import Path

import nbformat
import pytest
from aws import type_emr  # noqa: F401 - a fixture

from fruits.errors import FruitsError
from fruits.platform.session import DELTA_SQL
from fruits.views import notebooks
from fruits.views.notebook_emr import FILES, Place, compose
from fruits.views.notebook_texts import TEXTS

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[1] / "notebooks"
# What Livy 0.9 takes in POST /sessions.
LIVY = {
    *("kind", "proxyUser", "jars", "pyFiles", "files", "archives", "queue", "name", "conf", "heartbeatTimeoutInSecond"),
    *("driverMemory", "driverCores", "executorMemory", "executorCores", "numExecutors", "ttl", "idleTimeout"),
}
LOCAL = "%%local\n"
FETCH = re.compile(r"%%spark -o (\w+) -n -1 -c False\n")  # all rows, as they are: a label may read as a date


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
