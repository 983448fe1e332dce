"""`fruits emr status`, `stop` and `logs` on EMR Serverless: what runs, its end, and what it wrote."""

import gzip
import json
import re

import pytest
from aws import account as account
from aws import aws_login as aws_login
from aws import type_emr as type_emr
from emr_account import BUCKET, DRIVER_LOGS, put
from emr_server import emr as emr
from emr_services import USED, Fault, press_at

pytestmark = pytest.mark.slow


def test_status_lists_what_runs_and_the_last_runs(emr, type_emr):
    emr.states = ["SUCCESS"]
    type_emr("run")
    emr.now += 3600
    emr.states = ["RUNNING"]
    emr.on_look = press_at(emr.looks + 1)
    type_emr("run")
    status, out, _ = type_emr("status")
    assert status == 0
    lines = out.splitlines()
    assert lines[0] == f"stack fruits in eu-west-3, s3://{BUCKET}"
    assert [line.split()[:3] for line in lines[1:]] == [
        ["run", "on", "state"],
        ["00run2", "serverless", "running"],
        ["00run1", "serverless", "success"],
        ["under", "way:", "fruits"],
    ]
    status, out, _ = type_emr("status", "--last", "1", "--json")
    assert [(run["run_id"], run["is_active"]) for run in json.loads(out)["runs"]] == [("00run2", True)]
    assert type_emr("status", "--last", "0")[0] == 2


def test_status_of_a_stack_that_never_ran_says_so(emr, type_emr):
    assert type_emr("status")[1].splitlines()[1] == "no run yet; fruits emr run"
    assert type_emr("stop") == (0, "no run of stack fruits is under way\n", "")
    status, out, err = type_emr("logs")
    assert (status, out, err) == (1, "", "fruits: stack 'fruits' has no run yet; `fruits emr run` starts one\n")


def test_stop_waits_until_nothing_is_left(emr, type_emr):
    emr.states = ["RUNNING"]
    for lake in "ab":
        emr.on_look = press_at(emr.looks + 1 + len(emr.jobs))
        type_emr("run", "--lake", f"s3://fruits-1/{lake}")
    emr.on_look = lambda looks: None
    status, out, err = type_emr("stop")
    assert (status, out) == (2, "")
    assert err == "fruits: 2 runs are under way: 00run2, 00run1; name one, or stop them with --all\n"
    emr.end = {"totalResourceUtilization": USED}
    status, out, _ = type_emr("stop", "00run2")
    assert (status, out[:23]) == (0, "run 00run2  cancelled, ")
    assert [emr.jobs[name]["states"][0] for name in ("00run1", "00run2")] == ["RUNNING", "CANCELLED"]
    status, out, _ = type_emr("stop", "--all")
    assert (status, out) == (
        0,
        "run 00run1  cancelled, used 1.25 vcpu hours, 2.5 memory gb hours, 0 storage gb hours\n",
    )
    assert type_emr("stop", "00run1")[0] == 0  # over already
    assert type_emr("stop", "00run1", "--all")[0] == 2
    assert type_emr("stop", "00nobody")[0] == 1


def test_a_run_that_may_not_be_stopped_is_said_to_go_on(emr, type_emr):
    emr.states = ["RUNNING"]
    emr.on_look = press_at(2)
    emr.faults.append(Fault("CancelJobRun", 403, "AccessDeniedException", "No."))
    status, _, err = type_emr("run", "--stop-on-interrupt")
    assert status == 1
    assert err.splitlines()[-1].startswith(
        "fruits: run 00run1 could not be stopped and goes on (CancelJobRun: No; this l"
    )


def test_ctrl_c_while_stopping_says_where_to_look(emr, type_emr):
    emr.states = ["RUNNING"]
    emr.on_look = press_at(1)
    type_emr("run")
    emr.on_look = press_at(emr.looks + 3)
    status, _, err = type_emr("stop")
    assert status == 1
    assert err.splitlines()[-1].startswith("fruits: no longer waiting for the end; `fruits emr status`")
    assert emr.jobs["00run1"]["states"][0] == "CANCELLING"


def test_logs_show_the_end_of_what_the_driver_wrote(emr, type_emr):
    emr.states = ["RUNNING"]
    emr.on_look = press_at(1)
    type_emr("run")
    status, _, err = type_emr("logs")
    assert status == 1
    assert re.fullmatch(r"fruits: no logs of run 00run1 \(running\) in s3://\S+; they come a minute after .*\n", err)
    put(f"{DRIVER_LOGS}/stdout", "\n".join(map(str, range(100))).encode())
    parts = [gzip.compress(f"{line}\n".encode()) for line in ("WARN one", "bronze: 3 of 3 photos")]
    put(f"{DRIVER_LOGS}/stderr.gz", b"".join(parts))
    put(DRIVER_LOGS.replace("DRIVER", "EXECUTOR/1") + "/stderr.gz", "executor\n")
    status, out, _ = type_emr("logs", "00run1", "--lines", "2")
    assert status == 0
    assert out.splitlines() == [
        "run 00run1  running",
        "",
        f"stdout  s3://{BUCKET}/{DRIVER_LOGS}/stdout",
        "98",
        "99",
        "",
        f"stderr  s3://{BUCKET}/{DRIVER_LOGS}/stderr.gz",
        "WARN one",
        "bronze: 3 of 3 photos",
    ]
    assert type_emr("logs", "00nobody")[0] == 1
