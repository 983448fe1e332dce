"""`fruits emr build`: what a release holds, for which machine, and that the same input gives the same bytes."""

import hashlib
import json
import os
import platform
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
from aws import type_emr as type_emr
from conftest import TINY
from wheels import orchard as orchard

import fruits
from fruits.platform import emr_wheels
from fruits.platform.emr_package import write_package
from fruits.platform.emr_release import find_commit, pack_folder
from fruits.platform.emr_requests import needed_files, package_name
from fruits.platform.emr_wheels import MACHINES, list_needed, read_pins

ROOT = Path(__file__).parents[1]
FOLDER = Path("dist", "emr", fruits.__version__)
LINES = ["boto3==1.5", "fig==1.0", "kiwi==1.0", "matplotlib==3.0", "plum==2.0", "scikit-learn==1.0", "sugar==1.0"]


@pytest.fixture
def build(type_emr):
    """Build: (status, result or None, standard error)."""

    def run(*options: str) -> tuple[int, dict | None, str]:
        status, out, err = type_emr("build", "--json", *options)
        return status, json.loads(out) if out else None, err

    return run


@pytest.mark.slow
def test_a_release_holds_what_runs_on_serverless_and_on_a_cluster_start_from(build, orchard):
    status, result, err = build("--architecture", "arm64")
    assert status == 0, err
    said = json.loads((FOLDER / "release.json").read_text())
    assert {key: result[key] for key in said} == said
    assert (said["version"], said["python"], said["architectures"]) == (fruits.__version__, "3.11", ["arm64"])
    assert said["commit"] is None  # the folder is no clone
    there = {str(file.relative_to(FOLDER)): file for file in FOLDER.rglob("*") if file.is_file()}
    assert set(there) == {*said["files"], "release.json"}
    assert {*needed_files(fruits.__version__, "arm64", True), *needed_files(fruits.__version__, "arm64", False)} < {
        *said["files"]
    }
    assert "notebooks/01_bronze_images.py" in said["files"]
    for name, about in said["files"].items():
        content = there[name].read_bytes()
        assert about == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert (FOLDER / "run.py").read_bytes() == (ROOT / "resources" / "emr" / "run.py").read_bytes()


@pytest.mark.slow
def test_the_wheels_are_those_of_requirements_txt_for_the_machine_that_was_asked_for(build, orchard):
    for architecture, machine in {"arm64": "aarch64", "x86_64": "x86_64"}.items():
        assert build("--architecture", architecture)[0] == 0
        with tarfile.open(FOLDER / f"wheelhouse-{architecture}.tar.gz") as archive:
            assert archive.extractfile("wheelhouse/requirements.txt").read().decode().split() == LINES
            names = archive.getnames()
        assert f"wheelhouse/kiwi-1.0-cp311-cp311-manylinux_2_17_{machine}.whl" in names
        assert len(names) == len(LINES) + 1
        with tarfile.open(FOLDER / f"site-packages-{architecture}.tar.gz") as archive:
            assert machine in archive.extractfile("kiwi.py").read().decode()
            assert not [name for name in archive.getnames() if name.startswith(("bin/", "/", "."))]
            assert "bin/fig" not in archive.extractfile("fig-1.0.dist-info/RECORD").read().decode()
            archive.extractall(orchard / f"installed-{architecture}", filter="data")
    said = json.loads((FOLDER / "release.json").read_text())
    assert said["architectures"] == ["arm64", "x86_64"]
    assert {f"wheelhouse-{each}.tar.gz" for each in said["architectures"]} < set(said["files"])
    script = "import fig, plum, sugar, importlib.metadata; print(importlib.metadata.version('scikit-learn'))"
    path = {"PYTHONPATH": str(orchard / "installed-arm64")}
    assert subprocess.run([sys.executable, "-S", "-c", script], env=path, capture_output=True).stdout == b"1.0\n"


@pytest.mark.slow
def test_the_same_input_gives_the_same_bytes(build, orchard, monkeypatch):
    first = build("--architecture", "x86_64")[1]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    second = build("--architecture", "x86_64", "--to", "elsewhere")[1]
    assert second["files"] == first["files"]


def test_an_archive_knows_neither_time_nor_owner_nor_rights(tmp_path):
    for number, name in enumerate(("one", "two")):
        folder = tmp_path / name
        (folder / "b").mkdir(parents=True)
        for file in ("a.py", "b/c.py")[:: 1 - 2 * number]:
            (folder / file).write_text(file)
            (folder / file).chmod(0o600 + number * 0o155)
        pack_folder(folder, tmp_path / f"{name}.tar.gz", "below", 6)
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()
    with tarfile.open(tmp_path / "one.tar.gz") as archive:
        assert [(each.name, each.mtime, each.uid, each.mode) for each in archive] == [
            ("below/a.py", 0, 0, 0o644),
            ("below/b/c.py", 0, 0, 0o644),
        ]
    assert (tmp_path / "one.tar.gz").read_bytes()[4:8] == bytes(4)  # no time


