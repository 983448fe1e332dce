"""MLflow's pages on a lake as people meet them: whoever opens them learns which k, and which model is in use."""

import pytest
from browser import open_page
from mlflow_ui import NO_ASSISTANT, NOBODY, serve_lake
from test_classify import fit, register

from fruits.platform import tracking

__all__ = ["fit"]
pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("no_store_of_the_machine")]
WAIT = 60_000  # milliseconds at most, for a server on a busy machine

ROWS = [
    {
        "k": k,
        "cumulative_explained_variance": 0.5 + k / 100,
        "reconstruction_error_test": 0.4 - k / 100,
        "accuracy_train": 0.999,
        "accuracy_test": accuracy,
        "centroid_accuracy_test": None,
        "bytes_per_photo": 8 * k,
    }
    for k, accuracy in ((2, 0.7031), (4, 0.9436), (6, 0.9525), (8, 0.953))
]


@pytest.fixture(scope="module")
def ui(fit, tmp_path_factory):
    """The address `fruits ui` gives for a lake of two fits, of which the first is the champion."""
    folder = tmp_path_factory.mktemp("ui")
    store = register(folder / "lake", fit)
    run_id = tracking.find_run(store, fit.model)
    assert tracking.log_comparison(store, run_id, ROWS, 4)
    assert tracking.promote(store, fit.model, "first")
    with serve_lake(folder / "lake", folder / "log.txt") as address:
        yield address


@pytest.fixture
def page(browser, ui, tmp_path):
    """The page that `fruits ui` tells people to open; a picture of what a test saw last is in its folder."""
    with open_page(browser, "about:blank", known=NOBODY) as opened:
        opened.set_default_timeout(WAIT)
        opened.add_init_script(NO_ASSISTANT)
        opened.goto(ui)
        yield opened
        opened.screenshot(path=tmp_path / "page.png")


def test_the_first_page_recommends_a_k_and_shows_why(page, ui):
    page.get_by_text("k = 4 is recommended: the smallest within one point of the best on Test, 95.3%.").wait_for()
    page.get_by_role("link", name="k=8", exact=True).wait_for()
    rows = page.locator(".ag-center-cols-container .ag-row").all_inner_texts()  # of rising k
    for row, fact in zip(rows, ROWS, strict=True):
        assert str(fact["accuracy_test"]) in row and str(fact["cumulative_explained_variance"]) in row
        assert ("true" in row) == (fact["k"] == 4)
    heads = page.locator(".ag-header-cell").all_inner_texts()
    assert {"accuracy_test", "cumulative_explained_variance", "reconstruction_error_test"} <= set(heads)
    page.goto(f"{ui}&compareRunsMode=CHART")
    # MLflow draws a bar per k; the recommended one is in a colour of its own.
    page.locator(".barlayer .point path").first.wait_for(state="attached")
    colours = page.locator(".barlayer").first.locator(".point path").evaluate_all("all => all.map(e => e.style.fill)")
    assert len(colours) == 4 and sorted(map(colours.count, colours)) == [1, 3, 3, 3]


def test_the_page_of_a_fit_has_the_comparison_and_its_figures(page, ui):
    page.get_by_role("link", name="k=6", exact=True).click()
    page.get_by_text("Parent run", exact=True).wait_for()
    page.get_by_role("link", name="tiny-k6").first.click()
    page.get_by_text("Child runs", exact=True).wait_for()
    page.get_by_text("Show more").click()
    assert page.locator("table tr", has_text="94.4%").first.inner_text().split("\t")[:3] == ["4", "94.4%", "54.0%"]
    for name in ("k=2", "k=4", "k=6", "k=8"):
        page.get_by_role("link", name=name).wait_for()
    metrics = page.locator("[role=row]", has_text="accuracy_test").first
    assert "0.9525" in metrics.inner_text()


def test_the_page_of_a_model_says_how_to_use_it_and_which_version_is_in_use(page, ui):
    page.get_by_text("k = 4 is recommended").wait_for()
    page.goto(f"{ui.split('#')[0]}#/models/fruits_classifier?workflowType=machine_learning")
    page.get_by_text('mlflow.pyfunc.load_model("models:/fruits_classifier@champion")').wait_for()
    version = page.locator("[role=row]", has_text="Version 1").inner_text()
    for text in ("champion", "k\n: 6\n", "accuracy_test\n: 0.9525", "k = 6: right on Test 95.2%"):
        assert text in version, version
