"""Shares of stratified samples and agreement of reviewers: against scipy, scikit-learn, known values and simulation."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from winnow.estimates.precision import agreement, estimates, stratified, wilson


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 20), (20, 20), (7, 50), (499, 500)])
def test_wilson_is_the_root_of_its_equation_and_scipys(k, n):
    low, high = wilson(k, n)
    ci = binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert (low, high) == (ci.low, ci.high)
    for limit in (low, high):
        if 0 < limit < 1:
            assert abs(k / n - limit) == pytest.approx(1.959963984540054 * math.sqrt(limit * (1 - limit) / n))


def test_of_one_stratum_the_interval_is_wilsons():
    assert stratified([(1000, 18, 20)]) == pytest.approx((0.9, *wilson(18, 20)))
    assert stratified([(1000, 20, 20), (500, 0, 0)]) == pytest.approx((1.0, *wilson(20, 20)))
    assert stratified([(10, 0, 0)]) is None
    assert stratified([]) is None


def test_strata_count_by_their_population():
    share, low, high = stratified([(900, 10, 10), (100, 0, 10)])
    assert share == pytest.approx(0.9)
    l1, _ = wilson(10, 10)
    _, h2 = wilson(0, 10)
    assert low == pytest.approx(0.9 - 0.9 * (1 - l1))
    assert high == pytest.approx(0.9 + 0.1 * h2)


@pytest.mark.parametrize(
    ("sizes", "truth", "least"),
    [
        ((40, 25, 15), (0.99, 0.97, 0.9), 0.905),
        ((40, 25, 15), (0.02, 0.1, 0.05), 0.92),
        ((40, 25, 15), (0.95, 0.6, 0.3), 0.94),
        ((100, 50, 50), (0.98, 0.95, 0.9), 0.93),
    ],
)
def test_the_interval_covers_the_truth_about_as_often_as_it_says(sizes, truth, least):
    """4,000 simulated audits of three strata; the plain standard error (Cochran) covers it less often in every case."""
    rng, populations = np.random.default_rng(7), np.array([70_000, 20_000, 10_000])
    weights = populations / populations.sum()
    whole = float(weights @ np.array(truth))
    outcomes, times = np.unique(rng.binomial(sizes, truth, size=(4000, 3)), axis=0, return_counts=True)
    covered = plain = 0
    for counts, n in zip(outcomes, times, strict=True):
        _, low, high = stratified(list(zip(populations.tolist(), counts.tolist(), sizes, strict=True)))
        covered += n * (low <= whole <= high)
        shares = counts / sizes
        error = 1.96 * math.sqrt((weights**2 * shares * (1 - shares) / (np.array(sizes) - 1)).sum())
        plain += n * (abs(weights @ shares - whole) <= error)
    assert least <= covered / 4000 <= 0.97
    assert covered > plain


# -- an audit ----------------------------------------------------------------------------------------------------------
def clip(stratum: str, verdict: str | None, population: int, number: int, **changes: object) -> dict:
    status, _, rule = stratum.partition("/")
    return {
        "audit": "a",
        "release": "r",
        "sample_id": f"{stratum}{number}",
        "stratum": stratum,
        "status": status,
        "rule": rule.partition("/")[0],
        "population": population,
        "verdict": verdict,
        "is_disputed": False,
        "status_now": status,
        **changes,
    }


def audited(**counts: tuple[int, list[str | None]]) -> dict[tuple[str, str], dict]:
    """Rows of the estimates by scope and part, of strata given by name: population and verdicts."""
    rows = [clip(name, v, n, i) for name, (n, said) in counts.items() for i, v in enumerate(said)]
    return {(row["scope"], row["part"]): row for row in estimates(pa.Table.from_pylist(rows)).to_pylist()}


YES, NO, HMM = "corresponds", "does_not", "unsure"


def test_an_audit_is_summed_by_stratum_rule_and_status():
    found = audited(
        **{
            "kept/": (900, [YES] * 9 + [NO]),
            "kept//flag 1": (100, [YES, NO, HMM, None]),
            "dropped/silent": (30, [NO] * 5),
            "dropped/low": (60, [YES, NO, NO]),
            "dropped/low/far": (10, [None, None]),
        }
    )
    kept = found["status", "kept"]
    assert kept["share"] == pytest.approx(0.9 * 0.9 + 0.1 * 0.5)
    assert kept["share_if_unsure_fails"] == pytest.approx(0.9 * 0.9 + 0.1 / 3, abs=1e-6)
    assert [kept[name] for name in ("strata", "strata_judged", "population", "drawn", "reviewed")] == [
        2,
        2,
        1000,
        14,
        13,
    ]
    assert [kept[name] for name in ("corresponds", "does_not", "unsure")] == [10, 2, 1]
    dropped = found["status", "dropped"]
    assert dropped["share"] == pytest.approx(60 / 90 / 3, abs=1e-6)
    assert dropped["covered_share"] == 0.9
    assert (dropped["strata"], dropped["strata_judged"]) == (3, 2)
    assert found["rule", "low"]["share"] == pytest.approx(1 / 3, abs=1e-6)
    assert found["rule", "low"]["covered_share"] == pytest.approx(60 / 70, abs=1e-6)
    assert ("rule", "") not in found
    one = found["stratum", "kept/"]
    assert (one["share_low"], one["share_high"]) == pytest.approx(wilson(9, 10), abs=1e-6)


def test_nobody_has_judged_is_no_share_and_not_zero():
    found = audited(**{"kept/": (50, [None, None])})
    assert [found["status", "kept"][n] for n in ("share", "share_low", "share_high", "share_if_unsure_fails")] == [
        None
    ] * 4
    assert found["status", "kept"]["covered_share"] == 0.0
    unsure = audited(**{"kept/": (50, [HMM])})["status", "kept"]
    assert (unsure["share"], unsure["share_if_unsure_fails"]) == (None, 0.0)
    empty = pa.Table.from_pylist([clip("kept/", None, 1, 0)]).slice(0, 0)
    assert estimates(empty).num_rows == 0


def test_what_is_disputed_or_decided_otherwise_now_is_counted():
    rows = [clip("kept/", YES, 9, 0, is_disputed=True), clip("kept/", YES, 9, 1, status_now="dropped")]
    (status, _) = estimates(pa.Table.from_pylist(rows)).to_pylist()
    assert (status["disputed"], status["moved"]) == (1, 1)


# -- reviewers ---------------------------------------------------------------------------------------------------------
def test_kappa_is_scikit_learns_and_alpha_follows_its_definition():
    rng = np.random.default_rng(3)
    truth = rng.random(60) < 0.7
    said = {who: np.where(rng.random(60) < 0.85, truth, ~truth) for who in ("ann", "bob", "cy")}
    answers = [
        {"audit": "a", "sample_id": f"c{i}", "reviewer": who, "verdict": YES if said[who][i] else NO}
        for i in range(60)
        for who in said
        if (i + len(who)) % 7
    ]
    answers.append({"audit": "a", "sample_id": "c0", "reviewer": "zoe", "verdict": HMM})
    answers.append({"audit": "alone", "sample_id": "c0", "reviewer": "ann", "verdict": YES})
    rows = {row["reviewers"]: row for row in agreement(pa.Table.from_pylist(answers)).to_pylist()}
    assert set(rows) == {"all", "1 and 2", "1 and 3", "1 and 4", "2 and 3", "2 and 4", "3 and 4"}
    by = {
        who: {r["sample_id"]: r["verdict"] for r in answers if r["reviewer"] == who and r["audit"] == "a"}
        for who in said
    }
    both = sorted(set(by["ann"]) & set(by["bob"]))
    pair = rows["1 and 2"]
    assert pair["clips_compared"] == len(both)
    assert pair["clips_unanimous"] == sum(by["ann"][c] == by["bob"][c] for c in both)
    expected = cohen_kappa_score([by["ann"][c] for c in both], [by["bob"][c] for c in both])
    assert pair["agreement"] == pytest.approx(expected, abs=1e-6)
    assert (rows["1 and 4"]["clips_compared"], rows["1 and 4"]["agreement"]) == (0, None)
    counts = [[sum(by[w].get(f"c{i}") == v for w in by) for v in (YES, NO)] for i in range(60)]
    counts = np.array([c for c in counts if sum(c) > 1])
    n = counts.sum()
    observed = sum(2 * y * x / (y + x - 1) for y, x in counts) / n
    chance = 2 * counts[:, 0].sum() * counts[:, 1].sum() / (n * (n - 1))
    assert rows["all"]["agreement"] == pytest.approx(1 - observed / chance, abs=1e-6)
    assert rows["all"]["clips"] == 60


def test_reviewers_who_always_say_the_same_have_no_statistic():
    answers = [{"audit": "a", "sample_id": f"c{i}", "reviewer": w, "verdict": YES} for i in range(5) for w in "xy"]
    for row in agreement(pa.Table.from_pylist(answers)).to_pylist():
        assert (row["clips_unanimous"], row["agreement"]) == (5, None)
