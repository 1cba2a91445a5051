"""The report's section on calibration: three distributions, the threshold, the sweep, who agrees with whom."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from winnow.fitting.calibration import describe
from winnow.report import calibration, charts
from winnow.report.render import environment

RNG = np.random.default_rng(5)
VALUES = {
    "corresponding": RNG.normal(4, 1.5, 800),
    "random": RNG.normal(0.2, 1.2, 800),
    "non_corresponding": RNG.normal(0, 1, 5000),
}


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """Published tables with one calibrated scorer and one that is not."""
    null = describe(VALUES)["non_corresponding"]
    kinds = [{"scorer": "builtin", "model": "abc", "kind": kind, **of} for kind, of in describe(VALUES).items()]
    same = {"scorer": "builtin", "model": "abc", "basis": "labels", "k": 3.0, "threshold": 3.01, "clips": 40}
    told = {
        **same,
        "non_corresponding_pairs": 5000,
        "mean": null["mean"],
        "std": null["std"],
        "skewness": 0.01,
        "kurtosis": -0.02,
        "above_3std": 0.0014,
        "corresponding_mean": 4.0,
        "corresponding_std": 1.5,
        "corresponding_below_share": 0.25,
        "random_below_share": 0.95,
        "non_corresponding_below_share": 0.998,
        "rule_sigma": 2.0,
        "non_corresponding_above_rule_share": 0.0314,
        "clips_below": 10,
        "clips_below_share": 0.25,
    }
    bare = dict.fromkeys(told) | {
        "scorer": "two_tower",
        "model": "<b>new</b>",
        "k": 3.0,
        "rule_sigma": 2.0,
        "clips": 7,
        "clips_below": 0,
    }
    sweep = [
        {
            "scorer": "builtin",
            "model": "abc",
            "k": i / 4,
            "corresponding_share": 1 - i / 40,
            "clips": 40,
            "non_corresponding_share": 0.5 / (1 + i),
            "clips_kept_share": 1 - i / 50,
        }
        for i in range(21)
    ]
    agreement = [
        {
            "scorer_a": "builtin",
            "scorer_b": "two_tower",
            "clips": 7,
            "both_keep": 3,
            "both_drop": 2,
            "only_a_keeps": 1,
            "only_b_keeps": 1,
            "kappa": 0.42,
            "correlation": 0.07,
        }
    ]
    rules = [
        {
            "point": "avset",
            "position": 202,
            "rule": "avset_low_correspondence",
            "decides": False,
            "clips": 40,
            "measured": 39,
            "pass_alone": 29,
        },
        {
            "point": "release",
            "position": 10,
            "rule": "low_correspondence",
            "decides": True,
            "clips": 40,
            "measured": 38,
            "pass_alone": 31,
        },
    ]
    tables = {
        "fct_calibration": kinds,
        "rpt_calibration": [bare, told],
        "rpt_calibration_sweep": sweep,
        "rpt_agreement": agreement,
        "rpt_release_rules": rules,
    }
    with duckdb.connect() as con:
        for name, rows in tables.items():
            rows = pa.Table.from_pylist(rows)
            con.execute(f"create table {name} as select * from rows")
        yield con


def page(found: calibration.Calibration | None) -> str:
    return environment().get_template("calibration.html.j2").render(calibration=found, release="r1")


def test_the_distributions_are_drawn_in_sigma_and_add_up(con: duckdb.DuckDBPyConnection) -> None:
    found = calibration.collect(con)
    assert found is not None
    rows = con.execute(calibration.QUERIES["distributions"]).fetchall()
    for kind, values in VALUES.items():
        shares = {sigma: float(share) for _, _, of, sigma, share in rows if of == kind}
        assert sum(shares.values()) == pytest.approx(1)
        mean, std = VALUES["non_corresponding"].mean(), VALUES["non_corresponding"].std()
        for sigma in (-1.0, 0.0, 2.75):
            inside = ((values - mean) / std >= sigma) & ((values - mean) / std < sigma + 0.25)
            assert shares.get(sigma, 0.0) == pytest.approx(inside.mean(), abs=2 / len(values)), (kind, sigma)
    built_in, bare = found.scorers
    assert set(built_in.distributions.paths) == {"corresponding", "random", "non_corresponding", "normal"}
    assert set(built_in.sweep.paths) == {"corresponding", "non_corresponding", "clips"}
    assert (bare.distributions, bare.sweep) == (None, None)
    assert found.normal_above == pytest.approx(0.00135, abs=1e-5)


def test_the_section_says_what_was_measured(con: duckdb.DuckDBPyConnection) -> None:
    text = page(calibration.collect(con))
    assert text.count("<svg") == 2
    said = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", text))
    assert "the threshold is 3.0100: 25.0 % of corresponding, 95.0 % of random and 99.80 % of non-corresponding" in said
    assert "is counted and does not decide (dbt var release_points): 29 of 39 clips that have its score pass it" in said
    assert "Not calibrated: 7 clips have a score that cannot be compared" in said
    assert "all calibrated scorers together with 2 σ, above which 2.3 % of a normal distribution lies" in said
    assert "Above μ + 2σ" in said
    assert "3.14 %" in said, "what was measured of the scorer's own pairs"
    assert "upper 5 %" not in said, "another threshold has another share"
    cells = re.findall(r">([^<>]+)</t[hd]>", text[text.index("kappa</th>") :])
    assert cells[1:] == ["builtin, two tower", "7", "3", "2", "1", "1", "0.42", "0.07"]
    assert "<b>new</b>" not in text, "a model's name is text"
    for query in re.findall(r'winnow sql --release r1 "([^"]+)"', text):
        plain = query.replace("&#39;", "'").replace("&lt;", "<").replace("&gt;", ">")
        assert con.execute(plain).fetchall(), plain


def test_without_a_calibration_there_is_no_section(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("update rpt_calibration set mean = null")
    assert calibration.collect(con) is None
    con.execute("drop table rpt_agreement")
    assert calibration.collect(con) is None
    assert page(None).strip() == ""


def test_curves_stay_inside_their_box() -> None:
    drawn = charts.curves({"one": [(0, 0), (2, 50)], "none": []}, mark=4, least_top=100)
    assert list(drawn.paths) == ["one"]
    points = [tuple(map(float, at.split())) for at in drawn.paths["one"].removeprefix("M").split(" L")]
    assert points[0] == (0.0, 100.0)
    assert points[1] == (50.0, pytest.approx(100 - 100 * 50 / 104, abs=1e-3))
    assert drawn.mark_at == 100
    assert json.dumps([text for _, text in drawn.grid]) == '["50", "100"]'
