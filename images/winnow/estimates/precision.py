"""Precision: which share of clips corresponds, from a stratified sample that people judged.

A share of one stratum has Wilson's interval (E. B. Wilson, Probable inference, 1927; `scipy.stats.binomtest`). Over
several strata the share is that of survey sampling, p = Σ W_h p_h with W_h = N_h / Σ N_h (W. G. Cochran, Sampling
Techniques, chapter 5), and its interval is by square-and-add of the strata's Wilson limits:

    low = p - sqrt(Σ W_h² (p_h - low_h)²),   high = p + sqrt(Σ W_h² (high_h - p_h)²)

(R. G. Newcombe 1998 for two proportions; G. Y. Zou, W. Huang, X. Zhang 2009 for a linear function of several). Unlike
the usual standard error it does not shrink to nothing where every judged clip of a stratum says the same, which is what
happens with a good dataset; of one stratum it is Wilson's. Simulated with 15 to 40 clips a stratum, of which 97 to 99 %
or 2 to 10 % correspond, it holds the truth in 91 to 93 of 100 audits, where the standard error does in 83; with shares
between, or 50 clips and more, in 93 to 96 (tests/unit/estimates/test_precision.py). Strata are taken as large: where
most of one was judged, the interval is wider than it need be.

Unsure clips are in no share: `share_if_unsure_fails` says what would become of it. Strata that nobody judged are left
out of the share, and `covered_share` says how much of the population the rest is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

CONFIDENCE = 0.95
DIGITS = 6
SURE = ("corresponds", "does_not")
#: population N_h, successes, trials.
Stratum = tuple[int, int, int]


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's interval of a share; trials ≥ 1."""
    from scipy.stats import binomtest

    found = binomtest(successes, trials).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


def stratified(strata: Sequence[Stratum]) -> tuple[float, float, float] | None:
    """Share of the whole population and its interval, from the strata with trials; None without any."""
    judged = [stratum for stratum in strata if stratum[2]]
    if not judged:
        return None
    whole = sum(population for population, _, _ in judged)
    parts = [(n / whole, k / m, *wilson(k, m)) for n, k, m in judged]
    share = math.fsum(w * p for w, p, _, _ in parts)
    below = math.sqrt(math.fsum((w * (p - low)) ** 2 for w, p, low, _ in parts))
    above = math.sqrt(math.fsum((w * (high - p)) ** 2 for w, p, _, high in parts))
    return share, max(0.0, share - below), min(1.0, share + above)


# -- an audit ----------------------------------------------------------------------------------------------------------
_TEXT = ("audit", "release", "scope", "part", "status")
_COUNTS = (
    "strata",
    "strata_judged",
    "population",
    "drawn",
    "reviewed",
    "corresponds",
    "does_not",
    "unsure",
    "disputed",
    "moved",
)
_SHARES = ("share", "share_low", "share_high", "share_if_unsure_fails", "covered_share")


def estimates(clips: pa.Table) -> pa.Table:
    """One row per audit, scope (status, rule, stratum) and part, with the columns of rpt_audit.

    clips: one row per audit and drawn clip, with the columns of fct_audit.
    """
    import pyarrow as pa

    wanted = ("audit", "release", "stratum", "status", "rule", "population", "verdict", "is_disputed", "status_now")
    rows = clips.select(list(wanted)).to_pylist()
    scopes: dict[str, Callable[[Mapping[str, Any]], str | None]] = {
        "status": lambda row: row["status"],
        "rule": lambda row: row["rule"] or None,
        "stratum": lambda row: row["stratum"],
    }
    found = []
    for scope, part_of in scopes.items():
        for (audit, part), members in _groups(rows, lambda row: (row["audit"], part_of(row))).items():  # noqa: B023
            if part is not None:
                found.append({"audit": audit, "scope": scope, "part": part, **_figures(members)})
    types = [*((n, pa.string()) for n in _TEXT), *((n, pa.int64()) for n in _COUNTS)]
    return pa.Table.from_pylist(found, schema=pa.schema([*types, *((n, pa.float64()) for n in _SHARES)]))


