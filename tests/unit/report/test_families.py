"""The families' sections: they appear where there is something, and show what their queries answer."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest
import yaml

from winnow.report import families
from winnow.report.render import environment

REPORTS = Path(__file__).resolve().parents[3] / "dbt" / "models" / "reports"
SCREEN = [
    ("fetch", 1, "too_long", True, 100, 90, 90),
    ("fetch", 2, "no_words", True, 100, 70, 65),
    ("acav", 1, "gaming", False, 100, 95, 95),
]
STATISTICS = [
    ("v2", "train", "any", 1200, 30, 9, 6_000_000, 1_300_000, 1.5, 0.36, 0, 4845626, None),
    ("v2", "test", "onscreen_only", 4, 3, 2, 20_000, 20_000, 0.0055, 0.0055, 20, 43, 215),
]
AGREEMENT = [("onscreen", "all", 9, 20, 8, 6, 0.654321), ("offscreen", "all", 9, 18, 0, 0, None)]
SETS = [("avel", "full", "train", 60, 50, 3, 300, 60640), ("avel", "half", "train", 30, 28, 3, 150, None)]
CATEGORIES = [
    ("avel", "full", "<i>dog</i>", 40, 38, 24, 8, 8, 210, 3, 5, 6),
    ("avel", "full", "rain", 20, 20, 12, 4, 4, 90, 9, 0, 0),
]
LEAKS = [("ave", "given", "train", "val", 2, ["a", "b"]), ("ave", "ours", "train", "val", 0, [])]
CURVE = [(p, 10 * p, p, round(2 * (1 - 0.9**p), 6), round(1 - 0.9**p, 6)) for p in range(1, 41)]
AVSET = [
    (
        "published",
        "AVSET-10M",
        None,
        10_900_000,
        None,
        None,
        10.3,
        30_400.0,
        None,
        None,
        None,
        None,
        31_186.111111,
        False,
        10_605_005,
        False,
        "its parts sum to 10,605,005 clips, not 10,900,000",
        "README",
    ),
    (
        "this release",
        "this release",
        None,
        12,
        8,
        1,
        10.0833,
        0.0336,
        0.028,
        121_000,
        16,
        0.75,
        0.0336,
        True,
        12,
        True,
        None,
        "avset_clips",
    ),
]
AVSET_LABELS = [("/m/04rlf", "/m/04rlf", "Music", True, True, 9, 8, 7), ("puddle", None, None, False, False, 2, 2, 1)]
TABLES = {
    "avset/rpt_avset_statistics": AVSET,
    "avset/rpt_avset_labels": AVSET_LABELS,
    "rpt_screen": SCREEN,
    "audioscope/rpt_audioscope_statistics": STATISTICS,
    "audioscope/rpt_audioscope_agreement": AGREEMENT,
    "avel/rpt_avel_sets": SETS,
    "avel/rpt_avel_categories": CATEGORIES,
    "avel/rpt_avel_leaks": LEAKS,
    "acav/rpt_acav_selection": CURVE,
    "acav/rpt_acav_batches": [("b1", 10, 8, 4, 0.4, 0, 1)],
}


def fill(con: duckdb.DuckDBPyConnection, path: str, rows: list[tuple]) -> None:
    """A published table with the columns of its contract."""
    (model,) = yaml.safe_load((REPORTS / f"{path}.yml").read_text())["models"]
    columns = ", ".join(f"{c['name']} {c['data_type']}" for c in model["columns"])
    con.execute(f"create table {model['name']} ({columns})")
    for row in rows:
        con.execute(f"insert into {model['name']} values ({', '.join('?' * len(row))})", row)


@pytest.fixture
def con():
    with duckdb.connect() as made:
        for path, rows in TABLES.items():
            fill(made, path, rows)
        yield made


def page(con: duckdb.DuckDBPyConnection) -> str:
    shown = families.collect(con)
    return environment().get_template("families.html.j2").render(families=shown, release="0123456789ab")


def cells(text: str) -> list[list[str]]:
    """Texts of all table rows."""
    rows = re.findall(r"<tr(?: class=\"group\")?>(.*?)</tr>", text, re.DOTALL)
    return [[re.sub(r"<[^>]+>", "", c).strip() for c in re.findall(r"<t[hd].*?</t[hd]>", r, re.DOTALL)] for r in rows]


def test_every_family_appears_with_its_tables_and_queries(con):
    text = page(con)
    assert re.findall(r'<section id="(\w+)">', text) == ["filters", "audioscope", "avel", "acav", "avset"]
    queries = re.findall(r'<code class="query">winnow sql --release 0123456789ab "([^"]+)"</code>', text)
    assert len(queries) == len(TABLES) + 1  # what contradicts itself is a second question to rpt_avset_statistics
    for query in queries:
        assert con.execute(query.replace("&gt;", ">").replace("&#39;", "'")).fetchall(), query


def test_numbers_are_shown_as_they_are_read(con):
    rows = cells(page(con))
    assert ["too long", "", "90", "90", "90.0 %", "yes"] in rows
    assert ["gaming", "", "95", "95", "95.0 %", ""] not in rows
    assert ["gaming", "", "95", "95", "95.0 %", "no"] in rows
    assert ["train", "any", "1,200", "30", "1.50", "0.3600", "0", "4,845,626", "–"] in rows
    assert ["all", "9", "20", "8", "6", "75.0 %", "0.654"] in rows
    assert ["all", "9", "18", "0", "0", "–", "–"] in rows
    assert ["given", "train and val", "2", "a, b"] in rows
    assert ["&lt;i&gt;dog&lt;/i&gt;", "", "40", "38", "24", "8", "8", "210", "3", "83.3 %"] in rows
    assert ["question offscreen"] in rows
    assert ["this release", "12", "10.08", "0.0336", "0.0336", "0.0280", "1", "75.0 %", "yes", "yes"] in rows
    assert ["AVSET-10M", "published", "its parts sum to 10,605,005 clips, not 10,900,000", "README"] in rows


def test_a_curve_is_drawn_from_its_points(con):
    text = page(con)
    path = re.search(r'class="curve" d="M([^"]+)"', text)[1]
    points = [tuple(map(float, point.split())) for point in path.split(" L")]
    assert len(points) == len(CURVE)
    assert points[0][0] == 0.0
    assert points[-1][0] == 100.0
    assert all(a[1] > b[1] for a, b in pairwise(points))
    assert points[-1][1] == pytest.approx(100 - 100 / 1.04, abs=0.01)
    assert "The same as a table" in text


def test_what_is_empty_or_absent_does_not_appear(con):
    con.execute("delete from rpt_acav_selection")
    con.execute("drop table rpt_acav_batches")
    con.execute("delete from rpt_audioscope_agreement")
    text = page(con)
    assert re.findall(r'<section id="(\w+)">', text) == ["filters", "audioscope", "avel", "avset"]
    assert "Krippendorff" not in text
    for path in TABLES:
        con.execute(f"drop table if exists {path.split('/')[-1]}")
    assert page(con).strip() == ""


def test_a_long_table_says_how_much_is_left_out(con, monkeypatch):
    monkeypatch.setattr(families, "MOST_ROWS", 10)
    assert "The first 10 of 40 rows." in page(con)
