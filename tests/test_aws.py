"""Logging in to AWS: the region, what is said where it fails, what the stack is made of, and the check of requests."""

import json

import boto3
import pytest
from aws import REGION, find_problems
from aws import account as account
from aws import aws_login as aws_login
from botocore.exceptions import ClientError, EndpointConnectionError

from fruits.errors import FruitsError, SettingError
from fruits.platform.aws import Stack, find_project, find_stack, open_aws, read_outputs

TEMPLATE = {
    "Resources": {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "fruits-1"}}},
    "Outputs": {"Bucket": {"Value": "fruits-1"}, "JobRoleArn": {"Value": "arn:role"}, "Other": {"Value": "x"}},
}


@pytest.mark.usefixtures("aws_login")
def test_the_region_is_the_one_given_or_the_environments():
    with open_aws() as aws:
        assert aws.region == REGION
    with open_aws("eu-central-1") as aws:
        assert aws.client("s3").meta.region_name == "eu-central-1"


@pytest.mark.usefixtures("aws_login")
@pytest.mark.parametrize("region", ["us-east-1", "eu-west-2", "eu-central-2", "eu-west-33"])
def test_a_region_outside_the_union_has_to_be_named_twice(region):
    with pytest.raises(SettingError, match=f"outside the European Union .*--outside-eu {region}"), open_aws(region):
        pass
    with pytest.raises(SettingError), open_aws(region, outside_eu="yes"):
        pass
    with open_aws(region, outside_eu=region) as aws:
        assert aws.region == region


def test_without_region_login_or_profile_it_says_what_to_give(aws_login, monkeypatch):
    with (
        pytest.raises(SettingError, match="profile='nobody' is not among the AWS profiles"),
        open_aws(profile="nobody"),
    ):
        pass
    with monkeypatch.context() as patch, pytest.raises(SettingError, match="profile='nobody' is not among"):
        patch.setenv("AWS_PROFILE", "nobody")
        with open_aws():
            pass
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(SettingError, match="no AWS region is set; give --region eu-west-3"), open_aws():
        pass
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(SettingError, match="no AWS login is configured; run `aws configure`"), open_aws(REGION):
        pass


@pytest.mark.usefixtures("aws_login")
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ClientError({"Error": {"Code": "ExpiredToken", "Message": "The token\nis old."}}, "ListBuckets"),
            r"ListBuckets: The token is old; this login has expired; log in anew",
        ),
        (ClientError({"Error": {"Code": "Strange", "Message": ""}}, "RunJobFlow"), "RunJobFlow: Strange$"),
        (EndpointConnectionError(endpoint_url="http://nowhere"), "AWS does not answer; .* continues"),
    ],
)
def test_what_aws_refuses_is_one_line_with_the_way_out(error, said):
    with pytest.raises(FruitsError, match=said), open_aws():
        raise error


@pytest.mark.usefixtures("account")
def test_the_stack_says_what_it_is_made_of():
    with open_aws() as aws:
        with pytest.raises(FruitsError, match="no stack 'fruits' in eu-west-3; `fruits emr deploy` makes it"):
            find_stack(aws)
        boto3.client("cloudformation").create_stack(StackName="fruits", TemplateBody=json.dumps(TEMPLATE))
        assert find_stack(aws) == Stack("fruits", bucket="fruits-1", job_role_arn="arn:role")


def test_outputs_are_called_like_the_fields_of_a_stack():
    outputs = [{"OutputKey": key, "OutputValue": key.lower()} for key in ("ApplicationId", "StudioUrl", "Name2")]
    assert read_outputs("mine", outputs) == Stack("mine", application_id="applicationid", studio_url="studiourl")


def test_the_project_is_where_notebooks_and_templates_are(tmp_path, monkeypatch):
    for folder in ("notebooks", "resources/emr"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert find_project() == tmp_path


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"Name": "n", "Instances": {}, "Instanzes": {}}, "Instanzes"),
        ({"Name": "n", "Instances": {}, "ScaleDownBehavior": "NOPE"}, "NOPE"),
        ({"Name": "n" * 300, "Instances": {}}, "300 is more than 256"),
        ({"Name": "n", "Instances": {}}, None),
    ],
)
def test_a_wrong_request_is_found(parameters, problem):
    found = find_problems("emr", "RunJobFlow", parameters)
    assert (problem in found[0]) if problem else found == []
