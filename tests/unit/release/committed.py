"""Shards that are committed as the Runtime commits them, small."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from tests.unit.manifests import manifest_of
from winnow.core import table
from winnow.core.lake import Lake
from winnow.core.manifest import Manifest
from winnow.core.runtime import Runtime

DAY, V = "2026-11-01", "0" * 12


def commit(
    lake: Lake,
    stage: str,
    rows: list[dict],
    model: str | None = None,
    fingerprint: str = V,
    ext: str = "mp4",
    **files: bytes,
) -> Manifest:
    """Commit one shard of a stage as the Runtime does, the files of its samples in a tar."""
    rows = [{"sample_id": "", "outcome": "ok", **row} for row in rows]
    data, name = table.to_bytes(pa.Table.from_pylist(rows)), f"00000-{stage[:8]:0<8}"
    outside = Path(lake.root).parent
    tar = Runtime._tar([_WithFiles(k, {ext: data}) for k, data in files.items()], outside) if files else None
    manifest = manifest_of(
        data,
        stage,
        DAY,
        name,
        len(rows),
        fingerprint=fingerprint,
        model=model,
        sidecar="tar" if files else None,
        sidecar_bytes=tar.stat().st_size if tar else 0,
    )
    lake.commit(manifest, data, tar)
    lake.set_head(stage, DAY, {"v": fingerprint, "shards": [name]})
    return manifest


class _WithFiles:
    def __init__(self, sample_id: str, files: dict[str, bytes]) -> None:
        self.sample_id, self.files = sample_id, files
