"""Moments of a set of photos: count, mean and centred scatter, whole and per label. They merge and subtract.

Moments of 1280 features take 13 MB however many photos they cover, and everything the PCA and the discriminant need is
in them. So features are read once, in any order and any cut, and a photo that joins or leaves costs one small update.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

FORMAT = "fruits.moments.1"


@dataclass(frozen=True)
class Moments:
    """State of n photos with d features. Either every photo is labelled, or none is (then c = 0).

    Attributes:
        n: number of photos.
        mean: (d,) float64, in units of the features.
        scatter: (d, d) float64, symmetric; sum over photos of the outer product of (features - mean), not divided.
        labels: the c labels, sorted.
        label_counts: (c,) int64, photos per label, at least 1 each; they add up to n.
        label_means: (c, d) float64, mean of the features per label.
    """

    n: int
    mean: np.ndarray
    scatter: np.ndarray
    labels: tuple[str, ...]
    label_counts: np.ndarray
    label_means: np.ndarray


def empty_moments(d: int) -> Moments:
    """Give the moments of no photo at all: merging them changes nothing."""
    return Moments(0, np.zeros(d), np.zeros((d, d)), (), np.zeros(0, np.int64), np.zeros((0, d)))


def measure_moments(features: np.ndarray, labels: Sequence[str] | None = None) -> Moments:
    """Measure one block of photos; merge the blocks with merge_moments.

    Args:
        features: (n, d), float32 or float64; sums are float64. n may be 0.
        labels: n labels, or None when the photos have none.

    Returns:
        Moments of the block.

    Raises:
        ValueError: features is not a table, holds NaN or infinity (it would spoil every state it is merged into),
            labels is not as long as features, or some photos are labelled and some not.
    """
    features = np.asarray(features, dtype=np.float64)
    if features.ndim != 2:
        raise ValueError(f"features has shape {features.shape}; moments need (photos, features)")
    n, d = features.shape
    if labels is not None and len(labels) != n:
        raise ValueError(f"{len(labels)} labels for {n} photos")
    if n == 0:
        return empty_moments(d)
    mean = features.mean(axis=0)
    if not np.isfinite(mean).all():
        raise ValueError("features hold NaN or infinity; leave those photos out")
    centred = features - mean
    return Moments(n, mean, centred.T @ centred, *_measure_labels(centred, mean, labels))


def _measure_labels(
    centred: np.ndarray, mean: np.ndarray, labels: Sequence[str] | None
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Give labels, label_counts (c,) and label_means (c, d) of centred features (n, d)."""
    if labels is None:
        return (), np.zeros(0, np.int64), np.zeros((0, len(mean)))
    if any(label is None for label in labels):
        raise ValueError("some photos have no label; keep them in a Moments of their own, with labels=None")
    names = tuple(sorted({str(label) for label in labels}))
    index = {name: i for i, name in enumerate(names)}
    codes = np.fromiter((index[str(label)] for label in labels), np.int64, len(labels))
    counts = np.bincount(codes, minlength=len(names))
    starts = np.cumsum(counts) - counts
    sums = np.add.reduceat(centred[np.argsort(codes, kind="stable")], starts, axis=0)
    return names, counts, mean + sums / counts[:, None]


def merge_moments(a: Moments, b: Moments) -> Moments:
    """Combine the moments of two disjoint sets of photos.

    Args:
        a: moments of one set of photos; an empty one merges with any.
        b: moments of the other, same d, labelled as a is.

    Returns:
        Moments of the union, as if its photos had been measured together.

    Raises:
        ValueError: a and b have different d, or only one of them is labelled.

    Source: Chan, Golub and LeVeque, STAN-CS-79-773, Stanford 1979, pairwise update.
    """
    _check_alike(a, b)
    if a.n == 0 or b.n == 0:
        return b if a.n == 0 else a
    n = a.n + b.n
    shift = b.mean - a.mean
    scatter = np.outer(shift, shift)
    scatter *= a.n * b.n / n
    scatter += a.scatter
    scatter += b.scatter
    labels = tuple(sorted({*a.labels, *b.labels}))
    (a_counts, a_sums), (b_counts, b_sums) = _align_labels(a, labels), _align_labels(b, labels)
    counts = a_counts + b_counts
    return Moments(n, a.mean + shift * (b.n / n), scatter, labels, counts, (a_sums + b_sums) / counts[:, None])


