"""What the explorer's notebook shows of a lake: the right photos, in pieces of a page that are safe and whole."""

import html
import re

import numpy as np
import pytest
from lake_reports import make_report
from test_report_page import EVIL, Elements

from fruits.errors import SettingError
from fruits.stats.neighbours import find_lookalikes
from fruits.views import explore
from fruits.views.show import Picture

REPORT = make_report()
PATHS = list(REPORT.photos["path"])


def paths_of(picture: Picture) -> list[str]:
    """Give the paths of the photos that a picture shows, in order."""
    told = Elements(picture.html)
    shown = [value for name, value in told.attributes if name == "title"]
    assert told.names.count("img") + told.names.count("i") == len(shown)
    return [each.split(": ", 1)[1] for each in shown]


def captions_of(picture: Picture) -> list[str]:
    return [html.unescape(each) for each in re.findall(r"<figcaption>(.*?)</figcaption>", picture.html, re.S)]


def draw_all(report) -> list:
    """Draw what the notebook does, with what it sets before anyone changes it."""
    return [
        explore.draw_labels(report),
        explore.draw_variance(report, report.k),
        explore.draw_accuracy(report),
        explore.draw_map(report),
        explore.draw_component(report, 1),
        explore.draw_neighbours(report, None, report.k),
        explore.draw_lookalikes(report, report.k),
        explore.draw_confusions(report, report.k),
    ]


def test_all_labels_are_counted_and_a_few_of_their_photos_shown():
    picture = explore.draw_labels(REPORT)
    assert picture.title == "60 photos, 3 labels: 48 Training · 12 Test; right of Test with k = 3"
    # k = 3 is recommended, and takes three of the four Apples of Test for Figs.
    assert captions_of(picture)[0] == "Apple: 16 Training · 4 Test · 25% right"
    assert [path.split("/")[1] for path in paths_of(picture)] == ["Apple"] * 4 + ["Fig"] * 4 + ["Lime"] * 4


def test_a_label_that_is_asked_for_is_shown_by_split():
    picture = explore.draw_labels(REPORT, "Lime")
    assert picture.title == "Lime: 16 Training · 4 Test · 100% right"
    assert captions_of(picture) == ["Training", "Test"]
    limes = sorted(path for path in PATHS if "/Lime/" in path)
    assert sorted(paths_of(picture)) == limes
    assert explore.draw_labels(make_report(labels=(None,)), "no label").title == "no label: 48 Training · 12 Test"


def test_a_component_is_shown_by_the_photos_at_its_ends():
    order = np.argsort(REPORT.scores[:, 4])
    assert paths_of(explore.draw_component(REPORT, 5)) == [PATHS[place] for place in (*order[:7], *order[-7:])]


def test_neighbours_are_those_of_the_first_k_scores():
    photo, k = PATHS[17], 2
    distances = np.linalg.norm(REPORT.scores[:, :k] - REPORT.scores[17, :k], axis=1)
    order = np.argsort(distances)[: explore.NEAREST + 1]
    picture = explore.draw_neighbours(REPORT, photo, k)
    assert paths_of(picture) == [PATHS[place] for place in order]
    label = PATHS[order[1]].split("/")[1]
    assert captions_of(picture)[:2] == ["this photo", f"{label}, {distances[order[1]]:.2f} away"]
    assert paths_of(explore.draw_neighbours(REPORT, None, 6))[0] == PATHS[0]


def test_lookalikes_are_those_of_the_first_k_scores():
    labels = np.arange(60) % 3
    pairs = find_lookalikes(REPORT.scores[:, :2], labels, 12)
    assert paths_of(explore.draw_lookalikes(REPORT, 2)) == [PATHS[place] for a, b, _ in pairs for place in (a, b)]
    assert pairs != find_lookalikes(REPORT.scores, labels, 12)


