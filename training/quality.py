"""Measures networks for the model card, one beside the other: `python training/quality.py --help`.

PCA and discriminant are fitted on the features of all Training photos of all labels, and asked about Test photos: all,
and those of the labels held out from training, recognised among all. Disturbed photos are Test photos; what they are
compared with stays plain.
"""

import argparse
import io
import json
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from options import held_out
from PIL import Image, ImageEnhance
from views import change_background, compress

from fruits.errors import FruitsError, SettingError
from fruits.platform.progress import report
from fruits.settings import Settings
from fruits.stats.discriminant import count_correct, fit_discriminant
from fruits.stats.moments import measure_moments
from fruits.stats.pca import fit_pca, project
from fruits.vision.backbone import extract_features, identify_backbone, load_network
from fruits.vision.decode import decode_photo

KS = (32, 64, 128)
GREY = np.full(3, 128, np.float32)
TIMED = 200  # photos per turn

# How a Test photo is disturbed; the accuracy of a name is the mean of its ways.
DISTURBANCES: dict[str, tuple[Callable[[Image.Image], Image.Image], ...]] = {
    "plain": (lambda photo: photo,),
    "brightness ±30 %": tuple(lambda photo, b=b: ImageEnhance.Brightness(photo).enhance(b) for b in (0.7, 1.3)),
    "rotation ±20°": tuple(
        lambda photo, a=a: photo.rotate(a, Image.Resampling.BICUBIC, fillcolor="white") for a in (-20, 20)
    ),
    "JPEG quality 40": (lambda photo: compress(photo, 40),),
    "grey background": (lambda photo: Image.fromarray(change_background(np.asarray(photo), GREY)),),
}

Network = tuple[bytes, int]  # a .tflite and its input size


def load(weights: str) -> Network:
    """Give a network by its .tflite or its Keras weights."""
    backbone = identify_backbone(Settings(weights=weights))
    return load_network(backbone), backbone.input_size


def measure_accuracy(images: Path, networks: dict[str, Network]) -> list[dict[str, object]]:
    """Give a row per network, kind of photo and group of labels: the accuracy at each k, and nearest neighbour."""
    training, test = (sorted(images.glob(f"{split}/*/*")) for split in ("Training", "Test"))
    if not training or not test:
        raise SettingError(f"images={str(images)!r} has no photos as Training/<label>/<file> and Test/<label>/<file>")
    known, asked = ([file.parent.name for file in files] for files in (training, test))
    rows = []
    for name, network in networks.items():
        fitted = fit_judge(featurise(network, training, "plain", 0), known)
        for kind, ways in DISTURBANCES.items():
            report(f"quality: {name}, {kind}")
            features = [featurise(network, test, kind, way) for way in range(len(ways))]
            groups = {"all": sorted(set(known)), "held out": held_out(set(known))}
            for group, labels in groups.items():
                chosen = np.isin(asked, labels)
                truth = [label for label, is_chosen in zip(asked, chosen, strict=True) if is_chosen]
                accuracy = np.mean([fitted(each[chosen], truth) for each in features], axis=0)
                figures = dict(zip([*map(str, KS), "NN"], accuracy.tolist(), strict=True))
                rows.append({"network": name, "photos": kind, "labels": group, **figures})
    return rows


def fit_judge(features: np.ndarray, labels: Sequence[str]) -> Callable[[np.ndarray, Sequence[str]], list[float]]:
    """Fit PCA and discriminant.

    Args:
        features: (n, 1280) of Training photos.
        labels: n of them.

    Returns:
        A function of other features (m, 1280) and their true labels: share of photos the discriminant gets right on the
        first k scores, for each of KS, and share whose nearest Training photo on the most scores has their label.
    """
    moments = measure_moments(features, labels)
    pca = fit_pca(moments)
    ks = [min(k, len(pca.components)) for k in KS]
    discriminant = fit_discriminant(moments, pca, ks[-1])
    neighbours, names = project(features, pca, ks[-1]), np.array(labels)

    def judge(others: np.ndarray, truth: Sequence[str]) -> list[float]:
        scores = project(others, pca, ks[-1])
        places = np.array([discriminant.labels.index(label) for label in truth])
        right = count_correct(scores, places, discriminant, ks)["discriminant"] / len(truth)
        # |a - b|^2 without |a|^2, which is the same for all neighbours of a.
        far = np.square(neighbours).sum(axis=1) - 2 * scores @ neighbours.T
        return [*right.tolist(), float(np.mean(names[far.argmin(axis=1)] == np.array(truth)))]

    return judge


