"""The report: its numbers are the published ones, everything is escaped, nothing is fetched, and it stays small."""

from __future__ import annotations

import base64
import html
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pytest

from tests.unit import synthetic
from winnow.release import publish, query
from winnow.report import charts, clips, data
from winnow.report.audit import Shown
from winnow.report.data import POINTS, Facts
from winnow.report.page import doubts
from winnow.report.render import count, hours, number, percent

VOID = {"meta", "link", "br", "path", "img", "input", "hr"}


@pytest.fixture(scope="module")
def page() -> str:
    lake, _, _ = synthetic.published()
    return publish.report_path(lake).read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Collects what a test asks for, and notices tags that do not close."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.unclosed: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.queries: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if (tag, dict(attrs).get("class")) == ("code", "query"):
            self.queries.append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.unclosed.append(tag)

    def handle_data(self, text):
        if self.open and self.open[-1] == "code" and self.queries and self.tags[-1] == ("code", {"class": "query"}):
            self.queries[-1] += text


@pytest.fixture(scope="module")
def read(page) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


def test_the_page_is_well_formed_and_named(page, read):
    assert read.open == read.unclosed == []
    _, _, release = synthetic.published()
    assert f"<title>Release {release} · Winnow</title>" in page
    for batch in synthetic.BATCHES:
        assert batch in page
    ids = [attrs["id"] for _, attrs in read.tags if "id" in attrs]
    links = [attrs["href"][1:] for tag, attrs in read.tags if tag == "a"]
    assert len(ids) == len(set(ids))
    assert set(links) <= set(ids)
    assert len(links) >= 9


def test_the_first_thing_it_says_is_how_good_the_release_is(page) -> None:
    said = page[page.index('<section id="answer"') : page.index('<section id="statistics"')]
    lake, _, _ = synthetic.published()
    with query.open_snapshot(lake) as con:
        (clips,) = con.execute("select count(*) from fct_clips").fetchone()
    assert f"of {clips} clips: kept or dropped" in said
    assert "<dt>Leaks</dt><dd>0</dd>" in said
    assert '<p class="lead">Mind: ' in said


@pytest.mark.parametrize(
    ("scorer", "answer", "share", "told"),
    [
        ({}, {}, 0.9, []),
        ({"near_chance": True}, {"undecided": 4}, 0.9, ["near chance", "4 of 10 clips"]),
        ({"near_chance": True, "trusted_because": "I looked"}, {}, 0.9, ["near chance and decides all the same"]),
        ({"near_chance": "flipped_share 0.3 > 0.2"}, {}, 0.9, ["builtin is not stable (flipped_share 0.3 > 0.2)"]),
        ({"auc": None}, {}, 0.9, ["was not measured"]),
        ({}, {"leaks": 2}, None, ["2 groups or pairs", "nobody has judged"]),
    ],
)
def test_what_speaks_against_a_release_is_said(scorer, answer, share, told) -> None:
    row = {"scorer": "builtin", "decides": True, "near_chance": False, "auc": 0.9, "trusted_because": None, **scorer}
    facts = Facts({"answer": [{"clips": 10, "undecided": 0, "leaks": 0, **answer}], "scorers": [row]}, {})
    audits = [Shown("a", "r", {"kept": {"share": share}}, [], [], [], {})]
    found = doubts(facts, audits)
    assert len(found) == len(told)
    assert all(part in one for part, one in zip(told, found, strict=True)), found


def test_nothing_is_fetched_and_nothing_runs(page, read):
    tags = {tag for tag, _ in read.tags}
    assert not tags & {"script", "iframe", "object", "embed", "base", "form"}
    for tag, attrs in read.tags:
        for name in ("src", "href", "poster", "srcset", "action"):
            if name in attrs:
                assert attrs[name].startswith(("data:", "#")), (tag, name, attrs[name][:80])
        assert not any(name.startswith("on") for name in attrs), (tag, attrs)
    assert not re.search(r"@import|url\(", page)
    policy = next(attrs["content"] for tag, attrs in read.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "script" not in policy


def test_titles_from_lists_are_escaped(page, read):
    assert "<script" not in page
    assert html.escape(synthetic.HOSTILE, quote=False).split("&amp;")[0].strip()[:20] in page


def test_rules_that_decide_come_before_those_that_are_only_counted(page):
    titles = [html.unescape(title) for title in re.findall(r'<th colspan="4" scope="rowgroup">([^<]+)</th>', page)]
    deciding = ("fetch", "separate", "release", "scorer", "select", "pseudo_label", "duplicate")
    assert titles[:7] == [POINTS[name] for name in deciding]
    assert titles[7:] == [f"{POINTS[name]}: counted, and dropping nothing" for name in ("acav", "avset", "picture")]


def test_classes_of_audioset_are_named(page):
    """Statistics keep the id that the list gives; whoever reads the page sees what it is called."""
    assert page.count('<th scope="row">Engine <span class="id">/m/02mk9</span></th>') == 2
    assert '<th scope="row">bell</th>' in page


def test_its_numbers_are_the_published_ones(page):
    lake, _, _ = synthetic.published()
    total = json.loads(query.run(lake, "select * from rpt_statistics where scope = 'total'", "json"))[0]
    tiles = dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]+?)\s*(?:<small>s</small>)?</dd>", page))
    assert tiles["Clips"] == count(total["clips"])
    assert tiles["Unique videos"] == count(total["videos"])
    assert tiles["Clip-hours"] == hours(total["clip_hours"])
    assert tiles["Unique hours"] == hours(total["unique_hours"])
    assert tiles["Mean duration"] == number(total["mean_duration_s"])
    kept = json.loads(query.run(lake, "select count(*) as n from fct_clips where status = 'kept'", "json"))[0]["n"]
    assert total["clips"] == kept
    changes = dict(json.loads(query.run(lake, "select change, count(*) as n from rpt_changes group by all", "json"))[0])
    assert changes["n"] > 0
    assert tiles["Changed split"] == "0"


