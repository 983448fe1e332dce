"""Runs of a job on Databricks: started once, followed to their end, listed."""

import time
import uuid
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from fruits.errors import FruitsError, SettingError
from fruits.platform.databricks import explain, first_line, parameters_of, plain
from fruits.platform.progress import in_words, report

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.jobs import Job, Run, RunTask

PAUSE = 5  # seconds between two looks at a run
SIGN_OF_LIFE = 60  # seconds after which a run without news is said to go on
LOST = 1800  # seconds without an answer after which following ends
ATTEMPTS = 4  # to start a run, where the answer is an error of the server's own
FINE = {"success", "success with failures", "excluded", "disabled"}
CONSEQUENCES = {"upstream failed", "upstream canceled", "skipped"}  # of a failure that is told of itself


def start_run(client: "WorkspaceClient", job: "Job", given: Mapping[str, str]) -> int:
    """Start one run of a job, even where the request has to be repeated; returns its id.

    Args:
        client: the workspace.
        job: from find_job.
        given: job parameters that differ from the job's own.

    Raises:
        SettingError: the job has no such parameter.
    """
    from databricks.sdk.errors import DatabricksError

    known = parameters_of(job)
    if unknown := [name for name in given if name not in known]:
        raise SettingError(
            f"job {job.settings.name!r} has no parameter {unknown[0]!r}; it has {', '.join(known) or 'none'}"
        )
    token = uuid.uuid4().hex  # by it the server knows a request it has seen
    for attempt in range(1, ATTEMPTS + 1):
        try:
            started = client.jobs.run_now(job.job_id, job_parameters=dict(given) or None, idempotency_token=token)
            return started.run_id
        except DatabricksError as error:
            if attempt == ATTEMPTS or not _is_passing(error):
                raise
            time.sleep(attempt * PAUSE / 5)
    raise AssertionError("the last attempt returns or raises")


def follow_run(client: "WorkspaceClient", run_id: int) -> dict[str, Any]:
    """Tell each change of a run and of its tasks, until it ends; a lost connection is waited for.

    Returns:
        run_id, job_id, state, seconds, link, tasks (task, state, seconds, link), and failed: the tasks that did, with
        their error in a line; empty for a run that succeeded.

    Raises:
        FruitsError: following ended before the run did, by Ctrl-C or by an error. The run goes on.
    """
    again = f"follow it again with `fruits databricks run --follow {run_id}`"
    try:
        run = _watch(client, run_id)
    except KeyboardInterrupt:
        raise FruitsError(f"no longer following; run {run_id} goes on, {again}") from None
    except Exception as error:
        said = explain(client, error)
        if said is None:
            raise
        raise FruitsError(f"{said}; run {run_id} goes on if it is there, {again}") from None
    return {
        "run_id": run_id,
        "job_id": run.job_id,
        "state": state_of(run),
        "seconds": _seconds(run),
        "link": run.run_page_url,
        "tasks": [
            {"task": task.task_key, "state": state_of(task), "seconds": _seconds(task), "link": task.run_page_url}
            for task in run.tasks or []
        ],
        "failed": _list_failures(client, run),
    }


def list_runs(client: "WorkspaceClient", job: "Job", n: int) -> list[dict[str, Any]]:
    """List the newest n runs: run_id, started (ms since 1970), trigger, state, seconds, link.

    Raises:
        FruitsError: there was no run yet.
    """
    runs = list(islice(client.jobs.list_runs(job_id=job.job_id, limit=min(n, 24)), n))
    if not runs:
        raise FruitsError(f"job {job.settings.name!r} has no run yet; `fruits databricks run` starts one")
    return [
        {
            "run_id": run.run_id,
            "started": run.start_time,
            "trigger": plain(run.trigger) if run.trigger else None,
            "state": state_of(run),
            "seconds": _seconds(run),
            "link": run.run_page_url,
        }
        for run in runs
    ]


