"""Readers of what lies in an inbox: one module per candidate format, each a generator of rows.

Everything here is untrusted: lists come from crawlers, partners and mail. So a reader never stops in the middle for
what a file holds. A row that cannot be read is yielded with the problem instead of values and ends in the tables as
`bad_row`; a list of which nothing can be read is a ListRefused, before its first row. Either way the other lists of
the day go on, and what was lost is counted. Readers take memory for one block of rows, whatever the size of the list
(a JSON document, which has no rows until it ends, is held whole and has a bound).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from winnow.sources import (
    acav,
    acav_output,
    audioset,
    ave,
    avel,
    csv,
    folder,
    json_lists,
    jsonl,
    llp,
    panda,
    parquet,
    vggsound,
    yfcc,
)
from winnow.sources.row import ListRefused, Row


@dataclass(frozen=True)
class Source:
    """One candidate format: the name that goes into the column `source`, its file extensions, its reader, and, for a
    format of one dataset, how a file of it is told from others with that extension: `looks_like(path, head)`. The
    columns of a `general` one may be anything, and `plan` finds out what they are."""

    name: str
    extensions: frozenset[str]
    read: Callable[..., Iterator[Row]]
    looks_like: Callable[[Path, str], bool] | None = None
    general: bool = False


#: In this order: the first whose extension and looks fit reads a file, so the general formats come last.
SOURCES = (
    Source("acav", acav.EXTENSIONS, acav.read, acav.looks_like),
    Source("yfcc", yfcc.EXTENSIONS, yfcc.read, yfcc.looks_like),
    Source("audioset", audioset.EXTENSIONS, audioset.read, audioset.looks_like),
    Source("panda", panda.EXTENSIONS, panda.read, panda.looks_like),
    Source("ave", ave.EXTENSIONS, ave.read, ave.looks_like),
    Source("llp", llp.EXTENSIONS, llp.read, llp.looks_like),
    Source("vggsound", vggsound.EXTENSIONS, vggsound.read, vggsound.looks_like),
    Source("avel", avel.EXTENSIONS, avel.read, avel.looks_like),
    Source("acav_output", acav_output.EXTENSIONS, acav_output.read, acav_output.looks_like),
    Source("csv", csv.EXTENSIONS, csv.read, general=True),
    Source("csv", csv.TEXT_EXTENSIONS, csv.read, csv.looks_like, general=True),
    Source("json", json_lists.EXTENSIONS, json_lists.read, general=True),
    Source("jsonl", jsonl.EXTENSIONS, jsonl.read, general=True),
    Source("parquet", parquet.EXTENSIONS, parquet.read, general=True),
    Source("folder", folder.EXTENSIONS, folder.read),
)
#: How much of a file's beginning tells its format, bytes.
HEAD_BYTES = 65536
#: Extensions of lists, as a message names them.
LISTS = " ".join(sorted({e for source in SOURCES if source.general for e in source.extensions}))


#: Lists in forms that are not read, by the ending of their names, and what to do.
UNREAD = {
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".ods", ".numbers"), "a spreadsheet: save it as CSV"),
    **dict.fromkeys((".gz", ".bz2", ".xz", ".zst", ".zip"), "a list that is compressed: unpack it"),
}


def unread(name: str) -> str | None:
    """What a file is that must be a list, by its name, and is not read as it is; None for any other."""
    path = PurePath(name.lower())
    packed = path.suffix in (".gz", ".bz2", ".xz", ".zst", ".zip")
    return None if packed and PurePath(path.stem).suffix not in LISTS.split() else UNREAD.get(path.suffix)


def source_named(name: str) -> Source:
    """The format of a name, as a list's settings give it; ListRefused for one that is not known."""
    known = {source.name: source for source in reversed(SOURCES) if source.name != "folder"}
    known["tsv"] = known["csv"]
    if name not in known:
        raise ListRefused(f"its settings name the format {name!r}; known are {', '.join(sorted(known))}")
    return known[name]


def source_of(path: Path) -> Source | None:
    """The reader of a file by its extension and its beginning, or None for a file that is neither a list nor media."""
    head = None
    for source in SOURCES:
        if path.suffix.lower() in source.extensions:
            if source.looks_like is None:
                return source
            head = _head(path) if head is None else head
            if source.looks_like(path, head):
                return source
    return None


def _head(path: Path) -> str:
    """A file's beginning; where its first line fills that, also what follows this line: one line that is no row must
    not hide what all others are."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        if b"\n" not in head:
            while (rest := file.readline(HEAD_BYTES)) and not rest.endswith(b"\n"):
                pass
            head += b"\n" + file.read(HEAD_BYTES)
    return head.decode("utf-8-sig", "replace")
