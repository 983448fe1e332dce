"""`fruits databricks run` and `runs`: started once, followed to the end, whatever the network does."""

import json
import re
import signal
import threading
import time

import pytest
from databricks_server import Fault, make_job
from databricks_server import no_login as no_login
from databricks_server import type_in as type_in
from databricks_server import workspace as workspace

from fruits.platform import databricks_jobs


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(databricks_jobs, "PAUSE", 0.01)


@pytest.fixture
def run(type_in):
    """Run `fruits databricks run …`, or another command."""
    return lambda *line, command="run": type_in(command, *line)


def task(key: str, state: str, message: str = "") -> dict:
    """A task as the Jobs API shows it; an upper-case result, or a life-cycle state while there is none."""
    ended = state in ("SUCCESS", "FAILED", "CANCELED", "TIMEDOUT", "UPSTREAM_FAILED", "EXCLUDED")
    life = {"life_cycle_state": "TERMINATED", "result_state": state} if ended else {"life_cycle_state": state}
    number = 900 + len(key)
    link = f"https://workspace/run/{number}"
    started = {"start_time": 1000, "end_time": 5000 if ended else 0}
    return {
        "task_key": key,
        "run_id": number,
        "run_page_url": link,
        "state": life | {"state_message": message},
    } | started


def look(state: str, *tasks: dict, message: str = "") -> dict:
    """What one look at the run sees."""
    whole = task("run", state, message)
    return whole | {"run_id": 700, "job_id": 11, "run_page_url": "https://workspace/run/700", "tasks": list(tasks)}


GOOD = [
    look("PENDING", task("bronze", "PENDING"), task("silver", "BLOCKED")),
    look("RUNNING", task("bronze", "RUNNING"), task("silver", "BLOCKED")),
    look("RUNNING", task("bronze", "SUCCESS"), task("silver", "RUNNING")),
    look("SUCCESS", task("bronze", "SUCCESS"), task("silver", "SUCCESS")),
]


def test_a_run_is_started_with_the_settings_given_and_followed(workspace, run):
    workspace.run_states = GOOD[:]
    status, out, err = run("--k", "0.9", "--k-values", "8,16", "--json")
    assert status == 0
    [started] = workspace.started.values()
    assert (started["job_id"], started["job_parameters"]) == (11, {"k": "0.9", "k_values": "8,16"})
    result = json.loads(out)
    assert (result["state"], result["seconds"], result["failed"]) == ("success", 4.0, [])
    assert [each["task"] for each in result["tasks"]] == ["bronze", "silver"]
    told = [line for line in err.splitlines() if line.startswith(("bronze", "silver"))]
    assert told == [
        "bronze: pending  https://workspace/run/906",
        "bronze: running  https://workspace/run/906",
        "bronze: success  https://workspace/run/906",
        "silver: running  https://workspace/run/906",
        "silver: success  https://workspace/run/906",
    ]


def test_without_settings_the_jobs_own_are_used(workspace, run):
    workspace.run_states = GOOD[-1:]
    status, out, _ = run()
    assert status == 0
    [started] = workspace.started.values()
    assert "job_parameters" not in started
    assert out.startswith("run 700  success in 4.0 s  https://workspace/run/700\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        Fault("POST", "run-now", drop="late"),
        Fault("POST", "run-now", drop="late", status=500),
        Fault("POST", "run-now", status=429, headers={"Retry-After": "0"}),
    ],
    ids=["cut before the answer", "error", "throttled"],
)
def test_a_request_that_is_repeated_starts_one_run(workspace, run, fault):
    workspace.run_states = GOOD[-1:]
    workspace.faults.append(fault)
    assert run()[0] == 0
    assert len(workspace.started) == 1
    assert sum(path.endswith("run-now") for _, path in workspace.calls) == 2


def test_a_failed_task_is_told_with_its_error_and_its_consequences_are_not(workspace, run):
    workspace.run_states = [
        look(
            "FAILED",
            task("bronze", "SUCCESS"),
            task("changed", "FAILED"),
            task("gold", "UPSTREAM_FAILED"),
            task("report", "EXCLUDED"),
        )
    ]
    workspace.outputs[907] = {
        "error": "FruitsError: no photo under images='/x'\nadd some\nthird line",
        "error_trace": "…",
    }
    status, out, _ = run("--json")
    assert status == 1
    link = "https://workspace/run/907"
    error = "FruitsError: no photo under images='/x' add some"
    assert json.loads(out)["failed"] == [{"task": "changed", "state": "failed", "error": error, "link": link}]
    workspace.outputs.clear()  # as for a reader who may not see it
    status, out, _ = run()
    assert status == 1
    assert f"changed: failed  {link}\n    no reason given\n" in out


@pytest.mark.parametrize(
    ("last", "told"),
    [
        (look("CANCELED", task("bronze", "CANCELED", "Run cancelled by ana.")), "bronze: canceled"),
        (look("TIMEDOUT", task("bronze", "TIMEDOUT", "Timed out.")), "bronze: timedout"),
        (look("SKIPPED", message="Another run is under way."), "run: skipped"),
        (look("INTERNAL_ERROR", message="No compute."), "run: internal error"),
    ],
    ids=["cancelled", "timed out", "skipped", "internal error"],
)
def test_a_run_that_did_not_succeed_is_status_1_and_says_why(workspace, run, last, told):
    workspace.run_states = [GOOD[0], last]
    status, out, _ = run()
    assert status == 1
    assert told in out
    message = [*last["tasks"], last][0]["state"]["state_message"]
    assert f"    {message}\n" in out


