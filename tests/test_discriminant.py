"""The discriminant of every k at once against one fitted for each k."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import NearestCentroid

from fruits.errors import FruitsError
from fruits.stats import discriminant as module
from fruits.stats.calibration import temper
from fruits.stats.discriminant import count_correct, fit_discriminant, log_scores
from fruits.stats.moments import measure_moments
from fruits.stats.pca import fit_pca, project

RNG = np.random.default_rng(2)
D, KS = 16, [1, 2, 5, 9, 16]
NAMES = np.array(["Apple Red 1", "Banana", "Cherry", "Quince"])
CENTRES = RNG.normal(size=(4, D)) * 0.8
MIXING = np.eye(D) * np.geomspace(2, 0.7, D) + RNG.normal(size=(D, D)) * 0.1


def classify(scores, fitted, k):
    """Give the most probable label of every photo, and its probability by the discriminant alone."""
    probabilities = temper(log_scores(scores, fitted, k), 1.0)
    return np.array(fitted.labels)[probabilities.argmax(axis=1)], probabilities.max(axis=1)


def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw n photos: features (n, D) and labels (n,), Banana far more often than the others."""
    codes = RNG.choice(4, size=n, p=[0.1, 0.6, 0.2, 0.1])
    return CENTRES[codes] + RNG.normal(size=(n, D)) @ MIXING + 5, NAMES[codes]


FEATURES, LABELS = draw(300)
TEST, TEST_LABELS = draw(200)
MOMENTS = measure_moments(FEATURES, LABELS)
PCA = fit_pca(MOMENTS)
SCORES, TEST_SCORES = project(FEATURES, PCA, D), project(TEST, PCA, D)


def index_labels(labels: np.ndarray, known: tuple[str, ...]) -> np.ndarray:
    return np.array([known.index(label) if label in known else -1 for label in labels])


def score_directly(scores: np.ndarray, labels: np.ndarray, ridge: float, points: np.ndarray) -> np.ndarray:
    """Log scores (n, c) of a discriminant fitted on scores (m, k) alone, without any factorisation shared."""
    names = np.unique(labels)
    means = np.array([scores[labels == name].mean(axis=0) for name in names])
    centred = scores - means[np.searchsorted(names, labels)]
    within = centred.T @ centred / (len(scores) - len(names)) + ridge * np.eye(scores.shape[1])
    apart = points[:, None, :] - means
    distances = np.einsum("nck,kl,ncl->nc", apart, np.linalg.inv(within), apart)
    return np.log([(labels == name).mean() for name in names]) - 0.5 * distances


