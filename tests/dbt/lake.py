"""Synthetic lakes: stage tables whose truth is known because it is written down here, committed as the Runtime commits.

`Candidate` and `Clip` say how a row fares at every stage; `write_batch` turns them into the stage tables of one
admitted batch. The schemas are the stages' own, so a column that a stage renames breaks these tests too.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.unit.manifests import manifest_of
from tests.unit.sketched import levels, pictures
from winnow.core import compact, shard_tar, table
from winnow.core.admitted import shards_of, tables_of
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.manifest import Manifest
from winnow.core.sample import candidate_id, clip_id, sid
from winnow.core.shard import shard_name
from winnow.core.stage import stage_columns, stage_needs

V = "0123456789ab"
STAGES = (
    "ingest",
    "screen",
    "decide",
    "plan",
    "fetch",
    "clip",
    "probe",
    "visual",
    "audio",
    "correspond",
    "tags",
    "separate",
    "rescore",
    "two_tower",
    "fingerprint",
)
#: Those that nobody need have run: their table is there where a clip says what they measure.
ASKED_FOR = {"two_tower", "fingerprint"}


@dataclass(frozen=True)
class Clip:
    """One clip of a candidate, and what the stages measure of it. Without `tags` no tagger has heard it; without
    `residual_z` its sound was not separated; without `two_tower` (the scores of its sound and of its residual) that
    scorer has not seen it. `sketches`: the seeds of its picture and of its sound, which copies share; without them it
    has no fingerprint."""

    start_s: float = 0.0
    end_s: float = 10.0
    z: float | None = 5.0
    model: str = "m"
    media: str | None = None
    probe: dict = field(default_factory=dict)
    tags: dict | None = None
    residual_z: float | None = None
    two_tower: tuple[float, float | None] | None = None
    sketches: tuple[int, int] | None = None
    failed: dict = field(default_factory=dict)
    absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """One list row, and how far it comes."""

    video: str
    uploader: str | None = None
    labels: tuple[str, ...] = ("dog",)
    source: str | None = None
    times: tuple[float | None, float | None] = (None, None)
    declared_duration_s: float | None = None
    bad_row: str | None = None
    rejected: str | None = None
    rejected_for: str = "rejected"
    fetch_reason: str | None = None
    clip_reason: str | None = None
    stops_before: str | None = None
    clips: tuple[Clip, ...] = (Clip(),)
    row: int = 0
    address: str | None = None
    extra: str | None = None

    @property
    def video_id(self) -> str:
        """Id of the source video."""
        return sid("video", self.url)

    @property
    def url(self) -> str:
        """Logical, like those of the demo's world."""
        return self.address or f"http://media.world.test/{self.video}.mp4"

    @property
    def id(self) -> str:
        """The candidate's sample id."""
        return sid("row", "list.csv", self.row) if self.bad_row else candidate_id(self.video_id, *self.times)


def content(name: str) -> bytes:
    """What stands for the file of a source video or of a clip, by its name."""
    return f"the media of {name}".encode()


def rows_of(candidate: Candidate) -> dict[str, list[dict]]:
    """The candidate's rows, by stage."""
    c, key = candidate, candidate.id
    start_s, end_s = c.times
    ok = {"outcome": "ok"}
    about = {
        "video_id": c.video_id,
        "url": c.url,
        "start_s": start_s,
        "end_s": end_s,
        "title": c.video,
        "uploader": c.uploader,
        "source_id": c.video,
    }
    listed = {
        **about,
        "source": "csv",
        "list_path": "list.csv",
        "list_row": c.row,
        "labels": list(c.labels),
        "duration_s": c.declared_duration_s,
        "license": "CC-BY-4.0",
        "extra": c.extra,
    }
    out: dict[str, list[dict]] = {stage: [] for stage in STAGES}

    def add(stage: str, **values: object) -> bool:
        if c.stops_before == stage:
            return False
        out[stage].append({"sample_id": key, **values})
        return values["outcome"] == "ok"

    if c.bad_row:
        add("ingest", outcome="failed", reason=c.bad_row, list_path="list.csv", list_row=c.row, source="csv")
        return out
    segment_s = None if start_s is None or end_s is None else end_s - start_s
    screened = {
        "url_scheme": "http",
        "url_host": "media.world.test",
        "declared_duration_s": c.declared_duration_s,
        "segment_s": segment_s,
    }
    add("ingest", **ok, **listed)
    if not add("screen", **ok, **screened, title_chars=len(c.video), has_times=start_s is not None):
        return out
    decision = {"outcome": "failed", "reason": c.rejected, "detail": c.rejected_for} if c.rejected else ok
    if not add("decide", **decision, **about) or not add("plan", **ok, **about):
        return out
    fetched = {
        "media_sha256": sha256_bytes(content(c.source or c.video)),
        "media_ext": "mp4",
        "media_bytes": 1000,
        "fetched_duration_s": 60.0,
    }
    if not add("fetch", **({"outcome": "failed", "reason": c.fetch_reason} if c.fetch_reason else {**ok, **fetched})):
        return out
    if c.clip_reason:
        add("clip", outcome="failed", reason=c.clip_reason)
    elif c.stops_before != "clip":
        for clip in c.clips:
            for stage, row in _clip_rows(c, clip).items():
                out[stage].append(row)
    return out


