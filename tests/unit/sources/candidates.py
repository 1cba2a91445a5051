"""Rows of a list, and what becomes of one."""

from __future__ import annotations

from pathlib import Path

from winnow.core.sample import Reason
from winnow.sources import source_of
from winnow.sources.candidate import candidate
from winnow.sources.columns import Header
from winnow.sources.row import Row

URL = "https://videos.example/a.mp4"


def rows(path: Path) -> list[Row]:
    return list(source_of(path).read(path))


def taken(values: dict[str, object]) -> dict[str, object]:
    """A row as a candidate; raises what it fails for."""
    out, failure = candidate(values, Header(values))
    if failure:
        raise failure
    return out


def reason(values: dict[str, object]) -> tuple[Reason, str]:
    _, failure = candidate(values, Header(values))
    assert failure is not None
    return failure.reason, failure.detail
