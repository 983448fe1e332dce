"""The end of a stack: nothing under way, the application stopped, the stack deleted, and the photos only on request."""

import time
from typing import TYPE_CHECKING, Any

from fruits.errors import FruitsError
from fruits.platform.aws import error_code, read_outputs
from fruits.platform.emr_active import stop_application
from fruits.platform.emr_follow import list_active
from fruits.platform.emr_serverless import is_cluster
from fruits.platform.emr_stack import PAUSE, check_bucket, delete_stack, describe_stack, name_bucket
from fruits.platform.progress import Progress

if TYPE_CHECKING:
    from fruits.platform.aws import Aws

PAGE = 1000  # objects, which is all that one call deletes
ATTEMPTS = 5  # to delete a bucket that access logs still arrive in


def plan_destruction(aws: "Aws", name: str, bucket: str | None = None) -> dict[str, Any]:
    """Look what there is to destroy, and that nothing is under way.

    Returns:
        found (the stack, None for none), stack (its outputs), buckets that are there.

    Raises:
        FruitsError: neither stack nor bucket, or runs or clusters are active.
    """
    found = describe_stack(aws, name)
    stack = read_outputs(name, (found or {}).get("Outputs", []))
    parameters = {each["ParameterKey"]: each["ParameterValue"] for each in (found or {}).get("Parameters", [])}
    bucket = parameters.get("BucketName") or stack.bucket or bucket or name_bucket(aws)
    buckets = [each for each in (bucket, f"{bucket}-access") if check_bucket(aws, each)]
    if found is None and not buckets:
        raise FruitsError(f"there is no stack {name!r} in {aws.region}, and no bucket {bucket!r}; nothing to destroy")
    if active := list_active(aws, stack):
        named = [f"{'cluster' if is_cluster(run.id) else 'run'} {run.id}" for run in active]
        raise FruitsError(
            f"{', '.join(named)} of stack {name!r} {'is' if len(active) == 1 else 'are'} active; wait for the end, or "
            f"`fruits emr stop {active[0].id}`"
        )
    return {"found": found, "stack": stack, "buckets": buckets}


def destroy_stack(aws: "Aws", plan: dict[str, Any], with_data: bool) -> dict[str, Any]:
    """Delete a stack, and its buckets where that is asked for; every part can be repeated.

    Returns:
        stack, deleted (objects), remains (what is still there and costs), failed (keys that could not be deleted).
    """
    stack, deleted, failed = plan["stack"], 0, []
    if with_data:  # first: while the stack is there, the same command finds the buckets again
        for bucket in plan["buckets"]:
            count, problems = empty_bucket(aws, bucket)
            deleted, failed = deleted + count, failed + problems
    if failed:
        return {"stack": stack.name, "deleted": deleted, "remains": ["the stack", *plan["buckets"]], "failed": failed}
    if plan["found"] is not None:
        if stack.application_id:
            stop_application(aws, stack.application_id)
        delete_stack(aws, plan["found"])
    remains = [each for each in plan["buckets"] if not (with_data and _delete_bucket(aws, each))]
    return {"stack": stack.name, "deleted": deleted, "remains": remains, "failed": []}


def empty_bucket(aws: "Aws", bucket: str) -> tuple[int, list[dict[str, str]]]:
    """Delete all objects of a bucket, versions too, a page of a thousand at a time.

    Returns:
        How many, and those that could not be: path, error.
    """
    client = aws.client("s3")
    failed: list[dict[str, str]] = []
    progress = Progress(f"destroy: {bucket}", 0, "objects")
    while True:  # the first page anew each time: what it held is gone
        page = client.list_object_versions(Bucket=bucket, MaxKeys=PAGE)
        there = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        if not there:
            break
        objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in there]
        answer = client.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
        failed = [{"path": each["Key"], "error": each.get("Message", "")} for each in answer.get("Errors", [])]
        progress.total += len(there)
        progress.add(len(there) - len(failed), len(failed))
        if failed:
            break
    for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        for each in page.get("Uploads", []):
            client.abort_multipart_upload(Bucket=bucket, Key=each["Key"], UploadId=each["UploadId"])
    return progress.done, failed


def _delete_bucket(aws: "Aws", bucket: str) -> bool:
    """Delete a bucket; False where things keep arriving, as access logs do for hours."""
    from botocore.exceptions import ClientError

    for attempt in range(ATTEMPTS):
        try:
            aws.client("s3").delete_bucket(Bucket=bucket)
            return True
        except ClientError as error:
            if error_code(error) == "NoSuchBucket":
                return True
            if error_code(error) != "BucketNotEmpty":
                raise
        time.sleep(PAUSE * attempt)
        empty_bucket(aws, bucket)
    return False