def _clip_rows(c: Candidate, clip: Clip) -> dict[str, dict]:
    key = clip_id(c.video_id, clip.start_s, clip.end_s)
    duration_s = clip.end_s - clip.start_s
    measured = {
        "clip": {
            "candidate_id": c.id,
            "video_id": c.video_id,
            "start_s": clip.start_s,
            "end_s": clip.end_s,
            "duration_s": duration_s,
            "window": "shot",
            "shot_index": 0,
            "cut": "copy",
            "media_sha256": sha256_bytes(content(clip.media or key)),
            "media_bytes": 900,
            "width": 320,
            "height": 180,
            "fps": 25.0,
            "has_audio": True,
            "av_offset_s": 0.0,
        },
        "probe": {
            "duration_s": duration_s,
            "container": "mp4",
            "video_codec": "h264",
            "width": 320,
            "height": 180,
            "fps": 25.0,
            "n_frames": 250,
            "audio_codec": "aac",
            "rate_hz": 44100,
            "channels": 2,
            "has_audio": True,
            "loudness_lufs": -20.0,
            "peak_dbfs": -3.0,
            "silence_ratio": 0.1,
            "stillness": 0.2,
            "black_ratio": 0.0,
            **clip.probe,
        },
        "visual": {"grid_hz": 8.0, "n_frames": 80},
        "audio": {"grid_hz": 8.0, "n_samples": 320000},
        "correspond": {
            "video_id": c.video_id,
            "score": None if clip.z is None else clip.z / 10,
            "z": clip.z,
            "semantic": 0.5,
            "sync": 0.5,
            "null_mean": 0.0,
            "null_std": 0.1,
            "fold": 0,
            "model": clip.model,
        },
    }
    if clip.tags is not None:
        quiet = {"speech": 0.0, "music": 0.0, "silence": 0.0, "noise": 0.0, "outside_dbfs": -30.0, "tagger": "t"}
        measured["tags"] = {**quiet, **clip.tags}
    if clip.residual_z is not None:
        measured["separate"] = {"video_id": c.video_id, "separator": "s", "removed_db": 12.0}
        measured["rescore"] = {**measured["correspond"], "score": clip.residual_z / 10, "z": clip.residual_z}
    if clip.two_tower is not None:
        score, residual_score = clip.two_tower
        measured["two_tower"] = {
            "video_id": c.video_id,
            "score": score,
            "residual_score": residual_score,
            "fold": 0,
            "model": "t",
        }
    if clip.sketches is not None:
        seen, heard = clip.sketches
        measured["fingerprint"] = {
            "video_id": c.video_id,
            "start_s": clip.start_s,
            "end_s": clip.end_s,
            "version": V,
            "picture_moments": 9,
            "picture": pictures(seen, 6).ravel().tolist(),
            "sound_moments": 9,
            "sound": levels(heard, 6).ravel().tolist(),
        }
    out = {}
    for stage, values in measured.items():
        if stage in clip.absent:
            continue
        failed = clip.failed.get(stage)
        out[stage] = {
            "sample_id": key,
            **({"outcome": "failed", "reason": failed} if failed else {"outcome": "ok", **values}),
        }
    return out


def write_batch(
    lake: Lake,
    batch: str,
    seq: int,
    candidates: Iterable[Candidate],
    shard_size: int = 8,
    admit: bool = True,
    compacted: bool = False,
) -> dict:
    """Commit the stage tables of one batch and, when it is admitted, its head; returns the head. Shards are named as
    the Runtime names them, by what went into them."""
    columns, needs = stage_columns(), stage_needs()
    done: dict[tuple[str, int], str] = {}
    candidates = [replace(c, row=i) for i, c in enumerate(candidates)]
    whole = {"ingest", "screen", "decide"}
    head: dict = {"batch": batch, "seq": seq, "stages": {}}
    for stage in STAGES:
        if stage in ASKED_FOR and not any(rows_of(c)[stage] for c in candidates):
            continue
        size = len(candidates) or 1 if stage in whole else shard_size
        parts = [candidates[i : i + size] for i in range(0, max(len(candidates), 1), size)]
        files, names = [], []
        for number, part in enumerate(parts):
            rows = [row for c in part for row in rows_of(c)[stage]]
            read = {need: done[need, number] for need in needs.get(stage, ()) if (need, number) in done}
            name = shard_name(number, read) if read else None
            manifest = write_table(lake, stage, batch, number, rows, columns[stage], name)
            done[stage, number] = manifest.sha256
            files.append(
                {
                    "shard": manifest.shard,
                    "path": lake.table_key(manifest),
                    "sha256": manifest.sha256,
                    "rows": manifest.rows,
                }
            )
            names.append(manifest.shard)
        lake.set_head(stage, batch, {"v": V, "shards": names} if stage in ("ingest", "decide", "plan") else {"v": V})
        head["stages"][stage] = {"v": V, "files": files}
    if admit:
        lake.write(f"batches/{batch}.json", json.dumps(head).encode())
    if compacted:
        compact_batch(lake, batch)
    return head


