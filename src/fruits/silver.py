"""bronze_images -> silver_features: 1280 numbers per photo, or an error in words; the network sees a content once."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from fruits.bronze import BRONZE
from fruits.errors import FruitsError
from fruits.platform.files import fetch
from fruits.platform.progress import Progress
from fruits.platform.tables import Lake, Table
from fruits.settings import Settings
from fruits.vision.backbone import (
    CALIBRATION_PHOTOS,
    Backbone,
    extract_features,
    find_network,
    identify_backbone,
    load_network,
)
from fruits.vision.decode import decode_photo

SILVER = Table(
    "silver_features",
    "path string, backbone string, sha256 string, label string, split string, features array<float>, error string",
    changes=True,
)
ARROW = pa.schema(
    [
        (name, pa.list_(pa.float32()) if kind == "array<float>" else pa.string())
        for name, kind in (column.split() for column in SILVER.schema.split(", "))
    ]
)
ROWS_PER_BATCH = 256  # 1.3 MB of features leave the worker at a time, whatever came in
FIRST_CHUNK = 2000  # small, so that rate and time left are known early; chunks then grow fourfold up to the setting


@dataclass(frozen=True)
class Survey:
    """Photos of a table, counted.

    Attributes:
        photos: how many.
        fingerprint: hash of path and state of each, free of order.
        errors: how many have an error.
    """

    photos: int = 0
    fingerprint: int = 0
    errors: int = field(default=0, compare=False)


def featurise_photos(spark: SparkSession, settings: Settings) -> dict[str, Any]:
    """Bring silver_features of one backbone up to date with bronze_images.

    Features move with their content: a photo whose sha256 has features already, under whatever path, gets a copy. What
    is left goes through the network once per distinct content, in chunks that are one commit each.

    Returns:
        backbone, and counts of photos: computed (by the network), reused, removed, errors and total (now in the table).

    Raises:
        FruitsError: bronze_images was never written.
        SettingError: the weights are not there or do not fit.
    """
    lake = Lake(spark, settings.lake)
    if not lake.exists(BRONZE):
        raise FruitsError(f"lake={settings.lake!r} has no {BRONZE.name}; run `fruits bronze` first")
    backbone = choose_backbone(lake, settings)
    result = {"backbone": backbone.id, "computed": 0, "reused": 0, "removed": 0}
    counted = survey_photos(lake)
    bronze, have = counted[None], counted[backbone.id]
    if bronze != have:
        missing = find_missing(lake.read(BRONZE), features_of(lake, backbone.id)).toPandas().sort_values("path")
        todo = missing.loc[missing["sha256"].notna() & ~missing["known"], ["path", "sha256"]]
        once = todo.drop_duplicates("sha256")
        if len(todo) < len(missing):  # before the pruning: a photo that moved finds its features in the row it left
            result["reused"] = _settle(lake, backbone.id)
        # Each photo that is not missing has its one row: without more rows than these, none is stale. Those of another
        # backbone were not compared with the photos, so they are looked through.
        if have.photos > bronze.photos - len(missing) or counted.keys() - {None, backbone.id}:
            result["removed"] = _prune(lake)
        before = None if result["reused"] or result["removed"] else have.errors
        errors = _compute(lake, backbone, once, settings.chunk, before)
        result["computed"] = len(once)
        if len(once) < len(todo):
            result["reused"] += _settle(lake, backbone.id)
        have = Survey(have.photos + len(once), errors=have.errors + errors)
        if result["reused"] or result["removed"]:
            have = survey_photos(lake)[backbone.id]
    return result | {"total": have.photos, "errors": have.errors}


def choose_backbone(lake: Lake, settings: Settings) -> Backbone:
    """Name the network of the settings; an int8 one that this lake was computed with is kept when photos are added."""
    backbone = identify_backbone(replace(settings, weights=fetch(lake.spark, settings.weights)))
    if backbone.precision == "float32":
        return backbone
    for used in find_backbones(lake):
        if used.startswith(f"{backbone.id}-c") and replace(backbone, id=used).cached.is_file():
            return replace(backbone, id=used)
    return backbone.calibrated_on([row["sha256"] for row in _calibration_photos(lake).select("sha256").collect()])


def read_network(lake: Lake, settings: Settings, backbone: str) -> bytes | None:
    """Give the network of a backbone's id: the one this machine has used, or the file the settings name.

    On serverless compute each step has a machine of its own, so what silver made use of is not there for gold.
    """
    network = find_network(backbone)
    if network is None and (settings.weights == "fruits" or settings.weights.endswith(".tflite")):
        asked = choose_backbone(lake, settings)
        network = load_network(asked) if asked.id == backbone else None
    return network


def find_backbones(lake: Lake) -> list[str]:
    """Backbones that silver_features holds rows of."""
    return sorted(row["backbone"] for row in lake.read(SILVER).select("backbone").distinct().collect())


def features_of(lake: Lake, backbone: str) -> DataFrame:
    """Rows of silver_features of one backbone."""
    return lake.read(SILVER).where(F.col("backbone") == backbone)


def state() -> Column:
    """Hash what a photo's row depends on beside its path: the content (or why there is none), the label, the split."""
    return F.xxhash64(F.coalesce("sha256", "error"), "label", "split")


