"""The requests that start a run on AWS EMR: as agreed, as botocore has them, sized to fit, never without an end."""

import gzip
import itertools
import json
import re
from hashlib import sha256
from pathlib import Path

import boto3
import moto
import pytest
from aws import account as account
from aws import aws_login as aws_login
from aws import find_problems
from aws import type_emr as type_emr
from conftest import GOLDEN
from emr_account import BUCKET, OUTPUTS
from emr_server import emr as emr

import fruits
from fruits import cli
from fruits.platform.aws import EU_REGIONS
from fruits.platform.emr_requests import MACHINES, NOT_SOLD

ORDERS = {
    "serverless": ["--k", "0.9", "--k-values", "8,32"],
    "cluster": ["--cluster"],
    "cluster-arm64-7.14": [
        *("--cluster", "--architecture", "arm64", "--release-label", "emr-7.14.0", "--region", "eu-south-1"),
        *("--step", "gold", "--lake", "s3://other/Été 1", "--workers", "20", "--time-limit", "30"),
    ],
}
MEGABYTES = {"g": 1024, "m": 1}


def show_request(*words: str) -> dict:
    """Give what `fruits emr run --dry-run` shows without an account."""
    line = ["emr", "run", "--dry-run", "--release", "1.2.3", "--profile", "of no machine", *words]
    arguments = cli._make_parser().parse_args(line)
    return arguments.command.work(arguments)["requests"][0]


def spark_settings(request: dict) -> dict[str, str]:
    """Give the settings of Spark in a request."""
    if request["service"] == "emr":
        return request["parameters"]["Configurations"][1]["Properties"]
    words = request["parameters"]["jobDriver"]["sparkSubmit"]["sparkSubmitParameters"].split(" ")
    return dict(word.split("=", 1) for flag, word in itertools.pairwise(words) if flag == "--conf")


def megabytes(text: str) -> int:
    return int(text[:-1]) * MEGABYTES[text[-1]]


@pytest.mark.parametrize("name", ORDERS)
def test_requests_are_as_agreed_and_as_botocore_describes_them(name):
    request = show_request(*ORDERS[name])
    assert request == json.loads((GOLDEN / "emr" / f"{name}.json").read_text())  # tests/golden/regenerate_emr.py
    assert find_problems(request["service"], request["operation"], request["parameters"]) == []


@pytest.mark.parametrize("name", ORDERS)
def test_workers_fit_where_they_are_put(name):
    """With LiteRT and no TensorFlow, a worker of Python takes 213 MB at most, and there is one per core."""
    request = show_request(*ORDERS[name])
    spark = spark_settings(request)
    heap, overhead = megabytes(spark["spark.executor.memory"]), megabytes(spark["spark.executor.memoryOverhead"])
    cores, photos = int(spark["spark.executor.cores"]), int(spark["spark.sql.execution.arrow.maxRecordsPerBatch"])
    assert cores * (213 + photos * 0.5) + 400 < overhead
    if request["service"] == "emr":
        assert heap + overhead + 512 + 384 < 12_288  # YARN's of 16 GB; the application master is on one of the nodes
    else:
        assert heap + overhead == 8 * 1024  # the least a worker of 4 vCPU can have
        assert megabytes(spark["spark.driver.memory"]) + megabytes(spark["spark.driver.memoryOverhead"]) == 8 * 1024
        executors = int(spark["spark.dynamicAllocation.maxExecutors"])
        assert int(spark["spark.driver.cores"]) + executors * cores == 32


def test_fewer_workers_are_fewer_from_the_start():
    spark = spark_settings(show_request("--workers", "2"))
    assert {spark[f"spark.{name}"] for name in ("dynamicAllocation.maxExecutors", "executor.instances")} == {"2"}
    limits = show_request("--cluster", "--workers", "5")["parameters"]["ManagedScalingPolicy"]["ComputeLimits"]
    assert (limits["MaximumCapacityUnits"], limits["MaximumOnDemandCapacityUnits"]) == (6, 1)


