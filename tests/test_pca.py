"""PCA from moments against PCA from the photos."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from fruits.errors import FruitsError, SettingError
from fruits.stats.moments import empty_moments, measure_moments, merge_moments, subtract_moments
from fruits.stats.pca import choose_k, fit_pca, project, reconstruction_error

RNG = np.random.default_rng(1)
MIXING = RNG.normal(size=(12, 12)) * np.geomspace(10, 0.1, 12)[:, None]
FEATURES = RNG.normal(size=(80, 12)) @ MIXING + 3
OTHERS = RNG.normal(size=(30, 12)) @ MIXING + 3.5
PCA_80 = fit_pca(measure_moments(FEATURES))


def test_components_and_variances_are_those_of_scikit_learn():
    reference = PCA(svd_solver="full").fit(FEATURES)
    assert PCA_80.n == 80
    np.testing.assert_allclose(PCA_80.mean, reference.mean_, rtol=1e-13)
    np.testing.assert_allclose(PCA_80.eigenvalues, reference.explained_variance_, rtol=1e-9)
    np.testing.assert_allclose(PCA_80.explained_variance_ratio, reference.explained_variance_ratio_, rtol=1e-9)
    alignment = np.einsum("kd,kd->k", PCA_80.components, reference.components_)
    np.testing.assert_allclose(np.abs(alignment), 1, rtol=1e-9)
    np.testing.assert_allclose(PCA_80.total_variance, FEATURES.var(axis=0, ddof=1).sum(), rtol=1e-12)


def test_shares_of_variance_add_up_to_one():
    cumulative = PCA_80.cumulative_explained_variance_ratio
    np.testing.assert_allclose(cumulative, np.cumsum(PCA_80.explained_variance_ratio), rtol=1e-12)
    assert (np.diff(cumulative) >= 0).all()
    assert cumulative.max() <= 1
    assert cumulative[-1] == pytest.approx(1, abs=1e-12)


def test_components_are_orthonormal_and_their_largest_loading_is_positive():
    np.testing.assert_allclose(PCA_80.components @ PCA_80.components.T, np.eye(12), atol=1e-12)
    largest = np.abs(PCA_80.components).argmax(axis=1)
    assert (PCA_80.components[np.arange(12), largest] > 0).all()


def test_fewer_photos_than_features_give_n_minus_1_components():
    pca = fit_pca(measure_moments(FEATURES[:5]))
    assert pca.components.shape == (4, 12)
    assert pca.eigenvalues.shape == (4,)
    np.testing.assert_allclose(pca.eigenvalues, PCA(svd_solver="full").fit(FEATURES[:5]).explained_variance_[:4])
    np.testing.assert_allclose(pca.cumulative_explained_variance_ratio[-1], 1, rtol=1e-12)


def test_repeated_photos_give_no_negative_variance():
    pca = fit_pca(measure_moments(np.repeat(FEATURES[:3], 20, axis=0)))
    assert (pca.eigenvalues >= 0).all()
    assert pca.cumulative_explained_variance_ratio.max() <= 1
    np.testing.assert_allclose(pca.eigenvalues[2:], 0, atol=1e-10)


def test_a_refreshed_state_gives_the_pca_of_a_full_refit():
    state = merge_moments(measure_moments(FEATURES[:50]), measure_moments(OTHERS))
    state = subtract_moments(merge_moments(state, measure_moments(FEATURES[50:])), measure_moments(OTHERS))
    refreshed = fit_pca(state)
    np.testing.assert_allclose(refreshed.eigenvalues, PCA_80.eigenvalues, rtol=1e-9)
    np.testing.assert_allclose(refreshed.components, PCA_80.components, atol=1e-9)


@pytest.mark.parametrize(
    ("m", "words"),
    [
        (empty_moments(3), "at least 2 photos with features, there are 0"),
        (measure_moments(FEATURES[:1]), "there are 1"),
        (measure_moments(np.full((7, 3), 0.1)), "the 7 photos all have the same features"),
        (measure_moments(np.zeros((7, 3))), "no variance"),
    ],
)
def test_too_little_to_fit_is_an_error_in_words(m, words):
    with pytest.raises(FruitsError, match=words):
        fit_pca(m)


@pytest.mark.parametrize(
    ("k", "chosen"), [(1, 1), (3, 3), (4.0, 4), (0.5, 1), (0.51, 2), (0.8, 2), (0.81, 3), (0.1 + 0.7, 2), (0.999, 4)]
)
def test_a_count_is_itself_and_a_share_the_smallest_k_that_reaches_it(k, chosen):
    assert choose_k(np.array([0.5, 0.8 - 1e-15, 0.95, 1.0]), k) == chosen
    assert isinstance(choose_k(PCA_80, k), int)


def test_a_share_is_reached_and_one_component_less_does_not_reach_it():
    for share in (0.6, 0.9, 0.99):
        k = choose_k(PCA_80, share)
        assert PCA_80.cumulative_explained_variance_ratio[k - 1] >= share
        assert k == 1 or PCA_80.cumulative_explained_variance_ratio[k - 2] < share


def test_a_k_that_is_too_large_names_itself_the_photos_and_the_largest_useful_k():
    pca = fit_pca(measure_moments(FEATURES[:5]))
    assert choose_k(pca, 4) == 4
    with pytest.raises(FruitsError, match=r"k=5 is too large: the largest useful k is 4 with 5 photos.*try k=4"):
        choose_k(pca, 5)
    with pytest.raises(FruitsError, match="largest useful k is 2"):
        choose_k(np.array([0.5, 0.8]), 3)
    with pytest.raises(FruitsError, match=r"k=0.9 is not reached: 2 components hold 0.8000"):
        choose_k(np.array([0.5, 0.8]), 0.9)


@pytest.mark.parametrize("k", [0, -1, 1.5, -0.5, float("nan"), float("inf")])
def test_a_k_that_is_neither_count_nor_share_is_a_wrong_setting(k):
    with pytest.raises(SettingError, match="neither a count"):
        choose_k(PCA_80, k)


def test_scores_are_centred_and_those_of_scikit_learn_up_to_sign():
    scores = project(FEATURES, PCA_80, 5)
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=1e-12)
    reference = PCA(n_components=5, svd_solver="full").fit(FEATURES)
    np.testing.assert_allclose(np.abs(scores), np.abs(reference.transform(FEATURES)), atol=1e-10)
    np.testing.assert_allclose(project(OTHERS, PCA_80, 5), project(OTHERS, PCA_80, 12)[:, :5], rtol=1e-12)
    with pytest.raises(FruitsError, match="k=13 is too large"):
        project(FEATURES, PCA_80, 13)


def test_scores_of_float32_features_are_float64():
    features = FEATURES.astype(np.float32)
    np.testing.assert_array_equal(project(features, PCA_80, 3), project(features.astype(float), PCA_80, 3), strict=True)


def test_reconstruction_error_of_other_photos_equals_rebuilding_each():
    ks = [12, 1, 3, 8]
    centred = OTHERS - PCA_80.mean
    expected = []
    for k in ks:
        rebuilt = project(OTHERS, PCA_80, k) @ PCA_80.components[:k]
        expected.append(((centred - rebuilt) ** 2).sum() / (centred**2).sum())
    np.testing.assert_allclose(reconstruction_error(measure_moments(OTHERS), PCA_80, ks), expected, atol=1e-13)


def test_reconstruction_error_of_the_fitted_photos_is_the_share_of_variance_left():
    left = 1 - PCA_80.cumulative_explained_variance_ratio
    errors = reconstruction_error(measure_moments(FEATURES), PCA_80, range(1, 13))
    np.testing.assert_allclose(errors, left, atol=1e-12)
    assert (errors >= 0).all()


def test_reconstruction_error_needs_photos_and_components():
    with pytest.raises(FruitsError, match="no photos to reconstruct"):
        reconstruction_error(empty_moments(12), PCA_80, [1])
    with pytest.raises(FruitsError, match="k=13 is too large"):
        reconstruction_error(measure_moments(OTHERS), PCA_80, [1, 13])
    assert reconstruction_error(measure_moments(PCA_80.mean[None]), PCA_80, [1, 2]).tolist() == [0, 0]
    assert reconstruction_error(measure_moments(OTHERS), PCA_80, []).shape == (0,)
