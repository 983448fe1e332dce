"""What is in a lake, for programs and for people."""

import pytest
from photos import jpeg

from fruits.bronze import ingest_photos
from fruits.errors import FruitsError, SettingError
from fruits.silver import featurise_photos
from fruits.status import check_lake, describe_lake
from fruits.views.summaries import MOST_ERRORS, show_forget, show_run, show_status


def status(**parts: object) -> dict:
    """Make a status as describe_lake does, of nothing but what is given."""
    empty = dict.fromkeys(("photos", "errors", "features", "projections", "models", "runs"), ())
    return {"lake": "/lake", "tables": {"bronze_images": {"version": 3, "rows": 5}, "gold_pca": None}, **empty, **parts}


@pytest.mark.old
def test_a_lake_is_counted_by_table_split_label_and_error(spark, place):
    here = place(
        {
            "Training/Apple Red 1/1.jpg": jpeg(seed=1),
            "Training/Apple Red 1/2.jpg": jpeg(seed=2),
            "Training/Apple Red 1/note.jpg": b"no photo",
            "Test/Pêche/3.jpg": jpeg(seed=3),
            "Test/4.jpg": jpeg(seed=4),
            "Test/big.jpg": b"x" * 9999,
        },
        max_bytes="9000",
    )
    ingest_photos(spark, here.settings)
    featurise_photos(spark, here.settings)
    told = describe_lake(spark, here.settings)
    assert told["lake"] == str(here.lake)
    assert [name for name, about in told["tables"].items() if about] == ["bronze_images", "silver_features"]
    assert {about["rows"] for about in told["tables"].values() if about} == {6}
    assert {(row["split"], row["label"]): row["photos"] for row in told["photos"]} == {
        ("Training", "Apple Red 1"): 3,
        ("Test", "Pêche"): 1,
        ("Test", None): 2,
    }
    assert [(row["table"], row["photos"]) for row in told["errors"]] == [
        ("bronze_images", 1),
        ("silver_features", 1),
        ("silver_features", 1),
    ]
    assert "max_bytes=9000" in told["errors"][0]["error"]
    assert [row["photos"] for row in told["features"]] == [6]
    assert (told["projections"], told["models"], told["runs"]) == ([], [], [])
    assert not (here.lake / "mlflow.db").exists()
    said = show_status(told).splitlines()
    assert "bronze_images          " in said[3]
    assert "(no label)          0     2" in said
    assert "3 labels            3     3" in said


def test_a_lake_without_tables_is_an_error_with_and_without_spark(spark, place):
    here = place()
    with pytest.raises(FruitsError, match=r"has no tables; `fruits run` makes them"):
        describe_lake(spark, here.settings)
    with pytest.raises(FruitsError, match=r"has no tables") as refused:
        check_lake(str(here.lake))
    assert not isinstance(refused.value, SettingError)
    check_lake("main.fruits")  # only Spark can tell
    check_lake("s3://bucket/lake")


def test_131_labels_take_a_line_each_with_a_column_per_split():
    labels = [f"Fruit {number:03}" for number in range(131)]
    counts = [{"split": split, "label": label, "photos": 60} for split in ("Test", "Training") for label in labels]
    lines = show_status(status(photos=counts)).splitlines()
    start = lines.index("label       Training  Test")
    assert lines[start + 1] == "Fruit 000         60    60"
    assert lines[start + 132] == "131 labels      7860  7860"
    assert len(lines) == start + 133


def test_a_label_only_one_split_has_shows_zero_in_the_other():
    counts = [{"split": "Test", "label": "Fig", "photos": 2}, {"split": "Training", "label": None, "photos": 1}]
    lines = show_status(status(photos=counts)).splitlines()
    assert lines[-4:] == [
        "label       Training  Test",
        "(no label)         1     0",
        "Fig                0     2",
        "2 labels           1     2",
    ]


def test_errors_are_shown_by_reason_most_frequent_first_and_not_without_end():
    errors = [{"table": "bronze_images", "error": f"{n} bytes", "photos": n} for n in range(1, MOST_ERRORS + 4)]
    lines = show_status(status(errors=errors)).splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("errors"))
    assert lines[start + 1].split() == ["23", "bronze_images", "23", "bytes"]
    assert lines[-1] == "and 3 more reasons"


def test_models_and_runs_are_shown_with_their_day_and_alias():
    model = {"name": "fruits_pca", "version": 2, "aliases": ["champion"], "k": 64, "created": 0, "model": "m-k64"}
    run = {"start_time": 0, "status": "FINISHED", "k": 64, "name": "m-k64"}
    run |= {"cumulative_explained_variance": 0.751, "recommended_k": None}
    said = show_status(status(models=[model], runs=[run]))
    assert "fruits_pca        2  champion  64  19" in said
    assert "finished  64     75.1%              -  m-k64" in said


def test_a_table_never_written_is_told_from_an_empty_one():
    lines = show_status(status(tables={"a": {"version": 0, "rows": 0}, "b": None})).splitlines()
    assert lines[2:5] == ["table  version  rows", "a            0     0", "b            -     -"]


def test_forgetting_says_what_is_left_to_do():
    said = show_forget({"erased": {"bronze_images": 1, "gold_pca": 0}, "not_found": ["a.jpg"]})
    assert said.splitlines()[:3] == [
        "1 row erased from bronze_images",
        "0 rows erased from gold_pca",
        "not found: a.jpg",
    ]
    assert "delete it there too" in said
    assert "delete it there too" not in show_forget({"erased": {"bronze_images": 0}, "not_found": ["a.jpg"]})


def test_photos_that_left_but_are_kept_are_said_so():
    step = {"listed": 3, "new": 0, "changed": 0, "gone": 2, "unchanged": 3, "errors": 0, "seconds": 1.0}
    assert "0 removed, 2 gone but kept, 3 unchanged" in show_run({"lake": "l", "bronze": step | {"removed": 0}})
    assert "2 removed, 3 unchanged" in show_run({"lake": "l", "bronze": step | {"removed": 2}})


def test_a_comparison_without_test_photos_recommends_nothing():
    row = {"k": 2, "cumulative_explained_variance": 0.5, "bytes_per_photo": 16, "recommended": False}
    unmeasured = ("reconstruction_error_test", "accuracy_train", "accuracy_test", "centroid_accuracy_test")
    step = {"rows": [row | dict.fromkeys(unmeasured)], "recommended_k": None, "promoted": None, "seconds": 0.1}
    said = show_run({"lake": "my lake", "compare": step})
    assert "no k is recommended" in said
    assert said.splitlines()[3].split() == ["2", "50.0%", "-", "-", "-", "-", "16"]
    assert said.endswith("fruits status --lake 'my lake'")
