"""Figures of a fit and of a comparison, for MLflow, the report and the notebooks.

Made with matplotlib's Figure, never pyplot: nothing is kept open, and no display is needed.
"""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (8, 5)  # inches
DPI = 120
INK, ACCENT, MUTED = "#1b4965", "#c1440e", "#8d99a6"
PAPER = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.75}  # behind words
MAX_DOTS = 5000
MAX_LEGEND = 20  # labels; more colours cannot be told apart
MAX_NAMES = 12  # written into the figure where a legend would be too long
# English to French. Here and not in views/texts: the cloud notebook brings this module whole to where no package is.
FRENCH = {
    "components k": "composantes k",
    "share": "part",
    "cumulative share of variance": "part de variance cumulée",
    "Variance held by the first components: {share} with k = {k}": (
        "Variance des premières composantes : {share} avec k = {k}"
    ),
    "{share}: k = {k}": "{share} : k = {k}",
    "kept: k = {k}": "gardé : k = {k}",
    "Accuracy and variance held, by number of components": "Justesse et variance gardée selon le nombre de composantes",
    "accuracy of the discriminant, Test": "justesse du discriminant, Test",
    "accuracy of the discriminant, Training": "justesse du discriminant, Training",
    "accuracy of the nearest centroid, Test": "justesse du plus proche centroïde, Test",
    "variance held": "variance gardée",
    "recommended: k = {k}": "recommandé : k = {k}",
    "recommended: k = {k}, {share} on Test": "recommandé : k = {k}, {share} sur Test",
    "no label": "sans étiquette",
    "{drawn} of {n}": "{drawn} sur {n}",
    "First two PCA components of {shown} photos, {labels} labels": (
        "Deux premières composantes, {shown} photos, {labels} étiquettes"
    ),
    "component {number} ({share} of variance)": "composante {number} ({share} de la variance)",
}
# What a row of the comparison holds, what to call it, how to draw it.
CURVES = (
    ("accuracy_test", "accuracy of the discriminant, Test", INK, "-"),
    ("accuracy_train", "accuracy of the discriminant, Training", INK, ":"),
    ("centroid_accuracy_test", "accuracy of the nearest centroid, Test", MUTED, "-"),
)


class _Say:
    """Words of a figure in a language, and numbers as it writes them."""

    def __init__(self, language: str) -> None:
        """Choose a language, en or fr."""
        self._is_french = language == "fr"

    def __call__(self, text: str, **values: Any) -> str:
        """Give a text, which is in English, with values put in."""
        return (FRENCH[text] if self._is_french else text).format(**values)

    def share(self, value: float, digits: int = 1) -> str:
        text = f"{value:.{digits}%}"
        return text.replace(".", ",").replace("%", " %") if self._is_french else text

    def count(self, value: int) -> str:
        return f"{value:,}".replace(",", " " if self._is_french else ",")


def plot_cumulative_variance(
    cumulative: Sequence[float], k: int, marks: Sequence[float] = (0.8, 0.9, 0.95, 0.99), language: str = "en"
) -> "Figure":
    """Draw the share of variance the first components hold, with the k that was kept and the k that marks need.

    Args:
        cumulative: shares for 1 to r components, rising to 1.
        k: number of components kept, 1 to r.
        marks: shares to point out; those that are never reached are left out.
        language: of the words, en or fr.
    """
    cumulative, say = np.asarray(cumulative, dtype=float), _Say(language)
    figure, axes = _make_axes(
        say("Variance held by the first components: {share} with k = {k}", share=say.share(cumulative[k - 1]), k=k),
        say("components k"),
        say("cumulative share of variance"),
    )
    steps = np.arange(1, len(cumulative) + 1)
    axes.plot(steps, cumulative, color=INK, linewidth=2)
    for mark in marks:
        reached = int(np.searchsorted(cumulative, mark - 1e-12)) + 1
        if reached > len(cumulative):
            continue
        axes.plot([0, reached, reached], [mark, mark, 0], color=MUTED, linewidth=0.8, linestyle="--")
        at_the_edge = reached > 0.85 * len(cumulative)
        axes.annotate(
            say("{share}: k = {k}", share=say.share(mark, 0), k=reached),
            (reached, mark),
            (-6 if at_the_edge else 6, -13),
            textcoords="offset points",
            ha="right" if at_the_edge else "left",
            fontsize=9,
            bbox=PAPER,
        )
    axes.plot([k], [cumulative[k - 1]], "o", color=ACCENT, label=say("kept: k = {k}", k=k), zorder=3)
    axes.set(xlim=(0, len(cumulative) * 1.02), ylim=(0, 1.02))
    axes.locator_params(axis="x", integer=True)
    axes.yaxis.set_major_formatter(lambda share, _: say.share(share, 0))
    axes.legend(loc="lower right", frameon=False)
    return figure


def plot_accuracy_by_k(rows: Sequence[Mapping[str, Any]], recommended_k: int | None, language: str = "en") -> "Figure":
    """Draw how often the classifiers are right, and how much variance is held, for each compared k.

    Args:
        rows: one per k, any order: `k` and any of accuracy_test, accuracy_train, centroid_accuracy_test,
            cumulative_explained_variance; None where there is none.
        recommended_k: the k to point out, if one is recommended.
        language: of the words, en or fr.
    """
    rows, say = sorted(rows, key=lambda row: row["k"]), _Say(language)
    title = say("Accuracy and variance held, by number of components")
    figure, axes = _make_axes(title, say("components k"), say("share"))
    for name, curve, colour, line in CURVES:
        _plot_column(axes, rows, name, say(curve), color=colour, linestyle=line, marker="o", markersize=4)
    look = {"color": ACCENT, "linestyle": "--", "linewidth": 1}
    _plot_column(axes, rows, "cumulative_explained_variance", say("variance held"), **look)
    if recommended_k is not None:
        best = next((row.get("accuracy_test") for row in rows if row["k"] == recommended_k), None)
        said = say("recommended: k = {k}", k=recommended_k)
        if best is not None:
            said = say("recommended: k = {k}, {share} on Test", k=recommended_k, share=say.share(best))
        axes.axvline(recommended_k, color=ACCENT, linewidth=0.8, label=said)
    _mark_ks(axes, rows, say)
    axes.legend(loc="lower right", fontsize=9, edgecolor="none")
    return figure


