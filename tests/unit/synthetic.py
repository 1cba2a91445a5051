"""A lake of three admitted batches without any media stage: rows whose truth is written down, real mp4s in the tars.

`Candidate` and `Clip` (tests/dbt/lake.py) say how each row fares; here they are committed under the very names that
the Runtime would give them, so that gates, releases and reports run over them as over the real thing.
"""

from __future__ import annotations

import atexit
import hashlib
import io
import math
import random
import shutil
import tarfile
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from tests import parsed
from tests.dbt.lake import Candidate, Clip, rows_of
from tests.unit.manifests import manifest_of
from winnow.core import table
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.settings import Settings
from winnow.core.shard import shard_name
from winnow.core.stage import stage_columns, stage_needs, stage_optional_needs
from winnow.gates import gate_batch
from winnow.models import scorers
from winnow.models.copies import fold_of
from winnow.release.steps import release

V = "0123456789ab"
BATCHES = ("2026-11-01", "2026-11-02", "2026-11-03")
LABELS = ("bell", "bouncing ball", "clock", "drum", "/m/02mk9", "fire", "flute", "rain", "violin", "whistle")
HOSTILE = '<script>document.title = "owned"</script> & "quoted"'


def candidates(day: int, count: int = 40) -> list[Candidate]:
    """A day's list with something of everything, the same every time."""
    rng = random.Random(f"synthetic {day}")
    out = []
    for i in range(count):
        label, kind, mismatched = rng.choice(LABELS), rng.random(), rng.random() < 0.2
        fate: dict[str, str] = {}
        if kind < 0.05:
            fate["bad_row"] = rng.choice(["missing_url", "bad_time"])
        elif kind < 0.08:
            fate["rejected"] = "declared_too_long"
        elif kind < 0.16:
            fate["fetch_reason"] = rng.choice(["gone", "gone", "refused", "timeout", "not_media"])
        elif kind < 0.2:
            fate["clip_reason"] = "undecodable"
        clips = tuple(_clip(rng, 12.0 * k, mismatched) for k in range(rng.choice([1, 1, 2, 3])))
        uploader = f"uploader {rng.randrange(40)}" if rng.random() < 0.4 else None
        name = HOSTILE if (day, i) == (0, 7) else f"d{day}-{i}-{label.translate({32: '-', 47: None})}"
        out.append(Candidate(name, uploader, (HOSTILE,) if name == HOSTILE else (label,), clips=clips, row=i, **fate))
    return out


def _clip(rng: random.Random, at_s: float, mismatched: bool) -> Clip:
    z = round(rng.gauss(0.1, 1.0) if mismatched else rng.gauss(5.2, 1.5), 3)
    probe: dict[str, object] = {
        "silence_ratio": round(rng.uniform(0, 0.4), 3),
        "stillness": round(rng.uniform(0, 0.5), 3),
    }
    failed: dict[str, str] = {}
    flaw = rng.random()
    if flaw < 0.04:
        probe["silence_ratio"] = 1.0
    elif flaw < 0.08:
        probe["stillness"] = 1.0
    elif flaw < 0.12:
        probe |= {"has_audio": False, "audio_codec": None, "rate_hz": None, "channels": None}
        failed = {"audio": "no_audio_stream", "correspond": "no_input"}
    return Clip(at_s, at_s + rng.choice([8.0, 10.0, 10.0, 10.0]), z=z, probe=probe, failed=failed)


def _tags(clip: dict) -> dict:
    """What a tagger of all classes says of a clip: a vehicle, and in one of ten somebody who speaks over it."""
    speech = 0.875 if _spoken(clip) else 0.0625
    scores = [speech, *(0.5 if index == 300 else 0.0625 for index in range(1, 527))]
    best = sorted([("/m/09x0r", speech), ("/m/07yv9", 0.5)], key=lambda tag: -tag[1])
    return {
        "scores": scores,
        "speech": speech,
        "music": 0.0625,
        "other": 0.5,
        "tag_mids": [mid for mid, _ in best],
        "tag_scores": [score for _, score in best],
        "tagger": "net@0123456789ab",
    }


def _spoken(clip: dict) -> bool:
    return int(clip["sample_id"][:4], 16) % 10 == 0


