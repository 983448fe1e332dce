"""Photos from S3's own listing; test_s3.py compares it with that of Spark, whose words for a file it has to find."""

import sys

import boto3
import pytest
from aws import REGION
from aws import account as account
from aws import aws_login as aws_login

from fruits.platform.s3_listing import encode_path, list_photos


@pytest.fixture
def bucket(account):
    """A bucket with a photo, and what is none."""
    made = boto3.resource("s3").create_bucket(
        Bucket="fruits-1", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    for key in ("photos/Pêche/1 2.JPG", "photos/_tmp/1.jpg", "photos/a//b.jpg", "photos/read.me", "photosynthesis.jpg"):
        made.put_object(Key=key, Body=b"jpeg")
    return made


def test_a_photo_is_told_by_path_uri_size_and_whole_seconds(bucket, account):
    account.clear()
    [(path, uri, size, micros)] = list_photos("s3://fruits-1/photos")
    assert (path, uri, size) == ("Pêche/1 2.JPG", "s3://fruits-1/photos/Pêche/1%202.JPG", 4)
    written = bucket.Object("photos/Pêche/1 2.JPG").last_modified
    assert micros == int(written.timestamp()) * 1_000_000
    assert [operation for _, operation, _ in account if operation != "HeadObject"] == ["ListObjectsV2"]
    assert {each[0] for each in list_photos("s3://fruits-1")} == {"photos/Pêche/1 2.JPG", "photosynthesis.jpg"}


def test_what_cannot_be_listed_is_left_to_spark(bucket, monkeypatch):
    for root in ("/photos", "abfss://photos@fruits/x", "s3://fruits-1/none", "s3://nowhere-1/photos"):
        assert list_photos(root) is None
    monkeypatch.setitem(sys.modules, "boto3", None)
    assert list_photos("s3://fruits-1/photos") is None


def test_a_uri_is_written_as_java_does():
    assert encode_path("a+b %20#?[x]é\u00a0/c") == "a+b%20%2520%23%3F%5Bx%5Dé%C2%A0/c"
