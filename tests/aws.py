"""An AWS account in this process, moto's, where every request is checked against botocore's own shapes.

botocore by itself finds misspelt keys, missing ones and wrong types; enumerations, patterns and limits it leaves to the
server, and moto's server accepts nearly everything.
"""

import base64
import functools
import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import botocore.client
import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.model import ServiceModel
from botocore.validate import ParamValidator
from moto import mock_aws

from fruits import cli

REGION = "eu-west-3"

# botocore parses its descriptions of a service once here, not for every client of every test: most of their time.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)


@pytest.fixture
def aws_login(monkeypatch, tmp_path) -> None:
    """Be somebody, in a region, without a file of the machine's own."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)


@pytest.fixture
def account(aws_login, monkeypatch) -> Iterator[list[tuple[str, str, dict]]]:
    """An empty account; gives the requests that were sent to it: service, operation, parameters."""
    sent: list[tuple[str, str, dict]] = []
    call = botocore.client.BaseClient._make_api_call

    def check_and_call(client: Any, operation: str, parameters: dict) -> Any:
        service = client.meta.service_model.service_name
        assert find_problems(service, operation, parameters) == []
        sent.append((service, operation, parameters))
        return call(client, operation, parameters)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", check_and_call)
    with mock_aws():
        yield sent


def around_calls(patch: pytest.MonkeyPatch, act: Callable[[str, dict, Callable[[str, dict], Any]], Any]) -> None:
    """Have something done in place of every call: `act` gets the operation, its parameters and what really calls."""
    before = botocore.client.BaseClient._make_api_call

    def instead(client: Any, operation: str, parameters: dict) -> Any:
        return act(operation, parameters, functools.partial(before, client))

    patch.setattr(botocore.client.BaseClient, "_make_api_call", instead)


def refuse(patch: pytest.MonkeyPatch, operation: str, error: Exception, ending: str = "") -> None:
    """Let one operation fail, for keys that end so."""

    def act(asked: str, parameters: dict, call: Callable[[str, dict], Any]) -> Any:
        if asked == operation and parameters.get("Key", "").endswith(ending):
            raise error
        return call(asked, parameters)

    around_calls(patch, act)


def refusal(code: str, status: int, message: str = "no") -> ClientError:
    """Make the error that botocore makes of an answer."""
    about = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(about, "PutObject")


@pytest.fixture
def type_emr(capsys) -> Callable[..., tuple[int, str, str]]:
    """Run `fruits emr …` in this process; gives the exit status, standard output and standard error."""

    def type_in(*words: str) -> tuple[int, str, str]:
        try:
            status = cli.main(["emr", *words])
        except SystemExit as end:  # wrong use, as argparse ends
            status = int(end.code or 0)
        return status, *capsys.readouterr()

    return type_in


def put_checked(bucket: str, key: str, content: bytes) -> None:
    """Put an object as a publish does, with its SHA-256."""
    checksum = base64.b64encode(hashlib.sha256(content).digest()).decode()
    boto3.client("s3").put_object(
        Bucket=bucket, Key=key, Body=content, ChecksumAlgorithm="SHA256", ChecksumSHA256=checksum
    )


@functools.cache
def model_of(service: str) -> ServiceModel:
    """Give botocore's description of a service."""
    return botocore.session.get_session().get_service_model(service)


def find_problems(service: str, operation: str, parameters: dict) -> list[str]:
    """Say what is wrong with a request: keys and types, then enumerations, patterns and limits."""
    shape = model_of(service).operation_model(operation).input_shape
    if shape is None:
        return []
    report = ParamValidator().validate(parameters, shape)
    return [report.generate_report()] if report.has_errors() else list(_walk(shape, parameters, operation))


def _walk(shape: Any, value: Any, path: str) -> Iterator[str]:
    limit = shape.metadata.get("max")
    if shape.type_name == "structure":
        for key, each in value.items():
            yield from _walk(shape.members[key], each, f"{path}.{key}")
    elif shape.type_name == "list":
        for number, each in enumerate(value):
            yield from _walk(shape.member, each, f"{path}[{number}]")
    elif shape.type_name == "map":
        for key, each in value.items():
            yield from _walk(shape.key, key, f"{path} key")
            yield from _walk(shape.value, each, f"{path}[{key}]")
    elif shape.type_name == "string":
        if getattr(shape, "enum", None) and value not in shape.enum:
            yield f"{path}: {value!r} is not one of {shape.enum}"
        if "pattern" in shape.metadata and not _fits(shape.metadata["pattern"], value):
            yield f"{path}: {value!r} does not match {shape.metadata['pattern']}"
    size = value if isinstance(value, int | float) else len(value) if hasattr(value, "__len__") else 0
    if limit is not None and size > limit:
        yield f"{path}: {size} is more than {limit}"


def _fits(pattern: str, text: str) -> bool:
    try:
        return bool(re.fullmatch(pattern, text))
    except re.error:  # Java's own syntax, such as \p{Alpha}
        return True
