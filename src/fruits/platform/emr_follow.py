"""Runs of a stack, wherever they run: found, followed to their end, stopped, and why one failed."""

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fruits.errors import FruitsError
from fruits.platform import emr_clusters, emr_serverless
from fruits.platform.aws import error_code, explain, is_passing
from fruits.platform.emr_logs import find_cause, last_progress, read_logs
from fruits.platform.emr_serverless import Run, is_cluster
from fruits.platform.progress import in_words, report

if TYPE_CHECKING:
    from fruits.platform.aws import Aws, Stack
    from fruits.platform.emr_logs import Log

PAUSE, LONG_PAUSE = 5, 30  # seconds between two looks, from the first after news to all that follow nothing new
SIGN_OF_LIFE = 60  # seconds after which a run without news is said to go on
LOST = 1800  # seconds without an answer after which following ends
LOGS_COME = (0, 15, 30)  # seconds to wait for the logs of a run that is over
LAST_WORDS = 60  # seconds before its end, from which on what a driver wrote tells why
ACTIVE_AT_MOST = 50  # more runs at once than a stack has
WAYS_OUT = {
    "BOOTSTRAP_FAILURE": "a node could not install the release; publish it whole (`fruits emr publish`) and run again",
    "INSTANCE_FLEET_TIMEOUT": "AWS has no such machines now; run again later, or without --cluster",
    "INSTANCE_FAILURE": "machines were lost; run again, and it continues where this one was",
    "VALIDATION_ERROR": "AWS refuses what the cluster is made of; `fruits emr deploy` again mends the stack",
    "USER_REQUEST": "somebody stopped it; run again, and it continues where this one was",
    "INTERNAL_ERROR": "a fault of AWS; run again, and it continues where this one was",
}
NO_CAPACITY = "there is no room now: run again later, or with fewer --workers"


def look_at(aws: "Aws", stack: "Stack", run_id: str) -> Run:
    """Ask how a run is doing.

    Raises:
        FruitsError: there is none of this id, or it is not the stack's.
    """
    from botocore.exceptions import ClientError

    try:
        if is_cluster(run_id):
            return emr_clusters.look_at_cluster(aws, stack, run_id)
        if stack.application_id and re.fullmatch("[0-9a-z]{1,64}", run_id):
            return emr_serverless.look_at_job_run(aws, stack, run_id)
    except ClientError as error:
        if error_code(error) not in ("ResourceNotFoundException", "ValidationException", "InvalidRequestException"):
            raise
    raise FruitsError(
        f"there is no run {run_id!r} of stack {stack.name!r} in {aws.region}; `fruits emr status` lists them"
    )


def list_runs(aws: "Aws", stack: "Stack", n: int) -> list[Run]:
    """List the newest n runs, newest first."""
    jobs = emr_serverless.list_job_runs(aws, stack, n) if stack.application_id else []
    return sorted([*jobs, *emr_clusters.list_clusters(aws, stack, n)], key=lambda run: run.created, reverse=True)[:n]


def list_active(aws: "Aws", stack: "Stack") -> list[Run]:
    """List what is not over, the cluster of the notebooks too; as in every list, without arguments."""
    jobs = []
    if stack.application_id:
        jobs = emr_serverless.list_job_runs(aws, stack, ACTIVE_AT_MOST, emr_serverless.ACTIVE)
    return [*jobs, *emr_clusters.list_clusters(aws, stack, ACTIVE_AT_MOST, emr_clusters.ACTIVE)]


def follow(aws: "Aws", stack: "Stack", run_id: str) -> Run:
    """Tell each change of a run until it is over; throttling and a lost connection are waited for.

    Raises:
        FruitsError: following ended before the run did. The run goes on.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return _watch(lambda: look_at(aws, stack, run_id), lambda run: _sign_of_life(aws, run))
    except (BotoCoreError, ClientError) as error:
        raise FruitsError(
            f"{explain(error)}; run {run_id} goes on if it is there, follow it with `fruits emr run --follow {run_id}`"
        ) from None


def stop(aws: "Aws", stack: "Stack", run_id: str) -> Run:
    """Stop a run and wait until nothing of it is left; one that is over stays as it is.

    Raises:
        FruitsError: AWS refuses.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    run = look_at(aws, stack, run_id)
    if run.is_over:
        return run
    report(f"stop: {run_id} ({run.kind}) is to end")
    try:
        if is_cluster(run_id):
            emr_clusters.end_cluster(aws, run_id)
        else:
            emr_serverless.cancel_job_run(aws, stack, run_id)
    except (BotoCoreError, ClientError) as error:
        raise FruitsError(f"run {run_id} could not be stopped and goes on ({explain(error)})") from None
    return follow(aws, stack, run_id)


