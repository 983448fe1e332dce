"""`fruits report`: what people look at, written to a file."""

import argparse
import os
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fruits.errors import FruitsError, SettingError
from fruits.platform.parameters import parse
from fruits.platform.progress import report
from fruits.settings import Settings
from fruits.views.words import LANGUAGES


def write_report(arguments: argparse.Namespace, open_spark: Callable[[Settings], Any]) -> dict[str, Any]:
    """Gather, draw and write the page of a lake; whatever can be checked without Spark is checked before."""
    settings, file = parse(arguments), Path(arguments.to).expanduser()
    if file.is_dir() or file.suffix not in (".html", ".htm"):
        raise SettingError(f"--to {arguments.to!r} is not a file name that ends in .html; try report.html")
    if not os.access(file.parent, os.W_OK):
        raise SettingError(f"{str(file.parent)!r} is not a folder to write to; make it first")
    if find_spec("bokeh") is None:
        raise FruitsError("the page is drawn with Bokeh, which is not installed here; pip install 'fruits[local]'")
    from fruits.status import check_lake

    check_lake(settings.lake)
    start = time.monotonic()
    spark = open_spark(settings)
    from fruits.report import gather_report
    from fruits.views.report import draw_report

    data = gather_report(spark, settings)
    report("report: drawing the page")
    page = draw_report(data, arguments.language, photos=not arguments.no_photos)
    file.write_text(page, "utf-8")
    return {
        "file": str(file.absolute()),
        "bytes": file.stat().st_size,
        "photos": data.total,
        "shown": len(data.scores),
        "model": data.model,
        "seconds": round(time.monotonic() - start, 1),
    }


def add_report(parser: argparse.ArgumentParser) -> None:
    """Add the options that are no settings."""
    parser.add_argument("--to", default="report.html", metavar="FILE", help="file to write (default: report.html)")
    parser.add_argument("--language", choices=LANGUAGES, default="en", help="of the page (default: en)")
    parser.add_argument(
        "--no-photos", action="store_true", help="leave the photos out, to show the page where they may not be shown"
    )
