"""`fruits emr upload`: what arrives, what is skipped, what happens when it is stopped or refused."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import boto3
import pytest
from aws import REGION, around_calls, refusal, refuse
from aws import account as account
from aws import aws_login as aws_login
from aws import type_emr as type_emr
from botocore.exceptions import EndpointConnectionError
from moto.server import ThreadedMotoServer

from fruits.platform import s3_upload
from fruits.platform import upload as upload_module
from fruits.platform.s3_upload import Listing, split_destination
from fruits.platform.upload import walk_folder

pytestmark = pytest.mark.slow

OWNER = "123456789012"  # moto's account
TEMPLATE = {
    "Resources": {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "fruits-1"}}},
    "Outputs": {"Bucket": {"Value": {"Ref": "Bucket"}}},
}


@pytest.fixture
def bucket(account):
    """The bucket of a deployed stack."""
    boto3.client("cloudformation").create_stack(StackName="fruits", TemplateBody=json.dumps(TEMPLATE))
    return boto3.resource("s3").Bucket("fruits-1")


@pytest.fixture
def upload(type_emr, tmp_path):
    """Upload the test's photos: (status, result or None, standard error)."""

    def run(*options: object) -> tuple[int, dict | None, str]:
        status, out, err = type_emr("upload", str(tmp_path / "photos"), "--json", *map(str, options))
        return status, json.loads(out) if out else None, err

    return run


def many(n: int) -> dict[str, bytes]:
    return {f"Training/Fruit {i % 3}/{i}.jpg": f"photo {i}".encode() for i in range(n)}


def arrived(bucket, prefix: str = "photos/") -> dict[str, bytes]:
    return {each.key.removeprefix(prefix): each.get()["Body"].read() for each in bucket.objects.filter(Prefix=prefix)}


def count(account, operation: str) -> int:
    return sum(name == operation for _, name, _ in account)


def test_an_empty_bucket_gets_every_photo_and_nothing_else(bucket, upload, photos):
    photos(many(30))
    photos({"notes.txt": b"no", "Test/.hidden/1.jpg": b"no", "Test/_part/1.jpg": b"no", "Test/A/2.PNG": b"yes"})
    status, result, err = upload()
    assert (status, result["destination"]) == (0, "s3://fruits-1/photos/")
    assert arrived(bucket) == many(30) | {"Test/A/2.PNG": b"yes"}
    assert (result["photos"], result["sent"], result["skipped"], result["failed"]) == (31, 31, 0, [])
    assert result["bytes"] == sum(map(len, arrived(bucket).values()))
    assert "upload: 31 of 31 photos" in err


def test_every_call_names_the_owner_and_every_photo_its_checksum(bucket, account, upload, photos):
    photos({"A/1.jpg": b"one"})
    upload()
    of_photos = [request for service, name, request in account if service == "s3" and "Bucket" in request]
    puts = [request for _, name, request in account if name == "PutObject"]
    assert {request.get("ExpectedBucketOwner") for request in of_photos[-3:]} == {OWNER}
    assert puts[0]["ChecksumSHA256"] == s3_upload.encode_checksum(hashlib.sha256(b"one").digest())


def test_names_arrive_as_they_are(bucket, upload, photos):
    names = ["Äpfel & Birnen/1 #2.jpg", "50% off/a?b=c.jpg", 'it\'s "quoted"/x+y.jpg', "a=b/%41.jpg", "苹果/[1]~;,.jpg"]
    photos({f"Training/{name}": name.encode() for name in names})
    assert upload()[0] == 0
    assert arrived(bucket) == {f"Training/{name}": name.encode() for name in names}
    assert upload()[1]["skipped"] == len(names)


def test_a_name_that_is_not_text_fails_alone(bucket, upload, photos, tmp_path):
    photos(many(2))
    (tmp_path / "photos" / os.fsdecode(b"bad\xff.jpg")).write_bytes(b"x")
    status, result, _ = upload()
    assert (status, result["sent"]) == (1, 2)
    assert result["failed"] == [{"path": "bad\\udcff.jpg", "error": "its name is not UTF-8"}]


def test_what_is_there_is_skipped_and_what_changed_is_sent(bucket, account, upload, photos):
    photos(many(9))
    upload()
    assert (upload()[1]["sent"], count(account, "PutObject")) == (0, 9)
    photos({"Training/Fruit 0/0.jpg": b"PHOTO 0"})  # the same size
    photos({"Training/Fruit 1/1.jpg": b"larger than before"})
    bucket.Object("photos/Training/Fruit 2/2.jpg").delete()
    assert upload()[1]["sent"] == 3
    assert count(account, "HeadObject") == 1
    assert arrived(bucket) == many(9) | {
        "Training/Fruit 0/0.jpg": b"PHOTO 0",
        "Training/Fruit 1/1.jpg": b"larger than before",
    }


