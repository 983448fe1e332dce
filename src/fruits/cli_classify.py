"""`fruits classify`: what fruit is on a photo, without Spark."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fruits.cli_command import Command
from fruits.errors import FruitsError
from fruits.information import LANGUAGES
from fruits.platform.files import walk_photos
from fruits.platform.parameters import parse
from fruits.platform.progress import Progress, report
from fruits.views.answers import show_answers

if TYPE_CHECKING:
    from fruits.classifier import Classifier
    from fruits.platform.tracking_classifier import Registered

BLOCK = 500  # photos answered together, and between two lines of progress; fewer have none
COLUMNS = ("label", "probability", "decision", "next")


def _classify(arguments: argparse.Namespace) -> dict[str, Any]:
    settings = parse(arguments)
    from fruits.platform.tracking_classifier import fetch_classifier

    found = fetch_classifier(settings)
    if not found.champion:
        report(f"classify: {found.name} has no champion; version {found.version}, the newest, answers")
    classifier = _load(found)
    if not classifier.calibration.photos:
        report("classify: no answer is called sure, for this fit had no labelled Test photos to learn that from")
    about = {"name": found.name, "version": found.version, "champion": found.champion, "model": found.model}
    answers = _classify_photos(classifier, arguments.photos, settings.max_bytes)
    return {"classifier": about, "language": arguments.language, **answers}


def _load(found: "Registered") -> "Classifier":
    from fruits.classifier import load_classifier
    from fruits.vision.backbone import Silence

    try:
        with Silence():  # LiteRT tells of itself
            return load_classifier(found.folder)
    except FruitsError as error:
        raise FruitsError(
            f"{found.name} version {found.version} gives no such answers, {error}; fit again with another k and "
            "promote=always: fruits run --k 0.94 --promote always"
        ) from None


def _classify_photos(classifier: "Classifier", places: Sequence[str], max_bytes: int) -> dict[str, Any]:
    """Classify photos; one is in memory at a time, and only the answers are kept.

    Returns:
        photos (photo, label, probability, decision, next), information (label to what is known of it) and failed
        (photo, error).
    """
    files, failed = _list_photos(places)
    photos: list[dict[str, Any]] = []
    information: dict[str, Any] = {}
    progress = Progress("classify", len(files))
    for start in range(0, len(files), BLOCK):
        block = files[start : start + BLOCK]
        errors: dict[str, str] = {}
        contents = (_read(file, max_bytes, errors) for file in block)
        for file, answer in zip(block, classifier.classify(contents), strict=True):
            if answer.error:
                failed.append({"photo": file, "error": errors.get(file, answer.error)})
                continue
            information[answer.label] = answer.information
            photos.append({"photo": file} | {name: getattr(answer, name) for name in COLUMNS})
        if len(files) > BLOCK:
            progress.add(len(block), len(failed) - progress.errors)
    return {"photos": photos, "information": information, "failed": failed}


def _list_photos(places: Sequence[str]) -> tuple[list[str], list[dict[str, str]]]:
    """Name the files to read, all photos of a folder in the order of their names, and the folders without any."""
    files: list[str] = []
    failed = []
    for place in places:
        if not Path(place).is_dir():
            files.append(place)
            continue
        inside = sorted(map(str, walk_photos(place)))
        files += inside
        if not inside:
            failed.append({"photo": place, "error": "no photo in this folder"})
    return files, failed


def _read(file: str, max_bytes: int, errors: dict[str, str]) -> bytes:
    """Read a file; where it cannot be had, no bytes, and the reason under its name in errors."""
    try:
        size = Path(file).stat().st_size
        if size <= max_bytes:
            return Path(file).read_bytes()
        errors[file] = f"too large: {size} bytes, the limit is {max_bytes}"
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        errors[file] = "no such file" if missing else f"unreadable file ({type(error).__name__})"
    return b""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="photo, or folder of photos")
    parser.add_argument("--language", choices=LANGUAGES, default="en", help="of names and facts (default: en)")


CLASSIFY = Command(
    "what fruit is on a photo",
    "label, probability, the next four and facts on the fruit, by the champion; exit status 1 if a photo was not read",
    "fruits classify --lake ./lake photo.jpg --language fr",
    _classify,
    show_answers,
    ("lake", "classifier_model", "tracking", "max_bytes"),
    _add_arguments,
)