def _figures(clips: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """What the clips of one part come to."""
    strata = _groups(clips, lambda row: row["stratum"])
    said = {name: [sum(c["verdict"] == name for c in of) for of in strata.values()] for name in (*SURE, "unsure")}
    populations = [of[0]["population"] for of in strata.values()]
    sure = [yes + no for yes, no in zip(said["corresponds"], said["does_not"], strict=True)]
    answered = [s + u for s, u in zip(sure, said["unsure"], strict=True)]
    share = stratified(list(zip(populations, said["corresponds"], sure, strict=True)))
    strict = stratified(list(zip(populations, said["corresponds"], answered, strict=True)))
    covered = sum(n for n, m in zip(populations, sure, strict=True) if m)
    first = clips[0]
    return {
        "release": first["release"],
        "status": first["status"],
        "strata": len(strata),
        "strata_judged": sum(m > 0 for m in sure),
        "population": sum(populations),
        "drawn": len(clips),
        "reviewed": sum(answered),
        **{name: sum(counts) for name, counts in said.items()},
        "disputed": sum(bool(c["is_disputed"]) for c in clips),
        "moved": sum(c["status_now"] != c["status"] for c in clips),
        **dict(zip(_SHARES, (round(x, DIGITS) for x in share) if share else (None, None, None), strict=False)),
        "share_if_unsure_fails": round(strict[0], DIGITS) if strict else None,
        "covered_share": round(covered / sum(populations), DIGITS),
    }


# -- reviewers ---------------------------------------------------------------------------------------------------------
def agreement(answers: pa.Table) -> pa.Table:
    """One row per audit and pair of its reviewers (Cohen's kappa), and one for all (Krippendorff's alpha), with the
    columns of rpt_audit_agreement; none where fewer than two people answered. An unsure answer is a missing one.

    answers: audit, sample_id, reviewer, verdict: one row per clip and reviewer.
    """
    import pyarrow as pa

    found = []
    for audit, rows in _groups(answers.to_pylist(), lambda row: row["audit"]).items():
        people = sorted({row["reviewer"] for row in rows})
        if len(people) < 2:
            continue
        given = {who: {r["sample_id"]: r["verdict"] for r in rows if r["reviewer"] == who} for who in people}
        everyone = {"audit": audit, "reviewers": "all", "statistic": "krippendorff_alpha"}
        found.append(everyone | _compared(list(given.values()), _alpha))
        for (i, one), (j, other) in combinations(enumerate(people, 1), 2):
            pair = {"audit": audit, "reviewers": f"{i} and {j}", "statistic": "cohen_kappa"}
            found.append(pair | _compared([given[one], given[other]], _kappa))
    texts = [(name, pa.string()) for name in ("audit", "reviewers", "statistic")]
    counts = [(name, pa.int64()) for name in ("clips", "clips_compared", "clips_unanimous")]
    return pa.Table.from_pylist(found, schema=pa.schema([*texts, *counts, ("agreement", pa.float64())]))


def _compared(
    given: Sequence[Mapping[str, str]], statistic: Callable[[list[list[str]]], float | None]
) -> dict[str, object]:
    """Counts, and the statistic over the clips that two or more are sure about. given: clip → verdict, by reviewer."""
    clips = sorted({clip for of in given for clip in of})
    sure = [[of[clip] for of in given if of.get(clip) in SURE] for clip in clips]
    both = [said for said in sure if len(said) > 1]
    value = statistic(both) if both else None
    return {
        "clips": len(clips),
        "clips_compared": len(both),
        "clips_unanimous": sum(len(set(said)) == 1 for said in both),
        "agreement": None if value is None else round(value, DIGITS),
    }


def _kappa(clips: list[list[str]]) -> float | None:
    """Cohen's kappa of two reviewers: (agreement - chance) / (1 - chance); None where chance alone agrees always."""
    count = len(clips)
    shares = [[sum(said[who] == value for said in clips) / count for value in SURE] for who in (0, 1)]
    chance = math.fsum(a * b for a, b in zip(*shares, strict=True))
    observed = sum(one == other for one, other in clips) / count
    return None if chance == 1 else (observed - chance) / (1 - chance)


def _alpha(clips: list[list[str]]) -> float | None:
    """Krippendorff's alpha of nominal values; None where all answers are the same."""
    counts = [[said.count(value) for value in SURE] for said in clips]
    if not all(sum(column) for column in zip(*counts, strict=True)):
        return None
    import krippendorff
    import numpy as np

    return float(krippendorff.alpha(value_counts=np.asarray(counts), level_of_measurement="nominal"))


def _groups(rows: Iterable[Mapping[str, Any]], key: Callable[[Mapping[str, Any]], Any]) -> dict[Any, list]:
    """Rows by key, in the order in which keys appear."""
    found: dict[Any, list] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found
