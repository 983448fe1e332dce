"""`fruits emr run --cluster`: a cluster that does one step and ends itself, whatever goes wrong with it."""

import json
import re

import pytest
from aws import account as account
from aws import aws_login as aws_login
from aws import type_emr as type_emr
from emr_account import BUCKET, deploy, put
from emr_server import emr as emr
from emr_services import START, Fault

pytestmark = pytest.mark.slow

GOOD = [
    "STARTING",
    "BOOTSTRAPPING",
    ("RUNNING", "RUNNING"),
    ("TERMINATING", "COMPLETED"),
    ("TERMINATED", "COMPLETED"),
]
LOGS = f"s3://{BUCKET}/logs/emr/j-1/"


def failed(code: str, message: str, **more) -> dict:
    """What AWS says of a cluster that ended so."""
    return {"cluster": {"StateChangeReason": {"Code": code, "Message": message}, **more}}


def test_a_cluster_is_made_followed_to_its_end_and_its_hours_are_counted(emr, account, type_emr):
    emr.states = ["STARTING", *GOOD]  # the first look is for the end it has to have
    put("logs/emr/j-1/steps/s-1/stdout.gz", "gold      k=8\n")
    status, out, err = type_emr("run", "--cluster", "--k", "8")
    assert status == 0
    assert [line for line in err.splitlines() if line.startswith("run: ")][1:] == [
        "run: starting, step pending",
        "run: bootstrapping, step pending",
        "run: running, step running",
        "run: terminating, step completed",
        "run: terminated, step completed",
    ]
    hours = round(2 * (emr.now - START) / 3600, 3)
    assert out.splitlines() == [
        f"run j-1  terminated, step completed in {emr.now - START:.0f} s, on a cluster of its own",
        f"used      {hours:g} m7i.xlarge on demand hours, {hours:g} m7i.xlarge spot hours",
        "          gold      k=8",
        f"logs      {LOGS}",
        "next      fruits emr status",
    ]
    assert emr.jobs == {}
    read_back = [operation for service, operation, _ in account if service == "emr"]
    assert read_back.index("GetAutoTerminationPolicy") == read_back.index("RunJobFlow") + 1


@pytest.mark.parametrize(("policy", "cluster"), [(None, False), (True, True)])
def test_a_cluster_that_aws_would_keep_is_told_to_end(emr, type_emr, policy, cluster):
    emr.states = ["STARTING", *GOOD]
    emr.keeps_policy, emr.keeps_cluster = policy, cluster
    assert type_emr("run", "--cluster")[0] == 0
    assert (emr.clusters["j-1"]["policy"], emr.clusters["j-1"]["stays"]) == ({"IdleTimeout": 1800}, False)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (None, r"fruits: cluster j-1 might not have ended by itself \(AWS does not keep it\), so it was ended at once"),
        (
            Fault("GetAutoTerminationPolicy", 400, "AccessDeniedException", "No.", times=-1),
            r"fruits: cluster j-1 might not .* \(GetAutoTerminationPolicy: No; this login may not do it.*ended at once",
        ),
    ],
    ids=["not kept", "not permitted"],
)
def test_a_cluster_without_an_end_is_ended_at_once(emr, type_emr, fault, says):
    emr.keeps_policy = False
    emr.faults += [fault] if fault else []
    status, out, err = type_emr("run", "--cluster")
    assert (status, out) == (1, "")
    assert re.fullmatch(says, err.splitlines()[-1])
    assert emr.clusters["j-1"]["states"][0][0] == "TERMINATING"


def test_a_cluster_that_can_neither_end_nor_be_ended_is_told_loudly(emr, type_emr):
    emr.keeps_policy = False
    emr.faults.append(Fault("TerminateJobFlows", 400, "AccessDeniedException", "No.", times=-1))
    status, _, err = type_emr("run", "--cluster")
    assert status == 1
    assert "could not be ended (TerminateJobFlows: No; " in err
    assert err.endswith("end it now: `fruits emr stop j-1`, or in the console\n")


@pytest.mark.parametrize(
    "faults",
    [
        [Fault("RunJobFlow", late=True)],
        [Fault("RunJobFlow", 500, late=True)],
        [Fault("RunJobFlow", 400, "ThrottlingException", times=3)],
        [Fault("RunJobFlow"), Fault("ListClusters", 400, "ThrottlingException", times=3)],
    ],
    ids=["answer lost", "error after it", "throttled", "lost before"],
)
def test_a_request_whose_answer_is_lost_makes_one_cluster(emr, type_emr, faults):
    emr.states = GOOD[:]
    type_emr("status")
    emr.faults += faults
    status, _, err = type_emr("run", "--cluster")
    assert status == 0, err
    assert len(emr.clusters) == 1


