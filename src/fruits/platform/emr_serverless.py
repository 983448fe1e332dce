"""Runs on EMR Serverless: started, looked at, listed, stopped."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fruits.platform.emr_requests import serverless_logs

if TYPE_CHECKING:
    from fruits.platform.aws import Aws, Stack

OVER = ("SUCCESS", "FAILED", "CANCELLED")
ACTIVE = ("SUBMITTED", "PENDING", "SCHEDULED", "RUNNING", "CANCELLING", "QUEUED")


@dataclass(frozen=True)
class Run:
    """A run as one look shows it, on EMR Serverless or on a cluster of its own.

    Attributes:
        id: of the job run, or of the cluster (j-…).
        name: as it was ordered.
        state: a word or two.
        is_over: nothing of it is left to run or to pay for.
        is_fine: it has done what it was to do.
        is_ending: it works no more, or was told not to, and is not over yet.
        reason: what AWS says of the state; '' for nothing.
        code: AWS' code of the reason, of a cluster that failed.
        created: when it was asked for.
        ended: when it was over.
        arguments: of the entry point; empty in a list.
        workers: at most, as it was ordered; 0 in a list.
        logs: URI of the folder of its logs.
        used: what it used, by name, once it is over.
    """

    id: str
    name: str
    state: str
    is_over: bool
    is_fine: bool
    is_ending: bool
    created: datetime
    logs: str
    reason: str = ""
    code: str = ""
    ended: datetime | None = None
    arguments: tuple[str, ...] = ()
    workers: int = 0
    used: dict[str, float] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Where it runs: serverless or cluster."""
        return "cluster" if is_cluster(self.id) else "serverless"


def is_cluster(run_id: str) -> bool:
    """Tell the id of a cluster from that of a job run."""
    return run_id.startswith("j-")


def start_job_run(aws: "Aws", request: dict[str, Any]) -> str:
    """Start a run; the token in the request keeps it the only one, however often the request is repeated."""
    return aws.client("emr-serverless").start_job_run(**request)["jobRunId"]


def look_at_job_run(aws: "Aws", stack: "Stack", run_id: str) -> Run:
    """Ask how a run is doing."""
    found = aws.client("emr-serverless").get_job_run(applicationId=stack.application_id, jobRunId=run_id)["jobRun"]
    billed = found.get("billedResourceUtilization") or found.get("totalResourceUtilization") or {}
    submitted = found["jobDriver"].get("sparkSubmit", {})
    run = _read(stack, found | {"id": found["jobRunId"]}, tuple(submitted.get("entryPointArguments", ())), billed)
    return replace(run, workers=int(found.get("tags", {}).get("workers", 0)))


def list_job_runs(aws: "Aws", stack: "Stack", n: int, states: tuple[str, ...] = ()) -> list[Run]:
    """List the newest n runs of the stack's application, all of them or those in some states."""
    pages = aws.client("emr-serverless").get_paginator("list_job_runs")
    asked = {"applicationId": stack.application_id} | ({"states": list(states)} if states else {})
    found = pages.paginate(**asked, PaginationConfig={"MaxItems": n, "PageSize": min(n, 50)})
    return [_read(stack, each) for page in found for each in page["jobRuns"]]


def cancel_job_run(aws: "Aws", stack: "Stack", run_id: str) -> None:
    """Ask for the end of a run."""
    aws.client("emr-serverless").cancel_job_run(applicationId=stack.application_id, jobRunId=run_id)


def _read(stack: "Stack", found: dict[str, Any], arguments: tuple[str, ...] = (), used: Any = None) -> Run:
    state = found["state"]
    return Run(
        id=found["id"],
        name=found.get("name", ""),
        state=state.lower(),
        is_over=state in OVER,
        is_fine=state == "SUCCESS",
        is_ending=state == "CANCELLING",
        reason=" ".join(found.get("stateDetails", "").split()),
        created=found["createdAt"],
        ended=(found.get("endedAt") or found["updatedAt"]) if state in OVER else None,
        logs=f"{serverless_logs(stack)}applications/{stack.application_id}/jobs/{found['id']}/",
        arguments=arguments,
        used={_in_words(name): round(value, 3) for name, value in (used or {}).items()},
    )


def _in_words(name: str) -> str:
    """Write vCPUHour as vcpu_hours."""
    return name.replace("vCPU", "vcpu_").replace("GBHour", "_gb_hour").replace("Hour", "hour") + "s"