def photo_hash() -> Column:
    """Hash which photo a row is of, in which state; the bit_xor of these is the fingerprint of a set of photos."""
    return F.xxhash64("path", state())


def survey_photos(lake: Lake) -> defaultdict[str | None, Survey]:
    """Survey bronze_images, under None, and the rows of every backbone in silver_features, under its id, in one query.

    Surveys are equal where the photos are.
    """
    columns = ["backbone", "path", "sha256", "label", "split", "error"]
    photos = lake.read(BRONZE).withColumn("backbone", F.lit(None).cast("string")).select(columns)
    rows = photos.union(lake.read(SILVER).select(columns)).groupBy("backbone")
    counted = rows.agg(F.count("*"), F.bit_xor(photo_hash()), F.count("error")).collect()
    return defaultdict(Survey, {backbone: Survey(*survey) for backbone, *survey in counted})


def find_missing(photos: DataFrame, features: DataFrame) -> DataFrame:
    """Photos that have no row of features as they are now.

    Returns:
        path, sha256 (null for a file that was never read) and known (whether the content has features already).
    """
    have = features.select("path", state().alias("state"))
    known = features.where("sha256 IS NOT NULL").select("sha256", F.lit(True).alias("known")).distinct()
    missing = photos.withColumn("state", state()).join(have, ["path", "state"], "leftanti")
    return missing.join(known, "sha256", "left").select(
        "path", "sha256", F.coalesce("known", F.lit(False)).alias("known")
    )


def compute_features(photos: DataFrame, backbone: str, network: bytes, size: int) -> DataFrame:
    """Run photos through the network, in the workers.

    Args:
        photos: columns path, sha256, label, split, content.
        backbone: id written into each row.
        network: the .tflite; its 9 MB travel with the function.
        size: side in pixels of what the network sees.

    Returns:
        Rows of silver_features, lazily: every action on them runs the network again, so write them once.
    """
    return photos.mapInArrow(make_featuriser(backbone, network, size), SILVER.schema)


