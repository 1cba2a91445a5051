"""The report's section on what models learned: figures in percent of the ceiling, chance beside them, the verdict."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pytest

from winnow.report import learned
from winnow.report.render import environment

SAME = {
    "release": "r1",
    "task": "parse",
    "model": "han",
    "split": "test",
    "metric": "segment type_av",
    "clips": 40,
    "seeds": 3,
    "examples": 25,
    "groups": 20,
    "chance": 30.0,
    "ceiling": 100.0,
    "deviation": 1.0,
    "preset": "demo",
}
RANDOM = {
    **SAME,
    "set": "random",
    "mean": 50.0,
    "low": 45.0,
    "high": 55.0,
    "gain": None,
    "gain_low": None,
    "gain_high": None,
    "verdict": "reference",
}
RELEASE = {
    **SAME,
    "set": "release",
    "mean": 58.0,
    "low": 51.0,
    "high": 64.0,
    "gain": 8.0,
    "gain_low": 2.5,
    "gain_high": 13.0,
    "verdict": "better",
}
TOP = {**RELEASE, "set": "top", "mean": 51.0, "gain": 1.0, "gain_low": -3.5, "verdict": "not significant"}
AVEL = {
    **SAME,
    "task": "avel",
    "model": "cpsp",
    "metric": "accuracy",
    "set": "release",
    "ceiling": 1.0,
    "mean": 0.8,
    "low": 0.7,
    "high": 0.85,
    "chance": 0.25,
    "gain": -0.1,
    "gain_low": -0.2,
    "gain_high": -0.05,
    "deviation": 0.01,
    "verdict": "worse",
}
HEARD = {
    **AVEL,
    "task": "query-separate",
    "model": "clipsep",
    "metric": "sdr_db",
    "ceiling": None,
    "mean": -1.5,
    "low": -3.0,
    "high": 0.5,
    "chance": -4.0,
    "gain": 0.5,
    "gain_low": -1.0,
    "gain_high": 2.0,
    "verdict": "not significant",
}


def page(rows: list[dict], base: str | None = None) -> str:
    with duckdb.connect() as con:
        listed = pa.Table.from_pylist(rows or [RANDOM]).slice(0, len(rows))
        con.register("listed", listed)
        con.execute("create table rpt_benchmark as select * from listed")
        found = learned.collect(con, base)
        if found:
            assert con.execute(found.query).fetchall()
    template = environment().get_template("learned.html.j2")
    return template.render(learned=found, release="r2", base=base)


def test_figures_stand_in_percent_with_interval_chance_and_ceiling() -> None:
    html = page([TOP, RANDOM, RELEASE, AVEL], base="r1")
    assert "Of 2 models, 1 learned significantly more" in html
    assert "1 significantly less" in html
    assert "the one before" in html
    for text in (
        "58.0<small>51.0 – 64.0</small>",
        "+8.0<small>2.5 – 13.0</small>",
        "not significant",
        "reference",
        "80.0<small>70.0 – 85.0</small>",
        "−10.0<small>−20.0 – −5.0</small>",
        '<td class="n">25.0</td>',
    ):
        assert text in html, text
    places = [html.index(word) for word in ("avel, cpsp", "parse, han", "random candidates</th>", "highest scores")]
    assert places == sorted(places), "release, random, rejected, top"


def test_figures_in_decibels_stand_as_they_are_and_have_no_place_between_chance_and_ceiling() -> None:
    html = page([HEARD])
    assert "−1.5<small>−3.0 – 0.5</small>" in html
    assert '<td class="n">−4.0</td><td class="n">–</td>' in html
    assert "aria-label" not in html


@pytest.mark.parametrize("base", [None, "r0"])
def test_without_a_benchmark_it_says_which_command_makes_one(base: str | None) -> None:
    html = page([], base)
    assert "winnow benchmark all --tasks avel" in html
    assert "<table" not in html


def test_the_release_before_is_shown_first_else_the_one_of_most_rows() -> None:
    older = [{**RELEASE, "release": "r0"}, {**RANDOM, "release": "r0"}]
    assert '<span class="id">r0</span>' in page([*older, RELEASE])
    assert '<span class="id">r1</span>' in page([*older, RELEASE], base="r1")
