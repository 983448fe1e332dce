"""Runs and models in a real sqlite store: what is recorded, loads elsewhere, and never costs a table."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, features_of
from photos import jpeg

from fruits.platform import tracking
from fruits.settings import Settings
from fruits.stats.calibration import Calibration, temper
from fruits.stats.discriminant import fit_discriminant, log_scores
from fruits.stats.moments import measure_moments
from fruits.stats.pca import fit_pca, project

COLOURS = {"Cherry": (200, 30, 40), "Lemon": (240, 220, 60), "Lime": (234, 222, 64)}
BETWEEN = (236, 221, 63)  # Lemon and Lime
K = 6
ROWS = [
    {"k": k, "cumulative_explained_variance": 0.5 + k / 100, "accuracy_test": 0.9, "centroid_accuracy_test": None}
    for k in (2, 4, 8)
]

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_store_of_the_machine")]


@pytest.fixture(scope="module")
def features():
    """Features of eight noisy photos per colour, and their labels."""
    rows = [features_of(jpeg(colour, seed=seed)) for colour in COLOURS.values() for seed in range(8)]
    return np.stack(rows), np.repeat(list(COLOURS), 8)


@pytest.fixture(scope="module")
def fit(features):
    moments = measure_moments(*features)
    pca = fit_pca(moments)
    return tracking.FitRecord(
        model="tiny-k6",
        backbone="tiny-32",
        k=K,
        pca=pca,
        discriminant=fit_discriminant(moments, pca, 8),
        calibration=Calibration(photos=9, temperature=2.5, accuracy=0.75),
        network=TINY.read_bytes(),
        example=jpeg(),
        params={"sync": "keep", "photos": 24},
        figures=[("variance", _figure())],
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One store for all tests that do not mind each other's models."""
    odd = "Mes données, 100 % #1"  # what a URI would read its own way
    settings = Settings(lake=str(tmp_path_factory.mktemp("lake") / odd))
    return settings, tracking.open_tracking(settings)


@pytest.fixture(scope="module")
def recorded(store, fit):
    """A fit with its comparison; gives the store and the id of its run."""
    _, opened = store
    run_id = tracking.log_fit(opened, fit)
    tracking.log_comparison(opened, run_id, ROWS, 4, [("accuracy", _figure())])
    return opened, run_id


def test_store_and_artifacts_are_in_the_lake_whatever_its_path(store, recorded):
    settings, _ = store
    opened, run_id = recorded
    assert (Path(settings.lake) / "mlflow.db").is_file()
    assert (Path(settings.lake) / "mlartifacts" / run_id / "artifacts" / "variance.png").is_file()
    assert {path.name for path in Path(settings.lake).iterdir()} == {"mlflow.db", "mlartifacts"}
    assert [path.name for path in Path(settings.lake).parent.iterdir()] == [Path(settings.lake).name]
    assert len(opened.client.search_experiments(filter_string="name = 'fruits'")) == 1


def test_the_curve_has_one_step_per_component(recorded, fit):
    opened, run_id = recorded
    curve = opened.client.get_metric_history(run_id, "cumulative_explained_variance")
    assert [metric.step for metric in curve] == list(range(1, len(fit.pca.eigenvalues) + 1))
    np.testing.assert_allclose([metric.value for metric in curve], fit.pca.cumulative_explained_variance_ratio)


def test_a_run_holds_parameters_metrics_labels_and_figures(recorded, fit):
    opened, run_id = recorded
    run = opened.client.get_run(run_id)
    assert run.info.run_name == "tiny-k6" and run.info.status == "FINISHED"
    expected = {"model": "tiny-k6", "backbone": "tiny-32", "k": "6", "sync": "keep", "photos": "24"}
    assert run.data.params == expected
    assert run.data.metrics["k"] == K
    at_k = fit.pca.cumulative_explained_variance_ratio[K - 1]
    assert run.data.metrics["cumulative_explained_variance_at_k"] == pytest.approx(at_k)
    calibration = {name: value for name, value in run.data.metrics.items() if name.startswith("calibration_")}
    assert calibration == {"calibration_photos": 9, "calibration_temperature": 2.5, "calibration_accuracy": 0.75} | {
        f"calibration_{name}": 0.0 for name in ("sure", "rejected")
    }  # and nothing that is no number
    assert {each.path for each in opened.client.list_artifacts(run_id)} == {
        "variance.png",
        "accuracy.png",
        "labels.json",
    }
    assert len(run.outputs.model_outputs) == 2