def test_with_a_key_of_kms_the_checksum_says_what_is_there(bucket, account, upload, photos, monkeypatch):
    photos(many(4))
    upload()
    find = Listing.find
    monkeypatch.setattr(Listing, "find", lambda *given: (found := find(*given)) and (found[0], "not an MD5"))
    photos({"Training/Fruit 0/0.jpg": b"PHOTO 0"})
    result = upload()[1]
    assert (result["sent"], result["skipped"], count(account, "HeadObject")) == (1, 3, 4)


def test_a_listing_holds_one_page_and_passes_over_what_nobody_asks_for(bucket, account):
    keys = [f"photos/{folder}/{i:04}.jpg" for folder in ("A", "B", "C") for i in range(15)]
    for key in keys:
        bucket.put_object(Key=key, Body=key.encode())
    with pytest.MonkeyPatch.context() as small:
        around_calls(small, lambda name, given, call: call(name, given | ({"MaxKeys": 5} if "List" in name else {})))
        listing = Listing(boto3.client("s3"), {"Bucket": "fruits-1"}, "photos/")
        wanted = [*keys[18:28], "photos/B/none.jpg", keys[3], keys[2], "photos/A", "photos/Z/1.jpg"]
        expected = [(len(key), hashlib.md5(key.encode()).hexdigest()) if key in keys else None for key in wanted]
        assert [listing.find(key) for key in wanted] == expected
    assert count(account, "ListObjectsV2") == 7  # pages: two of 18 to 27, none, 3, 2, A, Z
    assert len(listing._page) <= 5


def test_photos_come_in_the_order_of_keys_so_that_no_page_is_asked_for_twice(photos, tmp_path):
    labels = ("Apple", "Apple 1", "Apple-2", "b/c", "ü")
    paths = [f"{label}/{i}.jpg" for label in labels for i in (1, 10, 2)]
    photos(dict.fromkeys(paths, b"x"))
    assert [photo.path for photo in walk_folder(tmp_path / "photos")] == sorted(paths)


@pytest.mark.parametrize("code", ["BadDigest", "KeyTooLongError", "InternalError"])
def test_a_photo_that_is_refused_is_listed_and_the_others_arrive(bucket, upload, photos, monkeypatch, code):
    photos(many(6))
    refuse(monkeypatch, "PutObject", refusal(code, 500 if code == "InternalError" else 400, "no good"), "/4.jpg")
    status, result, _ = upload()
    assert (status, result["sent"]) == (1, 5)
    assert result["failed"] == [{"path": "Training/Fruit 1/4.jpg", "error": "no good"}]


def test_a_photo_that_goes_while_it_is_sent_is_listed(bucket, upload, photos, tmp_path):
    photos(many(2))
    (tmp_path / "photos" / "gone.jpg").symlink_to("nowhere")
    status, result, _ = upload()
    assert (status, result["failed"]) == (1, [{"path": "gone.jpg", "error": "No such file or directory"}])


def test_an_answer_without_our_checksum_is_no_arrival(bucket, upload, photos, monkeypatch):
    photos(many(1))
    other = {"PutObject": {"ChecksumSHA256": "x"}}
    around_calls(monkeypatch, lambda name, given, call: call(name, given) | other.get(name, {}))
    status, result, _ = upload()
    assert (status, result["sent"], result["failed"][0]["error"]) == (1, 0, "S3 does not confirm its checksum")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (refusal("ExpiredToken", 400, "The provided token has expired."), "this login has expired; log in anew"),
        (refusal("AccessDenied", 403, "Access Denied"), "ask an administrator"),
        (refusal("NoSuchBucket", 404, "The specified bucket does not exist"), "does not exist"),
        (EndpointConnectionError(endpoint_url="https://s3"), "AWS does not answer; check the network"),
    ],
    ids=["expired", "denied", "bucket gone", "network gone"],
)
def test_what_is_wrong_with_all_ends_the_upload_in_one_line(bucket, upload, photos, monkeypatch, error, says):
    photos(many(200))
    refuse(monkeypatch, "PutObject", error)
    status, result, err = upload()
    assert (status, result) == (1, None)
    assert says in err.splitlines()[-1]


