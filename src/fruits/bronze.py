"""Photos -> bronze_images: one row per file, its bytes never altered, only what changed is read."""

import math
import os
import posixpath
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pandas as pd
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from fruits.errors import FruitsError, SettingError
from fruits.platform import s3_listing, s3a
from fruits.platform.files import EXTENSIONS, walk_photos
from fruits.platform.progress import Progress
from fruits.platform.tables import URI, Lake, Table, quote
from fruits.settings import Settings

BRONZE = Table(
    "bronze_images",
    "path string, length bigint, modification_time timestamp, sha256 string, label string, split string, "
    "error string, content binary",
)
PHOTOS_PER_FILE = 256  # packed together, a listing of bronze and a scan of it cost a file's price 256 times less
BYTES_PER_FILE = 64 * 2**20
FILES = 16  # at least, of no less than 32 photos each: silver's tasks are whole files, and few large ones are unequal
VOLUMES = "/Volumes/"  # of Databricks: folders to Python too, but each look at a file is a call to a store
SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:/+")


def ingest_photos(spark: SparkSession, settings: Settings) -> dict[str, Any]:
    """Bring bronze_images up to date with the photo folder.

    Discovery is a listing joined with what bronze knows: path, length and modification time; no file is opened. New and
    changed files are then read, in chunks that are one commit each. Files that left the folder leave bronze only under
    `sync=mirror`.

    Returns:
        Counts of files: listed, new, changed, unchanged, gone (no longer in the folder), removed (gone, under mirror),
        errors (rows without a content written by this run).

    Raises:
        SettingError: no folder is named, or it is not there.
        FruitsError: the folder holds no photo.
    """
    root = locate_photos(settings.images)
    lake = Lake(spark, settings.lake)
    listing = list_photos(spark, root)
    known_before, differences = 0, listing.withColumn("status", F.lit("new"))
    if lake.exists(BRONZE):
        known = lake.read(BRONZE)
        known_before, differences = known.count(), find_differences(listing, known, settings)
    micros = F.unix_micros("modification_time").alias("micros")  # a number goes there and back in any time zone
    differences = differences.select("path", "uri", "length", micros, "status").toPandas()
    differences = differences.sort_values(["status", "uri"])
    todo = differences[differences["status"] != "gone"]
    gone = differences[differences["status"] == "gone"]["path"]
    counts = {status: int((differences["status"] == status).sum()) for status in ("new", "changed", "gone")}
    unchanged = known_before - counts["changed"] - counts["gone"]
    if unchanged + len(todo) == 0:
        raise FruitsError(
            f"no photo under images={settings.images!r}; photos end in {', '.join(EXTENSIONS)} "
            "and lie as [<split>/]<label>/<file>"
        )
    progress = Progress("bronze", len(todo))
    for status, files in todo.groupby("status", sort=True):
        photos = scan_photos(spark, root)  # lists them, so only where some are to be read
        for start in range(0, len(files), settings.chunk):
            chunk = files.iloc[start : start + settings.chunk]
            rows = read_photos(photos, root, chunk, known_before == 0, settings)
            replace = f"path IN ({', '.join(map(quote, chunk['path']))})" if status == "changed" else None
            lake.append(rows, BRONZE, replace)
            progress.add(len(chunk))
    is_whole = not len(todo) or lake.read(BRONZE).count() == known_before + counts["new"]
    errors = 0 if is_whole else _record_unread(lake, todo, settings)
    removed = 0
    if settings.sync == "mirror" and len(gone):
        lake.merge(spark.createDataFrame([(path,) for path in gone], "path string"), BRONZE, ["path"], delete=True)
        removed = len(gone)
    return {"listed": unchanged + len(todo), **counts, "unchanged": unchanged, "removed": removed, "errors": errors}


def locate_photos(images: str) -> str:
    """Check the photo folder and make it absolute; a URI is only tidied, as Spark does that names files by it.

    Raises:
        SettingError: nothing named, or no such folder.
    """
    if not images.strip():
        raise SettingError("images is empty; say where the photos are: images=./photos or images=s3://bucket/photos")
    if URI.match(images):
        scheme, path = images.strip().split(":", 1)
        return f"{scheme}:{posixpath.normpath(path)}"
    folder = Path(os.path.abspath(Path(images).expanduser()))  # without `..`, as Spark will name it
    if not folder.is_dir():
        raise SettingError(f"images={images!r} is not a folder; it holds the photos as [<split>/]<label>/<file>")
    return str(folder)