def featurise(network: Network, files: Sequence[Path], kind: str, way: int) -> np.ndarray:
    """Give the features (n, 1280) of photos disturbed in one way, by all cores."""
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        chunks = [(network, files[start : start + 256], kind, way) for start in range(0, len(files), 256)]
        return np.concatenate(pool.starmap(_featurise_chunk, chunks, chunksize=1))


def _featurise_chunk(network: Network, files: Sequence[Path], kind: str, way: int) -> np.ndarray:
    contents = (disturb_file(file.read_bytes(), kind, way) for file in files)
    return np.stack([run(network, content) for content in contents])


def disturb_file(content: bytes, kind: str, way: int) -> bytes:
    """Disturb a photo: file in, file out, so that all that follows is what the chain does with any photo."""
    if kind == "plain":
        return content
    disturbed = io.BytesIO()
    DISTURBANCES[kind][way](Image.open(io.BytesIO(content)).convert("RGB")).save(disturbed, "PNG")
    return disturbed.getvalue()


def run(network: Network, content: bytes) -> np.ndarray:
    """Give the features (1280,) of a photo file as the chain makes them: decode, resize, network.

    Raises:
        FruitsError: the photo does not read; figures of some photos would not compare.
    """
    pixels, error = decode_photo(content, network[1])
    if error is not None:
        raise FruitsError(f"a photo does not read: {error}")
    return extract_features(network[0], pixels)


def measure_speed(images: Path, networks: dict[str, Network], turns: int = 7) -> dict[str, float]:
    """Give milliseconds a photo on one core, decode and resize included, files in memory.

    Networks take turns, so that a busy moment meets all; the median of the turns counts.
    """
    files = sorted(images.glob("Test/*/*"))
    contents = [file.read_bytes() for file in files[:: max(len(files) // TIMED, 1)][:TIMED]]
    times: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(turns):
        for name, network in networks.items():
            run(network, contents[0])  # builds the interpreter
            start = time.perf_counter()
            for content in contents:
                run(network, content)
            times[name].append((time.perf_counter() - start) / len(contents) * 1e3)
    return {name: statistics.median(each) for name, each in times.items()}


def as_table(rows: Sequence[dict[str, object]]) -> Iterator[str]:
    """Write rows as a Markdown table; shares with three digits, without the leading zero."""
    yield f"| {' | '.join(rows[0])} |"
    yield "|" + " --- |" * len(rows[0])
    for row in rows:
        cells = [f"{each:.3f}".replace("0.", ".", 1) if isinstance(each, float) else str(each) for each in row.values()]
        yield f"| {' | '.join(cells)} |"


def main() -> int:
    """Read the arguments, measure, and print tables, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="photo root: Training and Test, a folder per label")
    parser.add_argument("--networks", nargs="+", required=True, help=".tflite files or Keras weights; the last is 1 x")
    parser.add_argument("--only", choices=("accuracy", "speed"), help="leave out the other")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    given = parser.parse_args()
    try:
        networks = {Path(weights).name: load(weights) for weights in given.networks}
        speed = measure_speed(given.images, networks) if given.only != "accuracy" else {}
        rows = measure_accuracy(given.images, networks) if given.only != "speed" else []
    except FruitsError as error:
        report(f"error: {error}")
        return 2 if isinstance(error, SettingError) else 1
    if given.json:
        print(json.dumps({"speed": speed, "accuracy": rows}))
        return 0
    for name, milliseconds in speed.items():
        times = list(speed.values())[-1] / milliseconds
        print(f"{name}: {milliseconds:.3f} ms a photo, {1000 / milliseconds:.0f} photos/s a core, {times:.1f} x")
    if rows:
        print(*as_table(rows), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
