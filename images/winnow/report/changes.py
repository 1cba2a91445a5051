"""What entered and what left between two releases: which rules changed, which rule explains how many clips, and some of
the clips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from winnow.report.data import rows

if TYPE_CHECKING:
    import duckdb

#: Clips that stand for all of one change.
EXAMPLES = 3
RULES = "select rule, point, change, compared_before, compared_now from ops.rpt_rule_changes order by point, rule"
#: Why a clip entered is what kept it out before; why it left, what keeps it out now.
GROUPS = f"""with why as (select *, if(change = 'entered', coalesce(rule_before, status_before), coalesce(rule_now,
status_now)) as reason, if(change = 'entered', detail_before, detail_now) as detail from ops.rpt_changes
where change in ('entered', 'left')) select change, reason, count(*) as clips, list({{'sample_id': sample_id,
'label': label, 'detail': detail, 'url': url}} order by sample_id)[1:{EXAMPLES}] as examples from why
group by change, reason order by change, clips desc, reason"""
#: What is no rule's name.
WORDS = {
    ("entered", "absent"): "first seen now",
    ("entered", "pending"): "waited to be measured",
    ("left", "absent"): "no longer there",
    ("left", "pending"): "waits to be measured again",
}


@dataclass(frozen=True)
class Changes:
    """Rules that changed, and what entered and left by reason, each with its query."""

    rules: list[dict[str, Any]]
    entered: list[dict[str, Any]]
    left: list[dict[str, Any]]
    queries: dict[str, str]


def collect(con: duckdb.DuckDBPyConnection) -> Changes:
    """The changes of a snapshot; nothing where it has no such tables."""
    there = {name for (name,) in con.execute("select table_name from duckdb_tables()").fetchall()}
    queries = {"rules": " ".join(RULES.split()), "groups": " ".join(GROUPS.split())}
    if not {"rpt_changes", "rpt_rule_changes"} <= there:
        return Changes([], [], [], queries)
    found = rows(con, queries["groups"])
    for row in found:
        row["words"] = WORDS.get((row["change"], row["reason"]), row["reason"].replace("_", " "))
    by = {change: [row for row in found if row["change"] == change] for change in ("entered", "left")}
    return Changes(rows(con, queries["rules"]), by["entered"], by["left"], queries)
