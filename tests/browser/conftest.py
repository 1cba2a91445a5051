"""A real headless Chromium that talks to nobody: Debian's `chromium` and `chromium-driver`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import needs


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[object]:
    """A WebDriver with an empty profile, console and network log on."""
    chromium, driver = needs.tool("chromium", "chromium-browser", "google-chrome"), needs.tool("chromedriver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
        "--mute-audio", "--disable-dev-shm-usage", f"--user-data-dir={tmp_path / 'profile'}",
    ):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(driver))
    started.set_page_load_timeout(60)
    started.set_script_timeout(60)
    try:
        yield started
    finally:
        started.quit()
