"""How far the answers of a lake's classifier are to be trusted, and how fast they come; `--help` says more."""

import argparse
import io
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import serving
from PIL import Image, ImageDraw

from fruits.classifier import Classifier, load_classifier
from fruits.platform.files import walk_photos
from fruits.platform.tracking_classifier import fetch_classifier
from fruits.settings import Settings
from fruits.stats.calibration import NO_FRUIT, SURE, calibrate, decide, measure_distance, temper
from fruits.stats.discriminant import log_scores
from fruits.stats.pca import project

EACH = 40  # pictures of a kind that are no fruit
SIDE = 100


def draw_no_fruit() -> dict[str, list[Image.Image]]:
    """Draw pictures of no fruit, EACH of a kind, and crop photos that scikit-learn and matplotlib bring."""
    rng = np.random.default_rng(0)

    def colour() -> tuple[int, ...]:
        return tuple(int(each) for each in rng.integers(0, 256, 3))

    def noise(cells: int = SIDE) -> Image.Image:
        pixels = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        return pixels.resize((SIDE, SIDE), Image.Resampling.BICUBIC)

    def gradient() -> Image.Image:
        ramp = np.linspace(0, 1, SIDE)[:, None, None] * np.ones((1, SIDE, 1))
        start, end = np.array(colour()), np.array(colour())
        return Image.fromarray(np.rot90(start + ramp * (end - start), rng.integers(0, 2)).astype(np.uint8))

    def text() -> Image.Image:
        page = Image.new("RGB", (SIDE, SIDE), "white")
        for line in range(4, SIDE, 12):
            letters = "".join(chr(each) for each in rng.integers(97, 123, 15))
            ImageDraw.Draw(page).text((4, line), letters, fill=colour())
        return page

    def shapes() -> Image.Image:
        page = Image.new("RGB", (SIDE, SIDE), colour())
        for _ in range(4):
            left, top = (int(each) for each in rng.integers(0, 60, 2))
            ImageDraw.Draw(page).rectangle((left, top, left + 35, top + 30), fill=colour())
        return page

    kinds = {
        "noise": noise,
        "soft noise": lambda: noise(int(rng.integers(3, 30))),
        "gradient": gradient,
        "one colour": lambda: Image.new("RGB", (SIDE, SIDE), colour()),
        "text": text,
        "rectangles": shapes,
    }
    drawn = {name: [draw() for _ in range(EACH)] for name, draw in kinds.items()}
    return drawn | {name: _crop(photo, rng) for name, photo in _open_photos().items()}


def _open_photos() -> dict[str, Image.Image]:
    from matplotlib import cbook
    from sklearn.datasets import load_sample_images

    temple, flower = (Image.fromarray(each) for each in load_sample_images().images)
    person = Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB")
    return {"photo of a temple": temple, "photo of a flower": flower, "photo of a person": person}


def _crop(photo: Image.Image, rng: np.random.Generator) -> list[Image.Image]:
    """Cut squares out of a photo, a quarter of its shorter side to all of it."""
    crops = []
    for share in np.linspace(0.25, 1, EACH):
        side = int(min(photo.size) * share)
        left, top = (int(rng.integers(0, each - side + 1)) for each in photo.size)
        crops.append(photo.crop((left, top, left + side, top + side)).resize((SIDE, SIDE)))
    return crops


def encode(picture: Image.Image) -> bytes:
    """Write a picture as JPEG, as the photos are."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue()


def measure_trust(classifier: Classifier, images: Path) -> None:
    """Calibrate on every second photo of Test and look at the others; then show it what is no fruit."""
    files = sorted(walk_photos(images / "Test"))
    labels = np.array([file.parent.name for file in files])
    features = np.stack([classifier._measure(file.read_bytes())[0] for file in files])
    k, pca, discriminant = len(classifier.pca.components), classifier.pca, classifier.discriminant
    scores = project(features, pca, k)
    logs = log_scores(scores, discriminant, k)
    distances = measure_distance(features, scores, logs, pca, discriminant)
    right = np.array(discriminant.labels)[logs.argmax(axis=1)] == labels
    print(f"k={k}, {len(files)} Test photos, as registered: {classifier.calibration}")
    for part in (0, 1):
        made, held = np.arange(len(files)) % 2 == part, np.arange(len(files)) % 2 != part
        found = calibrate(features[made], labels[made], pca, discriminant, k)
        before, after = (temper(logs[held], each).max(axis=1) for each in (1.0, found.temperature))
        decisions = decide(after, distances[held], found)
        sure = decisions == SURE
        print(
            f"made on half {part}, seen on the other: temperature {found.temperature:.1f}, "
            f"right {right[held].mean():.1%}, "
            f"mean probability {before.mean():.3f} before and {after.mean():.3f} after, calibration error "
            f"{calibration_error(before, right[held]):.3f} and {calibration_error(after, right[held]):.3f}, "
            f"sure {sure.mean():.1%} of which right {right[held][sure].mean():.1%}, "
            f"taken for no fruit {np.mean(decisions == NO_FRUIT):.1%}"
        )
    for kind, pictures in draw_no_fruit().items():
        decisions = [answer.decision for answer in classifier.classify(map(encode, pictures))]
        shares = (decisions.count(each) / len(pictures) for each in (NO_FRUIT, SURE))
        print("{}: {:.0%} taken for no fruit, {:.0%} for a sure fruit".format(kind, *shares))


def calibration_error(probabilities: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """Average the gap between probability and accuracy over bins of probability, weighted by their photos."""
    place = np.minimum((probabilities * bins).astype(int), bins - 1)
    gaps = [abs(np.sum(probabilities[place == each] - right[place == each])) for each in range(bins)]
    return float(sum(gaps) / len(right))


def measure_speed(lake: str, images: Path, model: Path) -> None:
    """Time the command and a server, both on one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    photos = [file.read_bytes() for file in sorted(walk_photos(images / "Test"))[::10]]
    one = str(next(walk_photos(images / "Test")))
    command = [str(Path(sys.executable).with_name("fruits")), "classify", "--lake", lake, one]
    times = []
    for _ in range(4):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    print(f"fruits classify, one photo: {statistics.median(times[1:]):.1f} s, the first time {times[0]:.1f} s")
    with tempfile.TemporaryDirectory() as folder:
        uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"
        python = serving.make_environment(uv, model, Path(folder, "env"), "--compile-bytecode")  # as pip does
        for name in ("first start", "second start"):
            start = time.perf_counter()
            with serving.serve(python, model, Path(folder, "log.txt")) as address:
                serving.ask_first(address, photos[0])
                print(f"served, {name}: first answer after {time.perf_counter() - start:.1f} s")
                print(f"served: {_milliseconds(lambda each, at=address: serving.ask(at, each), photos)}")


def _milliseconds(answer: Any, photos: list[bytes]) -> str:
    times = []
    for photo in photos:
        start = time.perf_counter()
        answer([photo])
        times.append(1000 * (time.perf_counter() - start))
    return "median {:.1f} ms a photo, 95 % below {:.1f}".format(*np.quantile(times, (0.5, 0.95)))


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lake", required=True, help="holds a registered classifier")
    parser.add_argument("--images", required=True, type=Path, help="photo folder with Test, as the lake was made from")
    parser.add_argument("--only", choices=("trust", "speed"))
    given = parser.parse_args()
    found = fetch_classifier(Settings(lake=given.lake))
    classifier = load_classifier(found.folder)
    if given.only != "speed":
        measure_trust(classifier, given.images)
    if given.only != "trust":
        measure_speed(given.lake, given.images, found.folder.parent)


if __name__ == "__main__":
    main()
