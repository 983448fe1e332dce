"""A release into the bucket of a stack. Nothing that is published is overwritten with other content.

release.json goes last and says what is published: a publish that was stopped before it has published nothing, and the
same command again continues.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from fruits.errors import FruitsError
from fruits.platform.aws import Stack, error_code
from fruits.platform.emr_release import LIST, NETWORKS, list_architectures, read_list
from fruits.platform.emr_requests import release_uri
from fruits.platform.progress import Progress, report
from fruits.platform.s3_upload import check_bucket
from fruits.platform.upload import PAUSE, hash_file

if TYPE_CHECKING:
    from botocore.client import BaseClient

    from fruits.platform.aws import Aws

SHA256 = "sha256"  # metadata of an object: S3's own checksum of a large one is that of its parts


def read_built(version: str, folder: Path) -> dict[str, Any]:
    """Read the release.json of a built release, and compare every file with it.

    Raises:
        FruitsError: nothing was built, or something is not as it was built.
    """
    again = "`fruits emr build` makes it anew"
    try:
        about = read_list((folder / LIST).read_text())
    except FileNotFoundError:
        raise FruitsError(f"release {version} is not in {str(folder)!r}; `fruits emr build` makes it") from None
    except (OSError, ValueError):
        raise FruitsError(f"{str(folder / LIST)!r} is not what `fruits emr build` writes; {again}") from None
    report(f"publish: checking {len(about['files'])} files of {str(folder)!r}")
    for name, each in about["files"].items():
        file = folder / name
        if not file.is_file():
            raise FruitsError(f"{str(file)!r} is not there; {again}")
        if file.stat().st_size != each["size"] or hash_file(file) != each["sha256"]:
            raise FruitsError(f"{str(file)!r} is not as it was built (its sha256 is another); {again}")
    return about


def publish_release(aws: "Aws", stack: Stack, version: str, folder: Path) -> dict[str, Any]:
    """Bring a built release into the stack's bucket.

    Returns:
        version, destination, architectures, networks (places, for --weights), files, sent, skipped, bytes (sent),
        seconds.

    Raises:
        FruitsError: what read_built raises; no such bucket or somebody else's; the version is published with other
            content.
    """
    start = time.monotonic()
    if not stack.bucket:
        raise FruitsError(f"stack {stack.name!r} has no output Bucket; `fruits emr deploy` again gives it one")
    built = read_built(version, folder)
    client = aws.client("s3")
    bucket = {"Bucket": stack.bucket, "ExpectedBucketOwner": check_bucket(aws, client, stack.bucket)}
    place = _Place(client, bucket, f"releases/{version}/")
    published = place.read_published()
    _compare(version, built["files"], published["files"] if published else {})
    missing = [name for name, each in built["files"].items() if not place.has(name, each)]
    size = sum(built["files"][name]["size"] for name in missing)
    place.send(folder, {name: built["files"][name] for name in missing})
    about = _join(built, published)
    if about != published:
        place.write_list(about)
    if stack.architecture and stack.architecture.lower() not in about["architectures"]:
        other = stack.architecture.lower()
        report(
            f"publish: stack {stack.name!r} runs on {other}; `fruits emr build --architecture {other}` and publish "
            "again add what that needs"
        )
    return {
        "version": version,
        "destination": release_uri(stack.bucket, version),
        "architectures": about["architectures"],
        "networks": [release_uri(stack.bucket, version, name) for name in about["files"] if name.startswith(NETWORKS)],
        "files": len(built["files"]),
        "sent": len(missing),
        "skipped": len(built["files"]) - len(missing),
        "bytes": size,
        "seconds": round(time.monotonic() - start, 1),
    }


def _compare(version: str, built: Mapping[str, Any], published: Mapping[str, Any]) -> None:
    other = [name for name in built if name in published and published[name]["sha256"] != built[name]["sha256"]]
    if other:
        more = f" and {len(other) - 1} more" if len(other) > 1 else ""
        raise FruitsError(
            f"release {version} is published with another {other[0]}{more}, and what is published stays as it is; "
            "change `version` in pyproject.toml and src/fruits/__init__.py, then build and publish"
        )


def _join(built: dict[str, Any], published: dict[str, Any] | None) -> dict[str, Any]:
    """Add what is built to what is published, perhaps from another machine."""
    if published is None:
        return built
    files = dict(sorted((published["files"] | built["files"]).items()))
    return published | {"files": files, "architectures": list_architectures(files)}


class _Place:
    """Where a release is in a bucket."""

    def __init__(self, client: "BaseClient", bucket: dict[str, str], prefix: str) -> None:
        self._client, self._bucket, self._prefix = client, bucket, prefix

    def read_published(self) -> dict[str, Any] | None:
        """Read the release.json that is there; None for none.

        Raises:
            FruitsError: there is something else of that name.
        """
        from botocore.exceptions import ClientError

        try:
            return read_list(self._client.get_object(**self._bucket, Key=self._prefix + LIST)["Body"].read())
        except ClientError as error:
            if error_code(error) != "NoSuchKey":
                raise
            return None
        except ValueError:
            uri = f"s3://{self._bucket['Bucket']}/{self._prefix}{LIST}"
            raise FruitsError(f"{uri} is not what `fruits emr publish` writes; publish another version") from None

    def has(self, name: str, about: Mapping[str, Any]) -> bool:
        """Whether a file is there with its content."""
        from botocore.exceptions import ClientError

        try:
            found = self._client.head_object(**self._bucket, Key=self._prefix + name)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                raise
            return False
        return found["ContentLength"] == about["size"] and found["Metadata"].get(SHA256) == about["sha256"]

    def send(self, folder: Path, files: Mapping[str, Any]) -> None:
        """Send files, the large ones in parts; S3 checks each part."""
        told = _Told(sum(each["size"] for each in files.values()))
        for name, each in files.items():
            more = {
                "ChecksumAlgorithm": "SHA256",
                "ExpectedBucketOwner": self._bucket["ExpectedBucketOwner"],
                "Metadata": {SHA256: each["sha256"]},
            }
            place = (self._bucket["Bucket"], self._prefix + name)
            self._upload(folder / name, place, more, told)
        told.tell(last=True)

    def _upload(self, file: Path, place: tuple[str, str], more: dict[str, Any], told: "_Told") -> None:
        from boto3.exceptions import S3UploadFailedError

        try:
            self._client.upload_file(str(file), *place, ExtraArgs=more, Callback=told.add)
        except S3UploadFailedError as error:
            raise (error.__context__ or error) from None  # AWS' own error, which has a code

    def write_list(self, about: dict[str, Any]) -> None:
        """Write release.json, which makes the release one."""
        content = (json.dumps(about, indent=2) + "\n").encode()
        self._client.put_object(**self._bucket, Key=self._prefix + LIST, Body=content, ChecksumAlgorithm="SHA256")


class _Told:
    """Says how it goes while parts arrive from several threads."""

    def __init__(self, size: int) -> None:
        self._progress, self._lock = Progress("publish", round(size / 1e6), "MB"), Lock()
        self._bytes, self._time = 0, time.monotonic()

    def add(self, size: int) -> None:
        with self._lock:
            self._bytes += size
            if time.monotonic() - self._time > PAUSE:
                self.tell()

    def tell(self, last: bool = False) -> None:
        done = round(self._bytes / 1e6) - self._progress.done
        if done or (last and self._bytes):
            self._progress.add(done)
        self._time = time.monotonic()
