"""`fruits report` and `fruits deck`: what people look at, written to a file."""

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
    settings, file = parse(arguments), _check_target(arguments.to, "report.html", ".htm")
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


def write_deck(arguments: argparse.Namespace, open_spark: Callable[[Settings], Any]) -> dict[str, Any]:
    """Gather the figures of a lake and write the slides, and a PDF of them where it is asked for."""
    settings, file = parse(arguments), _check_target(arguments.to, "presentation.pptx")
    if find_spec("pptx") is None:
        raise FruitsError(
            "slides are written with python-pptx, which is not installed here; pip install 'fruits[deck]'"
        )
    from fruits.status import check_lake
    from fruits.views.deck import build_deck
    from fruits.views.deck_facts import find_repository

    root = find_repository()
    check_lake(settings.lake)
    start = time.monotonic()
    spark = open_spark(settings)
    from fruits.report import gather_figures

    figures = gather_figures(spark, settings)
    report("deck: writing the slides")
    deck = build_deck(figures, root)
    deck.save(str(file))
    return {
        "file": str(file.absolute()),
        "bytes": file.stat().st_size,
        "slides": len(deck.slides),
        "pdf": str(_export(file).absolute()) if arguments.pdf else None,
        "model": figures.model,
        "seconds": round(time.monotonic() - start, 1),
    }


def _export(slides: Path) -> Path:
    """Make a PDF of slides; fonts that are not there make it look otherwise, which is said."""
    from fruits.platform.office import export_pdf, missing_fonts
    from fruits.views.deck_look import FONTS

    report("deck: making a PDF of them")
    pdf = export_pdf(slides)
    if missing := missing_fonts(FONTS):
        report(
            f"deck: this machine has neither {' nor '.join(missing)} nor fonts as wide, so lines of the PDF may be too "
            "long (Debian: apt install fonts-crosextra-carlito fonts-liberation)"
        )
    return pdf


def _check_target(to: str, example: str, *others: str) -> Path:
    """Check the name of the file to write before any work; its end is that of the example, or another."""
    file, suffix = Path(to).expanduser(), Path(example).suffix
    if file.is_dir() or file.suffix not in (suffix, *others):
        raise SettingError(f"--to {to!r} is not a file name that ends in {suffix}; try {example}")
    if not os.access(file.parent, os.W_OK):
        raise SettingError(f"{str(file.parent)!r} is not a folder to write to; make it first")
    return file


def add_report(parser: argparse.ArgumentParser) -> None:
    """Add the options that are no settings."""
    parser.add_argument("--to", default="report.html", metavar="FILE", help="file to write (default: report.html)")
    parser.add_argument("--language", choices=LANGUAGES, default="en", help="of the page (default: en)")
    parser.add_argument(
        "--no-photos", action="store_true", help="leave the photos out, to show the page where they may not be shown"
    )


def add_deck(parser: argparse.ArgumentParser) -> None:
    """Add the options that are no settings."""
    parser.add_argument(
        "--to", default="presentation.pptx", metavar="FILE", help="file to write (default: presentation.pptx)"
    )
    parser.add_argument("--pdf", action="store_true", help="make a PDF beside it too, with LibreOffice")
