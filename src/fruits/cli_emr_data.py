"""`fruits emr upload` and `cost`: photos into the bucket, and what a run of them costs."""

import argparse
import os
from functools import partial
from typing import TYPE_CHECKING, Any

from fruits.cli_command import Command
from fruits.cli_emr_login import add_login, log_in
from fruits.errors import FruitsError, SettingError
from fruits.platform.parameters import parse
from fruits.settings import from_text
from fruits.views.costs import show_cost
from fruits.views.summaries import read_counts, show_upload

if TYPE_CHECKING:
    from fruits.platform.aws import Aws
    from fruits.platform.emr_serverless import Run

WORKERS = 7  # as of `run`
PRICED = ("weights", "input_size", "precision", "chunk")  # settings that change what a run costs


def _upload(arguments: argparse.Namespace) -> dict[str, Any]:
    from fruits.platform.aws import find_stack
    from fruits.platform.s3_upload import upload_photos

    with log_in(arguments) as aws:
        to = arguments.to
        if to is None:
            stack = find_stack(aws, arguments.stack)
            if not stack.bucket:
                raise FruitsError(
                    f"stack {stack.name!r} has no output Bucket; say where to with --to s3://BUCKET/photos/"
                )
            to = f"s3://{stack.bucket}/photos/"
        return upload_photos(aws, arguments.folder, to)


def _upload_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", help="photos, laid out [<split>/]<label>/<file>")
    parser.add_argument("--to", metavar="URI", help="folder in S3 (default: photos/ of the stack's bucket)")
    add_login(parser)


def _cost(arguments: argparse.Namespace) -> dict[str, Any]:
    from fruits.platform.emr_cost import estimate, read_prices

    if arguments.run is not None:
        return _compare_with_run(arguments)
    if arguments.photos is None:
        raise SettingError("photos is not given; say how many there are, --photos 90000, or name a run with --run ID")
    given = arguments.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    prices, there = read_prices(arguments.prices, given or "eu-west-3")
    workers = WORKERS if arguments.workers is None else arguments.workers
    counts = arguments.photos, arguments.new, workers, arguments.photo_bytes
    return estimate(*counts, parse(arguments), prices, there)


def _compare_with_run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Estimate a run that has ended, from what it was started with and said of its photos, beside what it used."""
    from fruits.platform.aws import find_stack
    from fruits.platform.emr_bill import read_bill
    from fruits.platform.emr_checks import value_of
    from fruits.platform.emr_cost import estimate, read_prices
    from fruits.platform.emr_follow import look_at

    with log_in(arguments) as aws:
        stack = find_stack(aws, arguments.stack)
        prices, there = read_prices(arguments.prices, aws.region)  # the run's own region
        actual = read_bill(aws, stack, arguments.run, prices, there)
        run = look_at(aws, stack, arguments.run)
        photos, new = _count_photos(aws, run) if arguments.photos is None else (arguments.photos, arguments.new)
    settings = from_text({name: vars(arguments)[name] or value_of(run.arguments, name) for name in PRICED})
    workers = (run.workers or WORKERS) if arguments.workers is None else arguments.workers
    result = estimate(photos, new, workers, arguments.photo_bytes, settings, prices, there)
    same = [way for way in result["ways"] if way["way"] == actual["way"]]
    return result | {"actual": actual | {"estimated": same[0] if same else None}}


def _count_photos(aws: "Aws", run: "Run") -> tuple[int, int | None]:
    """Read from a run's logs how many photos there were before it and how many came; None for its first."""
    from fruits.platform.emr_logs import read_logs

    logs = read_logs(aws, run)
    counts = read_counts(logs["stdout"].lines) if "stdout" in logs else None
    if counts is None:
        raise SettingError(f"the logs of run {run.id} do not say how many photos it had; give --photos N")
    photos, new = counts
    return (photos, None) if new >= photos else (photos - max(new, 1), max(new, 1))


def _cost_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--photos", type=int, metavar="N", help="photos there are (default: of --run)")
    parser.add_argument("--new", type=int, metavar="N", help="photos that came since, in a run after the first")
    parser.add_argument("--workers", type=int, metavar="N", help=f"of 4 vCPU (default: of --run, {WORKERS})")
    parser.add_argument("--photo-bytes", type=float, metavar="N", help="mean size of a photo (default: as measured)")
    parser.add_argument("--run", metavar="ID", help="a run that has ended: estimated beside actual")
    parser.add_argument("--prices", metavar="FILE", help="price file (default: that of the package)")
    add_login(parser)


DATA = {
    "cost": Command(
        "minutes and money of a run, before it is started",
        "on EMR Serverless and on clusters, from measured rates and a dated price file; only --run logs in",
        "fruits emr cost --photos 90000",
        _cost,
        show_cost,
        settings=PRICED,
        extra=_cost_arguments,
    ),
    "upload": Command(
        "photos -> the bucket that runs read",
        "only what is not there with the same content, many at once; a stopped upload is continued",
        "fruits emr upload ./fruits-360",
        _upload,
        partial(show_upload, place="bucket", next="fruits emr run"),
        settings=None,
        extra=_upload_arguments,
    ),
}
