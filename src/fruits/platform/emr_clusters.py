"""Runs on a cluster of their own: made, looked at, listed, ended; never one without an end."""

import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from fruits.errors import FruitsError
from fruits.platform.aws import TAG, error_code, explain, is_passing
from fruits.platform.emr_requests import IDLE, cluster_logs
from fruits.platform.emr_serverless import Run
from fruits.platform.progress import report

if TYPE_CHECKING:
    from botocore.client import BaseClient

    from fruits.platform.aws import Aws, Stack

OVER = ("TERMINATED", "TERMINATED_WITH_ERRORS")
ACTIVE = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING", "TERMINATING")
LISTED = 1000  # clusters of the whole account among which ours are looked for, newest first
ATTEMPTS = 5  # to make a cluster, or to make sure of its end
PAUSE = 5  # seconds before the second of them


def make_cluster(aws: "Aws", request: dict[str, Any]) -> str:
    """Make a cluster, once: RunJobFlow knows no token, so a request whose answer was lost is looked for by its name.

    Returns:
        Its id. The cluster ends after its step, and when it is idle; both were read back from AWS.

    Raises:
        FruitsError: its end could not be made sure of; it was terminated.
    """
    once, client = aws.client("emr", attempts=1), aws.client("emr")
    cluster = _try_again(
        lambda: once.run_job_flow(**request)["JobFlowId"], lambda: _find_by_name(client, request["Name"])
    )
    _ensure_end(client, cluster)
    return cluster


def look_at_cluster(aws: "Aws", stack: "Stack", cluster: str) -> Run:
    """Ask how a cluster and its step are doing.

    Raises:
        FruitsError: it is not the stack's.
    """
    client = aws.client("emr")
    found = client.describe_cluster(ClusterId=cluster)["Cluster"]
    tags = {each["Key"]: each["Value"] for each in found.get("Tags", [])}
    if tags.get(TAG) != stack.name and cluster != stack.cluster_id:
        raise FruitsError(
            f"cluster {cluster} ({found['Name']}) is not of stack {stack.name!r}; --stack NAME takes another"
        )
    steps = client.list_steps(ClusterId=cluster)["Steps"]
    run = replace(_read(stack, found, steps[0] if steps else None), workers=int(tags.get("workers", 0)))
    return replace(run, used=_measure(client, cluster)) if run.is_over else run


def list_clusters(aws: "Aws", stack: "Stack", n: int, states: tuple[str, ...] = ()) -> list[Run]:
    """List the newest n clusters that were made for a run of this stack, and that of its notebooks."""
    ours = re.compile(rf"{re.escape(stack.name)}-run-\d{{8}}-\d{{6}}-[0-9a-f]{{6}}")
    pages = aws.client("emr").get_paginator("list_clusters")
    asked = ({"ClusterStates": list(states)} if states else {}) | {"PaginationConfig": {"MaxItems": LISTED}}
    found = (each for page in pages.paginate(**asked) for each in page["Clusters"])
    mine = (each for each in found if ours.fullmatch(each["Name"]) or each["Id"] == stack.cluster_id)
    return [_read(stack, each, None) for each in islice(mine, n)]


def end_cluster(aws: "Aws", cluster: str) -> None:
    """Ask for the end of a cluster."""
    aws.client("emr").terminate_job_flows(JobFlowIds=[cluster])


def count_machines(aws: "Aws", cluster: str) -> str:
    """Say how many machines of a cluster are there, as `1 on demand, 2 spot`; '' for none."""
    there = _instances(aws.client("emr"), cluster, InstanceStates=["RUNNING"])
    counts = Counter(each.get("Market", "ON_DEMAND").lower().replace("_", " ") for each in there)
    return ", ".join(f"{count} {market}" for market, count in sorted(counts.items()))


def _try_again(make: Callable[[], str], find: Callable[[], str | None]) -> str:
    from botocore.exceptions import BotoCoreError, ClientError

    for attempt in range(1, ATTEMPTS + 1):
        try:
            return make()
        except (BotoCoreError, ClientError) as error:
            if not is_passing(error) or attempt == ATTEMPTS:
                raise
            report(f"run: no cluster yet ({explain(error)}), looking again")
            time.sleep(PAUSE * 2 ** (attempt - 1))
            if found := find():
                return found
    raise AssertionError("the last attempt returns or raises")