def test_sklearn_loads_the_pca_and_gives_our_scores(recorded, fit, features):
    import mlflow.sklearn

    opened, _ = recorded
    version = next(row for row in tracking.list_models(opened) if row["name"] == "fruits_pca")
    assert version["model"] == "tiny-k6" and version["k"] == K and version["backbone"] == "tiny-32"
    source = opened.client.get_model_version("fruits_pca", version["version"]).source
    scores = mlflow.sklearn.load_model(source).transform(features[0])
    np.testing.assert_allclose(scores, project(features[0], fit.pca, K), atol=1e-9)


def test_models_have_signature_example_and_exact_requirements(recorded):
    from mlflow.models import Model

    opened, _ = recorded
    needed = {"pca": {"numpy", "scikit-learn"}, "classifier": {"ai-edge-litert", "numpy", "pandas", "pillow"}}
    for kind, packages in needed.items():
        source = opened.client.get_model_version(f"fruits_{kind}", "1").source
        folder = Path(_local(source))
        about = Model.load(str(folder))
        assert about.signature.inputs and about.signature.outputs
        assert about.saved_input_example_info
        pins = dict(line.split("==") for line in (folder / "requirements.txt").read_text().split())
        assert set(pins) == packages | {"mlflow"}
    assert {path.suffix for path in folder.joinpath("code").rglob("*") if path.is_file()} == {".py", ".csv"}


def test_classifier_names_photos_without_spark_tensorflow_or_this_repository(recorded, fit, tmp_path):
    opened, _ = recorded
    good = {name: jpeg(colour, seed=99) for name, colour in COLOURS.items()} | {"between": jpeg(BETWEEN)}
    photos = good | {"bad": b"no photo"}
    for name, content in photos.items():
        (tmp_path / name).write_bytes(content)
    code = """
import json, sys
from pathlib import Path
sys.path = [each for each in sys.path if not Path(each, "fruits").is_dir()]
for name in ("pyspark", "tensorflow", "keras"):
    sys.modules[name] = None  # importing it raises: MLflow itself would import pyspark wherever it is
import mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/fruits_classifier/1")
photos = [Path(each).read_bytes() for each in sys.argv[2:]]
result = model.predict(pd.DataFrame({"content": photos}, index=[7, 5, 3, 2, 1]))
import fruits
assert "artifacts/code" in Path(fruits.__file__).as_posix(), fruits.__file__
assert sys.modules["pyspark"] is None and sys.modules["tensorflow"] is None
print(json.dumps([list(result.index), *(list(result[name]) for name in ("label", "probability", "next", "error"))]))
"""
    command = [sys.executable, "-c", code, opened.uri, *photos]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    index, labels, probabilities, others, errors = json.loads(done.stdout.splitlines()[-1])
    assert index == [7, 5, 3, 2, 1]
    scores = project(np.stack([features_of(content) for content in good.values()]), fit.pca, K)
    expected = temper(log_scores(scores, fit.discriminant, K), 2.5)
    assert labels[:3] == list(COLOURS) and labels[3:] == [fit.discriminant.labels[expected[3].argmax()], None]
    np.testing.assert_allclose(probabilities[:4], expected.max(axis=1), rtol=1e-3)  # single precision on disk
    assert probabilities[4] is None and others[4] == []
    for first, (second, third) in zip(probabilities[:4], others[:4], strict=True):
        assert first + second["probability"] + third["probability"] == pytest.approx(1)
    assert probabilities[3] < 0.9999  # or the probabilities compared would say little
    assert errors[:4] == [None] * 4 and "not a photo" in errors[4]


def test_compared_ks_are_runs_below_the_fit_and_a_repeat_adds_none(recorded):
    opened, run_id = recorded
    first = children(opened, run_id)
    assert {run.data.params["k"]: run.data.metrics for run in first} == {
        str(row["k"]): {name: value for name, value in row.items() if value is not None} for row in ROWS
    }
    assert [run.data.params["k"] for run in first if run.data.tags.get("recommended") == "true"] == ["4"]
    tracking.log_comparison(opened, run_id, [*ROWS[:2], ROWS[2] | {"accuracy_test": 0.95}], 8)
    again = children(opened, run_id)
    assert {run.info.run_id for run in again} == {run.info.run_id for run in first}
    assert [run.data.params["k"] for run in again if run.data.tags.get("recommended") == "true"] == ["8"]
    assert {run.data.params["k"]: run.data.metrics["accuracy_test"] for run in again}["8"] == 0.95
    assert opened.client.get_run(run_id).data.tags["recommended_k"] == "8"


