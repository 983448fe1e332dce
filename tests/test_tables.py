"""Where a lake may be, and what each reading and writing of it does, in folders of any name, URIs and schemas."""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fruits.errors import SettingError
from fruits.platform.tables import Lake, Table, locate, quote, remembered

FRUIT = Table("fruit", "name string, weight int", changes=True)
ODD = "a b%20c #d é 'q' `t` \"w\""


def put(lake, *rows, **options):
    lake.append(lake.spark.createDataFrame(list(rows), FRUIT.schema), FRUIT, **options)


def content(frame):
    return sorted((tuple(row) for row in frame.select("name", "weight").collect()), key=str)  # a name may be None


@pytest.fixture(params=["folder", "uri", "schema"])
def lake(request, spark, tmp_path):
    """One empty lake of each kind; every reading and writing is to be the same in all."""
    if request.param == "folder":
        yield Lake(spark, str(tmp_path / ODD))
    elif request.param == "uri":
        yield Lake(spark, f"file:{tmp_path}/lake of uri")
    else:
        # The schema's own place: tables of this test do not end up in the working directory.
        spark.sql(f"CREATE SCHEMA spark_catalog.fruits_test LOCATION 'file:{tmp_path}/schema'")
        yield Lake(spark, "spark_catalog.fruits_test")
        spark.sql("DROP SCHEMA spark_catalog.fruits_test CASCADE")


@pytest.mark.parametrize(
    ("lake", "place"),
    [
        ("main.fruits", "main.fruits"),
        ("my-catalog.fruits_2", "my-catalog.fruits_2"),
        (" /data/lake/ ", "/data/lake"),
        ("lake", "{here}/lake"),
        ("./main.fruits", "{here}/main.fruits"),
        ("../lake", "{above}/lake"),
        ("s3://bucket/lake/", "s3://bucket/lake"),
        ("abfss://c@account.dfs.core.windows.net/lake", "abfss://c@account.dfs.core.windows.net/lake"),
        ("dbfs:/lake", "dbfs:/lake"),
        ("file:/data/lake", "file:/data/lake"),
    ],
)
def test_a_lake_is_a_schema_a_folder_or_a_uri(lake, place):
    assert locate(lake) == place.format(here=Path.cwd(), above=Path.cwd().parent)


def test_a_folder_with_a_dot_in_its_name_is_a_folder_once_it_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert locate("my.lake") == "my.lake"
    Path("my.lake").mkdir()
    assert locate("my.lake") == str(tmp_path / "my.lake")


def test_a_lake_in_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate("~/lake") == f"{tmp_path}/lake"


@pytest.mark.parametrize("lake", ["", "  ", "a.b.c", "https://x", "http://x/lake", "s3://", "s3:/", "file:///"])
def test_a_lake_that_is_none_is_refused_with_a_way_out(lake):
    with pytest.raises(SettingError, match=r"lake=.*(try main\.fruits|a lake is catalog\.schema)"):
        locate(lake)


@pytest.mark.parametrize("name", ["file", "file/lake"])
def test_a_lake_that_is_or_is_under_a_file_is_refused(tmp_path, name):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(SettingError, match="is, or is under, a file"):
        locate(str(tmp_path / name))


def test_a_table_never_written_reads_as_an_empty_one(lake):
    assert not lake.exists(FRUIT)
    assert lake.version(FRUIT) is None
    frame = lake.read(FRUIT)
    assert (frame.columns, frame.collect()) == (["name", "weight"], [])
    lake.delete(FRUIT, "weight = 1")
    lake.merge(frame.select("name"), FRUIT, ["name"], delete=True)
    lake.erase_history(FRUIT)
    assert not lake.exists(FRUIT)