def scan_photos(spark: SparkSession, root: str) -> DataFrame:
    """Describe every photo under a root as Spark's binaryFile rows; a column not selected costs no reading."""
    glob = ",".join("".join(f"[{letter}{letter.upper()}]" for letter in extension) for extension in EXTENSIONS)
    return (
        spark.read.format("binaryFile")
        # The root is a name, not a pattern; a label `a=b` is a folder, not a partition.
        .options(recursiveFileLookup="true", pathGlobFilter=f"*.{{{glob}}}")
        # A file may vanish or turn unreadable between the listing and the reading: it gets a row, not a crash.
        .options(ignoreMissingFiles="true", ignoreCorruptFiles="true")
        .load(re.sub(r"([\\{}\[\]*?])", r"\\\1", root))
    )


def list_photos(spark: SparkSession, root: str) -> DataFrame:
    """List photos without opening them: path under the root, uri, length, modification_time (null if it is empty)."""
    if found := s3_listing.list_photos(root):
        listed = spark.createDataFrame(found, "path string, uri string, length bigint, micros bigint")
        written = F.when(F.col("length") > 0, F.timestamp_micros("micros"))
        return listed.select("path", "uri", "length", written.alias("modification_time"))
    try:
        photos = scan_photos(spark, root)
        photos.schema  # noqa: B018 - Connect looks for the folder only when something is asked
    except Exception as error:
        if "PATH_NOT_FOUND" in str(error):
            raise SettingError(
                f"images={root!r} is not there; it holds the photos as [<split>/]<label>/<file>"
            ) from None
        raise s3a.explain(error, root) or error from None
    # Without its content a file costs nothing to "read", a task costs some: few tasks.
    listing = photos.select(
        relative_path(F.col("path"), root).alias("path"),
        F.col("_metadata.file_path").alias("uri"),  # percent-encoded, and the one name a filter prunes files by
        "length",
        F.col("modificationTime").alias("modification_time"),
    ).coalesce(4)
    is_remote = URI.match(root) or root.startswith(VOLUMES)
    empty = _find_empty(photos, listing, root) if is_remote else _walk_empty(root)
    if not empty:
        return listing
    rows = [(path, uri, 0, None) for path, uri in empty.items()]
    schema = "path string, uri string, length bigint, modification_time timestamp"
    return listing.union(spark.createDataFrame(rows, schema))


def _walk_empty(root: str) -> dict[str, str]:
    """Find the photos of 0 bytes under a local root, path to uri: Spark gives no row for them."""
    empty = (file for file in walk_photos(root) if _is_empty(file))
    return {str(file.relative_to(root)): file.as_uri().replace("file:///", "file:/") for file in empty}


def _is_empty(file: Path) -> bool:
    try:
        return file.stat().st_size == 0
    except OSError:  # gone since it was named, or a link to nowhere
        return False


def _find_empty(photos: DataFrame, listing: DataFrame, root: str) -> dict[str, str]:
    """Find the photos of 0 bytes under a URI, path to uri: Spark gives no row for them, but names them."""
    names = photos.inputFiles()
    if listing.count() == len(names):
        return {}
    filled = {row["path"] for row in listing.select("path").collect()}
    paths = {SCHEME.sub("/", unquote(name))[_prefix_length(root) :]: name for name in names}
    return {path: name for path, name in paths.items() if path not in filled}


def relative_path(path: Column, root: str) -> Column:
    """Name a file from the photo root on; `path` is a full URI whose scheme may be spelt otherwise than the root's."""
    start = _prefix_length(root) + 1
    return F.substring(F.regexp_replace(path, SCHEME.pattern, "/"), start, 2**31 - 1 - start)


def _prefix_length(root: str) -> int:
    """Count the characters before a file's path under the root, its scheme left out."""
    return len(SCHEME.sub("/", root).rstrip("/")) + 1


def label_of(path: Column) -> Column:
    """Name the fruit after the folder that holds the photo; null for a photo in no folder but a split's."""
    folders = F.split(F.regexp_replace(path, r"^(Training|Test)/", ""), "/")
    return F.when(F.size(folders) > 1, F.element_at(folders, F.greatest(F.size(folders) - 1, F.lit(1))))


