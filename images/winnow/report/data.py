"""The numbers of the report, each by one query over the published tables, which the page shows beside them.

Everything is read from the snapshot that is published with the report, so any reader can recompute any number with
`winnow sql` and get the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winnow.report.charts import round_step

if TYPE_CHECKING:
    import duckdb

#: What the rules of a point decide, in words and in the order in which a reader wants them.
POINTS = {
    "fetch": "Which candidates are fetched",
    "separate": "Which clips' sound is separated (flag 1): they drop nothing",
    "release": "Which clips are kept",
    "scorer": "Which scorers decide nothing: clips that rest on one are undecided",
    "acav": "ACAV100M's metadata filter, before fetch",
    "avset": "AVSET-10M's threshold, before release",
    "picture": "What plain decoders show wrongly, before release",
    "select": "ACAV100M's selection: its clips and no others",
    "pseudo_label": "Which of the tagger's classes are published as pseudo-labels: they drop nothing",
    "duplicate": "Which pairs of near-duplicates are no copies, and which tie no splits",
}

QUERIES = {
    "total": "select * from rpt_statistics where scope = 'total'",
    "answer": (
        "select count(*) as clips, count(*) filter (status in ('kept', 'dropped')) as decided, "
        "count(*) filter (status = 'undecided') as undecided, "
        "(select count(distinct sample_id) from splits join fct_duplicates on sample_id in (first_id, second_id) "
        "where ties and first_status = 'kept' and second_status = 'kept') as alike, "
        "(select count(*) from fct_duplicates pairs join splits a on a.sample_id = first_id "
        "join splits b on b.sample_id = second_id where pairs.ties and a.split != b.split) "
        "+ (select count(*) from (select group_id from splits group by all having count(distinct split) > 1)) as leaks "
        "from fct_clips"
    ),
    "splits": (
        "select split, clips, videos, clip_hours, unique_hours, mean_duration_s from rpt_statistics "
        "where scope = 'split' "
        "order by coalesce(nullif(list_position(['train', 'val', 'test'], split), 0), 9), split"
    ),
    "labels": (
        "select b.label, a.name, b.clips, b.clips_kept, b.kept_share, s.videos, s.clip_hours, s.unique_hours, "
        "s.mean_duration_s from rpt_balance b left join rpt_statistics s on s.scope = 'label' and s.label = b.label "
        "left join audioset_classes a on a.mid = b.label order by b.clips_kept desc, b.clips desc, b.label limit 60"
    ),
    "label_splits": "select label, split, clips from rpt_statistics where scope = 'split_label' order by label, split",
    "funnel": (
        "select position, step, unit, sum(items_in) as items_in, sum(passed) as passed, sum(failed) as failed, "
        "sum(dropped) as dropped, sum(undecided) as undecided, sum(pending) as pending, "
        "sum(unexplained) as unexplained "
        "from rpt_funnel group by position, step, unit order by position"
    ),
    "reasons": (
        "select step, status, reason, sum(items) as items, min(explanation) as explanation from rpt_reasons "
        "where status != 'kept' group by step, status, reason order by step, items desc, reason"
    ),
    "scores": "select * from rpt_scores order by measure, bin, status",
    "scorers": "select * from rpt_scorers order by scorer, model",
    "stability": (
        "select model, kind, sum(clips) as clips, sum(flipped) as flipped, "
        "sum(flipped) / nullif(sum(clips), 0) as share, "
        "max(flipped_share) as most from rpt_stability group by model, kind order by model, kind"
    ),
    "rules": (
        "select * from (select t.point, t.position, t.rule, t.measure, t.op, t.value, t.unit, t.reason, t.source, "
        "coalesce(d.decides, true) as decides, coalesce(sum(r.items), 0) as items from thresholds t "
        "left join rpt_reasons r on r.reason = t.rule and r.status in ('dropped', 'undecided') "
        "left join (select point, decides from rpt_screen union select point, decides from rpt_release_rules) d "
        "using (point) group by all) order by decides desc, "
        f"list_position({list(POINTS)}, point), position"
    ),
    "older_rules": (
        "select rule, measure, op, value, unit, list(batch order by batch) as batches from ops.fct_batch_rules "
        "where is_older group by all order by rule, value"
    ),
    "unrecorded_rules": ("select count(distinct batch) as batches from ops.fct_batch_rules where is_older is null"),
    "changes": (
        "select change, status_before, status_now, coalesce(rule_now, rule_before, '') as rule, count(*) as clips "
        "from ops.rpt_changes group by all order by change, clips desc, rule"
    ),
    "batches": (
        "select b.batch, b.seq, sum(f.items_in) filter (f.step = 'ingest') as candidates, "
        "sum(f.items_in) filter (f.step = 'release') as clips, sum(f.passed) filter (f.step = 'release') as kept "
        "from ops.dim_batches b join rpt_funnel f using (batch) group by all order by b.seq"
    ),
    "stages": (
        "select stage, v, any_value(model) as model, count(*) as shards, sum(rows) as rows, sum(failed) as failed, "
        "sum(seconds) as seconds, sum(bytes + sidecar_bytes) as bytes from ops.fct_shards "
        "group by stage, v order by stage, v"
    ),
    "score_range": "select min(score) as low, max(score) as high from fct_clips where isfinite(score)",
    "label_count": "select count(*) as labels from rpt_balance",
}
#: Clips per bin of the raw score; the width is a round number that fits the range.
SCORES = (
    "select status, floor(score / {step}) * {step} as bin_start, (floor(score / {step}) + 1) * {step} as bin_end, "
    "count(*) as clips from fct_clips where isfinite(score) group by all order by bin_start, status"
)

#: What is drawn of each measure: title, unit, what the picture says.
MEASURES = {
    "z": ("Correspondence, z", "standard deviations above mismatched pairs"),
    "duration_s": ("Duration", "s"),
    "silence_ratio": ("Silence", "share of the time that is silent"),
    "stillness": ("Stillness", "share of the time without motion"),
    "black_ratio": ("Blackness", "share of black frames"),
}


@dataclass(frozen=True)
class Facts:
    """Rows of every query, as dicts, and the queries themselves."""

    rows: dict[str, list[dict[str, Any]]]
    queries: dict[str, str]

    def __getitem__(self, name: str) -> list[dict[str, Any]]:
        return self.rows[name]


def collect(con: duckdb.DuckDBPyConnection) -> Facts:
    """Run every query over a snapshot."""
    queries = dict(QUERIES)
    (span,) = rows(con, QUERIES["score_range"])
    queries["score_bins"] = SCORES.format(step=round_step(((span["high"] or 0) - (span["low"] or 0)) / 40 or 1.0))
    return Facts({name: rows(con, query) for name, query in queries.items()}, queries)


def rows(con: duckdb.DuckDBPyConnection, query: str, parameters: list[object] | None = None) -> list[dict[str, Any]]:
    """A query's rows as dicts."""
    found = con.execute(query, parameters or [])
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def open_tables(snapshot: Path) -> duckdb.DuckDBPyConnection:
    """The snapshot, read-only."""
    import duckdb

    return duckdb.connect(str(snapshot), read_only=True)
