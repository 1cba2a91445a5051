"""The published pages in a real browser: they open from a file, ask for nothing, complain about nothing, and play."""

from __future__ import annotations

import json

import pytest

from tests.unit import synthetic
from winnow.release import publish

WIDTHS = {"desktop": 1280, "narrow": 390}

#: Waits until every video has its metadata and can play, at most 30 s.
VIDEOS = """
    const done = arguments[0], videos = [...document.querySelectorAll('video')];
    const state = v => (
        {ready: v.readyState, seconds: v.duration, width: v.videoWidth, error: v.error?.message ?? null});
    const started = Date.now();
    (function look() {
        const ready = videos.every(v => v.readyState >= 2 || v.error);
        if (ready || Date.now() - started > 30000) return done(videos.map(state));
        setTimeout(look, 50);
    })();
"""


def open_page(browser, path, width=1280, scheme="light") -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    browser.get(path.as_uri())


def requests(browser) -> list[str]:
    """Addresses that the page asked for, but for the page itself and what it carries."""
    asked = []
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.append(message["params"]["request"]["url"])
    return [url for url in asked if not url.startswith(("data:", "file:", "chrome", "about:"))]


@pytest.fixture
def report():
    lake, _, _ = synthetic.published()
    return publish.report_path(lake)


def test_the_report_opens_without_complaint_and_asks_for_nothing(browser, report):
    open_page(browser, report)
    assert browser.title.startswith("Release ")
    rows = browser.execute_script("return [...document.querySelectorAll('table')].map(t => t.tBodies[0].rows.length)")
    assert len(rows) >= 8
    assert min(rows) >= 1
    assert browser.find_elements("css selector", "#funnel .step")
    assert requests(browser) == []
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []


def test_its_clips_play(browser, report):
    open_page(browser, report)
    videos = browser.execute_async_script(VIDEOS)
    assert len(videos) == 12
    for video in videos:
        assert video["error"] is None
        assert video["ready"] >= 2
        assert video["seconds"] == pytest.approx(2.0, abs=0.3)
        assert video["width"] == 320
    playing = """
        const done = arguments[0], v = document.querySelector('video');
        v.muted = true;
        v.ontimeupdate = () => v.currentTime > 0.2 && done(v.currentTime);
        v.play().catch(error => done(String(error)));
    """
    assert browser.execute_async_script(playing) > 0.2


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_nothing_overflows(browser, report, width):
    open_page(browser, report, width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    # Boxes that scroll by themselves may be wider inside; anything else must fit its parent.
    wide = browser.execute_script(
        """return [...document.querySelectorAll('section *')]
        .filter(e => !e.closest('.scroll, .query, .sr, .plot, .axis'))
        .filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 120))"""
    )
    assert wide == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_schemes(browser, report, scheme):
    open_page(browser, report, scheme=scheme)
    ratios = browser.execute_script(
        """
        const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
        const light = c => {
            const [r, g, b] = c.match(/[\\d.]+/g).map(v => linear(v / 255));
            return .2126 * r + .7152 * g + .0722 * b; };
        const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
            if (c.startsWith('rgb(')) return c; } return 'rgb(255, 255, 255)'; };
        const text = 'h1, h2, p, td, th, .tag, .note, .query, summary, nav a, .axis span, .step-line';
        return [...document.querySelectorAll(text)].map(e => {
            const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
            return [(a + .05) / (b + .05), e.className || e.tagName, e.textContent.trim().slice(0, 40)]; });
        """
    )
    assert len(ratios) > 100
    assert [r for r in ratios if r[0] < 4.5] == []  # WCAG AA


def test_a_list_cannot_put_a_script_into_the_page(browser, report):
    open_page(browser, report)
    assert browser.title != "owned"
    assert "<script>" in browser.execute_script("return document.body.innerText")
    assert browser.execute_script("return document.querySelectorAll('script').length") == 0


def test_the_page_of_the_gates_opens_offline(browser, report):
    open_page(browser, report.parent / "gates" / "index.html")
    assert browser.find_element("css selector", "h1").text == "Everything holds"
    browser.find_element("css selector", ".gate-table > summary").click()
    assert browser.find_element("css selector", ".gate-table .rule").is_displayed()
    assert len(browser.find_elements("css selector", ".sheet")) == 1 + len(synthetic.BATCHES)
    assert requests(browser) == []
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []
