"""Takes the pictures of the status page that the README shows: `make screenshots`."""

import re
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, expect

from tests.browser import chromium, installed
from tests.processes import exporting

IMAGES = Path(__file__).parents[1] / "docs" / "images"

DESKTOP = {"width": 1280, "height": 820}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": DESKTOP, "device_scale_factor": 1.5},
    "dark": {"viewport": DESKTOP, "device_scale_factor": 1.5, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2},
}


def take(browser: Browser, site: str) -> None:
    """Wait until the demo has something to tell, and take every picture."""
    first = browser.new_page()
    first.goto(site)
    expect(first.locator("#verdict .says")).to_have_text(re.compile("stalled · .* failed"), timeout=120_000)
    for look, options in LOOKS.items():
        page = browser.new_page(**options)
        page.goto(site)
        expect(page.locator("html")).to_have_class("scripted")
        page.screenshot(path=IMAGES / f"status-{look}.png", animations="disabled")
        page.close()


def main() -> None:
    """Take them from a demo with a few failures."""
    program = installed()
    if program is None:
        sys.exit("No Chromium here; tests/e2e/fetch-tools brings it.")
    IMAGES.mkdir(exist_ok=True)
    flags = ("demo", "--speed", "10", "--web.grafana-url", "http://localhost:3000")
    with exporting(*flags) as (_, url), chromium(program) as browser:
        take(browser, url.removesuffix("/metrics"))


if __name__ == "__main__":
    main()
