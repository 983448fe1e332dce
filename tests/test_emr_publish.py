"""`fruits emr publish`: what arrives, what is skipped, and that what is published stays as it is."""

import hashlib
import json
import re
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from aws import REGION, around_calls, refusal, refuse
from aws import account as account
from aws import aws_login as aws_login
from aws import type_emr as type_emr
from conftest import TINY
from wheels import orchard as orchard

import fruits
from fruits.platform import emr_publish
from fruits.platform.aws import open_aws
from fruits.platform.emr_checks import read_release
from fruits.platform.emr_requests import needed_files

pytestmark = pytest.mark.slow

BUCKET, VERSION = "fruits-1", fruits.__version__
FOLDER, PREFIX = Path("dist", "emr", VERSION), f"releases/{VERSION}/"
TEMPLATE = {
    "Resources": {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": BUCKET}}},
    "Outputs": {"Bucket": {"Value": {"Ref": "Bucket"}}, "Architecture": {"Value": "ARM64"}},
}


def write_release(*architectures: str, **contents: bytes) -> dict:
    """Write a release as `fruits emr build` does, with files of a few bytes or those given."""
    names = {name for each in architectures for where in (True, False) for name in needed_files(VERSION, each, where)}
    files = {name: contents.get(name.partition(".")[0].replace("-", "_"), name.encode()) for name in sorted(names)}
    for name, content in files.items():
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_bytes(content)
    listed = {
        name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()} for name, content in files.items()
    }
    about = {"version": VERSION, "commit": None, "architectures": sorted(architectures), "python": "3.11"}
    (FOLDER / "release.json").write_text(json.dumps(about | {"files": listed}))
    return files


