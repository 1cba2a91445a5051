"""Delimited text: CSV as people and programs really write it.

UTF-8 with or without a byte order mark, or UTF-16 with one; separated by comma, tab, semicolon or bar, whichever the
header holds most of; comments start with '#', and the header may be the last of them (AudioSet's lists). Bytes that are
not UTF-8 spoil their own row, not the list. A quote that is never closed spoils the rows that it swallows.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from winnow.sources.columns import Header, no_address
from winnow.sources.row import MAX_COLUMNS, MAX_ROW_BYTES, Row

EXTENSIONS = frozenset({".csv", ".tsv"})
DELIMITERS = ",\t;|"
PREAMBLE_LINES = 100


def read(path: Path) -> Iterator[Row]:
    """Rows of a delimited list; the header is not a row."""
    with path.open("rb") as probe:
        encoding = "utf-16" if probe.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    errors = "replace" if encoding == "utf-16" else "surrogateescape"
    with path.open(encoding=encoding, errors=errors, newline="") as file:
        lines = _Lines(file)
        names, delimiter = _header(lines)
        if names is None:
            return
        if len(names) > MAX_COLUMNS or not Header(names).has_address:
            yield Row(0, problem=no_address(names))
            return
        csv.field_size_limit(MAX_ROW_BYTES)
        records = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
        number, done = 0, False
        while not done:
            first = lines.count + 1
            try:
                cells = next(records, None)
            except csv.Error as error:
                where = f"lines {first} to {lines.count}" if lines.count > first else f"line {first}"
                yield Row(number, problem=f"{where}: {error}; quote the cell, double quotes inside it")
                number += 1
                continue
            if cells is None:
                done = True
            elif any(cells):
                yield _row(number, first, names, cells)
                number += 1


class _Lines:
    """Lines of a file, counted; a line longer than a row may be is cut there."""

    def __init__(self, file) -> None:
        self._file, self.count, self._held = file, 0, []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._held.pop() if self._held else self._file.readline(2 * MAX_ROW_BYTES)
        if not line:
            raise StopIteration
        self.count += 1
        return line

    def push(self, line: str) -> None:
        """Put a line back: the next one read is this."""
        self._held.append(line)
        self.count -= 1


def _header(lines: _Lines) -> tuple[list[str] | None, str]:
    """(column names or None for an empty list, delimiter). A header inside a comment counts when the first
    plain line has no address column and the comment has."""
    comments: list[str] = []
    for line in lines:
        if not line.strip():
            continue
        if line.lstrip().startswith("#") and len(comments) < PREAMBLE_LINES:
            comments.append(line.strip().lstrip("#").strip())
            continue
        delimiter = _delimiter(line)
        names = _split(line, delimiter)
        if not Header(names).has_address and comments:
            said = _split(comments[-1], _delimiter(comments[-1]))
            if Header(said).has_address:
                lines.push(line)
                return said, delimiter
        return names, delimiter
    return None, ","


def _delimiter(line: str) -> str:
    """The separator that a header holds most of."""
    counts = Counter(c for c in line if c in DELIMITERS)
    return max(DELIMITERS, key=lambda c: counts[c])


def _split(line: str, delimiter: str) -> list[str]:
    """Names in one line, each different: a second 'a' is 'a.2'."""
    seen: Counter[str] = Counter()
    names = []
    for name in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), []):
        name = name.strip().lstrip("\ufeff")
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}.{seen[name]}")
    return names


def _row(number: int, line: int, names: list[str], cells: list[str]) -> Row:
    if len(cells) > len(names) and any(cells[len(names) :]):
        what = f"{len(cells)} cells under {len(names)} columns: quote cells that hold the separator"
        return Row(number, problem=f"line {line}: {what}")
    if any("\udc80" <= c <= "\udcff" for cell in cells if not cell.isascii() for c in cell):
        return Row(number, problem=f"line {line}: not UTF-8; save the list as UTF-8")
    return Row(number, dict(zip(names, cells, strict=False)))
