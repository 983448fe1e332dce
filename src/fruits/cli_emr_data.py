"""`fruits emr upload` and `cost`: photos into the bucket, and what a run of them costs."""

import argparse
from functools import partial
from typing import Any

from fruits.cli_command import Command
from fruits.cli_emr_login import add_login, log_in
from fruits.errors import FruitsError
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


DATA = {
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
