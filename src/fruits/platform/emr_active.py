"""What of a stack is under way, and costs money: runs, clusters, the application."""

import time
from typing import TYPE_CHECKING

from fruits.errors import FruitsError
from fruits.platform.aws import Stack, error_code
from fruits.platform.progress import in_words, report

if TYPE_CHECKING:
    from fruits.platform.aws import Aws

ACTIVE_JOBS = ["SUBMITTED", "PENDING", "SCHEDULED", "RUNNING", "CANCELLING", "QUEUED"]
ALIVE = ["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"]
PAUSE = 5  # seconds between two looks at an application
STOPPING = 600  # seconds until an application has to be stopped


def list_active(aws: "Aws", stack: Stack) -> list[str]:
    """List what of a stack is under way: `run ID`, `cluster ID`."""
    active = []
    if stack.application_id:
        pages = aws.client("emr-serverless").get_paginator("list_job_runs")
        for page in pages.paginate(applicationId=stack.application_id, states=ACTIVE_JOBS):
            active += [f"run {each['id']}" for each in page["jobRuns"]]
    for page in aws.client("emr").get_paginator("list_clusters").paginate(ClusterStates=[*ALIVE, "TERMINATING"]):
        for each in page["Clusters"]:
            if each["Name"].startswith(f"{stack.name}-run-") or each["Id"] == stack.cluster_id:
                active.append(f"cluster {each['Id']}")
    return active


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
