"""The lake: one reader, one appender, one merger, for Unity Catalog, folders and object stores alike."""

import functools
import os
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

from fruits.errors import SettingError
from fruits.platform import s3a

SCHEMA = re.compile(r"[\w-]+\.[\w-]+")  # catalog.schema
URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")  # s3://, s3a://, abfss://, dbfs:/, file:/
T = TypeVar("T")


@dataclass(frozen=True)
class Table:
    """What a table is called and holds; it is made by its first write.

    Attributes:
        name: the same in every lake.
        schema: columns as Spark's DDL.
        changes: whether Delta keeps the rows added and removed by each version.
        partition: column whose values have files of their own, so that their rows are replaced without being read.
    """

    name: str
    schema: str
    changes: bool = False
    partition: str | None = None


def locate(lake: str) -> str:
    """Check where a lake is, and make a folder absolute.

    Raises:
        SettingError: neither catalog.schema, nor a folder, nor a URI.
    """
    lake = lake.strip()
    if SCHEMA.fullmatch(lake) and not Path(lake).exists():
        return lake
    if not lake or re.match(r"https?:", lake) or re.fullmatch(r"[\w+.-]+:/+", lake):
        raise SettingError(f"lake={lake!r} is no place for tables; try main.fruits, ./lake or s3://bucket/lake")
    if URI.match(lake):
        return lake.rstrip("/")
    if re.fullmatch(r"[\w-]+(\.[\w-]+){2,}", lake):
        raise SettingError(f"lake={lake!r} has too many parts; a lake is catalog.schema, the table names are fixed")
    folder = Path(os.path.abspath(Path(lake).expanduser()))
    if any(each.exists() and not each.is_dir() for each in (folder, *folder.parents)):
        raise SettingError(f"lake={lake!r} is, or is under, a file; try main.fruits, ./lake or s3://bucket/lake")
    return str(folder)


def is_schema(lake: str) -> bool:
    """Whether a located lake is a schema of Unity Catalog."""
    return bool(SCHEMA.fullmatch(lake))


