"""What the tests of EMR find in an account of moto: a stack, a release, photos and logs."""

import gzip
import json
from hashlib import sha256

import boto3
from aws import put_checked

import fruits
from fruits.platform.emr_requests import needed_files

BUCKET, APPLICATION = "fruits-1", "00abc"
OUTPUTS = {
    "Bucket": BUCKET,
    "ApplicationId": APPLICATION,
    "JobRoleArn": "arn:aws:iam::123456789012:role/fruits-job",
    "ServiceRole": "arn:aws:iam::123456789012:role/fruits-service",
    "InstanceProfile": "fruits-node",
    "SecurityConfiguration": "fruits-security",
    "SubnetId": "subnet-0123456789abcdef0",
    "Architecture": "X86_64",
    "ReleaseLabel": "emr-spark-8.1.0",
}
DRIVER_LOGS = f"logs/serverless/applications/{APPLICATION}/jobs/00run1/SPARK_DRIVER"  # of the first run
RELEASE = f"releases/{fruits.__version__}"


def deploy(name: str = "fruits", **outputs: str) -> None:
    """Make the stack, with other outputs where they are given."""
    shown = {key: {"Value": value} for key, value in (OUTPUTS | outputs).items() if value}
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": OUTPUTS["Bucket"] if name == "fruits" else name}}
    template = {"Resources": {"Bucket": bucket}, "Outputs": shown}
    boto3.client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(template))


def publish(*left_out: str) -> None:
    """Put a release into the bucket, without some of its files."""
    names = {*needed_files(fruits.__version__, "x86_64", True), *needed_files(fruits.__version__, "x86_64", False)}
    files = {name: {"size": len(name), "sha256": sha256(name.encode()).hexdigest()} for name in sorted(names)}
    for name in names - {*left_out}:
        put_checked(BUCKET, f"{RELEASE}/{name}", name.encode())
    if "release.json" not in left_out:
        put(f"{RELEASE}/release.json", json.dumps({"version": fruits.__version__, "files": files}).encode())


def put(key: str, content: bytes | str) -> None:
    """Put an object into the bucket; text as EMR writes its logs, compressed."""
    body = gzip.compress(content.encode()) if isinstance(content, str) else content
    boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)


def remove(prefix: str) -> None:
    """Take away what is under a prefix."""
    boto3.resource("s3").Bucket(BUCKET).objects.filter(Prefix=prefix).delete()
