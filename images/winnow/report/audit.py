"""What people say of the clips: precision of what was kept, share of what was dropped wrongly, each with its interval.

People can only judge what is published, so an audit shown here is of an earlier release; how many of its clips are
decided otherwise by now stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from winnow.report.data import rows

if TYPE_CHECKING:
    import duckdb

#: Audits on the page, the ones with most verdicts of the release before first; rpt_audit has all.
MOST = 3
#: Clips on which reviewers disagree that are listed for one audit.
DISPUTED = 12
_TABLES = {"rpt_audit", "rpt_audit_agreement", "fct_audit"}
ALL = (
    "select * from rpt_audit where audit = '{audit}' order by status desc, scope != 'status', "
    "if(scope = 'rule', part, split_part(part, ' / ', 2)), scope = 'stratum', part"
)
AGREEMENT = (
    "select reviewers, statistic, agreement, clips_compared, clips_unanimous from rpt_audit_agreement "
    "where audit = '{audit}' order by reviewers != 'all', reviewers"
)
DISPUTES = (
    "select sample_id, status, rule, corresponds, does_not, unsure from fct_audit "
    "where audit = '{audit}' and is_disputed order by position"
)


@dataclass(frozen=True)
class Shown:
    """One audit as the page shows it: `totals` by status, `parts` (rules and strata), `pairs` of reviewers and all of
    them, clips in dispute, and the queries."""

    audit: str
    release: str
    totals: Mapping[str, Mapping[str, Any]]
    parts: Sequence[Mapping[str, Any]]
    reviewers: Sequence[Mapping[str, Any]]
    disputed: Sequence[Mapping[str, Any]]
    queries: Mapping[str, str]

    @property
    def drawn(self) -> int:
        """Clips drawn."""
        return sum(total["drawn"] for total in self.totals.values())

    @property
    def reviewed(self) -> int:
        """Clips that somebody judged."""
        return sum(total["reviewed"] for total in self.totals.values())

    @property
    def moved(self) -> int:
        """Drawn clips that this release decides otherwise."""
        return sum(total["moved"] for total in self.totals.values())


def collect(con: duckdb.DuckDBPyConnection, base: str | None = None) -> list[Shown]:
    """The audits of a snapshot, those of `base`, the release before, first; none where nobody drew a sample."""
    there = {name for (name,) in con.execute("select table_name from duckdb_tables()").fetchall()}
    if not there >= _TABLES:
        return []
    found = rows(
        con,
        "select audit, release, sum(reviewed) as reviewed from rpt_audit where scope = 'status' "
        "group by audit, release order by release != ?, reviewed desc, audit limit ?",
        [base or "", MOST],
    )
    return [_shown(con, one["audit"], one["release"]) for one in found]


def _shown(con: duckdb.DuckDBPyConnection, audit: str, release: str) -> Shown:
    queries = {"parts": ALL, "reviewers": AGREEMENT, "disputed": DISPUTES}
    queries = {name: query.format(audit=audit) for name, query in queries.items()}
    parts = rows(con, queries["parts"])
    # A rule of one stratum, and a status of one, would stand here twice.
    alone = {(row["scope"], row["part"]) for row in parts if row["scope"] == "rule" and row["strata"] == 1}
    return Shown(
        audit=audit,
        release=release,
        totals={row["part"]: row for row in parts if row["scope"] == "status"},
        parts=[row for row in parts if row["scope"] != "status" and (row["scope"], row["part"]) not in alone],
        reviewers=rows(con, queries["reviewers"]),
        disputed=rows(con, queries["disputed"])[:DISPUTED],
        queries=queries,
    )
