"""The wheel that a job of Databricks installs: beside the platform's own Spark, small, and quick to import."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLATFORM = {"pyspark", "delta-spark", "databricks-connect", "tensorflow", "tensorflow-cpu", "keras"}
STEPS = "fruits.bronze, fruits.silver, fruits.gold, fruits.compare, fruits.pending"

pytestmark = pytest.mark.slow


def run(*command: object, **options) -> str:
    ended = subprocess.run([*map(str, command)], capture_output=True, text=True, **options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def uv() -> str:
    """The uv that make installs; what it downloads it keeps, and puts it into an environment by links."""
    found = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    return found or pytest.skip("there is no uv; make setup installs it")


@pytest.fixture(scope="module")
def wheel(uv, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(uv, "build", "--wheel", "--out-dir", folder, ROOT)  # as databricks.yml has it built
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(uv, wheel, tmp_path_factory) -> Path:
    """The interpreter of an environment that holds the wheel and what it asks for, and nothing else."""
    folder = tmp_path_factory.mktemp("empty") / "env"
    run(uv, "venv", "--python", sys.executable, folder)
    python = folder / "bin" / "python"
    constraint = ["--constraint", ROOT / "requirements.txt"]
    run(uv, "pip", "install", "--python", python, "--compile-bytecode", *constraint, wheel)  # as pip does
    return python


def test_it_asks_for_nothing_the_platform_brings_or_a_job_never_needs(wheel):
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
        metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
        asked = Parser().parsestr(file.read(metadata).decode()).get_all("Requires-Dist")
    hard = {re.match(r"[\w-]+", each)[0].lower() for each in asked if "extra ==" not in each}
    assert {"numpy", "mlflow-skinny", "ai-edge-litert"} <= hard
    assert not hard & PLATFORM
    assert "fruits/vision/fruits.tflite" in names
    assert {name.split("/")[0] for name in names} == {"fruits", metadata.split("/")[0]}


def test_it_is_below_700_mb_with_all_it_asks_for(uv, installed):
    there = {line.split("==")[0].lower() for line in run(uv, "pip", "freeze", "--python", installed).splitlines()}
    assert "mlflow-skinny" in there
    assert not there & PLATFORM
    size = sum(file.lstat().st_size for file in installed.parents[1].rglob("*") if not file.is_dir())
    assert size < 700e6, f"{size / 1e6:.0f} MB"


def seconds_to_import(python: Path, modules: str, environment: dict[str, str], first: str = "sys") -> float:
    """Measure the quickest of three imports, each in a process of its own."""
    code = f"import time, {first}\nstart = time.perf_counter()\nimport {modules}\nprint(time.perf_counter() - start)"
    # Not from the folder of the tests, which would be searched first.
    return min(float(run(python, "-c", code, env=environment, cwd="/")) for _ in range(3))


def test_it_imports_in_less_than_two_seconds_and_without_spark(installed):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    where = run(installed, "-c", "import fruits.cli; print(fruits.cli.__file__)", env=clean, cwd="/").strip()
    assert Path(where).is_relative_to(installed.parents[1])
    assert seconds_to_import(installed, "fruits.cli", clean) < 2
    assert "compare values of k" in run(installed.with_name("fruits"), "--help", env=clean, cwd="/")


def test_the_steps_import_in_less_than_two_seconds_beside_the_platforms_spark(installed, tmp_path):
    for name in ("pyspark", "py4j"):  # as the platform has them: in no environment of ours
        (tmp_path / name).symlink_to(Path(find_spec(name).origin).parent)
    beside = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    beside["PYTHONPATH"] = str(tmp_path)
    assert seconds_to_import(installed, STEPS, beside, first="pyspark.sql") < 2


def test_a_module_looks_for_what_the_wheel_brings_only(installed, tmp_path):
    """Every module imports there, once Spark is beside it; but for the slides, whose command looks for python-pptx."""
    for name in ("pyspark", "py4j"):
        (tmp_path / name).symlink_to(Path(find_spec(name).origin).parent)
    source = ROOT / "src"
    modules = [".".join(file.relative_to(source).with_suffix("").parts) for file in source.rglob("*.py")]
    modules = [name for name in modules if not name.startswith("fruits.views.deck")]
    code = f"import importlib\nfor name in {modules}: importlib.import_module(name)"
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    run(installed, "-c", code, env=environment, cwd="/")
