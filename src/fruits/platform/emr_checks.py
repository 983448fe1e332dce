"""What is looked at before a run costs anything: its settings, the photos, the release."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fruits.errors import FruitsError, SettingError
from fruits.platform.aws import error_code
from fruits.platform.emr_requests import Release, needed_files, release_uri
from fruits.platform.files import EXTENSIONS
from fruits.settings import from_text, names

if TYPE_CHECKING:
    from fruits.platform.aws import Aws

EXAMPLE_SHA256 = "0" * 64


def write_arguments(step: str, given: Mapping[str, str], bucket: str) -> list[str]:
    """Write the arguments of the entry point: photos and tables are in the stack's bucket unless somebody says else.

    Args:
        step: run for all four, or the name of one.
        given: settings that were given, as text.
        bucket: of the stack.

    Raises:
        SettingError: a wrong value, or one that only this machine could read.
    """
    values = {"images": f"s3://{bucket}/photos", "lake": f"s3://{bucket}/lake"} | dict(given)
    settings = from_text(values)
    for name in ("images", "lake"):
        if not values[name].startswith("s3://"):
            raise SettingError(
                f"{name}={values[name]!r} is not on S3, so a run on EMR cannot see it; try {name}=s3://…"
            )
    if settings.weights != "fruits" and not settings.weights.startswith("s3://"):
        raise SettingError(
            f"weights={settings.weights!r} is not on S3, and on EMR there is neither TensorFlow nor a file of this "
            f"machine; give a network of a release: {release_uri(bucket, 'VERSION', 'networks/….tflite')}"
        )
    options = [word for name in names() if name in values for word in (f"--{name.replace('_', '-')}", values[name])]
    return [step, *options]


def value_of(arguments: "list[str] | tuple[str, ...]", name: str) -> str:
    """Read a setting back from the arguments of an entry point; '' where it is not there."""
    option = f"--{name.replace('_', '-')}"
    return arguments[arguments.index(option) + 1] if option in arguments else ""


def check_photos(aws: "Aws", images: str) -> None:
    """Look whether there is a photo at all, with one request.

    Raises:
        FruitsError: no such bucket, or no photo in its first thousand keys and no more keys.
    """
    bucket, _, prefix = images.removeprefix("s3://").partition("/")
    prefix = prefix.rstrip("/") + "/" if prefix else ""
    found = _list(aws, bucket, prefix)
    photos = (each["Key"] for each in found.get("Contents", []) if each["Key"].lower().endswith(EXTENSIONS))
    if next(photos, None) is None and not found["IsTruncated"]:
        raise FruitsError(f"no photo under images={images!r}; `fruits emr upload DIR` puts some there")


def read_release(aws: "Aws", bucket: str, version: str, architecture: str, on_cluster: bool) -> Release:
    """Read what a release consists of, and look whether all that a run needs is there.

    Raises:
        FruitsError: it is not published, not for this architecture, or not all of it arrived.
    """
    where = release_uri(bucket, version)
    prefix = where.removeprefix(f"s3://{bucket}/") + "/"
    there = {each["Key"].removeprefix(prefix): each["Size"] for each in _list(aws, bucket, prefix).get("Contents", [])}
    if "release.json" not in there:
        raise FruitsError(
            f"release {version} is not in {where}; `fruits emr build` and `fruits emr publish` put it there"
        )
    try:
        text = aws.client("s3").get_object(Bucket=bucket, Key=f"{prefix}release.json")["Body"].read()
        release = Release(version, json.loads(text)["files"])
        sizes = {name: about["size"] for name, about in release.files.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise FruitsError(
            f"{where}/release.json is not what `fruits emr publish` writes; publish another version"
        ) from None
    for name in needed_files(version, architecture, on_cluster):
        if name not in sizes:
            raise FruitsError(
                f"release {version} has no {name}; "
                f"`fruits emr build --architecture {architecture}` and `fruits emr publish` add what it lacks"
            )
        if there.get(name) != sizes[name]:
            what = "is missing" if name not in there else f"has {there[name]} bytes instead of {sizes[name]}"
            raise FruitsError(f"{where}/{name} {what}; `fruits emr publish` puts it there again")
    return release


def example_release(version: str, architecture: str, on_cluster: bool) -> Release:
    """Make up a release, to show requests where there is none."""
    files = needed_files(version, architecture, on_cluster)
    return Release(version, {name: {"size": 0, "sha256": EXAMPLE_SHA256} for name in files})


def _list(aws: "Aws", bucket: str, prefix: str) -> dict[str, Any]:
    from botocore.exceptions import ClientError, ParamValidationError

    try:
        return aws.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1000)
    except ParamValidationError:
        raise SettingError(f"{bucket!r} is not the name of a bucket") from None
    except ClientError as error:
        if error_code(error) == "NoSuchBucket":
            raise FruitsError(f"there is no bucket {bucket!r}; `fruits emr deploy` makes that of the stack") from None
        if error_code(error) in ("AccessDenied", "PermanentRedirect", "AllAccessDisabled"):
            raise FruitsError(
                f"bucket {bucket!r} is not open to this login ({error_code(error)}); it is another's, or elsewhere"
            ) from None
        raise
