"""The slides: what they say is what the lake and the repository say, in French, whatever the lake lacks."""

import importlib.util
import re
import shlex
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pymupdf
import pytest
from lake_reports import make_report
from pptx import Presentation
from slides import EVIL, LONG, SPECTRUM, box_of, chart_of, find_slide, make_deck, rows_of, text_of, texts_of

import fruits
from fruits import cli
from fruits.errors import FruitsError
from fruits.platform.office import export_pdf
from fruits.samples import LABELS
from fruits.views.deck import build_deck, name_network
from fruits.views.deck_facts import find_repository, quote_code, read_facts, read_number
from fruits.views.deck_look import plain
from fruits.views.summaries import show_deck
from fruits.views.words import NARROW, Words

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "presentation"
WORDS = Words("fr", "deck_fr")
SLIDES = WORDS.texts["slide"]
CRITERIA = WORDS.texts["criteria"]
NOTICES = {plain(text.replace("`", "")) for text in WORDS.texts["missing"].values()}


@pytest.fixture(scope="module")
def deck():
    """The slides of a small lake."""
    return make_deck()


def test_the_talk_is_20_to_25_slides_in_20_minutes_and_an_appendix_after_it(deck):
    talk = [slide for slide in SLIDES if not slide.get("appendix")]
    assert 20 <= len(talk) <= 25
    assert SLIDES[: len(talk)] == talk
    assert sum(slide["seconds"] for slide in talk) == 20 * 60
    assert len(SLIDES) - len(talk) >= 8
    assert len(deck.slides) == len(SLIDES)


def test_every_criterion_is_named_where_it_is_met_and_in_the_table_at_the_end(deck):
    assert list(CRITERIA) == ["C1.1", "C1.2", "C2.1", "C2.2", "C2.3", "C3.1", "C3.2", "C3.3", "C3.4"]
    rows = rows_of(find_slide(deck, "Les neuf critères"))[1:]
    assert [row[0] for row in rows] == list(CRITERIA)
    for name, _, pages, _ in rows:
        badge = f"{name} {CRITERIA[name]['short']}"
        assert [str(n) for n, slide in enumerate(deck.slides, 1) if badge in texts_of(slide)] == pages.split(", ")


def test_every_slide_has_notes_and_those_of_the_talk_the_time(deck):
    for slide, about in zip(deck.slides, SLIDES, strict=True):
        first, said = slide.notes_slide.notes_text_frame.text.split("\n", 1)
        assert first.startswith("Annexe" if about.get("appendix") else f"Durée\u00a0: {about['seconds']} s, de ")
        assert len(said) > 60
    last = next(slide for slide, about in zip(deck.slides, SLIDES, strict=True) if about["kind"] == "criteria")
    assert "à 20:00." in last.notes_slide.notes_text_frame.text


def test_nothing_is_left_to_be_filled_in(deck):
    for slide in deck.slides:
        said = [*texts_of(slide), slide.notes_slide.notes_text_frame.text]
        assert not [text for text in said if re.search(r"\{\w*\}|\bNone,|\bnan\b|TODO", text)]
        assert all(shape.text_frame.text.strip() for shape in slide.placeholders)


def test_numbers_are_written_as_french_does(deck):
    code = {quote_code(ROOT, **each) for slide in SLIDES for each in slide.get("code", ())}
    said = "\n".join(text for slide in deck.slides for text in texts_of(slide) if text not in code)
    assert re.search(r"\d,\d+\u00a0%", said)
    assert "90\u00a0483 photos" in said
    assert re.findall(r"\d\.\d+\W?(?:%|s\b|fois|\$|Mo|Go)|\d %|\S [:;?!»]|« ", said) == []
    assert NARROW not in said  # not every font has it


def test_charts_hold_what_the_lake_holds():
    data = make_report()
    deck = build_deck(data, find_repository())
    curve, mark = chart_of(find_slide(deck, SPECTRUM)).plots[0].series
    assert list(curve.iter_values()) == data.cumulative.tolist()
    assert list(mark.values) == [data.cumulative[5]]
    slide = find_slide(deck, "Combien de composantes")
    test, train = chart_of(slide).plots[0].series
    assert list(test.values) == [row["accuracy_test"] for row in data.comparison]
    assert list(train.values) == [row["accuracy_train"] for row in data.comparison]
    share = plain(WORDS.share(data.cumulative[2]))
    assert rows_of(slide)[1] == ["3", share, "87,5\u00a0%", "75,3\u00a0%", "24"]
    usual, ours = chart_of(find_slide(deck, "Vitesse")).plots[0].series
    facts = read_facts(ROOT)
    assert list(usual.values) == [facts["few_usual"], facts["many_usual"]]
    assert list(ours.values) == [facts["few_ours"], facts["many_ours"]]
    assert facts["few_ours"] < facts["few_usual"]


