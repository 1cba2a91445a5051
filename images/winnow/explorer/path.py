"""Path: the rules that decided about a clip, one by one in their order: passed, failed, or not asked any more; and
which threshold stands beside which number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from winnow.explorer.published import Published

PASSED, FAILED, FIRES_TOO, NOT_ASKED = "passed", "failed", "would fail too", "not asked"
#: What is asked only of clips that no other rule drops, whatever its position.
_LAST = ("duplicate_rank", "joins_two_splits")
#: Rules that fire for a clip, the first one and those after it.
_FIRED = """
    select reason as rule, any_value(measured) as measured from fct_removed
    where batch = ? and candidate_id = ? and sample_id = ? and kind = 'rule' and step = 'release' group by reason
"""


@dataclass(frozen=True)
class Step:
    """A rule as it met a clip: its row of thresholds.csv, what became of it, and what was measured (None where no
    published table says)."""

    rule: Mapping[str, Any]
    outcome: str
    measured: float | None


def steps(published: Published, about: Mapping[str, Any]) -> list[Step]:
    """The rules before release, in their order, as they met a clip (its row of fct_clips)."""
    found = published.rows(
        "select * from thresholds where list_contains(?, point) order by list_contains(?, measure), position, rule",
        [points(published), list(_LAST)],
    )
    first = about["first_failed_rule"] or ("unmeasured" if about["status"] == "pending" else None)
    fired = {}
    if "fct_removed" in published.tables and about["status"] == "dropped":
        key = [about.get("batch"), about.get("candidate_id"), about["sample_id"]]
        fired = {row["rule"]: row["measured"] for row in published.rows(_FIRED, key)}
    out, is_over = [], False
    for rule in found:
        name = rule["rule"]
        if name == first:
            outcome, is_over = FAILED if about["status"] != "pending" else "waits", True
        elif is_over:
            outcome = FIRES_TOO if name in fired else NOT_ASKED
        else:
            outcome = PASSED
        out.append(Step(rule, outcome, _number(fired.get(name, about.get(rule["measure"])))))
    return out


def points(published: Published) -> list[str]:
    """Points whose rules decide at release, as the release says; `release` where it does not."""
    if "rpt_release_rules" not in published.tables:
        return ["release"]
    found = published.tuples("select distinct point from rpt_release_rules where decides order by point")
    return sorted({"release", *(row[0] for row in found)})


def limits(published: Published) -> dict[str, str]:
    """By measure, the comparison that drops, or flags, a clip by it: `> 0.9 drops`."""
    does = dict.fromkeys(points(published), "drops") | {"separate": "flags"}
    rows = published.rows(
        "select point, measure, op, value from thresholds where list_contains(?, point) order by point, position",
        [list(does)],
    )
    found: dict[str, str] = {}
    for row in rows:
        text = f"{row['op']} {row['value']:g} {does[row['point']]}".replace("-", "−")
        found[row["measure"]] = f"{found[row['measure']]}; {text}" if row["measure"] in found else text
    return found


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
