"""A stack in the making for the tests of deploy and destroy: moto, mended, or ordered answers."""

from datetime import UTC, datetime

import boto3
import pytest
from aws import REGION
from botocore.stub import Stubber
from moto.cloudformation.models import CloudFormationBackend

from fruits.platform import emr_active, emr_destroy, emr_stack
from fruits.platform.aws import Aws, open_aws

BUCKET = f"fruits-123456789012-{REGION}"
NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for module in (emr_stack, emr_active, emr_destroy):
        monkeypatch.setattr(module, "PAUSE", 0)


@pytest.fixture(autouse=True)
def outputs(monkeypatch):
    """Let moto work out the outputs of a stack that came of a change set, which it forgets."""
    execute = CloudFormationBackend.execute_change_set

    def execute_and_work_out(self, change_set_name, stack_name=None):
        execute(self, change_set_name, stack_name)
        for stack in self.stacks.values():
            stack._parse_template()
            stack.output_map = stack._create_output_map()

    monkeypatch.setattr(CloudFormationBackend, "execute_change_set", execute_and_work_out)


def sent(account, operation):
    return [parameters for _, name, parameters in account if name == operation]


@pytest.fixture
def ordered(aws_login, monkeypatch):
    """A login whose CloudFormation and S3 give ordered answers, each once, in order; gives (aws, order)."""
    stubs = {}

    def client(self, service, **_):
        if service not in stubs:
            made = boto3.client(service, region_name=REGION)
            stubs[service] = (made, Stubber(made))
            stubs[service][1].activate()
        return stubs[service][0]

    monkeypatch.setattr(Aws, "client", client)

    def order(service, operation, answer=None, **error):
        client(None, service)
        if error:
            stubs[service][1].add_client_error(operation, **error)
        else:
            stubs[service][1].add_response(operation, answer or {})

    with open_aws() as aws:
        yield aws, order
    for _, stub in stubs.values():
        stub.assert_no_pending_responses()
