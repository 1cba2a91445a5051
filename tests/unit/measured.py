"""A lake whose batches are planned, fetched, cut and measured, without any media: what `fit` and `correspond` read."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tests.unit.manifests import manifest_of
from winnow.core import table
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.manifest import Manifest
from winnow.core.planned_table import PLAN
from winnow.core.sample import Outcome, Reason, clip_id, sid
from winnow.core.shard import shard_name
from winnow.core.stage import stage_class
from winnow.models.layers import AUDIO_LAYERS, GRID_HZ, VISUAL_LAYERS

V = "0" * 12
CLASSES = 6


def clip(video: int, number: int) -> tuple[dict, dict, dict]:
    """Rows of clip, visual and audio of one clip: what it shows and what it sounds like depend on the video's class."""
    rng = np.random.default_rng([video, number])
    kind, rhythm = video % CLASSES, rng.exponential(size=80)
    visual, audio = {"grid_hz": GRID_HZ, "n_frames": 120}, {"grid_hz": GRID_HZ, "n_samples": 160_000}
    for layers, row, side in ((VISUAL_LAYERS, visual, 0), (AUDIO_LAYERS, audio, 1)):
        for place, layer in enumerate(layers):
            centre = np.random.default_rng([side, place, kind]).normal(size=layer.dim)
            row[layer.column] = (centre + rng.normal(size=layer.dim)).astype(np.float32)
    visual["motion"] = (rhythm + 0.3 * rng.exponential(size=80)).astype(np.float32)
    audio["onset"] = (rhythm + 0.5 * rng.exponential(size=80)).astype(np.float32)
    start_s = 10.0 * number
    times = {"video_id": sid("video", video), "start_s": start_s, "end_s": start_s + 10, "duration_s": 10.0}
    return {"sample_id": clip_id(times["video_id"], start_s, start_s + 10), **times}, visual, audio


def write_batch(
    lake: Lake,
    batch: str,
    videos: range,
    *,
    per_shard: int = 8,
    clips: int = 2,
    silent: frozenset[int] = frozenset(),
    copies: Mapping[int, int] | None = None,
    v: Mapping[str, str] | None = None,
) -> None:
    """Commit all tables of a batch; the clips of `silent` videos have no audio stream. copies: the video whose media
    another one has. v: of stages that have another than V."""
    v, copies = v or {}, copies or {}
    ordered = list(videos)
    shards = [ordered[i : i + per_shard] for i in range(0, len(ordered), per_shard)]
    names = []
    for number, members in enumerate(shards):
        candidates = [
            Outcome.ok(sid("candidate", v), {"video_id": sid("video", v), "url": f"http://x/{v}"}) for v in members
        ]
        plan = commit(lake, "plan", batch, number, candidates, PLAN.columns, {})
        names.append(plan.shard)
        fetch = commit(lake, "fetch", batch, number, candidates, stage_class("fetch").schema, {"plan": plan})
        rows = [(v, clip(v, k)[0], *clip(copies.get(v, v), k)[1:]) for v in members for k in range(clips)]
        cut = [
            Outcome.ok(row["sample_id"], {k: x for k, x in row.items() if k != "sample_id"}) for _, row, _, _ in rows
        ]
        clip_table = commit(lake, "clip", batch, number, cut, stage_class("clip").schema, {"fetch": fetch})
        seen = [Outcome.ok(row["sample_id"], visual) for _, row, visual, _ in rows]
        heard = [
            Outcome.failed(row["sample_id"], Reason.no_audio_stream, "no audio stream")
            if v in silent
            else Outcome.ok(row["sample_id"], audio)
            for v, row, _, audio in rows
        ]
        for stage, outcomes in (("visual", seen), ("audio", heard)):
            inputs = {"clip": clip_table}
            commit(lake, stage, batch, number, outcomes, stage_class(stage).schema, inputs, v.get(stage, V))
    lake.set_head("plan", batch, {"v": V, "shards": names})
    for stage in ("fetch", "clip", "visual", "audio"):
        lake.set_head(stage, batch, {"v": v.get(stage, V)})


def commit(
    lake: Lake, stage: str, batch: str, number: int, outcomes: list, schema: dict, inputs: dict, v: str = V
) -> Manifest:
    data = table.to_bytes(table.from_outcomes(outcomes, schema, stage))
    sha256 = sha256_bytes(data)
    digests = {need: m.sha256 for need, m in inputs.items()} or {"rows": sha256}
    name, failed = shard_name(number, digests), sum(o.reason is not None for o in outcomes)
    return lake.commit(
        manifest_of(data, stage, batch, name, len(outcomes), failed=failed, fingerprint=v, inputs=digests),
        data,
    )
