"""How sure is an answer, and is it a fruit at all? A temperature and two thresholds, from photos not fitted on."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, nan

import numpy as np

from fruits.stats.discriminant import Discriminant, log_scores
from fruits.stats.pca import Pca, project

SURE, NOT_SURE, NO_FRUIT = DECISIONS = ("sure", "not sure", "no fruit")
RIGHT = 0.99  # of the answers called sure
ACCEPTED = 0.99  # of the photos not fitted on
COOLEST, HOTTEST = 1.0, 1000.0


@dataclass(frozen=True)
class Calibration:
    """What turns scores into an honest answer. As it stands, that of no photos at all, it is never sure.

    Attributes:
        photos: how many it is made from; their shares below are 0 to 1.
        temperature: what log scores are divided by before they become probabilities.
        sure_from: least probability of an answer called sure; inf where none may be.
        farthest: distance beyond which a photo shows no fruit.
        accuracy: share of all photos answered rightly.
        sure: share of all photos with a sure answer.
        sure_accuracy: share of these that are right; NaN where there are none.
        rejected: share of all photos taken for no fruit.
    """

    photos: int = 0
    temperature: float = 1.0
    sure_from: float = inf
    farthest: float = inf
    accuracy: float = nan
    sure: float = 0.0
    sure_accuracy: float = nan
    rejected: float = 0.0


UNCALIBRATED = Calibration()


def calibrate(features: np.ndarray, labels: Sequence[str], pca: Pca, discriminant: Discriminant, k: int) -> Calibration:
    """Choose temperature and thresholds.

    The temperature makes the photos' own labels most probable, between 1 and 1000: never surer than the discriminant.
    Every photo but one of a hundred is near enough to be a fruit. Of these, the least probability is called sure from
    which on 99 of 100 answers are right.

    Args:
        features: (n, d) of photos that the fit has not seen.
        labels: their n true labels; one that the discriminant does not know is never right.
        pca: the fit, k components at least.
        discriminant: fitted for k at least.
        k: number of components.

    Source: Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, ICML 2017, section 4.2.
    """
    if not len(labels):
        return UNCALIBRATED
    place = {label: index for index, label in enumerate(discriminant.labels)}
    truth = np.array([place.get(label, -1) for label in labels])
    scores = project(features, pca, k)
    logs = log_scores(scores, discriminant, k)
    temperature = _fit_temperature(logs[truth >= 0], truth[truth >= 0])
    probabilities = temper(logs, temperature).max(axis=1)
    right = logs.argmax(axis=1) == truth
    distances = measure_distance(features, scores, logs, pca, discriminant)
    farthest = float(np.quantile(distances, ACCEPTED, method="higher"))
    near = distances <= farthest
    sure_from = _choose_threshold(probabilities[near], right[near])
    sure = near & (probabilities >= sure_from)
    return Calibration(
        len(labels),
        temperature,
        sure_from,
        farthest,
        accuracy=float(right.mean()),
        sure=float(sure.mean()),
        sure_accuracy=float(right[sure].mean()) if sure.any() else nan,
        rejected=float(np.mean(~near)),
    )


def temper(logs: np.ndarray, temperature: float) -> np.ndarray:
    """Give the probability of every label, (n, c), from log scores of the same shape."""
    odds = np.exp((logs - logs.max(axis=1, keepdims=True)) / temperature)
    return odds / odds.sum(axis=1, keepdims=True)


def measure_distance(
    features: np.ndarray, scores: np.ndarray, logs: np.ndarray, pca: Pca, discriminant: Discriminant
) -> np.ndarray:
    """Measure how far photos are from the nearest label: within the PCA space, and off it.

    Args:
        features: (n, d).
        scores: (n, k), their projection.
        logs: (n, c), what log_scores gives of it.
        pca: the fit; `total_variance` is that of all components.
        discriminant: gives the variance within labels.

    Returns:
        (n,) float64: squared Mahalanobis distance to the nearest centroid plus squared reconstruction error in units of
        its variance, about d for a photo like those fitted on.

    Source: Moghaddam and Pentland, Probabilistic visual learning for object representation, IEEE TPAMI 19(7), 1997,
        eq. 11, with the ridge of the discriminant added to the variance that is left.
    """
    within = -2 * (logs - discriminant.log_priors).max(axis=1)
    d, k = features.shape[1], scores.shape[1]
    centred = np.asarray(features, dtype=np.float64) - pca.mean
    lost = np.maximum(np.einsum("nd,nd->n", centred, centred) - np.einsum("nk,nk->n", scores, scores), 0.0)
    left = max(pca.total_variance - float(pca.eigenvalues[:k].sum()), 0.0) / max(d - k, 1)
    return within + lost / (left + discriminant.ridge)


def decide(probabilities: np.ndarray, distances: np.ndarray, calibration: Calibration) -> np.ndarray:
    """Call each answer, given its probability and its photo's distance: sure, not sure or no fruit; (n,) of texts."""
    sure = np.where(probabilities >= calibration.sure_from, SURE, NOT_SURE)
    return np.where(distances > calibration.farthest, NO_FRUIT, sure)


def _fit_temperature(logs: np.ndarray, truth: np.ndarray) -> float:
    """Make the true labels (n,) most probable, by halving: the slope in 1/temperature only rises."""
    if not len(truth):
        return COOLEST
    own = logs[np.arange(len(truth)), truth]
    low, high = 1 / HOTTEST, 1 / COOLEST
    for _ in range(30):
        middle = (low * high) ** 0.5
        slope = np.mean(np.sum(temper(logs, 1 / middle) * logs, axis=1) - own)
        low, high = (low, middle) if slope > 0 else (middle, high)
    # All right, and nothing holds the probabilities back: the end itself.
    return COOLEST if high == 1 / COOLEST else 1 / (low * high) ** 0.5


def _choose_threshold(probabilities: np.ndarray, right: np.ndarray) -> float:
    """Give the least probability from which on enough answers are right; inf where there is none."""
    order = np.argsort(-probabilities, kind="stable")
    falling = probabilities[order]
    accuracy = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    last_of_equals = np.append(falling[1:] < falling[:-1], True)
    enough = np.flatnonzero((accuracy >= RIGHT) & last_of_equals)
    return float(falling[enough[-1]]) if len(enough) else inf
