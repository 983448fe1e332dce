"""`fruits emr run`, `status`, `logs` and `stop` on EMR Serverless: one run per lake, followed to its end."""

import gzip
import io
import json
import re

import pytest
from aws import account as account
from aws import aws_login as aws_login
from aws import type_emr as type_emr
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from emr_server import APPLICATION, BUCKET, RELEASE, START, Fault, deploy, publish, put, remove
from emr_server import emr as emr

from fruits.platform import emr_follow

pytestmark = pytest.mark.slow

LOGS = f"logs/serverless/applications/{APPLICATION}/jobs/00run1/SPARK_DRIVER"
USED = {"vCPUHour": 1.25, "memoryGBHour": 2.5, "storageGBHour": 0.0}


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())


def press_at(look: int):
    """Give what presses Ctrl-C at one of the looks at a run."""

    def on_look(looks: int) -> None:
        if looks == look:
            raise KeyboardInterrupt

    return on_look


def test_a_run_is_started_and_followed_to_its_end(emr, account, type_emr):
    emr.end = {"billedResourceUtilization": USED}
    put(f"{LOGS}/stdout.gz", "lake      s3://fruits-1/lake\nbronze    1 photo\n")
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
    put(f"{LOGS}/stderr.gz", "WARN Client\nfruits: no photo under images='s3://x'; add some\nat java.lang.Thread\n")
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
            put(f"{LOGS}/stderr", b"ValueError: it is late")

    monkeypatch.setattr(emr_follow.time, "sleep", sleep)
    assert "cause     ValueError: it is late" in type_emr("run")[1]


def test_logs_of_before_the_last_minute_may_lack_the_last_words(emr, type_emr):
    emr.states = ["FAILED"]
    for job, now, waited in (("00run1", START, 0), ("00run2", 2 * START, sum(emr_follow.LOGS_COME))):
        put(f"{LOGS}/stderr".replace("00run1", job), b"WARN early")
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
    put(f"{LOGS}/stderr.gz", "silver: 100 of 900 photos, 35 photos/s, 23 s left\nWARN other\n")
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


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["--k", "2.5"], 2, "k=2.5 is neither a count"),
        (
            ["--images", "./photos"],
            2,
            "images='./photos' is not on S3, so a run on EMR cannot see it; try images=s3://…",
        ),
        (["--lake", "lake"], 2, "lake='lake' is not on S3"),
        (["--weights", "imagenet"], 2, "weights='imagenet' is not on S3"),
        (["--workers", "0"], 2, "workers=0 is outside 1 to 1000"),
        (["--time-limit", "0"], 2, "time_limit=0 is outside 1 to"),
        (["--follow", "00run1", "--k", "3"], 2, "--follow looks at a run that was started already"),
        (["--architecture", "arm64"], 2, "architecture and release label of EMR Serverless are the stack's"),
        (["--step", "all"], 2, "argument --step: invalid choice"),
        (
            ["--follow", "00nobody"],
            1,
            "there is no run '00nobody' of stack 'fruits' in eu-west-3; `fruits emr status` li",
        ),
        (["--follow", "no id!"], 1, "there is no run 'no id!'"),
        (["--release", "9.9"], 1, "release 9.9 is not in s3://fruits-1/releases/9.9; `fruits emr build` and"),
        (["--images", "s3://fruits-1/none"], 1, "no photo under images='s3://fruits-1/none'; `fruits emr upload DIR`"),
        (["--images", "s3://nowhere-1/x"], 1, "there is no bucket 'nowhere-1'"),
        (["--images", "s3://No Bucket/x"], 2, "'No Bucket' is not the name of a bucket"),
        (["--stack", "vegetables"], 1, "no stack 'vegetables' in eu-west-3; `fruits emr deploy` makes it"),
        (["--region", "us-east-1"], 2, "region='us-east-1' is outside the European Union"),
    ],
)
def test_what_cannot_be_started_is_one_line_and_costs_nothing(emr, type_emr, words, status, says):
    code, out, err = type_emr("run", *words)
    assert (code, out, emr.jobs, emr.clusters) == (status, "", {}, {})
    assert re.fullmatch(rf"fruits: {re.escape(says)}.*\n", err)


def test_a_bucket_of_somebody_else_is_told(emr, type_emr, monkeypatch):
    def refuse(client, operation, asked, call=BaseClient._make_api_call):
        if operation == "ListObjectsV2":
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}, operation)
        return call(client, operation, asked)

    monkeypatch.setattr(BaseClient, "_make_api_call", refuse)
    status, _, err = type_emr("run", "--images", "s3://theirs/photos")
    assert (status, emr.jobs) == (1, {})
    assert err == "fruits: bucket 'theirs' is not open to this login (AccessDenied); it is another's, or elsewhere\n"


