"""Photos near each other, and at the ends of a component."""

import numpy as np

from fruits.stats.neighbours import BLOCK, find_ends, find_lookalikes, find_nearest, rank_nearest


def test_the_ends_are_the_lowest_and_the_highest():
    low, high = find_ends(np.array([3.0, -1, 0, 9, 5, -7]), 2)
    assert (low, high) == ([5, 1], [4, 3])


def test_of_few_photos_none_is_at_both_ends():
    assert find_ends(np.array([2.0, 1, 3]), 6) == ([1], [2])
    assert find_ends(np.array([2.0]), 6) == ([], [])


def test_neighbours_are_those_that_a_plain_search_finds():
    points = np.random.default_rng(0).normal(size=(BLOCK + 50, 3))
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (find_nearest(points, 3) == distances.argsort(axis=1)[:, :3]).all()


def test_a_photo_has_at_most_all_others_for_neighbours():
    assert find_nearest(np.array([[0.0], [1], [5]]), 5).tolist() == [[1, 2], [0, 2], [1, 0]]
    assert find_nearest(np.zeros((1, 2)), 5).shape == (1, 0)
    assert find_nearest(np.zeros((0, 2)), 5).shape == (0, 0)


def test_neighbours_of_one_photo_are_ranked_with_their_distances():
    points = np.array([[0.0], [7], [1], [-3]])
    assert rank_nearest(points, 2, 2) == [(0, 1.0), (3, 4.0)]
    assert rank_nearest(points, 1, 9) == [(2, 6.0), (0, 7.0), (3, 10.0)]
    assert rank_nearest(np.zeros((3, 2)), 1, 5) == [(0, 0.0), (2, 0.0)]  # never itself, though no farther


def test_lookalikes_are_the_closest_pair_of_any_two_labels_closest_first():
    points = np.array([[0.0], [0.1], [1], [1.2], [10], [10.5], [0.05]])
    labels = np.array([0, 0, 1, 1, 2, 0, -1])  # the last has no label, and is closest to all
    found = find_lookalikes(points, labels, 5)
    # Of the three pairs of labels, none of 1 is nearest to one of 2, nor the other way round.
    assert [(a, b) for a, b, _ in found] == [(4, 5), (1, 2)]
    np.testing.assert_allclose([distance for *_, distance in found], [0.5, 0.9])
    assert len(find_lookalikes(points, labels, 1)) == 1


def test_one_label_has_no_lookalikes():
    assert find_lookalikes(np.zeros((3, 2)), np.array([0, 0, -1]), 5) == []
    assert find_lookalikes(np.zeros((0, 2)), np.zeros(0, int), 5) == []
