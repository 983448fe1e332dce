"""`fruits …`: arguments in, summaries out; the work is done by the steps."""

import argparse
import json
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import fruits
from fruits.cli_classify import CLASSIFY
from fruits.cli_command import Command, add_commands
from fruits.cli_databricks import DATABRICKS
from fruits.cli_emr import EMR
from fruits.cli_views import add_deck, add_report, write_deck, write_report
from fruits.errors import FruitsError, SettingError
from fruits.platform.parameters import Parser, parse
from fruits.platform.progress import in_words, report
from fruits.settings import Settings
from fruits.views.summaries import show_deck, show_forget, show_report, show_run, show_status

STEPS = ("bronze", "silver", "gold", "compare")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 failed, 2 wrong use."""
    parser = _make_parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        result = arguments.command.work(arguments)
        if result is not None:
            as_json = json.dumps(result, ensure_ascii=False, default=str) if arguments.json else None
            print(as_json or arguments.command.show(result), flush=True)
    except KeyboardInterrupt:
        return _fail("stopped; the same command again continues where this one was")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more at its end
        return 1
    except FruitsError as error:
        return _fail(str(error), 2 if isinstance(error, SettingError) else 1)
    except Exception as error:
        return _fail(_describe(error))
    return 1 if result and (result.get("not_found") or result.get("failed")) else 0


def _make_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="fruits",
        description="A growing folder of photos to PCA features: bronze, silver, gold and a comparison of k.",
        epilog=f"example: {COMMANDS['run'].example}\n`fruits COMMAND --help` says more. "
        "Exit status: 0 done, 1 failed, 2 wrong use.",
    )
    parser.add_argument("--version", action="version", version=f"fruits {fruits.__version__}")
    parser.set_defaults(command=None)
    add_commands(parser, COMMANDS)
    return parser


def _run(arguments: argparse.Namespace, steps: Sequence[str] = STEPS) -> dict[str, Any]:
    settings = parse(arguments)
    _check(settings, steps)
    spark = _open(settings)
    from fruits import bronze, compare, gold, silver

    verbs = {
        "bronze": bronze.ingest_photos,
        "silver": silver.featurise_photos,
        "gold": gold.reduce_features,
        "compare": compare.compare_components,
    }
    summary = {}
    for step in steps:
        start = time.monotonic()
        summary[step] = verbs[step](spark, settings)
        summary[step]["seconds"] = round(time.monotonic() - start, 1)
        report(f"{step}: done in {in_words(summary[step]['seconds'])}")
    return {"lake": settings.lake, **summary}


def _check(settings: Settings, steps: Sequence[str]) -> None:
    """Check what the steps start from, as far as it is on this machine: a wrong setting costs no start of Spark."""
    from fruits.bronze import locate_photos
    from fruits.platform.tables import URI

    if "bronze" in steps:
        locate_photos(settings.images)
    if "silver" in steps and settings.weights != "imagenet" and not URI.match(settings.weights):
        from fruits.vision.backbone import identify_backbone

        identify_backbone(settings)


def _open(settings: Settings) -> Any:
    """Check the lake's place, then start Spark, which takes seconds."""
    from fruits.platform.session import open_session
    from fruits.platform.tables import locate

    locate(settings.lake)
    spark = open_session(settings)
    # Spark's own answer to Ctrl-C calls the JVM, perhaps in the middle of a call to it: a page of traces. The JVM ends
    # with this process anyway. And what py4j then logs, by either of its loggers, is no news.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for logger in (None, "py4j.clientserver"):
        logging.getLogger(logger).addFilter(_is_news)
    return spark


def _open_to_look(settings: Settings) -> Any:
    """Start Spark and, beside it, what will ask MLflow."""
    from fruits.platform.tracking import import_early

    import_early(settings)
    return _open(settings)


def _is_news(record: logging.LogRecord) -> bool:
    said = record.getMessage()
    return "while sending command" not in said and "while shutting down connection" not in said


def _status(arguments: argparse.Namespace) -> dict[str, Any]:
    settings = parse(arguments)
    from fruits.status import check_lake, describe_lake

    check_lake(settings.lake)
    return describe_lake(_open_to_look(settings), settings)


def _forget(arguments: argparse.Namespace) -> dict[str, Any]:
    settings = parse(arguments)
    spark = _open(settings)
    from fruits.forget import forget_photos

    return forget_photos(spark, settings, arguments.photos)


def _samples(arguments: argparse.Namespace) -> dict[str, Any]:
    from fruits.samples import draw_samples

    return draw_samples(arguments.folder, arguments.photos)


def _network(arguments: argparse.Namespace) -> dict[str, Any]:
    settings, file = parse(arguments), Path(arguments.file)
    if file.suffix != ".tflite" or file.is_dir():
        raise SettingError(f"{arguments.file!r} is not a file name that ends in .tflite; try network.tflite")
    if not os.access(file.parent, os.W_OK):
        raise SettingError(f"{str(file.parent)!r} is not a folder to write to; make it first")
    from fruits.vision.backbone import write_network

    return write_network(settings, arguments.file)


