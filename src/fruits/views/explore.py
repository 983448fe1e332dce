"""What the explorer's notebook shows of a lake: its photos by label, k, component, likeness and mistake."""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from html import escape
from typing import TYPE_CHECKING, Any

from fruits.errors import SettingError
from fruits.stats.neighbours import rank_nearest
from fruits.views.explore_map import draw_dots
from fruits.views.plots import plot_accuracy_by_k, plot_cumulative_variance
from fruits.views.report_sections import SIDE, SPLITS, Photos, describe_choice, describe_photos, fill_album
from fruits.views.show import Picture
from fruits.views.words import Words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fruits.report import LakeReport

MAP_PHOTOS = 2000  # dots of the map: 2 MB in the notebook's file
OF_LABEL = 32  # photos of a label that is asked for, from each split
NEAREST = 11  # neighbours of a photo, which with it are a dozen
WIDEST = 8  # photos beside each other
STYLE = """<style>
.fruits { display: flex; flex-wrap: wrap; gap: 12px 20px; max-height: 600px; overflow: auto; }
.fruits figure { margin: 0; max-width: 100%; font: 13px system-ui, sans-serif; }
.fruits img, .fruits i, .fruits b { display: inline-block; width: 64px; height: 64px; margin: 0 2px 2px 0; }
.fruits i { border-radius: 50%; }
.fruits b { width: 18px; line-height: 64px; text-align: center; vertical-align: top; }
</style>"""
UNFITTED = Picture("No PCA has been fitted yet; run 03_gold_pca.py first.")
UNCOMPARED = Picture("No values of k have been compared yet; run 04_compare_k.py first.")
WORDS = Words("en")
ARROW = None  # instead of a tile, between photos and what they are taken for


def draw_labels(data: "LakeReport", label: str | None = None) -> Picture:
    """Show a few photos of each label, how many there are, and how many the discriminant gets right.

    Args:
        data: what gather_report gave.
        label: one of which more photos are shown; None for all labels.

    Raises:
        SettingError: there is no such label.
    """
    photos = _photos_of(data)
    told = describe_photos(data, photos)
    _check_label(told["labels"], label)
    rows = [row for row in told["labels"] if label in (None, row["name"])]
    if label is None:
        counts = WORDS.say("arrived.counts", training=told["splits"]["Training"], test=told["splits"]["Test"])
        title = f"{WORDS.number(told['total'])} photos, {told['named']} labels: {counts}"
        title += f"; right of Test with k = {data.k}" if data.confusions else ""
        return _hang(data, title, ((_count(row, data.k), row["tiles"]) for row in rows))
    return _hang(data, _count(rows[0], data.k), ((split, _of_label(data, photos, label, split)) for split in SPLITS))


def draw_variance(data: "LakeReport", k: int) -> "Picture | Figure":
    """Draw the share of variance that the first components hold, with k marked.

    Raises:
        SettingError: there are not so many components.
    """
    if data.model is None:
        return UNFITTED
    _check_number("k", k, len(data.cumulative))
    return plot_cumulative_variance(data.cumulative, k)


def draw_accuracy(data: "LakeReport") -> "Picture | Figure":
    """Draw accuracy and variance held by every k that was compared, with the recommended one marked."""
    return plot_accuracy_by_k(data.comparison, data.recommended) if data.comparison else UNCOMPARED


def draw_map(data: "LakeReport", across: int = 1, up: int = 2, label: str | None = None) -> Picture:
    """Draw photos as dots by two of their scores; pointing at one shows the photo.

    Args:
        data: what gather_report gave.
        across: number of a component, from 1.
        up: likewise; with one component kept, height means nothing.
        label: one whose dots stand out; None for all.

    Raises:
        SettingError: there is no such component or label.
    """
    album = fill_album(data)
    photos = Photos(data, album, WORDS)
    dots = photos.scored[:MAP_PHOTOS]
    if not dots:
        return UNFITTED
    _check_label(describe_photos(data, photos)["labels"], label)
    axes = (across, up) if data.scores.shape[1] > 1 else (across,)
    for number in axes:
        _check_number("component", number, data.scores.shape[1])
    names = [f"component {number} ({WORDS.share(photos.shares[number - 1])} of the variance)" for number in axes]
    title = f"{WORDS.number(len(dots))} of {WORDS.number(data.total)} photos by " + " and ".join(names)
    scores = data.scores[dots][:, [number - 1 for number in axes]]
    tiles = [photos.tile(photo) for photo in dots]
    return Picture(title, draw_dots(scores, names, tiles, album.sheets(), label))


def draw_component(data: "LakeReport", component: int) -> Picture:
    """Show the photos at the two ends of a component, by its number from 1.

    Raises:
        SettingError: there is no such component.
    """
    photos = _photos_of(data)
    if not photos.scored:
        return UNFITTED
    _check_number("component", component, data.scores.shape[1])
    told = photos.ends(component - 1)
    title = f"Component {component}: {WORDS.share(told['share'])} of the variance"
    return _hang(data, title, ((end, told["ends"][name]) for name, end in (("low", "lowest"), ("high", "highest"))))


