"""The explorer in a real browser: clips play and seek, keys and clicks answer, and nothing is asked of anybody else."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import uvicorn

from tests.unit import explored
from tests.unit.explorer.test_grid import lent
from winnow.audit.sampling import draw_into
from winnow.core import corpus_table
from winnow.core.lake import Lake
from winnow.explorer import safety
from winnow.explorer.app import application

WIDTHS = {"desktop": 1400, "narrow": 390}
PROPOSED = [0, 1, 1, 1, 0, 0, 0, 1, 0, 0]
ASKED = [explored.sample_id(place) for place in (0, 5, 6, 7)]

READY = """
    const done = arguments[0], video = document.getElementById('player'), started = Date.now();
    (function look() {
        if (video.readyState >= 3 || video.error || Date.now() - started > 30000)
            return done([video.readyState, video.duration, video.videoWidth, video.error?.message ?? null]);
        setTimeout(look, 30);
    })();
"""
#: The clip that a page asks about; none once all were answered.
ASKS = "document.querySelector('input[name=sample_id]')?.value ?? ''"
#: Contrast of every text with what is behind it, as WCAG 2 defines it.
CONTRAST = """
    const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(v => linear(v / 255));
        return .2126 * r + .7152 * g + .0722 * b; };
    const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
        if (c.startsWith('rgb(')) return c; } return 'rgb(255, 255, 255)'; };
    const text = 'h1, h2, p, th, td, dt, dd, legend, label, .tag, .note, nav a, button, .button, .box, .choices span';
    const shown = [...document.querySelectorAll(text)].filter(e => e.textContent.trim() && e.getClientRects().length);
    return shown.map(e => {
        const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
        return [(a + .05) / (b + .05), e.className || e.tagName, e.textContent.trim().slice(0, 30)]; });
"""
#: What reaches past the right edge, and boxes that hide a part of what is in them until they are scrolled.
CLIPPED = """
    return [...document.querySelectorAll('main *, nav *, footer *')].filter(e => e.getClientRects().length
        && !e.closest('.sr, video, svg') && getComputedStyle(e).display !== 'inline'
        && (e.getBoundingClientRect().right > innerWidth + 1
            || (getComputedStyle(e).overflowX !== 'visible' && e.scrollWidth > e.clientWidth + 1)))
        .map(e => e.outerHTML.slice(0, 150)); """


@dataclass
class Site:
    """A running explorer and its lake."""

    lake: Lake
    origin: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    lake, settings = explored.build(tmp_path_factory.mktemp("explorer"), media=True)
    proposal = {"family": "avel", "category": "playing violin", "annotator_id": "proposal:1f", "labels": PROPOSED}
    corpus_table.add(lake, "segment_label", [{"sample_id": i, **proposal} for i in ASKED], provenance={})
    explored.draw(lake)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    app = application(lake, settings, hosts=safety.LOOPBACK, batches=lent(), draw=draw_into)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield Site(lake, f"http://127.0.0.1:{listening.getsockname()[1]}")
    server.should_exit = True
    thread.join(timeout=20)


def look(browser, width: int = 1280, scheme: str = "light") -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    screen = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)


def enter(browser, site: Site, name: str) -> None:
    """Open a page of answers and say who one is."""
    look(browser)
    browser.get(f"{site.origin}/rate")
    browser.find_element("id", "name").send_keys(name)
    send(browser, ".ask button")


def find(browser, selector: str):
    return browser.find_element("css selector", selector)


def send(browser, selector: str) -> None:
    """Click what sends a form, and wait for the page that answers.

    On a busy machine `click` returns before Chromium has begun to leave; an address opened then is overtaken by the
    form's own answer.
    """
    from selenium.webdriver.support.expected_conditions import staleness_of
    from selenium.webdriver.support.wait import WebDriverWait

    page = find(browser, "html")
    find(browser, selector).click()
    WebDriverWait(browser, 30).until(staleness_of(page))
    WebDriverWait(browser, 30).until(lambda _: browser.execute_script("return document.readyState") == "complete")


def press(browser, keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(browser).send_keys(keys).perform()


def saved(browser, before: str) -> None:
    """Wait until an answer was stored and the next page is there."""
    # in one question: between two the page may change
    there = f"return document.readyState == 'complete' && ({ASKS}) != arguments[0]"
    for _ in range(600):
        if browser.execute_script(there, before):
            return
        time.sleep(0.05)
    raise AssertionError(f"still at clip {before}: {find(browser, 'main').text[:300]}")


def arrived(browser, part: str, but: str = "") -> None:
    """Wait until a page is there whose address has a part, and is not another."""
    for _ in range(600):
        is_there = browser.execute_script("return document.readyState") == "complete"
        if is_there and part in browser.current_url and browser.current_url != but:
            return
        time.sleep(0.05)
    raise AssertionError(f"still at {browser.current_url}")


def asked(browser) -> str:
    return browser.execute_script(f"return {ASKS}")


def stored(site: Site, table: str, person: str) -> dict[str, dict]:
    who = {"rating": "rater_id", "segment_label": "annotator_id", "verdict": "reviewer"}[table]
    rows = sorted(corpus_table.read(site.lake, table).to_pylist(), key=lambda row: row["created_at"] or "")
    return {row["sample_id"]: row for row in rows if row[who] == person}


def responses(browser) -> list[tuple[str, int]]:
    """Address and status of everything that the pages asked for since the last look."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    got = [e["params"]["response"] for e in events if e["method"] == "Network.responseReceived"]
    sent = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    return [(r["url"], r["status"]) for r in got] + [(url, 0) for url in sent]


