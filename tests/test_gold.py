"""The PCA in the tables: the numbers, who is projected, what a second run does, and what MLflow may break."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import read_rows, versions
from features import as_rows, make_features, matrix, read_features, reference_pca, settings_of, write_features
from pyspark.sql import functions as F

from fruits import gold
from fruits.errors import FruitsError
from fruits.gold import PCA, SPECTRUM, fit_features, reduce_features
from fruits.platform import tracking
from fruits.platform.tables import Lake
from fruits.silver import SILVER


def reduce(lake, **changes):
    return reduce_features(lake.spark, settings_of(lake, **changes))


@pytest.fixture(scope="module")
def made(spark, tmp_path_factory):
    """A lake of 12 Training and 4 Test photos, reduced without MLflow, and what that said."""
    lake = Lake(spark, str(tmp_path_factory.mktemp("made") / "lake"))
    write_features(lake, make_features(12), make_features(4, "Test", seed=1))
    return lake, reduce(lake)


@pytest.fixture
def reduced(made, lake):
    """A copy of it to change, and what its run said."""
    shutil.copytree(made[0].location, lake.location)
    return lake, made[1]


def scores(lake, model):
    """Paths and scores of gold_pca, in the order of paths."""
    rows = sorted((row for row in read_rows(lake, PCA) if row.model == model), key=lambda row: row.path)
    return [row.path for row in rows], np.array([row.pca for row in rows])


def assert_scores(lake, result):
    """gold_pca holds, once per photo, what numpy computes from the features and the Training photos among them."""
    photos = read_features(lake)
    training = matrix(photos, "Training")
    _, components = reference_pca(training)
    paths, values = scores(lake, result["model"])
    assert paths == photos["path"].tolist()
    expected = (matrix(photos) - training.mean(axis=0)) @ components[: result["k"]].T
    np.testing.assert_allclose(values, expected, atol=1e-9 * np.abs(expected).max())


def models(lake):
    return Counter(row.model for row in read_rows(lake, PCA))


@pytest.mark.old
def test_spectrum_and_scores_equal_those_of_numpy_and_of_mllib(lake):
    from pyspark.ml.feature import PCA as MllibPca
    from pyspark.ml.functions import array_to_vector

    write_features(
        lake,
        make_features(70, d=160),
        make_features(10, labels=(None,), seed=1, d=160),
        make_features(20, "Test", seed=2, d=160),
        make_features(3, seed=3, error="unreadable photo"),
    )
    result = reduce(lake, k=12)
    assert (result["k"], result["photos"], result["projected"]) == (12, 100, 100)
    training = matrix(read_features(lake), "Training")
    eigenvalues, components = reference_pca(training)
    spectrum = pd.DataFrame(map(vars, read_rows(lake, SPECTRUM))).sort_values("component", ignore_index=True)
    assert spectrum["component"].tolist() == list(range(1, 80))
    assert set(spectrum["model"]) == {result["model"]}
    assert len(list(Path(lake.location, SPECTRUM.name).rglob("*.parquet"))) == 1  # not one per core
    np.testing.assert_allclose(spectrum["eigenvalue"], eigenvalues, rtol=1e-9)
    shares = eigenvalues / training.var(axis=0, ddof=1).sum()
    np.testing.assert_allclose(spectrum["explained_variance_ratio"], shares, rtol=1e-9)
    np.testing.assert_allclose(spectrum["cumulative_explained_variance_ratio"], shares.cumsum(), rtol=1e-9)
    assert result["explained"] == pytest.approx(shares[:12].sum(), rel=1e-9)
    assert_scores(lake, result)

    vectors = (
        lake.read(SILVER).where("split = 'Training' AND error IS NULL").select(array_to_vector("features").alias("x"))
    )
    mllib = MllibPca(k=12, inputCol="x", outputCol="scores").fit(vectors)
    np.testing.assert_allclose(spectrum["explained_variance_ratio"][:12], mllib.explainedVariance.toArray(), rtol=1e-6)
    theirs = mllib.pc.toArray().T.copy()
    theirs *= np.sign(np.einsum("kd,kd->k", theirs, components[:12]))[:, None]
    fit = fit_features(lake, result["backbone"], gold.count_groups(lake)[result["backbone"]])
    np.testing.assert_allclose(fit.pca.components[:12], theirs, atol=1e-6)


def test_k_is_a_count_or_a_share_of_variance(lake):
    write_features(lake, make_features(30))
    training = matrix(read_features(lake))
    shares = np.cumsum(reference_pca(training)[0]) / training.var(axis=0, ddof=1).sum()
    for share in (0.3, 0.8):
        result = reduce(lake, k=share)
        assert result["k"] == int((shares < share).sum()) + 1
        assert result["model"].endswith(f"-k{result['k']}")
    before = versions(lake.location)
    assert reduce(lake, k=result["k"])["model"] == result["model"]
    assert versions(lake.location) == before
    with pytest.raises(FruitsError, match="k=30 is too large: the largest useful k is 29"):
        reduce(lake, k=30)
    assert versions(lake.location) == before
    assert_scores(lake, reduce(lake, k=29))


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ([], "no features; run `fruits silver` first"),
        ([("Training", 1, {}), ("Test", 5, {})], "at least 2 Training photos"),
        ([("Test", 5, {})], "at least 2 Training photos"),
        ([("Training", 5, {"error": "unreadable photo"})], "at least 2 Training photos"),
        ([("Training", 12, {})], "k=12 is too large: the largest useful k is 11 with 12 photos"),
    ],
)
def test_too_few_photos_are_said_to_be(lake, tables, words):
    if tables:
        write_features(lake, *(make_features(n, split, d=20, **columns) for split, n, columns in tables))
    with pytest.raises(FruitsError, match=words):
        reduce(lake, k=12)
    assert not lake.exists(PCA)


def test_photos_all_alike_have_no_variance(lake):
    photos = make_features(6, d=20)
    features = pa.array([photos["features"][0].as_py()] * 6, photos["features"].type)
    write_features(lake, photos.set_column(photos.schema.get_field_index("features"), "features", features))
    with pytest.raises(FruitsError, match="the 6 photos all have the same features"):
        reduce(lake)


def test_photos_that_join_change_and_leave_test_are_projected_on_the_model_there_is(reduced):
    lake, first = reduced
    old = dict(zip(*map(list, scores(lake, first["model"])), strict=True))
    write_features(lake, make_features(4, "Test", seed=2), make_features(1, "Test", (None,), seed=3))
    changed = make_features(1, "Test", seed=4, path=["Test/Apple/1-0.jpg"])
    lake.merge(as_rows(lake.spark, changed), SILVER, ["path", "backbone"])
    lake.delete(SILVER, "path = 'Test/Fig/1-1.jpg'")
    lake.spark.sql(f"UPDATE {lake._sql_name(SILVER)} SET label = 'Pear' WHERE path = 'Test/Lime/1-2.jpg'").collect()
    before = versions(lake.location)
    again = reduce(lake)
    assert (again["model"], again["projected"], again["photos"]) == (first["model"], 7, 20)
    assert_scores(lake, again)
    paths, values = scores(lake, again["model"])
    same = [path for path in paths if path in old and path not in ("Test/Apple/1-0.jpg", "Test/Lime/1-2.jpg")]
    assert len(same) == 13
    for path in same:
        assert (values[paths.index(path)] == old[path]).all()
    assert [row.label for row in read_rows(lake, PCA) if row.path == "Test/Lime/1-2.jpg"] == ["Pear"]
    assert versions(lake.location)[SPECTRUM.name] == before[SPECTRUM.name]
    before = versions(lake.location)
    assert reduce(lake)["projected"] == 0
    assert versions(lake.location) == before


def test_rows_of_older_models_leave_and_the_champion_s_stay(reduced, tmp_path):
    lake, _ = reduced
    tracked = {"tracking": f"sqlite:///{tmp_path}/mlflow.db"}
    champion = reduce(lake, **tracked)
    store = tracking.open_tracking(settings_of(lake, **tracked))
    assert tracking.promote(store, champion["model"], "first")["pca"] == "1"
    # A photo that left, or has another label now, leaves the champion's rows too.
    write_features(lake, make_features(3, seed=2))
    lake.delete(SILVER, "path = 'Training/Apple/0-0.jpg'")
    lake.spark.sql(f"UPDATE {lake._sql_name(SILVER)} SET label = 'Pear' WHERE path = 'Test/Apple/1-0.jpg'").collect()
    second = reduce(lake, **tracked)
    assert second["model"] != champion["model"]
    assert models(lake) == {champion["model"]: 14, second["model"]: 18}
    third = reduce(lake, **tracked, k=2)
    assert models(lake) == {champion["model"]: 14, third["model"]: 18}
    last = reduce(lake, **tracked)
    assert (last["model"], last["projected"]) == (second["model"], 18)  # its run is there, its rows were not
    assert models(lake) == {champion["model"]: 14, second["model"]: 18}
    assert_scores(lake, last)


def test_without_tracking_only_the_latest_model_stays(reduced):
    lake, first = reduced
    write_features(lake, make_features(3, seed=2))
    version = lake.version(PCA)
    second = reduce(lake)
    assert models(lake) == {second["model"]: 19}
    assert lake.version(PCA) == version + 1  # new rows and old ones in one commit
    # Rows of both, as where a run could not ask MLflow which to keep, and was killed after.
    fig, columns = "path LIKE '%/Fig/%'", lake.read(PCA).columns
    lake.append(lake.read(PCA).where(fig).withColumn("model", F.lit(first["model"])).select(columns), PCA)
    lake.delete(PCA, f"model = '{second['model']}' AND {fig}")
    assert reduce(lake)["projected"] == 6
    assert models(lake) == {second["model"]: 19}
    assert {row.model for row in read_rows(lake, SPECTRUM)} == {first["model"], second["model"]}


def test_a_lake_in_a_folder_mlflow_cannot_use_is_computed_all_the_same(spark, made, tmp_path, capsys):
    lake = Lake(spark, str(tmp_path / "lake%20?"))
    shutil.copytree(made[0].location, lake.location)
    lake.append(as_rows(spark, make_features(2, seed=1)), SILVER)
    result = reduce(lake, tracking="")
    assert [tuple(row) for row in lake.read(PCA).groupBy("model").count().collect()] == [(result["model"], 18)]
    assert "rename the folder" in capsys.readouterr().err


def test_scores_lost_after_a_kill_are_made_again(reduced):
    lake, result = reduced
    lake.delete(PCA, "path LIKE '%/Fig/%'")
    assert reduce(lake)["projected"] == 5
    assert_scores(lake, result)
    shutil.rmtree(Path(lake.location, SPECTRUM.name))
    assert reduce(lake)["projected"] == 0
    assert len(read_rows(lake, SPECTRUM)) == 11
    assert models(lake) == {result["model"]: 16}
