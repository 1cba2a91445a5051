"""Keys of batches: which there may be, and which somebody may have meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

#: Keys that are named to somebody whose own is not there.
NEAR = 3


def folders(inbox: Path) -> list[str]:
    """Names of an inbox's folders, each a batch to be."""
    return sorted(p.name for p in inbox.iterdir() if p.is_dir() and p.name[:1] != ".") if inbox.is_dir() else []


def nearest(inbox: Path, batch: str, known: Iterable[str] = ()) -> list[str]:
    """Keys of batches, in the inbox or known otherwise, that somebody may have meant by one that is not there: those
    written alike, else the last ones."""
    there = sorted({*folders(inbox), *known} - {batch})
    return get_close_matches(batch, there, NEAR, 0.5) or there[-NEAR:]
