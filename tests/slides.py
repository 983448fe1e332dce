"""Slides as tests look at them: what is written in their shapes, and where."""

from collections.abc import Iterator
from typing import Any

from lake_reports import make_report

from fruits.views.deck import build_deck
from fruits.views.deck_facts import find_repository

INCH = 914_400
EVIL = "</a:t><b>Fig & Lime</b>\x07`x` **y** {photos} '\""
LONG = "Pomme de variété au nom bien trop long pour tenir dans la case de son tableau"
SPECTRUM = "L\u2019ACP"  # how the title of that slide begins


def make_deck(**about: Any) -> Any:
    """Build the slides of a lake that is nowhere, as make_report makes it."""
    return build_deck(make_report(**about), find_repository())


def text_of(shape: Any) -> str:
    """Give all a shape says; a chart's words are its own."""
    if shape.has_text_frame:
        return shape.text_frame.text
    cells = shape.table.iter_cells() if shape.has_table else ()
    return "\n".join(cell.text_frame.text for cell in cells)


def texts_of(slide: Any) -> Iterator[str]:
    yield from filter(None, map(text_of, slide.shapes))


def box_of(shape: Any) -> tuple[float, float, float, float]:
    """Give left, top, right and bottom in inches."""
    left, top = shape.left / INCH, shape.top / INCH
    return left, top, left + shape.width / INCH, top + shape.height / INCH


def find_slide(deck: Any, title: str) -> Any:
    """Find the slide whose title begins so."""
    return next(slide for slide in deck.slides if slide.shapes.title.text_frame.text.startswith(title))


def chart_of(slide: Any) -> Any:
    return next(shape.chart for shape in slide.shapes if shape.has_chart)


def rows_of(slide: Any) -> list[list[str]]:
    """Give the cells of the table of a slide."""
    table = next(shape.table for shape in slide.shapes if shape.has_table)
    return [[cell.text_frame.text for cell in row.cells] for row in table.rows]