def _find_by_name(client: "BaseClient", name: str) -> str | None:
    pages = client.get_paginator("list_clusters").paginate(ClusterStates=list(ACTIVE))
    return next((each["Id"] for page in pages for each in page["Clusters"] if each["Name"] == name), None)


def _ensure_end(client: "BaseClient", cluster: str) -> None:
    """Read back that a cluster ends by itself; set it where it does not, or end the cluster at once."""
    from botocore.exceptions import BotoCoreError, ClientError

    problem = "AWS does not keep it"
    for attempt in range(1, ATTEMPTS + 1):
        try:
            policy = client.get_auto_termination_policy(ClusterId=cluster).get("AutoTerminationPolicy") or {}
            if policy.get("IdleTimeout") and client.describe_cluster(ClusterId=cluster)["Cluster"]["AutoTerminate"]:
                return
            client.put_auto_termination_policy(ClusterId=cluster, AutoTerminationPolicy={"IdleTimeout": IDLE})
            client.set_keep_job_flow_alive_when_no_steps(JobFlowIds=[cluster], KeepJobFlowAliveWhenNoSteps=False)
        except (BotoCoreError, ClientError) as error:
            problem = explain(error)
            if error_code(error).startswith("AccessDenied"):
                break
        time.sleep(PAUSE * attempt)
    try:
        client.terminate_job_flows(JobFlowIds=[cluster])
    except (BotoCoreError, ClientError) as error:
        raise FruitsError(
            f"cluster {cluster} may not end by itself ({problem}), and could not be ended ({explain(error)}); "
            f"end it now: `fruits emr stop {cluster}`, or in the console"
        ) from None
    raise FruitsError(f"cluster {cluster} might not have ended by itself ({problem}), so it was ended at once")


def _read(stack: "Stack", found: dict[str, Any], step: dict[str, Any] | None) -> Run:
    status, doing = found["Status"], (step or {}).get("Status", {})
    change, failure = status.get("StateChangeReason", {}), doing.get("FailureDetails", {})
    state, step_state = status["State"], doing.get("State", "")
    details = [each["ErrorMessage"] for each in status.get("ErrorDetails", []) if each.get("ErrorMessage")]
    said = [failure.get("Message") or failure.get("Reason"), change.get("Message"), *details]
    named = state.lower().replace("_", " ")
    return Run(
        id=found["Id"],
        name=found["Name"],
        state=f"{named}, step {step_state.lower().replace('_', ' ')}" if step_state else named,
        is_over=state in OVER,
        # In a list there is no step to look at.
        is_fine=step_state == "COMPLETED" if step else change.get("Code") == "ALL_STEPS_COMPLETED",
        is_ending=state == "TERMINATING",
        reason=". ".join(dict.fromkeys(" ".join(each.split()).rstrip(".") for each in said if each)),
        code=change.get("Code", ""),
        created=status["Timeline"]["CreationDateTime"],
        ended=status["Timeline"].get("EndDateTime"),
        logs=f"{cluster_logs(stack)}{found['Id']}/",
        arguments=_arguments(step),
    )


def _arguments(step: dict[str, Any] | None) -> tuple[str, ...]:
    """Give what came after the entry point in the words of a step."""
    words = (step or {}).get("Config", {}).get("Args", [])
    start = next((place for place, word in enumerate(words) if word.endswith(".py")), len(words))
    return tuple(words[start + 1 :])


def _measure(client: "BaseClient", cluster: str) -> dict[str, float]:
    """Add up the hours of the machines of a cluster, by kind of machine and of market."""
    hours: Counter[str] = Counter()
    for each in _instances(client, cluster):
        line = each["Status"].get("Timeline", {})
        if "CreationDateTime" in line and "EndDateTime" in line:
            market = each.get("Market", "ON_DEMAND").lower()
            hours[f"{each['InstanceType']}_{market}_hours"] += (
                line["EndDateTime"] - line["CreationDateTime"]
            ).total_seconds() / 3600
    return {name: round(value, 3) for name, value in sorted(hours.items())}


def _instances(client: "BaseClient", cluster: str, **only: Any) -> list[dict[str, Any]]:
    pages = client.get_paginator("list_instances").paginate(ClusterId=cluster, **only)
    return [each for page in pages for each in page["Instances"]]