def split_of(path: Column, sha256: Column, test_fraction: float) -> Column:
    """Read the split from the first folder, or draw it from the content, so that copies of a photo stay together."""
    draw = F.conv(F.substring(sha256, 1, 8), 16, 10).cast("double") / 2**32
    folder = F.regexp_extract(path, r"^(Training|Test)/", 1)
    drawn = F.when(draw < test_fraction, "Test").otherwise("Training")
    return F.when(folder != "", folder).otherwise(drawn)


def find_differences(listing: DataFrame, known: DataFrame, settings: Settings) -> DataFrame:
    """Compare the folder with bronze; a file that a setting moves counts as changed.

    Returns:
        path, uri, length, modification_time and status (new, changed, gone) of each file that differs.
    """
    split = split_of(F.col("path"), F.col("sha256"), settings.test_fraction)
    fits_now = F.col("error").contains(" more than max_bytes=") & (F.col("length") <= settings.max_bytes)
    old = known.select(
        "path",
        F.col("length").alias("old_length"),
        F.col("modification_time").alias("old_time"),
        ((F.col("split") != split) | F.coalesce(fits_now, F.lit(False))).alias("is_moved"),
    )
    changed = (
        (F.col("length") != F.col("old_length")) | (F.col("modification_time") != F.col("old_time")) | F.col("is_moved")
    )
    status = F.when(F.col("old_length").isNull(), "new").when(F.col("length").isNull(), "gone").when(changed, "changed")
    compared = listing.join(old, "path", "full")
    compared = compared.select("path", "uri", "length", "modification_time", status.alias("status"))
    return compared.where("status IS NOT NULL")


def read_photos(photos: DataFrame, root: str, chunk: pd.DataFrame, whole: bool, settings: Settings) -> DataFrame:
    """Read one chunk of files as bronze rows.

    Args:
        photos: what scan_photos gives.
        root: the located photo root.
        chunk: columns uri (sorted) and length.
        whole: the chunk is all there is between its first and its last uri, so that two bounds name it.
        settings: max_bytes and test_fraction count.
    """
    uris = [quote(uri) for uri in chunk["uri"]]
    # A condition on _metadata.file_path prunes files before any is opened; one on path would open them all.
    named = f"_metadata.file_path BETWEEN {uris[0]} AND {uris[-1]}"
    if not whole:
        named += f" AND _metadata.file_path IN ({', '.join(uris)})"
    n, size = len(chunk), chunk["length"].sum()
    files = math.ceil(max(n / PHOTOS_PER_FILE, size / BYTES_PER_FILE, min(n / 32, FILES)))
    path = relative_path(F.col("path"), root)
    return (
        photos.where(named)
        .where(F.col("length") <= settings.max_bytes)
        .select(path.alias("path"), "length", "modificationTime", F.sha2("content", 256).alias("sha256"), "content")
        .select(
            "path",
            "length",
            F.col("modificationTime").alias("modification_time"),
            "sha256",
            label_of(F.col("path")).alias("label"),
            split_of(F.col("path"), F.col("sha256"), settings.test_fraction).alias("split"),
            F.lit(None).cast("string").alias("error"),
            "content",
        )
        .coalesce(files)
    )


def _record_unread(lake: Lake, todo: pd.DataFrame, settings: Settings) -> int:
    """Give every file that was to be read and was not a row that says why; returns how many.

    The files are taken as they were listed: one that vanished since is in no new listing.
    """
    listed = [
        (path, int(length), None if pd.isna(micros) else int(micros))
        for path, length, micros in zip(todo["path"], todo["length"], todo["micros"], strict=True)
    ]
    wanted = lake.spark.createDataFrame(listed, "path string, length bigint, micros bigint")
    unread = wanted.join(lake.read(BRONZE).select("path"), "path", "leftanti")
    too_large = F.format_string(f"%d bytes, more than max_bytes={settings.max_bytes}", "length")
    nothing = F.lit(None).cast("string")
    rows = unread.select(
        "path",
        "length",
        F.timestamp_micros("micros").alias("modification_time"),
        nothing.alias("sha256"),
        label_of(F.col("path")).alias("label"),
        split_of(F.col("path"), nothing, settings.test_fraction).alias("split"),
        F.when(F.col("length") > settings.max_bytes, too_large)
        .when(F.col("length") == 0, "empty file")
        .otherwise("file could not be read")
        .alias("error"),
        nothing.cast("binary").alias("content"),
    )
    errors = rows.count()
    if errors:
        lake.append(rows, BRONZE)
    return errors