def test_a_compared_k_that_was_killed_is_recorded_again(recorded, fit):
    opened, _ = recorded
    run_id = tracking.log_fit(opened, replace(fit, model="interrupted", network=None))
    killed = opened.client.create_run(opened.experiment_id, tags={"mlflow.parentRunId": run_id})
    opened.client.log_param(killed.info.run_id, "k", 2)
    tracking.log_comparison(opened, run_id, ROWS, None)
    status = {run.info.run_id: run.info.status for run in children(opened, run_id)}
    assert len(status) == 4 and status[killed.info.run_id] == "KILLED"


def test_only_a_complete_run_is_found_and_a_killed_one_is_replaced(store, fit, monkeypatch, capsys):
    _, opened = store
    small = replace(fit, model="killed", network=None)
    with monkeypatch.context() as patch:
        patch.setattr(tracking, "log_models", _raise(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            tracking.log_fit(opened, small)
    left = opened.client.create_run(opened.experiment_id, tags={"fruits.model": "killed"}, run_name="killed")
    assert tracking.find_run(opened, "killed") is None
    run_id = tracking.log_fit(opened, small)
    assert tracking.find_run(opened, "killed") == run_id
    assert tracking.find_run(opened, "never seen") is None
    assert opened.client.get_run(left.info.run_id).info.status == "KILLED"
    assert capsys.readouterr().err == "tracking: no classifier for killed, there is no network\n"


def test_champion_follows_the_mode(tmp_path, fit):
    opened = tracking.open_tracking(Settings(lake=str(tmp_path)))
    fits = {model: replace(fit, model=model) for model in ("a", "b")}
    tracking.log_fit(opened, fits["a"])
    assert tracking.champion_model(opened) is None
    assert tracking.promote(opened, "a", "never") is None and tracking.champion_model(opened) is None
    assert tracking.promote(opened, "a", "first") == {"pca": "1", "classifier": "1"}
    tracking.log_fit(opened, fits["b"])
    assert tracking.promote(opened, "b", "first") is None and tracking.champion_model(opened) == "a"
    assert tracking.promote(opened, "b", "always") == {"pca": "2", "classifier": "2"}
    assert tracking.champion_model(opened) == "b"
    assert tracking.promote(opened, "b", "always") is None
    champions = {row["name"]: row["version"] for row in tracking.list_models(opened) if row["aliases"] == ["champion"]}
    assert champions == {"fruits_pca": 2, "fruits_classifier": 2}
    assert [row["name"] for row in tracking.last_runs(opened)] == ["b", "a"]
    assert tracking.last_runs(opened, 1)[0]["k"] == K
    other = tracking.open_tracking(Settings(lake=str(tmp_path), pca_model="apples", classifier_model="kinds"))
    tracking.log_fit(other, replace(fit, model="c"))
    assert tracking.champion_model(other) is None and tracking.champion_model(opened) == "b"
    assert tracking.promote(other, "c", "first") == {"pca": "1", "classifier": "1"}


def test_a_run_and_a_store_of_somebody_else_stay_as_they_are(store, fit, tmp_path, monkeypatch):
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # set_tracking_uri writes it
    theirs = f"sqlite:///{tmp_path}/theirs.db"
    mlflow.set_tracking_uri(theirs)
    try:
        mlflow.create_experiment("theirs", artifact_location=tmp_path.as_uri())
        mlflow.set_experiment("theirs")
        with mlflow.start_run() as run:
            run_id = tracking.log_fit(store[1], replace(fit, model="beside another run"))
            assert run_id and tracking.promote(store[1], "beside another run", "always")
            assert mlflow.active_run().info.run_id == run.info.run_id
            assert mlflow.get_tracking_uri() == theirs
        assert mlflow.get_run(run.info.run_id).data.metrics == {}
        assert len(mlflow.search_runs(output_format="list")) == 1
    finally:
        mlflow.set_tracking_uri(None)


def test_a_failure_of_mlflow_is_one_line_and_no_error(store, fit, monkeypatch, capsys):
    _, opened = store
    monkeypatch.setattr(tracking, "log_models", _raise(OSError("disk full\nat some place")))
    assert tracking.log_fit(opened, replace(fit, model="unlucky")) is None
    assert capsys.readouterr().err == "tracking: logging the fit failed: disk full; the tables are complete\n"
    failed = opened.client.search_runs([opened.experiment_id], "tags.`fruits.model` = 'unlucky'")
    assert [run.info.status for run in failed] == ["FAILED"]


def search(opened, condition):
    return opened.client.search_runs([opened.experiment_id], condition)


def children(opened, run_id):
    return search(opened, f"tags.`mlflow.parentRunId` = '{run_id}'")


def _figure():
    from matplotlib.figure import Figure

    return Figure(figsize=(1, 1))


def _local(uri):
    from urllib.request import url2pathname

    return url2pathname(uri.removeprefix("file://"))


def _raise(error):
    def fail(*_):
        raise error

    return fail