def test_a_cluster_is_not_asked_for_again_where_aws_refuses_it(emr, account, type_emr):
    emr.faults.append(Fault("RunJobFlow", 400, "ValidationException", "The subnet does not exist."))
    status, _, err = type_emr("run", "--cluster")
    assert (status, err) == (1, "fruits: RunJobFlow: The subnet does not exist\n")
    assert sum(operation == "RunJobFlow" for _, operation, _ in account) == 1


@pytest.mark.parametrize(
    ("end", "says", "way_out"),
    [
        (
            failed(
                "BOOTSTRAP_FAILURE", "On the master instance (i-0), bootstrap action 1 returned a non-zero return code"
            ),
            "On the master instance (i-0), bootstrap action 1 returned a non-zero return code",
            "publish it whole (`fruits emr publish`) and run again",
        ),
        (
            failed("VALIDATION_ERROR", "The VPC/subnet configuration was invalid: no route to S3."),
            "The VPC/subnet configuration was invalid: no route to S3",
            "`fruits emr deploy` again mends the stack",
        ),
        (
            failed("INSTANCE_FLEET_TIMEOUT", "Instance fleet timed out."),
            "Instance fleet timed out",
            "AWS has no such machines now; run again later, or without --cluster",
        ),
        (
            failed(
                "VALIDATION_ERROR",
                "Cannot start.",
                ErrorDetails=[{"ErrorCode": "EC2_INSUFFICIENT_CAPACITY", "ErrorMessage": "Insufficient capacity."}],
            ),
            "Cannot start. Insufficient capacity",
            "there is no room now: run again later",
        ),
        (
            failed("INSTANCE_FAILURE", "All slaves in the job flow were terminated due to Spot."),
            "All slaves in the job flow were terminated due to Spot",
            "machines were lost; run again, and it continues where this one was",
        ),
        (failed("USER_REQUEST", "User request"), "User request", "somebody stopped it; run again"),
    ],
)
def test_a_cluster_that_ends_while_it_is_followed_says_why(emr, type_emr, end, says, way_out):
    emr.states = ["STARTING", "TERMINATING", "TERMINATED_WITH_ERRORS"]
    emr.end = end
    status, out, _ = type_emr("run", "--cluster")
    assert status == 1
    assert f"failed    {says}\n" in out
    assert re.search(rf"^way out   .*{re.escape(way_out)}", out, re.M)
    assert out.startswith("run j-1  terminated with errors, step pending in ")


def test_a_step_that_fails_shows_its_last_error(emr, type_emr):
    emr.states = ["STARTING", ("RUNNING", "RUNNING"), ("TERMINATED_WITH_ERRORS", "FAILED")]
    log = f"{LOGS}steps/s-1/stderr.gz"
    details = {"FailureDetails": {"Reason": "Unknown Error.", "LogFile": log}}
    emr.end = failed("STEP_FAILURE", "Shut down as step failed") | {"step": details}
    put(log.removeprefix(f"s3://{BUCKET}/"), "silver: 1 of 2 photos\norg.apache.spark.SparkException: lost\nINFO bye\n")
    put("logs/emr/j-1/steps/s-1/controller.gz", "fruits: not this\n")
    status, out, _ = type_emr("run", "--cluster")
    assert status == 1
    assert "failed    Unknown Error. Shut down as step failed\ncause     org.apache.spark.SparkException: lost\n" in out


def test_a_wheelhouse_with_a_wrong_checksum_is_the_cause_that_is_shown(emr, type_emr):
    emr.states = ["STARTING", "TERMINATED_WITH_ERRORS"]
    emr.end = failed("BOOTSTRAP_FAILURE", "Bootstrap failed")
    put("logs/emr/j-1/node/i-0/daemons/x.gz", "fruits: not this\n")
    put(
        "logs/emr/j-1/node/i-0/bootstrap-actions/1/stderr.gz", "sha256sum: WARNING: 1 computed checksum did NOT match\n"
    )
    out = type_emr("run", "--cluster")[1]
    assert "cause     sha256sum: WARNING: 1 computed checksum did NOT match\nway out   a node could not install" in out


def test_a_sign_of_life_counts_the_machines(emr, type_emr):
    emr.states = ["STARTING", *[("RUNNING", "RUNNING")] * 20, *GOOD[3:]]
    put("logs/emr/j-1/steps/s-1/stderr.gz", "gold: 5 of 9 photos, 1 photos/s, 4 s left\n")
    err = type_emr("run", "--cluster")[2]
    told = [line for line in err.splitlines() if "running, step running for" in line]
    assert re.fullmatch(
        r"run: running, step running for \d+ min \d+ s; 2 on demand, 2 spot; gold: 5 of 9 photos.*", told[0]
    )