def subtract_moments(whole: Moments, part: Moments) -> Moments:
    """Take a set of photos out of a larger one that contains it: the inverse of merge_moments.

    Rounding is relative to the whole, so what is left of a million photos down to a handful has fewer exact digits than
    the handful measured afresh.

    Args:
        whole: moments of all photos.
        part: moments of photos among them, same d, labelled as the whole is.

    Returns:
        Moments of the rest. A label without photos leaves. Subtracting everything gives empty moments.

    Raises:
        ValueError: different d, only one is labelled, or the part is not contained in the whole as far as counts,
            labels, means and variances can tell.

    Source: Chan, Golub and LeVeque, STAN-CS-79-773, Stanford 1979, pairwise update solved for one of the two sets.
    """
    _check_alike(whole, part)
    labels = tuple(sorted({*whole.labels, *part.labels}))
    (whole_counts, whole_sums), (part_counts, part_sums) = _align_labels(whole, labels), _align_labels(part, labels)
    counts = whole_counts - part_counts
    _check_counts(labels, counts)
    n = whole.n - part.n
    if n < 0:
        raise ValueError(f"cannot subtract {part.n} photos from {whole.n}")
    if n == 0:
        _check_same(whole, part)
        return empty_moments(len(whole.mean))
    shift = whole.mean - part.mean
    mean = whole.mean + shift * (part.n / n)
    scatter = np.outer(shift, shift)
    scatter *= -(whole.n * part.n / n)
    scatter += whole.scatter
    scatter -= part.scatter
    _check_contained(whole, scatter)
    kept = np.flatnonzero(counts)
    means = (whole_sums - part_sums)[kept] / counts[kept, None]
    return Moments(n, mean, scatter, tuple(labels[i] for i in kept), counts[kept], means)


def forget_labels(m: Moments) -> Moments:
    """Drop the labels, so that labelled and unlabelled photos can be merged for a PCA."""
    return replace(m, labels=(), label_counts=np.zeros(0, np.int64), label_means=np.zeros((0, len(m.mean))))


def _align_labels(m: Moments, labels: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Give counts (c,) and sums of features (c, d) for a longer list of labels; 0 where m has no such photo."""
    counts, sums = np.zeros(len(labels), np.int64), np.zeros((len(labels), len(m.mean)))
    place = {label: i for i, label in enumerate(labels)}
    rows = [place[label] for label in m.labels]
    counts[rows] = m.label_counts
    sums[rows] = m.label_means * m.label_counts[:, None]
    return counts, sums


def _check_alike(a: Moments, b: Moments) -> None:
    if len(a.mean) != len(b.mean):
        raise ValueError(f"moments of {len(a.mean)} and of {len(b.mean)} features do not combine")
    if a.n and b.n and bool(a.labels) != bool(b.labels):
        raise ValueError("one set of photos is labelled and the other is not; use forget_labels on the labelled one")


def _check_counts(labels: tuple[str, ...], counts: np.ndarray) -> None:
    for label, count in zip(labels, counts, strict=True):
        if count < 0:
            raise ValueError(f"cannot subtract {-count} more photos of {label!r} than there are")


def _check_same(a: Moments, b: Moments) -> None:
    if not np.allclose(a.mean, b.mean) or not np.allclose(a.scatter.diagonal(), b.scatter.diagonal()):
        raise ValueError(f"cannot subtract: these are {b.n} other photos than those of the whole")


def _check_contained(whole: Moments, rest: np.ndarray) -> None:
    """Refuse the scatter (d, d) of a rest whose variances are negative beyond rounding."""
    # The second term is what rounding of the means leaves where a feature never changes.
    rounding = 1e-9 * whole.scatter.diagonal() + (1e-15 * whole.n * whole.mean) ** 2
    if (rest.diagonal() < -rounding).any():
        raise ValueError("cannot subtract photos that are not in the whole: variances would be negative")
    np.fill_diagonal(rest, np.maximum(rest.diagonal(), 0))


def pack_moments(m: Moments) -> bytes:
    """Write moments as bytes; unpack_moments gives back every bit.

    Returns:
        One line of JSON (format, n, d, labels), a line feed, then little-endian arrays without gaps: mean, upper
        triangle of scatter row by row, label_counts (int64), label_means. 6.6 MB for d = 1280, and 10 kB per label.
    """
    header = {"format": FORMAT, "n": m.n, "d": len(m.mean), "labels": m.labels}
    upper = m.scatter[np.triu_indices(len(m.mean))]
    arrays = [m.mean.astype("<f8"), upper.astype("<f8"), m.label_counts.astype("<i8"), m.label_means.astype("<f8")]
    return b"".join([json.dumps(header).encode(), b"\n", *(array.tobytes() for array in arrays)])


def unpack_moments(packed: bytes) -> Moments:
    """Read what pack_moments wrote.

    Raises:
        ValueError: the bytes are of another format, or cut short.
    """
    line, _, body = bytes(packed).partition(b"\n")
    try:
        header = json.loads(line)
        if header["format"] != FORMAT:
            raise ValueError(header["format"])
    except (ValueError, TypeError, KeyError):
        raise ValueError(f"these bytes are not moments of format {FORMAT}; measure the photos again") from None
    d, c = header["d"], len(header["labels"])
    sizes = [d, d * (d + 1) // 2, c, c * d]
    if len(body) != 8 * sum(sizes):
        raise ValueError(f"moments have {len(body)} bytes after their header instead of {8 * sum(sizes)}")
    mean, upper, counts, means = np.split(np.frombuffer(body, "<f8"), np.cumsum(sizes)[:-1])
    scatter = np.empty((d, d))
    rows, columns = np.triu_indices(d)
    scatter[rows, columns] = scatter[columns, rows] = upper
    # The counts are int64; read with the rest as float64, their bytes are only looked at again.
    counts, labels = counts.view("<i8").astype(np.int64), tuple(header["labels"])
    return Moments(header["n"], mean.astype(float), scatter, labels, counts, means.astype(float).reshape(c, d))
