"""`fruits emr upload` and `cost`: photos into the bucket, and what a run of them costs."""

import argparse
import os
from functools import partial
from typing import Any

from fruits.cli_command import Command
from fruits.cli_emr_login import add_login, log_in
from fruits.errors import FruitsError
from fruits.platform.parameters import parse
from fruits.views.costs import show_cost
from fruits.views.summaries import show_upload


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

    given = arguments.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    prices, there = read_prices(arguments.prices, given or "eu-west-3")
    numbers = arguments.photos, arguments.new, arguments.workers, arguments.photo_bytes
    result = estimate(*numbers, parse(arguments), prices, there)
    if arguments.run is None:
        return result
    from fruits.platform.aws import find_stack
    from fruits.platform.emr_bill import read_bill

    with log_in(arguments) as aws:
        stack = find_stack(aws, arguments.stack)
        prices, there = read_prices(arguments.prices, aws.region)  # the run's own region
        result = estimate(*numbers, parse(arguments), prices, there)
        actual = read_bill(aws, stack, arguments.run, prices, there)
    same = [way for way in result["ways"] if way["way"] == actual["way"]]
    return result | {"actual": actual | {"estimated": same[0] if same else None}}


def _cost_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--photos", type=int, required=True, metavar="N", help="photos there are")
    parser.add_argument("--new", type=int, metavar="N", help="photos that came since, in a run after the first")
    parser.add_argument("--workers", type=int, default=7, metavar="N", help="of 4 vCPU, as of `run` (default: 7)")
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
        settings=("weights", "input_size", "precision", "chunk"),
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
