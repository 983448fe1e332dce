"""What a run on AWS EMR has cost: its own metrics, at the prices of the price file."""

import re
from typing import TYPE_CHECKING, Any

from fruits.errors import FruitsError, SettingError
from fruits.platform.aws import error_code
from fruits.platform.emr_cost import HOURS_PER_MONTH

if TYPE_CHECKING:
    from fruits.platform.aws import Aws, Stack

OVER = ("SUCCESS", "FAILED", "CANCELLED", "TERMINATED", "TERMINATED_WITH_ERRORS")
CLUSTER = re.compile(r"j-[0-9A-Z]+")
JOB_RUN = re.compile(r"[0-9a-z]{1,64}")


def read_bill(aws: "Aws", stack: "Stack", run_id: str, prices: dict[str, Any], there: dict[str, Any]) -> dict[str, Any]:
    """Read what a run used, and price it.

    Returns:
        way (as an estimate names it), state, minutes, dollars, and used: hours by name.

    Raises:
        SettingError: an id of neither a job run nor a cluster.
        FruitsError: no such run, one that has not ended, or no bill or no price of it yet.
    """
    from botocore.exceptions import ClientError

    is_cluster = CLUSTER.fullmatch(run_id) is not None
    if not is_cluster and not JOB_RUN.fullmatch(run_id):
        raise SettingError(f"run={run_id!r} is the id of no run; `fruits emr status` lists them")
    try:
        return _read_cluster(aws, run_id, prices, there) if is_cluster else _read_job_run(aws, stack, run_id, there)
    except ClientError as error:
        if error_code(error) not in ("ResourceNotFoundException", "InvalidRequestException"):
            raise
        raise FruitsError(f"no run {run_id!r} in {aws.region}; `fruits emr status` lists them") from None


def _read_job_run(aws: "Aws", stack: "Stack", run_id: str, there: dict[str, Any]) -> dict[str, Any]:
    if not stack.application_id:
        raise FruitsError(f"stack {stack.name!r} has no application of EMR Serverless; --stack NAME takes another")
    found = aws.client("emr-serverless").get_job_run(applicationId=stack.application_id, jobRunId=run_id)["jobRun"]
    _need_end(run_id, found["state"])
    billed = found.get("billedResourceUtilization")
    if not billed:
        raise FruitsError(f"run {run_id!r} has no bill yet; it comes some minutes after its end")
    kind = (stack.architecture or "x86_64").lower()
    rate = there["serverless"][kind]
    amounts = [billed.get(name, 0.0) for name in ("vCPUHour", "memoryGBHour", "storageGBHour")]
    rates = rate["vcpu_hour"], rate["gb_hour"], there["serverless_disk_gb_hour"]
    return {
        "way": f"serverless {kind}",
        "state": found["state"],
        "minutes": found.get("totalExecutionDurationSeconds", 0) / 60,
        "dollars": sum(amount * price for amount, price in zip(amounts, rates, strict=True)),
        "used": dict(zip(("vCPU hours", "GB hours", "disk GB hours"), amounts, strict=True)),
    }


def _read_cluster(aws: "Aws", cluster_id: str, prices: dict[str, Any], there: dict[str, Any]) -> dict[str, Any]:
    """Price every machine by its own hours; what a spot machine really cost is on the bill only."""
    client = aws.client("emr")
    status = client.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]
    _need_end(cluster_id, status["State"])
    assumed = prices["assumptions"]
    disk = assumed["disk_gb"] * there["disk_gb_month"] / HOURS_PER_MONTH
    dollars, used, kinds = 0.0, {}, set()
    for page in client.get_paginator("list_instances").paginate(ClusterId=cluster_id):
        for machine in page["Instances"]:
            time = machine["Status"]["Timeline"]
            kind, market = machine["InstanceType"], machine.get("Market", "ON_DEMAND")
            end = time.get("EndDateTime", status["Timeline"]["EndDateTime"])
            hours = (end - time["CreationDateTime"]).total_seconds() / 3600
            if kind not in there["instances"]:
                raise FruitsError(f'no price of {kind} in {prices["file"]!r}; add instances."{kind}" to {aws.region}')
            price, share = there["instances"][kind], assumed["spot_share"] if market == "SPOT" else 1.0
            dollars += hours * (price["hour"] * share + price["emr"] + disk)
            kinds.add((re.match(r"[a-z]+\d+g", kind) is not None, market))
            name = f"{market.lower().replace('_', ' ')} hours"
            used[name] = used.get(name, 0.0) + hours
    life = status["Timeline"]["EndDateTime"] - status["Timeline"]["CreationDateTime"]
    market = "spot" if any(each == "SPOT" for _, each in kinds) else "on demand"
    architecture = "arm64" if any(is_arm for is_arm, _ in kinds) else "x86_64"
    return {
        "way": f"EC2 {market} {architecture}",
        "state": status["State"],
        "minutes": life.total_seconds() / 60,
        "dollars": dollars,
        "used": used,
    }


def _need_end(run_id: str, state: str) -> None:
    if state not in OVER:
        raise FruitsError(f"run {run_id!r} is {state}; what it cost is known when it has ended (`fruits emr status`)")
