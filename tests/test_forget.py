"""The right to erasure: after `fruits forget` neither a table nor a file holds anything of the photo."""

import hashlib
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import TINY, photo_set
from features import reference_pca
from photos import jpeg

from fruits.accumulate import MOMENTS
from fruits.bronze import BRONZE, ingest_photos
from fruits.errors import FruitsError
from fruits.forget import TABLES, forget_photos
from fruits.gold import PCA, SPECTRUM, reduce_features
from fruits.platform.tables import Lake
from fruits.silver import SILVER, featurise_photos
from fruits.vision.backbone import extract_features
from fruits.vision.decode import decode_photo

GONE = "Training/Fruit 1/0.jpg"


def fill(spark, settings):
    return [step(spark, settings) for step in (ingest_photos, featurise_photos, reduce_features)][-1]


@pytest.fixture
def filled(spark, place):
    """A lake with a history: the photo to forget is in files of several versions, the change feed's among them."""
    here = place(photo_set(labels=2, training=4, test=2))
    fill(spark, here.settings)
    here.write("Training/Fruit 0/9.jpg", jpeg(seed=77))
    here.write("Training/Fruit 1/3.jpg", jpeg(seed=78))
    fill(spark, here.settings)
    return here


def features_of(content):
    return extract_features(TINY.read_bytes(), decode_photo(content, 32)[0])


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
    return {tuple(map(str, row)) for row in lake.read(table).where(f"path <> '{GONE}'").collect()}


def test_nothing_of_a_forgotten_photo_is_left_in_any_file(spark, filled):
    here, lake = filled, Lake(spark, filled.settings.lake)
    content = (here.images / GONE).read_bytes()
    scores = np.array(lake.read(PCA).where(f"path = '{GONE}'").first()["pca"])
    others = {table: rows_of(lake, table) for table in TABLES}
    before = traces(here.lake, content, scores)
    assert set(before) == {"content", "features", "scores", "path"}
    assert lake.read(MOMENTS).count() == 2
    (here.images / GONE).unlink()

    result = forget_photos(spark, here.settings, [GONE, "Training/nowhere.jpg", GONE])
    assert result == {
        "erased": {BRONZE.name: 1, SILVER.name: 1, PCA.name: 1},
        "not_found": ["Training/nowhere.jpg"],
    }
    assert traces(here.lake, content, scores) == {}
    assert {table: rows_of(lake, table) for table in TABLES} == others
    for table in TABLES:
        assert lake.read(table).where(f"path = '{GONE}'").isEmpty()
    # The moments hold sums the photo was part of.
    assert lake.read(MOMENTS).isEmpty()
    assert not list((here.lake / MOMENTS.name).glob("*.parquet"))

    fit = fill(spark, here.settings)
    photos = sorted((here.images / "Training").rglob("*.jpg"))
    assert len(photos) == 8
    eigenvalues, _ = reference_pca(np.array([features_of(file.read_bytes()) for file in photos], dtype=np.float64))
    kept = lake.read(SPECTRUM).where(f"model = '{fit['model']}'").orderBy("component").toPandas()
    np.testing.assert_allclose(kept["eigenvalue"], eigenvalues, rtol=1e-9)
    assert lake.read(PCA).count() == 12
    assert traces(here.lake, content, scores) == {}


@pytest.mark.parametrize("stop", ["before the rows", "between the tables", "before the files"])
def test_an_interrupted_forget_is_finished_by_the_next_one(spark, filled, monkeypatch, stop):
    here, lake = filled, Lake(spark, filled.settings.lake)
    content = (here.images / GONE).read_bytes()
    scores = np.array(lake.read(PCA).where(f"path = '{GONE}'").first()["pca"])
    calls = []

    def die(self, *args, real=Lake.merge, **options):
        calls.append(args)
        if len(calls) > {"before the rows": 0, "between the tables": 1}.get(stop, 3):
            raise KeyboardInterrupt
        return real(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Lake, "merge", die)
        if stop == "before the files":
            patch.setattr(Lake, "erase_history", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            forget_photos(spark, here.settings, [GONE])
    again = forget_photos(spark, here.settings, [GONE])
    assert again["not_found"] == ([GONE] if stop == "before the files" else [])
    assert traces(here.lake, content, scores) == {}
    assert lake.read(MOMENTS).isEmpty()
    assert lake.read(PCA).count() == 12


def test_a_path_no_table_has_is_named_and_costs_no_moments(spark, filled):
    lake = Lake(spark, filled.settings.lake)
    moments = lake.read(MOMENTS).select("photos").collect()
    odd = "Training/it's \\ 100 %/é.jpg"
    result = forget_photos(spark, filled.settings, [odd])
    assert result["not_found"] == [odd]
    assert set(result["erased"].values()) == {0}
    assert lake.read(MOMENTS).select("photos").collect() == moments
    assert lake.read(BRONZE).count() == 13


def test_a_lake_without_photos_has_nothing_to_forget(spark, place, tmp_path):
    settings = replace(place().settings, lake=str(tmp_path / "empty"))
    with pytest.raises(FruitsError, match="has no bronze_images, so there is nothing to forget"):
        forget_photos(spark, settings, [GONE])
    assert not (tmp_path / "empty").exists()


def test_copies_of_a_photo_are_forgotten_one_by_one(spark, place):
    photos = photo_set(labels=2, training=3, test=1)
    here = place(photos | {"Training/Fruit 0/copy.jpg": photos[GONE]})
    fill(spark, here.settings)
    assert forget_photos(spark, here.settings, [GONE])["erased"][SILVER.name] == 1
    left = Lake(spark, here.settings.lake).read(BRONZE).where(f"sha256 = '{hashlib.sha256(photos[GONE]).hexdigest()}'")
    assert [row["path"] for row in left.collect()] == ["Training/Fruit 0/copy.jpg"]
