"""The explorer's clips: their files in ranges, their measures and reasons, and how they are found."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.unit import explored
from tests.unit.explored import HEARD, browser
from winnow.core.lake import Lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return explored.build(tmp_path)[0]


# -- clips -------------------------------------------------------------------------------------------------------------
def test_a_clip_is_served_whole_and_in_ranges(lake):
    ann, path, data = browser(lake), f"/media/{HEARD[0]}.mp4", explored.content(0)
    whole = ann.get(path)
    assert (whole.status_code, whole.content, whole.headers["content-type"]) == (200, data, "video/mp4")
    assert whole.headers["accept-ranges"] == "bytes"
    for asked, first, last in (
        ("0-9", 0, 9),
        ("100-", 100, len(data) - 1),
        ("-7", len(data) - 7, len(data) - 1),
        (f"5-{len(data) * 2}", 5, len(data) - 1),
    ):
        part = ann.get(path, headers={"Range": f"bytes={asked}"})
        assert part.status_code == 206
        assert part.content == data[first : last + 1]
        assert part.headers["content-range"] == f"bytes {first}-{last}/{len(data)}"
        assert part.headers["content-length"] == str(last - first + 1)
    for asked in (f"{len(data)}-", "9-5", "-0"):
        refused = ann.get(path, headers={"Range": f"bytes={asked}"})
        assert (refused.status_code, refused.headers["content-range"]) == (416, f"bytes */{len(data)}")
    assert ann.get(path, headers={"Range": "bytes=0-1,5-6"}).status_code == 200
    assert ann.get(path, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    stale = ann.get(path, headers={"Range": "bytes=0-9", "If-Range": '"other"'})
    assert (stale.status_code, stale.content) == (200, data)
    head = ann.head(path)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(data)))


def test_a_long_range_is_answered_in_pieces(lake, monkeypatch):
    monkeypatch.setattr("winnow.explorer.media.MAX_RANGE_BYTES", 1000)
    part = browser(lake).get(f"/media/{HEARD[0]}.mp4", headers={"Range": "bytes=0-"})
    assert part.headers["content-range"] == f"bytes 0-999/{len(explored.content(0))}"
    assert part.content == explored.content(0)[:1000]


def test_a_short_event_shows_in_the_scores_of_the_pictures(lake):
    ann = browser(lake)
    page = ann.get(f"/clips/{explored.sample_id(explored.KEPT)}").text
    assert "10 pictures, 0.25 to 0.75, the highest at 3.5 s" in page
    assert page.count("<figcaption>two tower") == 2
    assert page.count("two tower, after separation:") == 1
    (line,) = re.findall(r'<polyline points="([^"]+)"', page)
    assert line.split() == [f"{10 * place + 5}.0,{0 if place == 3 else 30}.0" for place in range(10)]
    assert "One value for the whole clip: −0.12" in page
    assert "<polyline" not in ann.get(f"/clips/{explored.sample_id(explored.DROPPED)}").text


def test_a_clip_without_a_file_and_an_id_that_is_none_are_not_found(lake):
    ann = browser(lake)
    gone = explored.sample_id(explored.GONE)
    assert "no file" in ann.get(f"/clips/{gone}").text
    paths = [
        f"/media/{gone}.mp4",
        "/media/..%2f..%2fetc.mp4",
        f"/media/{HEARD[0].upper()}.mp4",
        f"/clips/{'f' * 20}",
        "/clips/%2e%2e",
        f"/rate?clip={gone}",
        "/assets/..%2fapp.py",
        "/assets/explorer.css",
    ]
    assert [ann.get(path).status_code for path in paths] == [404] * len(paths)
    shutil.rmtree(Path(lake.full("clip")))
    assert ann.get(f"/media/{HEARD[1]}.mp4").status_code == 404


def test_a_dropped_clip_names_its_rule_with_reason_and_source(lake):
    page = browser(lake).get(f"/clips/{explored.sample_id(explored.DROPPED)}").text
    assert "z = 0.1 is below 1.645" in page
    assert re.search(r"<code>effective_z &lt; [\d.]+ sigma</code>", page)
    assert "low correspondence" in page
    for name in (
        "stillness",
        "silence ratio",
        "loudness",
        "media sha256",
        "semantic",
        "z error",
        "effective z",
    ):
        assert f"<dt>{name}</dt>" in page
    assert '<small class="limit">&lt; 1.645 drops</small>' in page
    assert f"/clips/{explored.sample_id(0)}" in page


def test_a_clip_names_its_copies_and_which_of_them_is_kept(lake):
    ann = browser(lake)
    own, dropped, alike = (explored.sample_id(place) for place in (explored.KEPT, explored.DROPPED, explored.SILENT))
    page = ann.get(f"/clips/{own}").text
    listed = page[page.index("Near-duplicates") :].split("</section>")[0]
    assert listed.index(dropped) < listed.index(alike)
    assert "both, 8.5 s" in listed
    assert "sound other picture, 4.0 s" in listed
    assert "the one that is kept of its group" in ann.get(f"/clips/{dropped}").text
    assert "Near-duplicates" not in ann.get(f"/clips/{explored.sample_id(explored.SHORT)}").text
