"""Slides about a lake, in French: native text, tables and charts, with notes for who speaks."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fruits
from fruits.views.deck_facts import price_date, read_facts
from fruits.views.deck_look import Sheet, open_deck
from fruits.views.deck_slides import KINDS, Slide, Told, draw_notice
from fruits.views.words import Words

if TYPE_CHECKING:
    from pptx.presentation import Presentation as Deck

    from fruits.report import LakeFigures


def build_deck(figures: "LakeFigures", root: Path) -> "Deck":
    """Build the slides.

    Args:
        figures: of a lake.
        root: of the repository, whose files are quoted.

    Raises:
        FruitsError: a file of the repository does not say what a slide quotes.
    """
    words = Words("fr", "deck_fr")
    slides = words.texts["slide"]
    pages = {name: _find_pages(slides, name) for name in words.texts["criteria"]}
    facts = read_facts(root) | {"price_date": price_date()} | describe_lake(figures, words)
    told = Told(figures, facts, words, root, pages)
    deck, clock = open_deck(words.say("deck.title"), figures.made), 0
    for slide in slides:
        _add_slide(deck, slide, told, clock)
        clock += slide.get("seconds", 0)
    return deck


def _find_pages(slides: list[Slide], criterion: str) -> list[int]:
    return [place for place, slide in enumerate(slides, start=1) if criterion in slide.get("criteria", ())]


def _add_slide(deck: "Deck", slide: Slide, told: Told, clock: int) -> None:
    """Add a slide; where the lake lacks what it needs, one that says so."""
    missing = slide.get("needs") in missing_parts(told.figures)
    filled = {"title": slide["title"]} if missing else told.fill(slide)
    note = told.words.texts["missing"][slide["needs"]] if missing else filled["notes"]
    sheet = Sheet(deck, filled["title"], filled.get("message", ""))
    if missing:
        draw_notice(sheet, note)
    else:
        KINDS[slide["kind"]](sheet, filled, told)
    short = told.words.texts["criteria"]
    sheet.badges([f"{name} {short[name]['short']}" for name in slide.get("criteria", ())])
    sheet.number()
    sheet.note(f"{_tell_time(slide, told.words, clock)}\n{note.replace('`', '')}")


def _tell_time(slide: Slide, words: Words, clock: int) -> str:
    if slide.get("appendix"):
        return words.say("deck.appendix")
    seconds = slide["seconds"]
    start, end = (f"{each // 60}:{each % 60:02}" for each in (clock, clock + seconds))
    return words.say("deck.clock", seconds=seconds, start=start, end=end)


def missing_parts(figures: "LakeFigures") -> set[str]:
    """Name what slides may need and a lake does not have."""
    there = {
        "fit": figures.model is not None,
        "comparison": figures.recommended is not None,
        "confusions": bool(figures.confusions.get(figures.recommended)),
    }
    return {name for name, is_there in there.items() if not is_there}


def describe_lake(figures: "LakeFigures", words: Words) -> dict[str, Any]:
    """Give the facts of a lake by name; those of a fit only where there is one."""
    status, labels = figures.status, {row["label"] for row in figures.status["photos"]}
    tables = {name: about["rows"] if about else 0 for name, about in status["tables"].items()}
    backbone = figures.model.rpartition("-k")[0].rpartition("-")[0] if figures.model else ""
    facts = {
        "made": words.moment(figures.made),
        "release": fruits.__version__,
        "photos": sum(row["photos"] for row in status["photos"]),
        "training": _count(status, "Training"),
        "test": _count(status, "Test"),
        "labels": len(labels - {None}),
        "unread": sum(row["photos"] for row in figures.reasons),
        "network": name_network(backbone) if backbone else "-",
        "model": figures.model or "-",
        "promoted": _name_promoted(status["models"], words),
        **{f"rows_{name.removeprefix('gold_').partition('_')[0]}": rows for name, rows in tables.items()},
    }
    if figures.kept:
        share = words.share(float(figures.cumulative[figures.kept - 1]))
        facts |= {"k": figures.kept, "variance": share, "components": len(figures.cumulative)}
    if figures.recommended:
        facts |= _describe_choice(figures, words)
    return facts


def _describe_choice(figures: "LakeFigures", words: Words) -> dict[str, Any]:
    row = next(row for row in figures.comparison if row["recommended"])
    best = max(each["accuracy_test"] for each in figures.comparison if each["accuracy_test"] is not None)
    facts = {
        "recommended": row["k"],
        "accuracy": words.share(row["accuracy_test"]),
        "best": words.share(best),
        "bytes": row["bytes_per_photo"],
    }
    confusion = figures.confusions.get(row["k"])
    if confusion:
        wrong = sum(pair["photos"] for pair in confusion.pairs)
        facts |= {"wrong": wrong, "tested": sum(confusion.photos.values())}
    return facts


def _name_promoted(models: list[dict[str, Any]], words: Words) -> str:
    """Name the versions of models that have an alias."""
    promoted = [
        f"{each['name']} version {each['version']} ({', '.join(each['aliases'])})" for each in models if each["aliases"]
    ]
    return ", ".join(promoted) or words.say("deck.unpromoted")


def _count(status: dict[str, Any], split: str) -> int:
    return sum(row["photos"] for row in status["photos"] if row["split"] == split)


def name_network(backbone: str) -> str:
    """Say in words what a backbone's id says."""
    if found := re.fullmatch(r"mobilenetv2-([\d.]+)-(\d+)-(\w+)-(\w+)-.*", backbone):
        alpha, side, precision, weights = found.groups()
        return f"MobileNetV2 (alpha {alpha.replace('.', ',')}), {side} px, {precision}, poids {weights}"
    if found := re.fullmatch(r"fruits-(\d+)-(\w+)-.*", backbone):
        return f"réseau du paquet, {found[1]} px, poids {found[2]}"
    return backbone
