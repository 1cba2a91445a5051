"""A release whose clips' sounds and pictures say the same thing in two languages: what retrieval and contrast learn."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.unit.train import planted
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.settings import Settings

AUDIO, VISUAL, HIDDEN = 12, 10, 6
TAR = "clip/0.tar"
SPLITS = ("train", "train", "train", "val", "test")
SCHEMA = pa.schema(
    [
        *(
            (name, pa.string())
            for name in ("sample_id", "video_id", "uploader", "label", "status", "split", "group_id")
        ),
        ("effective_z", pa.float64()),
    ]
)


def clips(count: int = 60, dropped: int = 0) -> list[dict]:
    """Rows of `fct_clips`: three classes, a fifth each in val and test, no split for those that are dropped: every
    `dropped`-th clip of train."""
    rows = []
    for k in range(count):
        split = SPLITS[k // 3 % len(SPLITS)]
        kept = not (dropped and split == "train" and k % dropped == 0)
        rows.append(
            {
                "sample_id": f"{k:020x}",
                "video_id": f"video-{k}",
                "uploader": None,
                "status": "kept" if kept else "dropped",
                "label": planted.CATEGORIES[k % 3],
                "split": split if kept else None,
                "group_id": f"video-{k}" if kept else None,
                "effective_z": float(kept) + k / count,
            }
        )
    return rows


def vectors_of(rows: list[dict], noise: float = 0.2) -> dict[str, np.ndarray]:
    """Sound (n, A) and picture (n, D) of one hidden vector, which leans on the class; what is dropped has another
    clip's sound."""
    rng = np.random.default_rng(3)
    hidden = rng.normal(size=(len(rows), HIDDEN))
    for k, row in enumerate(rows):
        hidden[k, planted.CATEGORIES.index(row["label"])] += 2
    heard, seen = (hidden @ rng.normal(size=(HIDDEN, width)) for width in (AUDIO, VISUAL))
    wrong = np.array([k for k, row in enumerate(rows) if row["status"] != "kept"], int)
    heard[wrong] = heard[np.roll(wrong, 1)]
    found = {"audio": heard, "visual": seen}
    return {name: (v + rng.normal(0, noise, v.shape)).astype(np.float32) for name, v in found.items()}


def release(lake: Lake, rows: list[dict], name: str = planted.RELEASE) -> Path:
    """A published release of these clips."""
    folder = planted.release(lake, [], name)
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "tables" / "fct_clips.parquet")
    return folder


def make_lake(folder: Path, rows: list[dict] | None = None, **arrays: np.ndarray) -> tuple[Lake, Settings, str]:
    """A lake with a release, its settings, and the path of its vectors."""
    rows = clips() if rows is None else rows
    lake = Lake(folder / "lake")
    release(lake, rows)
    path = planted.write_vectors(folder / "vectors.parquet", rows, arrays or vectors_of(rows))
    return lake, Settings(lake=lake.root, device="cpu"), str(path)


# -- decoded clips -----------------------------------------------------------------------------------------------------
def media(k: int, seconds: float = 2.5) -> bytes:
    """A clip of one grey and one pitch, both of clip k; pictures 64 × 48."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as file:
        video, sound = file.add_stream("libx264", rate=8), file.add_stream("flac", rate=16_000, layout="mono")
        video.width, video.height, video.pix_fmt, video.options = 64, 48, "yuv420p", {"preset": "ultrafast"}
        for _ in range(round(8 * seconds)):
            shown = np.full((48, 64, 3), 20 + 18 * (k % 12), np.uint8)
            file.mux(video.encode(av.VideoFrame.from_ndarray(shown, "rgb24")))
        at = np.arange(round(16_000 * seconds)) / 16_000
        wave = (12_000 * np.sin(2 * np.pi * 200 * 2 ** (k % 12 / 3) * at)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(wave[None], "s16", "mono")
        frame.sample_rate, frame.pts = 16_000, 0
        file.mux(sound.encode(frame))
        for stream in (video, sound):
            file.mux(stream.encode())
    return buffer.getvalue()


def tarred(lake: Lake, files: dict[str, bytes]) -> None:
    """Clips in one tar of the lake."""
    path = Path(lake.full(TAR))
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for clip, data in files.items():
            member = tarfile.TarInfo(f"{clip}.mp4")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def shards(lake: Lake, rows: list[dict], files: dict[str, bytes], name: str = planted.RELEASE) -> None:
    """A release whose clips lie in a tar of the lake."""
    folder = release(lake, rows, name)
    tarred(lake, files)
    digests = pa.array([sha256_bytes(files[row["sample_id"]]) for row in rows])
    table = pa.Table.from_pylist(rows, schema=SCHEMA).append_column("media_sha256", digests)
    pq.write_table(table, folder / "tables" / "fct_clips.parquet")
    pq.write_table(
        pa.table({"sample_id": list(files), "tar": [TAR] * len(files)}), folder / "ops" / "fct_clip_files.parquet"
    )