def test_tables_hold_what_the_lake_holds(deck):
    data = rows_of(find_slide(deck, "Les données"))
    assert [row[1] for row in data[1:]] == ["48", "12", "3", "0"]
    assert rows_of(find_slide(deck, "Qualité"))[1] == ["Apple", "Fig", "3 sur 4"]
    assert rows_of(find_slide(deck, "Vitesse"))[1:] == [["bronze", "60", "non connue"], ["silver", "60", "12 s"]]
    assert rows_of(find_slide(make_deck(n=0, k=0), "Vitesse"))[1:] == [["-", "-", "non connue"]]
    variance = dict(rows_of(find_slide(deck, SPECTRUM))[1:])
    assert variance["50\u00a0%"] == "3"
    assert variance["99\u00a0%"] == "12"


@pytest.mark.parametrize(
    ("about", "lacks", "says"),
    [
        ({"k": 0}, {SPECTRUM, "Combien", "Qualité"}, "lancer fruits gold"),
        ({"labels": ("Fig",)}, {"Qualité"}, "de deux fruits au moins"),
        ({"labels": (None,)}, {"Qualité"}, "de deux fruits au moins"),
        ({"k": 1}, set(), "k = 1"),
        ({"n": 3}, set(), "Photos Training"),
        ({"n": 0, "k": 0}, {SPECTRUM, "Combien", "Qualité"}, "notée dans ce lac"),
    ],
    ids=["no gold", "one label", "no label", "k=1", "3 photos", "nothing"],
)
def test_a_lake_that_lacks_something_has_slides_that_say_so(about, lacks, says):
    made = make_deck(**about)
    found = [slide.shapes.title.text_frame.text for slide in made.slides if NOTICES & set(texts_of(slide))]
    assert {title.split()[0] for title in found} == lacks
    assert says in "\n".join(text for slide in made.slides for text in texts_of(slide))
    assert len(made.slides) == len(SLIDES)


def test_a_label_is_a_text_whatever_is_in_it(tmp_path):
    made = make_deck(labels=(EVIL, LONG))
    made.save(tmp_path / "deck.pptx")
    row = rows_of(find_slide(Presentation(tmp_path / "deck.pptx"), "Qualité"))[1]
    assert row[0] == EVIL.replace("\x07", " ")[:43] + "…"
    assert row[1] == f"{LONG[:43]}…"


def test_no_two_texts_overlap_and_all_is_on_the_slide(deck):
    for about in (deck, make_deck(k=0)):
        for number, slide in enumerate(about.slides, 1):
            shapes = [shape for shape in slide.shapes if shape.has_chart or text_of(shape) or shape.shape_type == 13]
            assert all(min(box_of(shape)[:2]) >= 0 for shape in shapes)
            assert all(box_of(shape)[2] <= 13.334 and box_of(shape)[3] <= 7.5 for shape in shapes)
            for one, other in combinations(shapes, 2):
                (a, b, c, d), (e, f, g, h) = box_of(one), box_of(other)
                apart = c <= e + 0.001 or g <= a + 0.001 or d <= f + 0.001 or h <= b + 0.001
                assert apart, f"slide {number}: {text_of(one)[:40]!r} and {text_of(other)[:40]!r}"


def test_letters_are_large_enough_to_read(deck):
    for slide in deck.slides:
        frames = [shape.text_frame for shape in slide.shapes if shape.has_text_frame]
        frames += [cell.text_frame for shape in slide.shapes if shape.has_table for cell in shape.table.iter_cells()]
        for run in (run for frame in frames for paragraph in frame.paragraphs for run in paragraph.runs):
            if run.font.size is not None:
                is_small = run.text.startswith(("fruits \u2013", "src/", "notebooks/", "C1.", "C2.", "C3."))
                least = 12 if is_small or run.font.name == "Courier New" else 14
                assert run.font.size.pt >= least, run.text


def test_every_picture_is_drawn_and_said_in_words(deck):
    pictures = [shape for slide in deck.slides for shape in slide.shapes if shape.shape_type == 13]
    assert len(pictures) > 10
    for shape in pictures:
        said = shape._element._nvXxPr.cNvPr.get("descr")
        assert said.startswith("Fruit dessiné par le programme")
        assert said.rpartition(": ")[2] in LABELS
    charts = [shape for slide in deck.slides for shape in slide.shapes if shape.has_chart]
    assert len(charts) == 4
    assert all(len(shape._element._nvXxPr.cNvPr.get("descr")) > 20 for shape in charts)


def test_code_on_a_slide_is_in_the_repository(deck):
    quoted = [each for slide in SLIDES for each in slide.get("code", ())]
    assert len(quoted) >= 7
    for each in quoted:
        lines = (ROOT / each["file"]).read_text().splitlines()
        shown = quote_code(ROOT, **each).splitlines()
        assert 1 <= len(shown) <= 8
        assert {line.strip() for line in shown} <= {line.strip() for line in lines}
    said = [text for slide in deck.slides for text in texts_of(slide)]
    assert quote_code(ROOT, "src/fruits/bronze.py", "label_of") in said
    with pytest.raises(FruitsError, match=r"bronze.py has no lines nothing from '' to ''"):
        quote_code(ROOT, "src/fruits/bronze.py", "nothing")


