"""The requests that start a run on AWS EMR, made of settings, a stack and a release; nothing here talks to AWS.

Sizes. One task runs on one core, and a worker of Python takes at most 213 MB (LiteRT; TensorFlow is not there). Such
workers live beside Java's heap, in the overhead, with up to 256 photos each that Arrow hands over at a time:

    overhead   4 workers x (213 MB + 256 photos x 0.5 MB) + 400 MB of Java's own = 1,764 MB, of 4,096 MB

Serverless gives a worker of 4 vCPU 8 GB at the least, so 4 GB of heap and 4 GB of overhead are what is paid for anyway.
The driver is of the same kind: moments of 1280 x 1280 numbers are 13 MB each, and a handful of them meet there.

On EC2 every machine has 4 vCPU and 16 GB, of which YARN gives away 12,288 MB. In client mode the driver is on the
primary node, where YARN gives away nothing, and one other node holds YARN's application master as well:

    node       5,120 MB heap + 4,096 MB overhead = 9,216 MB of an executor, + 512 + 384 MB of the master = 10,112 MB

So one executor of four cores fits on each node, the one with the master included. Client mode also keeps the driver
off spot machines: in cluster mode it would be wherever there is room, and its loss would end the run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fruits.errors import FruitsError
from fruits.platform.aws import TAG, Stack
from fruits.platform.delta import DELTA_SQL, EMR_JARS

RELEASE_LABELS = ("emr-spark-8.1.0", "emr-7.14.0")
# All of 4 vCPU and 16 GB; several, since one kind is sold out now and then.
MACHINES = {
    "x86_64": ("m7i.xlarge", "m6i.xlarge", "m5.xlarge"),
    "arm64": ("m7g.xlarge", "m6g.xlarge", "m6gd.xlarge"),
}
NOT_SOLD = {"eu-south-1": ("m7g.xlarge",), "eu-south-2": ("m6i.xlarge",)}
PYTHON_ON_NODES = "/opt/fruits/bin/python"  # made by bootstrap.sh
IDLE = 1800  # seconds without work after which a cluster ends, should it not have ended with its step
SPOT_PATIENCE = 10  # minutes to find spot machines, before others are taken

ENTRY = "run.py"
BOOTSTRAP = "bootstrap.sh"

SPARK = DELTA_SQL | {
    "spark.log.level": "WARN",  # or what the steps say is lost among Spark's own lines
    "spark.sql.execution.arrow.maxRecordsPerBatch": "256",  # a photo is megabytes
    "spark.executor.cores": "4",
    "spark.executor.memoryOverhead": "4g",
}
# The platform's own Python, with what the release brings unpacked beside it.
PYTHON_ON_SERVERLESS = {
    "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON": "python3.11",
    "spark.emr-serverless.driverEnv.PYSPARK_PYTHON": "python3.11",
    "spark.executorEnv.PYSPARK_PYTHON": "python3.11",
    "spark.emr-serverless.driverEnv.PYTHONPATH": "./dependencies",
    "spark.executorEnv.PYTHONPATH": "./dependencies",
}
ON_SERVERLESS = (
    EMR_JARS
    | PYTHON_ON_SERVERLESS
    | {
        "spark.driver.cores": "4",
        "spark.driver.memory": "4g",
        "spark.driver.memoryOverhead": "4g",
        "spark.executor.memory": "4g",
    }
)
ON_NODES = {
    "spark.driver.memory": "4g",
    "spark.executor.memory": "5g",
    "spark.pyspark.python": PYTHON_ON_NODES,
}


@dataclass(frozen=True)
class Release:
    """What `fruits emr publish` put into a bucket.

    Attributes:
        version: of the package.
        files: name to size in bytes and sha256, as in its release.json.
    """

    version: str
    files: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Order:
    """One run that is asked for.

    Attributes:
        name: of the run, unlike that of any other.
        token: by which EMR Serverless knows a request it has seen.
        arguments: of the entry point.
        workers: executors on Serverless, spot machines of a cluster, at most.
        minutes: after which it is ended, whatever it does.
        architecture: x86_64 or arm64.
        release_label: of EMR, for a cluster; an application of EMR Serverless has its own.
    """

    name: str
    token: str
    arguments: Sequence[str]
    workers: int
    minutes: int
    architecture: str
    release_label: str


def release_uri(bucket: str, version: str, name: str = "") -> str:
    """Say where a file of a release is, or the folder of all of them."""
    return f"s3://{bucket}/releases/{version}" + (f"/{name}" if name else "")


def package_name(version: str) -> str:
    """Name the package of a release."""
    return f"fruits-{version}.zip"


def packed_dependencies(architecture: str) -> str:
    """Name the dependencies of a release, installed, as EMR Serverless unpacks them."""
    return f"site-packages-{architecture}.tar.gz"


def wheelhouse(architecture: str) -> str:
    """Name the dependencies of a release as wheels, as machines of a cluster install them."""
    return f"wheelhouse-{architecture}.tar.gz"


def needed_files(version: str, architecture: str, on_cluster: bool) -> list[str]:
    """Name the files of a release that a run starts from."""
    packed = [BOOTSTRAP, wheelhouse(architecture)] if on_cluster else [packed_dependencies(architecture)]
    return [ENTRY, package_name(version), *packed]


def serverless_logs(stack: Stack) -> str:
    """Say where EMR Serverless writes logs."""
    return f"s3://{stack.bucket}/logs/serverless/"


def cluster_logs(stack: Stack) -> str:
    """Say where clusters write logs."""
    return f"s3://{stack.bucket}/logs/emr/"


def ask_serverless(stack: Stack, release: Release, order: Order) -> dict[str, Any]:
    """Make the request StartJobRun."""
    _need(stack, application_id="ApplicationId", job_role_arn="JobRoleArn")
    archive = release_uri(stack.bucket, release.version, packed_dependencies(order.architecture))
    first = str(min(3, order.workers))
    settings = (
        SPARK
        | ON_SERVERLESS
        | {
            "spark.archives": f"{archive}#dependencies",
            "spark.dynamicAllocation.maxExecutors": str(order.workers),
            "spark.dynamicAllocation.initialExecutors": first,
            "spark.executor.instances": first,
        }
    )
    package = release_uri(stack.bucket, release.version, package_name(release.version))
    return {
        "applicationId": stack.application_id,
        "clientToken": order.token,
        "executionRoleArn": stack.job_role_arn,
        "name": order.name,
        "executionTimeoutMinutes": order.minutes,
        "retryPolicy": {"maxAttempts": 1},
        "jobDriver": {
            "sparkSubmit": {
                "entryPoint": release_uri(stack.bucket, release.version, ENTRY),
                "entryPointArguments": list(order.arguments),
                "sparkSubmitParameters": " ".join(["--py-files", package, *_as_options(settings)]),
            }
        },
        "configurationOverrides": {
            "monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": serverless_logs(stack)}}
        },
        "tags": {TAG: stack.name, "run": order.name, "workers": str(order.workers)},
    }


def ask_cluster(stack: Stack, release: Release, order: Order, region: str) -> dict[str, Any]:
    """Make the request RunJobFlow: a cluster that does one step and ends itself."""
    _need(stack, service_role="ServiceRole", instance_profile="InstanceProfile", subnet_id="SubnetId")
    request = {
        "Name": order.name,
        "ReleaseLabel": order.release_label,
        "LogUri": cluster_logs(stack),
        "ServiceRole": stack.service_role,
        "JobFlowRole": stack.instance_profile,
        "VisibleToAllUsers": True,
        "ScaleDownBehavior": "TERMINATE_AT_TASK_COMPLETION",
        "EbsRootVolumeSize": 40,
        "Applications": [{"Name": "Spark"}],
        "Instances": {
            "KeepJobFlowAliveWhenNoSteps": False,
            "TerminationProtected": False,
            "Ec2SubnetIds": [stack.subnet_id],
            "InstanceFleets": _fleets(order, region),
        },
        "ManagedScalingPolicy": {
            "ComputeLimits": {  # the primary node does not count
                "UnitType": "InstanceFleetUnits",
                "MinimumCapacityUnits": 1,
                "MaximumCapacityUnits": 1 + order.workers,
                "MaximumOnDemandCapacityUnits": 1,
                "MaximumCoreCapacityUnits": 1,
            }
        },
        "AutoTerminationPolicy": {"IdleTimeout": IDLE},
        "BootstrapActions": [_bootstrap(stack, release, order)],
        "Configurations": [
            {"Classification": "delta-defaults", "Properties": {"delta.enabled": "true"}},
            {"Classification": "spark-defaults", "Properties": SPARK | ON_NODES},
        ],
        "Steps": [_step(stack, release, order)],
        "Tags": [
            {"Key": TAG, "Value": stack.name},
            {"Key": "run", "Value": order.name},
            {"Key": "workers", "Value": str(order.workers)},
            {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"},
        ],
    }
    # Encryption of disks and IMDSv2, where the stack has them.
    return request | ({"SecurityConfiguration": stack.security_configuration} if stack.security_configuration else {})


def _bootstrap(stack: Stack, release: Release, order: Order) -> dict[str, Any]:
    folder = release_uri(stack.bucket, release.version)
    checksum = release.files[wheelhouse(order.architecture)]["sha256"]
    return {
        "Name": "python",
        "ScriptBootstrapAction": {"Path": f"{folder}/{BOOTSTRAP}", "Args": [folder, checksum]},
    }


def _step(stack: Stack, release: Release, order: Order) -> dict[str, Any]:
    package, entry = (
        release_uri(stack.bucket, release.version, name) for name in (package_name(release.version), ENTRY)
    )
    submit = ["spark-submit", "--deploy-mode", "client", "--name", order.name, "--py-files", package, entry]
    return {
        "Name": order.name,
        "ActionOnFailure": "TERMINATE_CLUSTER",
        "HadoopJarStep": {
            "Jar": "command-runner.jar",
            # A step has no time limit of its own.
            "Args": ["timeout", f"{order.minutes}m", *submit, *order.arguments],
        },
    }


def _fleets(order: Order, region: str) -> list[dict[str, Any]]:
    """Give the fleets: what must not be lost on demand, the rest on spot machines."""
    machines = [name for name in MACHINES[order.architecture] if name not in NOT_SOLD.get(region, ())]
    weighed = [{"InstanceType": name, "WeightedCapacity": 1} for name in machines]
    return [
        {
            "Name": "primary",
            "InstanceFleetType": "MASTER",
            "TargetOnDemandCapacity": 1,
            "InstanceTypeConfigs": [{"InstanceType": name} for name in machines],
        },
        {
            "Name": "core",
            "InstanceFleetType": "CORE",
            "TargetOnDemandCapacity": 1,
            "InstanceTypeConfigs": weighed,
        },
        {
            "Name": "task",
            "InstanceFleetType": "TASK",
            "TargetSpotCapacity": order.workers,
            "InstanceTypeConfigs": weighed,
            "LaunchSpecifications": {
                "SpotSpecification": {
                    "TimeoutDurationMinutes": SPOT_PATIENCE,
                    "TimeoutAction": "SWITCH_TO_ON_DEMAND",
                    "AllocationStrategy": "price-capacity-optimized",
                }
            },
        },
    ]


def _as_options(settings: Mapping[str, str]) -> list[str]:
    return [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]


def _need(stack: Stack, **outputs: str) -> None:
    if missing := [output for name, output in outputs.items() if not getattr(stack, name)]:
        raise FruitsError(
            f"stack {stack.name!r} was deployed without what this run needs ({', '.join(missing)}); "
            "`fruits emr deploy --help` says how to add it"
        )
