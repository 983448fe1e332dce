"""bronze_images to silver_features: the network sees a content once, and every photo keeps a row."""

import hashlib
import sys
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from conftest import TINY, features_of, read_rows, stopped_after_one_commit
from photos import jpeg

from fruits import silver
from fruits.bronze import ingest_photos
from fruits.errors import FruitsError
from fruits.platform.tables import Lake
from fruits.settings import Settings
from fruits.silver import ARROW, ROWS_PER_BATCH, SILVER, featurise_photos, read_network
from fruits.vision.backbone import extract_features, identify_backbone
from fruits.vision.weights import read_weights


@pytest.fixture
def passes(monkeypatch, tmp_path):
    """Count the forward passes in the workers, by a line in a file for each."""
    log = tmp_path / "passes"
    log.touch()

    # The package travels to the workers by value, and what stands in for one of its functions with it.
    def extract_and_count(network, pixels):
        with open(log, "a") as file:  # noqa: PTH123
            file.write("pass\n")
        return extract_features(network, pixels)

    monkeypatch.setattr(silver, "extract_features", extract_and_count)
    return lambda: len(log.read_text().splitlines())


@pytest.fixture
def other_network(tmp_path):
    """A network of other bytes that computes the same."""
    file = tmp_path / "other.tflite"
    file.write_bytes(TINY.read_bytes() + b"other")
    return str(file)


def run(spark, settings):
    ingest_photos(spark, settings)
    return featurise_photos(spark, settings)


def rows_of(here):
    rows = read_rows(here.lake, SILVER)
    assert len({(row.path, row.backbone) for row in rows}) == len(rows)
    return {(row.path, row.backbone): row for row in rows}


def photo(number):
    return jpeg(color=(40 * number, 90, 250 - 40 * number), size=(32, 32), seed=number)


def test_one_photo_is_one_forward_pass_whatever_happens_to_it(spark, place, passes):
    here = place({f"Training/Apple/{n}.jpg": photo(n) for n in range(3)}, sync="mirror")
    here.write("Pear/copy of 0.jpg", photo(0))
    first = run(spark, here.settings)
    assert (first["computed"], first["reused"], first["total"], passes()) == (3, 1, 4, 3)

    (here.images / "Training/Apple/1.jpg").rename(here.images / "Training/Apple/renamed.jpg")
    (here.images / "Test/Plum").mkdir(parents=True)
    (here.images / "Training/Apple/2.jpg").rename(here.images / "Test/Plum/2.jpg")
    here.write("another copy of 0.jpg", photo(0))
    moved = run(spark, replace(here.settings, k=5))
    assert (moved["computed"], moved["total"], passes()) == (0, 5, 3)
    rows = rows_of(here)
    assert {
        path: (row.label, hashlib.sha256(photo(0)).hexdigest() == row.sha256) for (path, _), row in rows.items()
    } == {
        "Training/Apple/0.jpg": ("Apple", True),
        "Training/Apple/renamed.jpg": ("Apple", False),
        "Test/Plum/2.jpg": ("Plum", False),
        "Pear/copy of 0.jpg": ("Pear", True),
        "another copy of 0.jpg": (None, True),
    }
    for (path, _), row in rows.items():
        np.testing.assert_allclose(row.features, features_of((here.images / path).read_bytes()), rtol=1e-6)
    assert rows["Test/Plum/2.jpg", first["backbone"]].split == "Test"


def test_gold_finds_the_network_on_a_machine_that_never_ran_it(tmp_path, monkeypatch):
    """As on serverless compute, where each task of a job may have a machine of its own."""
    monkeypatch.setenv("FRUITS_CACHE", str(tmp_path))
    monkeypatch.setattr("fruits.vision.backbone.find_imagenet", lambda _: pytest.fail("a download"))
    lake = SimpleNamespace(spark=None)
    for weights in (str(TINY), "fruits"):
        settings = Settings(weights=weights)
        backbone = identify_backbone(settings)
        assert read_network(lake, settings, "another") is None
        assert read_network(lake, settings, backbone.id) == read_weights(backbone.weights)
    assert read_network(lake, Settings(weights="imagenet"), "another") is None


