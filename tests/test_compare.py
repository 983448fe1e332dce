"""Every k against a direct computation, the recommendation, and what MLflow and the table keep of it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import read_rows, versions
from features import make_features, matrix, read_features, reference_pca, settings_of, write_features

from fruits import compare, gold
from fruits.accumulate import count_groups
from fruits.compare import COMPARISON, compare_components, recommend_k, score_components
from fruits.errors import FruitsError
from fruits.gold import PCA, SPECTRUM, fit_features, reduce_features
from fruits.platform import tracking
from fruits.stats.discriminant import RIDGE

KS = (1, 3, 8, 20)
SPLITS = ("Training", "Test")


def fit_and_compare(lake, **changes):
    settings = settings_of(lake, **({"k_values": KS} | changes))
    reduce_features(lake.spark, settings)
    return compare_components(lake.spark, settings)


def rows_of(lake):
    """The rows of gold_comparison, in the order of k."""
    return sorted(map(vars, read_rows(lake, COMPARISON)), key=lambda row: row["k"])


def discriminate(training, labels, variances, others, k):
    """Textbook linear discriminant with a ridge, in the first k columns: a pooled covariance, a solve per label."""
    names = sorted(set(labels))
    means = np.array([training[labels == name, :k].mean(axis=0) for name in names])
    centred = training[:, :k] - means[[names.index(label) for label in labels]]
    covariance = centred.T @ centred / (len(labels) - len(names)) + RIDGE * variances.mean() * np.eye(k)
    slopes = np.linalg.solve(covariance, means.T)
    priors = np.log([(labels == name).mean() for name in names])
    return np.array(names)[(others[:, :k] @ slopes - 0.5 * np.sum(means.T * slopes, axis=0) + priors).argmax(axis=1)]


def test_every_k_scores_what_a_direct_computation_gives(lake, monkeypatch):
    from sklearn.neighbors import NearestCentroid

    d = 30
    write_features(
        lake,
        make_features(50, labels=("Apple", "Apple", "Fig", "Lime"), d=d),
        make_features(9, labels=(None,), seed=1, d=d),
        make_features(60, "Test", seed=2, d=d),
        make_features(6, "Test", ("Quince",), seed=3, d=d),  # a label no Training photo has: always wrong
        make_features(5, "Test", (None,), seed=4, d=d),
        make_features(4, "Test", seed=5, d=d, error="unreadable photo"),
    )
    fits = []
    monkeypatch.setattr(gold, "fit_pca", lambda moments, real=gold.fit_pca: fits.append(moments.n) or real(moments))
    rows = fit_and_compare(lake)["rows"]
    assert fits == [59]  # once for both steps
    assert [row["k"] for row in rows] == [1, 3, 8, 20]
    photos = read_features(lake)
    training, test = matrix(photos, "Training"), matrix(photos, "Test")
    mean = training.mean(axis=0)
    eigenvalues, components = reference_pca(training)
    named = photos[photos["label"].notna()]
    train, others = matrix(named, "Training"), matrix(named, "Test")
    train_labels, other_labels = (named.loc[named["split"] == split, "label"].to_numpy() for split in SPLITS)
    within = train - np.array([train[train_labels == label].mean(axis=0) for label in train_labels])
    variances = np.sum(within**2, axis=0) / (len(train) - 3)
    train, others = (train - mean) @ components.T, (others - mean) @ components.T
    for row in rows:
        k = row["k"]
        assert row["cumulative_explained_variance"] == pytest.approx(
            eigenvalues[:k].sum() / eigenvalues.sum(), rel=1e-9
        )
        rebuilt = (test - mean) @ components[:k].T @ components[:k] + mean
        lost = np.sum((test - rebuilt) ** 2) / np.sum((test - mean) ** 2)
        assert row["reconstruction_error_test"] == pytest.approx(lost, rel=1e-9)
        nearest = NearestCentroid().fit(train[:, :k], train_labels).predict(others[:, :k])
        assert row["centroid_accuracy_test"] == pytest.approx(np.mean(nearest == other_labels), abs=1e-12)
        for split, points, truth in (("train", train, train_labels), ("test", others, other_labels)):
            guesses = discriminate(train, train_labels, variances, points, k)
            assert row[f"accuracy_{split}"] == pytest.approx(np.mean(guesses == truth), abs=1e-12)
        assert row["bytes_per_photo"] == 8 * k
        assert row["accuracy_test"] <= 60 / 66
    assert len({row["accuracy_test"] for row in rows}) > 1


@pytest.mark.parametrize(
    ("accuracies", "recommended"),
    [
        ({8: 0.90, 16: 0.95, 32: 0.959, 64: 0.96}, 16),  # 0.95 is one point below the best, rounding or not
        ({8: 0.949, 16: 0.9501, 32: 0.96}, 16),
        ({8: 0.96, 16: 0.90, 32: 0.90}, 8),
        ({8: 0.5, 16: None}, 8),
        ({8: None, 16: None}, None),
        ({}, None),
    ],
)
def test_the_smallest_k_within_a_point_of_the_best_is_recommended(accuracies, recommended):
    assert recommend_k([{"k": k, "accuracy_test": value} for k, value in accuracies.items()]) == recommended


def test_a_comparison_is_kept_and_repeated_only_for_what_changed(lake, capsys):
    write_features(lake, make_features(16, d=12))
    untested = fit_and_compare(lake, k_values=(2,))
    assert untested["recommended_k"] is None
    assert_measured(untested["rows"], {"accuracy_train"})
    assert_measured(rows_of(lake), {"accuracy_train"})
    write_features(lake, make_features(9, "Test", d=12))
    first = fit_and_compare(lake, k_values=(1, 2, 13, 99))
    assert [row["k"] for row in first["rows"]] == [1, 2, 3]  # the k of the model is always among them
    assert "there are 12 components, so k=13, 99 is left out" in capsys.readouterr().err
    assert first["model"] == untested["model"]
    table = pd.DataFrame(rows_of(lake))
    assert table["model"].tolist() == [first["model"]] * 3
    assert table["recommended"].tolist() == [row["k"] == first["recommended_k"] for row in first["rows"]]
    assert table["accuracy_test"].tolist() == [row["accuracy_test"] for row in first["rows"]]
    before = versions(lake.location)
    assert fit_and_compare(lake, k_values=(1, 2, 13, 99)) == first
    assert versions(lake.location) == before
    more = fit_and_compare(lake, k_values=(1, 2, 5))
    assert [row["k"] for row in more["rows"]] == [1, 2, 3, 5]
    assert len(rows_of(lake)) == 4
    write_features(lake, make_features(6, "Test", ("Quince",), seed=1, d=12))
    again = fit_and_compare(lake, k_values=(1, 2, 5))
    assert again["model"] == first["model"]
    assert again["rows"][0]["accuracy_test"] == pytest.approx(more["rows"][0]["accuracy_test"] * 9 / 15)
    assert len(rows_of(lake)) == 4


MEASURES = {"accuracy_train", "accuracy_test", "centroid_accuracy_test", "reconstruction_error_test"}
# What there is -> which measures it allows; a recommendation needs accuracy_test.
PARTS = {
    "no Test": ([("Training", ("Apple", "Fig"))], {"accuracy_train"}),
    "one label": ([("Training", ("Apple",)), ("Test", ("Apple",))], MEASURES),
    "no label": ([("Training", (None,)), ("Test", (None,))], {"reconstruction_error_test"}),
    "labels in Test only": ([("Training", (None,)), ("Test", ("Apple",))], {"reconstruction_error_test"}),
    "labels in Training only": (
        [("Training", ("Apple", "Fig")), ("Test", (None,))],
        {"accuracy_train", "reconstruction_error_test"},
    ),
}


def assert_measured(rows, measured):
    for row in rows:
        assert {name for name in MEASURES if row[name] is not None} == measured
        if measured == MEASURES:
            assert row["accuracy_train"] == row["accuracy_test"] == row["centroid_accuracy_test"] == 1.0
    assert [row["recommended"] for row in rows] == ["accuracy_test" in measured, False]


def test_what_cannot_be_measured_is_none(lake):
    """Every case is a backbone of one table, since a table costs more than a case."""
    made = [
        make_features(8, split, labels, d=12, backbone=f"{case}-32")
        for case, (tables, _) in PARTS.items()
        for split, labels in tables
    ]
    write_features(lake, *made)
    groups = count_groups(lake)
    for case, (_, measured) in PARTS.items():
        backbone = f"{case}-32"
        rows = score_components(lake, backbone, fit_features(lake, backbone, groups[backbone]), [2, 3])
        assert_measured(rows, measured)


def test_without_a_fit_the_step_to_run_is_named_and_without_labels_no_k_is_recommended(lake):
    write_features(lake, make_features(8, labels=(None,), d=12), make_features(8, "Test", (None,), d=12))
    with pytest.raises(FruitsError, match=r"has no PCA .*; run `fruits gold` with the same settings first"):
        compare_components(lake.spark, settings_of(lake))
    reduce_features(lake.spark, settings_of(lake))
    with pytest.raises(FruitsError, match="-k4; run `fruits gold`"):
        compare_components(lake.spark, settings_of(lake, k=4))
    assert not lake.exists(COMPARISON)
    result = compare_components(lake.spark, settings_of(lake, k_values=(2,)))
    assert result["recommended_k"] is None
    assert_measured(result["rows"], {"reconstruction_error_test"})
    assert_measured(rows_of(lake), {"reconstruction_error_test"})


def test_every_k_has_a_run_in_mlflow_and_the_promoted_fit_the_alias(lake, tmp_path, capsys, monkeypatch):
    tracked = {"tracking": f"sqlite:///{tmp_path}/mlflow.db", "k_values": (1, 2)}
    store = tracking.open_tracking(settings_of(lake, **tracked))

    def runs(model):
        parent = tracking.find_run(store, model)
        found = store.client.search_runs([store.experiment_id], f"tags.`mlflow.parentRunId` = '{parent}'")
        return {run.data.params["k"]: (run.info.status, run.data) for run in found}, len(found)

    write_features(lake, make_features(12), make_features(6, "Test"))
    first = fit_and_compare(lake, **tracked, promote="never")
    assert (first["promoted"], tracking.champion_model(store)) == (None, None)
    assert fit_and_compare(lake, **tracked, promote="always") == first | {"promoted": {"pca": "1"}}
    assert tracking.champion_model(store) == first["model"]
    nested, count = runs(first["model"])
    assert (set(nested), count) == ({"1", "2", "3"}, 3)
    for row in first["rows"]:
        status, data = nested[str(row["k"])]
        assert status == "FINISHED"
        for name in set(row) - {"recommended"}:
            assert data.metrics[name] == row[name]
        assert (data.tags.get("recommended") == "true") == row["recommended"]
    parent = store.client.get_run(tracking.find_run(store, first["model"]))
    assert parent.data.tags["recommended_k"] == str(first["recommended_k"])
    at_k = next(row for row in first["rows"] if row["k"] == 3)
    assert parent.data.metrics["calibration_photos"] == 6
    assert parent.data.metrics["calibration_accuracy"] == at_k["accuracy_test"]

    before = versions(lake.location)
    with monkeypatch.context() as patch:
        patch.setattr(tracking, "open_tracking", lambda *_: pytest.fail("MLflow was opened"))
        assert fit_and_compare(lake, **tracked) == first
    assert (versions(lake.location), runs(first["model"])[1]) == (before, 3)

    write_features(lake, make_features(2, seed=2))
    second = fit_and_compare(lake, **tracked)
    assert (second["promoted"], tracking.champion_model(store)) == (None, first["model"])
    assert {row.model for row in read_rows(lake, PCA)} == {first["model"], second["model"]}
    assert fit_and_compare(lake, **tracked, promote="always")["promoted"] == {"pca": "2"}
    assert tracking.champion_model(store) == second["model"]
    assert {row.model for row in read_rows(lake, PCA)} == {second["model"]}
    before = versions(lake.location)
    assert fit_and_compare(lake, **tracked, promote="always")["promoted"] is None
    assert versions(lake.location) == before


def test_a_fit_and_its_comparison_are_recorded_once_tracking_is_back_and_not_computed_again(
    lake, tmp_path, capsys, monkeypatch
):
    write_features(lake, make_features(10, d=12), make_features(6, "Test", d=12))
    away = settings_of(lake, k_values=KS, tracking="http://127.0.0.1:9")
    back = replace(away, tracking=f"sqlite:///{tmp_path}/mlflow.db")
    fit = reduce_features(lake.spark, away)
    assert (fit["projected"], fit["run_id"]) == (16, None)
    assert "tracking: off" in capsys.readouterr().err
    first = compare_components(lake.spark, away)
    before = versions(lake.location)
    assert reduce_features(lake.spark, away) == fit | {"projected": 0}
    assert compare_components(lake.spark, away) == first
    with monkeypatch.context() as patch:
        patch.setattr(tracking, "log_fit", tracking.tolerate("logging the fit")(lambda *_: 1 / 0))
        assert reduce_features(lake.spark, back)["run_id"] is None
    assert versions(lake.location) == before

    monkeypatch.setattr(compare, "score_components", lambda *_: pytest.fail("scored again"))
    parent = reduce_features(lake.spark, back)["run_id"]
    assert {row.run_id for row in read_rows(lake, SPECTRUM)} == {parent} != {None}
    assert versions(lake.location) == before | {SPECTRUM.name: before[SPECTRUM.name] + 1}
    store = tracking.open_tracking(back)
    run = store.client.get_run(parent)
    assert (run.info.status, run.data.params["photos_training"], run.data.params["k"]) == ("FINISHED", "10", "3")
    assert run.data.metrics["cumulative_explained_variance_at_k"] == pytest.approx(fit["explained"], rel=1e-12)
    before = versions(lake.location)
    assert compare_components(lake.spark, away)["rows"] == first["rows"]
    with monkeypatch.context() as patch:  # with nothing new, gold does not even open MLflow
        patch.setattr(tracking, "open_tracking", lambda *_: pytest.fail("MLflow was opened"))
        assert reduce_features(lake.spark, back)["run_id"] == parent
    assert versions(lake.location) == before
    again = compare_components(lake.spark, back)
    assert (again["rows"], again["promoted"]) == (first["rows"], {"pca": "1"})
    assert {row["run_id"] for row in rows_of(lake)} == {parent}
    below = store.client.search_runs([store.experiment_id], f"tags.`mlflow.parentRunId` = '{parent}'")
    assert sorted(int(run.data.params["k"]) for run in below) == [row["k"] for row in first["rows"]]
