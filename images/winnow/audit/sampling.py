"""Audit: draws the clips of a release that people are to judge, by strata, so that few verdicts say something of all.

A stratum is what clips share in the dimensions asked for: `rule` (the rule that dropped them), `band` (their score, in
bands of equally many clips, for kept clips and for those that a rule on the score dropped), `subset` of a published
family, or any column of fct_clips with few values: `flag`, `label`, `split`, `batch`. Kept and dropped clips are never
in one stratum. Of each stratum the clips whose hash with the seed is smallest are taken: the same release, dimensions
and seed give the same clips on every machine, and a larger size adds clips to those of a smaller one.

Only clips with a file can be drawn, because only they can be played, and recycled ones only with what was left of their
sound, because that is what they were scored for. One without sound, or a silent one, is not drawn, because nobody can
say whether it matches; nor is one that is undecided, because nothing was decided. `population` counts the others. The
rows go into the corpus table `audit_sample`; what reviewers are given (`write_csv`, the explorer) names no stratum and
stands in an order of its own, so that nobody sees what was decided before the verdict.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winnow.core.errors import ConfigError
from winnow.core.lake import Lake, digest
from winnow.core.spreadsheet import harmless

if TYPE_CHECKING:
    import duckdb

#: The score that is banded by default, and what rules call it; of a recycled clip it is that of the residual.
SCORE, SCORE_MEASURES = "z", ("z", "effective_z")
RESIDUAL = {"z": "residual_z", "score": "residual_score"}
#: Dimensions that are used where nothing else is asked for and clips differ in them.
DEFAULT_BY = ("rule", "flag", "band")
CSV_COLUMNS = ("release", "sample_id", "url", "start_s", "end_s", "sound", "verdict", "reviewer")
#: Strata of one audit; a dimension with more values than this is no dimension.
MAX_STRATA = 500


@dataclass(frozen=True)
class AuditParams:
    """by: dimensions (none: DEFAULT_BY); size: clips of each stratum; sizes: the same for strata whose name begins so,
    the longest beginning counts, and 0 leaves them out, of every share too; bands: at most so many of the score (fewer
    where one would have less than `size` clips); score: the column that is banded; seed: which clips."""

    by: tuple[str, ...] = ()
    size: int = 20
    sizes: Mapping[str, int] = field(default_factory=dict)
    bands: int = 3
    score: str = SCORE
    seed: int = 0


def draw(lake: Lake, release: str | None = None, params: AuditParams | None = None) -> list[dict[str, Any]]:
    """Rows of the table `audit_sample`, in the order in which they are to be asked, each with `url`, `start_s`, `end_s`
    and `sound` beside the table's columns. ConfigError for a dimension that the release has not, or when it has no
    clip."""
    from winnow.release import publish, query

    params = params or AuditParams()
    release = publish.resolve(lake, release)
    with query.open_snapshot(lake, release) as con:
        clips = _clips(con, release, params)
    return sample(clips, release, params)


def sample(clips: Sequence[Mapping[str, Any]], release: str, params: AuditParams) -> list[dict[str, Any]]:
    """What is drawn of clips that have their `stratum`; see `draw`."""
    strata: dict[str, list[Mapping[str, Any]]] = {}
    for clip in clips:
        strata.setdefault(clip["stratum"], []).append(clip)
    if not clips or len(strata) > MAX_STRATA:
        what = f"falls into {len(strata)} strata, more than {MAX_STRATA}" if clips else "has no clip with a file"
        raise ConfigError(f"release {release} {what}: nothing is drawn; see `winnow audit --help`")
    rows = []
    for name, members in strata.items():
        taken = sorted(members, key=lambda clip: _place(params.seed, "draw", clip["sample_id"]))[: _size(params, name)]
        for clip in taken:
            rows.append({**clip, "release": release, "population": len(members), "drawn": len(taken)})
    rows.sort(key=lambda row: _place(params.seed, "ask", row["sample_id"]))
    audit = digest([[row["sample_id"], row["stratum"], row["population"], release] for row in rows])
    return [{**row, "audit": audit, "seed": params.seed, "position": at} for at, row in enumerate(rows)]


def add(lake: Lake, rows: Sequence[Mapping[str, Any]], params: AuditParams) -> dict[str, object]:
    """Put drawn rows into the corpus; what `corpus.add` returns."""
    from dataclasses import asdict

    from winnow.core import corpus_table

    columns = corpus_table.TABLES["audit_sample"].columns
    given = [{name: row[name] for name in columns} for row in rows]
    return corpus_table.add(lake, "audit_sample", given, provenance={"by": "winnow audit", "params": asdict(params)})


def draw_into(lake: Lake, release: str, size: int) -> int:
    """Draw a sample of a release, `size` clips of each stratum, into the corpus; how many clips it has."""
    params = AuditParams(size=size)
    rows = draw(lake, release, params)
    add(lake, rows, params)
    return len(rows)


def strata_of(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, object]]:
    """The strata of drawn rows, by name: clips of the release, clips drawn."""
    found = {row["stratum"]: {key: row[key] for key in ("stratum", "population", "drawn")} for row in rows}
    return [found[name] for name in sorted(found)]


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """The file that a reviewer fills in: nothing of what was measured or decided, columns `verdict` and `reviewer`
    empty. `sound` says what to listen to: the `mixture` that the address has, or the `residual`, which only the files
    of `winnow audit --clips` have. `annotations.verdicts` reads it back."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(CSV_COLUMNS)
        for row in rows:
            writer.writerow([harmless(row.get(name)) for name in CSV_COLUMNS])


