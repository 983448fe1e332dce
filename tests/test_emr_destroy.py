"""`fruits emr destroy`: what it asks, what stays, and what is waited for before anything is deleted."""

import json

import boto3
import pytest
from aws import account as account
from aws import aws_login as aws_login
from aws import type_emr as type_emr
from stacks import BUCKET, NOW, sent
from stacks import ordered as ordered
from stacks import outputs as outputs
from stacks import quick as quick

from fruits.platform import emr_active, emr_destroy, emr_follow
from fruits.platform.aws import Stack

pytestmark = pytest.mark.slow


def test_destroy_keeps_the_bucket_and_says_so(account, type_emr):
    assert type_emr("deploy")[0] == 0
    boto3.client("s3").put_object(Bucket=BUCKET, Key="photos/a.jpg", Body=b"a")
    status, out, err = type_emr("destroy", "--yes", "--json")
    assert status == 0, err
    assert json.loads(out) == {"stack": "fruits", "deleted": 0, "remains": [BUCKET, f"{BUCKET}-access"], "failed": []}
    assert f"bucket {BUCKET} stays" in err
    assert boto3.client("s3").get_object(Bucket=BUCKET, Key="photos/a.jpg")["Body"].read() == b"a"


@pytest.mark.usefixtures("account")
def test_destroy_with_data_empties_the_bucket_page_by_page_old_versions_too(type_emr, monkeypatch):
    s3 = boto3.client("s3")
    assert type_emr("deploy")[0] == 0
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    monkeypatch.setattr(emr_destroy, "PAGE", 4)
    for number in range(5):
        s3.put_object(Bucket=BUCKET, Key=f"photos/{number} é.jpg", Body=b"a")
    s3.delete_object(Bucket=BUCKET, Key="photos/1 é.jpg")
    s3.create_multipart_upload(Bucket=BUCKET, Key="photos/half.jpg")
    status, out, err = type_emr("destroy", "--yes", "--with-data", "--json")
    assert status == 0, err
    assert (json.loads(out)["deleted"], json.loads(out)["remains"]) == (6, [])
    assert "is emptied and deleted" in err and "4 of 4 objects" in err
    assert s3.list_buckets()["Buckets"] == []
    status, _, err = type_emr("destroy", "--yes")
    assert (status, "nothing to destroy" in err) == (1, True)


@pytest.mark.usefixtures("account")
def test_destroy_refuses_while_a_cluster_runs(type_emr):
    assert type_emr("deploy")[0] == 0
    instances = {"MasterInstanceType": "m5.xlarge", "InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True}
    made = boto3.client("emr").run_job_flow(Name="fruits-run-20261125-000000-abcdef", Instances=instances)["JobFlowId"]
    status, _, err = type_emr("destroy", "--yes")
    assert status == 1
    assert f"cluster {made} of stack 'fruits' is active; wait for the end, or `fruits emr stop {made}`" in err


def test_destroy_asks_first(account, type_emr, monkeypatch):
    assert type_emr("deploy")[0] == 0
    status, _, err = type_emr("destroy")
    assert (status, "add --yes" in err) == (2, True)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stdin.readline", lambda: "n\n")
    status, _, err = type_emr("destroy")
    assert (status, "nothing was destroyed" in err) == (1, True)
    assert sent(account, "DeleteStack") == []


def test_an_application_is_stopped_before_it_is_deleted(ordered):
    aws, order = ordered
    about = {
        "applicationId": "app",
        "arn": "arn:aws:emr-serverless:eu-west-3:123456789012:/applications/app",
        "releaseLabel": "emr-spark-8.1.0",
        "type": "SPARK",
        "createdAt": NOW,
        "updatedAt": NOW,
    }
    order("emr-serverless", "get_application", {"application": about | {"state": "STARTED"}})
    order("emr-serverless", "stop_application")
    order("emr-serverless", "get_application", {"application": about | {"state": "STOPPING"}})
    order("emr-serverless", "get_application", {"application": about | {"state": "STOPPED"}})
    emr_active.stop_application(aws, "app")


def test_a_job_run_that_is_active_counts(ordered):
    aws, order = ordered
    run = {
        "applicationId": "app",
        "id": "run1",
        "arn": "arn:aws:emr-serverless:eu-west-3:123456789012:/applications/app/jobruns/run1",
        "createdBy": "arn:aws:iam::123456789012:user/me",
        "createdAt": NOW,
        "updatedAt": NOW,
        "executionRole": "arn:aws:iam::123456789012:role/job",
        "state": "RUNNING",
        "stateDetails": "-",
        "releaseLabel": "emr-spark-8.1.0",
    }
    order("emr-serverless", "list_job_runs", {"jobRuns": [run]})
    order("emr", "list_clusters", {"Clusters": []})
    assert [run.id for run in emr_follow.list_active(aws, Stack("fruits", application_id="app"))] == ["run1"]
