"""Starting a run on AWS EMR: what is asked for is checked, and at most one run writes the tables of a lake."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fruits.errors import FruitsError
from fruits.platform import emr_clusters, emr_serverless
from fruits.platform.aws import Stack
from fruits.platform.emr_checks import check_photos, example_release, read_release, value_of, write_arguments
from fruits.platform.emr_follow import follow, list_active, look_at
from fruits.platform.emr_requests import MACHINES, RELEASE_LABELS, Order, Release, ask_cluster, ask_serverless
from fruits.platform.emr_serverless import Run
from fruits.platform.progress import report

if TYPE_CHECKING:
    from fruits.platform.aws import Aws

WORKERS_ON_SERVERLESS = 7  # with the driver, the 32 vCPU that the stack's application may have at most
WORKERS_OF_A_CLUSTER = 2


@dataclass(frozen=True)
class Wish:
    """What somebody asks for.

    Attributes:
        given: settings, as text.
        step: run for all four, or the name of one.
        version: of the release.
        on_cluster: on machines of its own.
        architecture, release_label: of such a cluster; None for the default.
        workers: at most; None for the default.
        minutes: after which the run is ended.
    """

    given: Mapping[str, str]
    step: str
    version: str
    on_cluster: bool
    architecture: str | None
    release_label: str | None
    workers: int | None
    minutes: int


def find_or_start(aws: "Aws", stack: Stack, wish: Wish) -> str:
    """Give the run that is under way on the same tables, or start one; returns its id.

    Raises:
        FruitsError: a run with other settings is at work on the tables, or this one cannot be started.
    """
    wanted = write_arguments(wish.step, wish.given, stack.bucket)
    lake = value_of(wanted, "lake")
    if active := _find_writer(aws, stack, lake):
        if list(active.arguments) != wanted and (wish.given or wish.step != "run"):
            raise FruitsError(
                f"run {active.id} is at work on {lake} with other settings; "
                f"follow it with `fruits emr run --follow {active.id}`, or stop it with `fruits emr stop {active.id}`"
            )
        report(f"run: {active.id} ({active.kind}) is under way already, none is started")
        return active.id
    if wish.step in ("run", "bronze"):
        check_photos(aws, value_of(wanted, "images"))
    architecture = _architecture(stack, wish)
    release = read_release(aws, stack.bucket, wish.version, architecture, wish.on_cluster)
    order = _make_order(stack, wish, wanted, time.strftime("%Y%m%d-%H%M%S", time.gmtime()), uuid.uuid4().hex)
    _, _, request = _write(stack, release, wish, order, aws.region)
    try:
        run_id = (
            emr_clusters.make_cluster(aws, request) if wish.on_cluster else emr_serverless.start_job_run(aws, request)
        )
    except KeyboardInterrupt:
        raise FruitsError(
            f"stopped while {order.name} was asked for; `fruits emr status` says whether it is there"
        ) from None
    report(f"run: {run_id} ({order.name}) is started")
    return run_id


def _find_writer(aws: "Aws", stack: Stack, lake: str) -> Run | None:
    """Give the run that writes the tables of a lake: Delta on S3 is safe with one driver at a time."""
    while found := _list_writers(aws, stack, lake):
        if not found[0].is_ending:
            return found[0]
        report(f"run: {found[0].id} on the same tables is about to end, waiting for that")
        follow(aws, stack, found[0].id)
    return None


def _list_writers(aws: "Aws", stack: Stack, lake: str) -> list[Run]:
    looks = (look_at(aws, stack, run.id) for run in list_active(aws, stack) if run.id != stack.cluster_id)
    # One may have ended since it was listed.
    return [run for run in looks if not run.is_over and value_of(run.arguments, "lake") == lake]


def plan(aws: "Aws", stack: Stack, wish: Wish) -> list[dict[str, Any]]:
    """Give the request that find_or_start would send were nothing under way: service, operation, parameters."""
    wanted = write_arguments(wish.step, wish.given, stack.bucket)
    release = read_release(aws, stack.bucket, wish.version, _architecture(stack, wish), wish.on_cluster)
    return _show(stack, release, wish, wanted, aws.region)


def plan_example(name: str, region: str, wish: Wish) -> list[dict[str, Any]]:
    """Give such a request without an account: its names, ids and checksums are made up."""
    stack = example_stack(name)
    wanted = write_arguments(wish.step, wish.given, stack.bucket)
    release = example_release(wish.version, _architecture(stack, wish), wish.on_cluster)
    return _show(stack, release, wish, wanted, region)


def example_stack(name: str) -> Stack:
    """Give a stack that is nowhere, with all that a request names."""
    return Stack(
        name=name,
        bucket="example-bucket",
        application_id="00example",
        job_role_arn="arn:aws:iam::123456789012:role/example-job",
        service_role="arn:aws:iam::123456789012:role/example-service",
        instance_profile="example-node",
        security_configuration="example-security",
        subnet_id="subnet-00000000000000000",
    )


def _show(stack: Stack, release: Release, wish: Wish, wanted: list[str], region: str) -> list[dict[str, Any]]:
    order = _make_order(stack, wish, wanted, "00000000-000000", "0" * 32)
    service, operation, parameters = _write(stack, release, wish, order, region)
    return [{"service": service, "operation": operation, "parameters": parameters}]


def _write(stack: Stack, release: Release, wish: Wish, order: Order, region: str) -> tuple[str, str, dict[str, Any]]:
    if wish.on_cluster:
        return "emr", "RunJobFlow", ask_cluster(stack, release, order, region)
    return "emr-serverless", "StartJobRun", ask_serverless(stack, release, order)


def _make_order(stack: Stack, wish: Wish, wanted: list[str], stamp: str, token: str) -> Order:
    return Order(
        name=f"{stack.name}-run-{stamp}-{token[:6]}",
        token=token,
        arguments=wanted,
        workers=wish.workers or (WORKERS_OF_A_CLUSTER if wish.on_cluster else WORKERS_ON_SERVERLESS),
        minutes=wish.minutes,
        architecture=_architecture(stack, wish),
        release_label=wish.release_label or RELEASE_LABELS[0],
    )


def _architecture(stack: Stack, wish: Wish) -> str:
    return wish.architecture or stack.architecture.lower() or next(iter(MACHINES))