def test_a_store_that_refuses_all_ends_the_upload(bucket, upload, photos, monkeypatch):
    monkeypatch.setattr(upload_module, "GIVE_UP", 10)
    photos(many(200))
    refuse(monkeypatch, "PutObject", refusal("InternalError", 500, "We encountered an error"))
    status, _, err = upload()
    assert status == 1
    assert "10 photos in a row could not be sent (We encountered an error)" in err.splitlines()[-1]


def test_a_large_file_is_not_held_in_memory(bucket, upload, photos, monkeypatch):
    monkeypatch.setattr(s3_upload, "LARGE", 1000)
    bodies = []

    def note(name, given, call):
        if "Body" in given:
            bodies.append(given["Body"])
        return call(name, given)

    around_calls(monkeypatch, note)
    photos({"A/large.tif": bytes(5000), "A/small.tif": bytes(500)})
    assert upload()[1]["sent"] == 2
    assert sorted(type(body).__name__ for body in bodies) == ["BufferedReader", "bytes"]
    assert arrived(bucket) == {"A/large.tif": bytes(5000), "A/small.tif": bytes(500)}
    assert upload()[1]["skipped"] == 2


def test_without_a_stack_or_a_bucket_it_says_what_to_do(account, upload, photos):
    photos(many(1))
    assert "no stack 'fruits' in eu-west-3; `fruits emr deploy` makes it" in upload()[2]
    status, _, err = upload("--to", "s3://nobodys-bucket/photos")
    assert (status, "bucket 'nobodys-bucket' is not there; `fruits emr deploy`" in err) == (1, True)


def test_a_bucket_of_somebody_else_gets_nothing(bucket, account, upload, photos, monkeypatch):
    photos(many(1))
    refuse(monkeypatch, "HeadBucket", refusal("403", 403, "Forbidden"))
    status, result, err = upload()
    assert (status, result) == (1, None)
    assert err == (
        f"fruits: bucket 'fruits-1' is not of account {OWNER}, or this login may not see it; nothing was sent\n"
    )
    assert count(account, "PutObject") == 0


def test_a_bucket_in_another_region_gets_nothing(account, upload, photos):
    photos(many(1))
    boto3.client("s3", "us-east-1").create_bucket(Bucket="far-away")
    status, _, err = upload("--to", "s3://far-away")
    assert (status, err) == (
        1,
        f"fruits: bucket 'far-away' is in us-east-1, not in {REGION}; give --region us-east-1\n",
    )
    assert count(account, "PutObject") == 0


@pytest.mark.parametrize(
    ("destination", "place"),
    [
        ("s3://my-bucket", ("my-bucket", "")),
        ("s3://my-bucket/", ("my-bucket", "")),
        ("s3://my-bucket/a b//ü", ("my-bucket", "a b/ü/")),
        ("s3://My_Bucket/a", None),
        ("/photos", None),
        ("s3:///photos", None),
    ],
)
def test_a_destination_is_a_bucket_and_a_folder(upload, photos, aws_login, destination, place):
    if place:
        assert split_destination(destination) == place
        return
    photos(many(1))
    status, _, err = upload("--to", destination)
    assert (status, err) == (2, f"fruits: {destination!r} is not a place in S3; give s3://BUCKET/photos/\n")


def test_an_empty_folder_and_a_missing_one_are_said_before_any_call(account, upload, tmp_path):
    status, _, err = upload("--to", "s3://my-bucket")
    assert (status, "is not a folder" in err) == (2, True)
    (tmp_path / "photos").mkdir()
    status, _, err = upload("--to", "s3://my-bucket")
    assert (status, "no photo under" in err, account) == (1, True, [])


def test_killed_and_started_again_it_sends_only_what_is_missing(aws_login, photos, tmp_path, monkeypatch):
    server = ThreadedMotoServer(port=0)
    server.start()
    try:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*server.get_host_and_port()))
        boto3.client("s3").create_bucket(Bucket="fruits-1", CreateBucketConfiguration={"LocationConstraint": REGION})
        bucket = boto3.resource("s3").Bucket("fruits-1")
        photos(many(300))
        words = ["emr", "upload", str(tmp_path / "photos"), "--to", "s3://fruits-1/photos", "--json"]
        command = [sys.executable, "-m", "fruits.cli", *words]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 30
        while not (before := {each.key for each in bucket.objects.all()}) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        time.sleep(0.5)  # what was under way arrives or does not
        before = {each.key for each in bucket.objects.all()}
        assert 0 < len(before) < 300
        again = subprocess.run(command, capture_output=True, text=True)
        assert again.returncode == 0, again.stderr
        assert arrived(bucket) == many(300)
        assert json.loads(again.stdout)["skipped"] == len(before)
    finally:
        server.stop()
