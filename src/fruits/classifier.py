"""The classifier of a fit: photo bytes in, an answer in words out. Needs neither Spark, TensorFlow nor MLflow.

It travels with the registered model, so it imports only what travels with it too.
"""

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from fruits.errors import FruitsError
from fruits.information import describe_fruit
from fruits.stats.calibration import Calibration, decide, measure_distance, temper
from fruits.stats.discriminant import Discriminant, log_scores
from fruits.stats.pca import Pca, project
from fruits.vision.decode import decode_photo

NETWORK, ARRAYS, LABELS = "network.tflite", "classifier.npz", "labels.json"
NEXT = 4  # labels named after the first


@dataclass(frozen=True)
class Answer:
    """What a photo shows, or why it could not be read.

    Attributes:
        label: the most probable one; None, as all the rest, where there is an error.
        probability: of the label, calibrated.
        next: the next four labels, each with `label` and `probability`.
        information: what is known of the fruit, None where that is nothing.
        decision: sure, not sure, or no fruit, in which case the label says nothing.
        error: what is wrong with the photo, None for a good one.
    """

    label: str | None = None
    probability: float | None = None
    next: tuple[dict[str, Any], ...] = ()
    information: dict[str, str] | None = None
    decision: str | None = None
    error: str | None = None


class Classifier:
    """Decodes a photo, runs the network, projects to k PCA scores and names the most probable labels."""

    def __init__(self, network: bytes, pca: Pca, discriminant: Discriminant, calibration: Calibration) -> None:
        """Start the network, on one thread; pca and discriminant are those of k components."""
        from ai_edge_litert.interpreter import Interpreter

        self.pca, self.discriminant, self.calibration = pca, discriminant, calibration
        self._interpreter = Interpreter(model_content=network, num_threads=1)
        self._interpreter.allocate_tensors()
        self._lock = threading.Lock()  # a server predicts in several threads, an interpreter in one

    def classify(self, contents: Iterable[bytes]) -> list[Answer]:
        """Answer for photos, given as the bytes of their files, in their order; only their features are kept."""
        measured = [self._measure(content) for content in contents]
        features = [numbers for numbers, error in measured if error is None]
        answers = iter(self._answer(np.stack(features)) if features else ())
        return [next(answers) if error is None else Answer(error=error) for _, error in measured]

    def _answer(self, features: np.ndarray) -> list[Answer]:
        """Answer for photos by their features (n, d)."""
        k, names = len(self.pca.components), self.discriminant.labels
        scores = project(features, self.pca, k)
        logs = log_scores(scores, self.discriminant, k)
        probabilities = temper(logs, self.calibration.temperature)
        distances = measure_distance(features, scores, logs, self.pca, self.discriminant)
        decisions = decide(probabilities.max(axis=1), distances, self.calibration)
        answers = []
        for row, decision in zip(probabilities, decisions, strict=True):
            first, *others = np.argsort(-row, kind="stable")[: 1 + NEXT]
            following = tuple({"label": names[each], "probability": float(row[each])} for each in others)
            about = describe_fruit(names[first])
            answers.append(Answer(names[first], float(row[first]), following, about, str(decision)))
        return answers

    def _measure(self, content: bytes) -> tuple[np.ndarray | None, str | None]:
        """Give the features of one photo, or None and what is wrong with it."""
        given, result = self._interpreter.get_input_details()[0], self._interpreter.get_output_details()[0]
        pixels, error = decode_photo(content, int(given["shape"][1]))
        if error is not None:
            return None, error
        with self._lock:
            self._interpreter.set_tensor(given["index"], pixels[np.newaxis])
            self._interpreter.invoke()
            return self._interpreter.get_tensor(result["index"]).reshape(-1), None


def save_classifier(
    folder: Path, network: bytes, pca: Pca, discriminant: Discriminant, calibration: Calibration, k: int
) -> dict[str, str]:
    """Write what a classifier of k components holds, in single precision; returns its files by what they are."""
    parts: dict[str, Any] = {f"calibration.{name}": value for name, value in vars(calibration).items()}
    small = {"mean": pca.mean, "components": pca.components[:k], "eigenvalues": pca.eigenvalues[:k]}
    parts |= {"pca.n": pca.n, "pca.total_variance": pca.total_variance}
    parts |= {f"pca.{name}": values.astype(np.float32) for name, values in small.items()}
    small = {
        "log_priors": discriminant.log_priors,
        "whitening": discriminant.whitening[:k, :k],
        "centroids": discriminant.centroids[:, :k],
        "whitened_centroids": discriminant.whitened_centroids[:, :k],
    }
    parts |= {"discriminant.ridge": discriminant.ridge}
    parts |= {f"discriminant.{name}": values.astype(np.float32) for name, values in small.items()}
    files = {"network": folder / NETWORK, "arrays": folder / ARRAYS, "labels": folder / LABELS}
    files["network"].write_bytes(network)
    np.savez_compressed(files["arrays"], **parts)
    files["labels"].write_text(json.dumps(list(discriminant.labels), ensure_ascii=False), encoding="utf-8")
    return {name: str(file) for name, file in files.items()}


def load_classifier(folder: Path) -> Classifier:
    """Read what save_classifier wrote.

    Raises:
        FruitsError: an earlier version of this package wrote it, and it lacks what an answer needs.
    """
    labels = tuple(json.loads((folder / LABELS).read_text(encoding="utf-8")))
    with np.load(folder / ARRAYS) as arrays:
        there = {name: arrays[name] for name in arrays.files}
    try:
        pca = Pca(**_read_part(Pca, there, "pca."))
        discriminant = Discriminant(labels=labels, **_read_part(Discriminant, there, "discriminant."))
        calibration = Calibration(**_read_part(Calibration, there, "calibration."))
    except KeyError as error:
        raise FruitsError(f"it has no {error.args[0]}, an earlier fruits made it") from None
    return Classifier((folder / NETWORK).read_bytes(), pca, discriminant, calibration)


def _read_part(kind: type, arrays: dict[str, np.ndarray], prefix: str) -> dict[str, Any]:
    """Read the fields of one dataclass in double precision; numbers are arrays without dimension."""
    named = [each.name for each in fields(kind) if each.name != "labels"]
    read = {name: arrays[prefix + name] for name in named}
    return {name: value.astype(np.float64) if value.ndim else value.item() for name, value in read.items()}
