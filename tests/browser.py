"""A real Chromium, and what is to be true of every page that it shows."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
"""The programs that will do, by their names in the distributions."""

_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"),
    *("--no-first-run", "--force-color-profile=srgb"),
)

_AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


def installed() -> str | None:
    """Where Chromium is; None if there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def chromium(program: str) -> Iterator[Browser]:
    """The browser, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=_FLAGS, env={**os.environ, "LC_ALL": "C.UTF-8"}
        )
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """What a page does besides showing something.

    Attributes:
        requests: The URLs of all that it asked for.
        complaints: What it wrote to the console, and its errors; what the Content-Security-Policy forbids
            comes here, too.
    """

    def __init__(self, page: Page) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", self._asks)
        page.on("console", self._writes)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _asks(self, request: Request) -> None:
        self.requests.append(request.url)

    def _writes(self, message: ConsoleMessage) -> None:
        self.complaints.append(message.text)


def violations(page: Page) -> Sequence[str]:
    """What axe-core finds that keeps people from using the page: each rule, with where."""
    page.evaluate(_AXE)
    found: Mapping[str, Any] = page.evaluate("() => axe.run({resultTypes: ['violations']})")
    return [f"{one['id']}: {node['html']}" for one in found["violations"] for node in one["nodes"]]


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    width: int = page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
    return width
