"""A page about a lake: one HTML file that holds all it shows, and asks for nothing from anywhere."""

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import fruits
from fruits.views.album import COLUMNS
from fruits.views.report_figures import AXES, draw_choice, draw_map, inline_library
from fruits.views.report_sections import Photos, describe_choice, describe_photos, describe_source, fill_album
from fruits.views.words import Words

if TYPE_CHECKING:
    from fruits.report import LakeReport


def draw_report(data: "LakeReport", language: str = "en", photos: bool = True) -> str:
    """Write the page.

    Args:
        data: what it shows, of fruits.report.
        language: en or fr.
        photos: whether it holds pictures; without, a photo is a patch of its colour.

    Returns:
        HTML of one file: style, script, BokehJS, data and pictures are inside. Every text of a lake is escaped, in the
        page and in its data; none passes through Bokeh.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    words = Words(language)
    album = fill_album(data, photos)
    shown = Photos(data, album, words)
    choice = describe_choice(data, shown)
    sections = {
        "photos": describe_photos(data, shown),
        "choice": choice,
        "components": shown.components(),
        "alike": shown.lookalikes(),
        "source": describe_source(data, words),
    }
    page = _page_data(data, shown, choice, words)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"n": words.number, "share": words.share, "took": words.seconds, "when": words.moment}
    environment.filters["json"] = lambda value: Markup(to_json(value))
    return environment.from_string(_read("report.html.j2")).render(
        say=words.say,
        language=language,
        lake=data.status["lake"],
        made=data.made,
        version=fruits.__version__,
        bare=not photos,
        data=data,
        page=page,
        sheets=album.sheets(),
        columns=COLUMNS,
        style=_read("report.css"),
        script=_read("report.js"),
        library=inline_library() if page["figures"] else "",
        **sections,
    )


def _page_data(data: "LakeReport", shown: Photos, choice: dict[str, Any], words: Words) -> dict[str, Any]:
    """Gather what the page's script works with, figures included."""
    figures = {}
    if len(data.cumulative):
        figures["choice"] = draw_choice(data.cumulative, data.comparison, choice["chosen"], words.say("choice.axis_k"))
    if len(shown.scored):
        figures["map"] = draw_map(data.scores[shown.scored], [shown.colour(photo) for photo in shown.scored])
    names = sorted({shown.label(photo) for photo in shown.scored})
    places = {name: place for place, name in enumerate(names)}
    return {
        "language": words.language,
        "figures": figures,
        "shares": [words.share(share) for share in shown.shares[:AXES]],
        "labels": names,
        "photos": {
            "label": [places[shown.label(photo)] for photo in shown.scored],
            "split": [data.photos["split"].iloc[photo] for photo in shown.scored],
            "path": [data.photos["path"].iloc[photo] for photo in shown.scored],
            "place": [shown.album.place(photo) for photo in shown.scored],
            "near": shown.neighbours(),
        },
        "words": {name: words.texts["map"][name] for name in ("axis", "component", "shown")},
    }


def _read(name: str) -> str:
    # Through the loader: the package may be in a zip.
    return files(__package__).joinpath("templates", name).read_text("utf-8")


def to_json(value: Any) -> str:
    """Write data for a script element: no label can end the element or begin a comment."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
