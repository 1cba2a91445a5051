"""`winnow benchmark truth`: every rule of a release held against what people say of its videos.

The labels are those of VGGSounder, read out of its wheel, or a CSV of the same form. Of the listed videos those count
that the release has clips of. Each rule's answers are told as precision, recall and F1 with intervals over videos, of
all clips and of those of each class, at its own threshold and at others that the clips' values suggest. Nothing is
changed by it: a threshold that is chosen by such a table has seen the truth, and its figures there say nothing more.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np

from winnow.annotations.video_labels import VideoLabels, read_video_labels
from winnow.benchmark.truth_rules import RULES, TAGS, Cases, cases, fires, tag_cases
from winnow.core.errors import ContractError
from winnow.core.lake import Lake
from winnow.core.spreadsheet import harmless
from winnow.estimates.detection import Draws, detection
from winnow.models.packages.wheels import Carrier, take
from winnow.sources import youtube_clips

VGGSOUNDER = "vggsounder"
#: 37,395 labels of 15,069 videos of VGGSound's test set, background music's sounds among them. MIT.
CARRIER = Carrier(
    project="vggsounder",
    version="1.0",
    wheel="c5d9dadcbad8a23379c0f977d96b6a14c627f623933f20185f4431c0eeb5537a",
    member="vggsounder/data/vggsounder+background-music.csv",
    member_sha256="6279875ac93df11d90b1a9d60da7dee89073ce233b0843759856bc72e00396ba",
)
#: Thresholds of a sweep: quantiles of the clips' values, and the rule's own.
QUANTILES = np.linspace(0.05, 0.95, 19)
#: A clip is of a listed stretch where at least this share of it lies inside.
LEAST_INSIDE = 0.5
CLIPS = """
    select c.*, coalesce(s.decides, true) or c.effective_z is distinct from if(c.is_recycled, c.residual_z, c.z)
        as scorer_decides
    from (select sample_id, source_id, url, start_s, end_s, tagger, knows, speech, music, other, tag_mids, tag_scores,
        flag, stillness, is_recycled, z, residual_z, effective_z, model from fct_clips
        where first_failed_rule is distinct from 'taken_down') as c
    left join rpt_scorers as s on s.scorer = 'builtin' and s.model = c.model
    order by c.sample_id
