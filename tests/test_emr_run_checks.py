"""What `fruits emr run` looks at before a run costs anything: settings, login, stack, release, photos."""

import re

import pytest
from aws import account as account
from aws import aws_login as aws_login
from aws import refusal, refuse
from aws import type_emr as type_emr
from emr_account import RELEASE, deploy, publish, put, remove
from emr_server import emr as emr
from emr_services import Fault

pytestmark = pytest.mark.slow


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
    refuse(monkeypatch, "ListObjectsV2", refusal("AccessDenied", 403))
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
