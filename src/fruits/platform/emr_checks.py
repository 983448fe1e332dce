"""What is looked at before a run costs anything: its settings, the photos, the release."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fruits.errors import FruitsError, SettingError
from fruits.platform.aws import error_code
from fruits.platform.emr_release import LIST, read_list
from fruits.platform.emr_requests import Release, needed_files, release_uri
from fruits.platform.files import EXTENSIONS
from fruits.platform.s3_upload import find_object, is_file
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
    with _explained(bucket):
        found = aws.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1000)
    photos = (each["Key"] for each in found.get("Contents", []) if each["Key"].lower().endswith(EXTENSIONS))
    if next(photos, None) is None and not found["IsTruncated"]:
        raise FruitsError(f"no photo under images={images!r}; `fruits emr upload DIR` puts some there")


def read_release(aws: "Aws", bucket: str, version: str, architecture: str, on_cluster: bool) -> Release:
    """Read what a release consists of, and look whether all that a run needs is there, by S3's own checksums.

    Raises:
        FruitsError: it is not published, not for this architecture, or something in it is not as it was published.
    """
    from botocore.exceptions import ClientError

    where, client = release_uri(bucket, version), aws.client("s3")
    prefix = where.removeprefix(f"s3://{bucket}/") + "/"
    try:
        with _explained(bucket):
            text = client.get_object(Bucket=bucket, Key=f"{prefix}{LIST}")["Body"].read()
        release = Release(version, read_list(text)["files"])
    except ClientError as error:
        if error_code(error) != "NoSuchKey":
            raise
        raise FruitsError(
            f"release {version} is not in {where}; `fruits emr build` and `fruits emr publish` put it there"
        ) from None
    except ValueError:
        raise FruitsError(f"{where}/{LIST} is not what `fruits emr publish` writes; publish another version") from None
    for name in needed_files(version, architecture, on_cluster):
        if name not in release.files:
            raise FruitsError(
                f"release {version} has no {name}; "
                f"`fruits emr build --architecture {architecture}` and `fruits emr publish` add what it lacks"
            )
        found = find_object(client, {"Bucket": bucket}, prefix + name)
        if problem := _find_problem(found, release.files[name]):
            raise FruitsError(f"{where}/{name} {problem}; `fruits emr publish` puts it there again")
    return release


def _find_problem(found: dict[str, Any] | None, about: Mapping[str, Any]) -> str:
    """Say what is wrong with an object that is to be a file of a release; '' for nothing."""
    if is_file(found, about):
        return ""
    if found is None:
        return "is missing"
    if found["ContentLength"] != about["size"]:
        return f"has {found['ContentLength']} bytes instead of {about['size']}"
    return "is damaged: its sha256 is not the one it was published with"


def example_release(version: str, architecture: str, on_cluster: bool) -> Release:
    """Make up a release, to show requests where there is none."""
    files = needed_files(version, architecture, on_cluster)
    return Release(version, {name: {"size": 0, "sha256": EXAMPLE_SHA256} for name in files})


@contextmanager
def _explained(bucket: str) -> Iterator[None]:
    """Say in one line that a bucket is not there, or not open."""
    from botocore.exceptions import ClientError, ParamValidationError

    try:
        yield
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
