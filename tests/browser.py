"""Chromium for tests that look at a page: what `make test-browser` installs, and what a page must never do."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

AXE = Path(__file__).parents[1] / ".venv" / "browser" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (  # a browser that asks nobody for anything
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@contextmanager
def start_browser() -> Iterator["Browser"]:
    """Start Chromium."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    assert program, "no Chromium here; make test-browser installs it, or says how"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=QUIET.split())
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """One Chromium for the whole run."""
    with start_browser() as chromium:
        yield chromium


@contextmanager
def open_page(browser: "Browser", url: str, known: str | None = None, **context: Any) -> Iterator["Page"]:
    """Open a page, and look that it said no error and asked no other machine for anything.

    Args:
        browser: the fixture.
        url: of a file or of a server on this machine.
        known: end of an address that may fail.
        context: of Playwright's new_context: `viewport=PHONE`, `color_scheme="dark"`.
    """
    errors: list[str] = []
    requests: list[str] = []
    with browser.new_context(**{"viewport": DESKTOP} | context) as opened:
        page = opened.new_page()
        page.on("console", lambda message: errors.append(message.text) if _is_error(message, known) else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(url)
        yield page
    here = ("data:", "blob:", "file:", "about:", "http://127.0.0.1", "http://localhost")
    assert errors == [], errors
    assert [each for each in requests if not each.startswith(here)] == []


def _is_error(message: "ConsoleMessage", known: str | None) -> bool:
    return message.type == "error" and not (known and message.location["url"].endswith(known))


def find_barriers(page: "Page") -> list[str]:
    """Ask axe what keeps people from using a page: the rule and the first element of each violation."""
    assert AXE.is_file(), "axe-core is not installed; make test-browser installs it"
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in found["violations"]]
