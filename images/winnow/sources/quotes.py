"""Records of delimited text, in which a stray quotation mark costs its own line and no other.

A quoted cell may hold line ends, so one mark that nobody closed would swallow everything up to the next. A record of
several lines is believed only where it closes, has as many cells as the list has columns, and the lines inside are not
rows by themselves. Otherwise its first line is a problem and the others are read again.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

from winnow.sources import shapes
from winnow.sources.row import MAX_ROW_BYTES, csv_records

#: A record goes over this many lines and characters at most.
MAX_LINES = 2000
MAX_CHARS = 1 << 18
#: Times that a growing record is tried; each try reads it from its beginning.
MAX_TRIES = 64
_OPEN = "unexpected end of data"


@dataclass(frozen=True)
class Record:
    """A record that begins at `line` (from 1): its cells, or the problem that it has."""

    line: int
    cells: list[str] | None = None
    problem: str | None = None


class Lines:
    """Lines of a file, counted; one longer than a row may be is cut there, `cut` says so, and the rest passed over."""

    def __init__(self, file: TextIO) -> None:
        self._file, self.count, self.cut = file, 0, False
        self._held: list[tuple[str, bool]] = []

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        if self._held:
            line, self.cut = self._held.pop()
        else:
            line = self._file.readline(MAX_ROW_BYTES + 1)
            self.cut = len(line) > MAX_ROW_BYTES and line[-1] not in "\r\n"
            if self.cut:
                while (rest := self._file.readline(MAX_ROW_BYTES)) and rest[-1] not in "\r\n":
                    pass
        if not line:
            raise StopIteration
        self.count += 1
        return line

    def push(self, line: str) -> None:
        """Put the last line back: the next one read is this."""
        self._held.append((line, self.cut))
        self.count -= 1


def records(lines: Lines, delimiter: str) -> Iterator[Record]:
    """The records of a file from its next line on; lines that hold nothing are none."""
    width, good = 0, None
    for line in lines:
        number = lines.count
        if lines.cut:
            yield Record(number, problem=f"line {number}: longer than {MAX_ROW_BYTES} characters")
            continue
        if not line.strip():
            continue
        if delimiter == " ":
            cells = line.split()
        elif '"' not in line:
            cells = line.rstrip("\r\n").split(delimiter)
            if line[0] == " " or f"{delimiter} " in line:
                cells = [cell.lstrip(" ") for cell in cells]
        else:
            found, problem = _quoted(lines, line, delimiter, width, good)
            if found is None:
                yield Record(number, problem=f"line {number}: {problem}")
                continue
            cells = found
        width = width or len(cells)
        good = cells
        yield Record(number, cells)


def _quoted(
    lines: Lines, line: str, delimiter: str, width: int, good: list[str] | None
) -> tuple[list[str] | None, str | None]:
    """The cells of a record that begins with a line with quotation marks, and what is wrong with it."""
    cells, problem = _parse(line, delimiter)
    if problem != _OPEN:
        return cells, None if problem is None else f"{problem}; quote the cell, double quotes inside it"
    first = line.count(delimiter) + 1
    complete = first >= width or _is_row(line, delimiter, first, good)
    more: list[str] = []
    chars, tries = len(line), 0
    for other in lines:
        if lines.cut or len(more) >= MAX_LINES or chars + len(other) > MAX_CHARS:
            lines.push(other)
            break
        if complete and _is_row(other, delimiter, width, good):
            lines.push(other)
            break
        more.append(other)
        chars += len(other)
        if '"' not in other:
            continue
        tries += 1
        cells, problem = _parse(line + "".join(more), delimiter)
        if problem is None and (not width or len(cells or ()) == width):
            return cells, None
        if problem != _OPEN or tries >= MAX_TRIES:
            break
    lines.cut = False
    for other in reversed(more):
        lines.push(other)
    return None, "a quotation mark that is not closed: close it, or double it inside a quoted cell"


def _parse(text: str, delimiter: str) -> tuple[list[str] | None, str | None]:
    try:
        found = csv_records(text, delimiter)
    except csv.Error as error:
        return None, str(error)
    return (found[0] if found else []), None


def _is_row(line: str, delimiter: str, width: int, good: list[str] | None) -> bool:
    """Whether a line has a row's cells by itself, with an address where the last good row has one."""
    cells = [cell.strip().strip('"').strip() for cell in line.split(delimiter)]
    if width and len(cells) != width:
        return False
    places = [at for at, cell in enumerate(good or ()) if shapes.address_kind(cell.strip(), {})]
    return any(shapes.address_kind(cells[at], {}) for at in places or range(len(cells)) if at < len(cells))