def test_started_again_it_follows_the_cluster_on_the_same_lake(emr, type_emr):
    emr.states = GOOD[:3]
    emr.on_look = lambda looks: (_ for _ in ()).throw(KeyboardInterrupt) if looks == 4 else None
    status, _, err = type_emr("run", "--cluster")
    assert status == 1
    assert "run j-1 goes on and costs money, follow it with `fruits emr run --follow j-1`" in err
    emr.clusters["j-1"]["states"] = [GOOD[2]] * 3 + GOOD[3:]
    status, out, err = type_emr("run")  # on Serverless, had there not been this one
    assert (status, len(emr.clusters), emr.jobs) == (0, 1, {})
    assert "run: j-1 (cluster) is under way already, none is started" in err
    assert out.startswith("run j-1  terminated, step completed")


def test_a_cluster_that_is_ending_is_no_run_to_follow(emr, type_emr):
    emr.states = GOOD[:]
    emr.on_look = lambda looks: (_ for _ in ()).throw(KeyboardInterrupt) if looks == 5 else None
    assert type_emr("run", "--cluster")[0] == 1
    emr.clusters["j-1"]["states"] = [GOOD[3]] * 4 + GOOD[4:]
    emr.states = ["SUCCESS"]
    status, out, err = type_emr("run")
    assert (status, out.split()[1]) == (0, "00run1")
    assert "run: j-1 on the same tables is about to end, waiting for that" in err


def test_a_cluster_that_ends_while_it_is_looked_for_is_no_run_to_follow(emr, type_emr):
    emr.states = GOOD[2:]
    emr.on_look = lambda looks: (_ for _ in ()).throw(KeyboardInterrupt) if looks == 2 else None
    assert type_emr("run", "--cluster")[0] == 1
    emr.clusters["j-1"]["states"] = GOOD[3:]
    emr.states = ["SUCCESS"]
    assert type_emr("run")[1].split()[1] == "00run1"


def test_clusters_of_others_are_neither_listed_nor_stopped(emr, type_emr):
    emr.states = [("WAITING", "PENDING")]
    theirs = {"Instances": {"KeepJobFlowAliveWhenNoSteps": True}, "Tags": [{"Key": "project", "Value": "vegetables"}]}
    emr.add_cluster(theirs | {"Name": "fruits-run-or-so"})
    emr.add_cluster(theirs | {"Name": "fruits-run-20260101-000000-abcdef-2"})
    assert type_emr("status")[1].splitlines()[1:] == ["no run yet; fruits emr run"]
    for command in (["stop", "j-1"], ["logs", "j-1"], ["run", "--follow", "j-1"]):
        status, out, err = type_emr(*command)
        assert (status, out) == (1, "")
        assert err == "fruits: cluster j-1 (fruits-run-or-so) is not of stack 'fruits'; --stack NAME takes another\n"
    assert emr.clusters["j-1"]["states"] == [("WAITING", "PENDING")]
    status, _, err = type_emr("stop", "j-9")
    assert (status, err[:37]) == (1, "fruits: there is no run 'j-9' of stac")


def test_the_cluster_of_the_notebooks_is_shown_and_stopped_only_by_name(emr, type_emr):
    deploy("fruits-2", ClusterId="j-1")
    emr.states = [("WAITING", "PENDING")]
    emr.add_cluster({"Name": "notebooks", "Instances": {"KeepJobFlowAliveWhenNoSteps": True}, "Tags": []})
    assert ["j-1", "notebooks", "waiting"] in [
        line.split()[:3] for line in type_emr("status", "--stack", "fruits-2")[1].splitlines()
    ]
    assert type_emr("stop", "--all", "--stack", "fruits-2")[1] == "no run of stack fruits-2 is under way\n"
    status, out, _ = type_emr("stop", "j-1", "--stack", "fruits-2")
    assert (status, out.startswith("run j-1  terminated")) == (0, True)


def test_stopping_a_cluster_waits_until_it_is_gone(emr, type_emr):
    emr.states = GOOD[:3]
    emr.on_look = lambda looks: (_ for _ in ()).throw(KeyboardInterrupt) if looks == 4 else None
    status, _, err = type_emr("run", "--cluster", "--stop-on-interrupt")
    assert status == 1
    assert err.splitlines()[-1] == "fruits: run j-1 was stopped; `fruits emr run` again continues where it was"
    assert emr.clusters["j-1"]["states"] == [("TERMINATED", "CANCELLED")]
    _, out, _ = type_emr("status", "--json")
    assert [(run["run_id"], run["state"], run["is_active"]) for run in json.loads(out)["runs"]] == [
        ("j-1", "terminated", False)
    ]


def test_a_stack_without_a_network_makes_no_cluster(emr, type_emr):
    deploy("fruits-3", SubnetId="", SecurityConfiguration="")
    status, _, err = type_emr("run", "--cluster", "--stack", "fruits-3")
    assert (status, emr.clusters) == (1, {})
    assert "stack 'fruits-3' was deployed without what this run needs (SubnetId)" in err
