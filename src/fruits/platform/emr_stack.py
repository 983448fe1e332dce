"""The CloudFormation stack of `fruits emr`: planned, made or changed, followed to its end.

Always by a change set: CloudFormation says before what would change, and takes back a bucket that an earlier stack of
this account left behind.
"""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fruits.errors import FruitsError, SettingError
from fruits.platform.aws import TAG, error_code, find_project, read_outputs
from fruits.platform.emr_active import stop_application
from fruits.platform.progress import in_words, report

if TYPE_CHECKING:
    from fruits.platform.aws import Aws

TEMPLATE = "resources/emr/fruits.yaml"
DEFAULTS = {"Architecture": "arm64", "ReleaseLabel": "emr-spark-8.1.0", "MaximumWorkers": "9"}
PAUSE = 5  # seconds between two looks at a stack
SIGN_OF_LIFE = 60  # seconds after which a stack without news is said to go on
PATIENCE = 7200  # seconds after which following ends
LEFT_OVER = ("CREATE_FAILED", "ROLLBACK_FAILED", "DELETE_FAILED")
WELL = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE")
NOTHING = ("didn't contain changes", "no updates are to be performed", "no changes")


@dataclass(frozen=True)
class Plan:
    """What would be sent.

    Attributes:
        request: of CreateChangeSet.
        bucket: of the stack.
        found: the stack as it is, None for none.
    """

    request: dict[str, Any]
    bucket: str
    found: dict[str, Any] | None


def describe_stack(aws: "Aws", name: str) -> dict[str, Any] | None:
    """Ask CloudFormation for a stack, in whatever state; None where there is none."""
    from botocore.exceptions import ClientError

    try:
        return aws.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if error_code(error) != "ValidationError":
            raise
        return None


def name_bucket(aws: "Aws") -> str:
    """Give the bucket's usual name, which no other account has."""
    return f"fruits-{aws.client('sts').get_caller_identity()['Account']}-{aws.region}"


