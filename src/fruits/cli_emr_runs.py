"""`fruits emr run`, `status`, `logs` and `stop`: the chain on EMR Serverless, or on a cluster that ends itself."""

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import fruits
from fruits.cli_command import Command, argument, join
from fruits.cli_emr_login import add_login, log_in
from fruits.errors import FruitsError, SettingError
from fruits.platform.emr_requests import MACHINES, RELEASE_LABELS
from fruits.platform.parameters import add_arguments
from fruits.platform.progress import report
from fruits.settings import names
from fruits.views import emr_runs as views

if TYPE_CHECKING:
    from fruits.platform.aws import Aws, Stack
    from fruits.platform.emr_start import Wish

STEPS = ("bronze", "silver", "gold", "compare")


def _run(arguments: argparse.Namespace) -> dict[str, Any]:
    from fruits.platform.aws import find_stack
    from fruits.platform.emr_start import find_or_start

    wish = _read_wish(arguments)
    if arguments.dry_run:
        return {"requests": _plan(arguments, wish)}
    with log_in(arguments) as aws:
        stack = find_stack(aws, arguments.stack)
        run_id = arguments.follow or find_or_start(aws, stack, wish)
        return _follow(aws, stack, run_id, arguments.stop_on_interrupt)


def _read_wish(arguments: argparse.Namespace) -> "Wish":
    from fruits.platform.emr_start import Wish

    given = {name: vars(arguments)[name] for name in names() if vars(arguments)[name]}
    if arguments.follow and (given or arguments.cluster or arguments.dry_run):
        raise SettingError("--follow looks at a run that was started already; it takes no settings")
    if not arguments.cluster and (arguments.architecture or arguments.release_label):
        raise SettingError(
            "architecture and release label of EMR Serverless are the stack's (`fruits emr deploy`); "
            "choose them for a cluster of its own, with --cluster"
        )
    if arguments.workers is not None:
        _check_count("workers", arguments.workers, 1000)
    _check_count("time_limit", arguments.time_limit, 100_000)
    return Wish(
        given=given,
        step=arguments.step,
        version=arguments.release,
        on_cluster=arguments.cluster,
        architecture=arguments.architecture,
        release_label=arguments.release_label,
        workers=arguments.workers,
        minutes=arguments.time_limit,
    )


def _plan(arguments: argparse.Namespace, wish: "Wish") -> list[dict[str, Any]]:
    """Give the request a run would send; with made-up names where the account cannot be asked."""
    from fruits.platform.aws import EU_REGIONS, check_region, find_stack
    from fruits.platform.emr_start import plan, plan_example

    if arguments.region:
        check_region(arguments.region, arguments.outside_eu)
    try:
        with log_in(arguments) as aws:
            return plan(aws, find_stack(aws, arguments.stack), wish)
    except FruitsError as error:
        shown = plan_example(arguments.stack, arguments.region or EU_REGIONS[0], wish)
        report(f"dry run: names and checksums of the account are made up ({error})")
        return shown


def _follow(aws: "Aws", stack: "Stack", run_id: str, stop_on_interrupt: bool) -> dict[str, Any]:
    from fruits.platform.emr_follow import describe_end, follow

    try:
        run = follow(aws, stack, run_id)
    except KeyboardInterrupt:
        if not stop_on_interrupt and not _is_to_stop(run_id):
            raise FruitsError(
                f"no longer following; run {run_id} goes on and costs money, "
                f"follow it with `fruits emr run --follow {run_id}`, stop it with `fruits emr stop {run_id}`"
            ) from None
        _stop_all(aws, stack, [run_id])
        raise FruitsError(f"run {run_id} was stopped; `fruits emr run` again continues where it was") from None
    return describe_end(aws, run)


def _is_to_stop(run_id: str) -> bool:
    if not sys.stdin.isatty():
        return False
    print(f"\nStop run {run_id}? [y/N] ", end="", file=sys.stderr, flush=True)
    try:
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    except KeyboardInterrupt:
        return False


def _status(arguments: argparse.Namespace) -> dict[str, Any]:
    from fruits.platform.aws import find_stack
    from fruits.platform.emr_follow import list_runs, seconds_of

    _check_count("last", arguments.last)
    with log_in(arguments) as aws:
        stack = find_stack(aws, arguments.stack)
        runs = [
            {
                "run_id": run.id,
                "kind": "notebooks" if run.id == stack.cluster_id else run.kind,
                "state": run.state,
                "is_active": not run.is_over,
                "started": run.created,
                "seconds": seconds_of(run),
                "name": run.name,
            }
            for run in list_runs(aws, stack, arguments.last)
        ]
        return {"stack": stack.name, "region": aws.region, "bucket": stack.bucket, "runs": runs}