def state_of(it: "Run | RunTask") -> str:
    """Say in a word or two how a run or a task is doing, or how it ended."""
    old, new = it.state, it.status
    if old and old.result_state:
        return plain(old.result_state)
    if new and new.termination_details and new.termination_details.code:
        return plain(new.termination_details.code)
    if old and old.life_cycle_state:
        return plain(old.life_cycle_state)
    return plain(new.state) if new and new.state else "unknown"


def _is_over(run: "Run") -> bool:
    if run.state and run.state.life_cycle_state:
        return plain(run.state.life_cycle_state) in ("terminated", "skipped", "internal error")
    return bool(run.status and run.status.state and plain(run.status.state) == "terminated")


def _watch(client: "WorkspaceClient", run_id: int) -> "Run":
    start = told = answered = time.monotonic()
    states: dict[tuple[str, int | None], str] = {}
    lost = False
    while True:
        run = _look(client, run_id, answered, is_told=lost)
        lost = run is None
        if run is not None:
            answered = time.monotonic()
            if _tell_news(run, states):
                told = time.monotonic()
            elif time.monotonic() - told > SIGN_OF_LIFE:
                told = time.monotonic()
                report(f"run: {state_of(run)} for {in_words(told - start)}")
            if _is_over(run):
                return run
        time.sleep(PAUSE)


def _look(client: "WorkspaceClient", run_id: int, answered: float, is_told: bool) -> "Run | None":
    """Ask for a run; None where there is no answer just now."""
    import requests
    from databricks.sdk.errors import DatabricksError

    try:
        return client.jobs.get_run(run_id)
    except (DatabricksError, TimeoutError, requests.RequestException) as error:
        if not _is_passing(error) or time.monotonic() - answered > LOST:
            raise
        if not is_told:
            report(f"run: no answer just now ({first_line(client, error)}); the run goes on, asking again")
        return None


def _is_passing(error: Exception) -> bool:
    """Whether the same request may be answered a little later."""
    from databricks.sdk.errors import BadRequest, DatabricksError, NotFound, PermissionDenied, Unauthenticated

    if not isinstance(error, DatabricksError):
        return True
    return not isinstance(error, BadRequest | NotFound | PermissionDenied | Unauthenticated)


def _tell_news(run: "Run", states: dict[tuple[str, int | None], str]) -> bool:
    """Print what changed since the last look, and remember it in `states`."""
    news = [("run", None, run), *((task.task_key, task.run_id, task) for task in run.tasks or [])]
    told = False
    for name, attempt, it in news:
        state = state_of(it)
        if states.get((name, attempt)) == state or (name != "run" and state in ("blocked", "waiting")):
            continue
        told, states[name, attempt] = True, state
        report(f"{name}: {state}  {it.run_page_url or ''}".rstrip())
    return told


def _list_failures(client: "WorkspaceClient", run: "Run") -> list[dict[str, Any]]:
    if state_of(run) in FINE:
        return []
    failed = [
        {"task": task.task_key, "state": state_of(task), "error": _error_of(client, task), "link": task.run_page_url}
        for task in run.tasks or []
        if state_of(task) not in FINE | CONSEQUENCES
    ]
    # A run may end before any of its tasks began.
    whole = {"task": None, "state": state_of(run), "error": _message_of(run), "link": run.run_page_url}
    return failed or [whole]


def _error_of(client: "WorkspaceClient", task: "RunTask") -> str:
    """Give the first two lines of a task's error; what the run says of it where it has no output."""
    from databricks.sdk.errors import DatabricksError

    try:
        text = client.jobs.get_run_output(task.run_id).error or ""
    except DatabricksError:  # a condition has no output, and a reader may not be permitted to see one
        text = ""
    lines = [line.strip() for line in text.splitlines() if line.strip()][:2]
    return " ".join(lines)[:300] or _message_of(task)


def _message_of(it: "Run | RunTask") -> str:
    if it.state and it.state.state_message:
        return it.state.state_message
    details = it.status.termination_details if it.status else None
    return details.message if details and details.message else "no reason given"


def _seconds(it: "Run | RunTask") -> float | None:
    """Measure how long a run or a task took, until now if it is not over."""
    if not it.start_time:
        return None
    end = it.end_time or time.time() * 1000
    return round(max(end - it.start_time, 0) / 1000, 1)
