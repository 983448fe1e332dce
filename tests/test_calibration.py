"""Probabilities, distances and thresholds against direct computations, and what no photos or odd photos give."""

from math import inf

import numpy as np
import pytest

from fruits.stats.calibration import NO_FRUIT, NOT_SURE, SURE, UNCALIBRATED, calibrate, decide, measure_distance, temper
from fruits.stats.discriminant import fit_discriminant, log_scores
from fruits.stats.moments import measure_moments
from fruits.stats.pca import fit_pca, project

D, K = 12, 5
LABELS = np.array(["Apple", "Fig", "Lime"])


def draw(n, seed, spread=1.0):
    """Draw n photos of three labels, each feature with a spread of its own; labels overlap where spread is large."""
    rng = np.random.default_rng(seed)
    index = rng.integers(0, 3, n)
    means = np.random.default_rng(7).normal(0, 1, (3, D))
    return means[index] + rng.normal(0, spread * np.linspace(1, 0.3, D), (n, D)), LABELS[index]


@pytest.fixture(scope="module")
def fit():
    features, labels = draw(300, 0)
    moments = measure_moments(features, labels)
    pca = fit_pca(moments)
    return pca, fit_discriminant(moments, pca, K)


def measure(features, fit):
    scores = project(features, fit[0], K)
    logs = log_scores(scores, fit[1], K)
    return logs, measure_distance(features, scores, logs, *fit)


def test_the_temperature_makes_the_true_labels_most_probable(fit):
    features, labels = draw(800, 1, spread=2)  # more spread than the fit was told of: it is too sure
    found = calibrate(features, labels, *fit, K)
    logs, _ = measure(features, fit)
    truth = np.searchsorted(LABELS, labels)

    def surprise(temperature):
        return -np.log(temper(logs, temperature)[np.arange(len(truth)), truth]).mean()

    others = np.exp(np.linspace(0, 4, 400))
    assert 1.5 < found.temperature < 20
    assert surprise(found.temperature) <= min(map(surprise, others)) + 1e-9
    assert found.temperature == pytest.approx(others[np.argmin([*map(surprise, others)])], rel=0.02)


def test_probabilities_are_those_of_a_softmax(fit):
    logs = np.array([[1.0, 3.0, -2.0], [1000.0, 0.0, -5000.0]])
    expected = np.exp(logs[0] / 2) / np.exp(logs[0] / 2).sum()
    np.testing.assert_allclose(temper(logs, 2.0)[0], expected)
    np.testing.assert_allclose(temper(logs, 2.0)[1], [1, 0, 0], atol=1e-12)


def test_answers_are_never_surer_than_the_discriminant(fit):
    features, labels = draw(200, 2, spread=0.01)  # all right, so a lower temperature would fit better still
    assert calibrate(features, labels, *fit, K).temperature == 1.0


def test_sure_begins_where_99_of_100_answers_are_right(fit):
    features, labels = draw(2000, 3, spread=2.2)
    # Far off, very probable and wrong: no fruit, so they do not count against what is called sure.
    features, labels = np.vstack([features, 30 * features[:15]]), np.append(labels, ["Quince"] * 15)
    found = calibrate(features, labels, *fit, K)
    logs, distances = measure(features, fit)
    probabilities, right = temper(logs, found.temperature).max(axis=1), LABELS[logs.argmax(axis=1)] == labels
    near = distances <= found.farthest

    def accuracy(threshold):
        return right[near & (probabilities >= threshold)].mean()

    assert accuracy(found.sure_from) == found.sure_accuracy >= 0.99
    lower = probabilities[near & (probabilities < found.sure_from)]
    assert len(lower) > 100 and all(accuracy(threshold) < 0.99 for threshold in lower)
    assert found.sure == np.mean(near & (probabilities >= found.sure_from))
    assert found.accuracy == right.mean() < 0.95
    decisions = decide(probabilities, distances, found)
    assert {name: int(np.sum(decisions == name)) for name in (SURE, NOT_SURE, NO_FRUIT)} == {
        SURE: int(np.sum(near & (probabilities >= found.sure_from))),
        NOT_SURE: len(lower),
        NO_FRUIT: int(np.sum(~near)),
    }
    assert 0 < found.rejected == np.mean(decisions == NO_FRUIT) <= 0.01


def test_equally_probable_answers_are_sure_together_or_not_at_all(fit):
    features, labels = draw(200, 4)
    twins = np.vstack([features, features])  # the second of each pair is called what it is not
    found = calibrate(twins, [*labels, *("Quince" for _ in labels)], *fit, K)
    assert (found.sure_from, found.sure, found.accuracy <= 0.5) == (inf, 0.0, True)
    assert np.isnan(found.sure_accuracy)


def test_the_distance_is_mahalanobis_with_the_variance_that_is_left_off_the_components(fit):
    pca, discriminant = fit
    features, labels = draw(300, 0)
    scores = project(features, pca, K)
    within = scores - np.array([scores[labels == label].mean(axis=0) for label in labels])
    covariance = within.T @ within / (300 - 3) + discriminant.ridge * np.eye(K)
    left = pca.eigenvalues[K:].sum() / (D - K) + discriminant.ridge
    others, _ = draw(20, 5, spread=3)
    _, measured = measure(others, fit)
    for photo, distance in zip(others, measured, strict=True):
        point = (photo - pca.mean) @ pca.components[:K].T
        off = photo - pca.mean - point @ pca.components[:K]
        gaps = [point - scores[labels == label].mean(axis=0) for label in LABELS]
        nearest = min(gap @ np.linalg.solve(covariance, gap) for gap in gaps)
        assert distance == pytest.approx(nearest + off @ off / left, rel=1e-9)


def test_what_leaves_the_pca_space_is_no_fruit_though_its_scores_are_those_of_one(fit):
    features, labels = draw(500, 6)
    found = calibrate(features, labels, *fit, K)
    odd = features[:5] + 5 * fit[0].components[K + 1]
    np.testing.assert_allclose(project(odd, fit[0], K), project(features[:5], fit[0], K))
    for photos, expected in ((features[:5], {SURE, NOT_SURE}), (odd, {NO_FRUIT})):
        logs, distances = measure(photos, fit)
        assert set(decide(temper(logs, found.temperature).max(axis=1), distances, found)) <= expected


def test_without_photos_no_answer_is_sure_and_none_is_refused(fit):
    assert calibrate(np.zeros((0, D)), [], *fit, K) == UNCALIBRATED
    assert decide(np.array([1.0, 0.2]), np.array([0.0, 1e9]), UNCALIBRATED).tolist() == [NOT_SURE, NOT_SURE]


def test_labels_that_no_fitted_photo_has_are_never_right(fit):
    features, _ = draw(50, 8)
    found = calibrate(features, ["Quince"] * 50, *fit, K)
    assert (found.photos, found.accuracy, found.sure_from, found.temperature) == (50, 0.0, inf, 1.0)