def test_a_task_left_out_by_a_condition_is_no_failure(workspace, run):
    workspace.run_states = [look("SUCCESS", task("bronze", "SUCCESS"), task("silver", "EXCLUDED"))]
    assert run()[0] == 0


def test_states_of_newer_answers_are_read_too(workspace, run):
    def ended(code: str) -> dict:
        return {"status": {"state": "TERMINATED", "termination_details": {"code": code, "message": "Why."}}}

    workspace.run_states = [{"run_id": 700, "job_id": 11, **ended("SUCCESS")}]
    assert run()[0] == 0
    workspace.run_states = [{"run_id": 700, "job_id": 11, **ended("USER_CANCELED")}]
    status, out, _ = run()
    assert (status, "user canceled" in out, "Why." in out) == (1, True, True)


@pytest.mark.slow
def test_a_lost_connection_is_waited_for(workspace, run, monkeypatch):
    monkeypatch.setattr("fruits.platform.databricks.PATIENCE", 1)
    workspace.run_states = GOOD[:]
    workspace.faults += [
        Fault("GET", "runs/get$", status=500, times=3),
        Fault("GET", "runs/get$", drop="early", times=3),
    ]
    status, _, err = run()
    assert status == 0
    assert 1 <= err.count("no answer just now") <= 2
    assert all(fault.times == 0 for fault in workspace.faults)


def test_ctrl_c_says_that_the_run_goes_on_and_how_to_follow_it(workspace, run):
    workspace.run_states = GOOD[1:2]

    def press() -> None:
        while workspace.calls.count(("GET", "/api/2.2/jobs/runs/get")) < 3:
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    status, out, err = run()
    assert (status, out) == (1, "")
    assert err.splitlines()[-1] == (
        "fruits: no longer following; run 700 goes on, follow it again with `fruits databricks run --follow 700`"
    )


def test_a_run_under_way_is_followed_without_starting_one(workspace, run):
    workspace.run_states = GOOD[1:]
    status, out, _ = run("--follow", "700")
    assert (status, workspace.started) == (0, {})
    assert out.startswith("run 700  success")
    status, _, err = run("--follow", "701")
    assert status == 1
    assert re.fullmatch(r"fruits: .*Run 701 does not exist.*\n", err)
    assert run("--follow", "700", "--k", "3")[0] == 2


def test_a_login_that_ends_while_following_says_that_the_run_goes_on(workspace, run):
    workspace.run_states = GOOD[1:2]
    workspace.faults.append(Fault("GET", "runs/get$", status=401, message="expired"))
    status, _, err = run()
    assert status == 1
    assert "auth login" in err
    assert "--follow 700" in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("line", "status", "says"),
    [
        (["--k", "2.5"], 2, "k=2.5 is neither"),
        (["--tracking", "none"], 2, "job 'fruits' has no parameter 'tracking'; it has images, lake"),
        (["--follow", "soon"], 2, "argument --follow: invalid int value"),
        (["--job", "vegetables"], 1, "no job 'vegetables' on"),
        (["--job-id", "99"], 1, "job 99 is not there"),
    ],
)
def test_what_cannot_be_started_is_one_line(workspace, run, line, status, says):
    code, out, err = run(*line)
    assert (code, out, workspace.started) == (status, "", {})
    assert re.fullmatch(rf"fruits: {re.escape(says)}.*\n", err)


def test_a_job_is_found_behind_the_prefix_of_its_target(workspace, run):
    workspace.run_states = GOOD[-1:]
    workspace.jobs = {5: make_job("fruits classic"), 6: make_job("[dev ana] fruits"), 7: make_job("Fruits")}
    assert run()[0] == 0
    assert [each["job_id"] for each in workspace.started.values()] == [6]
    workspace.jobs[8] = make_job("fruits")  # the exact name comes first
    assert run()[0] == 0
    assert [each["job_id"] for each in workspace.started.values()] == [6, 8]


def test_two_jobs_of_one_name_are_a_question_of_id(workspace, run):
    workspace.run_states = GOOD[-1:]
    workspace.jobs[12] = make_job("fruits")
    status, _, err = run()
    assert status == 1
    assert err == "fruits: 2 jobs are called 'fruits': 11 (fruits), 12 (fruits); choose one with --job-id ID\n"
    assert run("--job-id", "12")[0] == 0


def test_the_last_runs_are_listed(workspace, run):
    workspace.runs = [
        look("RUNNING") | {"run_id": 702, "trigger": "FILE_ARRIVAL", "start_time": 1767225600000},
        look("SUCCESS") | {"trigger": "ONE_TIME"},
        look("FAILED") | {"run_id": 699},
    ]
    status, out, _ = run("--last", "2", command="runs")
    assert status == 0
    lines = out.splitlines()
    assert lines[0] == "job fruits (11)"
    assert [line.split()[0] for line in lines[1:]] == ["run", "702", "700"]
    assert "file arrival" in lines[2]
    assert "https://workspace/run/700" in lines[3]
    status, out, _ = run("--json", command="runs")
    assert [each["state"] for each in json.loads(out)["runs"]] == ["running", "success", "failed"]


def test_a_job_that_never_ran_says_so(workspace, run):
    status, out, err = run(command="runs")
    assert (status, out) == (1, "")
    assert err == "fruits: job 'fruits' has no run yet; `fruits databricks run` starts one\n"
    assert run("--last", "0", command="runs")[0] == 2
