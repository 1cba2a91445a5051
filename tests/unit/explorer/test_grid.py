"""The explorer's grid: what narrows it, counts it, sorts it and pages it, all of it in the address."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from itertools import pairwise
from threading import Event
from types import SimpleNamespace

import pytest

from tests.unit import explored
from tests.unit.explored import browser
from winnow.core.lake import Lake
from winnow.explorer import batches, counts, grid
from winnow.explorer.view import Misread, View

KINDS = {"z": "DOUBLE", "duration_s": "DOUBLE", "width": "BIGINT", "title": "VARCHAR"}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return explored.build(tmp_path_factory.mktemp("grid"))[0]


@pytest.fixture(scope="module")
def ann(lake: Lake):
    return browser(lake)


def places(page: str) -> list[int]:
    """Places of the clips of a page, in its order."""
    by_id = {explored.sample_id(place): place for place in range(explored.COUNT)}
    return [by_id[one] for one in re.findall(r'<a class="card" href="/clips/([0-9a-f]{20})', page)]


def said(page: str, facet: str) -> dict[str, int]:
    """The values of a facet, and how many clips stand beside each."""
    part = page.split(f"<h2>{facet}</h2>")[1].split("</section>")[0]
    return {html.unescape(name): int(n) for name, n in re.findall(r"<span>(.*?)</span> <small>(\d+)</small>", part)}


def links(page: str) -> Iterator[str]:
    return (html.unescape(link) for link in re.findall(r'href="(/clips[^"]*)"', page))


def test_it_opens_on_pictures_of_all_clips_and_says_when_they_start(ann):
    page = ann.get("/").text
    assert sorted(places(page)) == list(range(explored.COUNT))
    assert f"{explored.COUNT} clips</p>" in page
    assert page.count('loading="lazy"') == explored.COUNT
    assert "0:10.0–0:20.0" in page
    assert "As a table" in page
    table = ann.get("/clips?view=table").text
    assert table.count('<th scope="row">') == explored.COUNT
    assert places(table) == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=dropped", [1]),
        ("rule=low_correspondence", [1]),
        ("rule=~", [0, 2, 3, 4, 5, 6, 7]),
        ("split=~", [1]),
        ("batch=2026-11-02", [1, 3, 5, 7]),
        ("family=avset", [0, 2]),
        ("family=~", [1, 3, 4, 5, 6, 7]),
        ("flag=1", [6]),
        ("list=list-1.csv", [2, 3, 6, 7]),
        ("licence=CC-BY", [1, 3, 5, 7]),
        ("licence=~", [0, 2, 4, 6]),
        ("copies=has+some", [0, 1, 2]),
        ("label=dog+barking", [0, 3, 6]),
        ("heard=%2Fm%2F0bt9lr", [0, 1]),
        ("q=clip+3", [3]),
        ("q=PLAYING+violin", [1, 4, 7]),
        ("q=scene", [0, 1]),
        ("range=duration_s:3:", [0, 1, 2, 3, 5, 6, 7]),
        ("range=z:4:6&range=duration_s::5", [4]),
        ("range=z:-100:", [0, 1, 3, 4, 5, 6, 7]),
        ("label=dog+barking&batch=2026-11-02&status=kept", [3]),
        ("label='+or+1=1", []),
        ("q=%25", []),
        ("q=%3Cscript%3E", [0]),
    ],
)
def test_clips_are_narrowed_and_the_number_beside_each_value_is_what_a_click_finds(ann, query, found):
    page = ann.get(f"/clips?{query}").text
    assert sorted(places(page)) == found
    assert f"{len(found)} clip{'' if len(found) == 1 else 's'} of {explored.COUNT}</p>" in page
    for facet in ("Decision", "Batch", "Source", "Label"):
        if f"<h2>{facet}</h2>" not in page:
            continue
        part = page.split(f"<h2>{facet}</h2>")[1].split("</section>")[0]
        for link, current, count in re.findall(r'href="([^"]+)"( aria-current="true")?>.*?<small>(\d+)</small>', part):
            if not current:
                assert len(places(ann.get(html.unescape(link)).text)) == int(count), link


def test_beside_the_other_values_of_a_facet_stands_what_they_would_find(ann):
    page = ann.get("/clips?status=dropped&family=~").text
    assert said(page, "Decision") == {"dropped": 1, "kept": 5}
    assert said(page, "Dataset family") == {"none": 1}
    assert said(ann.get("/clips?status=kept").text, "Dataset family") == {"none": 5, "avset": 2}


def test_a_group_of_near_duplicates_and_the_clips_of_a_video(ann):
    assert sorted(places(ann.get(f"/clips?group={explored.sample_id(0)}").text)) == [0, 1, 2]
    page = ann.get(f"/clips/{explored.sample_id(2)}").text
    (video,) = [link for link in links(page) if "video=" in link]
    assert places(ann.get(video).text) == [2, 3]


def test_every_order_shows_every_clip_once_page_by_page(ann, monkeypatch):
    monkeypatch.setattr(grid, "PAGE", 3)
    for sort, value in (
        ("id", explored.sample_id),
        ("z", lambda p: p),
        ("duration_s", explored.seconds),
        ("batch", lambda p: explored.BATCHES[p % 2]),
    ):
        for order in ("up", "down"):
            seen, path = [], f"/clips?sort={sort}&order={order}"
            while path:
                page = ann.get(path).text
                seen += places(page)
                more = re.search(r'id="more" rel="next" href="([^"]+)"', page)
                path = html.unescape(more[1]) if more else None
            without = {explored.SILENT} if sort == "z" else set()
            assert sorted(seen) == sorted(set(range(explored.COUNT)) - without), (sort, order)
            values = [value(place) for place in seen]
            assert values == sorted(values, reverse=order == "down"), (sort, order)


def test_a_clip_leads_to_its_neighbours_in_the_result_and_from_its_end_back(ann):
    query = "?batch=2026-11-02&sort=z&order=down"
    shown = places(ann.get(f"/clips{query}").text)
    assert shown == [7, 5, 3, 1]
    for way, pairs in (("next", pairwise(shown)), ("previous", pairwise(shown[::-1]))):
        for here, there in pairs:
            answer = ann.get(f"/clips/{explored.sample_id(here)}/{way}{query}", follow_redirects=False)
            assert answer.headers["location"] == f"/clips/{explored.sample_id(there)}{query}"
    end = ann.get(f"/clips/{explored.sample_id(1)}/next{query}", follow_redirects=False)
    assert end.headers["location"] == f"/clips{query}"
    page = ann.get(f"/clips/{explored.sample_id(5)}{query}").text
    assert f"/clips/{explored.sample_id(5)}/next{html.escape(query)}" in page


def test_the_form_adds_a_range_and_an_id_leads_to_its_clip(ann):
    answer = ann.get("/clips?batch=2026-11-01&measure=z&low=2&high=4,5", follow_redirects=False)
    assert answer.headers["location"] == "/clips?batch=2026-11-01&range=z%3A2%3A4.5"
    again = ann.get(answer.headers["location"] + "&measure=z&low=&high=9", follow_redirects=False)
    assert again.headers["location"] == "/clips?batch=2026-11-01&range=z%3A%3A9"
    dropped = explored.sample_id(explored.DROPPED)
    for name in ("id", "q"):
        found = ann.get(f"/clips?{name}={dropped.upper()}", follow_redirects=False)
        assert found.headers["location"] == f"/clips/{dropped}"
    assert "There is no clip" in ann.get("/clips?id=x").text


def test_all_values_of_a_facet_stand_on_a_page_of_their_own(ann):
    page = ann.get("/clips/values?facet=label&batch=2026-11-02").text
    assert re.findall(r"<span>([^<]+)</span> <small>(\d)</small>", page) == [
        ("playing violin", "2"),
        ("&lt;b&gt;bold&lt;/b&gt; &amp; co", "1"),
        ("dog barking", "1"),
    ]
    assert "violin" not in ann.get("/clips/values?facet=label&like=DOG").text.split("<main")[1]
    assert "Dog" in ann.get("/clips/values?facet=heard").text
    assert ann.get("/clips/values?facet=nothing").status_code == 404


def test_a_view_is_what_its_query_says(lake, ann):
    import shlex

    page = ann.get("/clips?label=dog+barking&range=z:2:&sort=z").text
    told = html.unescape(re.search(r'<code class="query" id="query"[^>]*>(.*?)</code>', page, re.DOTALL)[1])
    program, what, query = shlex.split(told)
    assert (program, what) == ("winnow", "sql")
    from winnow.release.query import open_snapshot

    with open_snapshot(lake) as con:
        assert [row[0] for row in con.execute(query).fetchall()] == [explored.sample_id(3), explored.sample_id(6)]


@pytest.mark.parametrize(
    "query",
    [
        "colour=red",
        "sort=title",
        "sort=nothing",
        "order=sideways",
        "view=list",
        "range=title:1:2",
        "range=z",
        "range=z:x:",
        "range=z:nan:",
        "after=7",
        "sort=z&after=x~" + "0" * 20,
        "group=x",
        "status=kept&status=dropped",
        "q=" + "x" * 301,
        "measure=title&low=1",
    ],
)
def test_an_address_that_names_what_there_is_not_says_so(ann, query):
    answer = ann.get(f"/clips?{query}")
    assert answer.status_code == 422
    assert "cannot be read" in answer.text


def test_an_address_that_is_written_is_read_as_the_same_view():
    fields = [
        ("q", "a&b"),
        ("status", "kept"),
        ("label", "~"),
        ("range", "z:-1.5:"),
        ("range", "width::640"),
        ("sort", "z"),
        ("order", "down"),
        ("view", "table"),
        ("after", f"0.1~{'0' * 20}"),
    ]
    view = View.read(fields, KINDS)
    assert View.read(view.fields(), KINDS) == view
    assert view.fields() == fields
    assert view.after == (0.1, "0" * 20)
    assert view.but(q="").after is None
    with pytest.raises(Misread, match="no measure title"):
        View.read([("range", "title:1:")], KINDS)


def test_a_large_release_counts_a_text_only_when_it_is_asked_to(ann, monkeypatch):
    monkeypatch.setattr(counts, "COUNTED_CLIPS", 3)
    monkeypatch.setattr(grid, "SMALL_CLIPS", 3)
    page = ann.get("/clips?q=clip").text
    assert "Count these" in page
    assert said(page, "Decision") == {}
    assert said(ann.get("/clips?q=clip&counted=1").text, "Decision") == {"kept": 6, "dropped": 1}
    assert said(ann.get("/clips?batch=2026-11-02").text, "Decision") == {"kept": 3, "dropped": 1}
    assert "dog barking" not in ann.get("/clips").text.split("<aside")[1].split("</aside>")[0]


def test_pages_do_not_wait_for_the_first_count(lake, monkeypatch):
    monkeypatch.setattr(counts, "WAIT_S", 0.01)
    begun, goes_on = Event(), Event()
    count = counts.Counts._count
    monkeypatch.setattr(counts.Counts, "_count", lambda *given: (begun.set(), goes_on.wait(30), count(*given))[2])
    bob = browser(lake)
    assert begun.wait(30)
    page = bob.get("/clips").text
    assert "Being counted" in page
    assert len(places(page)) == explored.COUNT
    goes_on.set()
    monkeypatch.setattr(counts, "WAIT_S", 30)
    assert said(bob.get("/clips").text, "Decision") == {"kept": 7, "dropped": 1}


def test_of_batch_list_and_licence_only_as_many_are_counted_ahead_as_have_few_combinations(lake, monkeypatch):
    monkeypatch.setattr(counts, "MOST_COMBINATIONS", 3)
    page = browser(lake).get("/clips").text
    there = [name for name in ("Batch", "Source", "Licence") if said(page, name)]
    assert len(there) == 1
    assert page.count("All values") == 2


def test_a_clips_rules_are_passed_failed_or_not_asked(ann):
    def outcomes(place: int) -> dict[str, str]:
        page = (
            ann.get(f"/clips/{explored.sample_id(place)}").text.split('<section id="path">')[1].split("</section>")[0]
        )
        rows = re.findall(r'<th scope="row">([^<]+)<br>.*?<span class="tag \w+">([^<]+)</span></td></tr>', page)
        return dict(rows)

    dropped, kept = outcomes(explored.DROPPED), outcomes(explored.KEPT)
    assert set(kept.values()) == {"passed"}
    assert len(kept) == 15
    assert dropped["too short"] == "passed"
    assert dropped["low correspondence"] == "failed"
    assert dropped["near duplicate"] == "would fail too"
    assert dropped["joins two splits"] == "not asked"


def test_a_clip_says_where_it_comes_from_and_which_releases_hold_it(lake, ann):
    page = ann.get(f"/clips/{explored.sample_id(3)}").text.split('id="origin"')[1]
    assert 'Row 11 of <span class="id">list-1.csv</span> (csv), there called <span class="id">id 1</span>' in page
    assert explored.RELEASE in page
    assert '<span class="tag kept">kept</span> train' in page


# -- batches -----------------------------------------------------------------------------------------------------------
FAILURES = [
    {
        "step": "fetch",
        "sample_id": f"{n:020x}",
        "name": f"<i>file {n}</i>.mp4",
        "reason": "gone" if n % 2 else "refused",
        "detail": "404",
        "do": "nothing",
    }
    for n in range(60)
]
STEP = {
    "name": "fetch",
    "shards": 2,
    "done": 1,
    "rows": 60,
    "ok": 0,
    "failed": 60,
    "reasons": {"gone": 30},
    "waits_for": "",
}


def lent() -> SimpleNamespace:
    """What `winnow.batch.status` says, of one batch."""
    one = {
        "batch": "b",
        "state": "not whole: fetch has 1 of 2 shards",
        "steps": [STEP],
        "failed": FAILURES,
        "seq": None,
        "release": None,
        "next": "winnow curate --batch b",
    }

    def status(lake, settings, key):
        from winnow.core.errors import ConfigError

        if key != "b":
            raise ConfigError(f"no batch {key}; there are b")
        return one

    row = {"batch": "b", "state": one["state"], "rows": 60, "clips": 0, "failed": 60, "next": one["next"]}
    return SimpleNamespace(status=status, overview=lambda lake, settings: {"batches": [row], "release": None})


def test_batches_are_shown_before_any_release(tmp_path, monkeypatch):
    from fastapi.testclient import TestClient

    from winnow.core.settings import Settings
    from winnow.explorer.app import application

    monkeypatch.setattr(batches, "PAGE", 20)
    client = TestClient(application(Lake(tmp_path), Settings(lake=str(tmp_path)), batches=lent()))
    first = client.get("/")
    assert first.url.path == "/batches"
    assert "winnow release" in first.text
    assert "not whole: fetch has 1 of 2 shards" in first.text
    page = client.get("/batches/b").text
    assert "winnow curate --batch b" in page
    assert page.count("&lt;i&gt;file") == 20
    assert "1 of 2" in page
    assert "60 failures, 1 to 20" in page
    last = client.get("/batches/b?reason=gone&from=20").text
    assert last.count("&lt;i&gt;file") == 10
    assert "from=40" not in last
    missing = client.get("/batches/c")
    assert (missing.status_code, "there are b" in missing.text) == (404, True)
    assert client.get("/batches/..%2f..").status_code == 404


def test_the_status_that_commands_give_is_what_the_pages_show(tmp_path):
    from fastapi.testclient import TestClient

    from winnow.batch import status
    from winnow.core.settings import Settings
    from winnow.explorer.app import application

    (tmp_path / "inbox" / "2026-11-20").mkdir(parents=True)
    settings = Settings(lake=str(tmp_path / "lake"), inbox=tmp_path / "inbox")
    client = TestClient(application(Lake(settings.lake), settings, batches=status))
    assert "not ingested" in client.get("/batches").text
    page = client.get("/batches/2026-11-20").text
    assert "winnow curate --batch 2026-11-20" in page
    assert '<th scope="row">correspond</th>' in page
    assert "2026-11-20" in client.get("/batches/2026-11-21").text, "the nearest key"


def test_who_lends_no_status_has_no_page_of_batches(ann):
    assert ann.get("/batches").status_code == 404
    assert "/batches" not in ann.get("/").text
