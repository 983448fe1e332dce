"""What is to be learnt: the ImageNet network's 1280 numbers of every view, turned so that labels lie apart."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from fruits.settings import Settings
from fruits.vision.backbone import extract_features, identify_backbone, load_network


@dataclass(frozen=True)
class Teacher:
    """A network that is imitated, with the side of the photos it sees; called with a view, it gives features."""

    network: bytes
    size: int

    def __call__(self, view: np.ndarray) -> np.ndarray:
        """Give the features (1280,) of a view (side, side, 3), uint8, resized as the chain resizes photos."""
        large = Image.fromarray(view).resize((self.size, self.size), Image.Resampling.BICUBIC)
        return extract_features(self.network, np.asarray(large))


def load_teacher(weights: str) -> Teacher:
    """Make the teacher of Keras' MobileNetV2 weights, which sees 224 px, or of a .tflite."""
    backbone = identify_backbone(Settings(weights=weights))
    return Teacher(load_network(backbone), backbone.input_size)


@dataclass(frozen=True)
class Target:
    """A linear map from the teacher's features to those wanted of the student.

    Attributes:
        matrix: (d, d) float32, symmetric.
        offset: (d,) float32.
        variance: of the wanted features, mean over the d.
    """

    matrix: np.ndarray
    offset: np.ndarray
    variance: float

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Map (n, d) features of the teacher; float32."""
        return features.astype(np.float32) @ self.matrix + self.offset


def fit_target(features: np.ndarray, labels: np.ndarray, ridge: float, start: np.ndarray) -> Target:
    """Fit the map on labelled features, so that what differs between photos of one fruit counts less.

    Place and scale of the wanted features are those the student starts with: neither means anything to a PCA, and
    finding others would take it most of a short training.

    Args:
        features: (n, d) of the teacher.
        labels: (n,) int, 0 to the number of labels - 1.
        ridge: added to the covariance within labels, as a share of its mean variance.
        start: (m, d) features of the untrained student, of any photos.

    Source: Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 2nd ed., section 4.3.2, sphering by
        the common covariance; its symmetric root stays closest to the features as they are (Kessy, Lewin and Strimmer,
        The American Statistician 72, 2018, ZCA).
    """
    features = features.astype(np.float64)
    centroids = np.stack([features[labels == label].mean(axis=0) for label in range(labels.max() + 1)])
    within = np.cov((features - centroids[labels]).T)
    values, vectors = np.linalg.eigh(within + ridge * np.trace(within) / len(within) * np.eye(len(within)))
    matrix = vectors / np.sqrt(values) @ vectors.T
    variance = float(start.var(axis=0).mean())
    matrix *= np.sqrt(variance / (features @ matrix).var(axis=0).mean())
    offset = start.mean(axis=0) - features.mean(axis=0) @ matrix
    return Target(matrix.astype(np.float32), offset.astype(np.float32), variance)
