"""A job goes on after bronze just where silver, gold or compare would write something, whatever came before."""

from dataclasses import replace

import pytest
from conftest import TINY, photo_set, stopped_after_one_commit, versions
from photos import jpeg

from fruits.bronze import ingest_photos
from fruits.compare import compare_components
from fruits.errors import FruitsError
from fruits.gold import reduce_features
from fruits.pending import has_work
from fruits.platform import tracking
from fruits.platform.tables import Lake
from fruits.settings import Settings
from fruits.silver import SILVER, featurise_photos

LATER = (featurise_photos, reduce_features, compare_components)


def run(spark, settings, steps=LATER):
    for step in steps:
        step(spark, settings)


@pytest.fixture
def done(first_run, tmp_path):
    """A copy of a place where all four steps have run, without MLflow."""
    return first_run[0].copy(tmp_path)


def test_a_settled_lake_has_none_and_another_setting_makes_some(spark, first_run):
    settings = first_run[0].settings
    for same in ({}, {"chunk": 7, "sync": "mirror", "promote": "always"}):
        assert not has_work(spark, replace(settings, **same)), same
    for other in ({"k": 2}, {"k": 0.5}, {"k_values": (2, 5)}, {"weights": "fruits"}, {"tracking": ""}):
        assert has_work(spark, replace(settings, **other)), other


def move(here, old, new):
    (here.images / new).parent.mkdir(parents=True, exist_ok=True)
    (here.images / old).rename(here.images / new)


@pytest.mark.parametrize(
    "happen",
    [
        lambda here: here.write("Training/Fruit 0/0.jpg", jpeg(seed=8)),
        lambda here: move(here, "Test/Fruit 0/6.jpg", "Test/Fruit 1/moved.jpg"),
    ],
    ids=["changed", "moved to another label"],
)
def test_a_photo_that_bronze_followed_makes_some(spark, done, happen):
    happen(done)
    ingest_photos(spark, done.settings)
    assert has_work(spark, done.settings)


def test_a_photo_that_left_makes_some_if_its_rows_do_and_else_the_three_steps_write_nothing(spark, done):
    (done.images / "Test/Fruit 0/6.jpg").unlink()
    ingest_photos(spark, done.settings)
    before = versions(done.lake)
    assert not has_work(spark, done.settings)
    run(spark, done.settings)
    assert versions(done.lake) == before
    mirror = replace(done.settings, sync="mirror")
    ingest_photos(spark, mirror)
    assert has_work(spark, mirror)


def test_there_is_some_left_wherever_a_run_died(spark, place):
    """Bronze finds nothing changed when such a run is repeated."""
    here = place(photo_set(labels=2, training=4))
    settings = replace(here.settings, chunk=8)
    ingest_photos(spark, settings)
    assert has_work(spark, settings)  # before silver: no table yet
    with stopped_after_one_commit(SILVER):
        featurise_photos(spark, settings)
    assert ingest_photos(spark, settings)["unchanged"] == 12
    for step in LATER:  # within silver, before gold, before compare
        assert has_work(spark, settings)
        step(spark, settings)
    assert not has_work(spark, settings)


def test_there_is_some_where_gold_pca_is_behind_a_comparison_that_is_not(spark, done):
    """As when compare was started alone, before gold."""
    done.write("Test/Fruit 0/new.jpg", jpeg(seed=7))
    ingest_photos(spark, done.settings)
    before = versions(done.lake)
    assert has_work(spark, done.settings)
    assert versions(done.lake) == before
    run(spark, done.settings, (featurise_photos, compare_components))
    assert has_work(spark, done.settings)
    run(spark, done.settings, (reduce_features,))
    assert not has_work(spark, done.settings)
    assert all(versions(done.lake)[name] > before[name] for name in ("silver_features", "gold_pca", "gold_comparison"))


def test_there_is_some_until_the_runs_are_recorded_and_the_champion_is_the_one_to_promote(spark, done, monkeypatch):
    tracked = replace(done.settings, tracking="", k_values=(2,))
    run(spark, tracked)
    always = replace(tracked, promote="always")
    assert [has_work(spark, settings) for settings in (tracked, always)] == [False, False]
    monkeypatch.setattr(tracking, "champion_model", lambda _: "another")
    assert [has_work(spark, settings) for settings in (tracked, always)] == [False, True]


def test_what_a_step_will_refuse_is_left_to_that_step(spark, done):
    for wrong in ({"weights": "none.tflite"}, {"k": 1280}):
        settings = replace(done.settings, **wrong)
        assert has_work(spark, settings)
        with pytest.raises(FruitsError):
            run(spark, settings)


def test_it_starts_no_network_and_reads_no_content(spark, first_run, monkeypatch):
    monkeypatch.setattr("fruits.silver.compute_features", lambda *_: pytest.fail("the network was started"))
    read = []
    monkeypatch.setattr(Lake, "read", lambda lake, table, read_=Lake.read: read.append(read_(lake, table)) or read[-1])
    assert not has_work(spark, replace(first_run[0].settings, weights=str(TINY)))
    assert read


def test_a_lake_without_tables_has_all_to_do(spark, tmp_path):
    assert has_work(spark, Settings(lake=str(tmp_path / "lake"), tracking="none"))
