"""`fruits emr cost`: the estimate adds up, bad files and numbers are one line, and a run's own metrics are priced."""

import datetime
import json
import re
from importlib import resources

import boto3
import pytest
from aws import REGION, find_problems
from aws import account as account
from aws import aws_login as aws_login
from aws import type_emr as type_emr
from botocore.stub import Stubber
from emr_account import APPLICATION, BUCKET, put
from emr_server import emr as emr

from fruits.errors import FruitsError, SettingError
from fruits.platform import emr_bill
from fruits.platform.aws import Aws, Stack
from fruits.platform.emr_cost import estimate, measure_work, read_prices, read_rates
from fruits.settings import Settings
from fruits.views.summaries import read_counts, show_run

SHIPPED = resources.files("fruits.platform").joinpath("prices.toml").read_text()
START = datetime.datetime(2026, 11, 25, 8, tzinfo=datetime.UTC)


@pytest.fixture
def cost(type_emr, monkeypatch):
    """Ask for a cost: (status, result or None, standard error); without a login."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: object) -> tuple[int, dict | None, str]:
        status, out, err = type_emr("cost", "--json", *map(str, words))
        return status, json.loads(out) if out else None, err

    return run


def made_up(**changes: float) -> tuple[dict, dict]:
    """Prices whose sums can be done in the head."""
    prices, there = read_prices(None, REGION)
    nothing = dict.fromkeys(prices["assumptions"], 0)
    assumed = nothing | {"cores_per_vcpu": 1, "megabytes_per_second": 1e9, "worker_vcpu": 4, "worker_gb": 8} | changes
    kinds = ("x86_64", "arm64")
    there = dict.fromkeys(there, 0) | {
        "serverless": {kind: {"vcpu_hour": 1.0, "gb_hour": 0.5} for kind in kinds},
        "instances": {name: {"hour": 2.0, "emr": 1.0} for name in there["instances"]},
    }
    return prices | {"assumptions": assumed}, there


def test_the_work_is_waiting_for_s3_and_the_seconds_of_a_core():
    rates = {
        "seconds": {"bronze": 1, "silver": 2, "gold": 3, "megabyte": 4},
        "photo_bytes": 1e6,
        "networks": [{"weights": "fruits", "input_size": 100, "precision": "float32", "photos_per_second": 0.2}],
    }
    assumed = made_up(
        cores_per_vcpu=0.5, seconds_per_object=7, megabytes_per_second=2, driver_seconds=5, commit_seconds=11,
        seconds_per_1000_listed=13,
    )[0]["assumptions"]  # fmt: skip
    work = measure_work(1000, 100, 3e6, Settings(chunk=40), rates, assumed)
    assert work["vcpu_seconds"] == pytest.approx(100 * (7 + 1.5) + (100 * (1 + 2 + 2 * 4 + 5) + 1000 * 3) / 0.5)
    assert work["driver_seconds"] == pytest.approx(5 + 13 + 2 * 3 * 11)


def test_money_is_hours_of_workers_and_driver_or_of_nodes_with_their_fee():
    prices, there = made_up(driver_seconds=3600, spot_share=0.25)
    ways = {way["way"]: way for way in estimate(1, None, 3, None, Settings(), prices, there)["ways"]}
    assert [round(way["minutes"]) for way in ways.values()] == [60] * 6
    assert ways["serverless arm64"]["dollars"] == pytest.approx(4 * (4 * 1 + 8 * 0.5), rel=1e-3)
    assert ways["EC2 on demand x86_64"]["dollars"] == pytest.approx(5 * (2 + 1), rel=1e-3)
    assert ways["EC2 spot x86_64"]["dollars"] == pytest.approx(2 * 2 + 3 * 2 * 0.25 + 5 * 1, rel=1e-3)
    assert ways["EC2 spot x86_64"]["vcpu_hours"] == pytest.approx(20, rel=1e-3)


def test_without_a_login_it_says_six_ways_and_the_cheapest(cost):
    status, result, err = cost("--photos", 90_000)
    assert (status, len(result["ways"]), err) == (0, 6, "")
    cheapest = min(result["ways"], key=lambda way: way["dollars"])
    assert result["recommended"] == cheapest["way"]
    assert 0.1 < cheapest["dollars"] < 2
    assert result["requests"]["upload_dollars"] == pytest.approx(90 * 0.0053)


def test_it_scales_and_a_second_run_costs_what_is_new(cost):
    small, large = (cost("--photos", n)[1] for n in (90_000, 100_000_000))
    again = cost("--photos", 100_000_000, "--new", 1000)[1]
    for before, after, less in zip(small["ways"], large["ways"], again["ways"], strict=True):
        assert after["vcpu_hours"] > 100 * before["vcpu_hours"]
        assert less["dollars"] < after["dollars"] / 5
    assert again["photos"] == 100_001_000
    assert again["requests"]["upload_dollars"] == pytest.approx(0.0053)


def test_the_network_and_the_size_of_photos_count(cost):
    hours = [
        cost("--photos", 10_000, *words)[1]["ways"][0]["vcpu_hours"]
        for words in ([], ["--weights", "imagenet", "--precision", "int8"], ["--weights", "imagenet"])
    ]
    assert hours == sorted(hours)
    assert cost("--photos", 10_000, "--photo-bytes", 3e6)[1]["ways"][0]["vcpu_hours"] > hours[0]


def test_what_is_said_names_the_assumptions_the_date_and_the_machine(type_emr):
    status, out, _ = type_emr("cost", "--photos", "90000")
    assert status == 0
    for said in ("<- cheapest", "cores_per_vcpu 0.5", "prices    2026-", "to be verified", read_rates()["machine"]):
        assert said in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--photos", 0], "photos=0 is below 1"),
        (["--photos", -5], "photos=-5 is below 1"),
        (["--photos", 5, "--new", 0], "new=0 is below 1"),
        (["--photos", 5, "--workers", 0], "workers=0 is below 1"),
        ([], "photos is not given; say how many there are, --photos 90000, or name a run with --run ID"),
        (["--photos", 5, "--photo-bytes", "nan"], "photo_bytes=nan is not a size"),
        (["--photos", 5, "--region", "eu-west-9"], "no prices of region 'eu-west-9' (it has eu-west-3,"),
        (["--photos", 5, "--weights", "imagenet", "--input-size", "96"], "no rate was measured for weights=imagenet"),
        (["--photos", 5, "--prices", "nowhere.toml"], "'nowhere.toml' could not be read"),
    ],
)
def test_bad_input_is_one_line(cost, words, says):
    status, result, err = cost(*words)
    assert (status, result, err.count("\n")) == (2, None, 1)
    assert says in err


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("date = ", "date == ", "could not be read"),
        ("date = 2026-11-25", "", "has no date"),
        ("spot_share = 0.4", "", "spot_share in [assumptions]"),
        ("spot_share = 0.4", "spot_share = '0.4'", "is '0.4'; it is to be a number"),
        ("cores_per_vcpu = 0.5", "cores_per_vcpu = 0", "cores_per_vcpu in [assumptions]"),
        ("megabytes_per_second = 50", "megabytes_per_second = 0", "megabytes_per_second in [assumptions]"),
        ("s3_gb_month = 0.024", "s3_gb_month = -1", "s3_gb_month in [regions.eu-west-3]"),
        ('instances."m7i.xlarge"', 'instances."m8i.xlarge"', 'hour in instances."m7i.xlarge"'),
    ],
)
def test_a_damaged_price_file_is_one_line(cost, tmp_path, old, new, says):
    assert old in SHIPPED
    file = tmp_path / "prices.toml"
    file.write_text(SHIPPED.replace(old, new, 1))
    status, _, err = cost("--photos", 5, "--prices", file)
    assert (status, err.count("\n")) == (2, 1)
    assert says in err


def test_old_prices_are_used_and_doubted(cost, tmp_path):
    file = tmp_path / "prices.toml"
    file.write_text(SHIPPED.replace("date = 2026-11-25", "date = 2020-01-01"))
    status, result, err = cost("--photos", 5, "--prices", file)
    assert (status, result["prices"]["date"]) == (0, "2020-01-01")
    assert "the prices are of 2020-01-01" in err


class Stubbed(Aws):
    """A login whose one client answers what a test says, in order, and whose requests are checked strictly."""

    def answer(self, service: str, *answers: tuple[str, dict | str]) -> "Stubbed":
        client = boto3.client(service, region_name=REGION)
        stub = Stubber(client)
        for operation, given in answers:
            if isinstance(given, str):
                stub.add_client_error(operation, given)
            else:
                stub.add_response(operation, given)
        stub.activate()
        client.meta.events.register("provide-client-params.*.*", _check)
        object.__setattr__(self, "client", lambda name: client if name == service else pytest.fail(name))
        return self


def _check(params, model, **_) -> None:
    assert find_problems(model.service_model.service_name, model.name, params) == []


@pytest.fixture
def aws(aws_login):
    return Stubbed(None, REGION)


STACK = Stack("fruits", application_id="00abc", architecture="arm64")


def job_run(state: str, **more) -> dict:
    needed = dict.fromkeys(("applicationId", "jobRunId", "arn", "createdBy", "executionRole", "stateDetails"), "x" * 60)
    needed |= {"state": state, "createdAt": START, "updatedAt": START, "releaseLabel": "emr-spark-8.1.0"}
    return {"jobRun": needed | {"jobDriver": {"sparkSubmit": {"entryPoint": "s3://b/run.py"}}} | more}


def test_a_job_run_is_priced_by_what_was_billed(aws):
    billed = {"vCPUHour": 2.0, "memoryGBHour": 4.0, "storageGBHour": 0.0}
    found = job_run("SUCCESS", billedResourceUtilization=billed, totalExecutionDurationSeconds=600)
    bill = emr_bill.read_bill(aws.answer("emr-serverless", ("get_job_run", found)), STACK, "00f1", *made_up())
    assert (bill["way"], bill["minutes"], bill["dollars"]) == ("serverless arm64", 10, 2 * 1 + 4 * 0.5)


def machine(kind: str, market: str, hours: float) -> dict:
    life = {"CreationDateTime": START, "EndDateTime": START + datetime.timedelta(hours=hours)}
    return {"Id": kind, "InstanceType": kind, "Market": market, "Status": {"Timeline": life}}


def cluster(state: str) -> dict:
    life = {"CreationDateTime": START, "EndDateTime": START + datetime.timedelta(hours=2)}
    return {"Cluster": {"Id": "j-1", "Status": {"State": state, "Timeline": life}}}


def test_a_cluster_is_priced_machine_by_machine(aws):
    machines = [machine("m7i.xlarge", "ON_DEMAND", 2), machine("m5.xlarge", "SPOT", 1)]
    answers = ("describe_cluster", cluster("TERMINATED")), ("list_instances", {"Instances": machines})
    bill = emr_bill.read_bill(aws.answer("emr", *answers), STACK, "j-1", *made_up(spot_share=0.25))
    assert (bill["way"], bill["minutes"]) == ("EC2 spot x86_64", 120)
    assert bill["dollars"] == pytest.approx(2 * (2 + 1) + 1 * (2 * 0.25 + 1))
    assert bill["used"] == {"on demand hours": 2, "spot hours": 1}


@pytest.mark.parametrize(
    ("run_id", "service", "answers", "says"),
    [
        ("j-1", "emr", [("describe_cluster", cluster("RUNNING"))], "run 'j-1' is RUNNING"),
        ("j-1", "emr", [("describe_cluster", "InvalidRequestException")], "no run 'j-1' in eu-west-3"),
        ("00f1", "emr-serverless", [("get_job_run", job_run("RUNNING"))], "run '00f1' is RUNNING"),
        ("00f1", "emr-serverless", [("get_job_run", job_run("SUCCESS"))], "has no bill yet"),
        ("00f1", "emr-serverless", [("get_job_run", "ResourceNotFoundException")], "no run '00f1' in eu-west-3"),
        ("../x", "emr", [], "is the id of no run"),
    ],
)
def test_a_run_that_is_not_there_or_not_over_is_one_line(aws, run_id, service, answers, says):
    with pytest.raises(FruitsError, match=says):
        emr_bill.read_bill(aws.answer(service, *answers), STACK, run_id, *made_up())


def test_a_machine_without_a_price_says_what_to_add(aws):
    machines = {"Instances": [machine("r9.huge", "SPOT", 1)]}
    answers = ("describe_cluster", cluster("TERMINATED")), ("list_instances", machines)
    with pytest.raises(FruitsError, match=r'no price of r9\.huge .*add instances\."r9\.huge"'):
        emr_bill.read_bill(aws.answer("emr", *answers), STACK, "j-1", *made_up())


SAID = "bronze    {} photos: {} new, {} changed, 0 removed, 0 unchanged, 0 not read (7.0 s)\n"
LOGS = f"logs/serverless/applications/{APPLICATION}/jobs/00run1/SPARK_DRIVER"


@pytest.fixture
def ended(emr, type_emr):
    """A run on EMR Serverless that has ended."""
    used = {"vCPUHour": 3.0, "memoryGBHour": 4.0, "storageGBHour": 0.0}
    emr.end = {"billedResourceUtilization": used, "totalExecutionDurationSeconds": 420}
    words = ("--weights", f"s3://{BUCKET}/networks/x.tflite", "--chunk", "50", "--workers", "3")
    status, _, err = type_emr("run", *words)
    assert status == 0, err


@pytest.mark.parametrize(
    ("said", "photos", "new"), [((5000, 5000, 0), 5000, 5000), ((5000, 400, 100), 5000, 500), ((5000, 0, 0), 5000, 1)]
)
def test_a_run_is_estimated_by_what_it_was_started_with_and_said_of_its_photos(ended, type_emr, said, photos, new):
    put(f"{LOGS}/stdout.gz", "lake      s3://fruits-1/lake\n" + SAID.format(*said))
    told = json.loads(type_emr("cost", "--run", "00run1", "--json")[1])
    assert (told["photos"], told["new"]) == (photos, new)
    assert (told["assumed"]["weights"], told["assumed"]["chunk"]) == ("imagenet", 50)
    assert (told["actual"]["way"], told["actual"]["estimated"]["workers"]) == ("serverless x86_64", 3)


def test_what_is_typed_beside_a_run_counts_more_and_estimated_stands_beside_actual(ended, type_emr):
    status, _, err = type_emr("cost", "--run", "00run1")
    assert (status, err) == (2, "fruits: the logs of run 00run1 do not say how many photos it had; give --photos N\n")
    words = ("--run", "00run1", "--photos", "90000", "--weights", "fruits", "--workers", "5")
    told = json.loads(type_emr("cost", *words, "--json")[1])
    assert (told["photos"], told["assumed"]["weights"], told["ways"][0]["workers"]) == (90000, "fruits", 5)
    out = type_emr("cost", *words)[1]
    assert re.search(r"actual    serverless x86_64: 7 min 0 s, [\d.]+ dollars \(3.00 vCPU hours, .*\nestimated \d", out)


def test_what_a_run_says_of_its_photos_is_what_is_read():
    counts = {"listed": 24, "new": 3, "changed": 2, "gone": 0, "removed": 0, "unchanged": 19, "errors": 1, "seconds": 1}
    assert read_counts(show_run({"lake": "lake", "bronze": counts}).splitlines()) == (24, 5)
    assert read_counts(["bronze: 24 of 24 photos"]) is None


def test_a_region_is_read_from_the_file_alone(tmp_path):
    with pytest.raises(SettingError, match="no prices of region 'us-east-1'"):
        read_prices(None, "us-east-1")
