"""`fruits emr deploy`: on moto as far as it goes, and against ordered answers where it does not."""

import hashlib
import json

import boto3
import pytest
from aws import account as account
from aws import aws_login as aws_login
from aws import put_checked
from aws import type_emr as type_emr
from stacks import BUCKET, NOW, sent
from stacks import ordered as ordered
from stacks import outputs as outputs
from stacks import quick as quick

from fruits.errors import FruitsError
from fruits.platform import emr_stack
from fruits.platform.aws import open_aws
from fruits.platform.emr_requests import needed_files

pytestmark = pytest.mark.slow


def parameters_of(request):
    return {each["ParameterKey"]: each["ParameterValue"] for each in request["Parameters"]}


def stack_in(status, **more):
    return {
        "Stacks": [{"StackName": "fruits", "StackId": "arn:stack", "CreationTime": NOW, "StackStatus": status, **more}]
    }


def events(*lines):
    """Give events, newest first as CloudFormation does, of (resource, status, reason) from the oldest on."""
    return {
        "StackEvents": [
            {
                "StackId": "arn:stack",
                "EventId": str(number),
                "StackName": "fruits",
                "Timestamp": NOW,
                "LogicalResourceId": resource,
                "ResourceStatus": status,
                "ResourceStatusReason": reason,
            }
            for number, (resource, status, reason) in enumerate(lines)
        ][::-1]
    }


PLAN = emr_stack.Plan({"StackName": "fruits", "ChangeSetName": "c", "ChangeSetType": "CREATE"}, BUCKET, None)


def planned(status):
    return emr_stack.Plan(PLAN.request, BUCKET, stack_in(status)["Stacks"][0])


def test_deploy_makes_the_stack_and_says_what_it_is_made_of(account, type_emr):
    status, out, err = type_emr("deploy", "--json")
    assert status == 0, err
    (request,) = sent(account, "CreateChangeSet")
    assert request["Tags"] == [{"Key": "project", "Value": "fruits"}]
    assert request["Capabilities"] == ["CAPABILITY_IAM"]
    assert request["ImportExistingResources"] is True
    assert parameters_of(request)["BucketName"] == BUCKET
    made = json.loads(out)["outputs"]
    assert (made["bucket"], made["architecture"], made["release_label"]) == (BUCKET, "arm64", "emr-spark-8.1.0")
    assert "cluster_id" not in made and "subnet_id" not in made
    assert boto3.client("s3").head_bucket(Bucket=f"{BUCKET}-access")
    assert "stack: " in err
    roles = {each["RoleName"] for each in boto3.client("iam").list_roles()["Roles"]}
    assert len(roles) == 3


def test_a_second_deploy_keeps_what_is_not_given(account, type_emr):
    assert type_emr("deploy", "--bucket", "my-fruits", "--architecture", "x86_64")[0] == 0
    assert type_emr("deploy", "--network")[0] == 0
    first, second = sent(account, "CreateChangeSet")
    assert (first["ChangeSetType"], second["ChangeSetType"]) == ("CREATE", "UPDATE")
    kept = parameters_of(second)
    assert (kept["BucketName"], kept["Architecture"], kept["CreateNetwork"]) == ("my-fruits", "x86_64", "true")
    status, _, err = type_emr("deploy", "--bucket", "other-fruits")
    assert status == 2
    assert "bucket='other-fruits' is not that of stack 'fruits' (my-fruits)" in err


def test_dry_run_shows_the_request_and_sends_nothing(account, type_emr):
    status, out, _ = type_emr("deploy", "--dry-run", "--studio", "--network", "--json")
    assert status == 0
    shown = parameters_of(json.loads(out)["request"])
    assert (shown["CreateStudio"], shown["CreateNetwork"]) == ("true", "true")
    assert {name for _, name, _ in account} == {"GetCallerIdentity", "DescribeStacks", "HeadBucket"}


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--bucket", "My_Fruits"], "bucket='My_Fruits' is not 3 to 55 small letters"),
        (["--vpc", "vpc-12345678"], "--vpc and --subnet belong together"),
        (["--network", "--vpc", "vpc-12345678", "--subnet", "subnet-12345678"], "give one of them"),
        (["--stack", "1"], "stack='1' is not a letter"),
        (["--region", "us-east-1"], "outside the European Union"),
        (["--architecture", "mips"], "invalid choice"),
    ],
)
def test_wrong_use_of_deploy_is_one_line(type_emr, words, said):
    status, out, err = type_emr("deploy", *words)
    assert (status, out) == (2, "")
    assert said in err


def test_a_cluster_installs_the_release_that_is_published(account, type_emr):
    status, _, err = type_emr("deploy", "--cluster", "--network")
    assert (status, "deploy without --cluster, then `fruits emr build`" in err) == (1, True)
    assert type_emr("deploy", "--network")[0] == 0
    status, _, err = type_emr("deploy", "--cluster")
    assert (status, "release 0.1.0 is not in s3://" in err) == (1, True)
    checksum = hashlib.sha256(b"x").hexdigest()
    files = {name: {"size": 1, "sha256": checksum} for name in needed_files("0.1.0", "arm64", on_cluster=True)}
    for name, body in {**dict.fromkeys(files, b"x"), "release.json": json.dumps({"files": files}).encode()}.items():
        put_checked(BUCKET, f"releases/0.1.0/{name}", body)
    status, out, _ = type_emr("deploy", "--cluster", "--dry-run", "--json")
    shown = parameters_of(json.loads(out)["request"])
    assert (status, shown["WheelhouseSha256"], shown["ReleaseVersion"]) == (0, checksum, "0.1.0")
    assert shown["ClusterName"].startswith("fruits-notebooks-2")


