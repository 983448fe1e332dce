"""What a Livy session is asked for, so that a cloud notebook has the release, Delta and the right Python."""

from typing import Any

DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
# A photo is megabytes: batches of the default 10,000 rows would not fit.
SPARK = DELTA | {"spark.sql.execution.arrow.maxRecordsPerBatch": "256"}
# EMR Serverless has Delta's jars but does not load them; the platform's own Python runs what the release brings.
SERVERLESS = {
    "spark.jars": "/usr/share/aws/delta/lib/delta-spark.jar,/usr/share/aws/delta/lib/delta-storage.jar",
    "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON": "python3.11",
    "spark.emr-serverless.driverEnv.PYSPARK_PYTHON": "python3.11",
    "spark.emr-serverless.driverEnv.PYTHONPATH": "./dependencies",
    "spark.executorEnv.PYSPARK_PYTHON": "python3.11",
    "spark.executorEnv.PYTHONPATH": "./dependencies",
}
# A cluster has Delta by its classification `delta-defaults`, and its bootstrap made this environment of Python 3.11.
CLUSTER = {"spark.pyspark.python": "/opt/fruits/bin/python"}


def ask_session(bucket: str, version: str, architecture: str, on_cluster: bool) -> dict[str, Any]:
    """Give the body of Livy's POST /sessions, which `%%configure` takes, for a published release.

    Args:
        bucket: of the stack.
        version: of the release.
        architecture: x86_64 or arm64, that of the application; a cluster has its dependencies already.
        on_cluster: whether the session is on EMR on EC2, or on EMR Serverless.
    """
    release = f"s3://{bucket}/releases/{version}"
    body: dict[str, Any] = {"pyFiles": [f"{release}/fruits-{version}.zip"]}
    if on_cluster:
        return body | {"conf": SPARK | CLUSTER}
    archive = f"{release}/site-packages-{architecture}.tar.gz#dependencies"
    return body | {"archives": [archive], "conf": SPARK | SERVERLESS}
