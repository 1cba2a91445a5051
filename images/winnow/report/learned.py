"""What a model learns from a release: its figure on test with interval, chance and ceiling beside it, and the gain over
as many random candidates. A release is benchmarked after it is published, so what is shown is of one before this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from winnow.report.data import rows

if TYPE_CHECKING:
    import duckdb

#: Order of the training sets, as on the page.
SETS = ("release", "random", "rejected", "top")
WORDS = {
    "release": "what the release keeps",
    "random": "random candidates",
    "rejected": "what was dropped",
    "top": "highest scores",
}
FIGURES = (
    "select * from rpt_benchmark where release = '{release}' "
    f"order by task, model, metric, list_position({list(SETS)}, set)"
)


@dataclass(frozen=True)
class Learned:
    """One benchmarked release: rows by (task, model, metric) with their sets, and the query that they come from."""

    release: str
    models: Mapping[tuple[str, str, str], Sequence[Mapping[str, Any]]]
    query: str

    @property
    def better(self) -> int:
        """Models that learned significantly more from what the release keeps than from random candidates."""
        return self._said("better")

    @property
    def worse(self) -> int:
        """Models that learned significantly less."""
        return self._said("worse")

    def _said(self, verdict: str) -> int:
        own = [row for found in self.models.values() for row in found if row["set"] == "release"]
        return sum(row["verdict"] == verdict for row in own)


def collect(con: duckdb.DuckDBPyConnection, base: str | None = None) -> Learned | None:
    """The benchmark of `base`, the release before, else the one of most rows; None where no release was benchmarked."""
    there = {name for (name,) in con.execute("select table_name from duckdb_tables()").fetchall()}
    if "rpt_benchmark" not in there:
        return None
    found = rows(
        con,
        "select release from rpt_benchmark group by release order by release != ?, count(*) desc, release limit 1",
        [base or ""],
    )
    if not found:
        return None
    query = FIGURES.format(release=found[0]["release"])
    models: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in rows(con, query):
        models.setdefault((row["task"], row["model"], row["metric"]), []).append(_scaled(row))
    return Learned(found[0]["release"], models, query)


def _scaled(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row in percent of the ceiling; what has none, as a figure in dB, as it is, without places on the bar."""
    if row["ceiling"] is None:
        return {**row, "words": WORDS.get(row["set"], row["set"])}
    names = ("mean", "low", "high", "deviation", "chance", "gain", "gain_low", "gain_high")
    scale = 100 / row["ceiling"]
    percents = {name: None if row[name] is None else scale * row[name] for name in names}
    return {**row, **percents, "ceiling": 100.0, "words": WORDS.get(row["set"], row["set"])}
