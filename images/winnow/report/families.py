"""Sections of the report for the dataset families: each appears where the release has its tables and they have rows.

A section is a few queries over published tables. How a column is shown follows from its name and type, so that a table
that gains a column needs no change here: `…_share` in percent, `…_hours` as hours, whole numbers with separators,
text as it is. A query's column named `bar_…` is drawn, in percent of the largest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from winnow.report import charts, render
from winnow.report.data import rows

if TYPE_CHECKING:
    import duckdb

BAR = "bar_"
#: Rows of one table on the page; the query below it gives all.
MOST_ROWS = 60


@dataclass(frozen=True)
class Table:
    """One table of a section: what it says, the tables that it needs, its query; `curve` draws its first column against
    its second as a line; `group` is the column whose value opens a group of rows."""

    caption: str
    needs: tuple[str, ...]
    query: str
    group: str | None = None
    curve: bool = False


@dataclass(frozen=True)
class Section:
    """One section of the page."""

    anchor: str
    nav: str
    title: str
    lead: str
    tables: tuple[Table, ...]


_LISTS = """select list_version, split, label, clips, videos, clip_hours, unique_hours, mixtures, published_clips,
published_mixtures from rpt_audioscope_statistics order by list_version desc,
coalesce(nullif(list_position(['train', 'validate', 'test'], split), 0), 9), split,
coalesce(nullif(list_position(['any', 'onscreen_only', 'offscreen_only'], label), 0), 9), label"""
_AGREEMENT = """select question, split, clips, answers, clips_compared, clips_unanimous,
clips_unanimous / nullif(clips_compared, 0) as unanimous_share, alpha from rpt_audioscope_agreement
order by question desc, split = 'all' desc, split"""
_SCREEN = """select point, rule, pass_in_order as bar_pass_in_order, pass_in_order, pass_alone,
pass_alone / nullif(candidates, 0) as pass_alone_share, decides from rpt_screen
order by decides desc, point, position"""

_SETS = """select family, set_name, split, samples, videos, categories, event_seconds, published_samples
from rpt_avel_sets order by family, set_name,
coalesce(nullif(list_position(['train', 'val', 'test'], split), 0), 9), split"""
_CATEGORIES = """select family, category, samples as bar_samples, samples, videos, train, val, test, event_seconds,
whole as whole_clip, agreed / nullif(compared, 0) as agreed_share from rpt_avel_categories where set_name = 'full'
order by family, samples desc, category"""
_LEAKS = """select family, origin, split_a || ' and ' || split_b as splits, videos, video_list[1:3] as examples
from rpt_avel_leaks order by family, origin, split_a, split_b"""
_CURVE = """select percent as percent_of_candidates, information_nats, information_share, clips, clips_selected
from rpt_acav_selection order by percent"""
_BATCHES = """select batch, clips_selected as bar_clips_selected, candidates, clips_in_order, clips_selected,
selected_share, first_round, last_round from rpt_acav_batches order by batch"""
_AVSET = """select origin, dataset, clips, mean_s, hours as clip_hours, clips_times_mean_hours, unique_hours,
flagged_clips, taken_share as chosen_share, hours_hold, parts_hold from rpt_avset_statistics
order by origin desc, part_of is not null, clips desc, dataset"""
_AVSET_PROBLEMS = """select dataset, origin, problem, source from rpt_avset_statistics where problem is not null
order by origin desc, dataset"""
_AVSET_LABELS = """select label, name, is_class, in_ontology, clips_kept as bar_clips_kept, candidates, clips,
clips_kept from rpt_avset_labels order by is_class, clips_kept desc, candidates desc, label"""

SECTIONS = (
    Section(
        "filters",
        "Metadata filters",
        "Before a download",
        "What each rule on metadata lets through: after the rules before it, and alone. A rule that does not decide is "
        "counted all the same: what it would drop is known without a download.",
        (Table("Candidates by rule.", ("rpt_screen",), _SCREEN, group="point"),),
    ),
    Section(
        "audioscope",
        "AudioScope",
        "AudioScope: on the screen, or off it",
        "Clips by split and label, and the mixtures whose first clip is among them, beside the figures of the "
        "published lists. A label takes raters who all say the same.",
        (
            Table(
                "Lists: this release beside what its authors published.",
                ("rpt_audioscope_statistics",),
                _LISTS,
                group="list_version",
            ),
            Table(
                "How far raters agree. Krippendorff's alpha: 1 is agreement, 0 what chance would give; a dash where "
                "nothing can be compared.",
                ("rpt_audioscope_agreement",),
                _AGREEMENT,
                group="question",
            ),
        ),
    ),
    Section(
        "avel",
        "AVEL",
        "AVEL: which seconds",
        "Samples whose event is both seen and heard in some of their ten seconds. The half set is drawn from the full "
        "one by category, in the same splits.",
        (
            Table("Sets: this release beside what their authors published.", ("rpt_avel_sets",), _SETS, group="family"),
            Table(
                "Categories of the full set; agreed: samples that several people annotated, all the same.",
                ("rpt_avel_categories",),
                _CATEGORIES,
                group="family",
            ),
            Table(
                "Videos that stand in two splits: as published lists give them, and here.",
                ("rpt_avel_leaks",),
                _LEAKS,
                group="family",
            ),
        ),
    ),
    Section(
        "acav",
        "ACAV",
        "ACAV: which clips add information",
        "Clips in the order in which they add mutual information between clusters of what is seen and of what is "
        "heard. Where the curve flattens, further clips repeat what is there.",
        (
            Table(
                "Information that the clips hold together, by the share of the candidates that is taken.",
                ("rpt_acav_selection",),
                _CURVE,
                curve=True,
            ),
            Table("Clips of each batch that are selected.", ("rpt_acav_batches",), _BATCHES),
        ),
    ),
    Section(
        "avset",
        "AVSET",
        "AVSET: clips whose sound and picture correspond",
        "This release beside the table of AVSET-10M as it is published, figures that contradict each other too: clips "
        "times their mean must be the hours, and parts must sum to the whole, within what was rounded away.",
        (
            Table(
                "Datasets and their parts. Chosen: of the stretches that they were chosen from.",
                ("rpt_avset_statistics",),
                _AVSET,
                group="origin",
            ),
            Table("Figures that contradict each other.", ("rpt_avset_statistics",), _AVSET_PROBLEMS),
            Table(
                "Labels of the lists, those that are none of AudioSet's 527 classes first.",
                ("rpt_avset_labels",),
                _AVSET_LABELS,
            ),
        ),
    ),
)


@dataclass(frozen=True)
class Column:
    """How one column is shown."""

    name: str
    heading: str
    is_number: bool
    show: Callable[[Any], str]
    is_bar: bool = False


@dataclass(frozen=True)
class Shown:
    """One table as the page shows it: `more` rows were left out."""

    table: Table
    query: str
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    more: int
    most: Mapping[str, float] = field(default_factory=dict)
    line: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class ShownSection:
    """One section as the page shows it."""

    section: Section
    tables: Sequence[Shown]


def collect(con: duckdb.DuckDBPyConnection, sections: Sequence[Section] = SECTIONS) -> list[ShownSection]:
    """The sections that a release has anything for."""
    there = {name for (name,) in con.execute("select table_name from duckdb_tables() where not internal").fetchall()}
    out = []
    for section in sections:
        shown = [_shown(table, rows(con, table.query)) for table in section.tables if set(table.needs) <= there]
        if filled := [table for table in shown if table.rows]:
            out.append(ShownSection(section, filled))
    return out


def _shown(table: Table, found: list[dict[str, Any]]) -> Shown:
    names = list(found[0]) if found else []
    columns = [_column(name, [row[name] for row in found]) for name in names if name != table.group]
    most = {c.name: max((_float(row[c.name]) for row in found), default=0.0) or 1.0 for c in columns if c.is_bar}
    query = " ".join(table.query.split())
    line = _line(found, names) if table.curve and len(found) > 1 else None
    return Shown(table, query, columns, found[:MOST_ROWS], max(0, len(found) - MOST_ROWS), most, line)


def _column(name: str, values: Sequence[Any]) -> Column:
    """How a column is shown, from its name and the first value that it has."""
    value = next((v for v in values if v is not None), None)
    heading = render.words(name.removeprefix(BAR))
    if name.startswith(BAR):
        return Column(name, heading, False, render.count, is_bar=True)
    if isinstance(value, bool):
        return Column(name, heading, False, lambda v: "" if v is None else "yes" if v else "no")
    if isinstance(value, (int, float)) or hasattr(value, "as_tuple"):
        show: Callable[[Any], str] = render.count if isinstance(value, int) else partial(_number, digits=3)
        if name.endswith("_share"):
            show, heading = partial(render.percent, digits=1), heading.removesuffix(" share")
        elif name.endswith("_hours"):
            show = render.hours
        elif name.endswith("_s"):
            show, heading = partial(_number, digits=2), _with_unit(name)
        elif name.endswith("_nats"):
            heading = _with_unit(name)
        return Column(name, heading, True, show)
    return Column(name, heading, False, _text)


def _with_unit(name: str) -> str:
    """duration_s → duration, s."""
    what, _, unit = name.rpartition("_")
    return f"{render.words(what)}, {unit}"


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return "" if value is None else render.words(str(value))


def _number(value: Any, digits: int) -> str:
    return render.number(None if value is None or not math.isfinite(value) else float(value), digits)


def _float(value: Any) -> float:
    return float(value) if value is not None and math.isfinite(value) else 0.0


def _line(found: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """The first column against the second as an SVG path in a 100 × 100 box, from 0 up, with ticks."""
    points = [(_float(row[names[0]]), _float(row[names[1]])) for row in found]
    low, high = min(x for x, _ in points), max(x for x, _ in points)
    span, top = (high - low) or 1.0, max(y for _, y in points) * 1.04 or 1.0
    at = [f"{100 * (x - low) / span:.3f} {100 - 100 * y / top:.3f}" for x, y in points]
    return {
        "path": "M" + " L".join(at),
        "grid": [(100 * y / top, f"{y:,.6g}") for y in _steps(0.0, top, 4) if y],
        "ticks": [(100 * (x - low) / span, f"{x:,.10g}") for x in _steps(low, high, 8)],
        "x": render.words(names[0]),
        "y": _with_unit(names[1]),
    }


def _steps(low: float, high: float, about: int) -> list[float]:
    """Round numbers between two."""
    step = charts.round_step((high - low) / about or 1.0)
    return [i * step for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