@pytest.mark.slow
def test_another_network_is_in_the_release_under_its_id(build, orchard):
    status, result, err = build("--weights", str(TINY))
    assert status == 0, err
    (name,) = [name for name in result["files"] if name.startswith("networks/")]
    assert name.startswith("networks/tflite-")
    assert (FOLDER / name).read_bytes() == TINY.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            lambda at: (at / "wheels" / "sugar-1.0-py3-none-any.whl").unlink(),
            "No matching distribution found for sugar",
        ),
        (lambda at: (at / "requirements.txt").write_text("fig==1.0\n"), "requirements.txt has no version of boto3"),
        (lambda at: (at / "dist").write_text("a file"), "'dist/emr/0.1.0' cannot be written to: Not a directory"),
    ],
)
def test_what_cannot_be_built_is_one_line_and_no_release(build, orchard, spoil, says):
    spoil(orchard)
    status, result, err = build()
    assert (status, result) == (1, None)
    assert says in err.splitlines()[-1]
    assert "Traceback" not in err
    assert not (FOLDER / "release.json").exists()
    assert not list(FOLDER.glob(".*"))


def test_without_pip_it_says_where_to_get_it(build, orchard, monkeypatch):
    monkeypatch.setattr(emr_wheels.sys, "executable", str(orchard / "python"))
    (orchard / "python").write_text('#!/bin/sh\necho "$0: No module named pip" >&2\nexit 1\n')
    (orchard / "python").chmod(0o755)
    status, _, err = build()
    assert status == 1
    assert err.splitlines()[-1].endswith("this Python has no pip; " + str(orchard / "python -m ensurepip brings it"))


def test_unknown_weights_and_machines_are_wrong_use(build, orchard):
    assert build("--weights", "nothing.h5")[0] == 2
    assert build("--architecture", "riscv")[0] == 2
    assert not FOLDER.exists()


def test_the_commit_is_that_of_a_clone_without_changes(tmp_path):
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    assert find_commit(tmp_path) is None
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    assert len(find_commit(tmp_path)) == 40
    (tmp_path / "new.txt").write_text("x")
    assert find_commit(tmp_path) is None


def test_workers_get_neither_spark_nor_tensorflow_and_nothing_unpinned():
    """The project's own lists; its wheels are fetched by `make test-release`."""
    names = {each.name for each in list_needed(ROOT)}
    assert names >= {"ai-edge-litert", "mlflow-skinny", "pyarrow", "matplotlib", "scikit-learn", "boto3"}
    assert not names & {"pyspark", "delta-spark", "tensorflow", "tensorflow-cpu", "mlflow"}
    for architecture in ("arm64", "x86_64"):
        pins = read_pins(ROOT, architecture)
        assert names <= set(pins)
        assert pins["numpy"].startswith("2.4")  # the last that has wheels for Python 3.11 in that list


@pytest.mark.release
@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_the_real_wheels_are_few_enough_and_install_fast_without_a_network(type_emr, tmp_path, architecture):
    """From the package registry, or pip's cache."""
    status, _, err = type_emr("build", "--architecture", architecture, "--to", str(tmp_path))
    assert status == 0, err
    archive = tmp_path / fruits.__version__ / f"wheelhouse-{architecture}.tar.gz"
    print(f"{archive.name}: {archive.stat().st_size / 1e6:.1f} MB")
    assert archive.stat().st_size < 220e6
    with tarfile.open(archive) as wheels:
        wheels.extractall(tmp_path, filter="data")
    names = {file.name.split("-")[0].lower() for file in (tmp_path / "wheelhouse").glob("*.whl")}
    assert not names & {"pyspark", "delta_spark", "tensorflow", "tensorflow_cpu", "keras", "mlflow"}
    if MACHINES[architecture] != platform.machine() or sys.version_info[:2] != (3, 11) or sys.platform != "linux":
        return  # nothing to install them into here
    start, before = time.monotonic(), sum(os.times()[2:4])
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    python, wheels = tmp_path / "env" / "bin" / "python", tmp_path / "wheelhouse"
    words = ["install", "--quiet", "--no-index", f"--find-links={wheels}", f"--requirement={wheels}/requirements.txt"]
    subprocess.run([python, "-m", "pip", *words], check=True)
    seconds = sum(os.times()[2:4]) - before  # of a core: whatever else the machine does now
    print(f"installed offline in {time.monotonic() - start:.0f} s, {seconds:.0f} s of a core")
    assert seconds < 60
    # Spark is the cluster's own; the network sees a photo, and what records a fit is there.
    script = """
import boto3, matplotlib, mlflow, numpy, sklearn
from fruits.vision.backbone import extract_features
from fruits.vision.weights import read_weights
print(len(extract_features(read_weights("fruits"), numpy.zeros((100, 100, 3), "uint8"))))
"""
    package = tmp_path / fruits.__version__ / package_name(fruits.__version__)
    ran = subprocess.run([python, "-c", script], env={"PYTHONPATH": str(package)}, capture_output=True, text=True)
    assert ran.stdout == "1280\n", ran.stderr


def test_the_zip_of_the_package_holds_code_and_data_and_nothing_that_a_tool_left(tmp_path, monkeypatch):
    package = tmp_path / "package"
    kept, left = ("__init__.py", "vision/net.tflite"), (".DS_Store", ".cli.py.swp", "x.pyc", "__pycache__/cli.pyc")
    for name in (*kept, *left):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_bytes(name.encode())
    monkeypatch.setattr(fruits, "__file__", str(package / "__init__.py"))
    for name in ("a.zip", "b.zip"):
        write_package(tmp_path / name)
        for file in package.rglob("*"):
            os.utime(file, (1, 1))
    assert zipfile.ZipFile(tmp_path / "a.zip").namelist() == [f"package/{name}" for name in kept]
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
