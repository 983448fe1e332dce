"""`fruits emr deploy` and `destroy`: what a run needs in an AWS account, made and removed."""

import argparse
import re
import sys
from typing import Any

from fruits.cli_command import Command
from fruits.cli_emr_login import add_login, log_in
from fruits.errors import FruitsError, SettingError
from fruits.platform.emr_requests import RELEASE_LABELS
from fruits.platform.progress import report
from fruits.views import emr_stack as views

ARCHITECTURES = ("arm64", "x86_64")
WORKERS = ("3", "9", "17", "33", "65")


def _deploy(arguments: argparse.Namespace) -> dict[str, Any]:
    from fruits.platform.emr_notebooks import ask_cluster, keep_cluster
    from fruits.platform.emr_stack import TEMPLATE, deploy_stack, plan_stack

    _check(arguments)
    with log_in(arguments) as aws:
        wanted = _read_wanted(arguments)
        cluster = ask_cluster if arguments.cluster else keep_cluster
        wanted |= cluster(aws, arguments.stack, arguments.architecture)
        plan = plan_stack(aws, arguments.stack, wanted)
        if arguments.dry_run:
            return {"operation": "CreateChangeSet", "template": TEMPLATE, "request": plan.request}
        report(f"deploy: stack {arguments.stack!r} in {aws.region}, bucket {plan.bucket}")
        return deploy_stack(aws, plan)


def _check(arguments: argparse.Namespace) -> None:
    """Check what can be checked without an account."""
    if not re.fullmatch("[A-Za-z][A-Za-z0-9-]{0,127}", arguments.stack):
        raise SettingError(f"stack={arguments.stack!r} is not a letter, then letters, digits and hyphens; try fruits")
    if arguments.bucket and not re.fullmatch("[a-z0-9][a-z0-9-]{1,53}[a-z0-9]", arguments.bucket):
        raise SettingError(
            f"bucket={arguments.bucket!r} is not 3 to 55 small letters, digits and hyphens; try --bucket my-fruits"
        )
    if bool(arguments.vpc) != bool(arguments.subnet):
        raise SettingError("--vpc and --subnet belong together; give both, or neither for --network")
    if arguments.network and arguments.subnet:
        raise SettingError("--network makes a subnet, --subnet takes yours; give one of them")


def _read_wanted(arguments: argparse.Namespace) -> dict[str, str]:
    """Give the parameters of the template that were asked for; what was not stays as it is."""
    given = {
        "BucketName": arguments.bucket,
        "Architecture": arguments.architecture,
        "ReleaseLabel": arguments.release_label,
        "MaximumWorkers": arguments.workers,
        "VpcId": arguments.vpc,
        "SubnetId": arguments.subnet,
        "OutsideEu": arguments.outside_eu,
        "CreateStudio": "true" if arguments.studio else None,
        "CreateNetwork": "true" if arguments.network else "false" if arguments.subnet else None,
    }
    return {key: value for key, value in given.items() if value}


def _destroy(arguments: argparse.Namespace) -> dict[str, Any]:
    from fruits.platform.emr_destroy import destroy_stack, plan_destruction

    if not arguments.yes and not sys.stdin.isatty():
        raise SettingError("destroy asks first, and there is no terminal to ask at; add --yes")
    with log_in(arguments) as aws:
        plan = plan_destruction(aws, arguments.stack, arguments.bucket)
        report(f"destroy: stack {arguments.stack!r} in {aws.region}" + ("" if plan["found"] else " is gone already"))
        for bucket in plan["buckets"]:
            what = "is emptied and deleted: photos, tables, releases, for ever" if arguments.with_data else "stays"
            report(f"destroy: bucket {bucket} {what}")
        if not arguments.yes and not _is_sure():
            raise FruitsError("nothing was destroyed")
        return destroy_stack(aws, plan, arguments.with_data)


def _is_sure() -> bool:
    print("Destroy it? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _deploy_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--bucket", metavar="NAME", help="bucket to make (default: fruits-ACCOUNT-REGION)")
    add("--architecture", choices=ARCHITECTURES, help="of EMR Serverless and of clusters (default: arm64)")
    add("--release-label", choices=RELEASE_LABELS, help="of EMR (default: emr-spark-8.1.0; JupyterHub has the other)")
    add("--workers", choices=WORKERS, help="at once on EMR Serverless, with the driver, of 4 vCPU each (default: 9)")
    add("--network", action="store_true", help="make a small network, for clusters and the Studio")
    add("--vpc", metavar="ID", help="take an own network instead: its VPC")
    add("--subnet", metavar="ID", help="and a subnet of it, which has a route to S3")
    add("--studio", action="store_true", help="make an EMR Studio, for notebooks in a browser; needs a network")
    add(
        "--cluster",
        action="store_true",
        help="make the notebooks' cluster, or another if it has ended; needs network and release",
    )
    add("--dry-run", action="store_true", help="show what would be sent, and send nothing")
    add_login(parser)


def _destroy_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--with-data", action="store_true", help="empty and delete the bucket too: photos and tables")
    parser.add_argument("--bucket", metavar="NAME", help="bucket of a stack that is gone already")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_login(parser)


STACK_COMMANDS = {
    "deploy": Command(
        "make what runs need: bucket, roles, EMR Serverless",
        "or change it; what is not given stays as it is, and what costs nothing while nothing runs is the default",
        "fruits emr deploy",
        _deploy,
        views.show_deploy,
        settings=None,
        extra=_deploy_arguments,
    ),
    "destroy": Command(
        "remove what deploy made",
        "asks first, refuses while runs are active, and keeps the bucket unless --with-data is given",
        "fruits emr destroy",
        _destroy,
        views.show_destroy,
        settings=None,
        extra=_destroy_arguments,
    ),
}
SETUP = {**STACK_COMMANDS}