@pytest.mark.parametrize("name", [name for name in ORDERS if name.startswith("cluster")])
def test_a_cluster_has_three_ways_to_end_and_only_its_tasks_are_on_spot_machines(name):
    asked = show_request(*ORDERS[name])["parameters"]
    assert asked["Instances"]["KeepJobFlowAliveWhenNoSteps"] is False
    assert asked["AutoTerminationPolicy"]["IdleTimeout"] >= 60
    [step] = asked["Steps"]
    assert step["ActionOnFailure"] == "TERMINATE_CLUSTER"
    assert step["HadoopJarStep"]["Args"][0] == "timeout"
    spot = {each["InstanceFleetType"] for each in asked["Instances"]["InstanceFleets"] if "TargetSpotCapacity" in each}
    assert spot == {"TASK"}
    assert {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"} in asked["Tags"]


@pytest.mark.parametrize("region", EU_REGIONS)
@pytest.mark.parametrize("architecture", MACHINES)
def test_machines_are_sold_in_every_zone_of_a_region(region, architecture):
    """As moto copied it from EC2; a kind that a zone does not have makes the whole cluster invalid."""
    folder = Path(moto.__file__).parent / "ec2" / "resources" / "instance_type_offerings" / "availability-zone"
    offers = json.loads(gzip.decompress((folder / f"{region}.json.gz").read_bytes()))
    zones = {each["Location"] for each in offers}
    sold = {
        kind
        for kind in MACHINES[architecture]
        if {each["Location"] for each in offers if each["InstanceType"] == kind} == zones
    }
    assert sold == set(MACHINES[architecture]) - set(NOT_SOLD.get(region, ()))
    assert len(sold) >= 2
    request = show_request("--cluster", "--architecture", architecture, "--region", region)
    for fleet in request["parameters"]["Instances"]["InstanceFleets"]:
        assert {each["InstanceType"] for each in fleet["InstanceTypeConfigs"]} == sold


def test_a_dry_run_reads_the_account_and_sends_nothing(emr, account, type_emr):
    status, out, err = type_emr("run", "--cluster", "--dry-run")
    assert (status, err) == (0, "")
    [request] = json.loads(out)
    asked = request["parameters"]
    assert (asked["ServiceRole"], asked["JobFlowRole"]) == (OUTPUTS["ServiceRole"], OUTPUTS["InstanceProfile"])
    assert asked["BootstrapActions"][0]["ScriptBootstrapAction"] == {
        "Path": f"s3://{BUCKET}/releases/{fruits.__version__}/bootstrap.sh",
        "Args": [f"s3://{BUCKET}/releases/{fruits.__version__}", sha256(b"wheelhouse-x86_64.tar.gz").hexdigest()],
    }
    assert {operation for _, operation, _ in account} == {"DescribeStacks", "GetObject", "HeadObject"}
    assert (emr.jobs, emr.clusters) == ({}, {})
    shown = json.loads(type_emr("run", "--dry-run", "--json")[1])["requests"][0]
    assert shown["parameters"]["applicationId"] == OUTPUTS["ApplicationId"]


def test_a_dry_run_without_an_account_says_what_is_made_up(aws_login, type_emr, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    status, out, err = type_emr("run", "--dry-run")
    assert status == 0
    assert json.loads(out)[0]["operation"] == "StartJobRun"
    assert re.fullmatch(r"dry run: names and checksums of the account are made up \(no AWS login .*\)\n", err)
    assert type_emr("run", "--dry-run", "--region", "us-east-1")[0] == 2
    assert type_emr("run", "--dry-run", "--images", "./photos")[0] == 2
    assert type_emr("run", "--dry-run", "--follow", "00run1")[0] == 2


def test_moto_makes_of_it_what_was_asked_for(account):
    client = boto3.client("emr")
    asked = show_request("--cluster")["parameters"]
    cluster = client.describe_cluster(ClusterId=client.run_job_flow(**asked)["JobFlowId"])["Cluster"]
    assert (cluster["ReleaseLabel"], cluster["AutoTerminate"], cluster["LogUri"]) == (
        *("emr-spark-8.1.0", True, "s3://example-bucket/logs/emr/"),
    )
    [step] = client.list_steps(ClusterId=cluster["Id"])["Steps"]
    assert step["Config"]["Args"] == asked["Steps"][0]["HadoopJarStep"]["Args"]
    serverless = boto3.client("emr-serverless")
    application = {"name": "fruits", "type": "SPARK", "releaseLabel": "emr-7.14.0", "clientToken": "1"}
    made = serverless.create_application(**application)["applicationId"]
    asked = show_request()["parameters"] | {"applicationId": made}
    run = serverless.start_job_run(**asked)["jobRunId"]
    job = serverless.get_job_run(applicationId=made, jobRunId=run)["jobRun"]
    assert job["jobDriver"] == asked["jobDriver"]
    assert job["tags"] == asked["tags"]