def _ui(arguments: argparse.Namespace) -> None:
    from fruits.platform.ui import serve_runs

    serve_runs(parse(arguments), arguments.port)


def _describe(error: Exception) -> str:
    """Say in one line what nobody foresaw, and how to see more."""
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in ("pyspark", "grpc"):
        return "Spark is not installed here; pip install 'fruits[local]'"
    if os.environ.get("FRUITS_DEBUG"):
        traceback.print_exc()
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # What Java threw is in the second line.
    text = " ".join(lines[:2])[:300]
    return f"{type(error).__name__}: {text}; set FRUITS_DEBUG=1 and run it again to see where"


def _fail(line: str, status: int = 1) -> int:
    report(f"fruits: {line}")
    return status


COMMANDS = {
    "run": Command(
        "all four steps, in order",
        "run it again after adding photos: only what changed is worked on",
        "fruits run --images ./fruits-360 --lake ./lake --k 0.95",
        _run,
        show_run,
    ),
    "bronze": Command(
        "photos -> bronze_images",
        "a row per file, its label from its folder, its bytes unaltered",
        "fruits bronze --images ./fruits-360 --lake ./lake --sync mirror",
        partial(_run, steps=("bronze",)),
        show_run,
    ),
    "silver": Command(
        "bronze_images -> silver_features",
        "1280 numbers per photo, or an error in words",
        "fruits silver --lake ./lake --weights mobilenet_v2.h5",
        partial(_run, steps=("silver",)),
        show_run,
    ),
    "gold": Command(
        "silver_features -> gold_pca",
        "k scores per photo, the spectrum in gold_spectrum, and the models in MLflow",
        "fruits gold --lake ./lake --k 128",
        partial(_run, steps=("gold",)),
        show_run,
    ),
    "compare": Command(
        "compare values of k -> gold_comparison",
        "scores every k of --k-values on Test, recommends one, names a champion",
        "fruits compare --lake ./lake --k-values 8,32,128",
        partial(_run, steps=("compare",)),
        show_run,
    ),
    "status": Command(
        "what is in the lake",
        "photos per label and split, errors by reason, models, last runs",
        "fruits status --lake ./lake",
        _status,
        show_status,
        ("lake", "experiment", "tracking"),
    ),
    "report": Command(
        "a page to look at, about a lake",
        "photos, components, confusions and times in one HTML file that needs no network",
        "fruits report --lake ./lake --to report.html --language fr",
        lambda arguments: write_report(arguments, _open_to_look),
        show_report,
        ("lake", "experiment", "tracking"),
        add_report,
    ),
    "deck": Command(
        "slides about a lake, in French",
        "editable, with native charts and notes for the speaker; they quote files of the repository",
        "fruits deck --lake ./lake --to presentation.pptx --pdf",
        lambda arguments: write_deck(arguments, _open_to_look),
        show_deck,
        ("lake", "experiment", "tracking"),
        add_deck,
    ),
    "forget": Command(
        "erase photos from every table",
        "and from the files under the tables; exit status 1 if a photo was not found",
        "fruits forget --lake ./lake 'Training/Apple Red 1/7_100.jpg'",
        _forget,
        show_forget,
        ("lake",),
        lambda parser: parser.add_argument(
            "photos", nargs="+", metavar="PHOTO", help="path as in the tables, from the photo folder on"
        ),
    ),
    "samples": Command(
        "draw a synthetic photo set",
        "fruit on white, to try things out",
        "fruits samples ./photos --photos 500",
        _samples,
        settings=None,
        extra=lambda parser: (
            parser.add_argument("folder", metavar="DIR", help="made where it is missing"),
            parser.add_argument("--photos", type=int, default=500, metavar="N", help="how many (default: 500)"),
        ),
    ),
    "network": Command(
        "make a network once, where TensorFlow is",
        "to give as --weights where it is not",
        "fruits network mobilenet.tflite --weights imagenet",
        _network,
        settings=("images", "weights", "input_size", "precision"),
        extra=lambda parser: parser.add_argument("file", metavar="OUT.tflite", help="file to write"),
    ),
    "ui": Command(
        "open MLflow on this lake",
        "runs, curves and models, to compare values of k",
        "fruits ui --lake ./lake --port 5000",
        _ui,
        settings=("lake", "experiment", "tracking"),
        extra=lambda parser: parser.add_argument(
            "--port", type=int, default=5000, metavar="N", help="port on this machine (default: 5000)"
        ),
    ),
    "classify": CLASSIFY,
    "databricks": DATABRICKS,
    "emr": EMR,
}


if __name__ == "__main__":
    sys.exit(main())