def plot_backbones(rows: Sequence[Mapping[str, Any]]) -> "Figure":
    """Draw what networks are worth beside each other: variance held and accuracy on Test, a line per network.

    Args:
        rows: one per backbone and k, as compare_backbones gives them.
    """
    figure = _make_figure()
    left, right = figure.subplots(1, 2)
    _dress(left, "Variance held by the first components", "components k", "share")
    _dress(right, "Accuracy of the discriminant, Test", "components k", "share")
    names = list(dict.fromkeys(row["backbone"] for row in rows))
    for name, colour in zip(names, _label_colours(len(names)), strict=True):
        own = sorted((row for row in rows if row["backbone"] == name), key=lambda row: row["k"])
        for axes, column in ((left, "cumulative_explained_variance"), (right, "accuracy_test")):
            _plot_column(axes, own, column, name, color=colour, marker="o", markersize=4)
    for axes in (left, right):
        _mark_ks(axes, rows, _Say("en"))
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", frameon=False, fontsize=9)
    return figure


def plot_components(
    scores: np.ndarray, labels: Sequence[str | None], explained: Sequence[float], language: str = "en"
) -> "Figure":
    """Draw photos by their first two PCA scores, coloured by label.

    Args:
        scores: (n, at least 2) centred PCA scores; of more than 5,000 photos, 5,000 evenly spaced ones are drawn.
        labels: (n,) label of each photo, None for a photo without.
        explained: share of variance along the components, at least 2.
        language: of the words, en or fr.
    """
    scores, say = np.asarray(scores)[:, :2], _Say(language)
    labels = np.array([say("no label") if each is None else each for each in labels])
    n = len(scores)
    if n > MAX_DOTS:
        drawn = np.linspace(0, n - 1, MAX_DOTS).astype(int)
        scores, labels = scores[drawn], labels[drawn]
    names, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
    shown = say.count(n) if n <= MAX_DOTS else say("{drawn} of {n}", drawn=say.count(MAX_DOTS), n=say.count(n))
    figure, axes = _make_axes(
        say("First two PCA components of {shown} photos, {labels} labels", shown=shown, labels=len(names)),
        *(
            say("component {number} ({share} of variance)", number=place + 1, share=say.share(explained[place]))
            for place in (0, 1)
        ),
    )
    colours = _label_colours(len(names))
    axes.scatter(scores[:, 0], scores[:, 1], s=7, c=colours[index], alpha=0.6, linewidths=0)
    if len(names) <= MAX_LEGEND:
        for name, colour in zip(names, colours, strict=True):
            axes.plot([], [], "o", color=colour, markersize=5, label=name)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8)
    else:
        _name_largest(axes, scores, names, index, counts)
    return figure


def as_png(figure: "Figure") -> bytes:
    """Give a figure as a picture, as a notebook shows it."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _make_figure() -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=SIZE, dpi=DPI, layout="constrained")


def _make_axes(title: str, x: str, y: str) -> tuple["Figure", "Axes"]:
    figure = _make_figure()
    axes = figure.subplots()
    _dress(axes, title, x, y)
    return figure, axes


def _dress(axes: "Axes", title: str, x: str, y: str) -> None:
    axes.set(xlabel=x, ylabel=y)
    axes.set_title(title, loc="left", fontsize=12)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e6e9ec", linewidth=0.6)
    axes.set_axisbelow(True)


def _mark_ks(axes: "Axes", rows: Sequence[Mapping[str, Any]], say: _Say) -> None:
    """Put the compared values of k on the horizontal axis, and shares from 0 to 1 on the other."""
    ks = sorted({row["k"] for row in rows})
    axes.set_xscale("log", base=2)
    axes.set_xticks(ks, [str(k) for k in ks])
    axes.minorticks_off()
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(lambda share, _: say.share(share, 0))


def _plot_column(axes: "Axes", rows: Sequence[Mapping[str, Any]], name: str, title: str, **look: Any) -> None:
    points = [(row["k"], row[name]) for row in rows if row.get(name) is not None]
    if points:
        axes.plot(*zip(*points, strict=True), label=title, **look)


def _label_colours(n: int) -> np.ndarray:
    """Give n colours of shape (n, 4), the same at every call; from the 21st on they repeat."""
    from matplotlib import colormaps

    if n <= 10:
        return np.array([colormaps["tab10"](place) for place in range(n)])
    return np.array([colormaps["tab20"](place % 20) for place in range(n)])


def _name_largest(axes: "Axes", scores: np.ndarray, names: np.ndarray, index: np.ndarray, counts: np.ndarray) -> None:
    """Write the names of the labels with most photos at their centroids, leaving out those that would overlap."""
    width, height = np.ptp(scores, axis=0)
    placed: list[np.ndarray] = []
    for label in np.argsort(-counts, kind="stable"):
        spot = scores[index == label].mean(axis=0)
        if any(abs(x - spot[0]) < 0.16 * width and abs(y - spot[1]) < 0.05 * height for x, y in placed):
            continue
        axes.annotate(names[label], spot, ha="center", va="center", fontsize=8, bbox=PAPER)
        placed.append(spot)
        if len(placed) == MAX_NAMES:
            break
