"""Trains the compact network that ships with the package: `python training/train.py --help`.

A narrow MobileNetV2 on small photos learns to give, for any view of any fruit, what the ImageNet network gives at
224 px, turned so that labels lie apart, and to tell the labels it may see. A killed run goes on from its last epoch
when it is started again with the same options.
"""

import argparse
import dataclasses
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from bank import Photos, open_bank, read_photos
from options import TrainingOptions
from school import School
from student import convert_student
from teacher import Teacher, load_teacher

from fruits.errors import FruitsError, SettingError
from fruits.platform.files import cache_folder
from fruits.platform.progress import Progress, report
from fruits.platform.tracking import Tracking, open_tracking, tolerate
from fruits.settings import Settings

CALIBRATION = 200  # views that show an int8 network the range of its numbers


def train(images: Path, weights: str, out: Path, checkpoints: Path, options: TrainingOptions) -> dict[str, object]:
    """Train, convert and write the network.

    Args:
        images: photo root; only Training is read, and no held-out label.
        weights: the teacher, Keras' MobileNetV2 weights, alpha 1.0; without a warm start a .tflite will do.
        out: the .tflite to write.
        checkpoints: folder for the bank of views, the last epoch and MLflow's store.
        options: every choice.

    Returns:
        What was done, ready for JSON.
    """
    if out.suffix != ".tflite" or not out.parent.is_dir():
        raise SettingError(f"out={str(out)!r} is to be a .tflite in a folder that is there")
    if options.warm_start and not weights.endswith(".h5"):
        raise SettingError(f"teacher={weights!r} is not Keras' .h5, which a warm start needs; add --no-warm-start")
    photos, teacher = read_photos(images, options), load_teacher(weights)
    bank = open_bank(checkpoints, photos.pixels, teacher, options)
    if len(photos.pixels) < options.batch:
        raise SettingError(f"batch={options.batch} is more than the {len(photos.pixels)} photos to learn from")
    school = School(photos, bank, options, weights)
    wanted = school.target(np.stack([teacher(photo) for photo in photos.choosing]))
    learn(school, wanted, checkpoints / f"run-{name_run(photos, teacher, options)}.npz", checkpoints)
    calibration = _spread(np.concatenate([_spread(each) for each in bank.pixels])) if options.int8 else None
    network = convert_student(school.finish(), calibration, options)
    out.write_bytes(network)
    return {
        "file": str(out),
        "bytes": len(network),
        "sha256": hashlib.sha256(network).hexdigest(),
        "labels": len(photos.names),
        "photos": len(photos.pixels),
        "views": len(photos.pixels) * options.rounds,
        "epochs": len(school.history),
        "unexplained": round(min(school.history), 4),
    }


def name_run(photos: Photos, teacher: Teacher, options: TrainingOptions) -> str:
    """Name a run by all that decides what is learnt: only such a run is gone on with."""
    choices = {name: value for name, value in options.describe().items() if name != "int8"}
    digest = hashlib.sha256(json.dumps(choices).encode())
    for part in (photos.pixels, photos.choosing, teacher.network):
        digest.update(part)
    return digest.hexdigest()[:12]


def learn(school: School, wanted: np.ndarray, file: Path, folder: Path) -> None:
    """Run the epochs that are left, saving after each; stop when the labels to choose by have not gained for long.

    Args:
        school: the student.
        wanted: (m, 1280) target features of the photos to choose by.
        file: where the state is kept.
        folder: where MLflow's store is.
    """
    if file.is_file():
        school.restore(file)
        report(f"training: going on after epoch {len(school.history)}")
    options = school.options
    tracking = open_tracking(Settings(lake=str(folder), experiment="fruits-training"))
    run = start_run(tracking, file.stem, options)
    progress = Progress("training", options.epochs - len(school.history), "epochs")
    while len(school.history) < options.epochs and not is_done(school.history, options.patience):
        loss = school.run_epoch()
        unexplained = school.examine(school.photos.choosing, wanted)
        school.save(file)
        log_epoch(tracking, run, len(school.history), {"loss": loss, "unexplained": unexplained})
        report(f"training: epoch {len(school.history)}, loss {loss:.4f}, unexplained {unexplained:.4f}")
        progress.add(1)
    end_run(tracking, run)


def is_done(history: list[float], patience: int) -> bool:
    """Whether the last `patience` epochs brought nothing."""
    return len(history) > patience and min(history[-patience:]) >= min(history[:-patience])


@tolerate("starting a run")
def start_run(tracking: Tracking, name: str, options: TrainingOptions) -> str:
    """Start a run in MLflow, or go on with the one of that name; returns its id."""
    found = tracking.client.search_runs([tracking.experiment_id], f"attributes.run_name = '{name}'", max_results=1)
    if found:
        return found[0].info.run_id
    run = tracking.client.create_run(tracking.experiment_id, run_name=name)
    for option, value in options.describe().items():
        tracking.client.log_param(run.info.run_id, option, value)
    return run.info.run_id


@tolerate("logging an epoch")
def log_epoch(tracking: Tracking, run: str, epoch: int, figures: dict[str, float]) -> None:
    """Record the figures of an epoch."""
    for name, value in figures.items():
        tracking.client.log_metric(run, name, value, step=epoch)


@tolerate("ending a run")
def end_run(tracking: Tracking, run: str) -> None:
    """Mark a run as finished."""
    tracking.client.set_terminated(run)


def _spread(views: np.ndarray) -> np.ndarray:
    """Take a fixed choice of views, evenly."""
    return np.asarray(views[:: max(len(views) // CALIBRATION, 1)][:CALIBRATION])


def main() -> int:
    """Read the arguments, train, and print what was done as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="photo root: Training/<label>/<file>")
    parser.add_argument("--teacher", required=True, help="Keras' MobileNetV2 weights, alpha 1.0, *_no_top.h5")
    parser.add_argument("--out", type=Path, required=True, help="the .tflite to write")
    parser.add_argument("--checkpoints", type=Path, default=cache_folder() / "training", help="%(default)s")
    for each in dataclasses.fields(TrainingOptions):
        kind = (
            {"action": argparse.BooleanOptionalAction}
            if isinstance(each.default, bool)
            else {"type": type(each.default)}
        )
        words = f"{each.metadata['help']} (%(default)s)"
        parser.add_argument(f"--{each.name.replace('_', '-')}", default=each.default, help=words, **kind)
    given = vars(parser.parse_args())
    paths = [given.pop(name) for name in ("images", "teacher", "out", "checkpoints")]
    try:
        print(json.dumps(train(*paths, TrainingOptions(**given)), indent=2))
    except FruitsError as error:
        report(f"error: {error}")
        return 2 if isinstance(error, SettingError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
