"""The look of the slides: one grid, few colours, native shapes to edit. Places are in inches, letters in points."""

import re
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from pptx import Presentation
from pptx.dml.color import RGBColor
from pptx.enum.shapes import MSO_CONNECTOR, MSO_SHAPE, PP_PLACEHOLDER
from pptx.enum.text import MSO_ANCHOR, PP_ALIGN
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls, qn
from pptx.util import Emu, Inches, Pt

from fruits.views.words import NARROW

if TYPE_CHECKING:
    from pptx.presentation import Presentation as Deck
    from pptx.shapes.base import BaseShape
    from pptx.text.text import TextFrame, _Paragraph

Box = tuple[float, float, float, float]  # left, top, width, height

WIDTH, HEIGHT = 13.333, 7.5
BODY: Box = (0.6, 1.8, 12.13, 4.95)
FOOT = 6.95  # where the last line of a slide begins
TEXT, SMALL, CODE = 18, 16, 13  # letters
SANS, MONO = "Calibri", "Courier New"
FONTS = {SANS: ("Carlito",), MONO: ("Liberation Mono",)}  # and those as wide, where these are not
INK, MUTED, PAPER, WHITE = "1F2A2E", "55636A", "FBFAF6", "FFFFFF"
GREEN, ORANGE, LINE, SHADE = "1F5C4A", "B4521A", "C9D2CE", "EDF2EE"
# What a brick is for: its fill, and its edge.
ROLES = {
    "storage": ("DCE9F5", "2B6CA3"),
    "compute": ("FBE6D4", ORANGE),
    "notebook": ("ECE4F4", "6B4A94"),
    "tracking": ("DDF0E4", "1F7A4D"),
    "governance": ("F6DEDE", "A33B3B"),
    "plain": ("EEF0EE", MUTED),
}
MARKUP = re.compile(r"(\*\*.+?\*\*|`.+?`)")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
LONGEST = 44  # letters of a name that a lake gives
NO_STYLE = "{2D5ABB26-0587-4C30-8999-92F81FD0307C}"  # of a table, as PowerPoint calls it
SIDES = {(0, -1): (0, 2), (-1, 0): (1, 3), (0, 1): (2, 0), (1, 0): (3, 1)}  # where an arrow leaves, and arrives


def plain(text: str) -> str:
    """Give a text with a space for what XML cannot hold, and with spaces that every font has."""
    return CONTROL.sub(" ", text).replace(NARROW, "\u00a0")


