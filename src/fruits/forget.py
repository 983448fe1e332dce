"""The right to erasure: given photos leave every table, and every file under the tables."""

from collections import Counter
from collections.abc import Sequence
from functools import reduce
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from fruits.accumulate import MOMENTS
from fruits.bronze import BRONZE
from fruits.errors import FruitsError
from fruits.gold import PCA
from fruits.platform.progress import report
from fruits.platform.tables import Lake
from fruits.settings import Settings
from fruits.silver import SILVER

TABLES = (BRONZE, SILVER, PCA)


def forget_photos(spark: SparkSession, settings: Settings, paths: Sequence[str]) -> dict[str, Any]:
    """Erase photos from bronze, silver and gold, and from the files of older table versions.

    The moments hold sums that the photos are part of: they are erased whole and measured anew by the next run. Run it
    again after an interruption: what was removed already is not found, and its files are deleted all the same.

    Args:
        spark: the session.
        settings: lake counts.
        paths: as in the tables, relative to the photo folder: `Training/Apple Red 1/7_100.jpg`.

    Returns:
        erased: rows removed per table; not_found: paths that no table had.

    Raises:
        FruitsError: the lake has no bronze_images.
    """
    lake = Lake(spark, settings.lake)
    if not lake.exists(BRONZE):
        raise FruitsError(f"lake={settings.lake!r} has no {BRONZE.name}, so there is nothing to forget")
    wanted = spark.createDataFrame([(path,) for path in dict.fromkeys(paths)], "path string")
    rows = reduce(DataFrame.union, (lake.read(table).select(F.lit(table.name), "path") for table in TABLES))
    # All at once, and counted here: what was asked for is not much.
    found = rows.toDF("table", "path").join(wanted, "path", "leftsemi").collect()
    counts = Counter(row["table"] for row in found)
    known = {row["path"] for row in found}
    if known:
        # First, for after an interruption only photos that some table still has would ask for it.
        lake.delete(MOMENTS, "true")
    for table in TABLES:
        if counts[table.name]:
            lake.merge(wanted, table, ["path"], delete=True)
    for table in (*TABLES, MOMENTS):
        report(f"forget: erasing older files of {table.name}")
        lake.erase_history(table)
    return {
        "erased": {table.name: counts[table.name] for table in TABLES},
        "not_found": [path for path in dict.fromkeys(paths) if path not in known],
    }
