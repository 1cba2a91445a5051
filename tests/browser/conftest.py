"""A real headless Chromium that talks to nobody: Debian's `chromium` and `chromium-driver`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests import needs

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """One Chromium with a profile of its own, console and network log on: starting it takes longer than most tests."""
    program, driver = needs.tool("chromium", "chromium-browser", "google-chrome"), needs.tool("chromedriver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--no-first-run",
        "--mute-audio",
        "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(driver))
    started.set_page_load_timeout(60)
    started.set_script_timeout(60)
    try:
        yield started
    finally:
        started.quit()


@pytest.fixture
def browser(chromium: WebDriver) -> Iterator[WebDriver]:
    """A new window of it that knows nothing of earlier tests."""
    with window(chromium) as opened:
        yield opened


@contextmanager
def window(chromium: WebDriver) -> Iterator[WebDriver]:
    """A new window, without cookies, cache or log of an earlier one; what was emulated there ended with it."""
    first = chromium.current_window_handle
    chromium.execute_cdp_cmd("Network.clearBrowserCookies", {})
    chromium.execute_cdp_cmd("Network.clearBrowserCache", {})
    chromium.switch_to.new_window("window")
    for log in ("browser", "performance"):
        chromium.get_log(log)
    try:
        yield chromium
    finally:
        chromium.close()
        chromium.switch_to.window(first)