def draw_neighbours(data: "LakeReport", photo: str | None, k: int) -> Picture:
    """Show the photos whose first k scores are closest to those of a photo.

    Args:
        data: what gather_report gave.
        photo: path of a photo; None for the first.
        k: components to compare by.

    Raises:
        SettingError: there are not so many components, or the photo is not among those looked at.
    """
    photos = _photos_of(data)
    if not photos.scored:
        return UNFITTED
    _check_number("k", k, data.scores.shape[1])
    paths = [data.photos["path"].iloc[each] for each in photos.scored]
    photo = paths[0] if photo is None else photo
    if photo not in paths:
        raise SettingError(f"photo={photo!r} has no scores among the {len(paths)} photos looked at; try {paths[0]!r}")
    near = rank_nearest(data.scores[photos.scored][:, :k], paths.index(photo), NEAREST)
    tiles = [(photos.tile(photos.scored[place]), distance) for place, distance in near]
    rows = [(f"{tile['label']}, {WORDS.number(distance, 2)} away", [tile]) for tile, distance in tiles]
    title = f"Most alike to {photo}, with k = {k}"
    return _hang(data, title, [("this photo", photos.tiles([photo])), *rows])


def draw_lookalikes(data: "LakeReport", k: int) -> Picture:
    """Show the closest photos of two labels, by their first k scores.

    Raises:
        SettingError: there are not so many components.
    """
    if not _photos_of(data).scored:
        return UNFITTED
    _check_number("k", k, data.scores.shape[1])
    pairs = _photos_of(replace(data, scores=data.scores[:, :k])).lookalikes()
    if not pairs:
        return Picture(WORDS.say("alike.none"))
    rows = [
        (
            f"{' and '.join(tile['label'] for tile in pair['photos'])}, {WORDS.number(pair['distance'], 2)}",
            pair["photos"],
        )
        for pair in pairs
    ]
    return _hang(data, f"The closest photos of two labels, with k = {k}", rows)


def draw_confusions(data: "LakeReport", k: int) -> Picture:
    """Show which label the discriminant most often takes for which with k components, mistaken photos first.

    Raises:
        SettingError: this k was not compared.
    """
    if not data.confusions:
        return Picture(WORDS.say("confused.none"))
    if k not in data.confusions:
        raise SettingError(f"k={k} was not compared; try {', '.join(map(str, data.confusions))}")
    options = describe_choice(data, _photos_of(data))["options"]
    told = next(option["confusion"] for option in options if option["k"] == k)
    if not told["pairs"]:
        return Picture(WORDS.say("confused.perfect", k=k))
    rows = [
        (
            f"{pair['label']} taken for {pair['guess']}: {WORDS.say('confused.of', n=pair['photos'], of=pair['of'])}",
            [*pair["mistaken"], ARROW, *pair["typical"]],
        )
        for pair in told["pairs"]
    ]
    title = WORDS.say("confused.summary", n=told["kinds"], k=k, wrong=told["wrong"], of=told["of"])
    return _hang(data, title, rows)


def _photos_of(data: "LakeReport") -> Photos:
    """Look at the photos without an album: here a picture is beside its caption, not on a sheet."""
    return Photos(data, fill_album(data, photos=False), WORDS)


def _of_label(data: "LakeReport", photos: Photos, label: str, split: str) -> list[dict[str, Any]]:
    found = [place for place, each in enumerate(data.photos["split"]) if each == split and photos.label(place) == label]
    return [photos.tile(photo) for photo in found[:OF_LABEL]]


def _count(row: dict[str, Any], k: int) -> str:
    """Say how many photos of a label there are, and how many of Test the discriminant gets right."""
    told = [f"{row['name']}: {WORDS.say('arrived.counts', training=row['Training'], test=row['Test'])}"]
    if row["right"].get(k) is not None:
        told.append(WORDS.say("arrived.right", share=WORDS.share(row["right"][k], 0)))
    return " · ".join(told)


def _hang(data: "LakeReport", title: str, rows: Iterable[tuple[str, Sequence[dict[str, Any] | None]]]) -> Picture:
    """Hang rows of photos, each a caption and tiles, in columns of one width."""
    thumbnails = dict(zip(data.photos["path"], data.photos["thumbnail"], strict=True))
    rows = [(caption, [_frame(tile, thumbnails) for tile in tiles]) for caption, tiles in rows]
    width = (SIDE + 4) * max([2, *(min(len(tiles), WIDEST) for _, tiles in rows)])
    figures = [
        f'<figure style="width: {width}px">{"".join(tiles)}<figcaption>{escape(caption)}</figcaption></figure>'
        for caption, tiles in rows
    ]
    return Picture(title, f'{STYLE}<div class="fruits" tabindex="0">{"".join(figures)}</div>')


def _frame(tile: dict[str, Any] | None, thumbnails: dict[str, Any]) -> str:
    if tile is ARROW:
        return "<b>→</b>"
    title, thumbnail = escape(f"{tile['label']}: {tile['path']}"), thumbnails[tile["path"]]
    if not isinstance(thumbnail, bytes | bytearray):
        return f'<i title="{title}" style="background: {tile["colour"]}"></i>'
    return f'<img alt="{title}" title="{title}" src="data:image/jpeg;base64,{base64.b64encode(thumbnail).decode()}">'


def _check_number(name: str, number: int, most: int) -> None:
    if number not in range(1, most + 1):
        raise SettingError(f"{name}={number} is outside 1 to {most}, the components there are")


def _check_label(rows: Sequence[dict[str, Any]], label: str | None) -> None:
    names = [row["name"] for row in rows]
    if label is None or label in names:
        return
    near = get_close_matches(str(label), names, 3, 0.4) or names[:3]
    raise SettingError(f"label={label!r} is no label of this lake; try {' or '.join(map(repr, near)) or None}")
