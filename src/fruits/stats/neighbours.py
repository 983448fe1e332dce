"""Photos near each other in PCA space, and those at the ends of a component."""

import numpy as np

BLOCK = 1024  # photos whose distances to all others are held at a time: 80 MB for 10,000 photos


def find_ends(scores: np.ndarray, most: int) -> tuple[list[int], list[int]]:
    """Name the photos with the lowest and with the highest scores along one component.

    Args:
        scores: (n,) scores along the component.
        most: photos at each end; of few photos, at most half.

    Returns:
        Places of the lowest, lowest first, and of the highest, highest last.
    """
    order = np.argsort(scores, kind="stable")
    size = min(most, len(order) // 2)
    return order[:size].tolist(), order[len(order) - size :].tolist()


def find_lookalikes(scores: np.ndarray, labels: np.ndarray, most: int) -> list[tuple[int, int, float]]:
    """Find pairs of photos that lie close together though their labels differ: the closest of each pair of labels.

    Args:
        scores: (n, k) PCA scores.
        labels: (n,) int, label of each photo; -1 for a photo without, which is left out.
        most: pairs to give.

    Returns:
        (place, place, Euclidean distance), closest first, at most one for any two labels.
    """
    named = np.flatnonzero(labels >= 0)
    points, kinds = np.asarray(scores, dtype=np.float32)[named], labels[named]
    lengths = np.einsum("nk,nk->n", points, points)
    pairs = []
    for start in range(0, len(points), BLOCK):
        rows = slice(start, start + BLOCK)
        squared = lengths[rows, None] + lengths - 2 * points[rows] @ points.T
        squared[kinds[rows, None] == kinds] = np.inf
        nearest = squared.argmin(axis=1)
        pairs += zip(range(start, start + len(nearest)), nearest.tolist(), strict=True)
    # Measured again in float64: a small difference of large squares is noise in float32.
    exact = [
        (float(np.linalg.norm(scores[named[a]] - scores[named[b]])), a, b) for a, b in pairs if kinds[a] != kinds[b]
    ]
    found: dict[frozenset, tuple[int, int, float]] = {}
    for distance, a, b in sorted(exact):
        found.setdefault(frozenset((kinds[a], kinds[b])), (int(named[a]), int(named[b]), distance))
    return list(found.values())[:most]


def find_nearest(scores: np.ndarray, most: int) -> np.ndarray:
    """Find the photos closest to each photo.

    Args:
        scores: (n, k) PCA scores.
        most: neighbours of each; of few photos, all others.

    Returns:
        (n, most) places of the others, closest first.
    """
    points = np.asarray(scores, dtype=np.float32)
    size = min(most, max(len(points) - 1, 0))
    found = np.empty((len(points), size), dtype=int)
    if not size:
        return found
    lengths = np.einsum("nk,nk->n", points, points)
    for start in range(0, len(points), BLOCK):
        rows = slice(start, start + BLOCK)
        squared = lengths - 2 * points[rows] @ points.T  # a photo's own length changes no order
        squared[np.arange(len(squared)), np.arange(start, start + len(squared))] = np.inf
        near = np.argpartition(squared, size - 1, axis=1)[:, :size]
        found[rows] = np.take_along_axis(near, np.take_along_axis(squared, near, 1).argsort(axis=1), 1)
    return found


def rank_nearest(scores: np.ndarray, photo: int, most: int) -> list[tuple[int, float]]:
    """Find the photos closest to one, and how far they are.

    Args:
        scores: (n, k) PCA scores.
        photo: place of the one.
        most: neighbours to give; of few photos, all others.

    Returns:
        (place, Euclidean distance), closest first.
    """
    distances = np.linalg.norm(np.asarray(scores, dtype=np.float64) - scores[photo], axis=1)
    order = np.argsort(distances, kind="stable")
    return [(place, float(distances[place])) for place in order[order != photo][:most].tolist()]
