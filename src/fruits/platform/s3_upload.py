"""A folder of photos into a bucket: what is there with the same content is skipped, what is sent is checked by S3.

No record is kept, as a volume of Databricks needs one: a listing has the MD5 of what was put in one piece (its ETag),
which `put_object` always does. Where the bucket encrypts with a key of KMS the ETag is another number; then the object
itself is asked for the SHA-256 it was sent with.
"""

import base64
import hashlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO

from fruits.errors import FruitsError, SettingError
from fruits.platform.aws import WAYS_OUT, error_code
from fruits.platform.upload import LARGE, THREADS, Photo, Tally, count_photos, in_threads, is_text, sum_up, walk_folder

if TYPE_CHECKING:
    from botocore.client import BaseClient

    from fruits.platform.aws import Aws

PLACE = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", re.S)
LAST = chr(0x10FFFF)  # no key comes after it

# Size in bytes and ETag of an object.
Found = tuple[int, str]


def upload_photos(aws: "Aws", folder: str, destination: str) -> dict[str, Any]:
    """Bring the photos of a folder into a bucket, each where it lies in the folder; nothing is removed there.

    However many photos and keys there are, a page of 1,000 keys is held at a time.

    Returns:
        destination, photos, sent, skipped, bytes (sent), seconds, and failed: path and error of each that is not there.

    Raises:
        SettingError: no such folder, or a destination that is no place in S3.
        FruitsError: no photo, no such bucket, somebody else's, one in another region, or S3 no longer answers.
    """
    start = time.monotonic()
    bucket, prefix = split_destination(destination)
    photos = count_photos(folder)
    client = aws.client("s3", connections=THREADS)
    # boto3 first asks S3 whether a photo may come, which costs a round trip more than sending it.
    client.meta.events.register_last("before-call.s3.PutObject", _send_at_once)
    owner = check_bucket(aws, client, bucket)
    upload = _Upload(client, {"Bucket": bucket, "ExpectedBucketOwner": owner}, prefix, photos)
    upload.bring_all(folder)
    place = f"s3://{bucket}/{prefix}"
    return sum_up(place, photos, upload.sent, upload.sent_bytes, upload.tally.failed, start)


def split_destination(destination: str) -> tuple[str, str]:
    """Give bucket and prefix of s3://bucket/folder; the prefix ends in /, or is empty.

    Raises:
        SettingError: it is no place in S3.
    """
    place = PLACE.fullmatch(destination.strip())
    if place is None:
        raise SettingError(f"{destination!r} is not a place in S3; give s3://BUCKET/photos/")
    folders = [name for name in (place[2] or "").split("/") if name]
    return place[1], "".join(f"{name}/" for name in folders)


def check_bucket(aws: "Aws", client: "BaseClient", bucket: str) -> str:
    """See that a bucket is this account's and in the region logged in to; returns the account.

    Raises:
        FruitsError: it is not.
    """
    from botocore.exceptions import ClientError

    owner = aws.client("sts").get_caller_identity()["Account"]
    try:
        answer = client.head_bucket(Bucket=bucket, ExpectedBucketOwner=owner)
    except ClientError as error:
        said = {
            404: f"bucket {bucket!r} is not there; `fruits emr deploy` makes the stack's, --to s3://… takes another",
            403: f"bucket {bucket!r} is not of account {owner}, or this login may not see it; nothing was sent",
        }.get(error.response["ResponseMetadata"]["HTTPStatusCode"])
        if said is None:
            raise
        raise FruitsError(said) from None
    region = answer.get("BucketRegion", aws.region)
    if region != aws.region:
        raise FruitsError(f"bucket {bucket!r} is in {region}, not in {aws.region}; give --region {region}")
    return owner


def find_object(client: "BaseClient", bucket: dict[str, str], key: str) -> dict[str, Any] | None:
    """Ask for size, ETag and checksum of an object; None if there is none."""
    from botocore.exceptions import ClientError

    try:
        return client.head_object(**bucket, Key=key, ChecksumMode="ENABLED")
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        return None


def is_file(found: dict[str, Any] | None, about: Mapping[str, Any]) -> bool:
    """Whether an object, as find_object gives it, is the file of a size and a sha256."""
    if found is None or found["ContentLength"] != about["size"]:
        return False
    return found.get("ChecksumSHA256") == encode_checksum(bytes.fromhex(about["sha256"]))


def encode_checksum(digest: bytes) -> str:
    """Write a digest as S3 does."""
    return base64.b64encode(digest).decode()


