"""`fruits emr run` on EMR Serverless: one run per lake, followed to its end, or left to go on."""

import json
import re

import pytest
from aws import account as account
from aws import aws_login as aws_login
from aws import type_emr as type_emr
from emr_account import APPLICATION, BUCKET, DRIVER_LOGS, put
from emr_server import emr as emr
from emr_services import START, USED, Fault, press_at

from fruits.platform import emr_follow

pytestmark = pytest.mark.slow


def test_a_run_is_started_and_followed_to_its_end(emr, account, type_emr):
    emr.end = {"billedResourceUtilization": USED}
    put(f"{DRIVER_LOGS}/stdout.gz", "lake      s3://fruits-1/lake\nbronze    1 photo\n")
    status, out, err = type_emr("run", "--k", "0.9", "--k-values", "8,16")
    assert status == 0
    [job] = emr.jobs.values()
    assert job["asked"]["jobDriver"]["sparkSubmit"]["entryPointArguments"] == [
        *("run", "--images", "s3://fruits-1/photos", "--lake", "s3://fruits-1/lake", "--k", "0.9", "--k-values", "8,16")
    ]
    assert [line for line in err.splitlines() if line.startswith("run: ")][1:] == [
        "run: submitted  As it should be.",
        "run: running  As it should be.",
        "run: success",
    ]
    assert out.splitlines() == [
        f"run 00run1  success in {emr.now - START:.0f} s, on EMR Serverless",
        "used      1.25 vcpu hours, 2.5 memory gb hours, 0 storage gb hours",
        "          lake      s3://fruits-1/lake",
        "          bronze    1 photo",
        f"logs      s3://{BUCKET}/logs/serverless/applications/{APPLICATION}/jobs/00run1/",
        "next      fruits emr status",
    ]
    assert {service for service, _, _ in account} == {"cloudformation", "s3", "emr", "emr-serverless"}


def test_every_run_has_a_token_and_a_name_of_its_own(emr, type_emr):
    assert [type_emr("run")[0], type_emr("run")[0]] == [0, 0]
    first, second = emr.jobs.values()
    assert first["asked"]["clientToken"] != second["asked"]["clientToken"]
    assert first["asked"]["name"] != second["asked"]["name"]
    assert first["asked"]["tags"] == {"project": "fruits", "run": first["asked"]["name"], "workers": "7"}


@pytest.mark.parametrize(
    "fault",
    [
        Fault("StartJobRun", late=True),
        Fault("StartJobRun", 500, late=True),
        Fault("StartJobRun", 429, "TooManyRequestsException", times=4),
    ],
    ids=["answer lost", "error after the start", "throttled"],
)
def test_a_request_that_is_repeated_starts_one_run(emr, account, type_emr, fault):
    emr.faults.append(fault)
    assert type_emr("run")[0] == 0
    assert len(emr.jobs) == 1


def test_started_again_it_follows_the_run_that_is_under_way(emr, type_emr):
    emr.states = ["RUNNING"] * 9 + ["SUCCESS"]
    emr.on_look = press_at(3)
    assert type_emr("run", "--k", "0.9")[0] == 1
    for words in ((), ("--k", "0.9")):
        emr.on_look = press_at(emr.looks + 2)
        assert type_emr("run", *words)[0] == 1
    emr.on_look = lambda looks: None
    status, out, err = type_emr("run")
    assert (status, len(emr.jobs)) == (0, 1)
    assert "run: 00run1 (serverless) is under way already, none is started" in err
    assert out.startswith("run 00run1  success")


def test_a_lake_has_one_writer_at_a_time(emr, type_emr):
    emr.states = ["RUNNING"]
    emr.on_look = press_at(1)
    type_emr("run", "--k", "0.9")
    emr.on_look = lambda looks: None
    status, out, err = type_emr("run", "--k", "0.8")
    assert (status, out, len(emr.jobs)) == (1, "", 1)
    assert err == (
        "fruits: run 00run1 is at work on s3://fruits-1/lake with other settings; follow it with "
        "`fruits emr run --follow 00run1`, or stop it with `fruits emr stop 00run1`\n"
    )
    assert type_emr("run", "--step", "gold")[0] == 1
    emr.states = ["SUCCESS"]
    assert type_emr("run", "--lake", "s3://fruits-1/other")[0] == 0
    assert len(emr.jobs) == 2


