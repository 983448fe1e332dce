"""The notebooks, unchanged: their form, as Databricks runs the one to explore, and by spark-submit."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import photo_set, versions
from deltalake import DeltaTable
from test_parameters import Dbutils

from fruits import cli
from fruits.errors import SettingError
from fruits.platform import session
from fruits.silver import SILVER

FOLDER = Path(__file__).parents[1] / "notebooks"
STEPS = ["01_bronze_images", "02_silver_features", "03_gold_pca", "04_compare_k"]
EXPLORE = "05_explore"
# What Databricks reads for a notebook that a person opens; a job has an environment of its own.
ENVIRONMENT = """\
# /// script
# [tool.databricks.environment]
# environment_version = "5"
# dependencies = ["--editable ..", "matplotlib>=3.9", "scikit-learn>=1.5"]
# ///
"""
# Spark's own defaults are for large clusters: 200 tasks per shuffle, 50 per table snapshot.
SMALL = {
    "spark.master": "local[2]",
    "spark.sql.shuffle.partitions": "2",
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.ui.enabled": "false",
    "spark.jars.packages": session.DELTA_PACKAGE,
    "spark.jars.excludes": session.SPARK_HAS,
}


def test_there_is_one_per_step_in_the_order_of_their_names_and_one_to_look_at_it_all():
    assert sorted(file.stem for file in FOLDER.glob("*.py")) == [*STEPS, EXPLORE]


@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_a_title_its_settings_one_call_and_one_look(name):
    text = (FOLDER / f"{name}.py").read_text()
    cells = text.split("\n# COMMAND ----------\n")
    assert cells[0].startswith(f"# Databricks notebook source\n{ENVIRONMENT}# MAGIC %md\n# MAGIC # ")
    assert [len(cell.strip().splitlines()) <= 6 for cell in cells[1:]] == [True] * 5
    assert "parameters.read(globals().get(" in cells[2]
    assert "summary = " in cells[3]
    assert cells[4].rstrip().endswith(")")
    assert max(map(len, text.splitlines())) <= 120


def test_the_one_to_explore_has_few_lines_a_cell_and_what_is_to_be_changed_at_its_top():
    text = (FOLDER / f"{EXPLORE}.py").read_text()
    title, imports, settings, *cells = text.split("\n# COMMAND ----------\n")
    environment = ENVIRONMENT.replace('"matplotlib', '"bokeh>=3.6", "matplotlib')
    assert title.startswith(f"# Databricks notebook source\n{environment}# MAGIC %md\n# MAGIC # ")
    assert {line.partition(" ")[0] for line in imports.strip().splitlines()} == {"from"}
    assert settings.strip().startswith("settings = parameters.read(globals().get(")
    words = [cell for cell in cells if "# MAGIC" in cell]
    assert all(cell.strip().startswith("# MAGIC %md\n") for cell in words)
    codes = [cell.strip().splitlines() for cell in cells if cell not in words]
    assert max(map(len, codes)) <= 3
    changed = [line.partition(" = ")[0] for lines in codes for line in lines if "  # " in line]
    assert changed == ["label", "k", "across, up", "label", "photo", "k"]
    assert max(map(len, text.splitlines())) <= 120


def test_the_one_to_explore_runs_as_on_databricks_and_writes_nothing(spark, first_run, capsys):
    """Its settings are widgets there; test_job.py runs those of the steps so."""
    here, _ = first_run
    told = {name: str(getattr(here.settings, name)) for name in ("images", "lake", "weights", "tracking", "k")}
    before = versions(here.lake)
    text = (FOLDER / f"{EXPLORE}.py").read_text()
    exec(compile(text, f"{EXPLORE}.py", "exec"), {"spark": spark, "dbutils": Dbutils(**told), "display": print})
    assert versions(here.lake) == before
    said = capsys.readouterr().out
    assert said.count("(a picture, which a notebook shows)") == 8
    for words in ("24 photos, 3 labels: 18 Training · 6 Test", "every Test photo is given its", "photos_per_second"):
        assert words in said


@pytest.mark.slow
def test_one_by_spark_submit(place):
    """Which brings a Spark of its own. By python they run in test_readme.py, on a cluster in test_cluster.py."""
    here = place(photo_set(labels=2, training=2, test=1))
    assert cli.main(["bronze", *here.options("images", "lake")]) == 0
    ran = by_spark_submit("02_silver_features", *here.options("images", "lake", "weights", "tracking"))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "'computed': 6" in ran.stdout
    features = DeltaTable(here.lake / SILVER.name).to_pandas()["features"]
    assert [len(each) for each in features] == [1280] * 6


def test_a_wrong_setting_is_one_line_and_status_2(tmp_path):
    ran = by_python("03_gold_pca", "--lake", tmp_path / "lake", "--k", "1281")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert (
        ran.stderr
        == "fruits: k=1281 is neither a count from 1 to 1280 nor a share between 0 and 1; try k=128 or k=0.95\n"
    )


@pytest.mark.usefixtures("spark", "excepthook")
def test_a_setting_found_wrong_by_the_step_is_one_line_and_status_2(tmp_path, monkeypatch, capsys):
    """In this process, which has a session; test_parameters.py ends a process by such an error."""
    words = ["01_bronze_images.py", "--images", str(tmp_path / "none"), "--lake", str(tmp_path / "lake")]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SettingError) as wrong:
        runpy.run_path(str(FOLDER / words[0]), run_name="__main__")
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        sys.excepthook(wrong.type, wrong.value, wrong.tb)
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert err.startswith("fruits: images=")
    assert err.count("\n") == 1


def by_python(name: str, *options: object) -> subprocess.CompletedProcess:
    return run(sys.executable, FOLDER / f"{name}.py", *options)


def by_spark_submit(name: str, *options: object) -> subprocess.CompletedProcess:
    java = {"spark.driver.extraJavaOptions": f"{session.JAVA_OPTIONS} {session._class_archive()}"}
    confs = [part for pair in (SMALL | java).items() for part in ("--conf", "=".join(pair))]
    return run(Path(sys.executable).with_name("spark-submit"), *confs, FOLDER / f"{name}.py", *options)


def run(*command: object) -> subprocess.CompletedProcess:
    """Run a command from elsewhere, classic: a second Connect server would want the port of the first."""
    # A Connect session leaves more names than SPARK_REMOTE behind.
    environment = {name: text for name, text in os.environ.items() if not name.startswith("SPARK_")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    return subprocess.run([*map(str, command)], capture_output=True, text=True, env=environment)
