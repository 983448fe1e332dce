"""A run killed in the middle of every step, with everything it started; the runs after it come to the same end."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, photo_set
from test_growth import KEYS, runs_of, table

from fruits import cli
from fruits.platform import tracking
from fruits.settings import Settings

PHOTOS = 60
PATIENCE = 300  # seconds until a run that does not come to its moment counts as failed


def commits(lake: Path, name: str) -> int:
    return len(list((lake / name / "_delta_log").glob("*.json")))


def nested_runs(lake: Path) -> int:
    """Count the runs of compared k that were started, in MLflow's own file."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{lake}/mlflow.db?mode=ro", uri=True)) as store:
            return store.execute("SELECT count(*) FROM tags WHERE key = 'mlflow.parentRunId'").fetchone()[0]
    except sqlite3.OperationalError:  # not there yet
        return 0


# When to kill, and what must not be done by then: else the kill came too late to prove anything.
MOMENTS = {
    "bronze": (lambda lake: commits(lake, "bronze_images") >= 1, lambda lake: commits(lake, "bronze_images") >= 3),
    "silver": (lambda lake: commits(lake, "silver_features") >= 1, lambda lake: commits(lake, "silver_features") >= 3),
    "gold": (lambda lake: commits(lake, "gold_pca") >= 1, lambda lake: commits(lake, "gold_spectrum") >= 1),
    "compare": (lambda lake: nested_runs(lake) >= 1, lambda lake: commits(lake, "gold_comparison") >= 1),
}


def arguments(images: Path, lake: Path) -> list[str]:
    chosen = ["--weights", str(TINY), "--k", "5", "--k-values", "2,3,9", "--chunk", "20", "--json"]
    return ["run", "--images", str(images), "--lake", str(lake), *chosen]


def environment() -> dict[str, str]:
    """The environment of a person's shell: without what this process's own session put into it."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "PYSPARK_"))}


def kill_when(command: list[str], environment: dict[str, str], moment: Callable[[], bool], log: Path) -> None:
    """Start a command, and kill it and all it started as soon as the moment has come."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    try:
        end = time.monotonic() + PATIENCE
        while not moment():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.005)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL, log.read_text()


def run_here(capsys, images: Path, lake: Path) -> dict:
    """Run the same command to its end in the session of the tests, which saves the start of another."""
    capsys.readouterr()
    status = cli.main(arguments(images, lake))
    out, err = capsys.readouterr()
    assert status == 0, err
    return json.loads(out)


def assert_same_tables(lake: Path, reference: Path) -> None:
    """Row by row what the uninterrupted run wrote; of MLflow's ids and table versions each lake has its own."""
    own = ["run_id", "silver_version", "state"]
    for name in KEYS:
        ours, theirs = (table(place, name).drop(columns=own, errors="ignore") for place in (lake, reference))
        assert len(ours) == len(theirs) > 0
        for column in theirs.columns:
            kind = theirs[column].dtype
            if column in ("pca", "features"):
                a, b = np.stack(ours[column]), np.stack(theirs[column])
                np.testing.assert_allclose(a, b, rtol=0, atol=1e-9 * np.abs(b).max())
            elif kind.kind == "f":
                np.testing.assert_allclose(ours[column], theirs[column], rtol=1e-9, atol=1e-12)
            else:
                assert ours[column].tolist() == theirs[column].tolist(), (name, column)


@pytest.mark.slow
def test_a_run_killed_in_each_step_continues_to_the_same_result(tmp_path, fruits_command, capsys):
    images, lake, reference = tmp_path / "photos", tmp_path / "lake", tmp_path / "reference"
    for path, content in photo_set(labels=4, training=11, test=4).items():
        (images / path).parent.mkdir(parents=True, exist_ok=True)
        (images / path).write_bytes(content)

    for step, (moment, too_late) in MOMENTS.items():
        command = [fruits_command, *arguments(images, lake)]
        kill_when(command, environment(), lambda moment=moment: moment(lake), tmp_path / f"{step}.log")
        assert not too_late(lake), f"{step} was done before it was killed"

    result, expected = (run_here(capsys, images, place) for place in (lake, reference))

    assert_same_tables(lake, reference)
    assert len(table(lake, "bronze_images")) == PHOTOS
    assert result["gold"]["model"] == expected["gold"]["model"]
    assert result["compare"]["recommended_k"] == expected["compare"]["recommended_k"]
    stores = [tracking.open_tracking(Settings(lake=str(place))) for place in (lake, reference)]
    model = result["gold"]["model"]
    found = [runs_of(store, model) for store in stores]  # one finished run of the fit each
    metrics = [
        {
            run.data.params["k"]: (run.data.tags.get("recommended"), run.data.metrics)
            for run in nested
            if run.info.status == "FINISHED"
        }
        for _, nested in found
    ]
    assert set(metrics[0]) == {"2", "3", "5", "9"}
    assert sum(run.info.status == "FINISHED" for run in found[0][1]) == 4
    for k, (recommended, values) in metrics[1].items():
        assert metrics[0][k] == (recommended, pytest.approx(values, rel=1e-9))
    assert not stores[0].client.search_runs([stores[0].experiment_id], "attributes.status = 'RUNNING'")
    for store, (parent, _) in zip(stores, found, strict=True):
        assert tracking.champion_model(store) == model
        for kind in ("fruits_pca", "fruits_classifier"):
            version = store.client.get_model_version_by_alias(kind, "champion")
            assert version.run_id == parent.info.run_id
    assert set(table(lake, "gold_comparison")["run_id"]) == {found[0][0].info.run_id}
