"""What is in a lake: counts, errors by reason, models and runs; nothing is written."""

from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from fruits.accumulate import MOMENTS
from fruits.bronze import BRONZE
from fruits.compare import COMPARISON
from fruits.gold import PCA, SPECTRUM
from fruits.platform import tracking
from fruits.platform.tables import Lake
from fruits.settings import Settings
from fruits.silver import SILVER


def describe_lake(spark: SparkSession, settings: Settings) -> dict[str, Any]:
    """Describe a lake for people and for programs.

    Returns:
        tables (name to version and rows, None if never written), photos (split, label, count), errors (table, error,
        count), features (backbone, photos), projections (model, photos), models and runs of MLflow.
    """
    lake = Lake(spark, settings.lake)
    tables = {}
    for table in (BRONZE, SILVER, MOMENTS, SPECTRUM, PCA, COMPARISON):
        version = lake.version(table)
        tables[table.name] = None if version is None else {"version": version, "rows": lake.read(table).count()}
    errors = [
        {"table": table.name, **row}
        for table in (BRONZE, SILVER)
        for row in _count(lake, table, "error")
        if row["error"] is not None
    ]
    store = tracking.open_tracking(settings, create=False)
    return {
        "lake": lake.location,
        "tables": tables,
        "photos": _count(lake, BRONZE, "split", "label"),
        "errors": errors,
        "features": _count(lake, SILVER, "backbone"),
        "projections": _count(lake, PCA, "model"),
        "models": tracking.list_models(store),
        "runs": tracking.last_runs(store),
    }


def _count(lake: Lake, table: Any, *columns: str) -> list[dict[str, Any]]:
    rows = lake.read(table).groupBy(*columns).agg(F.count("*").alias("photos")).orderBy(*columns)
    return [row.asDict() for row in rows.collect()]
