"""A map of photos for a notebook, in a page of its own: scripts and styles keep out of the notebook's way."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from fruits.views.report_figures import make_figure
from fruits.views.report_sections import SIDE

if TYPE_CHECKING:
    from bokeh.plotting import figure

FRAME = "width: 100%; max-width: 900px; height: 620px; border: 0; background: white"
# Bokeh escapes what it puts in for @label and @path, so a label may hold what it likes.
TIP = f"""<div style="display: flex; gap: 8px; max-width: 320px">
<div style="flex: none; width: {SIDE}px; height: {SIDE}px; @look"></div><div><b>@label</b><br>@path</div></div>"""


def draw_dots(
    scores: np.ndarray, names: Sequence[str], tiles: Sequence[dict[str, Any]], sheets: Sequence[str], label: str | None
) -> str:
    """Draw photos as dots in the colour of their fruit.

    Args:
        scores: (n, 2) where the dots are; (n, 1) leaves the height to their order.
        names: of the axes, as many as scores has.
        tiles: of the photos.
        sheets: that the tiles are on.
        label: one whose dots stand out, if any.

    Returns:
        A frame that holds a whole page, library and pictures included.
    """
    from bokeh.models import ColumnDataSource, HoverTool

    alphas = np.array([0.8 if label in (None, tile["label"]) else 0.12 for tile in tiles])
    order = np.argsort(alphas, kind="stable")  # what is drawn last is on top
    columns = {name: [tiles[place][name] for place in order] for name in ("label", "path", "colour")}
    columns["look"] = [_look(tiles[place]) for place in order]
    columns |= {"alpha": alphas[order], "x": scores[order, 0]}
    columns["y"] = scores[order, 1] if len(names) > 1 else np.linspace(-1, 1, len(scores))
    plot = make_figure(tools="pan,wheel_zoom,box_zoom,reset", toolbar_location="right", name="map")
    look = {"size": 7, "fill_color": "colour", "fill_alpha": "alpha", "line_color": "#555555", "line_alpha": "alpha"}
    plot.scatter("x", "y", source=ColumnDataSource(columns), line_width=0.4, **look)
    plot.add_tools(HoverTool(tooltips=TIP))
    for axis, name in zip(plot.axis, names, strict=False):
        axis.axis_label = name
    plot.yaxis.visible = len(names) > 1
    return f'<iframe title="map of photos" style="{FRAME}" srcdoc="{escape(_write_page(plot, sheets))}"></iframe>'


def _write_page(plot: "figure", sheets: Sequence[str]) -> str:
    from bokeh.embed import file_html
    from bokeh.resources import Resources

    # A tip is drawn in a shadow of the page, where its classes do not reach, but its variables do.
    variables = " ".join(f"--sheet{place}: url({sheet});" for place, sheet in enumerate(sheets))
    style = f"<style>html, body {{ height: 100%; margin: 0 }} :root {{ {variables} }}</style>"
    template = f"{{% block postamble %}}{style}{{% endblock %}}"
    return file_html(plot, Resources(mode="inline"), title="map of photos", template=template)


def _look(tile: dict[str, Any]) -> str:
    """Give the style that shows a photo: its piece of a sheet, or its colour where it has no picture."""
    if tile["sheet"] is None:
        return f"background: {tile['colour']}"
    return f"background: var(--sheet{tile['sheet']}) {-SIDE * tile['column']}px {-SIDE * tile['row']}px"
