"""Moments: the same numbers however the photos are cut, labelled, added and taken away."""

from functools import reduce
from itertools import pairwise

import numpy as np
import pytest

from fruits.stats.moments import (
    Moments,
    empty_moments,
    forget_labels,
    measure_moments,
    merge_moments,
    pack_moments,
    subtract_moments,
    unpack_moments,
)

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(5, 1, size=(50, 4)) * [1, 10, 0.1, 1]
LABELS = [("Apple Red 1", "Banana", "Cherry")[i % 3] for i in range(49)] + ["Quince"]


def assert_same(left: Moments, right: Moments) -> None:
    assert left.n == right.n
    assert left.labels == right.labels
    np.testing.assert_array_equal(left.label_counts, right.label_counts)
    np.testing.assert_allclose(left.mean, right.mean, rtol=1e-12)
    np.testing.assert_allclose(left.scatter, right.scatter, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(left.label_means, right.label_means, rtol=1e-11)


def test_scatter_over_n_minus_1_is_the_covariance():
    m = measure_moments(FEATURES)
    assert m.n == 50
    np.testing.assert_allclose(m.mean, FEATURES.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(m.scatter / 49, np.cov(FEATURES.T), rtol=1e-12)
    assert m.labels == ()
    assert m.label_counts.shape == (0,)
    assert m.label_means.shape == (0, 4)


def test_every_label_has_its_count_and_mean():
    m = measure_moments(FEATURES, LABELS)
    assert m.labels == ("Apple Red 1", "Banana", "Cherry", "Quince")
    assert m.label_counts.tolist() == [17, 16, 16, 1]
    assert m.label_counts.dtype == np.int64
    for label, mean in zip(m.labels, m.label_means, strict=True):
        np.testing.assert_allclose(mean, FEATURES[np.array(LABELS) == label].mean(axis=0), rtol=1e-13)


def test_sums_of_float32_features_are_float64():
    features = (1000 + RNG.random((5000, 2))).astype(np.float32)
    m = measure_moments(features)
    np.testing.assert_allclose(m.scatter / 4999, np.cov(features.T.astype(np.float64)), rtol=1e-12)


@pytest.mark.parametrize("labels", [LABELS, None], ids=["labelled", "unlabelled"])
def test_moments_do_not_depend_on_how_the_photos_are_split(labels):
    whole = measure_moments(FEATURES, labels)
    for cuts in ([1], [25], [49], [0, 7, 7, 30, 50]):
        edges = [0, *cuts, 50]
        blocks = [measure_moments(FEATURES[a:b], labels and labels[a:b]) for a, b in pairwise(edges)]
        assert_same(reduce(merge_moments, blocks), whole)
        assert_same(reduce(merge_moments, reversed(blocks)), whole)


def test_merging_changes_neither_of_the_two():
    a, b = measure_moments(FEATURES[:20], LABELS[:20]), measure_moments(FEATURES[20:], LABELS[20:])
    before = pack_moments(a), pack_moments(b)
    merge_moments(a, b)
    subtract_moments(merge_moments(a, b), b)
    assert (pack_moments(a), pack_moments(b)) == before


def test_empty_moments_change_nothing():
    m = measure_moments(FEATURES, LABELS)
    for merged in (merge_moments(empty_moments(4), m), merge_moments(m, empty_moments(4))):
        assert_same(merged, m)
    assert_same(subtract_moments(m, empty_moments(4)), m)
    assert_same(measure_moments(np.zeros((0, 4)), []), empty_moments(4))


@pytest.mark.parametrize("labels", [LABELS, None], ids=["labelled", "unlabelled"])
def test_what_is_subtracted_was_never_there(labels):
    whole = measure_moments(FEATURES, labels)
    for cut in (1, 25, 49):
        part, rest = (measure_moments(FEATURES[s], labels and labels[s]) for s in (slice(cut), slice(cut, None)))
        assert_same(subtract_moments(whole, part), rest)


def test_a_label_without_photos_leaves():
    quince = measure_moments(FEATURES[49:], LABELS[49:])
    rest = subtract_moments(measure_moments(FEATURES, LABELS), quince)
    assert rest.labels == ("Apple Red 1", "Banana", "Cherry")
    assert rest.label_counts.tolist() == [17, 16, 16]
    assert rest.label_means.shape == (3, 4)


def test_subtracting_everything_leaves_the_empty_moments():
    whole = measure_moments(FEATURES, LABELS)
    merged = merge_moments(measure_moments(FEATURES[30:], LABELS[30:]), measure_moments(FEATURES[:30], LABELS[:30]))
    assert_same(subtract_moments(whole, merged), empty_moments(4))


def test_a_feature_that_never_changes_can_be_added_and_subtracted():
    features = np.column_stack([RNG.random(40), np.full(40, 0.3)])
    whole = reduce(merge_moments, [measure_moments(features[i : i + 7]) for i in range(0, 40, 7)])
    rest = subtract_moments(whole, measure_moments(features[3:35]))
    assert rest.n == 8
    assert 0 <= rest.scatter[1, 1] < 1e-25


def test_many_small_changes_equal_a_fresh_measurement():
    features = RNG.normal(3, 1, size=(400, 4))
    state = measure_moments(features[:100])
    for i in range(0, 300, 10):
        state = merge_moments(state, measure_moments(features[i + 100 : i + 110]))
        state = subtract_moments(state, measure_moments(features[i : i + 10]))
    np.testing.assert_allclose(state.scatter, measure_moments(features[300:]).scatter, rtol=1e-9)


@pytest.mark.parametrize(
    ("whole", "part", "words"),
    [
        (measure_moments(FEATURES[:5]), measure_moments(FEATURES[:6]), "6 photos from 5"),
        (measure_moments(FEATURES[:20]), measure_moments(FEATURES[30:35] * 3), "not in the whole"),
        (measure_moments(FEATURES[:5]), measure_moments(FEATURES[5:10]), "5 other photos"),
        (measure_moments(FEATURES[:9], "aaaaaaaab"), measure_moments(FEATURES[7:9], "bb"), "1 more photos of 'b'"),
        (measure_moments(FEATURES[:9], "aaaaaaaab"), measure_moments(FEATURES[7:9], "cb"), "1 more photos of 'c'"),
        (empty_moments(4), measure_moments(FEATURES[:2]), "2 photos from 0"),
        (measure_moments(FEATURES, LABELS), measure_moments(FEATURES[:2]), "forget_labels"),
        (measure_moments(FEATURES), measure_moments(FEATURES[:2, :3]), "4 and of 3"),
    ],
)
def test_what_is_not_contained_cannot_be_subtracted(whole, part, words):
    with pytest.raises(ValueError, match=words):
        subtract_moments(whole, part)


def test_labelled_and_unlabelled_photos_merge_once_labels_are_forgotten():
    labelled, unlabelled = measure_moments(FEATURES[:30], LABELS[:30]), measure_moments(FEATURES[30:])
    for pair in ((labelled, unlabelled), (unlabelled, labelled)):
        with pytest.raises(ValueError, match="forget_labels"):
            merge_moments(*pair)
    assert_same(merge_moments(forget_labels(labelled), unlabelled), measure_moments(FEATURES))


def test_moments_of_different_length_do_not_merge():
    with pytest.raises(ValueError, match="4 and of 3"):
        merge_moments(measure_moments(FEATURES), measure_moments(FEATURES[:, :3]))


@pytest.mark.parametrize(
    ("features", "labels", "words"),
    [
        (FEATURES[0], None, "photos, features"),
        (FEATURES, LABELS[:49], "49 labels for 50 photos"),
        (FEATURES, [*LABELS[:49], None], "some photos have no label"),
        (np.where(np.arange(50)[:, None] == 7, np.nan, FEATURES), None, "NaN"),
        (np.where(np.arange(50)[:, None] == 7, np.inf, FEATURES), LABELS, "NaN or infinity"),
    ],
)
def test_features_that_would_spoil_the_state_are_refused(features, labels, words):
    with pytest.raises(ValueError, match=words):
        measure_moments(features, labels)


@pytest.mark.parametrize(
    "m",
    [
        measure_moments(FEATURES, [f"{label}\n\u00e9" for label in LABELS]),
        measure_moments(FEATURES),
        empty_moments(4),
        merge_moments(measure_moments(FEATURES[:9], LABELS[:9]), measure_moments(FEATURES[9:], LABELS[9:])),
    ],
    ids=["labelled", "unlabelled", "empty", "merged"],
)
def test_packing_keeps_every_bit(m):
    back = unpack_moments(pack_moments(m))
    assert (back.n, back.labels) == (m.n, m.labels)
    for name in ("mean", "scatter", "label_counts", "label_means"):
        np.testing.assert_array_equal(getattr(back, name), getattr(m, name), strict=True)
    assert_same(merge_moments(back, empty_moments(4)), m)


def test_packed_moments_hold_only_half_of_the_scatter():
    m = measure_moments(RNG.random((9, 200)))
    assert len(pack_moments(m)) < 8 * (200 * 201 // 2 + 200) + 100


@pytest.mark.parametrize("packed", [b"", b"PK\x03\x04\xff", b"[1]\n", b'{"format": "other"}\n'])
def test_bytes_that_are_not_moments_are_refused(packed):
    with pytest.raises(ValueError, match="not moments"):
        unpack_moments(packed)


def test_moments_cut_short_are_refused():
    with pytest.raises(ValueError, match="bytes after their header"):
        unpack_moments(pack_moments(measure_moments(FEATURES))[:-8])
