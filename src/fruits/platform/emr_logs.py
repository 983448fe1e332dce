"""What a run's driver wrote, from S3: EMR puts it there every minute or so, a cluster every five."""

import re
import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fruits.platform.emr_serverless import is_cluster

if TYPE_CHECKING:
    from botocore.client import BaseClient

    from fruits.platform.aws import Aws
    from fruits.platform.emr_serverless import Run

PROGRESS = re.compile(r"(bronze|silver|gold|compare|tracking): ")
OUR_ERROR = re.compile(r"fruits: ")
ANY_ERROR = re.compile(r"(Caused by: )?([\w.]+\.)?\w*(Error|Exception)\b")
DRIVER = "/SPARK_DRIVER/"
SET_UP = "/bootstrap-actions/"  # where a node says why it could not be set up


@dataclass(frozen=True)
class Log:
    """One file of a run's logs.

    Attributes:
        uri: where it is.
        written: when it came there.
        lines: of text.
    """

    uri: str
    written: datetime
    lines: list[str]


def read_logs(aws: "Aws", run: "Run") -> dict[str, Log]:
    """Read what the driver wrote so far; where a cluster never came so far, what setting up its nodes wrote.

    Returns:
        stdout and stderr, without those that are not there.
    """
    bucket, _, prefix = run.logs.removeprefix("s3://").partition("/")
    client = aws.client("s3")
    places = [(f"{prefix}steps/", "/"), (f"{prefix}node/", SET_UP)] if is_cluster(run.id) else [(prefix, DRIVER)]
    for start, where in places:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=start)
        files = [each for page in pages for each in page.get("Contents", []) if where in each["Key"]]
        newest = {_name(each["Key"]): each for each in sorted(files, key=lambda each: each["LastModified"])}
        if found := {name: newest[name] for name in ("stdout", "stderr") if name in newest}:
            return {name: _read(client, bucket, each) for name, each in found.items()}
    return {}


def last_progress(logs: dict[str, Log]) -> str:
    """Give the newest line that a step said of itself; '' for none."""
    return next((line for line in reversed(_lines(logs, "stderr")) if PROGRESS.match(line)), "")


def find_cause(logs: dict[str, Log]) -> str:
    """Give the line that says best why a run failed: the chain's own last word, an exception, or simply the last."""
    lines = [line for line in _lines(logs, "stderr") if line.strip()]
    for pattern in (OUR_ERROR, ANY_ERROR):
        if found := next((line for line in reversed(lines) if pattern.match(line)), None):
            return found.strip()[:300]
    return lines[-1].strip()[:300] if lines else ""


def _lines(logs: dict[str, Log], name: str) -> list[str]:
    return logs[name].lines if name in logs else []


def _name(key: str) -> str:
    return key.rpartition("/")[2].removesuffix(".gz")


def _read(client: "BaseClient", bucket: str, file: dict[str, Any]) -> Log:
    content = client.get_object(Bucket=bucket, Key=file["Key"])["Body"].read()
    text = b""
    while content[:2] == b"\x1f\x8b":  # one compressed part after the other, the last one perhaps cut short
        part = zlib.decompressobj(wbits=31)
        text += part.decompress(content)
        content = part.unused_data
    lines = (text or content).decode(errors="replace").splitlines()
    return Log(f"s3://{bucket}/{file['Key']}", file["LastModified"], lines)
