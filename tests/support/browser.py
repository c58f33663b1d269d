"""The Chromium of the machine, driven by Playwright, which downloads none of its own and needs no network."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

_CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# A machine under load starts slowly; a page that never becomes as it should must still end the test.
_PATIENCE = 120.0


class Browser:
    """One page in Chromium."""

    def __init__(self, page: "Page") -> None:
        self.errors: list[str] = []
        self._page = page
        page.set_default_timeout(1000 * _PATIENCE)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda one: one.type in ("error", "warning") and self.errors.append(one.text))

    def open(self, page: Path, width: int = 1400, height: int = 900, dark: bool = False) -> None:
        """Loads a page from disk and waits until it and its images are there."""
        self._page.emulate_media(color_scheme="dark" if dark else "light")
        self._page.set_viewport_size({"width": width, "height": height})
        self.errors.clear()
        self._page.goto(page.resolve().as_uri())

    def run(self, script: str) -> Any:  # noqa: ANN401, JSON
        """The value of an expression in the page."""
        return self._page.evaluate(script)

    def wait_for(self, script: str) -> None:
        """Returns when an expression is true."""
        # Playwright's own `wait_for_function` needs `eval` in the page, which the pages' policy forbids.
        end = time.monotonic() + _PATIENCE
        while not self.run(script):
            assert time.monotonic() < end, f"never true: {script}"
            self._page.wait_for_timeout(20)

    def click(self, selector: str, place: int = 0) -> None:
        """Clicks with the mouse, as a person does, on an element that is scrolled into view."""
        self._page.locator(selector).nth(place).click()

    def press(self, key: str) -> None:
        """Presses a key: "Escape", "ArrowRight", "b"."""
        self._page.keyboard.press(key)

    def choose(self, selector: str, value: str) -> None:
        """Chooses an option of a drop-down."""
        self._page.locator(selector).select_option(value)

    def slide(self, selector: str, value: float) -> None:
        """Moves a slider."""
        self._page.locator(selector).fill(str(value))

    def upload(self, selector: str, path: Path) -> None:
        """Gives a file to an input of files."""
        self._page.locator(selector).set_input_files(path)

    def download(self, selector: str, path: Path) -> Path:
        """Clicks on what saves a file, and puts that at ``path``."""
        with self._page.expect_download() as download:
            self._page.locator(selector).click()
        download.value.save_as(path)
        return path

    def texts(self, selector: str) -> list[str]:
        """What a person reads in the elements."""
        return [text.strip() for text in self._page.locator(selector).all_inner_texts()]


@contextmanager
def browser() -> Iterator[Browser]:
    """Starts Chromium, and ends it; skips the test where Playwright or Chromium is missing."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install -e .[dev]")
    if _CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        # As root, as in containers, Chromium runs without its sandbox only.
        chromium = playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        yield Browser(chromium.new_page())
        chromium.close()