@pytest.mark.old
def test_two_backbones_follow_changed_and_removed_photos_side_by_side(spark, place, passes, other_network):
    here = place({f"Training/Apple/{n}.jpg": photo(n) for n in range(3)}, sync="mirror")
    first = run(spark, here.settings)
    other = featurise_photos(spark, replace(here.settings, weights=other_network))
    assert (other["computed"], other["total"], passes()) == (3, 3, 6)
    assert first["backbone"] != other["backbone"]
    here.write("Training/Apple/1.jpg", photo(5))
    (here.images / "Training/Apple/2.jpg").unlink()
    assert run(spark, here.settings)["removed"] == 4  # both photos, of both backbones
    rows = rows_of(here)
    assert Counter(backbone for _, backbone in rows) == {first["backbone"]: 2, other["backbone"]: 1}
    np.testing.assert_allclose(
        rows["Training/Apple/1.jpg", first["backbone"]].features, features_of(photo(5)), rtol=1e-6
    )
    assert featurise_photos(spark, replace(here.settings, weights=other_network))["computed"] == 1
    assert passes() == 8


@pytest.mark.old
def test_chunks_are_commits_a_stopped_run_continues_and_nothing_new_asks_for_nothing(spark, place, passes, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # its import fails
    contents = {f"Training/It's é/{n}.jpg": b"no photo %d" % n if n in (1, 5) else photo(n) for n in range(6)}
    here = place(contents, chunk="4")
    ingest_photos(spark, here.settings)
    with stopped_after_one_commit(SILVER):
        featurise_photos(spark, here.settings)
    assert (len(rows_of(here)), passes()) == (4, 3)
    rest = featurise_photos(spark, here.settings)
    assert (rest["computed"], rest["total"], rest["errors"]) == (2, 6, 2)
    assert (len(rows_of(here)), passes()) == (6, 4)
    version = Lake(spark, str(here.lake)).version(SILVER)

    def refuse(*_):
        raise AssertionError("the network or a photo was asked for")

    monkeypatch.setattr(silver, "load_network", refuse)
    monkeypatch.setattr(silver, "compute_features", refuse)  # the one reader of bronze's content
    assert run(spark, here.settings) == rest | {"computed": 0, "reused": 0}
    assert Lake(spark, str(here.lake)).version(SILVER) == version


def test_a_worker_gives_few_rows_at_a_time_whatever_came_in():
    photos = pa.RecordBatch.from_pydict(
        {
            "path": [f"{n}.jpg" for n in range(600)],
            "sha256": [str(n) for n in range(600)],
            "label": pa.nulls(600, pa.string()),
            "split": ["Test"] * 600,
            "content": [photo(0), *[b""] * 599],
        }
    )
    batches = list(silver.make_featuriser("b", TINY.read_bytes(), 32)([photos]))
    assert [batch.num_rows for batch in batches] == [ROWS_PER_BATCH, ROWS_PER_BATCH, 600 - 2 * ROWS_PER_BATCH]
    rows = pa.Table.from_batches(batches, ARROW).to_pylist()
    assert [row["path"] for row in rows] == [f"{n}.jpg" for n in range(600)]
    np.testing.assert_array_equal(np.float32(rows[0].pop("features")), features_of(photo(0)))
    assert rows[0] == {"path": "0.jpg", "backbone": "b", "sha256": "0", "label": None, "split": "Test", "error": None}
    assert all(row["features"] is None and row["error"] == "empty file" for row in rows[1:])


def test_a_lake_without_bronze_is_an_error(spark, place):
    here = place()
    with pytest.raises(FruitsError, match="has no bronze_images; run `fruits bronze` first"):
        featurise_photos(spark, here.settings)
    assert not here.lake.exists()