"""
LIMITS = "select rule, op, value from thresholds"


def read(labels: str, wheel: Path | None = None) -> dict[str, VideoLabels]:
    """Labels by video: of VGGSounder, from its wheel (pip brings it where none is named), or of a CSV of its form."""
    if labels != VGGSOUNDER:
        if not Path(labels).is_file():
            raise ContractError(f"--labels {labels}: {VGGSOUNDER}, or a CSV with the columns of its list, is wanted")
        return read_video_labels(Path(labels))
    data, _ = take(CARRIER, wheel)
    with tempfile.TemporaryDirectory(prefix="winnow-labels-") as scratch:
        path = Path(scratch) / PurePosixPath(CARRIER.member).name
        path.write_bytes(data)
        return read_video_labels(path)


def match(labels: Mapping[str, VideoLabels], clips: Sequence[Mapping[str, object]]) -> list[str | None]:
    """The listed video of every clip: of that id, address or file's name, or the stretch of it that a clip's name
    tells; None where none is."""
    stretches: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for name in labels:
        try:
            video, start_s, end_s = youtube_clips.parse(name)
        except ValueError:
            continue
        if start_s is not None and end_s is not None:
            stretches[video].append((start_s, end_s, name))
    return [next(iter(_names(labels, stretches, clip)), None) for clip in clips]


def _names(labels: Mapping[str, VideoLabels], stretches: Mapping[str, list], clip: Mapping[str, Any]) -> Iterable[str]:
    url, start_s, end_s = str(clip["url"]), float(clip["start_s"] or 0), float(clip["end_s"] or 0)
    file = PurePosixPath(unquote(urlsplit(url).path)).name
    for name in (str(clip["source_id"]), url, file, PurePosixPath(file).stem):
        if name in labels:
            yield name
    for first_s, last_s, name in stretches.get(str(clip["source_id"]), ()):
        if min(end_s, last_s) - max(start_s, first_s) >= LEAST_INSIDE * max(end_s - start_s, 1e-3):
            yield name


def truth(
    lake: Lake, labels: str, *, out: Path, wheel: Path | None = None, release: str | None = None, seed: int = 0
) -> dict:
    """Hold every rule of a release against labels, and write `out`/truth-rules.csv, -classes.csv and -sweep.csv.

    Returns {"labels", "listed": videos, "videos", "clips": of the release among them, "rules": a row by name, "files"}.
    ContractError where the release has none of the listed videos.
    """
    from winnow.release import query

    listed = read(labels, wheel)
    with query.open_snapshot(lake, release) as con:
        clips = json.loads(query.answer(con, CLIPS, "json"))
        limits = {row["rule"]: row for row in json.loads(query.answer(con, LIMITS, "json"))}
    pairs = [(clip, name) for clip, name in zip(clips, match(listed, clips), strict=True) if name is not None]
    if not pairs:
        raise ContractError(
            f"the release has no clip of the {len(listed)} videos that {labels} lists ({', '.join([*listed][:3])} …): "
            "curate a list of theirs, or name videos by the source_id, url or file's name that fct_clips has"
        )
    own, said = [clip for clip, _ in pairs], [listed[name] for _, name in pairs]
    names, video = np.unique([name for _, name in pairs], return_inverse=True)
    draws = Draws.of(len(names), seed)
    judged = [
        ({"rule": rule.name, "truth": rule.says, "measure": rule.measure}, limits[rule.limit or rule.name], rule)
        for rule in RULES
    ]
    tags = {"rule": TAGS, "truth": "the class is a label that is heard", "measure": "tag_scores"}
    rules: list[dict] = []
    classes: list[dict] = []
    sweep: list[dict] = []
    for told, limit, rule in [*judged, (tags, limits[TAGS], None)]:
        op, at = limit["op"], limit["value"]
        found = cases(rule, own, said, video, op, at) if rule else tag_cases(own, said, video, op, at)
        named, whole = {"rule": told["rule"]}, detection(found.video, found.true, found.said, draws)
        rules.append(told | {"op": op, "threshold": at} | whole | {"unknown": found.unknown})
        classes += [named | row for row in _by_class(found, draws)]
        if rule is None or not rule.is_flag:
            sweep += [named | row for row in _sweep(found, op, at, draws)]
    files = {
        kind: _write(out / f"truth-{kind}.csv", rows)
        for kind, rows in (("rules", rules), ("classes", classes), ("sweep", sweep))
    }
    return {
        "labels": labels,
        "listed": len(listed),
        "videos": len(names),
        "clips": len(own),
        "rules": {row.pop("rule"): row for row in rules},
        "files": files,
    }


def _by_class(found: Cases, draws: Draws) -> list[dict[str, object]]:
    """The figures of the cases of each label, in the order of their names."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, labels in enumerate(found.labels):
        for name in labels:
            places[name].append(place)
    return [
        {"class": name, **detection(found.video[at], found.true[at], found.said[at], draws)}
        for name, at in sorted(places.items())
    ]


def _sweep(found: Cases, op: str, limit: float, draws: Draws) -> list[dict[str, object]]:
    """The figures at several thresholds."""
    if not len(found.value):
        return []
    several = sorted({limit, *np.round(np.quantile(found.value, QUANTILES, method="lower"), 6).tolist()})
    return [
        {"threshold": at, "is_rule": at == limit}
        | detection(found.video, found.true, fires(op, found.value, at), draws)
        for at in several
    ]


def _write(path: Path, rows: Sequence[Mapping[str, object]]) -> str:
    """Rows as a CSV; what a rule does not know as JSON in a cell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(rows[0] if rows else ())
        for row in rows:
            cells = (json.dumps(cell) if isinstance(cell, Mapping) else cell for cell in row.values())
            writer.writerow([harmless(cell) for cell in cells])
    return str(path)
