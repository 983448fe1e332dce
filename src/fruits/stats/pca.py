"""PCA from moments: every number of components k at once, from one eigendecomposition."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fruits.errors import FruitsError, SettingError
from fruits.stats.moments import Moments


@dataclass(frozen=True)
class Pca:
    """Principal components of n photos with d features; r = min(n - 1, d) of them can be told apart.

    Attributes:
        n: number of photos fitted on.
        mean: (d,) float64, what is subtracted before projecting.
        components: (r, d) float64, orthonormal rows by falling eigenvalue; the largest absolute loading is positive.
        eigenvalues: (r,) float64, variance along each component (divided by n - 1), never negative.
        total_variance: sum of the variances of the d features.
    """

    n: int
    mean: np.ndarray
    components: np.ndarray
    eigenvalues: np.ndarray
    total_variance: float

    @property
    def explained_variance_ratio(self) -> np.ndarray:
        """Share of the variance along each component, (r,)."""
        return self.eigenvalues / self.total_variance

    @property
    def cumulative_explained_variance_ratio(self) -> np.ndarray:
        """Share of the variance the first k components hold, at index k - 1, (r,); rises to 1."""
        return np.minimum(np.cumsum(self.explained_variance_ratio), 1.0)


def fit_pca(m: Moments) -> Pca:
    """Fit all components by one symmetric eigendecomposition of the covariance.

    Args:
        m: moments of n photos, labelled or not.

    Raises:
        FruitsError: fewer than two photos, or all photos have the same features.
    """
    if m.n < 2:
        raise FruitsError(f"a PCA needs at least 2 photos with features, there are {m.n}; add photos to Training")
    total_variance = float(np.trace(m.scatter)) / (m.n - 1)
    # Rounding of the mean leaves about (1e-15 mean)^2 where all photos are the same.
    if total_variance <= 1e-24 * float(m.mean @ m.mean):
        raise FruitsError(f"the {m.n} photos all have the same features, so there is no variance; add other photos")
    values, vectors = np.linalg.eigh(m.scatter / (m.n - 1))
    r = min(m.n - 1, len(m.mean))
    components = np.ascontiguousarray(vectors[:, ::-1][:, :r].T)
    largest = np.abs(components).argmax(axis=1)
    # An eigenvector is defined up to its sign; a fixed one keeps scores comparable between refits.
    components *= np.sign(components[np.arange(r), largest])[:, None]
    # Rounding makes the eigenvalue of a direction without variance slightly negative.
    return Pca(m.n, m.mean, components, np.maximum(values[::-1][:r], 0.0), total_variance)


def choose_k(pca: Pca | np.ndarray, k: int | float) -> int:
    """Turn the wanted k into a number of components.

    Args:
        pca: a Pca, or cumulative shares of variance of shape (r,), as in Pca.cumulative_explained_variance_ratio.
        k: a count from 1 to r, or a share of variance between 0 and 1: the smallest k that reaches it.

    Raises:
        SettingError: k is neither a count nor a share.
        FruitsError: k is more than the components there are, or they do not reach the share.
    """
    cumulative = pca.cumulative_explained_variance_ratio if isinstance(pca, Pca) else np.asarray(pca)
    r = len(cumulative)
    if 0 < k < 1:
        # A share printed by one run and asked for in the next must give the same k, whatever the last digit.
        chosen = int(np.searchsorted(cumulative, k - 1e-12)) + 1
        if chosen > r:
            raise FruitsError(f"k={k:g} is not reached: {r} components hold {cumulative[-1]:.4f}; try a smaller share")
        return chosen
    if not (k >= 1 and float(k).is_integer()):
        raise SettingError(f"k={k:g} is neither a count from 1 nor a share between 0 and 1; try k=128 or k=0.95")
    if k > r:
        there_are = f"with {pca.n} photos of {len(pca.mean)} features" if isinstance(pca, Pca) else "here"
        raise FruitsError(
            f"k={k:g} is too large: the largest useful k is {r} {there_are}; try k={r}, or a share such as k=0.95"
        )
    return int(k)


def project(features: np.ndarray, pca: Pca, k: int) -> np.ndarray:
    """Give the centred scores on the first k components.

    Args:
        features: (n, d), float32 or float64.
        pca: fitted components.
        k: number of components, 1 to r.

    Returns:
        (n, k) float64, in units of the features.

    Raises:
        FruitsError: k is more than the components there are.
    """
    components = pca.components[: choose_k(pca, k)]
    return (np.asarray(features, dtype=np.float64) - pca.mean) @ components.T


def reconstruction_error(m: Moments, pca: Pca, ks: Sequence[int]) -> np.ndarray:
    """Measure how much of other photos is lost when only k scores are kept, from the moments of these photos alone.

    Args:
        m: moments of the photos to reconstruct, for example Test; labelled or not.
        pca: components fitted on Training.
        ks: numbers of components, each 1 to r.

    Returns:
        (len(ks),) float64 between 0 and 1: sum of |x - x_k|^2 over sum of |x - pca.mean|^2, where x_k is rebuilt from
        k scores. 0 where every photo equals pca.mean.

    Raises:
        FruitsError: m is empty, or a k is more than the components there are.

    Source: with components V, |x - x_k|^2 = |x - pca.mean|^2 - |V_k (x - pca.mean)|^2 (Pythagoras); both sums are
        traces of the second moment about pca.mean, which is scatter + n * shift shift^T (parallel axes).
    """
    if m.n == 0:
        raise FruitsError("there are no photos to reconstruct; add photos to Test, or raise test_fraction")
    counts = [choose_k(pca, k) for k in ks]
    shift = m.mean - pca.mean
    total = np.trace(m.scatter) + m.n * (shift @ shift)
    if total == 0:
        return np.zeros(len(counts))
    components = pca.components[: max(counts, default=0)]
    kept = np.einsum("kd,kd->k", components @ m.scatter, components) + m.n * (components @ shift) ** 2
    return np.maximum(1 - np.cumsum(kept)[np.array(counts, dtype=int) - 1] / total, 0.0)
