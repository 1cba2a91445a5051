"""Summary: what a run of a stage did, and how far it has come."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from winnow.core.manifest import Manifest


@dataclass
class Summary:
    """What a run of a stage over a part of a batch did; the last line that `winnow run` prints."""

    stage: str
    batch: str
    v: str
    shards: int = 0
    computed: int = 0
    skipped: int = 0
    retried: int = 0
    rows: int = 0
    ok: int = 0
    failed: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    why: list[str] = field(default_factory=list)

    def add(self, manifest: Manifest) -> None:
        """Count one committed shard."""
        self.rows += manifest.rows
        self.ok += manifest.ok
        self.failed += manifest.failed
        self.reasons = dict(sorted((Counter(self.reasons) + Counter(manifest.reasons)).items()))


@dataclass
class Going:
    """How far a run has come: with it another process goes on, as if it were the same. `before`: what the batch stood
    at; `done`: numbers of the shards that are done."""

    summary: Summary
    before: dict[str, Any] | None = None
    done: list[int] = field(default_factory=list)