def test_every_query_on_the_page_answers_and_names_this_release(read):
    lake, _, release = synthetic.published()
    assert len(read.queries) >= 10
    for shown in read.queries:
        given = re.fullmatch(r'winnow sql --release (\w+) "(.*)"', shown.strip(), re.DOTALL)
        assert given, shown
        assert given[1] == release
        assert len(query.run(lake, given[2], "csv", given[1]).splitlines()) > 1, given[2]


def test_every_reason_and_rule_is_told(page):
    lake, _, _ = synthetic.published()
    for row in json.loads(query.run(lake, "select distinct reason from rpt_reasons where reason != ''", "json")):
        assert row["reason"].replace("_", " ") in page
    for row in json.loads(query.run(lake, "select rule, source from thresholds", "json")):
        assert html.escape(row["source"]).replace("&#x27;", "&#39;") in page
    assert "1.645" in page


def test_it_plays_kept_and_dropped_clips_and_stays_small(page, read):
    videos = [attrs for tag, attrs in read.tags if tag == "video"]
    assert len(videos) == clips.COUNT
    assert all("controls" in attrs and attrs["aria-label"] for attrs in videos)
    for attrs in videos:
        assert base64.b64decode(attrs["src"].removeprefix("data:video/mp4;base64,"))[4:8] == b"ftyp"
    part = page[page.index('<section id="clips">') : page.index('<section id="gates">')]
    labels = re.findall(r'<span class="tag (kept|dropped)">', part)
    assert set(labels) == {"kept", "dropped"}
    assert labels.count("kept") == clips.KEPT
    assert len(page) < 10_000_000


def test_clips_are_bounded_in_bytes_and_missing_ones_left_out(monkeypatch):
    lake, _, _ = synthetic.published()
    with data.open_tables(publish.folder(lake) / "winnow.duckdb") as con:
        chosen = clips.choose(con)
    assert len(chosen) == clips.COUNT
    assert len({row["sample_id"] for row in chosen}) == len(chosen)
    assert len({row["rule"] for row in chosen if row["status"] == "dropped"}) >= 3
    shown = clips.load(lake, chosen)
    size = len(base64.b64decode(shown[0].uri.partition(",")[2]))
    monkeypatch.setattr(clips, "MAX_BYTES", int(size * 2.5))
    assert 1 <= len(clips.load(lake, chosen)) <= 3
    assert clips.load(lake, [{**chosen[0], "tar": "clip/gone.tar"}]) == []
    assert clips.load(lake, [{**chosen[0], "sample_id": "0" * 20}]) == []


def test_every_picture_says_what_it_shows(read):
    for tag, attrs in read.tags:
        if attrs.get("role") == "img":
            assert attrs.get("aria-label"), tag
    assert sum(tag == "caption" for tag, _ in read.tags) >= 8
    assert all("scope" in attrs for tag, attrs in read.tags if tag == "th")


def test_the_same_release_gives_the_same_page(page):
    lake, _, release = synthetic.published()
    from winnow.report.page import report

    folder = publish.folder(lake)
    base = json.loads((folder / "manifest.json").read_text())["before"]
    assert report(folder, lake, release=release, base=base, policy="hash") == page


