"""`fruits emr deploy` and `destroy`: on moto as far as it goes, and against ordered answers where it does not."""

import hashlib
import json
from datetime import UTC, datetime

import boto3
import pytest
from aws import REGION, put_checked
from aws import account as account
from aws import aws_login as aws_login
from aws import type_emr as type_emr
from botocore.stub import Stubber
from moto.cloudformation.models import CloudFormationBackend

from fruits.errors import FruitsError
from fruits.platform import emr_active, emr_destroy, emr_follow, emr_stack
from fruits.platform.aws import Aws, Stack, open_aws
from fruits.platform.emr_requests import needed_files

pytestmark = pytest.mark.slow

BUCKET = f"fruits-123456789012-{REGION}"
NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    for module in (emr_stack, emr_active, emr_destroy):
        monkeypatch.setattr(module, "PAUSE", 0)


@pytest.fixture(autouse=True)
def _outputs(monkeypatch):
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


def parameters_of(request):
    return {each["ParameterKey"]: each["ParameterValue"] for each in request["Parameters"]}


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


def test_destroy_keeps_the_bucket_and_says_so(account, type_emr):
    assert type_emr("deploy")[0] == 0
    boto3.client("s3").put_object(Bucket=BUCKET, Key="photos/a.jpg", Body=b"a")
    status, out, err = type_emr("destroy", "--yes", "--json")
    assert status == 0, err
    assert json.loads(out) == {"stack": "fruits", "deleted": 0, "remains": [BUCKET, f"{BUCKET}-access"], "failed": []}
    assert f"bucket {BUCKET} stays" in err
    assert boto3.client("s3").get_object(Bucket=BUCKET, Key="photos/a.jpg")["Body"].read() == b"a"


@pytest.mark.usefixtures("account")
def test_destroy_with_data_empties_the_bucket_page_by_page_old_versions_too(type_emr, monkeypatch):
    s3 = boto3.client("s3")
    assert type_emr("deploy")[0] == 0
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    monkeypatch.setattr(emr_destroy, "PAGE", 4)
    for number in range(5):
        s3.put_object(Bucket=BUCKET, Key=f"photos/{number} é.jpg", Body=b"a")
    s3.delete_object(Bucket=BUCKET, Key="photos/1 é.jpg")
    s3.create_multipart_upload(Bucket=BUCKET, Key="photos/half.jpg")
    status, out, err = type_emr("destroy", "--yes", "--with-data", "--json")
    assert status == 0, err
    assert (json.loads(out)["deleted"], json.loads(out)["remains"]) == (6, [])
    assert "is emptied and deleted" in err and "4 of 4 objects" in err
    assert s3.list_buckets()["Buckets"] == []
    status, _, err = type_emr("destroy", "--yes")
    assert (status, "nothing to destroy" in err) == (1, True)


@pytest.mark.usefixtures("account")
def test_destroy_refuses_while_a_cluster_runs(type_emr):
    assert type_emr("deploy")[0] == 0
    instances = {"MasterInstanceType": "m5.xlarge", "InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True}
    made = boto3.client("emr").run_job_flow(Name="fruits-run-20261125-000000-abcdef", Instances=instances)["JobFlowId"]
    status, _, err = type_emr("destroy", "--yes")
    assert status == 1
    assert f"cluster {made} of stack 'fruits' is active; wait for the end, or `fruits emr stop {made}`" in err


def test_destroy_asks_first(account, type_emr, monkeypatch):
    assert type_emr("deploy")[0] == 0
    status, _, err = type_emr("destroy")
    assert (status, "add --yes" in err) == (2, True)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stdin.readline", lambda: "n\n")
    status, _, err = type_emr("destroy")
    assert (status, "nothing was destroyed" in err) == (1, True)
    assert sent(account, "DeleteStack") == []


def test_an_application_is_stopped_before_it_is_deleted(ordered):
    aws, order = ordered
    about = {
        "applicationId": "app",
        "arn": "arn:aws:emr-serverless:eu-west-3:123456789012:/applications/app",
        "releaseLabel": "emr-spark-8.1.0",
        "type": "SPARK",
        "createdAt": NOW,
        "updatedAt": NOW,
    }
    order("emr-serverless", "get_application", {"application": about | {"state": "STARTED"}})
    order("emr-serverless", "stop_application")
    order("emr-serverless", "get_application", {"application": about | {"state": "STOPPING"}})
    order("emr-serverless", "get_application", {"application": about | {"state": "STOPPED"}})
    emr_active.stop_application(aws, "app")


def test_a_job_run_that_is_active_counts(ordered):
    aws, order = ordered
    run = {
        "applicationId": "app",
        "id": "run1",
        "arn": "arn:aws:emr-serverless:eu-west-3:123456789012:/applications/app/jobruns/run1",
        "createdBy": "arn:aws:iam::123456789012:user/me",
        "createdAt": NOW,
        "updatedAt": NOW,
        "executionRole": "arn:aws:iam::123456789012:role/job",
        "state": "RUNNING",
        "stateDetails": "-",
        "releaseLabel": "emr-spark-8.1.0",
    }
    order("emr-serverless", "list_job_runs", {"jobRuns": [run]})
    order("emr", "list_clusters", {"Clusters": []})
    assert [run.id for run in emr_follow.list_active(aws, Stack("fruits", application_id="app"))] == ["run1"]
