"""Proposals: which seconds of a clip are offered to people as its event, from envelopes alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dbt.lake import V, write_table
from tests.unit.signals import mp4, textured
from winnow.annotations.proposals import ProposalParams, active, propose, tracks_of
from winnow.annotations.segment_labels import segment_label
from winnow.annotations.segments import SEGMENTS
from winnow.core import corpus_table
from winnow.core.lake import Lake
from winnow.core.shard import shard_name
from winnow.core.stage import stage_columns
from winnow.stages import audio, visual

repeatable = settings(deadline=None, derandomize=True, max_examples=100)


def burst(*seconds: int, floor: float = 0.1) -> list[float]:
    """An envelope that is active in some seconds."""
    noise = np.random.default_rng(0).uniform(0.7, 1.3, 80)
    return [float(noise[k] * (1.0 if k // 8 in seconds else floor)) for k in range(80)]


def test_seconds_that_are_heard_and_seen_are_proposed() -> None:
    params = ProposalParams()
    heard, seen = burst(2, 3, 4, 5), burst(3, 4, 5, 6)
    assert tracks_of(seen, heard, 10, 3.0, params) == (
        [0, 0, 1, 1, 1, 1, 0, 0, 0, 0],
        [0, 0, 0, 1, 1, 1, 1, 0, 0, 0],
    )
    assert tracks_of(seen, heard, 10, 1.0, params)[1] == [0] * 10
    assert tracks_of(burst(*range(10)), burst(*range(10)), 10, 3.0, params) == ([1] * 10, [1] * 10)
    assert tracks_of([0.0] * 80, burst(1), 10, 3.0, params)[1] == [0] * 10
    assert tracks_of(burst(1, 3), burst(1, 3), 10, 3.0, params)[0] == [0, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    assert tracks_of(burst(1, 4), burst(1, 4), 10, 3.0, params)[0] == [0, 1, 0, 0, 1, 0, 0, 0, 0, 0]
    assert tracks_of(burst(*range(10))[:56], burst(*range(10))[:56], 7.0, 3.0, params)[0] == [1] * 7 + [0] * 3


def test_proposals_for_encoded_clips() -> None:
    """A square that moves and a drum that sounds in the same seconds, over noise, measured from the file as a stage
    does. Always saying "event" would be right in half of the seconds."""
    right = []
    for seed, (first, last) in enumerate(((2, 6), (4, 10))):
        rng, truth = np.random.default_rng(seed), [int(first <= second < last) for second in range(10)]
        pictures = []
        for k in range(250):
            picture = textured(seed) + rng.normal(0, 2, (96, 128))
            at = 40 + round(30 * np.sin(k / 4)) if truth[k // 25] else 40
            picture[30:60, at : at + 24] = 240
            pictures.append(picture.clip(0, 255).astype(np.uint8))
        wave = rng.normal(0, 0.003, 441_000)
        decay = 0.5 * np.exp(-np.arange(8820) / 3528) * np.sin(np.arange(8820) / 16)
        for at in range(0, 441_000 - 8820, 17_640):
            wave[at : at + 8820] += decay * truth[at // 44_100]
        data = mp4(pictures, wave[None])
        motion, onset = visual.measure(data)["motion"], audio.measure(data)["onset"]
        heard, seen = tracks_of(motion, onset, 10.0, 5.0, ProposalParams())
        right += [(a & v) == t for a, v, t in zip(heard, seen, truth, strict=True)]
    assert np.mean(right) >= 0.9


@repeatable
@given(st.lists(st.integers(0, 1000), min_size=0, max_size=100), st.integers(0, 10))
def test_activity_does_not_depend_on_scale(envelope: list[int], seconds: int) -> None:
    found = active(envelope, seconds, 3.0)
    assert len(found) == SEGMENTS
    assert set(found) <= {0, 1}
    assert not any(found[seconds:])
    assert active([value / 1024 for value in envelope], seconds, 3.0) == found


def test_proposals_of_a_batch(tmp_path: Path) -> None:
    """Clip 0 and 1 are proposed; 2 is too long, 3 has no category, 4 is not measured, 5 is not scored."""
    lake, batch = Lake(tmp_path / "lake"), "day"
    columns = stage_columns()
    clips = [f"{n:020d}" for n in range(6)]
    ids = ["c" * 20, "d" * 20]
    listed = [
        {"sample_id": c, "outcome": "ok", "labels": labels} for c, labels in zip(ids, (["dog"], None), strict=True)
    ]
    about = {"outcome": "ok", "duration_s": 10.0, "candidate_id": ids[0], "video_id": "v"}
    cut = [{"sample_id": c, **about} for c in clips]
    cut[2]["duration_s"], cut[3]["candidate_id"] = 12.0, ids[1]
    rows = {
        "clip": cut,
        "visual": [{"sample_id": c, "outcome": "ok", "motion": burst(1, 2)} for c in clips if c != clips[4]],
        "audio": [{"sample_id": c, "outcome": "ok", "onset": burst(2, 3)} for c in clips],
        "correspond": [
            {"sample_id": c, "outcome": "ok", "z": z, "model": "m"}
            for c, z in zip(clips, (5, 0, 5, 5, 5, None), strict=True)
        ],
    }
    needs = {
        "fetch": ("plan",),
        "clip": ("fetch",),
        "visual": ("clip",),
        "audio": ("clip",),
        "correspond": ("clip", "visual", "audio"),
    }
    made = {}
    for stage in ("ingest", "plan", "fetch", *rows):
        name = shard_name(0, {n: made[n].sha256 for n in needs[stage]}) if stage in needs else None
        table = listed if stage == "ingest" else rows.get(stage, [])
        made[stage] = write_table(lake, stage, batch, 0, table, columns[stage], name)
        lake.set_head(stage, batch, {"v": V, "shards": [made[stage].shard]})
    done = propose(lake, [batch])
    assert [row["sample_id"] for row in done.rows] == clips[:2]
    assert [row["labels"] for row in done.rows] == [[0, 0, 1, 0, 0, 0, 0, 0, 0, 0], [0] * 10]
    assert done.rows[0]["category"] == "dog"
    assert done.passed_over == {"longer than 10 s": 1, "no category": 1, "not measured": 1, "not scored": 1}
    assert [row["annotator_id"] for row in done.rows] == done.annotators * 2
    assert done.annotators[0].startswith("proposal:")
    assert propose(lake, [batch]) == done
    assert propose(lake, [batch], ProposalParams(fill_s=0)).annotators != done.annotators
    assert [segment_label(row) for row in done.rows] == done.rows
    corpus_table.add(lake, "segment_label", done.rows, provenance={})
