"""Licences: what the licence that a list names for a video lets an export pass on.

`licences.csv` knows them by their names and addresses: `share` says whether the clip may be passed on, `adapt` whether
what was made of its sound may (a residual is an adaptation, a stretch of the video is not). A text that it does not
know, and none at all, allow nothing, but for a file that lay in the inbox without one: it is its user's own.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

OWN, UNKNOWN = "own file", "none known"
#: Which clips' files an export takes along: what may be passed on, everything (for use in one place), or nothing.
MEDIA = ("shareable", "all", "none")


@dataclass(frozen=True)
class Rights:
    """What may be passed on of a clip, and under which licence (as the card names it)."""

    licence: str
    share: bool
    adapt: bool
    url: str | None = None


def rights(text: str | None, own: bool) -> Rights:
    """What a list's licence allows; `own`: the video is a file of the inbox, and not an address."""
    said = re.sub(r"[\s_]+", "-", (text or "").strip().lower())
    if not said:
        return Rights(OWN, True, True) if own else Rights(UNKNOWN, False, False)
    for known, pattern in _known():
        if pattern.fullmatch(said):
            version = re.search(r"\d\.\d", said)
            named = f"{known.licence}-{version[0]}" if version and known.licence.startswith("CC-BY") else known.licence
            return Rights(named, known.share, known.adapt, known.url)
    return Rights((text or "").strip(), False, False)


@lru_cache(maxsize=1)
def _known() -> list[tuple[Rights, re.Pattern[str]]]:
    return list(_read())


def _read() -> Iterator[tuple[Rights, re.Pattern[str]]]:
    text = resources.files(__package__).joinpath("licences.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        yield (
            Rights(row["licence"], row["share"] == "1", row["adapt"] == "1", row["url"]),
            re.compile(row["pattern"]),
        )
