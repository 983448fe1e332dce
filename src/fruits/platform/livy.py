"""What a Livy session is asked for, so that a cloud notebook has the release, Delta and the right Python."""

from typing import Any

from fruits.platform.delta import DELTA_SQL, EMR_JARS
from fruits.platform.emr_requests import (
    PYTHON_ON_NODES,
    PYTHON_ON_SERVERLESS,
    package_name,
    packed_dependencies,
    release_uri,
)

# A photo is megabytes: batches of the default 10,000 rows would not fit.
SPARK = DELTA_SQL | {"spark.sql.execution.arrow.maxRecordsPerBatch": "256"}


def ask_session(bucket: str, version: str, architecture: str, on_cluster: bool) -> dict[str, Any]:
    """Give the body of Livy's POST /sessions, which `%%configure` takes, for a published release.

    Args:
        bucket: of the stack.
        version: of the release.
        architecture: x86_64 or arm64, that of the application; a cluster has its dependencies already.
        on_cluster: whether the session is on EMR on EC2, or on EMR Serverless.
    """
    body: dict[str, Any] = {"pyFiles": [release_uri(bucket, version, package_name(version))]}
    if on_cluster:
        # It has Delta by its classification `delta-defaults`, and its bootstrap made this environment of Python 3.11.
        return body | {"conf": SPARK | {"spark.pyspark.python": PYTHON_ON_NODES}}
    archive = f"{release_uri(bucket, version, packed_dependencies(architecture))}#dependencies"
    return body | {"archives": [archive], "conf": SPARK | EMR_JARS | PYTHON_ON_SERVERLESS}
