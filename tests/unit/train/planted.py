"""Releases whose labels and vectors are planted: what a second is of can be read off its numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from winnow.core.lake import Lake
from winnow.core.settings import Settings

AUDIO, POSITIONS, VISUAL, SECONDS = 8, 4, 12, 10
CATEGORIES = ("bell", "dog", "drum")
RELEASE = "0123456789ab"
SPLITS = ("train", "train", "train", "val", "test")


def samples(count: int = 30, family: str = "avel") -> list[dict]:
    """Rows of `avel_samples`: an event of 3 to 7 seconds in each clip, at any time (past the end it goes on at the
    beginning), so that no second says more than another; of llp, heard and seen at other times."""
    rows = []
    for k in range(count):
        start, length = (7 * k + k // 10) % SECONDS, 3 + k % 5
        labels = [int((s - start) % SECONDS < length) for s in range(SECONDS)]
        seen = [int((s - start - 1) % SECONDS <= length) for s in range(SECONDS)]
        both = [a & v for a, v in zip(labels, seen, strict=True)]
        rows.append(
            {
                "family": family,
                "sample_id": f"{k:020x}",
                "category": CATEGORIES[k % len(CATEGORIES)],
                "clip": f"clip-{k}",
                "video_id": f"video-{k}",
                "group_id": f"group-{k}",
                "split": SPLITS[k // len(CATEGORIES) % len(SPLITS)],
                "in_half": k % 2 == 0,
                "labels": both if family == "llp" else labels,
                "audible": labels if family == "llp" else None,
                "visible": seen if family == "llp" else None,
            }
        )
    return rows


def vectors_of(rows: list[dict], noise: float = 0.3) -> dict[str, np.ndarray]:
    """Sound (n, T, A) and maps (n, T, P, D): in event seconds the category's own number is large."""
    rng = np.random.default_rng(5)
    audio = rng.normal(0, noise, (len(rows), SECONDS, AUDIO)).astype(np.float32)
    visual = rng.normal(0, noise, (len(rows), SECONDS, POSITIONS, VISUAL)).astype(np.float32)
    for k, row in enumerate(rows):
        at = CATEGORIES.index(row["category"])
        audio[k, np.array(row["audible"] or row["labels"], bool), at] += 2
        visual[k, np.array(row["visible"] or row["labels"], bool), k % POSITIONS, at] += 3
    return {"audio": audio, "visual": visual}


def write_vectors(path: Path, rows: list[dict], arrays: dict[str, np.ndarray], **said: str) -> Path:
    """A file of vectors as `winnow.train.vectors` reads it."""
    columns = {"sample_id": pa.array([row["sample_id"] for row in rows])}
    for name, values in arrays.items():
        flat = pa.array(np.ascontiguousarray(values, np.float32).ravel())
        columns[name] = pa.FixedSizeListArray.from_arrays(flat, int(np.prod(values.shape[1:])))
    shape = {name: list(values.shape[1:]) for name, values in arrays.items()}
    table = pa.table(columns).replace_schema_metadata({"shape": json.dumps(shape), "layout": "channels_last", **said})
    pq.write_table(table, path)
    return path


def release(lake: Lake, rows: list[dict], name: str = RELEASE, shards: list[dict] | None = None) -> Path:
    """A published release of these samples, and nothing else that a release has."""
    folder = Path(lake.full(f"releases/{name}"))
    (folder / "tables").mkdir(parents=True)
    (folder / "ops").mkdir()
    texts, lists = ("family", "sample_id", "category", "clip", "video_id", "group_id", "split"), pa.list_(pa.int32())
    schema = pa.schema(
        [
            *((n, pa.string()) for n in texts),
            ("in_half", pa.bool_()),
            *((n, lists) for n in ("labels", "audible", "visible")),
        ]
    )
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "tables" / "avel_samples.parquet")
    shard = pa.schema([(n, pa.string()) for n in ("stage", "batch", "path", "sha256")])
    pq.write_table(pa.Table.from_pylist(shards or [], schema=shard), folder / "ops" / "fct_shards.parquet")
    (folder / "manifest.json").write_text(json.dumps({"id": name, "files": {}}))
    lake.write("releases/current", f"{name}\n".encode())
    return folder


def make_lake(folder: Path, rows: list[dict] | None = None, **arrays: np.ndarray) -> tuple[Lake, Settings, str]:
    """A lake with a release, its settings, and the path of its vectors."""
    rows = samples() if rows is None else rows
    lake = Lake(folder / "lake")
    release(lake, rows)
    path = write_vectors(folder / "vectors.parquet", rows, arrays or vectors_of(rows))
    return lake, Settings(lake=lake.root, device="cpu"), str(path)
