"""The services of emr_services.py, in this process, behind the real botocore, at the place of the network.

moto knows both services, but its steps never end, its job runs end at once, it refuses emr-spark-8 and has no
auto-termination. Here answers travel as JSON, are checked against botocore's own shapes, and a fault is an HTTP status
or a lost connection, which botocore tries again.
"""

import io
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import botocore.endpoint
import pytest
from aws import model_of
from botocore.validate import ParamValidator
from emr_account import deploy, publish, put
from emr_services import Emr
from moto.core.botocore_stubber import BotocoreStubber

from fruits.platform import emr_clusters, emr_follow


@pytest.fixture
def emr(account, monkeypatch) -> Iterator[Emr]:
    """The stack, a release and photos in an account, the two services, and nobody at the terminal."""
    server = Emr()
    monkeypatch.setattr("sys.stdin", io.StringIO())
    process = BotocoreStubber.process_request
    monkeypatch.setattr(
        BotocoreStubber,
        "process_request",
        lambda stubber, request: (
            _serve(server, request)
            if "://elasticmapreduce" in request.url or "://emr-" in request.url
            else process(stubber, request)
        ),
    )
    clock = _Clock(server)
    for module in (emr_follow, emr_clusters, botocore.endpoint):
        monkeypatch.setattr(module, "time", clock)
    deploy()
    publish()
    put("photos/Training/Apple Red 1/0_100.jpg", b"jpeg")
    account.clear()
    yield server


class _Clock:
    """The time of the server, for whoever asks."""

    def __init__(self, server: Emr) -> None:
        self.sleep = server.sleep
        self.time = self.monotonic = lambda: server.now


def _serve(server: Emr, request: Any) -> tuple[int, dict, bytes]:
    body = json.loads(request.body or b"{}")
    if "elasticmapreduce" in request.url:
        service, operation = "emr", request.headers["X-Amz-Target"].decode().rpartition(".")[2]
    else:
        service, operation, body = "emr-serverless", *_route(request, body)
    status, answer = server.answer(operation, body)
    if status == 200:
        shape = model_of(service).operation_model(operation).output_shape
        if shape is not None:
            report = ParamValidator().validate(answer, shape)
            assert not report.has_errors(), f"{operation} does not answer so: {report.generate_report()}"
    return status, {"x-amzn-errortype": answer.get("__type", "")}, json.dumps(answer).encode()


def _route(request: Any, body: dict) -> tuple[str, dict]:
    """Say which operation of EMR Serverless a request is, and give its parameters."""
    url = urlsplit(request.url)
    application, job = re.fullmatch(r"/applications/(\w+)/jobruns(?:/([\w.-]+))?", url.path).groups()
    asked = {name: values if name == "states" else values[0] for name, values in parse_qs(url.query).items()}
    operation = {
        ("POST", False): "StartJobRun",
        ("GET", False): "ListJobRuns",
        ("GET", True): "GetJobRun",
        ("DELETE", True): "CancelJobRun",
    }[request.method, job is not None]
    return operation, asked | body | {"applicationId": application} | ({"jobRunId": job} if job else {})