def plan_stack(aws: "Aws", name: str, wanted: Mapping[str, str]) -> Plan:
    """Work out what to send; what is not wanted otherwise stays as the stack has it.

    Args:
        aws: the login.
        name: of the stack.
        wanted: parameters of the template that were given.

    Raises:
        SettingError: a bucket other than the stack's.
        FruitsError: the bucket is another account's or in another region; the stack is half made.
    """
    found = describe_stack(aws, name)
    is_new = found is None or found["StackStatus"] in ("REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "DELETE_COMPLETE")
    before = {} if is_new else {each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", [])}
    bucket = wanted.get("BucketName") or before.get("BucketName") or name_bucket(aws)
    if before and bucket != before["BucketName"]:
        raise SettingError(
            f"bucket={bucket!r} is not that of stack {name!r} ({before['BucketName']}), and a stack keeps its bucket; "
            "make another stack with --stack NAME"
        )
    if is_new:
        for each in (bucket, f"{bucket}-access"):
            check_bucket(aws, each)
    everything = {"BucketName": bucket, "VpcId": "", "SubnetId": ""} | DEFAULTS | before | dict(wanted)
    request = {
        "StackName": name,
        "ChangeSetName": f"fruits-{uuid.uuid4().hex[:12]}",
        "ChangeSetType": "CREATE" if is_new else "UPDATE",
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in sorted((everything).items())],
        "Capabilities": ["CAPABILITY_IAM"],
        "Tags": [{"Key": TAG, "Value": name}],
        "ImportExistingResources": is_new,
    }
    return Plan(request, bucket, found)


def check_bucket(aws: "Aws", bucket: str) -> bool:
    """Look whether a bucket is there; True where it is this account's, in this region.

    Raises:
        SettingError: no bucket can be called so.
        FruitsError: it is somebody else's, or somewhere else.
    """
    from botocore.exceptions import ClientError, ParamValidationError

    try:
        answer = aws.client("s3").head_bucket(Bucket=bucket)
    except ParamValidationError:
        raise SettingError(f"bucket={bucket!r} cannot be the name of a bucket; try --bucket my-fruits") from None
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if status == 404:
            return False
        if status in (403, 301, 400):
            where = "belongs to another account, or this login may not see it" if status == 403 else "is elsewhere"
            raise FruitsError(f"bucket {bucket!r} {where}; take another name, --bucket NAME") from None
        raise
    region = answer.get("BucketRegion", aws.region)
    if region != aws.region:
        raise FruitsError(f"bucket {bucket!r} is in {region}, not in {aws.region}; take another name, --bucket NAME")
    return True


def deploy_stack(aws: "Aws", plan: Plan) -> dict[str, Any]:
    """Make or change the stack as planned, and follow it.

    Returns:
        stack, status, changes (a line each; empty for none), outputs.

    Raises:
        FruitsError: it is half made, or did not succeed; says what failed.
    """
    name = plan.request["StackName"]
    found = _wait_for_others(aws, name, plan.found)
    status = found["StackStatus"] if found else ""
    if status in LEFT_OVER:
        raise FruitsError(
            f"stack {name!r} is {status} and can only be removed; `fruits emr destroy` does that (the bucket stays), "
            "then deploy again"
        )
    if status == "UPDATE_ROLLBACK_FAILED":
        raise FruitsError(
            f"stack {name!r} is {status}: {_first_failure(aws, name)}; mend that, run `aws cloudformation "
            f"continue-update-rollback --stack-name {name}`, then deploy again"
        )
    if status == "ROLLBACK_COMPLETE":
        report(f"deploy: stack {name!r} was never complete and holds nothing; it is removed and made anew")
        delete_stack(aws, found)
    changes = _propose(aws, plan)
    if changes is None:
        return {"stack": name, "status": "unchanged", "changes": [], "outputs": _outputs(aws, name)}
    for line in changes:
        report(f"deploy: {line}")
    outputs = _outputs(aws, name)
    if "application_id" in outputs and any(" Application " in line for line in changes):
        stop_application(aws, outputs["application_id"])  # one that is started takes no change
    client = aws.client("cloudformation")
    seen = _list_events(aws, name)
    client.execute_change_set(StackName=name, ChangeSetName=plan.request["ChangeSetName"])
    status = follow_stack(aws, name, {each["EventId"] for each in seen})
    if status not in WELL:
        raise FruitsError(
            f"stack {name!r} is {status}: {_first_failure(aws, name, len(seen))}; mend that and deploy again"
        )
    return {"stack": name, "status": status, "changes": changes, "outputs": _outputs(aws, name)}


def _wait_for_others(aws: "Aws", name: str, found: dict[str, Any] | None) -> dict[str, Any] | None:
    """Wait for what is under way already, perhaps started by this command and lost."""
    while found and found["StackStatus"].endswith("_IN_PROGRESS") and found["StackStatus"] != "REVIEW_IN_PROGRESS":
        report(f"deploy: stack {name!r} is {found['StackStatus']}; waiting for that first")
        follow_stack(aws, found["StackId"], {each["EventId"] for each in _list_events(aws, found["StackId"])})
        found = describe_stack(aws, name)
    return found


def _propose(aws: "Aws", plan: Plan) -> list[str] | None:
    """Make the change set; gives what it would change, None for nothing."""
    client = aws.client("cloudformation")
    where = {"StackName": plan.request["StackName"], "ChangeSetName": plan.request["ChangeSetName"]}
    client.create_change_set(**plan.request, TemplateBody=(find_project() / TEMPLATE).read_text())
    start = time.monotonic()
    while True:
        found = client.describe_change_set(**where)
        if found["Status"] in ("CREATE_COMPLETE", "FAILED"):
            break
        if time.monotonic() - start > PATIENCE:
            raise FruitsError(f"the change set is {found['Status']} after {in_words(PATIENCE)}; deploy again")
        time.sleep(PAUSE)
    if found["Status"] == "FAILED":
        client.delete_change_set(**where)
        reason = " ".join(found.get("StatusReason", "").split())
        if any(each in reason.lower() for each in NOTHING):
            return None
        raise FruitsError(f"CloudFormation refuses the stack: {reason.rstrip('.') or 'it does not say why'}")
    changes = [each["ResourceChange"] for each in found.get("Changes", []) if "ResourceChange" in each]
    lines = [f"{each['Action'].lower()} {each['LogicalResourceId']} ({each['ResourceType']})" for each in changes]
    return lines or [f"{plan.request['ChangeSetType'].lower()} stack {plan.request['StackName']!r}"]


def delete_stack(aws: "Aws", found: Mapping[str, Any]) -> None:
    """Delete a stack and wait for its end.

    Raises:
        FruitsError: something of it cannot be deleted; says what.
    """
    stack_id = found["StackId"]
    seen = _list_events(aws, stack_id)
    aws.client("cloudformation").delete_stack(StackName=stack_id)
    status = follow_stack(aws, stack_id, {each["EventId"] for each in seen})
    if status != "DELETE_COMPLETE":
        raise FruitsError(
            f"stack {found['StackName']!r} is {status}: {_first_failure(aws, stack_id, len(seen))}; "
            "mend that and destroy again"
        )


def follow_stack(aws: "Aws", name: str, seen: set[str]) -> str:
    """Tell every event of a stack until it is at rest; gives the state it rests in.

    Raises:
        FruitsError: it is not at rest after two hours, or following was stopped. The stack goes on.
    """
    start = told = time.monotonic()
    again = "it goes on without this command; the same command again follows it"
    try:
        while True:
            for event in _list_events(aws, name):
                if event["EventId"] not in seen:
                    seen.add(event["EventId"])
                    told = time.monotonic()
                    report(_tell(event))
            found = describe_stack(aws, name)
            status = found["StackStatus"] if found else "DELETE_COMPLETE"
            if not status.endswith("_IN_PROGRESS"):
                return status
            now = time.monotonic()
            if now - start > PATIENCE:
                raise FruitsError(f"stack {name!r} is {status} after {in_words(PATIENCE)}; {again}")
            if now - told > SIGN_OF_LIFE:
                told = now
                report(f"stack: {status.lower().replace('_', ' ')} since {in_words(now - start)}")
            time.sleep(PAUSE)
    except KeyboardInterrupt:
        raise FruitsError(f"no longer following stack {name!r}; {again}") from None


def _list_events(aws: "Aws", name: str) -> list[dict[str, Any]]:
    """List the events of a stack, oldest first; none where there is no stack."""
    from botocore.exceptions import ClientError

    try:
        pages = aws.client("cloudformation").get_paginator("describe_stack_events").paginate(StackName=name)
        return [event for page in pages for event in page["StackEvents"]][::-1]
    except ClientError as error:
        if error_code(error) != "ValidationError":
            raise
        return []


def _tell(event: Mapping[str, Any]) -> str:
    why = f": {' '.join(event['ResourceStatusReason'].split())}" if event.get("ResourceStatusReason") else ""
    what = event.get("ResourceStatus", "").lower().replace("_", " ")
    return f"stack: {event['LogicalResourceId']} {what}{why}"


def _first_failure(aws: "Aws", name: str, after: int = 0) -> str:
    """Say what failed first, which is the cause; what CloudFormation cancels then is not."""
    for event in _list_events(aws, name)[after:]:
        reason = event.get("ResourceStatusReason", "")
        if event.get("ResourceStatus", "").endswith("_FAILED") and "cancelled" not in reason.lower():
            return f"{event['LogicalResourceId']}, {' '.join(reason.split())[:300].rstrip('.') or 'without a reason'}"
    return "its events do not say why"


def _outputs(aws: "Aws", name: str) -> dict[str, str]:
    found = describe_stack(aws, name) or {}
    stack = read_outputs(name, found.get("Outputs", []))
    return {key: value for key, value in vars(stack).items() if value and key != "name"}
