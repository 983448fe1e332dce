"""silver_features -> gold_moments: what a fit needs to know of the photos, kept and refreshed instead of read again."""

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from fruits.platform.progress import report
from fruits.platform.tables import Lake, Table, quote, remembered
from fruits.silver import SILVER, photo_hash
from fruits.stats.moments import (
    Moments,
    measure_moments,
    merge_moments,
    pack_moments,
    subtract_moments,
    unpack_moments,
)

MOMENTS = Table(
    "gold_moments",
    "backbone string, split string, labelled boolean, photos bigint, fingerprint bigint, silver_version bigint, "
    "state binary",
    partition="backbone",
)
PARTIAL = "split string, labelled boolean, gone boolean, state binary"
PARTIAL_ARROW = pa.schema(
    [("split", pa.string()), ("labelled", pa.bool_()), ("gone", pa.bool_()), ("state", pa.binary())]
)
BLOCK = 2048  # photos measured at a time: 21 MB in float64, and a product large enough to be quick
FAN_IN = 8  # states merged by one task, and the most partitions whose states the driver collects


@dataclass(frozen=True)
class Group:
    """Photos whose moments are kept together: one split, labelled or not.

    Attributes:
        split: Training or Test.
        labelled: whether the photos have a label.
        photos: how many.
        fingerprint: hash of which photos, free of order.
        moments: their moments; None while only counted.
    """

    split: str
    labelled: bool
    photos: int
    fingerprint: int
    moments: Moments | None = None


@remembered(SILVER)
def count_groups(lake: Lake) -> dict[str, list[Group]]:
    """Count the photos that have features, per backbone, without reading the features.

    A backbone whose photos all have an error is there, without a group.
    """
    counted = F.col("error").isNull()
    rows = (
        lake.read(SILVER)
        .groupBy("backbone", "split", F.col("label").isNotNull().alias("labelled"))
        .agg(F.count_if(counted).alias("photos"), F.bit_xor(F.when(counted, photo_hash())))
        .collect()
    )
    groups: dict[str, list[Group]] = {}
    # Sorted here: in Spark it is two more jobs. A file that was never read may have no split.
    for backbone, *group in sorted(rows, key=lambda row: (row["backbone"], row["split"] or "", row["labelled"])):
        groups.setdefault(backbone, []).extend([Group(*group)] if group[2] else [])
    return groups


@contextmanager
def refreshed_moments(lake: Lake, backbone: str, groups: list[Group]) -> Iterator[list[Group]]:
    """Bring gold_moments of a backbone up to date with silver_features, and give the groups with their moments.

    `groups` is what count_groups says of the backbone now. The table is written while the block works on the moments,
    and is written when it ends.

    Where the state kept covers other photos than the table holds, the rows that came and went since are taken from
    Delta's change feed; where the feed cannot tell any more (vacuumed, table made anew), all features are read once.
    """
    version = lake.version(SILVER)
    kept, since = _find_kept(lake, backbone)
    if _are_of(kept, groups):
        yield kept
        return
    moments = _follow_changes(lake, backbone, kept, groups, since, version) if kept else None
    if moments is None:
        moments = _measure_all(lake, backbone, groups, version)
    groups = [replace(group, moments=moments[_key(group)]) for group in groups]
    with ThreadPoolExecutor(1) as pool:
        saved = pool.submit(_save, lake, backbone, groups, version, bool(kept))
        yield groups
    saved.result()


def known_moments(lake: Lake, backbone: str, groups: list[Group]) -> list[Group]:
    """Give the groups with their moments: those of gold_moments, where it covers just these photos, else measured now.

    Nothing is written. `groups` is what count_groups says of the backbone now.
    """
    kept, _ = _find_kept(lake, backbone)
    if _are_of(kept, groups):
        return kept
    moments = _measure_all(lake, backbone, groups, lake.version(SILVER))
    return [replace(group, moments=moments[_key(group)]) for group in groups]


def _find_kept(lake: Lake, backbone: str) -> tuple[list[Group], int]:
    """Give the groups that gold_moments holds of a backbone, and the version of silver_features that they cover."""
    # By Arrow: collect() takes half as long again where a row is 7 MB.
    rows = list(lake.read(MOMENTS).where(F.col("backbone") == backbone).toPandas().itertuples(index=False))
    kept = [Group(row.split, row.labelled, row.photos, row.fingerprint, unpack_moments(row.state)) for row in rows]
    return sorted(kept, key=_key), min((row.silver_version for row in rows), default=0)


def _are_of(kept: list[Group], groups: list[Group]) -> bool:
    """Whether kept groups are of just the photos that were counted now."""
    return [replace(group, moments=None) for group in kept] == groups


def _measure_all(lake: Lake, backbone: str, groups: list[Group], version: int) -> dict[tuple[str, bool], Moments]:
    """Measure all features of a backbone, by split and labelled or not."""
    rows = with_features(lake.read(SILVER, version).where(F.col("backbone") == backbone))
    moments = collect_moments(rows.withColumn("gone", F.lit(False)), sum(group.photos for group in groups))
    return {(split, labelled): state for (split, labelled, _), state in moments.items()}


def collect_moments(rows: DataFrame, photos: int | None = None) -> dict[tuple[str, bool, bool], Moments]:
    """Measure features in one pass: per partition in the workers, then merged in a tree.

    Args:
        rows: columns split, label, features and gone (whether the row left the table).
        photos: how many rows there are, where that is known: few need few tasks, and no count of partitions.

    Returns:
        Moments per (split, labelled, gone). However many partitions there are, the driver receives at most FAN_IN
        states of each.
    """
    if photos is not None and photos <= FAN_IN * BLOCK:
        rows, partitions = rows.coalesce(FAN_IN), FAN_IN
    else:
        partitions = rows.select(F.spark_partition_id().alias("partition")).distinct().count()
    partials = rows.select("split", "label", "gone", "features").mapInArrow(_measure_partition, PARTIAL)
    while partitions > FAN_IN:
        partitions = math.ceil(partitions / FAN_IN)
        partials = partials.repartition(partitions).mapInArrow(_merge_partition, PARTIAL)
    merged: dict[tuple[str, bool, bool], Moments] = {}
    for row in partials.collect():
        _add(merged, (row["split"], row["labelled"], row["gone"]), unpack_moments(bytes(row["state"])))
    return merged


