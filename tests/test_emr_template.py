"""The CloudFormation template: linted for three regions, and every statement of every policy in it looked at."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from cfnlint.api import ManualArgs, lint
from cfnlint.decode import cfn_yaml

from fruits.cli_emr_setup import ARCHITECTURES, RELEASE_LABELS, WORKERS
from fruits.platform.aws import EU_REGIONS, Stack
from fruits.platform.emr_stack import DEFAULTS

pytestmark = pytest.mark.slow

FILE = Path(__file__).parents[1] / "resources" / "emr" / "fruits.yaml"
TEMPLATE = cfn_yaml.load(str(FILE))
RESOURCES = TEMPLATE["Resources"]
REGIONS = ["eu-west-3", "eu-west-1", "eu-central-1"]
# (resource, Sid): why it may say `*`.
WILD = {
    ("BucketPolicy", "TlsOnly"): "a refusal: whoever, whatever, without TLS",
    ("AccessLogsPolicy", "TlsOnly"): "a refusal: whoever, whatever, without TLS",
    ("StudioRole", "LookAtNetwork"): "EC2's Describe calls know no resource",
    ("StudioUsers", "Lists"): "calls that list everything know no resource",
}
DATA = {"photos", "releases", "lake", "mlflow", "tmp"}


def listed(value):
    return value if isinstance(value, list) else [value]


def find_statements(resources=RESOURCES):
    """Give (resource, statement) of every policy, those of trust too."""
    found = []

    def walk(name, node):
        if isinstance(node, dict):
            if "Statement" in node:
                found.extend((name, each) for each in listed(node["Statement"]))
            for value in node.values():
                walk(name, value)
        elif isinstance(node, list):
            for value in node:
                walk(name, value)

    for name, resource in resources.items():
        walk(name, resource)
    return found


def find_wild(statements):
    """Give (resource, Sid) of statements with `*` for all actions of a service, all resources or everybody."""
    return {
        (name, each.get("Sid"))
        for name, each in statements
        if any("*" in action for action in listed(each["Action"]))
        or "*" in listed(each.get("Resource", []))
        or "*" in str(each.get("Principal", ""))
        or "NotAction" in each
        or "NotResource" in each
    }


def of_role(name):
    """Give the statements of a role and of the policies that the template attaches to it."""
    attached = [each["Ref"] for each in RESOURCES[name]["Properties"]["ManagedPolicyArns"] if "Ref" in each]
    policies = RESOURCES[name]["Properties"].get("Policies", [])
    return [
        *(each for policy in policies for each in policy["PolicyDocument"]["Statement"]),
        *(each for policy in attached for each in RESOURCES[policy]["Properties"]["PolicyDocument"]["Statement"]),
    ]


def prefixes(role, action):
    """Name the prefixes of the bucket where a role may do something."""
    places = [str(each) for one in of_role(role) if action in listed(one["Action"]) for each in listed(one["Resource"])]
    return {re.search(r"Arn\}/([\w/]+)/\*", place)[1] for place in places}


def test_it_lints_without_a_warning_in_three_regions():
    found = lint(FILE.read_text(), config=ManualArgs(regions=REGIONS))
    assert [f"{each.rule.id} {each.message}" for each in found] == []


def test_the_linter_is_awake():
    assert lint(
        FILE.read_text().replace("ReleaseLabel: !Ref", "ReleaseLable: !Ref"), config=ManualArgs(regions=REGIONS)
    )


def test_no_statement_allows_everything_but_those_with_a_reason():
    statements = find_statements()
    assert len(statements) > 30
    assert find_wild(statements) == set(WILD)
    for name, each in statements:
        if (name, each.get("Sid")) in WILD and each["Effect"] == "Allow":
            assert all(re.search(r":(Describe|List)\w+$", action) for action in each["Action"])


@pytest.mark.parametrize(
    "bad",
    [
        {"Effect": "Allow", "Action": "s3:*", "Resource": "arn"},
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:Get*"], "Resource": "arn"},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"},
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}},
    ],
)
def test_a_statement_that_allows_too_much_is_found(bad):
    assert find_wild(find_statements({"New": {"Properties": {"Policies": [{"Statement": [bad]}]}}})) == {("New", None)}


@pytest.mark.parametrize(
    ("role", "own"), [("JobRole", {"logs/serverless"}), ("NodeRole", {"logs/emr", "notebooks", "jupyter"})]
)
def test_a_run_reads_photos_and_releases_and_writes_neither(role, own):
    assert prefixes(role, "s3:GetObject") == DATA | own
    assert prefixes(role, "s3:PutObject") == DATA - {"photos", "releases"} | own
    assert prefixes(role, "s3:DeleteObject") == {"lake", "mlflow", "tmp"} | (own & {"notebooks", "jupyter"})


def test_services_take_a_role_for_this_account_only():
    for name, role in RESOURCES.items():
        if role["Type"] == "AWS::IAM::Role" and name != "NodeRole":  # ec2 has no such condition
            (trust,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
            assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}, name
    passed = [each for _, each in find_statements() if "iam:PassRole" in listed(each["Action"])]
    assert len(passed) == 3
    assert all("iam:PassedToService" in str(each["Condition"]) for each in passed)


@pytest.mark.parametrize("name", ["Bucket", "AccessLogs"])
def test_buckets_are_encrypted_closed_and_outlive_the_stack(name):
    bucket, properties = RESOURCES[name], RESOURCES[name]["Properties"]
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    assert "AES256" in str(properties["BucketEncryption"])
    assert properties["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    policy = RESOURCES[f"{name}Policy"]["Properties"]["PolicyDocument"]
    (tls,) = [each for each in policy["Statement"] if each["Sid"] == "TlsOnly"]
    assert (tls["Effect"], tls["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert len(tls["Resource"]) == 2


def test_what_is_erased_is_gone_and_what_is_temporary_goes():
    properties = RESOURCES["Bucket"]["Properties"]
    assert "VersioningConfiguration" not in properties
    rules = {each["Id"]: each for each in properties["LifecycleConfiguration"]["Rules"]}
    assert (rules["logs"]["Prefix"], rules["logs"]["ExpirationInDays"]) == ("logs/", 30)
    assert (rules["tmp"]["Prefix"], rules["tmp"]["ExpirationInDays"]) == ("tmp/", 7)
    assert rules["uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 3}
    assert rules["versions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
    assert [each["Id"] for each in rules.values() if "ExpirationInDays" in each] == ["logs", "tmp"]


def test_nothing_runs_or_is_kept_warm_unasked():
    application = RESOURCES["Application"]["Properties"]
    assert "InitialCapacity" not in application
    assert application["AutoStopConfiguration"] == {"Enabled": True, "IdleTimeoutMinutes": 5}
    cluster = RESOURCES["Cluster"]["Properties"]
    assert cluster["AutoTerminationPolicy"] == {"IdleTimeout": 3600}
    fleets = cluster["Instances"]
    for name in ("MasterInstanceFleet", "CoreInstanceFleet"):
        assert "TargetSpotCapacity" not in fleets[name]
    assert [fleet.get("TargetOnDemandCapacity") for fleet in fleets["TaskInstanceFleets"]] == [None]
    assert cluster["ScaleDownBehavior"] == "TERMINATE_AT_TASK_COMPLETION"
    metadata = RESOURCES["Security"]["Properties"]["SecurityConfiguration"]["InstanceMetadataServiceConfiguration"]
    assert metadata["MinimumInstanceMetadataServiceVersion"] == 2
    always = {"AWS::S3::Bucket", "AWS::S3::BucketPolicy", "AWS::IAM::Role", "AWS::IAM::ManagedPolicy"}
    always |= {"AWS::IAM::InstanceProfile", "AWS::EMR::SecurityConfiguration", "AWS::EMRServerless::Application"}
    assert {each["Type"] for each in RESOURCES.values() if "Condition" not in each} == always


def test_nothing_comes_in_from_outside():
    assert "0.0.0.0/0" not in str(RESOURCES["EngineFromWorkspace"]) + str(RESOURCES["WorkspaceGroup"])
    assert RESOURCES["S3Endpoint"]["Properties"]["VpcEndpointType"] == "Gateway"


def test_an_executor_and_the_driver_of_a_notebook_fit_on_one_machine():
    configurations = RESOURCES["Cluster"]["Properties"]["Configurations"]
    (spark,) = [each for each in configurations if each.get("Classification") == "spark-defaults"]
    sizes = spark["ConfigurationProperties"]
    heap, overhead, driver = (
        int(sizes[f"spark.{name}"][:-1]) * 1024
        for name in ("executor.memory", "executor.memoryOverhead", "driver.memory")
    )
    assert heap + overhead + driver + max(384, driver // 10) <= 12_288
    assert overhead >= int(sizes["spark.executor.cores"]) * 213 + 400


def test_the_regions_of_the_union_are_the_commands():
    first, second = TEMPLATE["Rules"]["EuropeanUnion"]["Assertions"][0]["Assert"]["Fn::Or"]
    assert tuple(first["Fn::Contains"][0]) == EU_REGIONS
    assert second == {"Fn::Equals": [{"Ref": "OutsideEu"}, {"Ref": "AWS::Region"}]}


def test_outputs_and_choices_are_those_the_code_knows():
    known = {"".join(part.title() for part in each.name.split("_")) for each in fields(Stack)} - {"Name"}
    assert set(TEMPLATE["Outputs"]) == known | {"StudioUsersPolicy"}
    parameters = TEMPLATE["Parameters"]
    choices = {"Architecture": ARCHITECTURES, "ReleaseLabel": RELEASE_LABELS, "MaximumWorkers": WORKERS}
    for name, allowed in choices.items():
        assert sorted(parameters[name]["AllowedValues"]) == sorted(allowed)
        assert parameters[name]["Default"] == DEFAULTS[name]
    assert set(TEMPLATE["Mappings"]["Capacity"]) == set(WORKERS)