class Listing:
    """What a bucket has, asked for key by key.

    A page serves every key between its first and its last, any other key asks for the page that begins with it. Keys in
    nearly their order so cost a call per 1,000 of them or per folder, and what else the bucket holds is passed over.
    """

    def __init__(self, client: "BaseClient", bucket: dict[str, str], prefix: str) -> None:
        """Begin with no page."""
        self._client, self._bucket, self._prefix = client, bucket, prefix
        self._page: dict[str, Found] = {}
        self._first, self._last = LAST, ""

    def find(self, key: str) -> Found | None:
        """Give size and ETag of an object, None if there is none."""
        if not self._first <= key <= self._last:
            self._load(key)
        return self._page.get(key)

    def _load(self, key: str) -> None:
        # A listing starts after a name, and every name comes after all but its last letter.
        answer = self._client.list_objects_v2(**self._bucket, Prefix=self._prefix, StartAfter=key[:-1])
        found = answer.get("Contents", [])
        self._page = {each["Key"]: (each["Size"], each["ETag"].strip('"')) for each in found}
        self._first = key
        self._last = max(key, found[-1]["Key"]) if answer["IsTruncated"] else LAST


class _Upload:
    """One upload under way; its numbers are shared by all threads."""

    def __init__(self, client: "BaseClient", bucket: dict[str, str], prefix: str, photos: int) -> None:
        self._client, self._bucket, self._prefix = client, bucket, prefix
        self._lock = Lock()
        self.tally = Tally(photos)
        self.sent = self.sent_bytes = 0

    def bring_all(self, folder: str) -> None:
        """See that every photo of a folder is in the bucket."""
        in_threads(self._bring, self._look_up(folder), self.tally.tell)
        self.tally.tell()

    def _look_up(self, folder: str) -> Iterator[tuple[Photo, Found | None]]:
        listing = Listing(self._client, self._bucket, self._prefix)
        for photo in walk_folder(folder):
            yield photo, listing.find(self._prefix + photo.path) if is_text(photo.path) else None

    def _bring(self, item: tuple[Photo, Found | None]) -> None:
        """Send one photo if it is not there; what is wrong with it alone is noted, what is wrong with all is raised."""
        from botocore.exceptions import ClientError

        photo, found = item
        try:
            if not is_text(photo.path):
                raise OSError("its name is not UTF-8")
            with photo.file.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                content = file.read() if size <= LARGE else file
                is_there = found is not None and found[0] == size and self._is_same(photo.path, content, found[1])
                if not is_there:
                    self._send(photo.path, content)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status == 403 or error_code(error) in {*WAYS_OUT, "NoSuchBucket"}:
                raise
            self.tally.fail(photo.path, error.response["Error"].get("Message") or error_code(error))
            return
        except OSError as error:
            self.tally.fail(photo.path, error.strerror or str(error))
            return
        if not is_there:
            with self._lock:
                self.sent, self.sent_bytes = self.sent + 1, self.sent_bytes + size
        self.tally.add()

    def _is_same(self, path: str, content: bytes | BinaryIO, etag: str) -> bool:
        """Whether an object of the same size has the content of a photo, by its MD5 or the SHA-256 it was sent with."""
        if _digest(content, "md5").hex() == etag:
            return True
        about = find_object(self._client, self._bucket, self._prefix + path)
        return about is not None and about.get("ChecksumSHA256") == encode_checksum(_digest(content, "sha256"))

    def _send(self, path: str, content: bytes | BinaryIO) -> None:
        checksum = encode_checksum(_digest(content, "sha256"))
        answer = self._client.put_object(
            **self._bucket,
            Key=self._prefix + path,
            Body=content,
            ChecksumAlgorithm="SHA256",
            ChecksumSHA256=checksum,  # S3 compares it with what arrives, and refuses anything else
        )
        if answer.get("ChecksumSHA256") != checksum:
            raise OSError("S3 does not confirm its checksum")


def _send_at_once(params: dict[str, Any], **_: object) -> None:
    params["headers"].pop("Expect", None)


def _digest(content: bytes | BinaryIO, kind: str) -> bytes:
    if isinstance(content, bytes):
        return hashlib.new(kind, content, usedforsecurity=False).digest()
    content.seek(0)
    digest = hashlib.file_digest(content, lambda: hashlib.new(kind, usedforsecurity=False)).digest()
    content.seek(0)
    return digest
