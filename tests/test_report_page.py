"""The page of a report: whole in one file, in two languages, and safe whatever a label is called."""

import json
import re
import tomllib
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from lake_reports import make_report

from fruits.views import words
from fruits.views.album import COLUMNS, ROWS, Album
from fruits.views.report import draw_report
from fruits.views.words import LANGUAGES, NARROW, Words

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>'\"{{ 7 * 7 }}"

ERRORS = {
    "reasons": [{"error": "empty file", "photos": 700}],
    "errors": [{"path": f"{n}.jpg", "error": "empty file"} for n in range(500)],
}


class Elements(HTMLParser):
    """Names of the elements of a page, and the texts of its script elements by id."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.scripts: dict[str, str] = {}
        self._inside: str | None = None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += attrs
        self._inside = dict(attrs).get("id", f"{len(self.scripts)}") if tag == "script" else None

    def handle_data(self, data):
        if self._inside is not None:
            self.scripts[self._inside] = self.scripts.get(self._inside, "") + data

    def handle_endtag(self, tag):
        self._inside = None


def shown(page: str) -> str:
    """Give the page without its styles and scripts."""
    return re.sub(r"<(style|script).*?</\1>", "", page, flags=re.S)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_holds_all_it_shows(language):
    page = draw_report(make_report(), language)
    assert f'<html lang="{language}">' in page
    assert "default-src 'none'" in page
    links = [value for name, value in Elements(page).attributes if name in ("src", "href", "srcset", "poster")]
    assert links
    assert [each for each in links if not each.startswith(("#", "data:"))] == []
    addresses = re.findall(r"url\((.{10})", re.search(r"<style>.*?</style>", page, re.S)[0])
    assert set(addresses) == {"data:image"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_label_is_a_text_wherever_it_is_shown(language):
    plain = Elements(draw_report(make_report(labels=("Apple", "Fig")), language))
    data = make_report(labels=(EVIL, "Fig"))
    errors = {"reasons": [{"error": EVIL, "photos": 1}], "errors": [{"path": EVIL, "error": EVIL}]}
    page = draw_report(replace(data, **errors), language)
    evil = Elements(page)
    assert {name: evil.names.count(name) for name in ("script", "img", "section")} == {
        name: plain.names.count(name) for name in ("script", "img", "section")
    }
    assert not [name for name, _ in evil.attributes if name.startswith("on")]
    assert EVIL not in page
    assert json.loads(evil.scripts["page"])["labels"] == sorted([EVIL, "Fig"])
    assert EVIL not in str(json.loads(evil.scripts["page"])["figures"])


def test_the_languages_say_the_same_things_with_the_same_values():
    def texts(language: str) -> dict[str, list[str]]:
        found = {}
        with (words.files("fruits.views") / "texts" / f"{language}.toml").open("rb") as file:
            for section, entries in tomllib.load(file).items():
                for name, text in entries.items() if isinstance(entries, dict) else [("", entries)]:
                    found[f"{section}.{name}"] = sorted(set(re.findall(r"\{\w+\}", str(text))))
        return found

    assert texts("en") == texts("fr")


def test_every_text_is_said_somewhere():
    views = words.files("fruits.views")
    said = "".join((views / name).read_text() for name in ("report.py", "report_sections.py", "report_figures.py"))
    said += (views / "templates" / "report.html.j2").read_text() + "none moment"
    unused = [
        f"{section}.{name}"
        for section, entries in Words("en").texts.items()
        if isinstance(entries, dict)
        for name in entries
        if f'"{section}.{name}"' not in said
        and f"'{section}.{name}'" not in said
        and not re.search(rf'"{section}\." ~|"{name}"', said)
    ]
    assert unused == [] or {each.split(".")[1] for each in unused} == {"nav"}


def test_numbers_are_written_as_their_readers_do():
    english, french = Words("en"), Words("fr")
    assert (english.number(12345), french.number(12345)) == ("12,345", f"12{NARROW}345")
    assert (english.number(4.25, 1), french.number(4.25, 1)) == ("4.2", "4,2")
    assert (english.share(0.949), french.share(0.949)) == ("94.9%", f"94,9{NARROW}%")
    assert english.share(None) == "-"
    assert [english.say("errors.files", n=n) for n in (0, 1, 2)] == ["0 files", "1 file", "2 files"]
    assert [french.say("errors.files", n=n) for n in (0, 1, 2)] == ["0 fichier", "1 fichier", "2 fichiers"]
    assert [english.seconds(value) for value in (4.13, 46.2, 194)] == ["4.1 s", "46 s", "3 min 14 s"]
    assert f"composantes{NARROW}:" in french.say("components.lead") or f"composante{NARROW}:" in french.say(
        "components.lead"
    )


def test_the_recommended_k_is_chosen_and_the_figures_of_the_others_are_there():
    page = shown(draw_report(make_report()))
    assert re.search(r'name="k" value="3" checked>.*recommended', page)
    assert re.search(r'class="figures" data-k="3">', page)
    assert re.search(r'class="figures" data-k="6" hidden>', page)
    assert "With k = 3: 3 of 12 Test photos in a wrong label, all in one pair of labels." in page
    assert "With k = 6: 4 of 12" in page


def test_a_sample_is_said_to_be_one():
    data = make_report()
    assert "All 60 photos are on the map" in draw_report(data)
    assert "of all 2,000,000 photos. Looked at one by one" in draw_report(replace(data, total=2_000_000))


def test_a_page_without_photos_holds_none():
    page = draw_report(make_report(), photos=False)
    assert "image/webp" in draw_report(make_report())
    assert "image/webp" not in page
    assert 'class="p bare"' in page
    assert "This page is without photos" in page
    assert "This page is without photos" not in draw_report(make_report())


@pytest.mark.parametrize(
    ("about", "says"),
    [
        ({"k": 0}, ["No PCA has been fitted yet"]),
        ({"labels": ("Fig",)}, ["It takes photos of two labels", "Nothing was classified"]),
        ({"labels": (None,)}, ["No photo has a label", "Nothing was classified", "no label"]),
        ({"k": 1}, ["Only one component is kept"]),
        ({"n": 3}, ["All 3 photos"]),
        ({"n": 1, "k": 0}, ["No PCA has been fitted yet"]),
        ({"n": 0, "k": 0}, ["No photo could be read yet", "Every file could be read"]),
        ({"n": 0, "k": 0} | ERRORS, ["700 files", "empty file", "and 650 more"]),
        ({"comparison": []}, ["No values of k have been compared yet"]),
    ],
    ids=["no gold", "one label", "no label", "k=1", "3 photos", "1 photo", "nothing", "errors only", "no comparison"],
)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_lake_that_lacks_something_has_a_page_that_says_so(about, says, language):
    made = make_report(**{name: about[name] for name in ("n", "labels", "k") if name in about})
    rest = {name: value for name, value in about.items() if name not in ("n", "labels", "k")}
    page = draw_report(replace(made, **rest), language)
    assert "</html>" in page
    for text in says if language == "en" else ():
        assert text in shown(page)


def test_what_a_page_shows_at_once_is_on_the_first_sheets():
    album = Album([make_report(n=1, k=0).photos["thumbnail"][0]] * 600 + [None], 64)
    assert (album.place(599), album.place(3), album.place(599), album.place(600)) == (0, 1, 0, None)
    for photo in range(600):
        album.place(photo)
    assert len(album.sheets()) == -(-600 // (COLUMNS * ROWS)) == 2
