"""The charts of the slides, native: their numbers are in them and can be changed there.

What stands beside a point is written as a text: a format of numbers would follow the language of whoever opens it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pptx.chart.data import CategoryChartData, XyChartData
from pptx.enum.chart import XL_CHART_TYPE, XL_LABEL_POSITION, XL_LEGEND_POSITION, XL_MARKER_STYLE
from pptx.enum.dml import MSO_LINE
from pptx.util import Inches, Pt

from fruits.views.deck_look import GREEN, INK, LINE, MUTED, ORANGE, SANS, Box, Sheet, colour, describe, plain

PERCENT = "0\\ %"  # as French writes it; no decimals, whose point would follow the reader's language
LETTERS = 14


def draw_variance(sheet: Sheet, box: Box, cumulative: np.ndarray, k: int, words: dict[str, str]) -> None:
    """Draw the share of variance that the first components keep, and a dot at k.

    Args:
        sheet: the slide.
        box: where.
        cumulative: (r,) shares.
        k: the dot.
        words: series, mark, across, up and description.
    """
    data = XyChartData()
    line, dot = data.add_series(words["series"]), data.add_series(words["mark"])
    for place, share in enumerate(cumulative.tolist(), start=1):
        line.add_data_point(place, share)
    dot.add_data_point(k, float(cumulative[k - 1]))
    chart = _add(sheet, box, XL_CHART_TYPE.XY_SCATTER_LINES_NO_MARKERS, data, words["description"])
    _draw_line(chart.plots[0].series[0], GREEN, 3)
    mark = chart.plots[0].series[1]
    _draw_line(mark, ORANGE, 1)
    mark.marker.style, mark.marker.size = XL_MARKER_STYLE.CIRCLE, 13
    mark.marker.format.fill.solid()
    mark.marker.format.fill.fore_color.rgb = colour(ORANGE)
    _label(mark.points[0], f"\n{words['mark']}", XL_LABEL_POSITION.BELOW, ORANGE)  # further from the curve
    _share_axis(chart.value_axis, 0)
    across = chart.category_axis
    across.minimum_scale, across.maximum_scale = 0, max(len(cumulative), 2)
    across.major_unit = 10 ** int(np.log10(max(len(cumulative) / 4, 1)))  # whole components
    across.has_major_gridlines = False
    _write_title(across, words["across"])
    _write_title(chart.value_axis, words["up"])
    chart.has_legend = False


def draw_accuracy(
    sheet: Sheet, box: Box, rows: Sequence[dict[str, Any]], series: dict[str, str], marked: int, words: dict[str, str]
) -> None:
    """Draw shares by k, two lines; a point of the first one stands out.

    Args:
        sheet: the slide.
        box: where.
        rows: of gold_comparison, by k.
        series: column to name, in the order they are drawn.
        marked: place of the row whose point stands out.
        words: across, mark and description.
    """
    data = CategoryChartData()
    data.categories = [str(row["k"]) for row in rows]
    for column, name in series.items():
        data.add_series(name, [row[column] for row in rows])
    chart = _add(sheet, box, XL_CHART_TYPE.LINE_MARKERS, data, words["description"])
    looks = zip(chart.plots[0].series, (GREEN, MUTED), (3, 2), strict=True)
    for place, (line, ink, width) in enumerate(looks):
        _draw_line(line, ink, width)
        line.smooth = False
        line.marker.style, line.marker.size = XL_MARKER_STYLE.CIRCLE, 9 if place == 0 else 6
        line.marker.format.fill.solid()
        line.marker.format.fill.fore_color.rgb = colour(ink)
        line.marker.format.line.color.rgb = colour(ink)
        if place:
            line.format.line.dash_style = MSO_LINE.DASH
    point = chart.plots[0].series[0].points[marked]
    point.marker.style, point.marker.size = XL_MARKER_STYLE.CIRCLE, 15
    point.marker.format.fill.solid()
    point.marker.format.fill.fore_color.rgb = colour(GREEN)
    _label(point, words["mark"], XL_LABEL_POSITION.BELOW, GREEN)
    least = min((row[column] for row in rows for column in series if row[column] is not None), default=0)
    _share_axis(chart.value_axis, max(np.floor(4 * least - 0.1) / 4, 0))  # with room for the text below a point
    _write_title(chart.category_axis, words["across"])
    _show_legend(chart)


def draw_bars(
    sheet: Sheet, box: Box, categories: Sequence[str], series: dict[str, Sequence[tuple[float, str]]], about: str
) -> None:
    """Draw bars, each with a text at its end.

    Args:
        sheet: the slide.
        box: where.
        categories: groups of bars.
        series: name to a value and its text for each category.
        about: description.
    """
    data = CategoryChartData()
    data.categories = [plain(each) for each in categories]
    for name, values in series.items():
        data.add_series(plain(name), [value for value, _ in values])
    chart = _add(sheet, box, XL_CHART_TYPE.COLUMN_CLUSTERED, data, about)
    chart.plots[0].gap_width, chart.plots[0].overlap = 60, -5
    for bars, ink, values in zip(chart.plots[0].series, (MUTED, GREEN), series.values(), strict=True):
        bars.format.fill.solid()
        bars.format.fill.fore_color.rgb = colour(ink)
        for place, (_, text) in enumerate(values):
            _label(bars.points[place], text, XL_LABEL_POSITION.OUTSIDE_END, ink)
    chart.value_axis.visible = False
    chart.value_axis.has_major_gridlines = False
    chart.value_axis.minimum_scale = 0
    chart.value_axis.maximum_scale = 1.12 * max(value for values in series.values() for value, _ in values)
    _show_legend(chart)


def _add(sheet: Sheet, box: Box, kind: Any, data: Any, about: str) -> Any:
    shape = sheet.slide.shapes.add_chart(kind, *map(Inches, box), data)
    describe(shape, about)
    chart = shape.chart
    chart.has_title = False
    chart.font.size, chart.font.name = Pt(LETTERS), SANS
    chart.font.color.rgb = colour(INK)
    for axis in (chart.value_axis, chart.category_axis):
        axis.format.line.color.rgb = colour(LINE)
    return chart


def _draw_line(series: Any, ink: str, width: float) -> None:
    series.format.line.color.rgb = colour(ink)
    series.format.line.width = Pt(width)


def _label(point: Any, text: str, side: Any, ink: str) -> None:
    frame = point.data_label.text_frame
    frame.text = plain(text)
    font = frame.paragraphs[-1].runs[0].font
    font.size, font.bold, font.name = Pt(LETTERS), True, SANS
    font.color.rgb = colour(ink)
    point.data_label.position = side


def _share_axis(axis: Any, least: float) -> None:
    axis.minimum_scale, axis.maximum_scale, axis.major_unit = least, 1, 0.25
    axis.major_gridlines.format.line.color.rgb = colour(LINE)
    axis.tick_labels.number_format, axis.tick_labels.number_format_is_linked = PERCENT, False


def _write_title(axis: Any, text: str) -> None:
    axis.has_title = True
    axis.axis_title.text_frame.text = plain(text)
    font = axis.axis_title.text_frame.paragraphs[0].runs[0].font
    font.size, font.bold, font.name = Pt(LETTERS), False, SANS


def _show_legend(chart: Any) -> None:
    chart.has_legend = True
    chart.legend.position, chart.legend.include_in_layout = XL_LEGEND_POSITION.BOTTOM, False
    chart.legend.font.size = Pt(LETTERS)
