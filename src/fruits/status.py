"""What is in a lake: counts, errors by reason, models and runs; nothing is written."""

from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from fruits.accumulate import MOMENTS
from fruits.bronze import BRONZE
from fruits.compare import COMPARISON
from fruits.errors import FruitsError
from fruits.gold import PCA, SPECTRUM
from fruits.platform import tracking
from fruits.platform.tables import URI, Lake, Table, is_schema, locate
from fruits.settings import Settings
from fruits.silver import SILVER

TABLES = (BRONZE, SILVER, MOMENTS, SPECTRUM, PCA, COMPARISON)


def check_lake(lake: str) -> None:
    """Check, without Spark, that a lake in a folder of this machine holds a table; other lakes are not looked at.

    Raises:
        SettingError: the lake is neither catalog.schema, nor a folder, nor a URI.
        FruitsError: no table was ever written.
    """
    place = locate(lake)
    local = not is_schema(place) and not URI.match(place)
    if local and not any(Path(place, table.name, "_delta_log").is_dir() for table in TABLES):
        raise _no_tables(lake)


def describe_lake(spark: SparkSession, settings: Settings) -> dict[str, Any]:
    """Describe a lake for people and for programs.

    Returns:
        lake, tables (name to version and rows, None if never written), photos (split, label, count), errors (table,
        error, count), features (backbone, photos), projections (model, photos), models and runs of MLflow.

    Raises:
        FruitsError: no table was ever written.
    """
    lake = Lake(spark, settings.lake)
    versions = {table: lake.version(table) for table in TABLES}
    if set(versions.values()) == {None}:
        raise _no_tables(settings.lake)
    opened = tracking.start_opening(settings, create=False)
    # One pass over each of the large tables; what is shown of it is summed up here.
    bronze = _count(lake, BRONZE, "split", "label", "error")
    silver = _count(lake, SILVER, "backbone", "error")
    scores = _count(lake, PCA, "model")
    counted = {BRONZE: bronze, SILVER: silver, PCA: scores}
    tables = {}
    for table, version in versions.items():
        if version is None:
            tables[table.name] = None
            continue
        rows = sum(row["photos"] for row in counted[table]) if table in counted else lake.read(table).count()
        tables[table.name] = {"version": version, "rows": rows}
    store = opened()
    return {
        "lake": lake.location,
        "tables": tables,
        "photos": _sum(bronze, "split", "label"),
        "errors": [
            {"table": table.name, **row}
            for table in (BRONZE, SILVER)
            for row in _sum(counted[table], "error")
            if row["error"] is not None
        ],
        "features": _sum(silver, "backbone"),
        "projections": scores,
        "models": tracking.list_models(store),
        "runs": tracking.last_runs(store),
    }


def _no_tables(lake: str) -> FruitsError:
    return FruitsError(f"lake={lake!r} has no tables; `fruits run` makes them, or is the lake another?")


def _count(lake: Lake, table: Table, *columns: str) -> list[dict[str, Any]]:
    rows = lake.read(table).groupBy(*columns).agg(F.count("*").alias("photos")).orderBy(*columns)
    return [row.asDict() for row in rows.collect()]


def _sum(rows: list[dict[str, Any]], *columns: str) -> list[dict[str, Any]]:
    """Add up counts over every column but some."""
    sums: dict[tuple, int] = {}
    for row in rows:
        key = tuple(row[column] for column in columns)
        sums[key] = sums.get(key, 0) + row["photos"]
    return [{**dict(zip(columns, key, strict=True)), "photos": photos} for key, photos in sums.items()]