def test_every_command_on_a_slide_is_one_there_is():
    written = "".join((ROOT / name).read_text() for name in ("README.md", "docs/aws.md", "docs/databricks.md"))
    rows = [row for slide in SLIDES for row in slide.get("rows", ())]
    commands = [row[0].strip("`") for row in rows if row[0].startswith("`")]
    assert len(commands) > 20
    for command in commands:
        assert re.search(rf"^{re.escape(command)}( |$)", written, re.M), command
        if command.startswith("fruits "):
            cli._make_parser().parse_args(shlex.split(command)[1:])


def test_facts_are_those_of_the_files_and_a_file_that_lacks_one_is_named(tmp_path):
    facts = read_facts(ROOT)
    assert f"{facts['few_ours']} s against {facts['few_usual']} s" in (ROOT / "README.md").read_text()
    assert (facts["whole"], facts["kinds"], facts["access_days"]) == (90483, 131, 90)
    assert "eu-west-3" in facts["regions"]
    assert [read_number(said) for said in ("9,956", "2.77", "AVX-512")] == [9956, "2,77", "AVX-512"]
    (tmp_path / "README.md").write_text("nothing")
    with pytest.raises(FruitsError, match=r"README.md says nothing like .*a slide quotes"):
        read_facts(tmp_path)


def test_every_text_and_every_fact_is_used():
    code = "".join(file.read_text() for file in (ROOT / "src" / "fruits" / "views").glob("deck*.py"))
    texts = (ROOT / "src" / "fruits" / "views" / "texts" / "deck_fr.toml").read_text()
    assert [name for slide in SLIDES for name in slide if f'"{name}"' not in code] == []
    assert [name for name in WORDS.texts["deck"] if f'"deck.{name}"' not in code] == []
    drawn = re.compile(r"(few|many|light|turn|jpeg|grey)_(ours|usual|fruits|imagenet)")
    assert [name for name in read_facts(ROOT) if f"{{{name}}}" not in texts and not drawn.fullmatch(name)] == []


def test_away_from_a_clone_it_says_where_to_go(tmp_path, monkeypatch):
    assert find_repository() == ROOT
    monkeypatch.setattr(fruits, "__file__", str(tmp_path / "lib" / "python" / "fruits" / "__init__.py"))
    monkeypatch.chdir(ROOT)
    assert find_repository() == ROOT
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FruitsError, match="run this in a clone"):
        find_repository()


def test_promoted_models_are_named():
    models = [
        {"name": "fruits_pca", "version": version, "aliases": each} for version, each in ((2, []), (1, ["champion"]))
    ]
    status = make_report().status
    for told, said in ((models, "fruits_pca version 1 (champion)"), (models[:1], "aucun modèle n\u2019est promu")):
        made = build_deck(replace(make_report(), status=status | {"models": told}), ROOT)
        assert f"Dans ce lac\u00a0: {said}." in "\n".join(texts_of(find_slide(made, "Étape 4")))


def test_a_network_is_named_in_words():
    imagenet = name_network("mobilenetv2-1.00-224-float32-92c1c32f-p1")
    assert imagenet == "MobileNetV2 (alpha 1,00), 224 px, float32, poids 92c1c32f"
    assert name_network("fruits-100-3167894e-p1") == "réseau du paquet, 100 px, poids 3167894e"
    assert name_network("tflite-32-0123abcd-p1") == "tflite-32-0123abcd-p1"


def test_without_libreoffice_the_slides_are_there_and_it_says_what_makes_a_pdf(deck, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    deck.save(tmp_path / "deck.pptx")
    with pytest.raises(FruitsError, match=r"deck.pptx' is written; its PDF is made by LibreOffice"):
        export_pdf(tmp_path / "deck.pptx")
    assert (tmp_path / "deck.pptx").is_file()


def test_the_command_ends_with_where_the_files_are():
    made = {"file": "/a b/deck.pptx", "bytes": 400_000, "slides": 35, "pdf": None, "model": None, "seconds": 61.0}
    assert show_deck(made) == "slides    35 of them; 400.0 kB (1 min 1 s)\nfile      '/a b/deck.pptx'"
    assert show_deck(made | {"pdf": "deck.pdf"}).endswith("\nfile      deck.pdf")


def test_without_python_pptx_it_says_what_to_install(tmp_path, monkeypatch, capsys):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr("fruits.cli_views.find_spec", lambda name: None if name == "pptx" else find_spec(name))
    assert cli.main(["deck", "--lake", str(tmp_path), "--to", str(tmp_path / "deck.pptx")]) == 1
    assert "pip install 'fruits[deck]'" in capsys.readouterr().err


def test_the_slides_in_docs_are_small_and_say_what_the_texts_say_now(deck):
    shipped = Presentation(DOCS.with_suffix(".pptx"))
    titles = [[slide.shapes.title.text_frame.text for slide in each.slides] for each in (shipped, deck)]
    assert titles[0] == titles[1]
    with pymupdf.open(DOCS.with_suffix(".pdf")) as pdf:
        assert len(pdf) == len(deck.slides)
    assert all(DOCS.with_suffix(end).stat().st_size < 2e6 for end in (".pptx", ".pdf"))
    assert not [slide for slide in shipped.slides if NOTICES & set(texts_of(slide))]