def _measure_partition(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Measure the photos of one partition, BLOCK at a time."""
    states: dict[tuple[str, bool, bool], Moments] = {}
    waiting: dict[tuple[str, bool, bool], list[pa.RecordBatch]] = {}

    def measure(key: tuple[str, bool, bool]) -> None:
        table = pa.Table.from_batches(waiting.pop(key))
        features = as_matrix(table["features"])
        _add(states, key, measure_moments(features, table["label"].to_pylist() if key[1] else None))

    for batch in batches:
        keys = pc.is_valid(batch["label"])
        table = pa.Table.from_batches([batch]).append_column("labelled", keys)
        for key in {
            (r["split"], r["labelled"], r["gone"]) for r in table.select(["split", "labelled", "gone"]).to_pylist()
        }:
            mask = (pc.field("split") == key[0]) & (pc.field("labelled") == key[1])
            part = table.filter(mask & (pc.field("gone") == key[2]))
            waiting.setdefault(key, []).extend(part.to_batches())
            if sum(each.num_rows for each in waiting[key]) >= BLOCK:
                measure(key)
    for key in list(waiting):
        measure(key)
    yield _pack(states)


def _merge_partition(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Merge the states of several partitions, one at a time."""
    states: dict[tuple[str, bool, bool], Moments] = {}
    for batch in batches:
        for row in batch.to_pylist():
            _add(states, (row["split"], row["labelled"], row["gone"]), unpack_moments(row["state"]))
    yield _pack(states)


def as_matrix(features: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """View an Arrow column of equally long lists as a float32 or float64 matrix of shape (n, d)."""
    lists = features.combine_chunks() if isinstance(features, pa.ChunkedArray) else features
    return lists.flatten().to_numpy(zero_copy_only=False).reshape(len(lists), -1)


def _add(states: dict, key: tuple, moments: Moments) -> None:
    states[key] = merge_moments(states[key], moments) if key in states else moments


def _pack(states: dict[tuple[str, bool, bool], Moments]) -> pa.RecordBatch:
    rows = [
        {"split": split, "labelled": labelled, "gone": gone, "state": pack_moments(moments)}
        for (split, labelled, gone), moments in states.items()
    ]
    return pa.RecordBatch.from_pylist(rows, schema=PARTIAL_ARROW)


def with_features(rows: DataFrame) -> DataFrame:
    """Rows of silver_features that are no errors."""
    # `error` and not `features`: a test for null would read the column.
    return rows.where("error IS NULL")


def _key(group: Group) -> tuple[str, bool]:
    return group.split, group.labelled


def _save(lake: Lake, backbone: str, groups: list[Group], version: int, again: bool) -> None:
    rows = [
        (backbone, group.split, group.labelled, group.photos, group.fingerprint, version, pack_moments(group.moments))
        for group in groups
    ]
    lake.append_rows(rows, MOMENTS, f"backbone = {quote(backbone)}" if again else None)


def _follow_changes(
    lake: Lake, backbone: str, old: list[Group], groups: list[Group], since: int, until: int
) -> dict[tuple[str, bool], Moments] | None:
    """Add the rows that came and subtract those that went; None where the change feed cannot tell."""
    states = {_key(group): group.moments for group in old}
    try:
        changes = with_features(lake.read_changes(SILVER, since, until).where(F.col("backbone") == backbone))
        changes = changes.withColumn("gone", F.col("_change_type").isin("delete", "update_preimage"))
        counted = _count_changes(changes)
        if not _lead_to(counted, old, groups):
            raise ValueError("it is that of another table")
        changed = collect_moments(changes, sum(row["photos"] for row in counted))
        for gone in (False, True):  # first add, so that nothing is subtracted that is not there yet
            for (split, labelled, left), moments in changed.items():
                if left != gone:
                    continue
                if gone:
                    states[split, labelled] = subtract_moments(states[split, labelled], moments)
                else:
                    _add(states, (split, labelled), moments)
    # Whatever it is: a file the feed needs and VACUUM took is Py4J's error in classic Spark, Spark's own in Connect.
    except Exception as error:
        reason = error if isinstance(error, ValueError) else type(error).__name__
        report(f"gold: the change feed does not help ({reason}); reading all features")
        return None
    return states


def _count_changes(changes: DataFrame) -> list[Row]:
    """Count the rows that came and those that went, with a hash of which they are; reads no features."""
    groups = changes.groupBy("split", F.col("label").isNotNull().alias("labelled"), "gone")
    return groups.agg(F.count("*").alias("photos"), F.bit_xor(photo_hash()).alias("mark")).collect()


def _lead_to(counted: list[Row], old: list[Group], groups: list[Group]) -> bool:
    """Whether the changes lead from the photos kept to those there are now."""
    reached = {_key(group): (group.photos, group.fingerprint) for group in old}
    for split, labelled, gone, photos, mark in counted:
        before = reached.get((split, labelled), (0, 0))
        reached[split, labelled] = before[0] + (-photos if gone else photos), before[1] ^ mark
    now = {_key(group): (group.photos, group.fingerprint) for group in groups}
    return {key: reach for key, reach in reached.items() if reach != (0, 0)} == now
