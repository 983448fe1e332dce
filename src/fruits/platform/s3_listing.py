"""Photos in a bucket, from S3's own listing, a request per 1,000 of them.

Spark lists too, but its binaryFile then asks S3 for every single file, even where only its name is wanted.
"""

import os
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fruits.platform.files import EXTENSIONS, is_hidden
from fruits.platform.s3a import is_s3

if TYPE_CHECKING:
    from botocore.client import BaseClient

LEGAL = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-!.~'()*,;:$&+=@/")
ENDINGS = tuple(f".{extension}" for extension in EXTENSIONS)
CONNECT_TIMEOUT, ATTEMPTS = 5, 2  # a server that is away is news after seconds

# Path under the root, URI as Spark writes it, bytes, and when it was written in microseconds since 1970.
Photo = tuple[str, str, int, int]


def list_photos(root: str) -> list[Photo] | None:
    """List the photos under an s3:// URI.

    Returns:
        None for another place, for none there, and where boto3 is missing or may not list: then it is up to Spark.
    """
    if not is_s3(root):
        return None
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
    except ModuleNotFoundError:
        return None
    region = os.environ.get("AWS_REGION")  # boto3 itself reads AWS_DEFAULT_REGION only
    config = Config(connect_timeout=CONNECT_TIMEOUT, retries={"total_max_attempts": ATTEMPTS})
    try:
        return list(_list(boto3.client("s3", region_name=region, config=config), root)) or None
    except (BotoCoreError, ClientError):
        return None


def _list(client: "BaseClient", root: str) -> Iterator[Photo]:
    scheme, _, place = root.partition("://")
    bucket, _, folder = place.partition("/")
    prefix = f"{folder}/" if folder else ""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for each in page.get("Contents", ()):
            path = each["Key"].removeprefix(prefix)
            if _is_photo(path):
                yield path, f"{scheme}://{bucket}/{encode_path(each['Key'])}", each["Size"], _micros(each)


def _is_photo(path: str) -> bool:
    """Whether Spark would list it too."""
    parts = path.split("/")
    return path.lower().endswith(ENDINGS) and all(parts) and not any(map(is_hidden, parts))


def _micros(each: dict[str, Any]) -> int:
    """Tell when an object was written, in whole seconds: that is what S3 says of it where it is read."""
    return int(each["LastModified"].timestamp()) * 1_000_000


def encode_path(path: str) -> str:
    """Write a path in a URI as Java does, and so Spark: letters of any script stay."""
    return "".join(letter if _stays(letter) else quote(letter) for letter in path)


def _stays(letter: str) -> bool:
    return letter in LEGAL or (letter > "\x7f" and unicodedata.category(letter) not in ("Zs", "Zl", "Zp", "Cc"))