def make_featuriser(
    backbone: str, network: bytes, size: int
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def featurise(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            # Serverless refuses a smaller arrow.maxRecordsPerBatch: what leaves is cut here.
            for start in range(0, batch.num_rows, ROWS_PER_BATCH):
                yield _featurise_batch(batch.slice(start, ROWS_PER_BATCH), backbone, network, size)

    return featurise


def _featurise_batch(batch: pa.RecordBatch, backbone: str, network: bytes, size: int) -> pa.RecordBatch:
    """Give the rows of some photos; one photo is in memory at a time beside the encoded ones of the batch."""
    features, errors = [], []
    for content in batch.column("content"):
        pixels, error = decode_photo(content.as_py(), size)
        features.append(None if error else extract_features(network, pixels))
        errors.append(error)
    columns = {name: batch.column(name) for name in ("path", "sha256", "label", "split")}
    columns |= {"backbone": [backbone] * batch.num_rows, "features": features, "error": errors}
    return pa.RecordBatch.from_arrays(
        [
            columns[field.name].cast(field.type)
            if isinstance(columns[field.name], pa.Array)
            else pa.array(columns[field.name], field.type)
            for field in ARROW
        ],
        schema=ARROW,
    )


def _settle(lake: Lake, backbone: str) -> int:
    """Write the rows that need no network: contents that have features, and files never read. Returns how many."""
    features = features_of(lake, backbone)
    unread = F.col("known") | F.col("sha256").isNull()
    settled = lake.read(BRONZE).join(find_missing(lake.read(BRONZE), features).where(unread).select("path"), "path")
    settled = settled.select("path", "sha256", "label", "split", "error")
    count = settled.count()
    if count:
        made = features.select("sha256", "features", F.col("error").alias("seen")).dropDuplicates(["sha256"])
        rows = settled.withColumn("backbone", F.lit(backbone)).join(made, "sha256", "left")
        rows = rows.withColumn("error", F.coalesce("seen", "error"))
        lake.merge(rows.select(ARROW.names), SILVER, ["path", "backbone"])
    return count


def _prune(lake: Lake) -> int:
    """Remove the rows, of every backbone, whose photo left bronze or has another content now. Returns how many."""
    content = F.coalesce("sha256", "error").alias("content")
    photos = lake.read(BRONZE).select("path", content)
    stale = lake.read(SILVER).select("path", "backbone", content).join(photos, ["path", "content"], "leftanti")
    count = stale.count()
    if count:
        lake.merge(stale, SILVER, ["path", "backbone"], delete=True)
    return count


def _compute(lake: Lake, backbone: Backbone, todo: pd.DataFrame, limit: int, before: int | None) -> int:
    """Run the network on photos, a commit per chunk.

    Args:
        lake: holds the photos.
        backbone: the network.
        todo: path and sha256 of the photos, in the order of their path.
        limit: photos in a chunk, at most.
        before: rows of the backbone that have an error already; None where they are to be counted.

    Returns:
        How many of the photos have an error.
    """
    if todo.empty:
        return 0
    if before is None:
        before = _count_errors(lake, backbone.id)
    calibration = ()
    if backbone.precision == "int8":
        calibration = [bytes(row["content"]) for row in _calibration_photos(lake).select("content").collect()]
    network = load_network(backbone, calibration)
    progress, start, size = Progress("silver", len(todo)), 0, min(FIRST_CHUNK, limit)
    while start < len(todo):
        chunk = todo.iloc[start : start + size]
        # Bronze is written in the order of paths: bounds skip its other files, the join picks the photos.
        bounds = F.col("path").between(chunk["path"].iloc[0], chunk["path"].iloc[-1])
        wanted = lake.spark.createDataFrame([*chunk.itertuples(index=False, name=None)], "path string, sha256 string")
        wanted = wanted.hint("broadcast")
        photos = lake.read(BRONZE).where(bounds).join(wanted, ["path", "sha256"], "leftsemi")
        lake.append(compute_features(photos, backbone.id, network, backbone.input_size), SILVER)
        start, size = start + len(chunk), min(4 * size, limit)
        # Counted in what is written: counting the plan again would run the network again.
        errors = _count_errors(lake, backbone.id) - before
        progress.add(len(chunk), errors - progress.errors)
    return errors


def _count_errors(lake: Lake, backbone: str) -> int:
    """Count the rows of a backbone that have an error; by Delta's statistics, files without one are not opened."""
    return features_of(lake, backbone).where("error IS NOT NULL").count()


def _calibration_photos(lake: Lake) -> DataFrame:
    """A fixed choice of Training photos: the ones whose sha256 come first."""
    return (
        lake.read(BRONZE).where("split = 'Training' AND sha256 IS NOT NULL").orderBy("sha256").limit(CALIBRATION_PHOTOS)
    )
