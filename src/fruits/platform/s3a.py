"""S3 for a session of this machine: Spark on EMR has it, pip's pyspark needs a package and the user's AWS settings."""

import os
import posixpath
import re
from collections.abc import Iterable
from pathlib import Path

import pyspark

from fruits.errors import FruitsError, SettingError

SCHEMES = ("s3://", "s3a://")
FILE_SYSTEM = "org.apache.hadoop.fs.s3a.S3AFileSystem"

# What S3A, or the AWS SDK below it, says, and what that means: whether a setting is wrong, and words for people.
PROBLEMS = (
    (
        r"NoSuchBucket|UnknownStoreException",
        SettingError,
        "there is no such bucket; make it first, or is its name another?",
    ),
    (
        r"Unable to load credentials|NoAwsCredentials|NoAuthWithAWS",
        FruitsError,
        "nobody is logged in to AWS; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|AccessDenied|Status Code: 403",
        FruitsError,
        "S3 refuses this login; check AWS_PROFILE or the keys, and that the role may list, read and write there",
    ),
    (
        r"No FileSystem for scheme|S3AFileSystem not found",
        FruitsError,
        "this Spark session cannot read S3; start it with the package hadoop-aws of its Hadoop",
    ),
    (
        r"Unable to execute HTTP request|ConnectException|UnknownHost",
        FruitsError,
        "S3 does not answer; check the network, and AWS_ENDPOINT_URL_S3 where it is another server",
    ),
)


def is_s3(place: str) -> bool:
    """Whether a setting names something in S3."""
    return place.strip().lower().startswith(SCHEMES)


def hadoop_package() -> str:
    """Name the package with S3's file system, of just the Hadoop that this pyspark has: no other version fits."""
    (hadoop,) = (Path(pyspark.__file__).parent / "jars").glob("hadoop-client-api-*.jar")
    return f"org.apache.hadoop:hadoop-aws:{hadoop.stem.rpartition('-')[2]}"


def session_settings(places: Iterable[str]) -> dict[str, str]:
    """Settings of a local session that has to reach S3; none where no place is there.

    Login, region and endpoint are those of every other AWS tool: environment, profile, AWS_REGION, AWS_ENDPOINT_URL_S3.
    """
    if not any(is_s3(place) for place in places):
        return {}
    settings = {
        "spark.hadoop.fs.s3.impl": FILE_SYSTEM,
        "spark.hadoop.fs.s3a.aws.credentials.provider": (
            "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider"
        ),
        # A server that is away is news after seconds, not after the many minutes that suit a cluster.
        "spark.hadoop.fs.s3a.attempts.maximum": "2",
        "spark.hadoop.fs.s3a.retry.limit": "2",
        "spark.hadoop.fs.s3a.connection.establish.timeout": "5s",
    }
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if region:
        settings["spark.hadoop.fs.s3a.endpoint.region"] = region
    if endpoint:  # another server than Amazon's: few of them have a host name for each bucket
        settings["spark.hadoop.fs.s3a.endpoint"] = endpoint
        settings["spark.hadoop.fs.s3a.path.style.access"] = "true"
    return settings


def explain(error: Exception, place: str) -> FruitsError | None:
    """Say in one line why something in S3 could not be reached; None for an error that is about something else."""
    if is_s3(place):
        for pattern, kind, words in PROBLEMS:
            if re.search(pattern, str(error)):
                return kind(f"{place!r}: {words}")
    return None


def artifacts_beside(lake: str) -> str:
    """Name the place of MLflow's artifacts for a lake in S3: `s3://bucket/mlflow` for `s3://bucket/lake`."""
    bucket, _, key = lake.partition("://")[2].partition("/")
    return "s3://" + posixpath.join(bucket, posixpath.dirname(key), "mlflow")
