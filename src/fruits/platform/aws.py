"""An AWS account from outside: logging in, a region of the European Union, the deployed stack, errors in one line.

Logging in is boto3's own: a profile, the environment, an instance's role. boto3 takes a second to import, so that is
done inside functions; nothing here needs Spark or MLflow.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fruits
from fruits.errors import FruitsError, SettingError

if TYPE_CHECKING:
    import boto3
    from botocore.client import BaseClient

# In the European Union, not only in Europe: neither London (eu-west-2) nor Zurich (eu-central-2).
EU_REGIONS = ("eu-west-3", "eu-west-1", "eu-central-1", "eu-north-1", "eu-south-1", "eu-south-2")
STACK = "fruits"
TAG = "project"  # every thing made here carries it, with the name of its stack
CONNECT_TIMEOUT, READ_TIMEOUT = 5, 60  # seconds
ATTEMPTS = 8  # of a call that was throttled or lost, with longer and longer pauses

WAYS_OUT = {
    "AccessDenied": "this login may not do it; ask an administrator of the account for the right",
    "AccessDeniedException": "this login may not do it; ask an administrator of the account for the right",
    "UnauthorizedOperation": "this login may not do it; ask an administrator of the account for the right",
    "ExpiredToken": "this login has expired; log in anew (`aws sso login`, or new keys)",
    "ExpiredTokenException": "this login has expired; log in anew (`aws sso login`, or new keys)",
    "InvalidClientTokenId": "AWS does not know these keys; log in anew (`aws configure`)",
    "UnrecognizedClientException": "AWS does not know these keys; log in anew (`aws configure`)",
    "InvalidAccessKeyId": "AWS does not know these keys; log in anew (`aws configure`)",
    "SignatureDoesNotMatch": "AWS does not know these keys; log in anew (`aws configure`)",
}


@dataclass(frozen=True)
class Aws:
    """A login to one region.

    Attributes:
        session: boto3's; its clients come from `client`.
        region: eu-west-3, …
    """

    session: "boto3.Session"
    region: str

    def client(self, service: str, connections: int = 10) -> "BaseClient":
        """Give a client that tries a throttled or lost call again; so many calls may be under way at once."""
        from botocore.config import Config

        config = Config(
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            max_pool_connections=connections,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            user_agent_extra=f"fruits/{fruits.__version__}",
        )
        return self.session.client(service, region_name=self.region, config=config)


@dataclass(frozen=True)
class Stack:
    """What `fruits emr deploy` made, as the outputs of its CloudFormation stack name it; empty for what is not there.

    Attributes:
        name: of the stack.
        bucket: of photos, tables, releases and logs.
        application_id: of EMR Serverless.
        job_role_arn: role of a serverless job.
        service_role, instance_profile, security_configuration, subnet_id: what a cluster is made with.
        architecture: x86_64 or arm64, of the serverless application.
        release_label: EMR release of the serverless application.
        cluster_id: of the notebooks' cluster.
        studio_url: of EMR Studio.
    """

    name: str
    bucket: str = ""
    application_id: str = ""
    job_role_arn: str = ""
    service_role: str = ""
    instance_profile: str = ""
    security_configuration: str = ""
    subnet_id: str = ""
    architecture: str = ""
    release_label: str = ""
    cluster_id: str = ""
    studio_url: str = ""


@contextmanager
def open_aws(region: str | None = None, profile: str | None = None, outside_eu: str | None = None) -> Iterator[Aws]:
    """Log in to a region; what boto3 raises then becomes a FruitsError that says what to do.

    Args:
        region: None for the profile's or the environment's.
        profile: of the AWS configuration; None for the environment or the default profile.
        outside_eu: the region once more, for one outside the European Union.

    Raises:
        SettingError: no login, no region, or one outside the European Union that was not named twice.
        FruitsError: AWS refuses, or does not answer.
    """
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound
    except ModuleNotFoundError:
        raise FruitsError("boto3 is not installed here; pip install 'fruits[emr]'") from None
    try:
        session = boto3.Session(profile_name=profile, region_name=region)
    except ProfileNotFound:
        there = ", ".join(boto3.Session().available_profiles) or "none"
        raise SettingError(f"profile={profile!r} is not among the AWS profiles of this user ({there})") from None
    check_region(session.region_name, outside_eu)
    if session.get_credentials() is None:
        raise SettingError("no AWS login is configured; run `aws configure` or `aws sso login`, or give --profile NAME")
    try:
        yield Aws(session, session.region_name)
    except (BotoCoreError, ClientError) as error:
        raise FruitsError(explain(error)) from None


def check_region(region: str | None, outside_eu: str | None = None) -> None:
    """Keep photos in the European Union, unless somebody names another region twice.

    Raises:
        SettingError: no region, or one outside.
    """
    if not region:
        raise SettingError("no AWS region is set; give --region eu-west-3, or set AWS_REGION")
    if region not in EU_REGIONS and outside_eu != region:
        raise SettingError(
            f"region={region!r} is outside the European Union ({', '.join(EU_REGIONS)}); if photos may leave it, "
            f"say so with --outside-eu {region}"
        )


def explain(error: Exception) -> str:
    """Say in one line what AWS refused, and the way out where one is known."""
    from botocore.exceptions import ConnectionError, EndpointConnectionError, HTTPClientError

    if code := error_code(error):
        said = str(getattr(error, "response", {}).get("Error", {}).get("Message") or "").strip()
        operation = getattr(error, "operation_name", "AWS")
        way_out = WAYS_OUT.get(code)
        return f"{operation}: {' '.join(said.split())[:300].rstrip('.') or code}" + (f"; {way_out}" if way_out else "")
    if isinstance(error, EndpointConnectionError | ConnectionError | HTTPClientError):
        return "AWS does not answer; check the network, and the same command again continues"
    return " ".join(str(error).split())[:300]


def error_code(error: Exception) -> str:
    """Give AWS' code of an error, '' for one of another kind."""
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))


def find_stack(aws: Aws, name: str = STACK) -> Stack:
    """Read what a deployed stack is made of.

    Raises:
        FruitsError: no such stack, or one that is not complete.
    """
    from botocore.exceptions import ClientError

    try:
        found = aws.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if error_code(error) != "ValidationError":
            raise
        raise FruitsError(
            f"no stack {name!r} in {aws.region}; `fruits emr deploy` makes it, --stack NAME takes another"
        ) from None
    if not found["StackStatus"].endswith(("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")):
        raise FruitsError(
            f"stack {name!r} is {found['StackStatus']}; `fruits emr deploy` again mends it or says what is wrong"
        )
    return read_outputs(name, found.get("Outputs", []))


def read_outputs(name: str, outputs: list[dict[str, Any]]) -> Stack:
    """Make a Stack of CloudFormation's outputs, which are called like its fields, Bucket, JobRoleArn and so on."""
    values = {each["OutputKey"]: each["OutputValue"] for each in outputs}
    known = {"".join(part.title() for part in each.name.split("_")): each.name for each in fields(Stack)}
    return Stack(**{"name": name} | {known[key]: value for key, value in values.items() if key in known})


def find_project() -> Path:
    """Give the folder with notebooks/ and resources/emr/: the working directory, or the clone that this code is in.

    Raises:
        FruitsError: neither holds them, as where the package was installed from a wheel.
    """
    clone = Path(fruits.__file__).parents[2]
    for folder in (Path.cwd(), clone):
        if (folder / "resources" / "emr").is_dir() and (folder / "notebooks").is_dir():
            return folder
    raise FruitsError("notebooks/ and resources/emr/ are not here; run this in a clone of the project")
