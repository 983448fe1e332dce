"""Takes the pictures of the README: drawn fruit through the whole chain, then what people look at, in Chromium.

`make screenshots` runs it in a folder of its own, so that no page names a place of this machine.
"""

import io
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from browser import open_page, start_browser
from mlflow_ui import NO_ASSISTANT, NOBODY, serve_lake
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SCREEN = {"width": 1360, "height": 760}
MARGIN = 24  # pixels around the map
PHOTOS = 600
# Drawn fruit is easy to tell apart: few components are where the values of k differ.
RUN = "run --images photos --lake lake --k 0.9 --k-values 2,4,8,16,32,64"
REPORT = "report --lake lake --to report.html"


def main(folder: Path) -> None:
    """Make a lake in the working directory and take its pictures into a folder."""
    for words in (f"samples photos --photos {PHOTOS}", RUN, REPORT):
        subprocess.run([sys.executable, "-m", "fruits.cli", *words.split()], check=True)
    folder.mkdir(exist_ok=True)
    with start_browser() as browser:
        save(take_map(browser, Path("report.html").absolute().as_uri()), folder / "report-map.webp")
        with serve_lake(Path("lake"), Path("ui.log")) as address:
            which_k, model = take_mlflow(browser, address)
        save(which_k, folder / "mlflow-which-k.webp")
        save(model, folder / "mlflow-model.webp")


def take_map(browser: "Browser", page: str) -> bytes:
    """Take the report's map, with a photo chosen."""
    with open_page(browser, page, viewport={"width": 1200, "height": 900}) as opened:
        opened.wait_for_selector("html[data-ready]")
        opened.click("#next")
        opened.add_style_tag(content="nav { display: none }")
        opened.wait_for_timeout(1000)  # until the map is drawn
        box = opened.locator("section#map").bounding_box()
        top = box["y"] + opened.evaluate("scrollY")
        clip = {"x": box["x"] - MARGIN, "y": top + MARGIN, "width": box["width"] + 2 * MARGIN}
        return opened.screenshot(full_page=True, clip=clip | {"height": box["height"] - 1.5 * MARGIN})


def take_mlflow(browser: "Browser", address: str) -> tuple[bytes, bytes]:
    """Take the comparison of k as MLflow draws it, and the page of the classifier."""
    with open_page(browser, "about:blank", known=NOBODY, viewport=SCREEN) as opened:
        opened.add_init_script(NO_ASSISTANT)
        opened.goto(f"{address}&compareRunsMode=CHART")
        opened.locator(".barlayer .point path").first.wait_for(state="attached", timeout=60_000)
        opened.wait_for_timeout(3000)  # until all charts are drawn
        which_k = opened.screenshot()
        opened.goto(f"{address.partition('#')[0]}#/models/fruits_classifier?workflowType=machine_learning")
        opened.get_by_text("Version 1").wait_for(timeout=60_000)
        opened.wait_for_timeout(1000)
        return which_k, opened.screenshot()


def save(picture: bytes, file: Path) -> None:
    Image.open(io.BytesIO(picture)).save(file, quality=80, method=6)
    print(f"{file.name}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