def compact_batch(lake: Lake, batch: str) -> dict:
    """Have an admitted batch's head name compact tables, as the gate does; the head."""
    head = json.loads(lake.read(f"batches/{batch}.json"))
    listed = {stage: (at["v"], shards_of(lake, batch, at)) for stage, at in head["stages"].items()}
    shards = {
        stage: (v, [lake.manifest(stage, v, batch, one["shard"]) for one in files])
        for stage, (v, files) in listed.items()
    }
    tables = tables_of(head)
    head |= {"stages": compact.compacted(lake, batch, shards, head), "tables": tables}
    lake.write(f"batches/{batch}.json", json.dumps(head).encode())
    return head


def write_table(
    lake: Lake,
    stage: str,
    batch: str,
    number: int,
    rows: list[dict],
    columns: Mapping[str, str],
    name: str | None = None,
) -> Manifest:
    """Commit one shard, named by its content unless a name is given."""
    rows = sorted(({**row, "batch": batch} for row in rows), key=lambda r: r["sample_id"])
    schema = table.arrow_schema(columns)
    data = table.to_bytes(
        pa.Table.from_pylist([{f.name: row.get(f.name) for f in schema} for row in rows], schema=schema)
    )
    sha256 = sha256_bytes(data)
    failed = sum(row["outcome"] == "failed" for row in rows)
    name = name or shard_name(number, {"rows": sha256})
    manifest = manifest_of(
        data,
        stage,
        batch,
        name,
        len(rows),
        failed=failed,
        fingerprint=V,
        at="2026-11-01T00:00:00+00:00",
        seconds=0.5,
        cpu_seconds=0.25,
        host="here",
        params={"least": 1e-05, "one": 1.0, "said": 'é, "so"'},
    )
    return lake.commit(manifest, data)


def put_files(lake: Lake, batch: str, videos: Iterable[str]) -> None:
    """The source videos of a batch that was written, and a tar beside each of its shards of clips."""
    for name in videos:
        lake.write(lake.media_key(sha256_bytes(content(name)), "mp4"), content(name))
    folder = lake.folder("clip", V, batch)
    for name in [name for name in lake.list(folder) if name.endswith(".json")]:
        manifest = lake.manifest("clip", V, batch, name.removesuffix(".json"))
        ids = pq.read_table(lake.full(lake.table_key(manifest)), columns=["sample_id"])["sample_id"].to_pylist()
        tar = Path(lake.full(lake.tar_key(manifest)))
        shard_tar.write(tar, ((f"{clip}.{ext}", content(clip)) for clip in sorted(ids) for ext in ("json", "mp4")))
        lake.write(f"{folder}/{name}", replace(manifest, sidecar="tar", sidecar_bytes=tar.stat().st_size).dumps())


def random_candidates(count: int, seed: int, day: int = 0, uploaders: int = 30) -> list[Candidate]:
    """A day's list with something of everything, the same for the same seed."""
    rng = random.Random(f"{seed}/{day}")
    labels = ["dog", "bell", "drum", "rain"]
    bad = [
        {"bad_row": "missing_url"},
        {"bad_row": "duplicate_row"},
        {"rejected": "declared_too_long"},
        {"fetch_reason": "gone"},
        {"fetch_reason": "timeout"},
        {"clip_reason": "undecodable"},
        {"stops_before": "fetch"},
    ]
    out = []
    for i in range(count):
        uploader = f"u{rng.randrange(uploaders)}" if rng.random() < 0.5 else None
        label = tuple(rng.sample(labels, rng.choice([1, 1, 1, 2])))
        clips = tuple(_random_clip(rng, 12 * k) for k in range(rng.choice([1, 2, 3])))
        source = f"same{rng.randrange(5)}" if rng.random() < 0.05 else None
        fate = rng.choice(bad) if rng.random() < 0.25 else {}
        video = f"v{day}-{i}" if rng.random() > 0.05 or i == 0 else f"v{day}-{rng.randrange(i)}"
        times = (0.0, 10.0 + i) if rng.random() < 0.1 else (None, None)
        out.append(Candidate(video, uploader, label, source, times, clips=clips, **fate))
    unique = {c.id: c for c in out if not c.bad_row}
    return [*unique.values(), *(c for c in out if c.bad_row)]


def _random_clip(rng: random.Random, at_s: float) -> Clip:
    fate = rng.choice(
        [
            {},
            {},
            {},
            {},
            {},
            {"z": 0.5},
            {"probe": {"silence_ratio": 1.0}},
            {"probe": {"stillness": 1.0}},
            {"failed": {"visual": "undecodable"}},
        ]
    )
    media = f"twin{rng.randrange(4)}" if rng.random() < 0.03 else None
    return Clip(at_s, at_s + rng.choice([1.0, 5.0, 10.0, 15.0]), media=media, **fate)
