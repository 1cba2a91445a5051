"""Manifests of tables that tests commit."""

from __future__ import annotations

from typing import Any

from winnow.core.lake import sha256_bytes
from winnow.core.manifest import Manifest


def manifest_of(
    data: bytes,
    stage: str,
    batch: str,
    shard: str,
    rows: int,
    *,
    failed: int = 0,
    fingerprint: str = "0" * 12,
    **more: Any,
) -> Manifest:
    """What a shard of a stage with this table says of it, so many of its rows failed; `more` is said too."""
    sha256 = sha256_bytes(data)
    return Manifest(
        stage=stage,
        fingerprint=fingerprint,
        batch=batch,
        shard=shard,
        file=f"{shard}.{sha256[:8]}.parquet",
        sha256=sha256,
        bytes=len(data),
        rows=rows,
        rows_in=rows,
        ok=rows - failed,
        failed=failed,
        **more,
    )
