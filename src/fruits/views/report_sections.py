"""The sections of the report as plain dicts of what their template shows; a photo is a tile of the album."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fruits.stats.neighbours import find_ends, find_lookalikes, find_nearest
from fruits.views.album import COLUMNS, ROWS, Album
from fruits.views.words import Words

if TYPE_CHECKING:
    from fruits.report import LakeReport

SPLITS = ("Training", "Test")
EXAMPLES = 4  # photos of a label
ENDS = 7  # photos at each end of a component
COMPONENTS = 6  # looked at
LOOKALIKES = 12  # pairs
PAIRS = 12  # of labels taken for each other
NEAR = 5  # neighbours of a photo
SIDE = 64  # pixels of a thumbnail
MOST_FILES = 50  # named for each reason
MOST_STAGES = 12  # shown, the newest
GREY = "#9aa3ab"  # of a photo that has no colour


def fill_album(data: "LakeReport", photos: bool = True) -> Album:
    """Make an album of the photos of a report; without pictures, it has a place for none."""
    thumbnails = list(data.photos["thumbnail"]) if photos else [None] * len(data.photos)
    return Album([each if isinstance(each, bytes | bytearray) else None for each in thumbnails], SIDE)


class Photos:
    """The photos of a report: their labels, colours and tiles, and which of them are worth a look."""

    def __init__(self, data: "LakeReport", album: Album, words: Words) -> None:
        """Look at the photos of a report, as they are in an album."""
        self.data, self.album, self.words = data, album, words
        self._paths = list(data.photos["path"])
        self._labels = [each if isinstance(each, str) else None for each in data.photos["label"]]
        self._colours = data.photos["colour"].to_list()
        self._by_path = {path: place for place, path in enumerate(self._paths)}
        seen = np.isfinite(data.scores).all(axis=1) if data.scores.shape[1] else np.zeros(len(data.scores), bool)
        self.scored = np.flatnonzero(seen).tolist()
        self.shares = np.diff(data.cumulative, prepend=0).tolist()

    def label(self, photo: int) -> str:
        return self.words.say("none") if self._labels[photo] is None else self._labels[photo]

    def colour(self, photo: int) -> str:
        colour = self._colours[photo]
        return GREY if colour is None or colour != colour else f"#{int(colour):06x}"

    def tile(self, photo: int) -> dict[str, Any]:
        """Give what shows a photo: label, path, colour and the place of its picture, None without one."""
        place = self.album.place(photo)
        tile = {"label": self.label(photo), "path": self._paths[photo], "colour": self.colour(photo), "sheet": None}
        if place is not None:
            sheet, inside = divmod(place, COLUMNS * ROWS)
            row, column = divmod(inside, COLUMNS)
            tile |= {"sheet": sheet, "row": row, "column": column}
        return tile

    def tiles(self, paths: Sequence[str]) -> list[dict[str, Any]]:
        """Give the tiles of photos that are in the report."""
        return [self.tile(self._by_path[path]) for path in paths if path in self._by_path]

    @cached_property
    def of_label(self) -> dict[str | None, list[dict[str, Any]]]:
        """Tiles of a few photos of each label, Training first: the first in the order of the sample."""
        order = np.argsort(self.data.photos["split"].to_numpy() == "Test", kind="stable")
        found: dict[str | None, list[int]] = {}
        for photo in order.tolist():
            of_label = found.setdefault(self._labels[photo], [])
            if len(of_label) < EXAMPLES and self._colours[photo] == self._colours[photo]:
                of_label.append(photo)
        return {label: [self.tile(photo) for photo in photos] for label, photos in found.items()}

    def components(self) -> list[dict[str, Any]]:
        """Show the two ends of each leading component."""
        if len(self.scored) < 2:
            return []
        return [self.ends(component) for component in range(min(self.data.scores.shape[1], COMPONENTS))]

    def ends(self, component: int) -> dict[str, Any]:
        """Show the two ends of a component, by its place, highest last."""
        ends = find_ends(self.data.scores[self.scored, component], ENDS)
        low, high = ([self.tile(self.scored[place]) for place in end] for end in ends)
        return {"number": component + 1, "share": self.shares[component], "ends": {"low": low, "high": high}}

    def lookalikes(self) -> list[dict[str, Any]]:
        """Show the closest photos of two labels."""
        names = {name: place for place, name in enumerate(sorted({each for each in self._labels if each is not None}))}
        labels = np.array([names.get(self._labels[photo], -1) for photo in self.scored], dtype=int)
        if len(set(labels[labels >= 0].tolist())) < 2:
            return []
        pairs = find_lookalikes(self.data.scores[self.scored], labels, LOOKALIKES)
        return [
            {"photos": [self.tile(self.scored[a]), self.tile(self.scored[b])], "distance": distance}
            for a, b, distance in pairs
        ]

    def neighbours(self) -> list[list[int]]:
        """Name the photos most alike to each that has scores, by their places among those."""
        return find_nearest(self.data.scores[self.scored], NEAR).tolist()


def describe_photos(data: "LakeReport", shown: Photos) -> dict[str, Any]:
    """Count photos by label and split, with examples and how many are classified right; and files by error."""
    labels: dict[str | None, dict[str, int]] = {}
    for row in data.status["photos"]:
        counts = labels.setdefault(row["label"], dict.fromkeys(SPLITS, 0))
        if row["split"] is not None:  # a file that was not read may have none
            counts[row["split"]] += row["photos"]
    rows = [
        {
            "name": shown.words.say("none") if label is None else label,
            **labels[label],
            "tiles": shown.of_label.get(label, []),
            "right": {k: _share_right(confusion, label) for k, confusion in data.confusions.items()},
        }
        for label in sorted(labels, key=lambda label: (label is None, label))
    ]
    return {
        "labels": rows,
        "named": sum(label is not None for label in labels),
        "total": sum(row["photos"] for row in data.status["photos"]),
        "unread": sum(row["photos"] for row in data.reasons),
        "splits": {split: sum(row[split] for row in rows) for split in SPLITS},
        "most": max((row["Training"] + row["Test"] for row in rows), default=0) or 1,
        "errors": _group_errors(data),
    }


def describe_choice(data: "LakeReport", shown: Photos) -> dict[str, Any]:
    """Give, for each compared k, its figures and what is taken for what; and which k to show first."""
    kept = data.kept or 0
    options = []
    for row in data.comparison:
        confusion = data.confusions.get(row["k"])
        options.append(
            {**row, "kept": row["k"] == kept, "confusion": confusion and _describe_confusion(confusion, shown)}
        )
    if not options and data.model:
        confusion = data.confusions.get(kept)
        options = [
            {
                "k": kept,
                "recommended": False,
                "kept": True,
                "confusion": confusion and _describe_confusion(confusion, shown),
            }
        ]
    return {"options": options, "chosen": data.recommended or kept, "recommended": data.recommended, "kept": kept}


def describe_source(data: "LakeReport", words: Words) -> dict[str, Any]:
    """Give what the page was made from: backbones, model, versions, runs, and times."""
    slowest = max((stage["seconds"] or 0 for stage in data.stages), default=0)
    stages = [
        {
            **stage,
            "part": (stage["seconds"] or 0) / slowest if slowest else 0,
            "rate": stage["rows"] / stage["seconds"] if stage["rows"] and stage["seconds"] else None,
        }
        for stage in data.stages
    ]
    runs = [{**run, "started": datetime.fromtimestamp(run["start_time"] / 1000, UTC)} for run in data.status["runs"]]
    told = {name: data.status[name] for name in ("tables", "models", "features")}
    return {"stages": stages[-MOST_STAGES:], "runs": runs, **told}


def _describe_confusion(confusion: Any, shown: Photos) -> dict[str, Any]:
    pairs = [
        {
            **pair,
            "of": confusion.photos[pair["label"]],
            "mistaken": shown.tiles(pair["examples"]),
            "typical": shown.of_label.get(pair["guess"], [])[:2],
        }
        for pair in confusion.pairs[:PAIRS]
    ]
    wrong = sum(pair["photos"] for pair in confusion.pairs)
    return {"pairs": pairs, "wrong": wrong, "of": sum(confusion.photos.values()), "kinds": len(confusion.pairs)}


def _share_right(confusion: Any, label: str | None) -> float | None:
    of = confusion.photos.get(label)
    return confusion.right.get(label, 0) / of if of else None


def _group_errors(data: "LakeReport") -> list[dict[str, Any]]:
    """Name the files that could not be read under their reasons."""
    groups = []
    for row in data.reasons:
        files = [each["path"] for each in data.errors if each["error"] == row["error"]][:MOST_FILES]
        groups.append({**row, "files": files, "left": row["photos"] - len(files)})
    return groups