@pytest.fixture
def bucket(account, tmp_path, monkeypatch):
    """The bucket of a deployed stack, and an empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    boto3.client("cloudformation").create_stack(StackName="fruits", TemplateBody=json.dumps(TEMPLATE))
    return boto3.resource("s3").Bucket(BUCKET)


@pytest.fixture
def publish(type_emr):
    """Publish: (status, result or None, standard error)."""

    def run(*options: str) -> tuple[int, dict | None, str]:
        status, out, err = type_emr("publish", "--json", *options)
        return status, json.loads(out) if out else None, err

    return run


def contents_of(bucket) -> dict[str, bytes]:
    return {each.key: each.get()["Body"].read() for each in bucket.objects.all()}


def sent_by(account) -> list[str]:
    return [sent["Key"] for _, operation, sent in account if operation == "PutObject"]


def test_every_file_arrives_and_the_list_of_them_comes_last(bucket, publish, account):
    files = write_release("arm64")
    status, result, err = publish()
    assert status == 0, err
    there = contents_of(bucket)
    listed = json.loads(there.pop(f"{PREFIX}release.json"))
    assert there == {PREFIX + name: content for name, content in files.items()}
    assert listed == json.loads((FOLDER / "release.json").read_text())
    assert sent_by(account)[-1] == f"{PREFIX}release.json"
    puts = [sent for _, operation, sent in account if operation == "PutObject"]
    assert {(sent["ChecksumAlgorithm"], sent["ExpectedBucketOwner"]) for sent in puts} == {("SHA256", "123456789012")}
    assert (result["sent"], result["skipped"], result["architectures"]) == (len(files), 0, ["arm64"])
    assert result["destination"] == f"s3://{BUCKET}/releases/{VERSION}"
    assert result["bytes"] == sum(map(len, files.values()))
    assert "publish: checking" in err


def test_again_sends_nothing(bucket, publish, account):
    write_release("arm64")
    publish()
    account.clear()
    status, result, _ = publish()
    assert (status, result["sent"], result["bytes"], sent_by(account)) == (0, 0, 0, [])


def test_a_large_file_is_sent_whole_and_is_known_again(bucket, publish, account, monkeypatch):
    monkeypatch.setattr(emr_publish, "PAUSE", 0)
    write_release("arm64", wheelhouse_arm64=b"wheels" * 3_000_000)
    status, _, err = publish()
    assert status == 0
    assert re.search(r"publish: \d+ of 18 MB, [\d.]+ MB/s, ", err)
    [sent] = [
        sent for _, _, sent in account if sent.get("Key", "").endswith("wheelhouse-arm64.tar.gz") and "Body" in sent
    ]
    assert b64decode(sent["ChecksumSHA256"]) == hashlib.sha256(b"wheels" * 3_000_000).digest()
    account.clear()
    assert publish()[1]["sent"] == 0
    assert sent_by(account) == []


def test_what_is_published_is_not_overwritten(bucket, publish):
    write_release("arm64")
    publish()
    before = contents_of(bucket)
    write_release("arm64", run=b"other")
    status, result, err = publish()
    assert (status, result) == (1, None)
    assert f"release {VERSION} is published with another run.py, and what is published stays as it is; change" in err
    assert contents_of(bucket) == before


def test_another_architecture_is_added_also_from_a_machine_that_has_only_that(bucket, publish, aws_login):
    write_release("arm64")
    publish()
    for file in FOLDER.glob("*arm64*"):
        file.unlink()
    write_release("x86_64")
    status, result, err = publish()
    assert status == 0, err
    assert (result["architectures"], result["sent"]) == (["arm64", "x86_64"], 2)
    with open_aws(REGION, None, None) as aws:
        for architecture in ("arm64", "x86_64"):
            for on_cluster in (True, False):
                read_release(aws, BUCKET, VERSION, architecture, on_cluster)


def test_a_stopped_publish_has_published_nothing_and_is_continued(bucket, publish, monkeypatch):
    write_release("arm64")
    with monkeypatch.context() as patch:
        refuse(patch, "PutObject", refusal("ExpiredToken", 400, "The token has expired."), "site-packages-arm64.tar.gz")
        status, _, err = publish()
        assert status == 1
        assert "The token has expired; this login has expired; log in anew" in err
        assert f"{PREFIX}release.json" not in contents_of(bucket)
        there = len(contents_of(bucket))
    status, result, _ = publish()
    assert (status, result["skipped"]) == (0, there)
    assert there > 0


def before_put(monkeypatch, name: str, act: Callable[[], object]) -> None:
    """Do something once, just before a file is written."""
    todo = [act]

    def write(operation, parameters, call):
        if operation == "PutObject" and parameters["Key"] == PREFIX + name and todo:
            todo.pop()()
        return call(operation, parameters)

    around_calls(monkeypatch, write)


@pytest.mark.parametrize("name", ["wheelhouse-arm64.tar.gz", "release.json"])
def test_of_two_publishes_at_once_the_later_writer_stops_and_overwrites_nothing(bucket, publish, monkeypatch, name):
    write_release("arm64")
    before_put(monkeypatch, name, lambda: bucket.put_object(Key=PREFIX + name, Body=b"of another publish"))
    status, result, err = publish()
    assert (status, result) == (1, None)
    assert f"{PREFIX}{name} was written by another publish of this version meanwhile; the same command" in err
    assert contents_of(bucket)[PREFIX + name] == b"of another publish"


def test_a_file_that_another_publish_replaced_after_it_was_sent_is_noticed(bucket, publish, monkeypatch):
    write_release("arm64")
    before_put(
        monkeypatch, "wheelhouse-arm64.tar.gz", lambda: bucket.put_object(Key=f"{PREFIX}bootstrap.sh", Body=b"another")
    )
    status, _, err = publish()
    assert (status, f"{PREFIX}bootstrap.sh was written by another publish" in err) == (1, True)
    assert f"{PREFIX}release.json" not in contents_of(bucket)


def test_what_a_stopped_publish_of_something_else_left_is_replaced(bucket, publish):
    files = write_release("arm64")
    bucket.put_object(Key=f"{PREFIX}run.py", Body=b"left")
    status, result, err = publish()
    assert (status, result["sent"]) == (0, len(files)), err
    assert contents_of(bucket)[f"{PREFIX}run.py"] == files["run.py"]


def test_two_machines_that_add_an_architecture_each_at_once_do_not_lose_one(bucket, publish, monkeypatch):
    write_release("arm64")
    publish()
    listed = (FOLDER / "release.json").read_bytes()
    write_release("arm64", "x86_64")
    before_put(monkeypatch, "release.json", lambda: bucket.put_object(Key=f"{PREFIX}release.json", Body=listed + b" "))
    assert publish()[0] == 1
    status, result, err = publish()
    assert (status, result["architectures"]) == (0, ["arm64", "x86_64"]), err


def test_an_answer_that_was_lost_is_no_other_publish(bucket, publish, monkeypatch):
    files = write_release("arm64")
    lost = []

    def write_twice(operation, parameters, call):
        answer = call(operation, parameters)
        if operation != "PutObject" or parameters["Key"] in lost:
            return answer
        lost.append(parameters["Key"])
        if hasattr(parameters["Body"], "seek"):
            parameters["Body"].seek(0)
        return call(operation, parameters)

    around_calls(monkeypatch, write_twice)
    status, result, err = publish()
    assert (status, result["sent"], len(lost)) == (0, len(files), len(files) + 1), err


def test_what_was_damaged_in_the_bucket_is_put_there_again(bucket, publish):
    files = write_release("arm64")
    publish()
    bucket.put_object(Key=f"{PREFIX}run.py", Body=b"x" * len(files["run.py"]))
    assert publish()[1]["sent"] == 1
    assert contents_of(bucket)[f"{PREFIX}run.py"] == files["run.py"]


@pytest.mark.parametrize("content", [b"damaged", b"x" * len("wheelhouse-arm64.tar.gz")])
def test_a_file_that_is_not_as_built_is_noticed_before_anything_is_sent(bucket, publish, account, content):
    write_release("arm64")
    (FOLDER / "wheelhouse-arm64.tar.gz").write_bytes(content)
    status, _, err = publish()
    assert status == 1
    assert "wheelhouse-arm64.tar.gz' is not as it was built (its sha256 is another); `fruits emr build` makes" in err
    assert sent_by(account) == []


def test_what_was_not_built_is_one_line(bucket, publish):
    assert "release 9.9 is not in 'dist/emr/9.9'; `fruits emr build` makes it" in publish("--version", "9.9")[2]
    write_release("arm64")
    (FOLDER / "run.py").unlink()
    assert "run.py' is not there" in publish()[2]
    for text in ("{}", "half", '{"files": {"run.py": 3}}', '{"files": [1]}'):
        (FOLDER / "release.json").write_text(text)
        assert "release.json' is not what `fruits emr build` writes" in publish()[2]
    assert publish("--version", "../..")[0] == 2


def test_a_list_in_the_bucket_that_is_none_is_not_replaced(bucket, publish):
    write_release("arm64")
    bucket.put_object(Key=f"{PREFIX}release.json", Body=b"something")
    status, _, err = publish()
    assert status == 1
    assert "release.json is not what `fruits emr publish` writes; publish another version" in err
    assert contents_of(bucket) == {f"{PREFIX}release.json": b"something"}


def test_no_stack_no_bucket_and_anothers_bucket_are_one_line(bucket, publish, monkeypatch):
    write_release("arm64")
    assert "no stack 'other' in eu-west-3; `fruits emr deploy` makes it" in publish("--stack", "other")[2]
    bucket.delete()
    status, _, err = publish()
    assert (status, err.splitlines()[-1].split(";")[0]) == (1, f"fruits: bucket {BUCKET!r} is not there")
    refuse(monkeypatch, "HeadBucket", refusal("403", 403))
    status, _, err = publish()
    assert (status, "is not of account 123456789012" in err) == (1, True)


def test_a_stack_of_the_other_architecture_is_named(bucket, publish):
    write_release("x86_64")
    status, _, err = publish()
    assert status == 0
    assert "stack 'fruits' runs on arm64; `fruits emr build --architecture arm64` and publish again" in err


def test_what_build_makes_publish_takes_and_run_finds(orchard, bucket, type_emr):
    assert type_emr("build", "--weights", str(TINY))[0] == 0
    status, out, err = type_emr("publish")
    assert status == 0, err
    assert re.search(r"files     7 sent \([\d.]+ MB\), 0 there already", out), out
    (network,) = re.findall(rf"^network   fruits emr run --weights s3://{BUCKET}/(\S+)$", out, re.M)
    assert bucket.Object(network).get()["Body"].read() == TINY.read_bytes()
    with open_aws(REGION, None, None) as aws:
        release = read_release(aws, BUCKET, VERSION, "arm64", on_cluster=True)
    listed = release.files["wheelhouse-arm64.tar.gz"]
    found = bucket.Object(f"{PREFIX}wheelhouse-arm64.tar.gz").get()["Body"].read()
    assert hashlib.sha256(found).hexdigest() == listed["sha256"]