def test_a_first_write_killed_before_its_commit_leaves_no_table(spark, tmp_path):
    (tmp_path / "lake" / "fruit" / "_delta_log").mkdir(parents=True)
    lake = Lake(spark, str(tmp_path / "lake"))
    assert not lake.exists(FRUIT)
    assert lake.read(FRUIT).collect() == []
    put(lake, ("apple", 1), replace="name = 'apple'")
    assert content(lake.read(FRUIT)) == [("apple", 1)]
    assert content(lake.read_changes(FRUIT, -1, 0)) == [("apple", 1)]


def test_a_commit_does_not_list_all_files_which_outside_of_utc_would_be_compared_with_the_log(spark, tmp_path):
    put(Lake(spark, str(tmp_path)), ("apple", 1))
    assert "allFiles" not in json.loads((tmp_path / "fruit" / "_delta_log" / f"{0:020}.crc").read_text())


def test_an_answer_is_remembered_while_its_table_is_as_it_was_where_a_folder_tells(tmp_path):
    asked = []

    @remembered(FRUIT)
    def ask(lake, about):
        asked.append(about)
        return len(asked)

    lake, elsewhere, bucket = (Lake(None, place) for place in (f"{tmp_path}/a", f"{tmp_path}/b", "s3://bucket/lake"))
    assert [ask(lake, "k"), ask(lake, "k"), ask(bucket, "k"), ask(bucket, "k")] == [1, 2, 3, 4]
    logs = [Path(place.location) / FRUIT.name / "_delta_log" for place in (lake, elsewhere)]
    for log in logs:
        log.mkdir(parents=True)
        (log / f"{0:020}.json").touch()
    assert [ask(lake, "k"), ask(lake, "k"), ask(lake, "model"), ask(lake, "model")] == [5, 5, 6, 6]
    assert [ask(elsewhere, "model"), ask(elsewhere, "model")] == [7, 7]
    (logs[1] / f"{1:020}.json").touch()
    assert [ask(elsewhere, "model"), ask(elsewhere, "model")] == [8, 8]
    os.utime(logs[1] / f"{1:020}.json", (1, 1))  # made anew, to as many commits
    assert [ask(elsewhere, "model"), ask(elsewhere, "model")] == [9, 9]


@pytest.mark.old
def test_rows_are_appended_replaced_merged_and_deleted_one_commit_each_that_can_be_read_until_erased(lake, tmp_path):
    assert lake.history(FRUIT, 5) == []
    before = datetime.now(UTC) - timedelta(seconds=1)
    put(lake, ("apple", 1), ("fig", 2), (None, 0))
    assert (lake.exists(FRUIT), lake.version(FRUIT)) == (True, 0)
    put(lake, ("lime", 3))
    assert content(lake.read(FRUIT)) == [("apple", 1), ("fig", 2), ("lime", 3), (None, 0)]
    put(lake, ("apple", 10), ("apple", 11), replace="name = 'apple'")
    assert content(lake.read(FRUIT)) == [("apple", 10), ("apple", 11), ("fig", 2), ("lime", 3), (None, 0)]
    assert lake.version(FRUIT) == 2
    changed = lake.spark.createDataFrame([("fig", 20), ("kiwi", 4), (None, 5)], FRUIT.schema)
    lake.merge(changed, FRUIT, ["name"])
    lake.merge(changed.limit(0), FRUIT, ["name"])
    merged = [("apple", 10), ("apple", 11), ("fig", 20), ("kiwi", 4), ("lime", 3), (None, 5)]  # None is equal to itself
    assert content(lake.read(FRUIT)) == merged
    gone = lake.spark.createDataFrame([("apple",), ("pear",), (None,)], "name string")
    lake.merge(gone, FRUIT, ["name"], delete=True)
    assert content(lake.read(FRUIT)) == [("fig", 20), ("kiwi", 4), ("lime", 3)]
    lake.delete(FRUIT, "weight >= 5")
    assert content(lake.read(FRUIT)) == [("kiwi", 4), ("lime", 3)]
    lake.delete(FRUIT, "name = 'fig'")  # what is not there makes no commit
    lake.merge(gone, FRUIT, ["name"], delete=True)
    assert lake.version(FRUIT) == 5

    assert content(lake.read(FRUIT, version=1)) == [("apple", 1), ("fig", 2), ("lime", 3), (None, 0)]
    changes = lake.read_changes(FRUIT, after=2, until=4).select("_change_type", "name", "weight").collect()
    assert sorted(map(tuple, changes), key=str) == [
        ("delete", "apple", 10),
        ("delete", "apple", 11),
        ("delete", None, 5),
        ("insert", "kiwi", 4),
        ("update_postimage", "fig", 20),
        ("update_postimage", None, 5),
        ("update_preimage", "fig", 2),
        ("update_preimage", None, 0),
    ]
    commits = lake.history(FRUIT, 9)
    assert [each["version"] for each in commits] == [5, 4, 3, 2, 1, 0]
    assert [each["rows"] for each in commits[-2:]] == [1, 3]
    assert before < commits[-1]["when"] <= commits[0]["when"] <= datetime.now(UTC) + timedelta(seconds=1)
    assert [each["version"] for each in lake.history(FRUIT, 1)] == [5]

    assert holding(tmp_path, b"fig") and holding(tmp_path, b"apple")
    lake.erase_history(FRUIT)
    assert content(lake.read(FRUIT)) == [("kiwi", 4), ("lime", 3)]
    assert not holding(tmp_path, b"fig") and not holding(tmp_path, b"apple")
    properties = lake.spark.sql(f"SHOW TBLPROPERTIES {lake._sql_name(FRUIT)}").collect()
    assert "delta.deletedFileRetentionDuration" not in {row["key"] for row in properties}


