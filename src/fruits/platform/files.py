"""Single files, wherever they are."""

import hashlib
import os
from pathlib import Path

import platformdirs
from pyspark.sql import SparkSession

from fruits.errors import SettingError
from fruits.platform.tables import URI


def cache_folder() -> Path:
    """Folder of this user for what can be made or fetched again; `FRUITS_CACHE` moves it."""
    return Path(os.environ.get("FRUITS_CACHE", platformdirs.user_cache_dir("fruits")))


def fetch(spark: SparkSession, place: str) -> str:
    """Give a local path for a file: itself, or a cached copy of what a URI names, read through Spark.

    Raises:
        SettingError: nothing is there.
    """
    if not URI.match(place):
        return place
    try:
        content = bytes(spark.read.format("binaryFile").load(place).select("content").first()["content"])
    except Exception as error:
        raise SettingError(f"{place!r} could not be read ({str(error).splitlines()[0][:200]})") from None
    copy = cache_folder() / "fetched" / (hashlib.sha256(content).hexdigest()[:16] + Path(place).suffix)
    if not copy.is_file():
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(content)
    return str(copy)