def describe_end(aws: "Aws", run: Run) -> dict[str, Any]:
    """Sum up a run that is over.

    Returns:
        run_id, kind, name, state, seconds, used, logs, said: what its driver printed at last, and failed: empty, or
        what went wrong in a line, with the way out where one is known.
    """
    logs = _wait_for_logs(aws, run)
    stdout = logs["stdout"].lines if "stdout" in logs and run.is_fine else []
    return {
        "run_id": run.id,
        "kind": run.kind,
        "name": run.name,
        "state": run.state,
        "seconds": seconds_of(run),
        "used": run.used,
        "logs": run.logs,
        "said": [line for line in stdout if line.strip()][-20:],
        "failed": [] if run.is_fine else [_explain_failure(run, find_cause(logs))],
    }


def seconds_of(run: Run) -> float | None:
    """Measure how long a run took, until now if it is not over."""
    end = run.ended.timestamp() if run.ended else time.time()
    return round(max(end - run.created.timestamp(), 0), 1)


def _watch(look: Callable[[], Run], sign_of_life: Callable[[Run], str]) -> Run:
    from botocore.exceptions import BotoCoreError, ClientError

    answered = told = time.monotonic()
    state, pause, is_lost = "", PAUSE, False
    while True:
        try:
            run = look()
        except (BotoCoreError, ClientError) as error:
            if not is_passing(error) or time.monotonic() - answered > LOST:
                raise
            if not is_lost:
                report(f"run: no answer just now ({explain(error)}); the run goes on, asking again")
            is_lost = True
        else:
            answered, is_lost = time.monotonic(), False
            if run.state != state:
                state, told, pause = run.state, time.monotonic(), PAUSE
                report(f"run: {run.state}" + (f"  {run.reason}" if run.reason and not run.is_over else ""))
            elif time.monotonic() - told >= SIGN_OF_LIFE:
                told = time.monotonic()
                report(sign_of_life(run))
            if run.is_over:
                return run
        time.sleep(pause)
        pause = min(pause * 1.5, LONG_PAUSE)


def _sign_of_life(aws: "Aws", run: Run) -> str:
    """Say that a run goes on, for how long, on what, and what its driver said last; or why that cannot be told now."""
    from botocore.exceptions import BotoCoreError, ClientError

    parts = [f"run: {run.state} for {in_words(seconds_of(run) or 0)}"]
    try:
        if is_cluster(run.id) and (machines := emr_clusters.count_machines(aws, run.id)):
            parts.append(machines)
        if progress := last_progress(read_logs(aws, run)):
            parts.append(progress)
    except (BotoCoreError, ClientError) as error:
        parts.append(f"no more is known ({explain(error)})")
    return "; ".join(parts)


def _wait_for_logs(aws: "Aws", run: Run) -> "dict[str, Log]":
    """Read the logs of a run that is over; those of its last minute come a little later."""
    from botocore.exceptions import BotoCoreError, ClientError

    logs: dict[str, Log] = {}
    for seconds in LOGS_COME:
        time.sleep(seconds)
        try:
            logs = read_logs(aws, run)
        except (BotoCoreError, ClientError) as error:
            report(f"run: its logs cannot be read ({explain(error)})")
            break
        if _are_complete(run, logs):
            break
    return logs


def _are_complete(run: Run, logs: "dict[str, Log]") -> bool:
    """Whether the end of a run is in its logs; Serverless also shows how far they were a minute ago."""
    if run.is_fine:
        return "stdout" in logs
    if "stderr" not in logs or is_cluster(run.id) or run.ended is None:
        return "stderr" in logs
    return logs["stderr"].written.timestamp() >= run.ended.timestamp() - LAST_WORDS


def _explain_failure(run: Run, cause: str) -> dict[str, Any]:
    way_out = WAYS_OUT.get(run.code, "")
    if "capacity" in run.reason.lower():
        way_out = NO_CAPACITY
    return {
        "state": run.state,
        "error": (run.reason or "no reason given").rstrip("."),
        "cause": cause or None,
        "way_out": way_out or None,
    }