def test_rows_of_a_partition_are_replaced_without_being_read(lake, tmp_path):
    shelf = Table("shelf", FRUIT.schema, partition="name")
    lake.append_rows([("apple", 1), ("fig", 2)], shelf)
    (file,) = tmp_path.rglob("name=apple/*.parquet")
    file.unlink()
    lake.append_rows([("apple", 3)], shelf, "name IN ('apple')")
    assert content(lake.read(shelf)) == [("apple", 3), ("fig", 2)]


def test_a_table_made_before_it_had_partitions_takes_the_same_writes(lake):
    shelf = Table("shelf", FRUIT.schema, partition="name")
    lake.append_rows([("apple", 1), ("fig", 2)], replace(shelf, partition=None))
    lake.append_rows([("apple", 3)], shelf, "name IN ('apple')")
    lake.append_rows([("kiwi", 4)], shelf)
    assert content(lake.read(shelf)) == [("apple", 3), ("fig", 2), ("kiwi", 4)]


@pytest.mark.old
def test_a_row_that_is_only_marked_as_removed_is_erased_too(spark, tmp_path):
    """As tables are on Databricks: the file stays in use, with a list of the rows that are gone."""
    lake = Lake(spark, str(tmp_path / "lake"))
    put(lake, *((f"apple {i}", i) for i in range(20)), ("secret-fig", 2))
    spark.sql(f"ALTER TABLE {lake._sql_name(FRUIT)} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
    used = lake.read(FRUIT).inputFiles()
    lake.delete(FRUIT, "name = 'secret-fig'")
    assert {*lake.read(FRUIT).inputFiles()} <= {*used}
    lake.erase_history(FRUIT)
    assert lake.read(FRUIT).count() == 20
    assert not holding(tmp_path, b"secret-fig")


def holding(folder, text):
    """Data files, those of the change feed included, that hold a text."""
    return [file for file in folder.rglob("*.parquet") if "_delta_log" not in file.parts and text in file.read_bytes()]


def test_a_quoted_text_is_the_same_text_in_sql(spark):
    for text in ("it's", 'a "b"', "back\\slash", "\\'", "é %_ # `x`", "two\nlines"):
        assert spark.sql(f"SELECT {quote(text)} AS text").first()["text"] == text


def test_nothing_is_written_where_the_command_runs():
    assert not [name for name in os.listdir() if name.startswith(("fruits_test", "metastore"))]
