"""A picture is shown by the notebook there is: IPython's, or that of Databricks; a script says it in words."""

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from fruits.views.plots import plot_accuracy_by_k
from fruits.views.show import Picture, show

TABLE = pd.DataFrame({"k": [8], "accuracy": [0.9]})
FIGURE = plot_accuracy_by_k([{"k": 8, "accuracy_test": 0.9}], 8)


@pytest.fixture
def notebook():
    """The IPython of a notebook, without a kernel."""
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def shown_by(notebook: InteractiveShell, picture) -> list[str]:
    """Show a picture in a cell, and give the pages that came out of it."""
    notebook.user_ns.update(show=show, picture=picture)
    with capture_output() as captured:
        assert notebook.run_cell("show(picture)").success
    return [output.data["text/html"] for output in captured.outputs]


def test_jupyter_shows_a_picture_below_its_title(notebook):
    assert shown_by(notebook, Picture("a <b>", "<i>c</i>")) == ["<p><b>a &lt;b&gt;</b></p><i>c</i>"]


def test_jupyter_shows_a_figure_as_it_was_drawn_and_a_table_as_a_table(notebook):
    (figure,) = shown_by(notebook, FIGURE)
    assert figure.startswith('<img alt="Accuracy and variance held, by number of components"')
    assert "data:image/png;base64,iVBOR" in figure
    (table,) = shown_by(notebook, TABLE)
    assert table.startswith("<table")


def test_databricks_shows_it_by_its_own_function(notebook):
    pages: list[str] = []
    notebook.user_ns["displayHTML"] = pages.append
    assert shown_by(notebook, Picture("a", "<i>b</i>")) == []
    assert pages == ["<p><b>a</b></p><i>b</i>"]


def test_a_script_says_what_there_would_be_to_see(capsys):
    for each in (Picture("three photos", "<img>"), Picture("nothing yet"), FIGURE, TABLE):
        show(each)
    assert capsys.readouterr().out.splitlines() == [
        "three photos (a picture, which a notebook shows)",
        "nothing yet",
        "Accuracy and variance held, by number of components (a picture, which a notebook shows)",
        "   k  accuracy",
        "0  8       0.9",
    ]
