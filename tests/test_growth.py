"""A photo set that grows, by the command people type; read with another reader, recomputed with numpy."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
from conftest import TINY, features_of, photo_set
from deltalake import DeltaTable
from features import reference_pca
from photos import jpeg

from fruits import cli
from fruits.platform import tracking
from fruits.settings import Settings

KEYS = {
    "bronze_images": ["path"],
    "silver_features": ["path", "backbone"],
    "gold_moments": ["backbone", "split", "labelled"],
    "gold_pca": ["path", "model"],
    "gold_spectrum": ["model", "component"],
    "gold_comparison": ["model", "k"],
}
PARTITIONS = {"gold_moments": "backbone", "gold_pca": "model", "gold_spectrum": "model", "gold_comparison": "model"}


def table(lake, name):
    frame = DeltaTable(lake / name).to_pandas()
    assert not frame.duplicated(KEYS[name]).any()
    return frame.sort_values(KEYS[name], ignore_index=True)


def versions(lake):
    return {name: DeltaTable(lake / name).version() for name in KEYS}


def holding(lake, content):
    """Files of a lake that hold a photo, in whatever version of a table; test_forget.py looks for its features too."""
    noise = content[-90:-10]  # not its head, which all JPEGs share
    return [file for file in lake.rglob("*") if file.is_file() and noise in file.read_bytes()]


def runs_of(store, model):
    """The finished run of a fit, and the runs below it."""
    (parent,) = store.client.search_runs(
        [store.experiment_id], f"tags.`fruits.model` = '{model}' AND attributes.status = 'FINISHED'"
    )
    return parent, store.client.search_runs(
        [store.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    )


def check(images, lake, store, result, k, ks):
    """Every table and run is what the photo folder says, computed without Spark."""
    import mlflow.sklearn

    files = sorted(file for file in images.rglob("*") if file.is_file())
    contents = {str(file.relative_to(images)): file.read_bytes() for file in files}
    bronze = table(lake, "bronze_images").set_index("path")
    assert bronze["content"].to_dict() == contents
    silver = table(lake, "silver_features").set_index("path")
    assert list(silver.index) == sorted(contents)
    for path, content in contents.items():
        split, label, _ = path.split("/")
        for row in (bronze.loc[path], silver.loc[path]):
            assert (row["sha256"], row["split"], row["label"]) == (hashlib.sha256(content).hexdigest(), split, label)
            assert pd.isna(row["error"])
    features = np.array([features_of(contents[path]) for path in silver.index])
    np.testing.assert_array_equal(np.stack(silver["features"]), features)
    features = features.astype(np.float64)
    is_training = (silver["split"] == "Training").to_numpy()
    eigenvalues, components = reference_pca(features[is_training])
    model = result["gold"]["model"]
    spectrum = table(lake, "gold_spectrum").query("model == @model")
    np.testing.assert_allclose(spectrum["eigenvalue"], eigenvalues, rtol=1e-9, atol=1e-9 * eigenvalues[0])
    share = np.cumsum(eigenvalues) / eigenvalues.sum()
    np.testing.assert_allclose(spectrum["cumulative_explained_variance_ratio"], share, rtol=1e-9)
    pca = table(lake, "gold_pca").query("model == @model").set_index("path")
    assert list(pca.index) == sorted(contents)
    expected = (features - features[is_training].mean(axis=0)) @ components[:k].T
    scale = np.abs(expected).max()
    np.testing.assert_allclose(np.stack(pca["pca"]), expected, rtol=0, atol=1e-9 * scale)
    comparison = table(lake, "gold_comparison").query("model == @model")
    assert comparison["k"].tolist() == ks
    np.testing.assert_allclose(comparison["cumulative_explained_variance"], share[np.array(ks) - 1], rtol=1e-9)
    parent, nested = runs_of(store, model)
    assert set(spectrum["run_id"]) == set(comparison["run_id"]) == {parent.info.run_id}
    assert sorted(int(run.data.params["k"]) for run in nested) == ks
    for run in nested:
        row = comparison.set_index("k").loc[int(run.data.params["k"])]
        assert run.data.metrics["accuracy_test"] == row["accuracy_test"]
    logged = {each["name"]: each for each in tracking.list_models(store) if each["model"] == model}
    assert set(logged) == {"fruits_pca", "fruits_classifier"}
    source = store.client.get_model_version("fruits_pca", logged["fruits_pca"]["version"]).source
    scores = mlflow.sklearn.load_model(source).transform(features)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-9 * scale)
    # Older rows are the champion's, of photos that are still there.
    others = table(lake, "gold_pca").query("model != @model")
    assert set(others["model"]) <= {tracking.champion_model(store)}
    assert set(others["path"]) <= set(contents)
    return model


def test_a_growing_photo_set_is_followed_through_every_table_and_run(spark, tmp_path, capsys):
    images, lake = tmp_path / "photos", tmp_path / "lake"

    def write(path, content):
        (images / path).parent.mkdir(parents=True, exist_ok=True)
        (images / path).write_bytes(content)

    def fruits(command, *arguments):
        assert cli.main([command, "--lake", str(lake), "--json", *arguments]) == 0
        return json.loads(capsys.readouterr().out)

    def run():
        chosen = ["--weights", str(TINY), "--k", "4", "--k-values", "2,6", "--sync", "mirror"]
        return fruits("run", "--images", str(images), *chosen)

    for path, content in photo_set(labels=3, training=6, test=3).items():
        write(path, content)
    first = run()
    store = tracking.open_tracking(Settings(lake=str(lake)))
    champion = check(images, lake, store, first, 4, [2, 4, 6])
    assert (first["bronze"]["new"], first["silver"]["computed"], first["gold"]["projected"]) == (27, 27, 27)
    assert tracking.champion_model(store) == champion
    cut = {name: DeltaTable(lake / name).metadata().partition_columns for name in KEYS}
    assert {name: columns[0] for name, columns in cut.items() if columns} == PARTITIONS

    before = versions(lake), {file: file.stat().st_mtime_ns for file in Path(lake).rglob("*")}
    second = run()
    assert (versions(lake), {file: file.stat().st_mtime_ns for file in Path(lake).rglob("*")}) == before
    assert second["compare"]["rows"] == first["compare"]["rows"]
    assert (second["bronze"]["unchanged"], second["silver"]["computed"], second["gold"]["projected"]) == (27, 0, 0)

    for number in range(10):
        write(f"{'Training' if number < 7 else 'Test'}/Fruit {number % 4}/new {number}.jpg", jpeg(seed=500 + number))
    write("Training/Fruit 0/1.jpg", jpeg(color=(20, 60, 200), seed=600))
    (images / "Training/Fruit 1/2.jpg").unlink()
    third = run()
    assert {name: third["bronze"][name] for name in ("new", "changed", "removed")} == {
        "new": 10,
        "changed": 1,
        "removed": 1,
    }
    assert (third["silver"]["computed"], third["silver"]["total"]) == (11, 36)
    assert check(images, lake, store, third, 4, [2, 4, 6]) != champion
    assert tracking.champion_model(store) == champion

    erased = "Training/Fruit 2/4.jpg"
    content = (images / erased).read_bytes()
    assert {file.parent.name for file in holding(lake, content)} == {"bronze_images"}
    (images / erased).unlink()
    forgotten = fruits("forget", erased)
    assert set(forgotten["erased"].values()) == {1, 2} and forgotten["not_found"] == []  # twice in gold: two models
    for name in ("bronze_images", "silver_features", "gold_pca"):
        assert erased not in set(table(lake, name)["path"])
    assert table(lake, "gold_moments").empty
    fourth = run()
    assert (fourth["bronze"]["unchanged"], fourth["silver"]["computed"]) == (35, 0)
    check(images, lake, store, fourth, 4, [2, 4, 6])
    assert tracking.champion_model(store) == champion
    assert holding(lake, content) == []
