"""A release into the bucket of a stack. Nothing that is published is overwritten with other content.

release.json goes last and says what is published: a publish that was stopped before it has published nothing, and the
same command again continues. Every write has a condition, that what was looked at is still so: of two publishes at
once, one ends with an error and neither overwrites the other.
"""

import hashlib
import io
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fruits.errors import FruitsError
from fruits.platform.aws import Stack, error_code
from fruits.platform.emr_release import LIST, NETWORKS, list_architectures, read_list
from fruits.platform.emr_requests import release_uri
from fruits.platform.progress import Progress, report
from fruits.platform.s3_upload import check_bucket, encode_checksum, find_object, is_file
from fruits.platform.upload import PAUSE, hash_file

if TYPE_CHECKING:
    from botocore.client import BaseClient

    from fruits.platform.aws import Aws

OVERTAKEN = ("PreconditionFailed", "ConditionalRequestConflict")


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
    published, unchanged = place.read_published()
    _compare(version, built["files"], published["files"] if published else {})
    missing = place.find_missing(built["files"])
    size = sum(built["files"][name]["size"] for name in missing)
    place.send(folder, built["files"], missing)
    if missing and (replaced := place.find_missing(built["files"])):
        raise place.overtaken(next(iter(replaced)))
    about = _join(built, published)
    if about != published:
        place.write_list(about, unchanged)
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
    """Where a release is in a bucket.

    A condition of a write is what S3 takes beside it: that there is nothing yet, or still just what was looked at.
    """

    def __init__(self, client: "BaseClient", bucket: dict[str, str], prefix: str) -> None:
        self._client, self._bucket, self._prefix = client, bucket, prefix

    def read_published(self) -> tuple[dict[str, Any] | None, dict[str, str]]:
        """Read the release.json that is there, None for none, and give the condition of its next write.

        Raises:
            FruitsError: there is something else of that name.
        """
        from botocore.exceptions import ClientError

        try:
            found = self._client.get_object(**self._bucket, Key=self._prefix + LIST)
            return read_list(found["Body"].read()), {"IfMatch": found["ETag"]}
        except ClientError as error:
            if error_code(error) != "NoSuchKey":
                raise
            return None, {"IfNoneMatch": "*"}
        except ValueError:
            raise FruitsError(
                f"{self._name(LIST)} is not what `fruits emr publish` writes; publish another version"
            ) from None

    def find_missing(self, files: Mapping[str, Any]) -> dict[str, dict[str, str]]:
        """Name the files that are not there with their content, each with the condition of its write."""
        found = {name: find_object(self._client, self._bucket, self._prefix + name) for name in files}
        return {
            name: {"IfMatch": there["ETag"]} if there else {"IfNoneMatch": "*"}
            for name, there in found.items()
            if not is_file(there, files[name])
        }

    def send(self, folder: Path, files: Mapping[str, Any], missing: Mapping[str, dict[str, str]]) -> None:
        """Send files, each whole: of a file in parts S3 has no checksum that tells what is in it."""
        told = _Told(sum(files[name]["size"] for name in missing))
        for name, condition in missing.items():
            with _Sent(folder / name, told) as content:
                self._write(name, content, files[name], condition)
        told.tell(0, last=True)

    def write_list(self, about: dict[str, Any], condition: dict[str, str]) -> None:
        """Write release.json, which makes the release one."""
        content = (json.dumps(about, indent=2) + "\n").encode()
        described = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        self._write(LIST, content, described, condition)

    def _write(self, name: str, content: bytes | io.FileIO, about: Mapping[str, Any], condition: dict) -> None:
        from botocore.exceptions import ClientError

        key, checksum = self._prefix + name, encode_checksum(bytes.fromhex(about["sha256"]))
        try:
            self._client.put_object(
                **self._bucket,
                Key=key,
                Body=content,
                ChecksumAlgorithm="SHA256",
                ChecksumSHA256=checksum,  # S3 compares it with what arrives, and keeps it
                **condition,
            )
        except ClientError as error:
            if error_code(error) not in OVERTAKEN:
                raise
            # Where an answer was lost, boto3 wrote it twice, and the first time is what the second one met.
            if not is_file(find_object(self._client, self._bucket, key), about):
                raise self.overtaken(name) from None

    def overtaken(self, name: str) -> FruitsError:
        """Say that somebody else writes there."""
        return FruitsError(
            f"{self._name(name)} was written by another publish of this version meanwhile; "
            "the same command again, once that has ended, says whether both have the same"
        )

    def _name(self, name: str) -> str:
        return f"s3://{self._bucket['Bucket']}/{self._prefix}{name}"


class _Sent(io.FileIO):
    """A file that says how it goes while it is read; where a call is repeated, from its start again."""

    def __init__(self, file: Path, told: "_Told") -> None:
        super().__init__(file)
        self._told, self._before = told, told.done

    def read(self, size: int = -1) -> bytes:
        content = super().read(size)
        self._told.tell(self._before + self.tell())
        return content


class _Told:
    """Says now and then how many bytes were sent."""

    def __init__(self, size: int) -> None:
        self._progress, self._time = Progress("publish", round(size / 1e6), "MB"), time.monotonic()
        self.done = 0

    def tell(self, done: int, last: bool = False) -> None:
        self.done = max(self.done, done)
        if self.done and (last or time.monotonic() - self._time > PAUSE):
            self._progress.add(round(self.done / 1e6) - self._progress.done)
            self._time = time.monotonic()
