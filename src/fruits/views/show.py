"""Pictures where people look at them: in JupyterLab and on Databricks. A script says in words what there would be."""

import base64
import sys
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from fruits.views.plots import as_png

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """What a cell of a notebook shows.

    Attributes:
        title: what is to be seen, in words.
        html: a piece of a page that holds all it shows; empty where the title says why there is nothing to see.
    """

    title: str
    html: str = ""


def show(picture: "Picture | Figure | pd.DataFrame") -> None:
    """Show a picture in the notebook that runs this; where none does, print what it is."""
    # What is no notebook has not imported it, and need not have it.
    ipython = sys.modules.get("IPython")
    notebook = ipython and ipython.get_ipython()
    if not notebook:
        print(_as_words(picture))
        return
    # Databricks puts its own function among the names of the notebook; its pages run scripts, IPython's may not there.
    display_html = notebook.user_ns.get("displayHTML")
    if display_html is not None:
        display_html(_as_html(picture))
        return
    from IPython.display import HTML, display

    display(HTML(_as_html(picture)))


def _as_words(picture: Any) -> str:
    if hasattr(picture, "to_string"):
        return picture.to_string()
    title = picture.title if isinstance(picture, Picture) else _title_of(picture)
    is_seen = not isinstance(picture, Picture) or picture.html
    return f"{title} (a picture, which a notebook shows)" if is_seen else title


def _as_html(picture: Any) -> str:
    if hasattr(picture, "to_html"):
        return picture.to_html()
    if isinstance(picture, Picture):
        return f"<p><b>{escape(picture.title)}</b></p>{picture.html}"
    png = base64.b64encode(as_png(picture)).decode()
    title = escape(_title_of(picture))
    return f'<img alt="{title}" style="max-width: 100%; width: 800px" src="data:image/png;base64,{png}">'


def _title_of(figure: "Figure") -> str:
    return figure.axes[0].get_title(loc="left")