# -- strata ------------------------------------------------------------------------------------------------------------
def _clips(con: duckdb.DuckDBPyConnection, release: str, params: AuditParams) -> list[dict[str, Any]]:
    """Kept and dropped clips that have a file and can be heard, each with its stratum, in the order of their ids."""
    there = {name for (name,) in con.execute("select column_name from (describe fct_clips)").fetchall()}
    tables = {name for (name,) in con.execute("select table_name from duckdb_tables() where not internal").fetchall()}
    known = there | {"rule", "band"} | ({"subset"} if "avset_clips" in tables else set())
    dimensions = params.by or tuple(name for name in DEFAULT_BY if name in known)
    score = params.score
    if unknown := [name for name in (*dimensions, score) if name not in known]:
        raise ConfigError(f"release {release} has no {', '.join(unknown)}: there are {', '.join(sorted(known))}")
    plain = [name for name in dimensions if name not in ("rule", "band", "status")]
    chosen = "".join(f', {"a" if name == "subset" else "c"}."{name}" as "by_{name}"' for name in plain)
    join = "left join avset_clips a using (sample_id)" if "subset" in plain else ""
    value, measures = f'c."{score}"', SCORE_MEASURES if score == SCORE else (score,)
    if {"is_recycled", RESIDUAL.get(score)} <= there:
        value = f"if(c.is_recycled, c.{RESIDUAL[score]}, {value})"
    recycled = "coalesce(c.is_recycled, false)" if "is_recycled" in there else "false"
    files = {name for (name,) in con.execute("select column_name from (describe ops.fct_clip_files)").fetchall()}
    residual = "f.residual_tar" if "residual_tar" in files else "null"
    con.execute(
        f"""select c.sample_id, c.status, coalesce(c.first_failed_rule, '') as rule, c.url, c.start_s, c.end_s,
            if({recycled}, 'residual', 'mixture') as sound, if(isfinite({value}), {value}, null) as score,
            coalesce(t.measure in {(*measures, score)}, false) as on_score{chosen}
        from fct_clips c join ops.fct_clip_files f using (sample_id)
        left join thresholds t on t.rule = c.first_failed_rule left join thresholds s on s.rule = 'silent' {join}
        where c.status in ('kept', 'dropped') and (not {recycled} or {residual} is not null)
            and coalesce(c.has_audio, true) and coalesce(c.silence_ratio <= s.value, true)
            and coalesce(c.first_failed_rule not in ('no_audio', 'silent'), true) order by c.sample_id"""
    )
    names = [column[0] for column in con.description]
    clips = [dict(zip(names, row, strict=True)) for row in con.fetchall()]
    if not params.by:
        plain = [name for name in plain if len({clip[f"by_{name}"] for clip in clips}) > 1]
    cells: dict[str, list[dict[str, Any]]] = {}
    for clip in clips:
        parts = [clip["status"], *([clip["rule"]] if clip["rule"] and "rule" in dimensions else [])]
        parts += [_named(name, clip[f"by_{name}"]) for name in plain]
        clip["stratum"] = " / ".join(parts)
        cells.setdefault(clip["stratum"], []).append(clip)
    if "band" in dimensions:
        for name, members in cells.items():
            _band(members, score, min(params.bands, len(members) // max(1, _size(params, name))))
    return clips


def _named(name: str, value: object) -> str:
    """flag 1, label dog barking, no label."""
    return f"no {name}" if value is None else f"{name} {value}"


def _band(clips: list[dict[str, Any]], score: str, bands: int) -> None:
    """Append the band of their score to the strata's names of kept clips and of those that a rule on it dropped."""
    clips = [clip for clip in clips if clip["score"] is not None and (clip["status"] == "kept" or clip["on_score"])]
    clips.sort(key=lambda clip: (clip["score"], clip["sample_id"]))
    for band in range(bands if bands > 1 else 0):
        members = clips[band * len(clips) // bands : (band + 1) * len(clips) // bands]
        for clip in members:
            low, high = members[0]["score"], members[-1]["score"]
            clip["stratum"] += f" / band {band + 1}, {score} {low:.2f} to {high:.2f}"


def _size(params: AuditParams, stratum: str) -> int:
    """How many clips are drawn from a stratum."""
    fitting = [name for name in params.sizes if stratum == name or stratum.startswith(f"{name} / ")]
    return params.sizes[max(fitting, key=len)] if fitting else params.size


def _place(seed: int, purpose: str, sample_id: str) -> bytes:
    """Where a clip stands in a shuffle."""
    return hashlib.blake2b(f"{seed}\x1f{purpose}\x1f{sample_id}".encode(), digest_size=16).digest()