def _recycled(out: dict[str, list[dict]]) -> None:
    """Tags of every clip with sound; of those in which somebody speaks, the flag, the residual and its score, which is
    the mixture's."""
    clips = {row["sample_id"]: row for row in out["clip"] if row["outcome"] == "ok"}
    scored = {row["sample_id"]: row for row in out["correspond"]}
    mids = ["/m/04rlf", "/m/028v0c"]
    for audio in out["audio"]:
        key = {"sample_id": audio["sample_id"], "outcome": audio["outcome"], "reason": audio.get("reason")}
        clip = clips[audio["sample_id"]]
        tags = {
            "speech": 0.9 if _spoken(clip) else 0.1,
            "music": 0.2,
            "silence": 0.1,
            "noise": 0.3,
            "tag_mids": mids,
            "tag_scores": [0.2, 0.1],
            "knows": sorted(mids),
            "speech_spans": [0.5, 1.0, 2.0, 3.5],
            "outside_dbfs": -30.0,
            "tagger": "builtin@0123456789ab",
        }
        out["tags"].append(key | (tags if audio["outcome"] == "ok" else {}))
        if audio["outcome"] != "ok" or not _spoken(clip):
            continue
        out["flag"].append(key | {"why": "speech heard beside another class"})
        residual = {
            "video_id": clip["video_id"],
            "start_s": 0.0,
            "duration_s": clip["duration_s"],
            "rate_hz": 16000,
            "n_samples": round(16000 * clip["duration_s"]),
            "speech_s": 2.0,
            "mixture_rms_dbfs": -20.0,
            "residual_rms_dbfs": -35.0,
            "removed_db": 15.0,
            "separator": "builtin@0123456789ab",
            "residual_sha256": hashlib.sha256(key["sample_id"].encode()).hexdigest(),
            "residual_bytes": 9,
        }
        out["separate"].append(key | residual)
        out["rescore"].append({**scored[key["sample_id"]], "speech": 0.1, "music": 0.2})


def rows(listed: list[Candidate]) -> dict[str, list[dict]]:
    """Every stage's rows, with the columns that only the gates look at."""
    out: dict[str, list[dict]] = {stage: [] for stage in stage_columns()}
    for candidate in listed:
        for stage, found in rows_of(candidate).items():
            out[stage] += [_filled(stage, dict(row)) for row in found]
    for stage, values in {
        "open_clip": {"n_frames": 10, "model": "net@0123456789ab"},
        "panns": {"n_windows": 10, "model": "net@0123456789ab"},
        "efficientnet": {"n_frames": 10, "model": "net@0123456789ab"},
        "yamnet": {"n_patches": 20, "model": "net@0123456789ab"},
        "vggish": {"seconds": 4, "positions": 1, "n_seconds": 3, "model": "net@0123456789ab"},
        "vgg19": {"seconds": 4, "positions": 2, "n_seconds": 4, "model": "net@0123456789ab"},
        **{name: {"model": "net@0123456789ab"} for name in ("bridge", "joint", "ridge", "two_tower")},
    }.items():
        for clip in out["clip"]:
            if clip["outcome"] == "ok":
                row = {"sample_id": clip["sample_id"], "outcome": "ok", **_said(stage, clip), **values}
                out[stage].append(_filled(stage, row))
    _recycled(out)
    clusters = {"visual_clusters": [0, 1, 2, 3, 4], "audio_clusters": [4, 3, 2, 1, 0], "model": "0123456789ab"}
    out["cluster"] = [
        {"sample_id": row["sample_id"], "outcome": "ok", **clusters} for row in out["clip"] if row["outcome"] == "ok"
    ]
    known = {
        "version": "0123456789ab",
        "picture_moments": 9,
        "picture": [0] * 192,
        "sound_moments": 9,
        "sound": [0] * 16,
    }
    out["fingerprint"] = [
        {name: row[name] for name in ("sample_id", "outcome", "video_id", "start_s", "end_s")} | known
        for row in out["clip"]
        if row["outcome"] == "ok"
    ]
    return {stage: sorted(found, key=lambda row: row["sample_id"]) for stage, found in out.items()}


def _said(stage: str, clip: dict) -> dict:
    """What a pretrained network, or a scorer, says of a clip, but for its vectors."""
    if stage in ("panns", "yamnet"):
        said = _tags(clip)
        return said if stage == "panns" else {**said, "scores": said["scores"][:521]}
    if stage == "efficientnet":
        return {"tag_names": ["bus", "tram"], "tag_scores": [0.5, 0.25]}
    return {} if stage in ("open_clip", "vggish", "vgg19") else _scored(stage, clip)


def _scored(stage: str, clip: dict) -> dict:
    """What a scorer says of a clip: three pictures, or one of a whole clip; and of the residual, where it has one."""
    rng = np.random.default_rng(int(clip["sample_id"][:8], 16))
    pictures, sound = rng.normal(size=(1 if stage in ("two_tower", "ridge") else 3, 4)), rng.normal(size=4)
    video = str(clip["video_id"])
    fold = fold_of(video, 3) if stage in ("two_tower", "ridge") else None
    left = rng.normal(size=4) if _spoken(clip) else None
    return scorers.columns(
        sound, pictures, np.arange(len(pictures)) + 0.5, video_id=video, model="", fold=fold, residual=left
    )


