"""The four steps together, and what a second run costs."""

from conftest import photo_set

from fruits.bronze import ingest_photos
from fruits.compare import compare_components
from fruits.gold import reduce_features
from fruits.silver import featurise_photos


def run_chain(spark, settings):
    return [step(spark, settings) for step in (ingest_photos, featurise_photos, reduce_features, compare_components)]


def versions(lake):
    return {table.parent.name: len(list(table.glob("*.json"))) for table in lake.glob("*/_delta_log")}


def test_every_photo_comes_out_as_scores(spark, place):
    here = place(photo_set())
    bronze, silver, gold, comparison = run_chain(spark, here.settings)
    assert (bronze["new"], silver["computed"], gold["projected"], gold["k"]) == (24, 24, 24, 3)
    assert [row["k"] for row in comparison["rows"]] == [2, 3, 4]
    assert comparison["recommended_k"] in (2, 3, 4)


def test_a_second_run_with_nothing_new_writes_no_table_version(spark, place):
    here = place(photo_set())
    first = run_chain(spark, here.settings)
    before = versions(here.lake)
    again = run_chain(spark, here.settings)
    assert versions(here.lake) == before
    assert (again[0]["unchanged"], again[1]["computed"], again[2]["projected"]) == (24, 0, 0)
    assert again[3]["rows"] == first[3]["rows"]
