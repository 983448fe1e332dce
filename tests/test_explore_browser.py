"""The map of the explorer's notebook in Chromium, framed as a notebook frames it."""

import pytest
from browser import open_page
from lake_reports import make_report

from fruits.views.explore import draw_map

pytestmark = pytest.mark.browser
SPOT = """path => {
    const view = Bokeh.index.roots[0], { x_scale, y_scale } = view.frame;
    const { x, y, path: paths } = view.model.renderers[0].data_source.data, dot = paths.indexOf(path);
    const box = view.el.getBoundingClientRect();
    return { x: box.left + x_scale.compute(x[dot]), y: box.top + y_scale.compute(y[dot]) };
}"""


def point_at(browser, tmp_path, report, path: str) -> tuple[str, str]:
    """Point at the dot of a photo; give what the tip says, and how its picture is drawn."""
    file = tmp_path / "notebook.html"
    file.write_text(draw_map(report).html)
    with open_page(browser, file.as_uri()) as page:
        page.on("dialog", lambda dialog: pytest.fail("a label ran as a script"))
        frame = page.frames[1]
        frame.wait_for_function("window.Bokeh && Bokeh.documents.length && Bokeh.index.roots[0].frame")
        spot, box = frame.evaluate(SPOT, path), page.locator("iframe").bounding_box()
        page.mouse.move(box["x"] + spot["x"], box["y"] + spot["y"])
        tip = frame.locator("div[style*='max-width: 320px']").first  # through the shadow it is drawn in
        tip.wait_for()
        picture = tip.locator("div").first
        return tip.inner_text(), picture.evaluate("each => getComputedStyle(each).backgroundImage")


def test_pointing_at_a_dot_shows_its_photo_and_label(browser, tmp_path):
    said, picture = point_at(browser, tmp_path, make_report(), "Training/Lime/20.jpg")
    assert said.split("\n")[:2] == ["Lime", "Training/Lime/20.jpg"]
    assert picture.startswith('url("data:image/webp;base64,')


def test_a_label_with_html_in_its_name_is_shown_as_it_is(browser, tmp_path):
    evil = "<img src=x onerror=alert(1)><b>Fig</b>"
    said, _ = point_at(browser, tmp_path, make_report(6, labels=(evil, "Fig")), f"Training/{evil}/2.jpg")
    assert said.split("\n")[0] == evil
