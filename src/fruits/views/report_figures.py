"""The interactive figures of the report, as Bokeh's JSON. Numbers and colours only: labels never pass through here.

Their ink is set by the page, which knows whether it is read by day or by night; so a renderer's name says what it is.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bokeh.plotting import figure

# Column of gold_comparison, and how its line is drawn.
CURVES = (
    ("accuracy_test", "solid"),
    ("accuracy_train", "dotted"),
    ("centroid_accuracy_test", "solid"),
)
AXES = 8  # components to choose from for the map


def inline_library() -> str:
    """Give BokehJS as text, to be put into a page."""
    from bokeh.resources import Resources

    return "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)


def draw_map(scores: np.ndarray, colours: Sequence[str]) -> dict[str, Any]:
    """Draw photos as dots by two components; the page picks which, and which of the dots stand out.

    Args:
        scores: (n, m) PCA scores of the photos that have any; with m = 1, height is a photo's place and means nothing.
        colours: (n,) as CSS writes them.
    """
    from bokeh.embed import json_item
    from bokeh.models import ColumnDataSource, HoverTool, PanTool, Range1d, TapTool, WheelZoomTool

    columns = {f"c{place}": scores[:, place].astype(np.float32) for place in range(min(scores.shape[1], AXES))}
    if len(columns) == 1:
        columns["c1"] = np.linspace(-1, 1, len(scores)).astype(np.float32)
    all_dots = ColumnDataSource(columns | {"colour": list(colours)}, name="photos")
    names = {name: [] for name in (*columns, "colour", "photo")}
    plot = make_figure(x_range=Range1d(0, 1), y_range=Range1d(0, 1), name="map")
    place = {"x": {"field": "c0"}, "y": {"field": "c1"}}
    look = {"size": 5, "line_width": 0.6, "fill_color": {"field": "colour"}}
    photos = plot.scatter(**place, **look, fill_alpha=0.75, source=all_dots, name="photos")
    picked = plot.scatter(**place, **look | {"size": 8}, source=ColumnDataSource(names), name="picked")
    mark = plot.scatter(
        **place, size=18, fill_color=None, line_width=2.5, source=ColumnDataSource(dict(names)), name="mark"
    )
    for renderer in (photos, picked):
        renderer.nonselection_glyph = renderer.selection_glyph = renderer.glyph
    mark.level = "overlay"
    hover = HoverTool(renderers=[photos, picked], tooltips=None, name="hover")
    wheel = WheelZoomTool(modifiers={"shift": True})
    drag = PanTool()
    plot.add_tools(hover, TapTool(renderers=[photos, picked]), wheel, drag)
    plot.toolbar.active_drag, plot.toolbar.active_scroll = drag, wheel
    return json_item(plot)


def draw_choice(cumulative: np.ndarray, rows: Sequence[dict[str, Any]], k: int, axis: str) -> dict[str, Any]:
    """Draw the variance kept and the accuracies by k, with a line at the k chosen, which the page moves.

    Args:
        cumulative: (r,) share of variance of the first components.
        rows: of the comparison, by k.
        k: chosen at first.
        axis: what to call the horizontal axis.
    """
    from bokeh.embed import json_item
    from bokeh.models import FixedTicker, HoverTool, NumeralTickFormatter, Range1d, Span

    r = len(cumulative)
    # On a logarithmic axis most of 1280 points would lie on one another.
    steps = np.unique(np.geomspace(1, r, min(r, 250)).round().astype(int))
    left, right = (0.9, r * 1.15) if r > 1 else (0.5, 2)
    plot = make_figure(x_axis_type="log", x_range=Range1d(left, right), y_range=Range1d(0, 1.03), name="choice")
    variance = plot.line(steps, cumulative[steps - 1], line_width=2, line_dash="dashed", name="variance")
    hovered = [variance]
    for column, dash in CURVES:
        points = [(row["k"], row[column]) for row in rows if row[column] is not None]
        if not points:
            continue
        x, y = zip(*points, strict=True)
        plot.line(x, y, line_width=2.5, line_dash=dash, name=column)
        hovered.append(plot.scatter(x, y, size=8, line_color=None, name=column))
    plot.add_layout(Span(location=k, dimension="height", line_width=2, name="chosen"))
    plot.add_tools(HoverTool(renderers=hovered, tooltips="k = @x, @y{0.0%}", mode="mouse"))
    plot.xaxis.axis_label = axis
    ticks = [row["k"] for row in rows] or [2**power for power in range(11) if 2**power <= r]
    named = [1]
    for tick in ticks:
        if tick >= 1.6 * named[-1]:  # closer, their numbers would touch on a phone
            named.append(tick)
    plot.xaxis.ticker = FixedTicker(ticks=named)
    plot.yaxis.formatter = NumeralTickFormatter(format="0%")
    return json_item(plot)


def make_figure(tools: str = "", toolbar_location: str | None = None, **options: Any) -> "figure":
    from bokeh.plotting import figure

    plot = figure(
        tools=tools,
        toolbar_location=toolbar_location,
        sizing_mode="stretch_both",
        background_fill_alpha=0,
        border_fill_alpha=0,
        outline_line_color=None,
        min_border=4,
        **options,
    )
    for axis in plot.axis:
        axis.axis_label_text_font = axis.major_label_text_font = "system-ui, sans-serif"
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = axis.major_label_text_font_size = "13px"
        axis.minor_tick_line_color = None
        axis.axis_line_color = axis.major_tick_line_color = None
    return plot