class Lake:
    """The tables of one lake, through one session. A table that was never written reads as an empty one."""

    def __init__(self, spark: SparkSession, lake: str) -> None:
        """Open a lake; nothing is read or written yet."""
        self.spark = spark
        self.location = locate(lake)
        self._seen: set[str] = set()

    def exists(self, table: Table) -> bool:
        """Whether the table was ever written."""
        if self._is_folder:
            # A run killed in its first write leaves the folder of the log, without a commit in it.
            return any(self._commits(table))
        # Asking a catalog or a store takes long, and a table that was there stays.
        if table.name not in self._seen and self._is_there(table):
            self._seen.add(table.name)
        return table.name in self._seen

    def version(self, table: Table) -> int | None:
        """Newest version of the table, None if it was never written."""
        if not self.exists(table):
            return None
        if self._is_folder:
            return max(int(commit.stem) for commit in self._commits(table))
        return self.spark.sql(f"DESCRIBE HISTORY {self._sql_name(table)} LIMIT 1").first()["version"]

    def stamp(self, table: Table) -> tuple | None:
        """Tell one state of the table from any other, where that asks nobody: a folder's newest commit, and its time.

        None elsewhere, and for a table that was never written.
        """
        newest = max(self._commits(table), default=None) if self._is_folder else None
        return newest and (str(newest), newest.stat().st_mtime_ns)

    def history(self, table: Table, last: int) -> list[dict[str, Any]]:
        """List the last commits of the table, newest first: when (UTC), version and rows written, None if not said."""
        if not self.exists(table):
            return []
        commits = self.spark.sql(f"DESCRIBE HISTORY {self._sql_name(table)} LIMIT {last}")
        # As a number: a timestamp would be turned into the time zone of whoever collects it.
        told = commits.selectExpr(
            "unix_millis(timestamp) / 1000 AS seconds",
            "version",
            "operationMetrics['numOutputRows'] AS rows",
        )
        return [
            {
                "when": datetime.fromtimestamp(row["seconds"], UTC),
                "version": row["version"],
                "rows": None if row["rows"] is None else int(row["rows"]),
            }
            for row in told.collect()
        ]

    def read(self, table: Table, version: int | None = None) -> DataFrame:
        """Read a table, as it is or as it was at a version."""
        if not self.exists(table):
            columns = (column.split(" ") for column in table.schema.split(", "))
            nulls = ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in columns)
            return self.spark.sql(f"SELECT {nulls} WHERE false")  # known to be empty without a job
        return self._load(table, {} if version is None else {"versionAsOf": str(version)})

    def read_changes(self, table: Table, after: int, until: int) -> DataFrame:
        """Rows that came and went after one version and until another, with Delta's `_change_type`."""
        options = {"readChangeFeed": "true", "startingVersion": str(after + 1), "endingVersion": str(until)}
        return self._load(table, options)

    def append(self, rows: DataFrame, table: Table, replace: str | None = None) -> None:
        """Add rows in one commit; with `replace`, a SQL condition, the rows it names leave in the same commit."""
        writer = rows.write.format("delta").mode("append")
        if self.exists(table):
            if replace is not None:
                writer = writer.mode("overwrite").option("replaceWhere", replace)
        else:
            if table.changes:
                writer = writer.option("delta.enableChangeDataFeed", "true")
            if table.partition:
                writer = writer.partitionBy(table.partition)
        if is_schema(self.location):
            writer.saveAsTable(self._sql_name(table))
        else:
            writer.save(f"{self.location}/{table.name}")

    def append_rows(self, rows: Sequence[tuple], table: Table, replace: str | None = None) -> None:
        """Add a few rows of the driver, as append does; in one file, where Spark would make one per core."""
        self.append(self.spark.createDataFrame(rows, table.schema).coalesce(1), table, replace)

    def merge(self, rows: DataFrame, table: Table, key: Sequence[str], delete: bool = False) -> None:
        """Update or insert rows by key in one commit; with `delete`, remove the rows that have such a key.

        Delta may evaluate `rows` twice: never hand it rows that are dear to compute.
        """
        if not self.exists(table):
            if not delete:
                self.append(rows, table)
            return
        source = f"fruits_{uuid.uuid4().hex}"
        rows.createOrReplaceTempView(source)
        match = " AND ".join(f"t.{column} <=> s.{column}" for column in key)
        action = "DELETE" if delete else "UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
        try:
            self.spark.sql(
                f"MERGE INTO {self._sql_name(table)} t USING {source} s ON {match} WHEN MATCHED THEN {action}"
            )
        finally:
            self.spark.catalog.dropTempView(source)

    def delete(self, table: Table, condition: str) -> None:
        """Remove the rows a SQL condition names; no such row, no commit."""
        if self.exists(table):
            self.spark.sql(f"DELETE FROM {self._sql_name(table)} WHERE {condition}")

    def erase_history(self, table: Table) -> None:
        """Delete every file that the newest version does not need, so that removed rows are gone from storage too."""
        if not self.exists(table):
            return
        name = self._sql_name(table)
        # The table's own retention, not a session setting: serverless refuses the latter.
        self.spark.sql(
            f"ALTER TABLE {name} SET TBLPROPERTIES ('delta.deletedFileRetentionDuration' = 'interval 0 hours')"
        )
        if "deletionVectors" in self.spark.sql(f"DESCRIBE DETAIL {name}").first()["tableFeatures"]:
            self.spark.sql(f"REORG TABLE {name} APPLY (PURGE)")  # rows removed may be marked only, in files still used
        self.spark.sql(f"VACUUM {name}")
        self.spark.sql(f"ALTER TABLE {name} UNSET TBLPROPERTIES ('delta.deletedFileRetentionDuration')")

    def _is_there(self, table: Table) -> bool:
        if is_schema(self.location):
            return self.spark.catalog.tableExists(self._sql_name(table))
        try:
            self.spark.sql(f"DESCRIBE DETAIL {self._sql_name(table)}").collect()
        except AnalysisException:
            return False
        except Exception as error:  # Py4J's on classic Spark, Spark's own on Connect
            raise s3a.explain(error, self.location) or error from None
        return True

    @property
    def _is_folder(self) -> bool:
        return not (is_schema(self.location) or URI.match(self.location))

    def _commits(self, table: Table) -> Iterator[Path]:
        """Name the commits of a table in a folder, without asking Spark, which takes tenths of a second."""
        return (Path(self.location) / table.name / "_delta_log").glob("*[0-9].json")

    def _load(self, table: Table, options: dict[str, str]) -> DataFrame:
        reader = self.spark.read.format("delta").options(**options)
        if is_schema(self.location):
            return reader.table(self._sql_name(table))
        return reader.load(f"{self.location}/{table.name}")

    def _sql_name(self, table: Table) -> str:
        if is_schema(self.location):
            return ".".join(f"`{part}`" for part in (*self.location.split("."), table.name))
        return "delta.`" + f"{self.location}/{table.name}".replace("`", "``") + "`"


def remembered(table: Table) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Have a function of a lake, of which it reads `table` alone, answer from memory while the table is as it was.

    For the step that follows in the same process. Only the newest answer is kept, and only of a lake in a folder, where
    a look at the commits tells; elsewhere the function is called each time. Nobody may change an answer.
    """

    def decorate(ask: Callable[..., T]) -> Callable[..., T]:
        newest: dict[tuple, T] = {}

        @functools.wraps(ask)
        def answer(lake: Lake, *about: Any) -> T:
            stamp = lake.stamp(table)
            if stamp is None:
                return ask(lake, *about)
            key = (stamp, *about)
            if key not in newest:
                told = ask(lake, *about)
                newest.clear()
                newest[key] = told
            return newest[key]

        return answer

    return decorate


def quote(text: str) -> str:
    r"""Write a text as a SQL literal: backslash and quote escaped, and `$`, since Spark fills `${name}` in anywhere."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("$", "\\u0024") + "'"