@pytest.mark.parametrize("k", KS)
def test_without_a_ridge_it_is_the_discriminant_of_scikit_learn(monkeypatch, k):
    monkeypatch.setattr(module, "RIDGE", 1e-13)
    fitted = fit_discriminant(MOMENTS, PCA, D)
    reference = LinearDiscriminantAnalysis(solver="lsqr").fit(SCORES[:, :k], LABELS)
    # scikit-learn divides the scatter within labels by n, we by n - c, which shrinks all squared distances alike.
    distances = (log_scores(TEST_SCORES, fitted, k) - fitted.log_priors) * 300 / (300 - 4)
    posterior = softmax(fitted.log_priors + distances, axis=1)
    np.testing.assert_allclose(posterior, reference.predict_proba(TEST_SCORES[:, :k]), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("k", KS)
def test_one_factor_serves_every_k(k):
    fitted = fit_discriminant(MOMENTS, PCA, D)
    expected = score_directly(SCORES[:, :k], LABELS, fitted.ridge, TEST_SCORES[:, :k])
    np.testing.assert_allclose(log_scores(TEST_SCORES, fitted, k), expected, rtol=1e-9)
    # What is given for one k depends neither on kmax nor on scores beyond k.
    alone = fit_discriminant(MOMENTS, PCA, k)
    np.testing.assert_allclose(log_scores(TEST_SCORES[:, :k], alone, k), expected, rtol=1e-9)


def test_ridge_is_a_share_of_the_mean_variance_within_labels():
    centred = FEATURES - np.array([FEATURES[label == LABELS].mean(axis=0) for label in LABELS])
    mean_variance = (centred**2).sum() / (300 - 4) / D
    assert fit_discriminant(MOMENTS, PCA, 3).ridge == pytest.approx(module.RIDGE * mean_variance, rel=1e-9)


def test_fitted_parts_are_what_they_say():
    fitted = fit_discriminant(MOMENTS, PCA, 9)
    assert fitted.labels == tuple(NAMES)
    np.testing.assert_allclose(np.exp(fitted.log_priors), [(name == LABELS).mean() for name in NAMES])
    expected = [SCORES[name == LABELS, :9].mean(axis=0) for name in NAMES]
    np.testing.assert_allclose(fitted.centroids, expected, atol=1e-12)
    np.testing.assert_allclose(fitted.whitened_centroids, fitted.centroids @ fitted.whitening.T, rtol=1e-12)
    np.testing.assert_array_equal(fitted.whitening, np.tril(fitted.whitening))


def test_components_fitted_on_other_photos_serve_as_well():
    pca = fit_pca(measure_moments(TEST))
    scores, points = project(FEATURES, pca, 7), project(TEST, pca, 7)
    fitted = fit_discriminant(MOMENTS, pca, 7)
    expected = score_directly(scores, LABELS, fitted.ridge, points)
    np.testing.assert_allclose(log_scores(points, fitted, 7), expected, rtol=1e-9)


def test_classify_gives_the_best_label_and_its_probability():
    fitted = fit_discriminant(MOMENTS, PCA, D)
    posterior = softmax(log_scores(TEST_SCORES, fitted, 9), axis=1)
    labels, probabilities = classify(TEST_SCORES, fitted, 9)
    assert labels.tolist() == NAMES[posterior.argmax(axis=1)].tolist()
    np.testing.assert_allclose(probabilities, posterior.max(axis=1), rtol=1e-10)
    assert (labels == TEST_LABELS).mean() > 0.75
    assert 0.5 < probabilities.mean() < 0.99
    # Far away every exponential underflows; the probability still is one.
    assert classify(np.full((1, D), 1e6), fitted, D)[1][0] <= 1
    assert classify(np.zeros((0, D)), fitted, D)[0].shape == (0,)


def test_counts_of_every_k_equal_classifying_for_each_k():
    fitted = fit_discriminant(MOMENTS, PCA, D)
    ks = [9, 1, 16, 2, 9]
    index = index_labels(TEST_LABELS, fitted.labels)
    counts = count_correct(TEST_SCORES, index, fitted, ks)
    assert counts["discriminant"].tolist() == [
        int((classify(TEST_SCORES, fitted, k)[0] == TEST_LABELS).sum()) for k in ks
    ]
    assert counts["nearest_centroid"].tolist() == [
        int((NearestCentroid().fit(SCORES[:, :k], LABELS).predict(TEST_SCORES[:, :k]) == TEST_LABELS).sum()) for k in ks
    ]
    # Otherwise the two columns, or the ks, could be exchanged unseen.
    assert len(set(counts["discriminant"].tolist() + counts["nearest_centroid"].tolist())) > 6


def test_counts_of_disjoint_photos_add_up():
    fitted = fit_discriminant(MOMENTS, PCA, D)
    index = index_labels(TEST_LABELS, fitted.labels)
    whole = count_correct(TEST_SCORES, index, fitted, KS)
    parts = [count_correct(TEST_SCORES[s], index[s], fitted, KS) for s in (slice(70), slice(70, 70), slice(70, None))]
    for name, counts in whole.items():
        assert sum(part[name] for part in parts).tolist() == counts.tolist()


def test_a_label_never_seen_is_never_right():
    seen = LABELS != "Quince"
    fitted = fit_discriminant(measure_moments(FEATURES[seen], LABELS[seen]), PCA, D)
    index = index_labels(TEST_LABELS, fitted.labels)
    assert (index == -1).sum() > 5
    known = index >= 0
    counts, expected = (count_correct(TEST_SCORES[s], index[s], fitted, KS) for s in (slice(None), known))
    assert counts["discriminant"].tolist() == expected["discriminant"].tolist()
    assert counts["nearest_centroid"].tolist() == expected["nearest_centroid"].tolist()


def test_fewer_photos_than_components_are_enough():
    features, labels = FEATURES[:10], LABELS[:10]
    m = measure_moments(features, labels)
    pca = fit_pca(m)
    fitted = fit_discriminant(m, pca, 9)
    named, probabilities = classify(project(features, pca, 9), fitted, 9)
    assert named.tolist() == labels.tolist()
    assert np.isfinite(probabilities).all()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_labels_of_one_photo_each_are_found_by_the_nearest_photo(scale):
    features = FEATURES[:6] * scale
    m = measure_moments(features, list("abcdef"))
    pca = fit_pca(m)
    fitted = fit_discriminant(m, pca, 5)
    labels, probabilities = classify(project(features, pca, 5), fitted, 5)
    assert labels.tolist() == list("abcdef")
    assert (probabilities > 0.5).all()


def test_a_single_label_is_always_the_answer():
    m = measure_moments(FEATURES, ["Fig"] * 300)
    labels, probabilities = classify(TEST_SCORES, fit_discriminant(m, PCA, D), 4)
    assert set(labels) == {"Fig"}
    np.testing.assert_allclose(probabilities, 1)
    one_photo = fit_discriminant(measure_moments(FEATURES[:1], ["Fig"]), PCA, D)
    assert np.isfinite(log_scores(TEST_SCORES, one_photo, D)).all()


def test_what_cannot_be_fitted_is_an_error_in_words():
    with pytest.raises(FruitsError, match="no photo has a label"):
        fit_discriminant(measure_moments(FEATURES), PCA, 4)
    with pytest.raises(FruitsError, match="k=17 is too large"):
        fit_discriminant(MOMENTS, PCA, 17)


def test_a_k_beyond_scores_or_discriminant_is_refused():
    fitted = fit_discriminant(MOMENTS, PCA, 9)
    index = index_labels(TEST_LABELS, fitted.labels)
    for scores, k in ((TEST_SCORES, 10), (TEST_SCORES[:, :4], 5), (TEST_SCORES, 0)):
        with pytest.raises(ValueError, match=f"k={k} is outside 1 to"):
            log_scores(scores, fitted, k)
        with pytest.raises(ValueError, match=f"k={k} is outside 1 to"):
            count_correct(scores, index, fitted, [1, k])
    with pytest.raises(ValueError, match="199 label indices for 200 photos"):
        count_correct(TEST_SCORES, index[1:], fitted, [1])
    assert count_correct(TEST_SCORES, index, fitted, [])["discriminant"].shape == (0,)