def test_a_failed_run_says_why_in_one_line(emr, type_emr):
    emr.states = ["RUNNING", "FAILED"]
    emr.end = {"stateDetails": "Job failed, please check complete logs.\nExitCode: 1."}
    put(
        f"{DRIVER_LOGS}/stderr.gz",
        "WARN Client\nfruits: no photo under images='s3://x'; add some\nat java.lang.Thread\n",
    )
    status, out, _ = type_emr("run", "--json")
    assert status == 1
    assert json.loads(out)["failed"] == [
        {
            "state": "failed",
            "error": "Job failed, please check complete logs. ExitCode: 1",
            "cause": "fruits: no photo under images='s3://x'; add some",
            "way_out": None,
        }
    ]
    _, out, _ = type_emr("run", "--follow", "00run1")
    assert "failed    Job failed, please check complete logs. ExitCode: 1\ncause     fruits: no photo" in out
    assert out.endswith("next      fruits emr logs 00run1\n")


@pytest.mark.parametrize(
    ("state", "details", "says"),
    [
        (
            "FAILED",
            "Exceeded maximum capacity of the application.",
            "no room now: run again later, or with fewer --work",
        ),
        ("CANCELLED", "Job run was cancelled by user.", "failed    Job run was cancelled by user"),
    ],
)
def test_a_run_that_did_not_succeed_is_status_1(emr, type_emr, state, details, says):
    emr.states = ["QUEUED", state]
    emr.end = {"stateDetails": details}
    status, out, _ = type_emr("run")
    assert status == 1
    assert says in out


def test_logs_that_come_late_are_waited_for(emr, type_emr, monkeypatch):
    emr.states = ["FAILED"]

    def sleep(seconds: float) -> None:
        emr.now += seconds
        if seconds == emr_follow.LOGS_COME[-1]:
            put(f"{DRIVER_LOGS}/stderr", b"ValueError: it is late")

    monkeypatch.setattr(emr_follow.time, "sleep", sleep)
    assert "cause     ValueError: it is late" in type_emr("run")[1]


def test_logs_of_before_the_last_minute_may_lack_the_last_words(emr, type_emr):
    emr.states = ["FAILED"]
    for job, now, waited in (("00run1", START, 0), ("00run2", 2 * START, sum(emr_follow.LOGS_COME))):
        put(f"{DRIVER_LOGS}/stderr".replace("00run1", job), b"WARN early")
        emr.now = now
        assert "cause     WARN early" in type_emr("run")[1]
        assert emr.now - now == waited


def test_a_run_that_is_ending_is_waited_for_before_another_starts(emr, type_emr):
    emr.states = ["RUNNING"]
    emr.on_look = press_at(2)
    type_emr("run", "--stop-on-interrupt")
    emr.jobs["00run1"]["states"] = ["CANCELLING", "CANCELLING", "CANCELLED"]
    emr.states = ["SUCCESS"]
    status, out, err = type_emr("run")
    assert (status, out.split()[1]) == (0, "00run2")
    assert "run: 00run1 on the same tables is about to end, waiting for that\n" in err


def test_a_lost_connection_and_throttling_are_waited_for(emr, type_emr):
    emr.states = ["RUNNING", "RUNNING", "RUNNING", "SUCCESS"]
    emr.faults += [Fault("GetJobRun", times=20), Fault("GetJobRun", 400, "ThrottlingException", times=20)]
    status, _, err = type_emr("run")
    assert status == 0, err
    assert err.count("no answer just now (AWS does not answer") == 1
    assert all(fault.times == 0 for fault in emr.faults)