def test_a_first_release_and_one_without_clips_can_be_told(tmp_path):
    import shutil

    import duckdb

    from winnow.report.page import report

    lake, _, release = synthetic.published()
    work = tmp_path / "work"
    shutil.copytree(publish.folder(lake), work, copy_function=shutil.copyfile)
    page = report(work, lake, release=release, base=None, policy="quota")
    assert "first release" in page
    assert "Policy <code>quota</code>" in page
    with duckdb.connect(str(work / "winnow.duckdb")) as con:
        for name in ("fct_clips", "rpt_statistics", "rpt_scores", "rpt_balance", "splits", "rpt_reasons"):
            con.execute(f"DELETE FROM {name}")
    empty = report(work, lake, release=release, base=None, policy="hash")
    assert "No clip" in empty
    assert Path(work / "report.html").exists()


def test_histogram_places_bars_threshold_and_null():
    rows = [
        {"bin_start": 0.0, "bin_end": 0.5, "status": "dropped", "clips": 3},
        {"bin_start": 2.0, "bin_end": 2.5, "status": "kept", "clips": 9},
        {"bin_start": 2.0, "bin_end": 2.5, "status": "dropped", "clips": 1},
    ]
    chart = charts.histogram(rows, threshold=1.0, null=True)
    assert chart.totals == {"kept": 9, "dropped": 4, "undecided": 0, "pending": 0}
    assert [bin.left for bin in chart.bins] == pytest.approx([50.0, 100 * 5 / 6])
    assert chart.threshold_at == pytest.approx(100 * 4 / 6)
    assert chart.bins[1].heights["kept"] == pytest.approx(9 * chart.bins[0].heights["dropped"] / 3)
    assert max(sum(bin.heights.values()) for bin in chart.bins) <= 100
    ys = [float(point.split()[1]) for point in chart.null_path[1:].split(" L")]
    peak = 100 - min(ys)
    assert peak == pytest.approx(13 * 0.5 / math.sqrt(2 * math.pi) * chart.bins[0].heights["dropped"] / 3, rel=0.01)
    assert charts.histogram([]).bins == []


@pytest.mark.parametrize(("rough", "step"), [(0.03, 0.05), (1.0, 1), (7.3, 10), (2.1, 2.5), (180, 200), (0.99, 1)])
def test_steps_are_round_numbers(rough, step):
    assert charts.round_step(rough) == pytest.approx(step)


def test_dropped_clips_show_every_rule_and_both_ends_of_the_fullest():
    found = [{"z": z} for z in (3, 2, 1, 0)]
    assert [row["z"] for row in clips.spread(found)] == [3, 0, 2, 1]
    lake, _, _ = synthetic.published()
    with data.open_tables(publish.folder(lake) / "winnow.duckdb") as con:
        chosen = [row for row in clips.choose(con) if row["status"] == "dropped"]
        counts = dict(
            con.execute(
                "SELECT first_failed_rule, count(*) FROM fct_clips WHERE status = 'dropped' GROUP BY 1"
            ).fetchall()
        )
        low = con.execute(
            "SELECT min(judged), max(judged) FROM (SELECT if(is_recycled, residual_z, z) AS judged FROM fct_clips "
            "WHERE first_failed_rule = 'low_correspondence')"
        ).fetchone()
    assert {row["rule"] for row in chosen} == set(counts)
    assert max(counts, key=counts.get) == "low_correspondence"
    shown = [row["judged_z"] for row in chosen if row["rule"] == "low_correspondence"]
    assert len(shown) >= 3
    assert set(low) <= set(shown)


def test_a_recycled_clip_is_shown_with_the_score_that_kept_it():
    """Of three kept clips of a class the one whose residual matches best, of its mixture's score nothing is said."""
    with duckdb.connect() as con:
        con.execute("create schema ops")
        con.execute(
            """create table fct_clips as select *, 'kept' as status, null::varchar as first_failed_rule, '' as detail,
                '' as title, '' as uploader, '' as url, 'x' as label, 'train' as split, 0.0 as start_s, 10.0 as end_s,
                10.0 as duration_s, 1000 as media_bytes
            from (values ('a', true, -1.0, 9.0), ('b', false, 3.0, null), ('c', false, 2.0, null))
                as clips(sample_id, is_recycled, z, residual_z)"""
        )
        con.execute("create table ops.fct_clip_files as select sample_id, 'tar' as tar from fct_clips")
        con.execute("create table audioset_classes(mid varchar, name varchar)")
        con.execute("create table thresholds(rule varchar, position integer)")
        found = {row["sample_id"]: row["judged_z"] for row in clips.choose(con)}
    assert found == {"a": 9, "c": 2}


def test_numbers_read_well():
    assert count(1234567) == "1,234,567"
    assert (hours(0.39216), hours(12.345), hours(1234.5), hours(None)) == ("0.3922", "12.35", "1,234.5", "–")
    assert number(-1.5) == "−1.50"
    assert (percent(0.628, 1), percent(None)) == ("62.8 %", "–")
