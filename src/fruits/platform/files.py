"""Single files, wherever they are, and the folders of photos on this machine."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from fruits.errors import SettingError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

EXTENSIONS = ("jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif")


def cache_folder() -> Path:
    """Folder of this user for what can be made or fetched again; `FRUITS_CACHE` moves it."""
    return Path(os.environ.get("FRUITS_CACHE", platformdirs.user_cache_dir("fruits")))


def walk_photos(root: str | Path) -> Iterator[Path]:
    """Give every photo under a folder, by the names that Spark's listing of it would give, in an order near theirs."""
    for folder, folders, files in os.walk(root, followlinks=True):
        folders[:] = sorted((name for name in folders if not is_hidden(name)), key=lambda name: f"{name}/")
        for name in sorted(files):
            if name.rpartition(".")[2].lower() in EXTENSIONS and not is_hidden(name):
                yield Path(folder, name)


def is_hidden(name: str) -> bool:
    """Whether Spark passes over a file or folder of this name."""
    return name.startswith(".") or (name.startswith("_") and "=" not in name) or name.endswith("._COPYING_")


def fetch(spark: "SparkSession", place: str) -> str:
    """Give a local path for a file: itself, or a cached copy of what a URI names, read through Spark.

    Raises:
        SettingError: nothing is there.
    """
    from fruits.platform.tables import URI

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
