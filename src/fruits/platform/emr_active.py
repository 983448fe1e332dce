"""Whether the notebooks' cluster of a stack is alive, and the end of its application."""

import time
from typing import TYPE_CHECKING

from fruits.errors import FruitsError
from fruits.platform.aws import error_code
from fruits.platform.progress import in_words, report

if TYPE_CHECKING:
    from fruits.platform.aws import Aws

ALIVE = ["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"]
PAUSE = 5  # seconds between two looks at an application
STOPPING = 600  # seconds until an application has to be stopped


def is_alive(aws: "Aws", cluster: str) -> bool:
    """Look whether a cluster has not ended; one that AWS has forgotten has."""
    from botocore.exceptions import ClientError

    try:
        return aws.client("emr").describe_cluster(ClusterId=cluster)["Cluster"]["Status"]["State"] in ALIVE
    except ClientError as error:
        if error_code(error) not in ("InvalidRequestException", "ValidationException"):
            raise
        return False


def stop_application(aws: "Aws", application: str) -> None:
    """Stop an application of EMR Serverless, as CloudFormation needs it before it can delete it."""
    from botocore.exceptions import ClientError

    client = aws.client("emr-serverless")
    start = time.monotonic()
    try:
        while (state := client.get_application(applicationId=application)["application"]["state"]) not in (
            "STOPPED",
            "CREATED",
            "TERMINATED",
        ):
            if state == "STARTED":
                report(f"stack: application {application} is stopped")
                client.stop_application(applicationId=application)
            if time.monotonic() - start > STOPPING:
                raise FruitsError(f"application {application} is {state} after {in_words(STOPPING)}; try again later")
            time.sleep(PAUSE)
    except ClientError as error:
        if error_code(error) != "ResourceNotFoundException":
            raise
