"""Proposals: in which seconds of a clip its event is likely to be there, from what the stages measured of it. A person
confirms or corrects them; they are no labels.

A second counts as heard where the onset envelope is active in it, as seen where the motion envelope is, and as an
event where both are and the clip as a whole corresponds (`correspond`'s z). Active means: the ten seconds' means fall
into two groups at least `least_contrast` apart (Otsu, A threshold selection method from gray-level histograms, 1979, on
their logarithms), and the second is in the louder or livelier one; where they do not, the whole clip is one state.
Nothing here knows what a category sounds like. A steady tone has one onset, at its beginning: it is proposed too short.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from winnow.annotations.segments import SEGMENTS, runs
from winnow.core.admitted import admitted_keys
from winnow.core.errors import ConfigError
from winnow.core.fingerprint import code_digest
from winnow.core.lake import Lake, digest
from winnow.core.sample import check_batch
from winnow.core.shard import Lineage
from winnow.core.stage import stage_needs
from winnow.models.layers import GRID_HZ

if TYPE_CHECKING:
    import numpy as np

#: A clip may be longer than ten seconds by this much, s.
TOLERANCE_S = 0.5
#: Means of seconds are cut from below at this share of the clip's mean before logarithms are taken.
FLOOR = 0.02


@dataclass(frozen=True)
class ProposalParams:
    """least_z: below it a clip's sound is not its picture's own, and nothing is proposed (the rule `low_correspondence`
    of thresholds.csv); least_contrast: ratio from which on two groups of seconds differ; fill_s: pauses of a track up
    to this length, whole seconds, are filled."""

    least_z: float = 1.645
    least_contrast: float = 3.0
    fill_s: int = 1


@dataclass(frozen=True)
class Proposed:
    """rows: of the table `segment_label`; passed_over: why clips have none, and how many; annotators: the ids that the
    rows carry, `proposal:<digest of code, parameters and scorer>`."""

    rows: list[dict[str, object]] = field(default_factory=list)
    passed_over: dict[str, int] = field(default_factory=dict)
    annotators: list[str] = field(default_factory=list)


def propose(lake: Lake, batches: Sequence[str] | None = None, params: ProposalParams | None = None) -> Proposed:
    """Proposals for the clips of batches (all admitted ones when none is named), ordered by clip: the same rows for the
    same tables and parameters. ConfigError when there is no batch, ContractError for one that is not scored."""
    from winnow.core.table import ok_rows

    params = params or ProposalParams()
    keys = sorted({check_batch(key) for key in batches or admitted_keys(lake)})
    if not keys:
        raise ConfigError("no batch is admitted: run `winnow gate --batch KEY` on one, or name batches")
    code = code_digest(__name__)
    passed_over: Counter[str] = Counter()
    rows: dict[str, dict[str, object]] = {}
    for batch in keys:
        lineage = Lineage(lake, batch, stage_needs())
        categories = _categories(lake, lineage)
        for number in lineage.numbers("correspond"):
            tables = {stage: lake.read_table(m) for stage, m in lineage.require_inputs("correspond", number).items()}
            scored = lineage.committed("correspond", number)
            cut = ok_rows(tables["clip"], ["candidate_id", "duration_s"]).to_pylist()
            clips = {row["sample_id"]: row for row in cut}
            motion, onset = (
                {row["sample_id"]: row[column] for row in ok_rows(tables[stage], [column]).to_pylist()}
                for stage, column in (("visual", "motion"), ("audio", "onset"))
            )
            scores = ok_rows(lake.read_table(scored), ["z", "model"]).to_pylist() if scored else []
            z = {row["sample_id"]: row for row in scores}
            for sample_id, clip in clips.items():
                category = categories.get(clip["candidate_id"])
                why = _unfit(sample_id, clip["duration_s"], category, motion, onset, z)
                if why:
                    passed_over[why] += 1
                    continue
                tracks = tracks_of(motion[sample_id], onset[sample_id], clip["duration_s"], z[sample_id]["z"], params)
                who = f"proposal:{digest([code, asdict(params), z[sample_id]['model']])}"
                rows[sample_id] = _row(sample_id, category, who, tracks)
    ordered = [rows[sample_id] for sample_id in sorted(rows)]
    return Proposed(ordered, dict(sorted(passed_over.items())), sorted({str(row["annotator_id"]) for row in ordered}))


def tracks_of(
    motion: Sequence[float], onset: Sequence[float], duration_s: float, z: float, params: ProposalParams
) -> tuple[list[int], list[int]]:
    """(audible, visible): ten values of 0 or 1 each; the event is where both are 1.

    motion, onset: envelopes at GRID_HZ from the clip's start. Seconds of which the clip has less than half are 0, and
    nothing is the event's to see in a clip whose z is below `least_z`.
    """
    whole = min(SEGMENTS, int(duration_s + 0.5))
    audible, visible = (
        _filled(active(track, whole, params.least_contrast), params.fill_s) for track in (onset, motion)
    )
    return audible, visible if z >= params.least_z else [0] * SEGMENTS


def active(envelope: Sequence[float], seconds: int, least_contrast: float) -> list[int]:
    """1 for each of ten seconds in which an envelope is active; of the first `seconds` only. All of them where they do
    not differ by `least_contrast`, none where nothing happens at all."""
    import numpy as np

    cells = int(GRID_HZ)
    values = np.zeros(SEGMENTS * cells)
    given = np.asarray(envelope, np.float64)[: len(values)]
    values[: len(given)] = given
    means = values.reshape(SEGMENTS, cells).mean(axis=1)[:seconds]
    if not len(means) or means.max() <= 1e-9:
        return [0] * SEGMENTS
    logs = np.log(np.maximum(means, FLOOR * means.mean()))
    found = logs >= _threshold(logs, float(np.log(least_contrast)))
    return [int(one) for one in found] + [0] * (SEGMENTS - len(found))


def _threshold(logs: np.ndarray, least_gap: float) -> float:
    """The value that divides some values into two groups with the largest variance between them, or the smallest value
    where the groups' means are less than `least_gap` apart."""
    ordered = sorted(logs.tolist())
    best, at = -1.0, ordered[0]
    for cut in range(1, len(ordered)):
        low, high = sum(ordered[:cut]) / cut, sum(ordered[cut:]) / (len(ordered) - cut)
        between = cut * (len(ordered) - cut) * (high - low) ** 2
        if between > best and high - low >= least_gap:
            best, at = between, ordered[cut]
    return at