def shorten(name: str) -> str:
    """Cut a name that a lake gives to what a cell can hold."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def colour(hexadecimal: str) -> RGBColor:
    return RGBColor.from_string(hexadecimal)


def open_deck(title: str, when: Any) -> "Deck":
    """Begin a deck: 16 to 9, one layout, whose title is where every slide has it."""
    deck = Presentation()
    old = deck.slide_width
    deck.slide_width, deck.slide_height = Inches(WIDTH), Inches(HEIGHT)
    for layout in list(deck.slide_layouts):
        if layout.name != "Title Only":
            deck.slide_layouts.remove(layout)
    master = deck.slide_master
    for shape in [*master.placeholders, *deck.slide_layouts[0].placeholders]:
        shape.left, shape.width = (Emu(round(size * deck.slide_width / old)) for size in (shape.left, shape.width))
        if shape.placeholder_format.type == PP_PLACEHOLDER.TITLE:
            shape.left, shape.top, shape.width, shape.height = map(Inches, (BODY[0], 0.4, BODY[2], 0.72))
    background = master.background.fill
    background.solid()
    background.fore_color.rgb = colour(PAPER)
    style = master._element.find(f".//{qn('p:titleStyle')}/{qn('a:lvl1pPr')}")
    style.set("algn", "l")
    letters = style.find(qn("a:defRPr"))
    letters.set("sz", "2800")
    letters.set("b", "1")
    letters.find(qn("a:solidFill")).getparent().replace(
        letters.find(qn("a:solidFill")),
        parse_xml(f'<a:solidFill {nsdecls("a")}><a:srgbClr val="{GREEN}"/></a:solidFill>'),
    )
    about = deck.core_properties
    about.title, about.author, about.language = title, "fruits", "fr-FR"
    about.created = about.modified = when.replace(tzinfo=None)
    return deck


class Sheet:
    """One slide in the making."""

    def __init__(self, deck: "Deck", title: str, message: str = "") -> None:
        """Add a slide, with its title and, below it, what it says in one sentence."""
        self.slide = deck.slides.add_slide(deck.slide_layouts[0])
        frame = self.slide.shapes.title.text_frame
        frame.vertical_anchor = MSO_ANCHOR.BOTTOM
        frame.margin_left = frame.margin_right = 0
        run = frame.paragraphs[0].add_run()
        run.text = plain(title)
        _speak_french(run)
        if message:
            self.write((BODY[0], 1.13, BODY[2], 0.55), [message], ink=MUTED)

    def raise_title(self, height: float) -> None:
        """Put the title, larger, on a band of colour across the top."""
        band = self.slide.shapes.add_shape(MSO_SHAPE.RECTANGLE, 0, 0, Inches(WIDTH), Inches(height))
        band.fill.solid()
        band.fill.fore_color.rgb = colour(GREEN)
        band.line.fill.background()
        _drop_style(band)
        self.slide.shapes._spTree.insert(2, band._element)  # behind all else
        title = self.slide.shapes.title
        title.left, title.top, title.width, title.height = map(Inches, (BODY[0], 0.6, BODY[2], 0.95))
        font = title.text_frame.paragraphs[0].runs[0].font
        font.size, font.color.rgb = Pt(38), colour(WHITE)

    def write(self, box: Box, texts: Sequence[str], size: float = TEXT, **look: Any) -> "BaseShape":
        """Write paragraphs; one that begins with `- ` gets a bullet, **words** are bold, `words` are code.

        Args:
            box: where.
            texts: the paragraphs.
            size: of the letters.
            look: ink, bold, align, font, gap (points after a paragraph), marked (whether ** and ` mean anything).
        """
        shape = self.slide.shapes.add_textbox(*map(Inches, box))
        _clear(shape.text_frame, 0)
        _fill(shape.text_frame, texts, size, **look)
        return shape

    def panel(self, box: Box, texts: Sequence[str], role: str = "plain", size: float = SMALL, **look: Any) -> Any:
        """Draw a box with rounded corners, in the colours of a role, and write into it."""
        shape = self.slide.shapes.add_shape(MSO_SHAPE.ROUNDED_RECTANGLE, *map(Inches, box))
        shape.adjustments[0] = min(0.12 / min(box[2:]), 0.5)
        fill, edge = ROLES[role]
        shape.fill.solid()
        shape.fill.fore_color.rgb = colour(fill)
        shape.line.color.rgb = colour(edge)
        shape.line.width = Pt(1.5)
        _drop_style(shape)
        _clear(shape.text_frame, 0.1)
        shape.text_frame.vertical_anchor = look.pop("anchor", MSO_ANCHOR.MIDDLE)
        _fill(shape.text_frame, texts, size, **look)
        return shape

    def arrow(self, start: Any, end: Any, step: tuple[int, int]) -> None:
        """Draw an arrow between two shapes; step says which way, (1, 0) for to the right."""
        line = self.slide.shapes.add_connector(MSO_CONNECTOR.STRAIGHT, 0, 0, 0, 0)
        leave, arrive = SIDES[step]
        line.begin_connect(start, leave)
        line.end_connect(end, arrive)
        line.line.color.rgb = colour(MUTED)
        line.line.width = Pt(2)
        _drop_style(line)
        edge = line.line._get_or_add_ln()
        edge.append(edge.makeelement(qn("a:tailEnd"), {"type": "triangle"}))

    def table(self, box: Box, rows: Sequence[Sequence[str]], widths: Sequence[float], **look: Any) -> None:
        """Draw a table.

        Args:
            box: where; its height is shared evenly.
            rows: cells, the head first.
            widths: of the columns, as shares.
            look: size of letters, strong (places of rows that stand out), right (columns of numbers), marked.
        """
        size, strong, right = look.get("size", SMALL), look.get("strong", ()), look.get("right", ())
        shape = self.slide.shapes.add_table(len(rows), len(rows[0]), *map(Inches, box))
        shape._element.find(f".//{qn('a:tableStyleId')}").text = NO_STYLE
        for place, width in enumerate(widths):
            shape.table.columns[place].width = Inches(box[2] * width / sum(widths))
        for row, texts in enumerate(rows):
            shape.table.rows[row].height = Inches(box[3] / len(rows))
            fill = GREEN if row == 0 else "F7DFC9" if row in strong else (WHITE, SHADE)[row % 2]
            for column, text in enumerate(texts):
                cell = shape.table.cell(row, column)
                cell.fill.solid()
                cell.fill.fore_color.rgb = colour(fill)
                cell.vertical_anchor = MSO_ANCHOR.MIDDLE
                cell.margin_left = cell.margin_right = Inches(0.1)
                cell.margin_top = cell.margin_bottom = Inches(0.02)
                _fill(
                    cell.text_frame,
                    [text],
                    size,
                    ink=WHITE if row == 0 else INK,
                    bold=row == 0 or row in strong,
                    align="right" if column in right else "left",
                    marked=look.get("marked", True),
                    gap=0,
                )

    def code(self, left: float, top: float, width: float, name: str, text: str) -> float:
        """Show lines of a file under its name; returns where the next thing may begin."""
        self.write((left, top, width, 0.28), [name], 12, ink=MUTED, bold=True)
        lines = text.splitlines()
        height = len(lines) * CODE * 1.2 / 72 + 0.2
        shape = self.panel(
            (left, top + 0.3, width, height), lines, "plain", CODE, font=MONO, marked=False, gap=0, align="left"
        )
        shape.line.color.rgb = colour(LINE)
        shape.text_frame.word_wrap = False
        return top + height + 0.42

    def picture(self, box: Box, content: bytes, description: str) -> None:
        """Show a picture, with words for those who do not see it."""
        describe(self.slide.shapes.add_picture(BytesIO(content), *map(Inches, box)), description)

    def badges(self, names: Sequence[str]) -> None:
        """Name the criteria that are met here, on the last line."""
        left = BODY[0]
        for name in names:
            width = 0.3 + 0.087 * len(name)
            shape = self.panel((left, FOOT, width, 0.34), [name], "compute", 12, bold=True, align="center", gap=0)
            shape.text_frame.margin_left = shape.text_frame.margin_right = Inches(0.05)
            left += width + 0.15

    def number(self) -> None:
        """Write the slide's number, which follows when slides are moved."""
        shape = self.write((WIDTH - 2.6, FOOT, 2, 0.34), ["fruits \u2013 "], 12, ink=MUTED, align="right", gap=0)
        paragraph = shape.text_frame.paragraphs[0]._p
        field = parse_xml(
            f'<a:fld {nsdecls("a")} id="{{B6F15528-21DE-4FAA-801E-634DDDAF4B2B}}" type="slidenum">'
            f"<a:rPr lang='fr-FR' sz='1200'><a:solidFill><a:srgbClr val='{MUTED}'/></a:solidFill></a:rPr>"
            f"<a:t>{self.slide.slide_id - 255}</a:t></a:fld>"
        )
        paragraph.insert(len(paragraph.findall(qn("a:r"))) + 1, field)

    def note(self, text: str) -> None:
        """Write what the speaker says."""
        frame = self.slide.notes_slide.notes_text_frame
        frame.text = plain(text)
        for paragraph in frame.paragraphs:
            for run in paragraph.runs:
                _speak_french(run)


def describe(shape: "BaseShape", text: str) -> None:
    """Give a picture or a chart words for those who do not see it."""
    shape._element._nvXxPr.cNvPr.set("descr", plain(text))


def _drop_style(shape: "BaseShape") -> None:
    """Take the theme's style from a shape, or it has a shadow; its colours are its own."""
    shape._element.remove(shape._element.find(qn("p:style")))


def _clear(frame: "TextFrame", margin: float) -> None:
    frame.word_wrap = True
    frame.margin_left = frame.margin_right = Inches(margin)
    frame.margin_top = frame.margin_bottom = Inches(margin / 2)


def _fill(frame: "TextFrame", texts: Sequence[str], size: float, **look: Any) -> None:
    align = {"left": PP_ALIGN.LEFT, "right": PP_ALIGN.RIGHT, "center": PP_ALIGN.CENTER}[look.get("align", "left")]
    for place, text in enumerate(texts):
        paragraph = frame.paragraphs[0] if place == 0 else frame.add_paragraph()
        paragraph.alignment = align
        paragraph.space_after = Pt(look.get("gap", size / 3))
        marked = look.get("marked", True)
        if marked and text.startswith("- "):
            text = text[2:]
            _add_bullet(paragraph, size)
        for part in MARKUP.split(text) if marked else [text]:
            if part:
                _add_run(paragraph, part, size, marked, look)


def _add_run(paragraph: "_Paragraph", part: str, size: float, marked: bool, look: dict[str, Any]) -> None:
    strong, code = (marked and part.startswith(mark) and len(part) > 2 * len(mark) for mark in ("**", "`"))
    run = paragraph.add_run()
    run.text = plain(part.strip("*") if strong else part.strip("`") if code else part)
    run.font.size = Pt(round(size * 0.88) if code else size)
    run.font.name = MONO if code else look.get("font", SANS)
    run.font.bold = bool(strong or look.get("bold"))
    run.font.color.rgb = colour(look.get("ink", INK))
    _speak_french(run)


def _speak_french(run: Any) -> None:
    run._r.get_or_add_rPr().set("lang", "fr-FR")  # or a spelling checker underlines every word


def _add_bullet(paragraph: "_Paragraph", size: float) -> None:
    about = paragraph._p.get_or_add_pPr()
    about.set("marL", str(Pt(size)))
    about.set("indent", str(-Pt(size)))
    about.append(parse_xml(f'<a:buFont {nsdecls("a")} typeface="{SANS}"/>'))
    about.append(parse_xml(f'<a:buChar {nsdecls("a")} char="•"/>'))