def _logs(arguments: argparse.Namespace) -> dict[str, Any]:
    from fruits.platform.aws import find_stack
    from fruits.platform.emr_follow import list_runs, look_at
    from fruits.platform.emr_logs import read_logs

    _check_count("lines", arguments.lines)
    with log_in(arguments) as aws:
        stack = find_stack(aws, arguments.stack)
        newest = [] if arguments.run_id else list_runs(aws, stack, 1)
        if not arguments.run_id and not newest:
            raise FruitsError(f"stack {stack.name!r} has no run yet; `fruits emr run` starts one")
        run = look_at(aws, stack, arguments.run_id or newest[0].id)
        logs = read_logs(aws, run)
        if not logs:
            raise FruitsError(
                f"no logs of run {run.id} ({run.state}) in {run.logs}; they come a minute after a run has begun on "
                "Serverless, five minutes on a cluster, and leave after 30 days"
            )
        told = {name: {"uri": log.uri, "lines": log.lines[-arguments.lines :]} for name, log in logs.items()}
        return {"run_id": run.id, "state": run.state, "logs": told}


def _stop(arguments: argparse.Namespace) -> dict[str, Any]:
    from fruits.platform.aws import find_stack
    from fruits.platform.emr_follow import list_active

    if arguments.all and arguments.run_id:
        raise SettingError("give the id of one run, or --all")
    with log_in(arguments) as aws:
        stack = find_stack(aws, arguments.stack)
        ids = (
            [arguments.run_id]
            if arguments.run_id
            else [run.id for run in list_active(aws, stack) if run.id != stack.cluster_id]
        )
        if len(ids) > 1 and not arguments.all:
            raise SettingError(f"{len(ids)} runs are under way: {', '.join(ids)}; name one, or stop them with --all")
        return {"stack": stack.name, "stopped": _stop_all(aws, stack, ids)}


def _stop_all(aws: "Aws", stack: "Stack", ids: list[str]) -> list[dict[str, Any]]:
    from fruits.platform.emr_follow import stop

    try:
        stopped = [stop(aws, stack, run_id) for run_id in ids]
    except KeyboardInterrupt:
        raise FruitsError("no longer waiting for the end; `fruits emr status` says what is still there") from None
    return [{"run_id": run.id, "state": run.state, "used": run.used} for run in stopped]


def _check_count(name: str, value: int, most: int = 1_000_000) -> None:
    if value not in range(1, most + 1):
        raise SettingError(f"{name}={value} is outside 1 to {most}; leave it out for the default")


def _extra(*more: Callable[[argparse.ArgumentParser], Any]) -> Callable[[argparse.ArgumentParser], None]:
    """Give what adds the arguments of one command, then those that all of them take."""
    return join(*more, add_login)


RUNS = {
    "run": Command(
        "start a run on EMR Serverless, or on a cluster, and follow it to its end",
        "started again, it follows the run that is under way; exit status 1 for a run that did not succeed",
        "fruits emr run --k 0.95",
        _run,
        views.show_end,
        settings=None,
        extra=_extra(
            lambda parser: add_arguments(parser, defaults=False),
            argument(
                "--step", default="run", choices=STEPS, metavar="|".join(STEPS), help="one step, instead of all four"
            ),
            argument("--cluster", action="store_true", help="on machines of EC2 of its own, gone with the run"),
            argument("--release-label", choices=RELEASE_LABELS, help="of EMR, for --cluster (default: the first)"),
            argument("--architecture", choices=list(MACHINES), help="of a cluster's machines (default: the stack's)"),
            argument(
                "--release", default=fruits.__version__, metavar="VERSION", help="of this package (default: its own)"
            ),
            argument(
                "--workers",
                type=int,
                metavar="N",
                help="of 4 vCPU at most (default: 7 on Serverless, 2 beside the cluster's own)",
            ),
            argument("--time-limit", type=int, default=240, metavar="MINUTES", help="then it is ended (default: 240)"),
            argument("--follow", metavar="ID", help="follow a run that is under way, start none"),
            argument("--stop-on-interrupt", action="store_true", help="Ctrl-C stops the run, without asking"),
            argument("--dry-run", action="store_true", help="show the request, and send nothing"),
        ),
    ),
    "status": Command(
        "what is running, and the last runs",
        "of this stack, on Serverless and on clusters, with the cluster of the notebooks",
        "fruits emr status",
        _status,
        views.show_status,
        settings=None,
        extra=_extra(argument("--last", type=int, default=10, metavar="N", help="how many (default: 10)")),
    ),
    "logs": Command(
        "what a run's driver wrote",
        "the end of its standard output and error, from S3",
        "fruits emr logs",
        _logs,
        views.show_logs,
        settings=None,
        extra=_extra(
            argument("run_id", nargs="?", metavar="ID", help="of a run (default: the newest)"),
            argument("--lines", type=int, default=50, metavar="N", help="from the end (default: 50)"),
        ),
    ),
    "stop": Command(
        "stop a run, and wait until nothing of it is left",
        "tables stay as they are: the next run continues",
        "fruits emr stop",
        _stop,
        views.show_stopped,
        settings=None,
        extra=_extra(
            argument("run_id", nargs="?", metavar="ID", help="of a run (default: the only one)"),
            argument("--all", action="store_true", help="every run of the stack that is under way"),
        ),
    ),
}
