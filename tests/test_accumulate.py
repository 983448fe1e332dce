"""Moments measured in a tree, and refreshed from the rows that came and went."""

import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from features import BACKBONE, as_rows, make_features, matrix, read_features, reference_pca, write_features
from pyspark.sql import functions as F

from fruits import accumulate
from fruits.accumulate import MOMENTS, collect_moments, count_groups, refreshed_moments
from fruits.gold import Fit
from fruits.silver import SILVER
from fruits.stats.pca import fit_pca

OTHER = "other-32"  # a second backbone


@pytest.fixture
def measured(monkeypatch):
    """Names of the rows each pass measured: (path, gone)."""
    passes = []

    def spy(rows, *photos, real=collect_moments):
        passes.append({tuple(row) for row in rows.select("path", "gone").collect()})
        return real(rows, *photos)

    monkeypatch.setattr(accumulate, "collect_moments", spy)
    return passes


def refresh(lake, backbone=BACKBONE):
    with refreshed_moments(lake, backbone, count_groups(lake)[backbone]) as groups:
        return {(g.split, g.labelled): g for g in groups}


def assert_measures(groups, lake, backbone=BACKBONE):
    """Every group is what numpy says of the features in the table now; so is the PCA made of them."""
    rows = read_features(lake, backbone)
    for (split, labelled), group in groups.items():
        photos = rows[(rows["split"] == split) & (rows["label"].notna() == labelled)]
        features = matrix(photos)
        moments, scale = group.moments, np.abs(features).max()
        assert group.photos == moments.n == len(photos)
        np.testing.assert_allclose(moments.mean, features.mean(axis=0), atol=1e-12 * scale)
        centred = features - features.mean(axis=0)
        scatter = centred.T @ centred
        np.testing.assert_allclose(moments.scatter, scatter, rtol=0, atol=1e-12 * len(photos) * scale**2)
        labels = photos["label"].to_numpy()
        assert moments.labels == (tuple(sorted(set(labels))) if labelled else ())
        for label, count, mean in zip(moments.labels, moments.label_counts, moments.label_means, strict=True):
            assert count == (labels == label).sum()
            np.testing.assert_allclose(mean, features[labels == label].mean(axis=0), atol=1e-11 * scale)
    pca = fit_pca(Fit("all", None, list(groups.values())).all_of("Training"))
    eigenvalues, components = reference_pca(matrix(rows, "Training"))
    np.testing.assert_allclose(pca.eigenvalues, eigenvalues, rtol=1e-9)
    np.testing.assert_allclose(pca.components, components, atol=1e-9)


def test_moments_of_many_partitions_are_merged_in_a_tree(spark, monkeypatch):
    rows = pa.concat_tables(
        [
            make_features(90, d=6),
            make_features(40, "Test", d=6, seed=1),
            make_features(30, labels=(None,), d=6, seed=2),
        ]
    )
    frame = as_rows(spark, rows).withColumn("gone", F.coalesce(F.col("label") == "Fig", F.lit(False))).repartition(8)
    received = []

    def count(packed, real=accumulate.unpack_moments):
        received.append(len(packed))
        return real(packed)

    monkeypatch.setattr(accumulate, "unpack_moments", count)
    monkeypatch.setattr(accumulate, "FAN_IN", 2)
    moments = collect_moments(frame)
    groups = {
        ("Training", True, False): ("Training", ("Apple", "Lime")),
        ("Training", True, True): ("Training", ("Fig",)),
        ("Training", False, False): ("Training", (None,)),
        ("Test", True, False): ("Test", ("Apple", "Lime")),
        ("Test", True, True): ("Test", ("Fig",)),
    }
    assert set(moments) == set(groups)
    assert len(received) <= 2 * len(groups)  # the driver got two states of each, whatever the 8 partitions
    for key, (split, labels) in groups.items():
        of = [row for row in rows.to_pylist() if row["split"] == split and row["label"] in labels]
        features = np.array([row["features"] for row in of], dtype=np.float64)
        assert moments[key].n == len(of)
        np.testing.assert_allclose(moments[key].mean, features.mean(axis=0), rtol=1e-12)
        expected = np.cov(features.T) * (len(of) - 1)
        np.testing.assert_allclose(moments[key].scatter, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())
        assert moments[key].labels == (() if labels == (None,) else labels)


def test_a_block_larger_than_the_measured_one_is_cut(spark, monkeypatch):
    monkeypatch.setattr(accumulate, "BLOCK", 16)
    rows = make_features(100, d=4)
    frame = as_rows(spark, rows).withColumn("gone", F.lit(False)).coalesce(1)
    (moments,) = collect_moments(frame).values()
    features = np.array(rows["features"].to_pylist(), dtype=np.float64)
    np.testing.assert_allclose(moments.scatter, np.cov(features.T) * 99, rtol=1e-11, atol=1e-10)
    assert dict(zip(moments.labels, moments.label_counts, strict=True)) == {"Apple": 34, "Fig": 33, "Lime": 33}


