"""Figures say what was measured, and draw the numbers they were given."""

import io

import numpy as np

from fruits.views.plots import plot_accuracy_by_k, plot_backbones, plot_components, plot_cumulative_variance

ROWS = [
    {"k": 32, "accuracy_test": 0.9, "accuracy_train": 0.95, "cumulative_explained_variance": 0.6},
    {"k": 8, "accuracy_test": 0.7, "accuracy_train": None, "cumulative_explained_variance": 0.4},
]


def _png(figure):
    file = io.BytesIO()
    figure.savefig(file)
    return file.getvalue()


def _words(axes):
    legend = axes.get_legend()
    return [text.get_text() for text in (*axes.texts, *(legend.get_texts() if legend else ()))]


def _line(axes, label):
    return next(line.get_xydata().tolist() for line in axes.lines if line.get_label() == label)


def test_cumulative_variance_marks_the_first_k_that_reaches_a_share():
    figure = plot_cumulative_variance([0.5, 0.8, 0.9, 0.92], 2)
    (axes,) = figure.axes
    assert axes.lines[0].get_xydata().tolist() == [[1, 0.5], [2, 0.8], [3, 0.9], [4, 0.92]]
    assert _words(axes) == ["80%: k = 2", "90%: k = 3", "kept: k = 2"]
    assert "80.0% with k = 2" in axes.get_title(loc="left")
    assert axes.get_xlabel() and axes.get_ylabel()
    assert _png(figure).startswith(b"\x89PNG")


def test_accuracy_is_drawn_by_rising_k_and_leaves_out_what_was_not_measured():
    figure = plot_accuracy_by_k(ROWS, 32)
    (axes,) = figure.axes
    assert _line(axes, "accuracy of the discriminant, Test") == [[8, 0.7], [32, 0.9]]
    assert _line(axes, "accuracy of the discriminant, Training") == [[32, 0.95]]
    assert "accuracy of the nearest centroid, Test" not in _words(axes)
    assert _line(axes, "recommended: k = 32, 90.0% on Test") == [[32, 0], [32, 1]]
    assert _png(figure).startswith(b"\x89PNG")


def test_accuracy_without_labels_or_recommendation_is_the_variance_alone():
    (axes,) = plot_accuracy_by_k([{"k": 8, "accuracy_test": None, "cumulative_explained_variance": 0.4}], None).axes
    assert _words(axes) == ["variance held"]


def test_components_are_named_in_a_legend_where_colours_can_be_told_apart():
    scores = np.arange(12.0).reshape(4, 3)
    figure = plot_components(scores, ["Pear", "Apple", None, "Pear"], [0.5, 0.25, 0.1])
    (axes,) = figure.axes
    dots = axes.collections[0]
    np.testing.assert_array_equal(dots.get_offsets(), scores[:, :2])
    assert _words(axes) == ["Apple", "Pear", "no label"]
    colours = dots.get_facecolors()
    assert (colours[0] == colours[3]).all() and len(np.unique(colours, axis=0)) == 3
    assert axes.get_xlabel() == "component 1 (50.0% of variance)"
    assert axes.get_ylabel() == "component 2 (25.0% of variance)"
    assert axes.get_title(loc="left") == "First two PCA components of 4 photos, 3 labels"
    assert _png(figure).startswith(b"\x89PNG")


def test_many_labels_are_named_at_their_centroids_without_overlap():
    scores = np.random.default_rng(0).normal(size=(300, 2))
    labels = [f"label {place % 30:02}" for place in range(300)]
    (axes,) = plot_components(scores, labels, [0.5, 0.2]).axes
    assert axes.get_legend() is None and 1 <= len(axes.texts) <= 12
    for text in axes.texts:
        at = [place for place, label in enumerate(labels) if label == text.get_text()]
        np.testing.assert_allclose(text.xy, scores[at].mean(axis=0))


def test_of_many_photos_the_same_5000_are_drawn_every_time():
    scores = np.random.default_rng(0).normal(size=(12_000, 2))
    first, second = (plot_components(scores, ["Apple"] * 12_000, [0.5, 0.2]).axes[0] for _ in range(2))
    drawn = first.collections[0].get_offsets()
    assert len(drawn) == 5000
    np.testing.assert_array_equal(drawn, second.collections[0].get_offsets())
    np.testing.assert_array_equal(drawn[[0, -1]], scores[[0, -1]])
    assert "5,000 of 12,000 photos" in first.get_title(loc="left")


def test_networks_are_lines_of_one_colour_in_both_halves():
    rows = [
        {
            "backbone": name,
            "k": k,
            "cumulative_explained_variance": k / 10,
            "accuracy_test": None if name == "b" else 0.5,
        }
        for name in ("a", "b")
        for k in (8, 2)
    ]
    figure = plot_backbones(rows)
    left, right = figure.axes
    assert [_line(left, name) for name in ("a", "b")] == [[[2, 0.2], [8, 0.8]]] * 2
    assert _line(right, "a") == [[2, 0.5], [8, 0.5]]
    assert [line.get_label() for line in right.lines] == ["a"]  # without labels there is no accuracy
    first, second, same = (tuple(line.get_color()) for line in (*left.lines, *right.lines))
    assert first == same != second
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    assert _png(figure).startswith(b"\x89PNG")


def test_figures_speak_french_and_write_numbers_as_it_does():
    (axes,) = plot_cumulative_variance([0.5, 0.805, 0.9, 0.92], 2, language="fr").axes
    assert axes.get_title(loc="left") == "Variance des premières composantes : 80,5 % avec k = 2"
    assert _words(axes) == ["80 % : k = 2", "90 % : k = 3", "gardé : k = 2"]
    assert axes.yaxis.get_major_formatter()(0.4, 0) == "40 %"
    (axes,) = plot_accuracy_by_k(ROWS, 32, language="fr").axes
    assert "recommandé : k = 32, 90,0 % sur Test" in _words(axes)
    (axes,) = plot_components(np.zeros((12_000, 2)), [None] * 12_000, [0.5, 0.25], language="fr").axes
    assert axes.get_title(loc="left") == "Deux premières composantes, 5 000 sur 12 000 photos, 1 étiquettes"
    assert axes.get_xlabel() == "composante 1 (50,0 % de la variance)"
