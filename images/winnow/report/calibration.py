"""How the scorers were calibrated: three distributions and the threshold, what every k would keep, who agrees.

Of each scorer the model is shown that scored most clips; the tables have all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from winnow.report import charts
from winnow.report.data import rows

if TYPE_CHECKING:
    import duckdb

NAMES = {
    "builtin": ("Built-in", "what goes with what, and what moves with what"),
    "semantic": ("Semantic part", "what goes with what, without timing"),
    "sync": ("Sync part", "what moves with what, whatever it is"),
    "bridge": ("Tag bridge", "tags of the sound as text, against pictures"),
    "two_tower": ("Two towers", "a contrastive model trained on the corpus"),
    "ridge": ("Ridge map", "what YAMNet hears against what EfficientNet's view lets expect"),
    "joint": ("Joint model", "an exported model of sound and picture"),
}
_ORDER = f"list_position([{', '.join(repr(name) for name in NAMES)}], scorer)"
#: Deviations of non-corresponding pairs in one step of the drawn distributions.
STEP = 0.25
QUERIES = {
    "parameters": f"select * from rpt_calibration order by {_ORDER}, clips desc, model",
    "distributions": (
        "select own.scorer, own.model, own.kind, floor(round(((own.hist_start - other.mean) / own.hist_width + i - "
        f"0.5) / 20, 6) / {STEP}) * {STEP} as sigma, sum(own.hist_counts[i]) / max(own.n) as share "
        "from fct_calibration own join fct_calibration other on other.scorer = own.scorer and other.model = own.model "
        "and other.kind = 'non_corresponding', range(1, len(own.hist_counts) + 1) as bins(i) "
        "group by all order by all"
    ),
    "sweep": "select * from rpt_calibration_sweep order by scorer, model, k",
    "agreement": (
        "select * from rpt_agreement order by list_contains(['semantic', 'sync'], scorer_a) or "
        "list_contains(['semantic', 'sync'], scorer_b), scorer_a, scorer_b"
    ),
    "rules": (
        "select * from rpt_release_rules where point = 'avset' or rule = 'low_correspondence' order by point, position"
    ),
}
#: Lines of the sweep: column, what a legend calls it.
SWEPT = {
    "corresponding": "corresponding_share",
    "non_corresponding": "non_corresponding_share",
    "clips": "clips_kept_share",
}


@dataclass(frozen=True)
class Scorer:
    """One scorer on the page: its row of rpt_calibration, and its two pictures (None where it is not calibrated)."""

    title: str
    what: str
    about: Mapping[str, Any]
    distributions: charts.Curves | None
    sweep: charts.Curves | None


@dataclass(frozen=True)
class Calibration:
    """The section's numbers, and the queries they come from."""

    scorers: Sequence[Scorer]
    parameters: Sequence[Mapping[str, Any]]
    agreement: Sequence[Mapping[str, Any]]
    rules: Sequence[Mapping[str, Any]]
    k: float
    normal_above: float
    rule_sigma: float | None
    normal_above_rule: float | None
    queries: Mapping[str, str]


def collect(con: duckdb.DuckDBPyConnection) -> Calibration | None:
    """The section of a release; None where no scorer is calibrated."""
    there = {name for (name,) in con.execute("select table_name from duckdb_tables() where not internal").fetchall()}
    if (
        not {"rpt_calibration", "rpt_calibration_sweep", "rpt_agreement", "fct_calibration", "rpt_release_rules"}
        <= there
    ):
        return None
    found = {name: rows(con, query) for name, query in QUERIES.items()}
    parameters = found["parameters"]
    if not any(row["mean"] is not None for row in parameters):
        return None
    k = parameters[0]["k"]
    shown: dict[str, Mapping[str, Any]] = {}
    for row in parameters:
        shown.setdefault(row["scorer"], row)
    scorers = [_scorer(row, found["distributions"], found["sweep"], k) for row in shown.values()]
    rule_sigma = parameters[0]["rule_sigma"]
    above_rule = None if rule_sigma is None else _normal_above(rule_sigma)
    return Calibration(
        scorers, parameters, found["agreement"], found["rules"], k, _normal_above(k), rule_sigma, above_rule, QUERIES
    )


def _normal_above(k: float) -> float:
    """Share of a normal distribution above its mean + k deviations."""
    return math.erfc(k / math.sqrt(2)) / 2


def _scorer(about: Mapping[str, Any], distributions: Sequence[Mapping], sweep: Sequence[Mapping], k: float) -> Scorer:
    title, what = NAMES.get(about["scorer"], (about["scorer"], ""))
    if about["mean"] is None:
        return Scorer(title, what, about, None, None)

    def own(of: Sequence[Mapping]) -> list[Mapping]:
        return [row for row in of if (row["scorer"], row["model"]) == (about["scorer"], about["model"])]

    lines: dict[str, list[tuple[float, float]]] = {"normal": _normal()}
    for row in own(distributions):
        lines.setdefault(row["kind"], []).append((row["sigma"] + STEP / 2, 100 * float(row["share"])))
    swept = {name: [(row["k"], 100 * (row[column] or 0)) for row in own(sweep)] for name, column in SWEPT.items()}
    return Scorer(
        title,
        what,
        about,
        charts.curves({kind: _ended(points) for kind, points in lines.items()}, mark=k, least_top=0),
        charts.curves(swept, mark=k, least_top=100),
    )


def _normal() -> list[tuple[float, float]]:
    """The fit: percent of a standard normal distribution in a step around each place."""
    places = [-4 + STEP / 2 * i for i in range(round(8 / (STEP / 2)) + 1)]
    return [(x, 100 * STEP * math.exp(-x * x / 2) / math.sqrt(2 * math.pi)) for x in places]


def _ended(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """With every step between the first and the last, and the line let down to 0 at either end."""
    if not points or (len(points) > 1 and points[1][0] - points[0][0] < STEP):
        return points
    known = dict(points)
    first, steps = points[0][0], round((points[-1][0] - points[0][0]) / STEP)
    return [(first + STEP * i, known.get(first + STEP * i, 0.0)) for i in range(-1, steps + 2)]
