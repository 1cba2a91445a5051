"""A release of small clips whose sounds and pictures are planted: two kinds of sound, each at its own pitch, that pulse
while the picture does, and clips in which it does not; with rendered mixtures of them."""

from __future__ import annotations

import io
import json
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.unit import mixed
from tests.unit.train import planted
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.sample import sid
from winnow.core.settings import Settings

RELEASE, SECONDS, FPS, RATE_HZ = "0123456789ab", 1.0, 8, 8_000
LABELS = ("bell", "whistle")
PITCH_HZ = {"bell": 300.0, "whistle": 1_900.0}
#: How many clips of each kind: split → on screen, off screen.
COUNTS = {"train": (16, 0), "val": (4, 4), "test": (4, 4)}


@lru_cache(maxsize=64)
def mp4(seed: int, label: str, seen: bool, silent: bool = False) -> bytes:
    """A clip: which eighths of a second sound is drawn, and shown by a bright disc, or others are."""
    rng, buffer = np.random.default_rng(seed), io.BytesIO()
    loud = rng.permutation(FPS) < FPS // 2
    bright = loud if seen else ~loud
    with av.open(buffer, "w", format="mp4") as file:
        video = file.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        video.options = {"preset": "ultrafast", "crf": "12"}
        sound = file.add_stream("flac", rate=RATE_HZ, layout="mono")
        for k in range(FPS):
            image = np.full((32, 32, 3), 40, np.uint8)
            image[8:24, 8:24] = 220 if bright[k] else 40
            file.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        t = np.arange(RATE_HZ) / RATE_HZ
        wave = 0.3 * np.sin(2 * np.pi * PITCH_HZ[label] * rng.uniform(0.9, 1.1) * t + rng.uniform(0, 6))
        wave = wave * np.repeat(loud, RATE_HZ // FPS) * (not silent)
        frame = av.AudioFrame.from_ndarray((wave * 32767).astype(np.int16)[None], "s16", "mono")
        frame.sample_rate, frame.pts = RATE_HZ, 0
        file.mux(sound.encode(frame))
        for stream in (video, sound):
            file.mux(stream.encode())
    return buffer.getvalue()


def clips() -> list[dict]:
    """Rows of fct_clips, each with its file under `data`."""
    rows = []
    for split, (seen, unseen) in COUNTS.items():
        for k in range(seen + unseen):
            name, label = f"{split}-{k}", LABELS[k % 2]
            data = mp4(len(rows), label, k < seen)
            rows.append(
                {
                    "name": name,
                    "sample_id": sid("clip", name),
                    "video_id": f"v-{name}",
                    "group_id": f"g-{name}",
                    "label": label,
                    "split": split,
                    "status": "kept",
                    "data": data,
                    "seen": k < seen,
                }
            )
    return rows


def mixtures(rows: list[dict]) -> list[dict]:
    """Each clip of val and test with two others of its split and of the other label."""
    found = []
    for row in rows:
        if row["split"] != "train":
            others = [o for o in rows if o["split"] == row["split"] and o["label"] != row["label"]]
            label = "onscreen_only" if row["seen"] else "offscreen_only"
            split = "validate" if row["split"] == "val" else "test"
            start = rows.index(row) % len(others)
            found += [
                mixed.mixture(row["name"], o["name"], split=split, label=label)
                for o in (others[start], others[start - 1])
            ]
    return found


def make_lake(
    folder: Path, rows: list[dict] | None = None, mixes: list[dict] | None = None
) -> tuple[Lake, Settings, str]:
    """A lake with the release and its rendered mixtures, its settings, and a file of query vectors."""
    rows = clips() if rows is None else rows
    lake = Lake(folder / "lake")
    listed = mixtures(rows) if mixes is None else mixes
    mixed.publish(lake, RELEASE, {row["name"]: row["data"] for row in rows}, listed)
    table = [{k: v for k, v in row.items() if k not in ("name", "data", "seen")} for row in rows]
    table = [row | {"media_sha256": sha256_bytes(full["data"])} for row, full in zip(table, rows, strict=True)]
    pq.write_table(pa.Table.from_pylist(table), Path(lake.full(f"releases/{RELEASE}/tables/fct_clips.parquet")))
    Path(lake.full(f"releases/{RELEASE}/manifest.json")).write_text(json.dumps({"id": RELEASE, "files": {}}))
    mixed.Mixed(lake, rate_hz=RATE_HZ)
    query = np.zeros((len(rows), 1, 8), np.float32)
    rng = np.random.default_rng(1)
    for k, row in enumerate(rows):
        query[k, 0] = rng.normal(0, 0.3, 8)
        query[k, 0, LABELS.index(row["label"]) if row["label"] in LABELS else 2] += 3
    path = planted.write_vectors(folder / "queries.parquet", rows, {"query": query})
    return lake, Settings(lake=lake.root, device="cpu"), str(path)


def part(data: bytes) -> dict[str, np.ndarray]:
    """A clip's own sound and places, as task onscreen decodes them."""
    from winnow.train.mixtures import Part

    return Part(SECONDS, FPS, RATE_HZ, mixed=False).whole({"mp4": data})
