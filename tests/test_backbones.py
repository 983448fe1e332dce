"""Networks of one lake side by side: as each would be compared alone, and without a trace in the lake."""

import math

import numpy as np
import pytest
from conftest import TINY, photo_set, read_rows, versions
from features import make_features, matrix, read_features, reference_pca, settings_of, write_features

from fruits.accumulate import count_groups, refreshed_moments
from fruits.backbones import compare_backbones, measure_speed
from fruits.compare import COMPARISON
from fruits.errors import FruitsError
from fruits.vision.backbone import input_size_of


def reference(lake, backbone: str, ks: list[int]) -> list[tuple[float, float]]:
    """For each k the share of variance, and how often the nearest centroid is right on Test, by numpy alone."""
    rows = read_features(lake, backbone)
    eigenvalues, components = reference_pca(matrix(rows, "Training"))
    labels, truth = (rows.loc[rows["split"] == split, "label"].to_numpy() for split in ("Training", "Test"))
    known, scores = (matrix(rows, split) @ components.T for split in ("Training", "Test"))
    names = np.unique(labels)
    centroids = np.array([known[labels == name].mean(axis=0) for name in names])
    found = []
    for k in ks:
        nearest = names[np.linalg.norm(scores[:, None, :k] - centroids[:, :k], axis=2).argmin(axis=1)]
        found.append((eigenvalues[:k].sum() / eigenvalues.sum(), (nearest == truth).mean()))
    return found


def test_each_network_is_measured_by_its_own_features_and_nothing_is_written(lake):
    """The moments of one are kept; those of another are of fewer photos than there are now; of the third are none."""
    names = ("kept-32", "stale-32", "never-32")
    write_features(
        lake,
        *(make_features(30, seed=seed, d=12, backbone=name) for seed, name in enumerate(names[:2])),
        make_features(20, "Test", seed=5, d=12, backbone=names[0]),
    )
    for name in names[:2]:
        with refreshed_moments(lake, name, count_groups(lake)[name]):
            pass
    write_features(
        lake,
        make_features(9, seed=6, d=12, backbone=names[1]),
        *(make_features(21, "Test", seed=7, d=12, backbone=name) for name in names[1:]),
        make_features(25, seed=8, d=12, backbone=names[2]),
    )
    before = versions(lake.location)
    table = compare_backbones(lake.spark, settings_of(lake, k_values=(8, 2, 99)))
    assert versions(lake.location) == before
    assert table[["backbone", "photos", "k"]].drop_duplicates().to_numpy().tolist() == [
        [name, photos, k] for name, photos in sorted(zip(names, (50, 60, 46), strict=True)) for k in (2, 8)
    ]
    assert table["photos_per_second"].isna().all()  # nobody has these networks
    for name, rows in table.groupby("backbone"):
        measured = rows[["cumulative_explained_variance", "centroid_accuracy_test"]]
        np.testing.assert_allclose(measured, reference(lake, name, [2, 8]), rtol=1e-9)


def test_one_network_is_what_its_comparison_says_with_its_speed_and_how_to_get_another(spark, first_run, capsys):
    here, _ = first_run
    table = compare_backbones(spark, here.settings)
    rows = sorted((row for row in read_rows(here.lake, COMPARISON) if row.k != 3), key=lambda row: row.k)
    assert len(table) == len(rows) == 2
    for row, kept in zip(table.to_dict("records"), rows, strict=True):
        for name in ("k", "cumulative_explained_variance", "accuracy_train", "accuracy_test"):
            assert row[name] == pytest.approx(getattr(kept, name), abs=1e-9)
    assert 1 < table["photos_per_second"].iloc[0] < math.inf
    assert "there is only this one" in capsys.readouterr().err


def test_of_few_photos_all_components_are_compared_and_no_features_are_an_error(lake):
    with pytest.raises(FruitsError, match="has no features; run `fruits silver` first"):
        compare_backbones(lake.spark, settings_of(lake))
    write_features(lake, make_features(2, d=12), make_features(1, "Test", d=12))
    table = compare_backbones(lake.spark, settings_of(lake))
    assert table["k"].tolist() == [1]
    assert table["cumulative_explained_variance"].tolist() == [1.0]


def test_a_network_is_timed_on_the_photos_that_read():
    contents = list(photo_set(labels=1, training=3).values())
    assert input_size_of(TINY.read_bytes()) == 32
    assert 1 < measure_speed(TINY.read_bytes(), [b"no photo", *contents]) < math.inf
    assert math.isnan(measure_speed(TINY.read_bytes(), [b"no photo"]))
