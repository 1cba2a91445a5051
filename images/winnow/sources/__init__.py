"""Readers of what lies in an inbox: one module per candidate format, each a generator of rows.

Everything here is untrusted: lists come from crawlers, partners and mail. So a reader never raises for what a file
holds. A row that cannot be read is yielded with the problem instead of values, a list that cannot be read at all is
one such row, and both end in the tables as `bad_row`: the other rows and lists of the day go on, and the funnel still
counts what was lost. Readers take memory for one block of rows, whatever the size of the list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from winnow.sources import csv, folder, jsonl, parquet
from winnow.sources.row import Row


@dataclass(frozen=True)
class Source:
    """One candidate format: the name that goes into the column `source`, its file extensions, its reader."""

    name: str
    extensions: frozenset[str]
    read: Callable[[Path], Iterator[Row]]


SOURCES = (
    Source("csv", csv.EXTENSIONS, csv.read),
    Source("jsonl", jsonl.EXTENSIONS, jsonl.read),
    Source("parquet", parquet.EXTENSIONS, parquet.read),
    Source("folder", folder.EXTENSIONS, folder.read),
)
BY_EXTENSION: Mapping[str, Source] = {extension: source for source in SOURCES for extension in source.extensions}


def source_of(path: Path) -> Source | None:
    """The reader of a file by its extension, or None for a file that is neither a list nor media."""
    return BY_EXTENSION.get(path.suffix.lower())
