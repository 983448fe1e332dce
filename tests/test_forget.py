"""The right to erasure: after `fruits forget` neither a table nor a file holds anything of the photo."""

import hashlib

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import features_of, read_rows
from photos import jpeg

from fruits.accumulate import MOMENTS
from fruits.bronze import BRONZE, ingest_photos
from fruits.errors import FruitsError
from fruits.forget import TABLES, forget_photos
from fruits.gold import PCA, reduce_features
from fruits.platform.tables import Lake
from fruits.settings import Settings
from fruits.silver import SILVER, featurise_photos

GONE = "Training/Fruit 1/0.jpg"
COPIED = "Training/Fruit 2/0.jpg"


@pytest.fixture(scope="module")
def grown(spark, first_run, tmp_path_factory):
    """A lake with a history: the photo to forget is in files of several versions, the change feed's among them."""
    here = first_run[0].copy(tmp_path_factory.mktemp("grown"))
    here.write("Training/Fruit 0/9.jpg", jpeg(seed=77))
    here.write("Training/Fruit 1/3.jpg", jpeg(seed=78))
    here.write("Test/Fruit 0/copy.jpg", (here.images / COPIED).read_bytes())
    for step in (ingest_photos, featurise_photos, reduce_features):
        step(spark, here.settings)
    return here


@pytest.fixture
def filled(grown, tmp_path):
    return grown.copy(tmp_path)


@pytest.fixture
def rows_only(monkeypatch):
    """Leave the files of older versions, which take most of the time, where only the rows are looked at."""
    monkeypatch.setattr(Lake, "erase_history", lambda *_: None)


def traces(lake, content, scores):
    """Files under the lake that hold the photo's bytes, its features or its scores, as bytes or as Parquet values."""
    features = features_of(content)
    found = {}
    for file in (file for file in lake.rglob("*") if file.is_file()):
        raw = file.read_bytes()
        what = {
            name
            for name, part in {
                "content": content[-90:-10],  # not its head, which all JPEGs share
                "features": features.tobytes()[:200],
                "scores": scores.tobytes(),
            }.items()
            if part in raw
        }
        if file.suffix == ".parquet" and "_delta_log" not in file.parts:
            # The path of a file may hold `a=b`, which is no partition here.
            for row in pq.ParquetFile(file).read().to_pylist():
                what |= {"content"} if row.get("content") == content else set()
                what |= {"features"} if row.get("features") and np.array_equal(row["features"], features) else set()
                what |= {"scores"} if row.get("pca") and np.array_equal(row["pca"], scores) else set()
                what |= {"path"} if row.get("path") == GONE else set()
        for name in what:
            found.setdefault(name, []).append(str(file.relative_to(lake)))
    return found


def rows_of(lake, table):
    return {str(row) for row in read_rows(lake, table) if row.path != GONE}


def forget_until(spark, settings, merges, files=True):
    """Begin to forget, and stop as a killed process does: after some tables, or before the files of older versions."""
    done = []

    def merge(self, *args, real=Lake.merge, **options):
        if len(done) == merges:
            raise KeyboardInterrupt
        done.append(args)
        return real(self, *args, **options)

    def erase(*_):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Lake, "merge", merge)
        if not files:
            patch.setattr(Lake, "erase_history", erase)
        forget_photos(spark, settings, [GONE])
    assert len(done) == merges


def has_rows(lake):
    return [any(row.path == GONE for row in read_rows(lake, table)) for table in TABLES]


def test_nothing_of_a_forgotten_photo_is_left_in_any_file_wherever_attempts_before_stopped(spark, filled):
    here, lake = filled, Lake(spark, filled.settings.lake)
    content = (here.images / GONE).read_bytes()
    (scores,) = (np.array(row.pca) for row in read_rows(lake, PCA) if row.path == GONE)
    others = {table: rows_of(lake, table) for table in TABLES}
    before = traces(here.lake, content, scores)
    assert set(before) == {"content", "features", "scores", "path"}
    assert len(read_rows(lake, MOMENTS)) == 2
    (here.images / GONE).unlink()

    forget_until(spark, here.settings, merges=0)
    assert has_rows(lake) == [True] * 3
    assert read_rows(lake, MOMENTS) == []  # first, for they hold sums the photo is part of
    forget_until(spark, here.settings, merges=3, files=False)
    assert has_rows(lake) == [False] * 3
    assert set(traces(here.lake, content, scores)) == {"content", "features", "scores", "path"}
    result = forget_photos(spark, here.settings, [GONE])
    assert result == {"erased": {BRONZE.name: 0, SILVER.name: 0, PCA.name: 0}, "not_found": [GONE]}
    assert traces(here.lake, content, scores) == {}
    assert {table: rows_of(lake, table) for table in TABLES} == others
    assert read_rows(lake, MOMENTS) == []
    assert not list((here.lake / MOMENTS.name).rglob("*.parquet"))  # test_growth.py fits anew after that


@pytest.mark.usefixtures("rows_only")
def test_a_path_no_table_has_is_named_and_costs_no_moments(spark, filled):
    lake = Lake(spark, filled.settings.lake)
    moments = read_rows(lake, MOMENTS)
    odd = "Training/it's \\ 100 %/é.jpg"
    result = forget_photos(spark, filled.settings, [odd])
    assert result["not_found"] == [odd]
    assert set(result["erased"].values()) == {0}
    assert read_rows(lake, MOMENTS) == moments != []
    assert len(read_rows(lake, BRONZE)) == 26


@pytest.mark.usefixtures("rows_only")
def test_one_of_two_copies_is_forgotten_and_a_forget_stopped_among_the_tables_is_finished(spark, filled):
    lake = Lake(spark, filled.settings.lake)
    forget_until(spark, filled.settings, merges=1)
    assert has_rows(lake) == [False, True, True]
    digest = hashlib.sha256((filled.images / COPIED).read_bytes()).hexdigest()
    result = forget_photos(spark, filled.settings, [COPIED, GONE, "Training/nowhere.jpg", COPIED])
    assert result == {
        "erased": {BRONZE.name: 1, SILVER.name: 2, PCA.name: 2},
        "not_found": ["Training/nowhere.jpg"],
    }
    assert has_rows(lake) == [False] * 3
    assert [row.path for row in read_rows(lake, BRONZE) if row.sha256 == digest] == ["Test/Fruit 0/copy.jpg"]
    assert len(read_rows(lake, PCA)) == 24


def test_a_lake_without_photos_has_nothing_to_forget(spark, tmp_path):
    with pytest.raises(FruitsError, match="has no bronze_images, so there is nothing to forget"):
        forget_photos(spark, Settings(lake=str(tmp_path / "empty")), [GONE])
    assert not (tmp_path / "empty").exists()
