"""Slides as people see them: every one shown by LibreOffice, its letters inside their boxes, in the fonts asked for."""

import re
from collections import Counter

import pymupdf
import pytest
from pptx import Presentation
from slides import EVIL, LONG, box_of, make_deck, text_of

from fruits.cli_views import _export
from fruits.platform.office import export_pdf, missing_fonts
from fruits.views.deck_look import FONTS

pytestmark = pytest.mark.browser
POINTS = 72  # an inch
SLACK = (-2, -2, 2, 2)  # points; a letter's box is higher than the letter
WIDE = {"Calibri", "Carlito", "CourierNew", "LiberationMono", "LiberationSans"}
BULLET = "•"


def test_a_font_that_is_not_there_is_named(monkeypatch, tmp_path):
    assert missing_fonts({"Calibri": ("Carlito",), "No font has this name": ("nor this",)}) == ["No font has this name"]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert missing_fonts({"No font has this name": ()}) == []


def test_a_pdf_made_without_the_fonts_says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("fruits.views.deck_look.FONTS", {"No font has this name": ()})
    Presentation().save(tmp_path / "empty.pptx")
    (tmp_path / "empty.pdf").write_text("an older one")
    assert _export(tmp_path / "empty.pptx").read_bytes().startswith(b"%PDF")
    assert "this machine has neither No font has this name nor fonts as wide" in capsys.readouterr().err


def letters(text: str) -> Counter:
    """Count letters, whatever lies between them."""
    return Counter(re.sub(rf"[\s{BULLET}]", "", text))


@pytest.mark.parametrize("about", [{"labels": (EVIL, LONG, "Fig")}, {"k": 0}], ids=["long names", "no gold"])
def test_every_text_is_inside_its_box_in_the_fonts_asked_for(tmp_path, about):
    assert missing_fonts(FONTS) == []
    deck = make_deck(**about)
    deck.save(tmp_path / "deck.pptx")
    with pymupdf.open(export_pdf(tmp_path / "deck.pptx")) as pdf:
        assert len(pdf) == len(deck.slides)
        for page, slide in zip(pdf, deck.slides, strict=True):
            assert {re.split(r"[+-]", font[3].split("+")[-1])[0] for font in page.get_fonts()} <= WIDE
            boxes = [
                (shape, pymupdf.Rect([POINTS * edge for edge in box_of(shape)]) + SLACK)
                for shape in slide.shapes
                if shape.has_chart or text_of(shape).strip()
            ]
            found = {shape.shape_id: "" for shape, _ in boxes}
            for *place, word, _, _, _ in page.get_text("words", flags=0):
                inside = [shape for shape, box in boxes if box.contains(pymupdf.Rect(place))]
                assert inside, f"slide {page.number + 1}: {word!r} is outside of every box"
                found[inside[0].shape_id] += word
            for shape, _ in boxes:
                if not shape.has_chart:
                    assert letters(found[shape.shape_id]) == letters(text_of(shape)), f"slide {page.number + 1}"