def test_confusions_show_mistaken_photos_and_what_they_are_taken_for():
    picture = explore.draw_confusions(REPORT, 3)
    assert picture.title == "With k = 3: 3 of 12 Test photos in a wrong label, all in one pair of labels."
    assert captions_of(picture) == ["Apple taken for Fig: 3 of 4"]
    shown = paths_of(picture)
    assert shown[:3] == REPORT.confusions[3].pairs[0]["examples"]
    assert [path.split("/")[1] for path in shown[3:]] == ["Fig", "Fig"]


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda: explore.draw_labels(REPORT, "Fog"), "label='Fog' is no label of this lake; try 'Fig'"),
        (lambda: explore.draw_map(REPORT, label="zzz"), "label='zzz' is no label .* try 'Apple' or 'Fig' or 'Lime'"),
        (lambda: explore.draw_variance(REPORT, 13), "k=13 is outside 1 to 12"),
        (lambda: explore.draw_variance(REPORT, 0.9), "k=0.9 is outside 1 to 12"),
        (lambda: explore.draw_map(REPORT, 1, 7), "component=7 is outside 1 to 6"),
        (lambda: explore.draw_component(REPORT, 0), "component=0 is outside 1 to 6"),
        (lambda: explore.draw_neighbours(REPORT, "x.jpg", 3), "photo='x.jpg' has no scores among the 60 photos"),
        (lambda: explore.draw_neighbours(REPORT, None, 7), "k=7 is outside 1 to 6"),
        (lambda: explore.draw_lookalikes(REPORT, 7), "k=7 is outside 1 to 6"),
        (lambda: explore.draw_confusions(REPORT, 5), "k=5 was not compared; try 3, 6"),
    ],
)
def test_what_is_not_there_is_one_line_that_names_what_is(draw, said):
    with pytest.raises(SettingError, match=said) as wrong:
        draw()
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize(
    ("about", "titles"),
    [
        ({"k": 0}, {explore.UNFITTED.title, explore.UNCOMPARED.title}),
        ({"n": 0, "k": 0}, {explore.UNFITTED.title, "0 photos, 0 labels: 0 Training · 0 Test"}),
        ({"k": 1}, {"60 of 60 photos by component 1 (90.9% of the variance)"}),
        ({"n": 3}, {"3 of 3 photos by component 1 (20.6% of the variance) and component 2 (16.7% of the variance)"}),
        ({"labels": ("Apple",)}, {"It takes photos of two labels to compare."}),
        ({"labels": (None,)}, {"60 photos, 0 labels: 48 Training · 12 Test"}),
    ],
    ids=["no fit", "no photo", "k = 1", "3 photos", "one label", "no label"],
)
def test_a_lake_that_lacks_something_is_shown_as_far_as_it_goes(about, titles):
    shown = [each.title for each in draw_all(make_report(**about)) if isinstance(each, Picture)]
    assert titles <= set(shown)


def test_a_label_with_html_in_its_name_is_a_text():
    for picture in draw_all(make_report(labels=(EVIL, "Fig"))):
        if isinstance(picture, Picture):
            told = Elements(picture.html)
            assert set(told.names) <= {"style", "div", "figure", "figcaption", "img", "i", "b", "iframe"}
            assert ("onerror", "alert(2)") not in told.attributes


def test_a_photo_without_a_picture_is_a_patch_of_its_colour():
    report = make_report(6)
    report.photos["thumbnail"] = None
    assert Elements(explore.draw_component(report, 1).html).names.count("i") == 6
    assert f"background: #{int(report.photos['colour'][0]):06x}" in explore.draw_map(report).html


def test_a_map_is_a_page_that_asks_for_nothing():
    (frame,) = [value for name, value in Elements(explore.draw_map(REPORT).html).attributes if name == "srcdoc"]
    told = Elements(frame)
    assert "Bokeh" in "".join(told.scripts.values())
    assert [value for name, value in told.attributes if name in ("src", "href")] == []