@pytest.mark.parametrize(("code", "said"), [("403", "belongs to another account"), ("301", "is elsewhere")])
def test_a_bucket_of_somebody_else_is_not_taken(ordered, code, said):
    aws, order = ordered
    order("s3", "head_bucket", service_error_code=code, http_status_code=int(code))
    with pytest.raises(FruitsError, match=f"{said}.*--bucket NAME"):
        emr_stack.check_bucket(aws, "fruits")


@pytest.mark.parametrize("status", ["CREATE_FAILED", "ROLLBACK_FAILED", "DELETE_FAILED"])
def test_a_stack_left_over_says_how_to_remove_it(ordered, status):
    with pytest.raises(FruitsError, match=f"is {status} and can only be removed; `fruits emr destroy`"):
        emr_stack.deploy_stack(ordered[0], planned(status))


def test_a_stack_that_was_never_complete_is_made_anew(ordered, capsys):
    aws, order = ordered
    order("cloudformation", "describe_stack_events", events())
    order("cloudformation", "delete_stack")
    order("cloudformation", "describe_stack_events", events(("fruits", "DELETE_COMPLETE", "")))
    order("cloudformation", "describe_stacks", stack_in("DELETE_COMPLETE"))
    order("cloudformation", "create_change_set", service_error_code="InsufficientCapabilitiesException")
    with pytest.raises(FruitsError), open_aws():
        emr_stack.deploy_stack(aws, planned("ROLLBACK_COMPLETE"))
    assert "holds nothing; it is removed and made anew" in capsys.readouterr().err


def test_no_changes_are_fine(ordered):
    aws, order = ordered
    order("cloudformation", "create_change_set", {"Id": "arn:change"})
    reason = "The submitted information didn't contain changes. Submit different information."
    order("cloudformation", "describe_change_set", {"Status": "FAILED", "StatusReason": reason})
    order("cloudformation", "delete_change_set")
    order("cloudformation", "describe_stacks", stack_in("CREATE_COMPLETE"))
    result = emr_stack.deploy_stack(aws, planned("CREATE_COMPLETE"))
    assert (result["status"], result["changes"]) == ("unchanged", [])


def test_a_change_that_fails_names_the_first_cause(ordered, capsys):
    aws, order = ordered
    order("cloudformation", "create_change_set", {"Id": "arn:change"})
    order("cloudformation", "describe_change_set", {"Status": "CREATE_IN_PROGRESS"})
    change = {"Action": "Add", "LogicalResourceId": "Bucket", "ResourceType": "AWS::S3::Bucket"}
    order(
        "cloudformation",
        "describe_change_set",
        {"Status": "CREATE_COMPLETE", "Changes": [{"Type": "Resource", "ResourceChange": change}]},
    )
    order("cloudformation", "describe_stacks", stack_in("REVIEW_IN_PROGRESS"))
    past = ("fruits", "REVIEW_IN_PROGRESS", "")
    now = [
        ("JobRole", "CREATE_FAILED", "Resource creation cancelled"),
        ("Bucket", "CREATE_FAILED", "no right: s3:CreateBucket"),
    ]
    order("cloudformation", "describe_stack_events", events(past))
    order("cloudformation", "execute_change_set")
    order("cloudformation", "describe_stack_events", events(past))
    order("cloudformation", "describe_stacks", stack_in("CREATE_IN_PROGRESS"))
    order("cloudformation", "describe_stack_events", events(past, *now))
    order("cloudformation", "describe_stacks", stack_in("ROLLBACK_COMPLETE"))
    order("cloudformation", "describe_stack_events", events(past, *now))
    with pytest.raises(FruitsError, match="is ROLLBACK_COMPLETE: Bucket, no right: s3:CreateBucket; mend that"):
        emr_stack.deploy_stack(aws, PLAN)
    err = capsys.readouterr().err
    assert "deploy: add Bucket (AWS::S3::Bucket)" in err
    assert err.count("stack: Bucket create failed: no right") == 1
    assert "review" not in err


def test_what_is_under_way_is_waited_for(ordered, capsys):
    aws, order = ordered
    order("cloudformation", "describe_stack_events", events())
    order("cloudformation", "describe_stack_events", events())
    order("cloudformation", "describe_stacks", stack_in("ROLLBACK_FAILED"))
    order("cloudformation", "describe_stacks", stack_in("ROLLBACK_FAILED"))
    with pytest.raises(FruitsError, match="ROLLBACK_FAILED"):
        emr_stack.deploy_stack(aws, planned("ROLLBACK_IN_PROGRESS"))
    assert "is ROLLBACK_IN_PROGRESS; waiting for that first" in capsys.readouterr().err


def test_following_ends_after_its_patience_and_on_ctrl_c_and_the_stack_goes_on(ordered, monkeypatch):
    aws, order = ordered
    assert emr_stack.PATIENCE > 30 * 60
    monkeypatch.setattr(emr_stack, "PATIENCE", -1)
    order("cloudformation", "describe_stack_events", events())
    order("cloudformation", "describe_stacks", stack_in("CREATE_IN_PROGRESS"))
    with pytest.raises(FruitsError, match=r"CREATE_IN_PROGRESS after .*the same command again follows it"):
        emr_stack.follow_stack(aws, "fruits", set())
    monkeypatch.setattr(emr_stack, "_list_events", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(FruitsError, match="no longer following stack 'fruits'; it goes on"):
        emr_stack.follow_stack(aws, "fruits", set())
