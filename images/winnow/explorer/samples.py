"""What audits drew: which clips of which release people are asked about, and as what each was drawn."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Lock
from typing import Any

from winnow.annotations.verdicts import Drawn
from winnow.core import corpus_table
from winnow.core.lake import Lake
from winnow.explorer.queue import Queue
from winnow.release import publish

#: Between a release and a clip's id in a key.
SEPARATOR = ":"


def asked(release: str, sample_id: str) -> str:
    """Key of one clip in one release: a clip may be drawn from several, and be decided otherwise in each."""
    return f"{release}{SEPARATOR}{sample_id}"


@dataclass(frozen=True)
class Audit:
    """One draw from one release; `clips` are its rows by key."""

    audit: str
    release: str
    clips: Mapping[str, Mapping[str, Any]] = field(repr=False)
    queue: Queue = field(repr=False)


class Samples:
    """The audits of a lake; each file of the corpus is read once."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._read: set[str] = set()
        self._audits: dict[str, Audit] = {}
        self._lock = Lock()
        self._published_at = lru_cache(maxsize=256)(self._when)

    def audits(self) -> list[Audit]:
        """Audits of releases that are there, those of the latest release first."""
        self._refresh()
        there = set(publish.releases(self.lake))
        found = [audit for audit in self._audits.values() if audit.release in there]
        return sorted(found, key=lambda a: (self._published_at(a.release), a.release, a.audit), reverse=True)

    def drawn(self) -> Drawn:
        """All clips that were drawn, as a verdict is checked against them."""
        self._refresh()
        clips: dict[str, dict[str, str]] = {}
        for audit in list(self._audits.values()):
            for row in audit.clips.values():
                clips.setdefault(row["sample_id"], {})[audit.release] = row["stratum"]
        return Drawn(clips)

    def _refresh(self) -> None:
        import pyarrow.parquet as pq

        with self._lock:
            for key in corpus_table.files(self.lake, "audit_sample"):
                if key in self._read:
                    continue
                by: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
                for row in pq.ParquetFile(io.BytesIO(self.lake.read(key))).read().to_pylist():
                    clips = by.setdefault((row["audit"], row["release"]), {})
                    clips[asked(row["release"], row["sample_id"])] = row
                for (audit, release), clips in by.items():
                    self._audits[audit] = Audit(audit, release, clips, Queue(list(clips)))
                self._read.add(key)

    def _when(self, release: str) -> str:
        """When a release was published, as text that orders as time does."""
        return str(publish.manifest(self.lake, release).get("published_at", ""))
