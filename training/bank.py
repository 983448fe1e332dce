"""The bank of views: made once, by all cores, kept on disk round by round, so that a killed run goes on."""

import hashlib
import json
import multiprocessing
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from options import TrainingOptions, choosing, held_out
from teacher import Teacher
from views import make_view

from fruits.errors import SettingError
from fruits.platform.progress import Progress
from fruits.vision.decode import decode_photo

CHUNK = 64  # views a process makes at a time
PARTS = ("pixels", "features", "labelled")


@dataclass(frozen=True)
class Photos:
    """The Training photos that may be learnt from, and those to choose by.

    Attributes:
        pixels: (n, size, size, 3) uint8.
        labels: (n,) int, place in `names`.
        names: labels learnt from.
        choosing: (m, size, size, 3) uint8, photos of the labels the best epoch is chosen by.
    """

    pixels: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    choosing: np.ndarray


def read_photos(images: Path, options: TrainingOptions) -> Photos:
    """Read `<images>/Training/<label>/<file>`; nothing of a held-out label is opened, and nothing of Test.

    Raises:
        SettingError: there is no such folder, or too few labels in it.
    """
    folder = images / "Training"
    if not folder.is_dir():
        raise SettingError(f"images={str(images)!r} has no folder Training; photos are Training/<label>/<file>")
    labels = sorted(each.name for each in folder.iterdir() if each.is_dir())
    apart = choosing(labels)
    names = [label for label in labels if label not in {*held_out(labels), *apart}]
    if len(names) < 2 or not apart:
        raise SettingError(f"{str(folder)!r} has {len(labels)} labels; training needs at least 4")
    groups = [_decode_label(folder / label, options.size) for label in names]
    places = np.repeat(np.arange(len(names)), [len(group) for group in groups])
    others = np.concatenate([_decode_label(folder / label, options.size) for label in apart])
    return Photos(np.concatenate(groups), places, tuple(names), others)


def _decode_label(folder: Path, size: int) -> np.ndarray:
    decoded = [decode_photo(file.read_bytes(), size)[0] for file in sorted(folder.iterdir()) if file.is_file()]
    readable = [pixels for pixels in decoded if pixels is not None]
    return np.stack(readable) if readable else np.zeros((0, size, size, 3), np.uint8)


@dataclass(frozen=True)
class Bank:
    """Views of n photos in rounds; the first round is the photos as they are.

    Attributes:
        pixels: per round (n, size, size, 3) uint8, on disk.
        features: per round (n, 1280) float16, the teacher's.
        labelled: per round (n,) bool, whether the photo's label holds for the view.
    """

    pixels: list[np.ndarray]
    features: list[np.ndarray]
    labelled: list[np.ndarray]


def open_bank(folder: Path, photos: np.ndarray, teacher: Teacher, options: TrainingOptions) -> Bank:
    """Give the bank of these photos and options, making the rounds that are not there yet.

    Args:
        folder: where banks are kept; one per photos, teacher and choices that change a view.
        photos: (n, size, size, 3) uint8.
        teacher: whose features are wanted.
        options: rounds, shares of the kinds of views, and the seed.
    """
    choices = [options.recoloured, options.mixed, options.seed]
    named = json.dumps([choices, hashlib.sha256(photos).hexdigest(), hashlib.sha256(teacher.network).hexdigest()])
    place = folder / f"bank-{hashlib.sha256(named.encode()).hexdigest()[:12]}"
    place.mkdir(parents=True, exist_ok=True)
    missing = [round_ for round_ in range(options.rounds) if not (place / f"{round_}-{PARTS[-1]}.npy").is_file()]
    if missing:
        progress = Progress("views", len(missing) * len(photos), "views")
        with _workers(photos, teacher, options) as pool:
            for round_ in missing:
                _write_round(place, round_, pool.map(_make_chunk, _chunks(round_, len(photos)), chunksize=1))
                progress.add(len(photos))
    return Bank(*([np.load(place / f"{r}-{part}.npy", mmap_mode="r") for r in range(options.rounds)] for part in PARTS))


def _write_round(place: Path, round_: int, chunks: list[tuple[np.ndarray, ...]]) -> None:
    """Write the parts of a round; the last one is there only when all are."""
    for part, arrays in zip(PARTS, zip(*chunks, strict=True), strict=True):
        file = place / f"{round_}-{part}.npy"
        np.save(file.with_suffix(".part.npy"), np.concatenate(arrays))
        file.with_suffix(".part.npy").replace(file)


def _chunks(round_: int, photos: int) -> list[tuple[int, range]]:
    return [(round_, range(start, min(start + CHUNK, photos))) for start in range(0, photos, CHUNK)]


def _workers(photos: np.ndarray, teacher: Teacher, options: TrainingOptions):
    """Start a process per core; each has the photos and an interpreter of its own."""
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    return context.Pool(os.cpu_count(), _remember, (photos, teacher, options))


_kept: tuple[np.ndarray, Teacher, TrainingOptions]  # of a worker process: what every chunk needs


def _remember(photos: np.ndarray, teacher: Teacher, options: TrainingOptions) -> None:
    global _kept
    _kept = photos, teacher, options


def _make_chunk(chunk: tuple[int, range]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    (round_, numbers), (photos, teacher, options) = chunk, _kept
    views, holds = zip(*(make_view(photos, number, round_, options) for number in numbers), strict=True)
    features = np.stack([teacher(view) for view in views])
    return np.stack(views), features.astype(np.float16), np.array(holds)