def complaints(browser) -> list[dict]:
    return [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"]


def checked(browser) -> list[str]:
    """The answers that stand in the page."""
    return browser.execute_script("return [...document.querySelectorAll('input:checked')].map(e => e.value)")


def test_clips_are_rated_by_clicks_and_by_keys(browser, site):
    enter(browser, site, "Ann")
    ready, seconds, width, error = browser.execute_async_script(READY)
    assert (ready >= 3, width, error) == (True, 320, None)
    assert seconds > 1.9
    first = asked(browser)
    find(browser, "#save").click()  # without answers the browser refuses
    assert asked(browser) == first
    assert stored(site, "rating", "Ann") == {}
    for name, value in (("onscreen", "yes"), ("offscreen", "unsure")):
        find(browser, f"input[name={name}][value={value}]").click()
    find(browser, "#save").click()
    saved(browser, first)
    row = stored(site, "rating", "Ann")[first]
    assert (row["onscreen_present"], row["offscreen_present"]) == (True, None)
    second = asked(browser)
    assert second != first
    press(browser, "25\ue007")  # 2: no, 5: no, Enter
    saved(browser, second)
    row = stored(site, "rating", "Ann")[second]
    assert (row["onscreen_present"], row["offscreen_present"]) == (False, False)
    third = asked(browser)
    press(browser, "b")
    saved(browser, third)
    assert asked(browser) == second
    assert checked(browser) == ["no", "no"]
    press(browser, "1\ue007")
    saved(browser, second)
    assert stored(site, "rating", "Ann")[second]["onscreen_present"] is True
    assert complaints(browser) == []
    urls = [url for url, _ in responses(browser)]
    assert any("/media/" in url for url in urls)
    assert [url for url in urls if not url.startswith((site.origin + "/", "data:", "chrome", "about:"))] == []


def test_ten_seconds_follow_the_video_and_are_stored(browser, site):
    enter(browser, site, "Bob")
    browser.get(f"{site.origin}/annotate")
    ready, seconds, _, error = browser.execute_async_script(READY)
    assert (ready >= 3, error) == (True, None)
    assert seconds == pytest.approx(10.0, abs=0.1)
    first = asked(browser)
    checked = "return [...document.querySelectorAll('input[name=second]')].map(e => +e.checked)"
    assert browser.execute_script(checked) == PROPOSED
    now = """const done = arguments[1], video = document.getElementById('player'); video.pause();
        video.addEventListener('seeked', () => requestAnimationFrame(() => requestAnimationFrame(() => done(
            [...document.querySelectorAll('.seconds li')].map(e => +e.classList.contains('now')).indexOf(1)))));
        video.currentTime = arguments[0];"""
    assert [browser.execute_async_script(now, at) for at in (7.3, 0.2, 9.6)] == [7, 0, 9]
    assert 206 in {status for url, status in responses(browser) if "/media/" in url}
    find(browser, ".seconds li:nth-child(3) .play").click()
    stops = """const done = arguments[0], video = document.getElementById('player'), started = Date.now();
        let seen = 99;
        (function look() { if (!video.paused && !video.seeking) seen = Math.min(seen, video.currentTime);
            if (video.paused && video.currentTime > 2.9 || Date.now() - started > 20000)
                return done([seen, video.currentTime]);
            requestAnimationFrame(look); })();"""
    begun, ended = browser.execute_async_script(stops)
    assert begun >= 1.9
    assert 2.95 <= ended < 4.0
    press(browser, "0")
    find(browser, ".seconds li:nth-child(2) input").click()
    assert browser.execute_script(checked) == [0, 0, 1, 1, 0, 0, 0, 1, 0, 1]
    press(browser, "x")
    assert browser.execute_script(checked) == [0] * 10
    press(browser, "p")
    assert browser.execute_script(checked) == PROPOSED
    press(browser, "15")
    find(browser, "#save").click()
    saved(browser, first)
    row = stored(site, "segment_label", "Bob")[first]
    assert row["labels"] == [1, 1, 1, 1, 1, 0, 0, 1, 0, 0]
    assert row["category"] == "playing violin"
    assert complaints(browser) == []


def test_clips_are_looked_through_by_keys_and_heard_where_they_stand(browser, site):
    look(browser)
    browser.get(f"{site.origin}/")
    drawn = """
        const done = arguments[0], started = Date.now();
        (function look() {
            const all = [...document.querySelectorAll('.card img')];
            if (all.every(e => e.complete) || Date.now() - started > 30000) return done(all.map(e => e.naturalWidth));
            setTimeout(look, 30);
        })();
    """
    widths = browser.execute_async_script(drawn)
    assert sorted(widths) == [1, *[320] * (explored.COUNT - 1)]  # one clip has no file
    at = "return [...document.querySelectorAll('.card')].indexOf(document.activeElement)"
    places = []
    for key in ("\ue014", "\ue014", "\ue012", "\ue014", "\ue014"):  # → → ← → →
        press(browser, key)
        places.append(browser.execute_script(at))
    assert places == [0, 1, 0, 1, 2]
    press(browser, " ")
    plays = """
        const done = arguments[0], started = Date.now();
        (function look() {
            const video = document.activeElement.querySelector('video');
            if (video?.currentTime > 0.1 || Date.now() - started > 30000)
                return done([!!video && !video.paused, document.querySelectorAll('.card video').length]);
            setTimeout(look, 30);
        })();
    """
    assert browser.execute_async_script(plays) == [True, 1]
    press(browser, " ")
    assert browser.find_elements("css selector", ".card video") == []
    press(browser, "?")
    assert find(browser, "#help").get_attribute("open")
    press(browser, "?")
    press(browser, "/")
    assert browser.execute_script("return document.activeElement.id") == "q"
    press(browser, "scene\ue007")
    arrived(browser, "q=scene")
    assert len(browser.find_elements("css selector", ".card")) == 2
    press(browser, "\ue014")
    press(browser, "\ue007")
    arrived(browser, "/clips/")
    first = browser.current_url
    press(browser, "n")
    arrived(browser, "/clips/", but=first)
    assert browser.current_url.endswith("?q=scene")
    press(browser, "p")
    arrived(browser, first)
    press(browser, "g")
    arrived(browser, "/clips?q=scene")
    assert complaints(browser) == []
    urls = [url for url, _ in responses(browser)]
    assert [url for url in urls if not url.startswith((site.origin + "/", "data:", "chrome", "about:"))] == []


def test_a_click_on_the_sound_plays_from_there_and_speed_is_kept(browser, site):
    look(browser)
    browser.get(f"{site.origin}/clips/{explored.sample_id(explored.KEPT)}")
    assert browser.execute_async_script(READY)[3] is None
    browser.execute_script("document.documentElement.style.scrollBehavior = 'auto'")
    press(browser, ">>")
    assert browser.execute_script("return document.getElementById('player').playbackRate") == 1.5
    for name in ("wave", "spectrum"):
        picture = find(browser, f".timeline img[src*={name}]")
        assert picture.get_property("naturalWidth") == 1000
        picture.click()  # in its middle
        seen = browser.execute_async_script(
            """const done = arguments[0], video = document.getElementById('player'); video.pause();
            video.addEventListener('moved', () => { if (video.seeking) return; const
                now = document.querySelector('.timeline .now').getBoundingClientRect(),
                box = document.querySelector('.timeline img').getBoundingClientRect();
                done([video.currentTime, (now.left - box.left) / box.width]); });"""
        )
        assert seen == [pytest.approx(5, abs=0.7), pytest.approx(seen[0] / 10, abs=0.02)]
    browser.get(f"{site.origin}/clips/{explored.sample_id(explored.DROPPED)}")
    assert browser.execute_script("return document.getElementById('player').playbackRate") == 1.5
    assert find(browser, "#rate").get_property("value") == "1.5"
    browser.execute_script("document.querySelector('[data-copy=query]').click()")
    assert find(browser, "[data-copy=query]").text in ("Copied", "Selected")
    assert complaints(browser) == []


def test_an_audit_is_blind_until_a_key_was_pressed_and_says_then_what_was_decided(browser, site):
    enter(browser, site, "Eve")
    browser.get(f"{site.origin}/audit")
    ready, _, width, error = browser.execute_async_script(READY)
    assert (ready >= 3, width, error) == (True, 320, None)
    first = asked(browser)
    assert not browser.find_elements("css selector", ".outcome, main .tag")
    press(browser, "\ue007")  # without a verdict the browser refuses
    assert stored(site, "verdict", "Eve") == {}
    press(browser, "2\ue007")
    saved(browser, first)
    row = stored(site, "verdict", "Eve")[first]
    assert (row["verdict"], row["release"]) == ("does_not", explored.RELEASE)
    outcome = find(browser, ".outcome").text
    assert outcome.startswith("You said no. The release says")
    decided = "dropped" if first == explored.sample_id(explored.DROPPED) else "kept"
    assert find(browser, ".outcome .tag").text == decided
    assert find(browser, "main progress").get_attribute("value") == "1"
    second = asked(browser)
    press(browser, "b")
    saved(browser, second)
    assert asked(browser) == first
    assert checked(browser) == ["does_not"]
    find(browser, "input[value=unsure]").click()
    find(browser, "#save").click()
    saved(browser, first)
    assert stored(site, "verdict", "Eve")[first]["verdict"] == "unsure"
    seen = 1
    while asked(browser):
        before = asked(browser)
        press(browser, "1\ue007")
        saved(browser, before)
        seen += 1
    assert len(stored(site, "verdict", "Eve")) == seen == explored.COUNT - 2  # one has no file, one no sound
    assert "judged every clip" in find(browser, "main").text
    assert complaints(browser) == []


def test_a_recycled_clip_is_judged_by_the_sound_after_separation(browser, site):
    enter(browser, site, "Flo")
    browser.get(f"{site.origin}/audit?clip={explored.sample_id(explored.RECYCLED)}")
    assert browser.execute_async_script(READY)[3] is None
    together = """
        const [until, done] = arguments, started = Date.now();
        const video = document.getElementById('player'), sound = document.getElementById('sound');
        (function look() {
            const apart = Math.abs(video.currentTime - Number(sound.dataset.start) - sound.currentTime);
            const plays = !video.paused && !sound.paused && video.currentTime > until && apart < .15;
            if (plays || Date.now() - started > 30000)
                return done([plays, video.muted, sound.muted, sound.volume, sound.hidden, sound.duration]);
            setTimeout(look, 30);
        })();
    """
    both = "return [...document.querySelectorAll('#player, #sound')].map(e => e.paused)"
    heard = [True, True, False, 1, True, 10 - explored.RESIDUAL_START_S]
    for _ in range(150):
        paused, silent = browser.execute_script(both)
        if paused:  # nothing sounds before a key was pressed
            press(browser, " ")
        elif not silent:
            break
        time.sleep(0.2)
    assert browser.execute_async_script(together, 0.5) == heard
    browser.execute_script("document.getElementById('player').currentTime = 6")
    assert browser.execute_async_script(together, 6.2) == heard
    browser.execute_script("const v = document.getElementById('player'); v.volume = .5; v.muted = false;")
    assert browser.execute_async_script(together, 6.3) == [*heard[:3], 0.5, *heard[4:]]
    press(browser, " ")
    stopped = time.monotonic() + 30
    while browser.execute_script(both) != [True, True]:
        assert time.monotonic() < stopped, "the sound goes on without its picture"
        time.sleep(0.05)
    assert complaints(browser) == []


def test_a_name_can_be_given_and_a_clip_rated_without_scripts(browser, site):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    enter(browser, site, "Cy")
    first = find(browser, "input[name=sample_id]").get_attribute("value")
    find(browser, "input[name=onscreen][value=no]").click()
    find(browser, "input[name=offscreen][value=yes]").click()
    send(browser, "#save")
    assert find(browser, "[role=status]").text.startswith("Saved")
    assert stored(site, "rating", "Cy")[first]["offscreen_present"] is True


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_and_can_be_read(browser, site, scheme):
    enter(browser, site, "Dee")
    paths = [
        "/",
        "/rate",
        "/annotate",
        "/audit",
        "/people",
        "/clips?view=table&sort=z",
        "/clips/values?facet=label",
        "/batches",
        "/batches/b",
        f"/clips/{explored.sample_id(explored.DROPPED)}",
        "/clips/none",
    ]
    for width in WIDTHS.values():
        look(browser, width, scheme)
        for path in paths:
            browser.get(site.origin + path)
            assert browser.title != "owned"
            assert browser.execute_script("return document.documentElement.scrollWidth") <= width, path
            clipped = browser.execute_script(CLIPPED)
            assert clipped == [], path
            ratios = browser.execute_script(CONTRAST)
            assert len(ratios) > 5
            assert [r for r in ratios if r[0] < 4.5] == [], path  # WCAG AA
            small = browser.execute_script(
                """return [...document.querySelectorAll('button, .button, select, .choices span, .seconds .box')]
                .filter(e => e.getClientRects().length && e.getBoundingClientRect().height < 32)
                .map(e => e.outerHTML)"""
            )
            assert small == [], path
            unnamed = browser.execute_script(
                """return [...document.querySelectorAll('input:not([type=hidden]), select, video, progress')]
                .filter(e => !(e.ariaLabel || e.labels?.length)).map(e => e.outerHTML)"""
            )
            assert unnamed == [], path
    said = [entry["message"] for entry in complaints(browser)]
    assert all("404" in message for message in said), said