@pytest.mark.old
def test_moments_follow_what_came_left_changed_and_moved_without_reading_the_rest(lake, measured):
    """What another backbone made of photos is neither read nor lost."""
    make = partial(make_features, d=160)  # more than photos: no eigenvalue is so small that 1e-9 of it is rounding
    photos = make(40)
    write_features(
        lake,
        photos,
        make(8, "Training", (None,), seed=1),
        make(9, "Test", seed=2),
        make(2, seed=3, error="unreadable photo"),
        make(12, seed=5, backbone=OTHER, path=photos["path"].to_pylist()[:12]),
    )
    assert refresh(lake, OTHER)["Training", True].photos == len(measured.pop()) == 12
    groups = refresh(lake)
    assert_measures(groups, lake)
    assert {key: group.photos for key, group in groups.items()} == {
        ("Test", True): 9,
        ("Training", False): 8,
        ("Training", True): 40,
    }
    assert len(measured.pop()) == 57
    version = lake.version(MOMENTS)
    assert refresh(lake)["Test", True].moments.n == 9
    assert (measured, lake.version(MOMENTS)) == ([], version)

    name = "Training/{}/0-{}.jpg".format
    changed = make(2, seed=10, path=[name("Apple", 0), name("Fig", 1)], labels=("Apple", "Fig"))
    write_features(lake, make(6, seed=11), make(2, "Test", (None,), seed=12), make(3, seed=6, backbone=OTHER))
    lake.merge(as_rows(lake.spark, changed), SILVER, ["path", "backbone"])
    lake.delete(SILVER, f"backbone = '{BACKBONE}' AND path IN ('{name('Lime', 2)}', 'Test/Apple/2-0.jpg')")
    sql, table = lake.spark.sql, lake._sql_name(SILVER)
    lime, apple = name("Lime", 5), name("Apple", 6)
    sql(
        f"UPDATE {table} SET label = CASE path WHEN '{lime}' THEN NULL WHEN '{apple}' THEN label ELSE 'Pear' END,"
        f" split = IF(path = '{lime}', 'Test', split), error = IF(path = '{apple}', 'unreadable', error),"
        f" features = IF(path = '{apple}', NULL, features)"
        f" WHERE backbone = '{BACKBONE}' AND path IN ('{name('Apple', 3)}', '{name('Fig', 4)}', '{lime}', '{apple}')"
    ).collect()
    groups = refresh(lake)
    assert_measures(groups, lake)
    assert groups["Training", True].photos == 40 + 6 - 3
    assert "Pear" in groups["Training", True].moments.labels
    updated = {name("Apple", 0), name("Fig", 1), name("Apple", 3), name("Fig", 4), name("Lime", 5)}
    paths = read_features(lake)["path"]
    came = set(paths[paths.str.contains(r"/1[12]-")])
    left = {name("Lime", 2), "Test/Apple/2-0.jpg", name("Apple", 6)}
    (seen,) = measured
    assert seen == {(path, False) for path in updated | came} | {(path, True) for path in updated | left}

    # A label that leaves altogether, and a group that does.
    lake.delete(SILVER, "label = 'Pear' OR (split = 'Training' AND label IS NULL)")
    groups = refresh(lake)
    assert_measures(groups, lake)
    assert "Pear" not in groups["Training", True].moments.labels
    assert ("Training", False) not in groups
    assert len(measured[1]) == 10

    assert_measures(refresh(lake, OTHER), lake, OTHER)
    version = lake.version(MOMENTS)
    assert replace(refresh(lake)["Test", True], moments=None) == replace(groups["Test", True], moments=None)
    assert (lake.version(MOMENTS), [len(seen) for seen in measured[2:]]) == (version, [3])


def test_a_feed_that_is_of_another_table_or_was_vacuumed_is_replaced_by_a_full_pass(lake, tmp_path, measured, capsys):
    write_features(lake, make_features(20))
    refresh(lake)
    shutil.rmtree(tmp_path / "lake" / SILVER.name)
    # As many photos as were measured at version 0, others; then one more, which the feed would offer.
    write_features(lake, make_features(20, seed=1))
    write_features(lake, make_features(1, seed=2))
    assert_measures(refresh(lake), lake)
    assert "that of another table" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "lake" / SILVER.name)
    write_features(lake, make_features(20, seed=3))
    assert_measures(refresh(lake), lake)
    capsys.readouterr()

    write_features(lake, make_features(5, seed=4))
    lake.delete(SILVER, "path LIKE '%/3-7.jpg'")
    lake.erase_history(SILVER)
    groups = refresh(lake)
    assert groups["Training", True].photos == 24
    assert_measures(groups, lake)
    assert "reading all features" in capsys.readouterr().err
    assert [len(seen) for seen in measured] == [20, 21, 20, 24]