def _filled(track: list[int], fill_s: int) -> list[int]:
    """A track without pauses of up to `fill_s` seconds."""
    out = list(track)
    intervals = runs(track)
    for (_, end), (start, _) in pairwise(intervals):
        if start - end <= fill_s:
            out[end:start] = [1] * (start - end)
    return out


def _unfit(
    sample_id: str, duration_s: float | None, category: str | None, motion: dict, onset: dict, z: dict
) -> str | None:
    """Why a clip gets no proposal; None when it does."""
    if duration_s is None or duration_s > SEGMENTS + TOLERANCE_S:
        return f"longer than {SEGMENTS} s"
    if category is None:
        return "no category"
    if sample_id not in motion or sample_id not in onset:
        return "not measured"
    if z.get(sample_id, {}).get("z") is None:
        return "not scored"
    return None


def _row(sample_id: str, category: str | None, who: str, tracks: tuple[list[int], list[int]]) -> dict[str, object]:
    audible, visible = tracks
    return {
        "sample_id": sample_id,
        "family": "avel",
        "video_id": None,
        "video": None,
        "start_s": None,
        "end_s": None,
        "category": category,
        "annotator_id": who,
        "created_at": None,
        "labels": [a & v for a, v in zip(audible, visible, strict=True)],
        "audible": audible,
        "visible": visible,
        "source": "proposal",
    }


def _categories(lake: Lake, lineage: Lineage) -> dict[str, str]:
    """The first label of each candidate that has one."""
    from winnow.core.table import ok_rows

    found: dict[str, str] = {}
    head = lineage.head("ingest") or {"shards": []}
    for name in head["shards"]:
        manifest = lake.manifest("ingest", head["v"], lineage.batch, name)
        if manifest is not None:
            rows = ok_rows(lake.read_table(manifest), ["labels"]).to_pylist()
            found |= {row["sample_id"]: row["labels"][0] for row in rows if row["labels"]}
    return found
