"""How each kind of slide is drawn: from its texts, whose names are filled in already, and from figures of the lake."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fruits.samples import draw_photo
from fruits.views.deck_charts import draw_accuracy, draw_bars, draw_variance
from fruits.views.deck_facts import price_runs, quote_code
from fruits.views.deck_look import BODY, CODE, FOOT, GREEN, MUTED, ROLES, SMALL, TEXT, WHITE, Sheet, shorten
from fruits.views.words import Words

if TYPE_CHECKING:
    from fruits.report import LakeFigures

Slide = dict[str, Any]
LEFT, TOP, ACROSS, DOWN = BODY
PICTURE = 1.35  # inches
SIDE = 300  # pixels of a picture
LETTERS = 112  # of the text's size in a line
GAP = 0.42  # between the boxes of a diagram
MOST_STAGES = 4  # shown, the newest
MOST_PAIRS = 6  # of labels taken for each other
MOST_KS = 8  # compared, in a table


@dataclass(frozen=True)
class Told:
    """What slides are made of.

    Attributes:
        figures: of the lake.
        facts: what the texts name, of the lake and of the repository.
        words: the texts.
        root: of the repository.
        pages: criterion to the numbers of the slides where it is met.
    """

    figures: "LakeFigures"
    facts: dict[str, Any]
    words: Words
    root: Path
    pages: dict[str, list[int]]

    def fill(self, texts: Any) -> Any:
        """Put facts into every text of a slide."""
        if isinstance(texts, str):
            return texts.format(**{name: self.words.number(value) for name, value in self.facts.items()})
        if isinstance(texts, list):
            return [self.fill(each) for each in texts]
        return {name: self.fill(each) for name, each in texts.items()} if isinstance(texts, dict) else texts


def draw_cover(sheet: Sheet, slide: Slide, told: Told) -> None:
    sheet.raise_title(2.6)
    sheet.write((LEFT, 1.65, ACROSS, 0.6), [slide["subtitle"]], 22, ink=WHITE)
    _show_row(sheet, slide["pictures"], 3.3, told)
    sheet.write((LEFT, 5.4, 10.5, 1.2), [slide["about"]], TEXT)


def draw_text(sheet: Sheet, slide: Slide, told: Told) -> None:
    width = ACROSS - 2.2 if slide.get("pictures") else ACROSS
    sheet.write((LEFT, TOP + 0.1, width, DOWN - 0.2), slide["bullets"], 20, gap=12)
    _show_column(sheet, slide.get("pictures", ()), told)


def draw_table(sheet: Sheet, slide: Slide, told: Told) -> None:
    rows = slide["rows"]
    height = slide.get("table_height", min(DOWN, 0.62 * len(rows)))
    box = (LEFT, TOP, slide.get("table_width", ACROSS), height)
    sheet.table(box, rows, slide["widths"], size=slide.get("size", SMALL), right=slide.get("right", ()))
    if "below" in slide:
        width = ACROSS - 2.2 if slide.get("pictures") else ACROSS
        sheet.write((LEFT, TOP + height + 0.25, width, DOWN - height - 0.25), slide["below"], TEXT)
    _show_column(sheet, slide.get("pictures", ()), told)


def draw_code(sheet: Sheet, slide: Slide, told: Told) -> None:
    texts = [quote_code(told.root, **quoted) for quoted in slide["code"]]
    heights = [0.72 + len(text.splitlines()) * CODE * 1.2 / 72 for text in texts]
    # The bullets' lines, counted by their letters; the code never leaves the slide.
    lines = sum(math.ceil(len(text) / LETTERS) for text in slide["bullets"])
    top = min(TOP + 0.32 * lines + 0.1 * len(slide["bullets"]) + 0.2, TOP + DOWN - sum(heights))
    sheet.write((LEFT, TOP, ACROSS, top - TOP - 0.05), slide["bullets"], TEXT)
    for quoted, text in zip(slide["code"], texts, strict=True):
        name = f"{quoted['file']}, {quoted['function']}" if "function" in quoted else quoted["file"]
        top = sheet.code(LEFT, top, ACROSS, name, text)


def draw_diagram(sheet: Sheet, slide: Slide, told: Told) -> None:
    """Draw boxes on a grid, arrows between neighbours, and what the colours mean."""
    columns, rows = slide["grid"]
    width, height = (ACROSS + GAP) / columns - GAP, (DOWN - 0.4 + GAP) / rows - GAP
    shapes, places = {}, {}
    for box in slide["boxes"]:
        column, row = places[box["id"]] = box["at"]
        place = (LEFT + column * (width + GAP), TOP + row * (height + GAP), width, height)
        texts = [f"**{box['name']}**", *box["text"].split("\n")]
        shapes[box["id"]] = sheet.panel(place, texts, box["role"], SMALL, align="center", gap=2)
    for start, end in slide["arrows"]:
        across, down = (int(np.sign(b - a)) for a, b in zip(places[start], places[end], strict=True))
        sheet.arrow(shapes[start], shapes[end], (across, 0) if across else (0, down))
    if "aside" in slide:
        top = TOP + (rows - 1) * (height + GAP)
        sheet.write((LEFT, top, ACROSS - width - GAP, height), slide["aside"], TEXT)
    left = LEFT
    for role in [role for role in ROLES if any(box["role"] == role for box in slide["boxes"])]:
        name = told.words.texts["roles"][role]
        sheet.panel((left, TOP + DOWN - 0.22, 0.22, 0.22), [""], role)
        sheet.write((left + 0.32, TOP + DOWN - 0.25, 1.5, 0.28), [name], 14, ink=MUTED, gap=0)
        left += 1.9


def draw_spectrum(sheet: Sheet, slide: Slide, told: Told) -> None:
    cumulative = told.figures.cumulative
    draw_variance(sheet, (LEFT, TOP, 8.1, DOWN), cumulative, told.figures.kept, slide["chart"])
    rows = [slide["head"]]
    for share in slide["shares"]:
        # Rounding of sums, as in choose_k.
        reached = int(np.searchsorted(cumulative, share - 1e-12)) + 1
        number = told.words.number(reached) if reached <= len(cumulative) else slide["unreached"]
        rows.append([told.words.share(share, 0), number])
    sheet.table((9.1, TOP + 0.1, 3.63, 3.3), rows, [1, 1], right=(1,))
    sheet.write((9.1, TOP + 3.6, 3.63, 1.1), [slide["below"]], SMALL, ink=MUTED)


def draw_choice(sheet: Sheet, slide: Slide, told: Told) -> None:
    rows, words = told.figures.comparison, told.words
    best = next(place for place, row in enumerate(rows) if row["recommended"])
    draw_accuracy(sheet, (LEFT, TOP, 6.6, DOWN), rows, slide["series"], best, slide)
    first = min(max(0, best - MOST_KS // 2), max(0, len(rows) - MOST_KS))
    shown = rows[first : first + MOST_KS]
    columns = ("cumulative_explained_variance", "accuracy_train", "accuracy_test")
    cells = [
        [str(row["k"]), *(words.share(row[name]) for name in columns), words.number(row["bytes_per_photo"])]
        for row in shown
    ]
    height = 0.46 * (len(cells) + 1)
    box = (LEFT + 6.8, TOP + 0.15, ACROSS - 6.8, height)
    sheet.table(box, [slide["head"], *cells], [0.8, 1.2, 1.2, 1, 1], strong=(best - first + 1,), right=range(5))


def draw_quality(sheet: Sheet, slide: Slide, told: Told) -> None:
    confusion = told.figures.confusions[told.figures.recommended]
    pairs = confusion.pairs[:MOST_PAIRS]
    if pairs:
        cells = []
        for pair in pairs:
            n, of = map(told.words.number, (pair["photos"], confusion.photos[pair["label"]]))
            cells.append([shorten(pair["label"]), shorten(pair["guess"]), slide["of"].format(n=n, of=of)])
        height = 0.36 * (len(cells) + 1)
        sheet.table((LEFT, TOP, ACROSS, height), [slide["head"], *cells], [5, 5, 1.4], right=(2,), marked=False)
    else:
        height = 0.5
        sheet.write((LEFT, TOP, ACROSS, height), [slide["perfect"]], 20)
    sheet.write((LEFT, TOP + height + 0.2, ACROSS, DOWN - height - 0.2), slide["below"], SMALL)


def draw_speed(sheet: Sheet, slide: Slide, told: Told) -> None:
    facts, words = told.facts, told.words

    def seconds(whose: str) -> list[tuple[float, str]]:
        return [(facts[f"{n}_{whose}"], f"{facts[f'{n}_{whose}']} s") for n in ("few", "many")]

    bars = {slide["usual"]: seconds("usual"), slide["ours"]: seconds("ours")}
    draw_bars(sheet, (LEFT, TOP, 6.2, DOWN - 1.05), slide["groups"], bars, slide["description"])
    names = words.texts["stages"]
    rows = [names["head"]]
    for stage in told.figures.stages[-MOST_STAGES:]:
        took = names["unknown"] if stage["seconds"] is None else words.seconds(stage["seconds"])
        rows.append([names[stage["stage"]], "-" if stage["rows"] is None else words.number(stage["rows"]), took])
    rows += [["-", "-", names["unknown"]]] if not told.figures.stages else []
    sheet.write((7.2, TOP, 5.53, 0.4), [slide["heading"]], TEXT, bold=True, ink=GREEN)
    sheet.table((7.2, TOP + 0.5, 5.53, 0.5 * len(rows)), rows, [1.3, 1.2, 2], right=(1, 2))
    sheet.write((LEFT, TOP + DOWN - 0.9, ACROSS, 0.9), slide["below"], SMALL)


def draw_cost(sheet: Sheet, slide: Slide, told: Told) -> None:
    rows = [slide["head"], *price_runs(slide["runs"], told.words)]
    sheet.table((LEFT, TOP, ACROSS, 2.9), rows, [3.9, 1.4, 2.6, 2.5, 1.7], right=(1, 2, 3, 4))
    sheet.write((LEFT, TOP + 3.1, ACROSS, DOWN - 3.1), slide["below"], SMALL)


def draw_robustness(sheet: Sheet, slide: Slide, told: Told) -> None:
    def points(network: str) -> list[tuple[float, str]]:
        said = [told.facts[f"{change}_{network}"] for change in ("light", "turn", "jpeg", "grey")]
        return [(float(each.replace(",", ".")), each) for each in said]

    bars = {slide["imagenet"]: points("imagenet"), slide["fruits"]: points("fruits")}
    draw_bars(sheet, (LEFT, TOP, ACROSS, DOWN - 1.3), slide["groups"], bars, slide["description"])
    sheet.write((LEFT, TOP + DOWN - 1.15, ACROSS, 1.15), slide["below"], SMALL)


def draw_questions(sheet: Sheet, slide: Slide, told: Told) -> None:
    height = DOWN / len(slide["questions"])
    for place, (question, answer) in enumerate(slide["questions"]):
        top = TOP - 0.35 + place * (height + 0.1)
        sheet.write((LEFT, top, ACROSS, 0.4), [question], 20, bold=True, ink=GREEN)
        sheet.write((LEFT, top + 0.42, ACROSS, height - 0.45), [answer], TEXT)


def draw_criteria(sheet: Sheet, slide: Slide, told: Told) -> None:
    rows = [slide["head"]]
    for name, about in told.words.texts["criteria"].items():
        rows.append([f"**{name}**", about["long"], ", ".join(map(str, told.pages[name])), about["state"]])
    sheet.table((LEFT, 1.5, ACROSS, 5.2), rows, [0.8, 6.2, 2, 3.1])


def draw_source(sheet: Sheet, slide: Slide, told: Told) -> None:
    rows = [slide["head"]]
    for name, about in told.figures.status["tables"].items():
        cells = [slide["never"], "-"] if about is None else [str(about["version"]), told.words.number(about["rows"])]
        rows.append([name, *cells])
    sheet.table((LEFT, TOP, 5.6, 3.4), rows, [2.4, 1.6, 1.2], right=(1, 2))
    sheet.write((6.6, TOP, ACROSS - 6, DOWN), slide["below"], SMALL)


def draw_notice(sheet: Sheet, text: str) -> None:
    sheet.panel((LEFT + 1.5, TOP + 1.2, ACROSS - 3, 1.6), [text], "plain", 20, align="center")


def _show_row(sheet: Sheet, names: Sequence[str], top: float, told: Told) -> None:
    step = ACROSS / len(names)
    for place, name in enumerate(names):
        _show(sheet, name, LEFT + place * step, top, told)


def _show_column(sheet: Sheet, names: Sequence[str], told: Told) -> None:
    for place, name in enumerate(names):
        _show(sheet, name, LEFT + ACROSS - PICTURE, TOP + place * (FOOT - TOP) / len(names), told, 1.15)


def _show(sheet: Sheet, name: str, left: float, top: float, told: Told, side: float = PICTURE) -> None:
    file = BytesIO()
    draw_photo(name, 0).resize((SIDE, SIDE)).save(file, "JPEG", quality=92)
    sheet.picture((left, top, side, side), file.getvalue(), told.words.say("deck.drawn", fruit=name))


KINDS: dict[str, Callable[[Sheet, Slide, Told], None]] = {
    "cover": draw_cover,
    "text": draw_text,
    "table": draw_table,
    "code": draw_code,
    "diagram": draw_diagram,
    "variance": draw_spectrum,
    "choice": draw_choice,
    "quality": draw_quality,
    "speed": draw_speed,
    "cost": draw_cost,
    "robustness": draw_robustness,
    "questions": draw_questions,
    "criteria": draw_criteria,
    "source": draw_source,
}