def test_after_half_an_hour_without_an_answer_it_says_that_the_run_goes_on(emr, type_emr):
    emr.faults.append(Fault("GetJobRun", times=-1))
    status, _, err = type_emr("run")
    assert status == 1
    assert err.splitlines()[-1] == (
        "fruits: AWS does not answer; check the network, and the same command again continues; "
        "run 00run1 goes on if it is there, follow it with `fruits emr run --follow 00run1`"
    )
    assert emr_follow.LOST < emr.now - START < 3 * emr_follow.LOST


def test_a_login_that_ends_while_following_says_that_the_run_goes_on(emr, type_emr):
    emr.faults.append(Fault("GetJobRun", 403, "ExpiredTokenException", "The token is old."))
    status, _, err = type_emr("run")
    assert status == 1
    assert re.fullmatch(
        r"fruits: GetJobRun: The token is old; this login has expired; .*; run 00run1 goes on .*", err.splitlines()[-1]
    )


def test_a_run_of_hours_is_followed_with_a_sign_of_life_a_minute(emr, account, type_emr):
    emr.states = ["RUNNING"] * 300 + ["SUCCESS"]
    put(f"{DRIVER_LOGS}/stderr.gz", "silver: 100 of 900 photos, 35 photos/s, 23 s left\nWARN other\n")
    status, _, err = type_emr("run")
    assert status == 0
    signs = [line for line in err.splitlines() if line.startswith("run: running for")]
    hours = (emr.now - START) / 3600
    assert hours > 2
    assert 40 * hours < len(signs) <= 60 * hours
    assert signs[0].endswith("; silver: 100 of 900 photos, 35 photos/s, 23 s left")
    looks = sum(operation == "GetJobRun" for _, operation, _ in account)
    assert looks < 130 * hours


def test_ctrl_c_says_that_the_run_goes_on_and_how_to_follow_or_stop_it(emr, type_emr):
    emr.on_look = press_at(2)
    status, out, err = type_emr("run")
    assert (status, out) == (1, "")
    assert err.splitlines()[-1] == (
        "fruits: no longer following; run 00run1 goes on and costs money, "
        "follow it with `fruits emr run --follow 00run1`, stop it with `fruits emr stop 00run1`"
    )
    assert emr.jobs["00run1"]["states"][0] != "CANCELLED"


@pytest.mark.parametrize(("words", "typed"), [(["--stop-on-interrupt"], None), ([], "y\n"), ([], "n\n")])
def test_ctrl_c_stops_the_run_where_it_is_to(emr, type_emr, monkeypatch, words, typed):
    if typed:
        monkeypatch.setattr(
            "sys.stdin", type("Terminal", (), {"isatty": lambda _: True, "readline": lambda _: typed})()
        )
    emr.on_look = press_at(2)
    status, _, err = type_emr("run", *words)
    assert status == 1
    if typed == "n\n":
        assert "goes on and costs money" in err.splitlines()[-1]
        assert emr.jobs["00run1"]["states"][0] != "CANCELLED"
    else:
        assert err.splitlines()[-1] == "fruits: run 00run1 was stopped; `fruits emr run` again continues where it was"
        assert emr.jobs["00run1"]["states"][0] == "CANCELLED"


def test_ctrl_c_while_logs_are_waited_for_stops_nothing(emr, type_emr, monkeypatch):
    def sleep(seconds: float) -> None:
        if emr.jobs["00run1"]["states"] == ["SUCCESS"]:
            raise KeyboardInterrupt

    monkeypatch.setattr(emr_follow.time, "sleep", sleep)
    status, _, err = type_emr("run", "--stop-on-interrupt")
    assert (status, "goes on" in err) == (1, False)
    assert emr.jobs["00run1"]["states"] == ["SUCCESS"]


def test_ctrl_c_while_a_run_is_asked_for_says_where_to_look(emr, type_emr, monkeypatch):
    def press(**asked):
        raise KeyboardInterrupt

    monkeypatch.setattr(emr, "StartJobRun", press)
    status, _, err = type_emr("run")
    assert status == 1
    assert re.fullmatch(r"fruits: stopped while fruits-run-\S+ was asked for; `fruits emr status` says .*\n", err)