def test_without_a_login_it_says_how_to_get_one(emr, type_emr, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    status, _, err = type_emr("run")
    assert (status, err.startswith("fruits: no AWS login is configured; run `aws configure`")) == (2, True)


def test_a_stack_that_is_not_complete_is_told(emr, type_emr, monkeypatch):
    deploy("fruits-half", ApplicationId="")
    status, _, err = type_emr("run", "--stack", "fruits-half")
    assert status == 1
    assert "stack 'fruits-half' was deployed without what this run needs (ApplicationId); `fruits emr deploy" in err
    import moto.cloudformation.models as models

    stacks = models.cloudformation_backends["123456789012"]["eu-west-3"].stacks
    next(iter(stacks.values())).status = "ROLLBACK_COMPLETE"
    status, _, err = type_emr("run")
    assert status == 1
    assert "stack 'fruits' is ROLLBACK_COMPLETE; `fruits emr deploy` again mends it" in err


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("release.json", r"release \S+ is not in s3://fruits-1/releases/\S+; `fruits emr build` and"),
        ("run.py", r"s3://fruits-1/releases/\S+/run.py is missing; `fruits emr publish` puts it there again"),
        ("site-packages-x86_64.tar.gz", r"s3://\S+/site-packages-x86_64.tar.gz is missing; `fruits emr publish`"),
    ],
)
def test_a_release_that_is_not_whole_is_found_before_it_costs(emr, type_emr, name, says):
    remove(RELEASE)
    publish(name)
    status, _, err = type_emr("run")
    assert (status, emr.jobs) == (1, {})
    assert re.fullmatch(rf"fruits: {says}.*\n", err)


def test_a_release_that_was_cut_short_or_written_over_is_found(emr, type_emr):
    put(f"{RELEASE}/run.py", b"r")
    assert "run.py has 1 bytes instead of 6" in type_emr("run")[2]
    put(f"{RELEASE}/run.py", b"nur.py")
    assert "run.py is damaged: its sha256 is not the one it was published with; `fruits emr pub" in type_emr("run")[2]
    put(f"{RELEASE}/release.json", b"[1, 2")
    status, _, err = type_emr("run")
    assert (status, emr.jobs) == (1, {})
    assert "release.json is not what `fruits emr publish` writes" in err


def test_a_release_for_another_architecture_says_how_to_build_one(emr, type_emr):
    status, _, err = type_emr("run", "--cluster", "--architecture", "arm64")
    assert (status, emr.clusters) == (1, {})
    assert "has no wheelhouse-arm64.tar.gz; `fruits emr build --architecture arm64`" in err


def test_photos_are_looked_for_with_one_request_and_folders_are_none(emr, account, type_emr):
    remove("photos")
    put("photos/", b"")
    put("photos/Training/readme.txt", b"no photo")
    put("photosynthesis/leaf.jpg", b"jpeg")
    assert "no photo under images='s3://fruits-1/photos'" in type_emr("run")[2]
    put("photos/Training/Éclair d'été/1 2.JPG", b"jpeg")
    account.clear()
    assert type_emr("run")[0] == 0
    looked = [asked for _, operation, asked in account if operation == "ListObjectsV2" and asked["Prefix"] == "photos/"]
    assert len(looked) == 1


def test_a_step_that_reads_no_photos_needs_none(emr, type_emr):
    remove("photos")
    assert type_emr("run", "--step", "gold")[0] == 0
    [job] = emr.jobs.values()
    assert job["asked"]["jobDriver"]["sparkSubmit"]["entryPointArguments"][0] == "gold"
    assert type_emr("run", "--step", "bronze")[0] == 1


def test_a_quota_says_what_to_do(emr, type_emr):
    emr.faults.append(Fault("StartJobRun", 402, "ServiceQuotaExceededException", "Too many vCPUs."))
    status, _, err = type_emr("run")
    assert (status, "StartJobRun: Too many vCPUs; run it again later" in err) == (1, True)


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
    put(f"{LOGS}/stdout", "\n".join(map(str, range(100))).encode())
    parts = [gzip.compress(f"{line}\n".encode()) for line in ("WARN one", "bronze: 3 of 3 photos")]
    put(f"{LOGS}/stderr.gz", b"".join(parts))
    put(LOGS.replace("DRIVER", "EXECUTOR/1") + "/stderr.gz", "executor\n")
    status, out, _ = type_emr("logs", "00run1", "--lines", "2")
    assert status == 0
    assert out.splitlines() == [
        "run 00run1  running",
        "",
        f"stdout  s3://{BUCKET}/{LOGS}/stdout",
        "98",
        "99",
        "",
        f"stderr  s3://{BUCKET}/{LOGS}/stderr.gz",
        "WARN one",
        "bronze: 3 of 3 photos",
    ]
    assert type_emr("logs", "00nobody")[0] == 1