def _filled(stage: str, row: dict) -> dict:
    if row["outcome"] != "ok":
        return row
    seed = hashlib.sha256(f"{stage} {row['sample_id']}".encode())
    if "media_sha256" in row:
        row["media_sha256"] = hashlib.sha256(str(row["media_sha256"]).encode()).hexdigest()
    for name, kind in stage_columns()[stage].items():
        if kind.startswith(("float32[", "float16[")) and name not in row:
            width = int(kind[8:-1] or 16)
            least = 0.0 if kind.endswith("[]") else -1.0  # envelopes have no width, and nothing below zero
            row[name] = [max(least, math.sin(seed.digest()[0] + i)) for i in range(width)]
    return row


def commit(lake: Lake, batch: str, by_stage: dict[str, list[dict]], skip: tuple[str, ...] = ()) -> None:
    """Commit one shard of every stage, under the name that its inputs give it."""
    done: dict[str, str] = {}
    needs, optional_needs = stage_needs(), stage_optional_needs()
    columns = stage_columns()
    for stage in _in_order({name: needs[name] + optional_needs[name] for name in needs}, list(columns)):
        if stage in skip:
            continue
        schema = table.arrow_schema(columns[stage])
        listed = [{**row, "batch": batch} if "batch" in columns[stage] else row for row in by_stage[stage]]
        data = table.to_bytes(
            pa.Table.from_pylist([{f.name: r.get(f.name) for f in schema} for r in listed], schema=schema)
        )
        sha256 = sha256_bytes(data)
        read = [*needs[stage], *(want for want in optional_needs[stage] if want in done)] if stage in needs else []
        inputs = {name: done[name] for name in read} or {"rows": sha256}
        name, failed = shard_name(0, inputs), sum(row["outcome"] == "failed" for row in listed)
        manifest = manifest_of(
            data,
            stage,
            batch,
            name,
            len(listed),
            failed=failed,
            fingerprint=V,
            inputs=inputs,
            model="5eed5eed5eed" if stage == "correspond" else None,
            sidecar="tar" if stage == "clip" else None,
            at="2026-11-01T00:00:00+00:00",
            seconds=0.5,
            host="here",
        )
        lake.commit(manifest, data, _tar(listed) if stage == "clip" else None)
        lake.set_head(stage, batch, {"v": V, "shards": [name]} if stage not in needs else {"v": V})
        done[stage] = sha256


def _in_order(needs: dict[str, tuple[str, ...]], stages: list[str]) -> list[str]:
    order: list[str] = []
    while len(order) < len(stages):
        order += [s for s in stages if s not in order and all(n in order for n in needs.get(s, ()))]
    return order


def _tar(listed: list[dict]) -> Path:
    path = Path(tempfile.mkdtemp(prefix="winnow-test-")) / "clips.tar"
    atexit.register(shutil.rmtree, path.parent, True)
    with tarfile.open(path, "w") as tar:
        for i, row in enumerate(r for r in listed if r["outcome"] == "ok"):
            data = mp4(i % 8)
            member = tarfile.TarInfo(f"{row['sample_id']}.mp4")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


@lru_cache(maxsize=8)
def mp4(seed: int, seconds: int = 2) -> bytes:
    """A small H.264 and AAC file: a moving disc and a decaying tone."""
    import av
    import numpy as np

    rng, buffer = np.random.default_rng(seed), io.BytesIO()
    colour, phase, tone_hz = rng.uniform(60, 200, 3), rng.uniform(0, 6), rng.uniform(200, 900)
    y, x = np.mgrid[0:180, 0:320]
    with av.open(buffer, "w", format="mp4") as file:
        video = file.add_stream("libx264", rate=12)
        video.width, video.height, video.pix_fmt, video.options = 320, 180, "yuv420p", {"preset": "ultrafast"}
        audio = file.add_stream("aac", rate=44100)
        for i in range(seconds * 12):
            image = np.full((180, 320, 3), colour * 0.4, np.uint8)
            image[(x - 160 - 110 * np.sin(phase + i / 5)) ** 2 + (y - 90) ** 2 < 900] = colour
            file.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        t = np.arange(seconds * 44100) / 44100
        wave = (0.3 * np.sin(2 * np.pi * tone_hz * t) * np.exp(-3 * (t % 1))).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(wave[None], "fltp", "mono")
        frame.sample_rate, frame.pts = 44100, 0
        file.mux(audio.encode(frame))
        for stream in (video, audio):
            file.mux(stream.encode())
    return buffer.getvalue()


@lru_cache(maxsize=1)
def published() -> tuple[Lake, Settings, str]:
    """A lake with a published release of three batches, made once a process; nobody may change it."""
    root = Path(tempfile.mkdtemp(prefix="winnow-test-lake-"))
    atexit.register(shutil.rmtree, root, True)
    lake, settings = Lake(root), Settings(lake=str(root))
    parsed.share(root)
    for day, batch in enumerate(BATCHES):
        commit(lake, batch, rows(candidates(day)))
    gate_batch(list(BATCHES[:2]), settings, lake)
    release(lake, settings)
    gate_batch([BATCHES[2]], settings, lake)
    return lake, settings, str(release(lake, settings)["release"])
