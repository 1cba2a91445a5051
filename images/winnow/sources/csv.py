"""Delimited text: CSV as people and programs really write it.

UTF-8 with or without a byte order mark, or UTF-16 with one; separated by comma, tab, semicolon or bar, whichever the
header holds most of, or what Excel's `sep=` says; comments start with '#', and the header may be the last of them
(AudioSet's lists), or there is none: lists of ids and addresses. Bytes that are not UTF-8 spoil their own row, not the
list. A quotation mark that is never closed spoils its own line: what it would swallow is read again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from winnow.sources import shapes
from winnow.sources.columns import Header, is_known
from winnow.sources.list_settings import ListSettings
from winnow.sources.quotes import Lines, Record, records
from winnow.sources.row import MAX_COLUMNS, ListRefused, Row, csv_records

EXTENSIONS = frozenset({".csv", ".tsv"})
TEXT_EXTENSIONS = frozenset({".txt"})
DELIMITERS = ",\t;|"
PREAMBLE_LINES = 100
#: So many records tell whether the first one is a header.
LOOK_AHEAD = 50
#: A text is a list where this share of its lines begins with what names a video.
LIST_SHARE = 0.8
_ENDS = tuple(f".{extension}" for extension in ("mp4", "webm", "mkv", "mov", "avi", "m4v", "ts", "flv", "mpg"))
#: What stands for a byte that is not UTF-8.
_NOT_UTF8 = re.compile("[\udc80-\udcff]")
_WATCH = re.compile(r"(?:v=|youtu\.be/)[A-Za-z0-9_-]{11}\Z")
#: An address up to the comma of its own stretch, as in #t=10,20.
_STRETCH = re.compile(r"#t=(?:npt:)?[\d:.]*\Z")


def looks_like(path: Path, head: str) -> bool:
    """Whether a `.txt` is a list: of addresses, ids or clips' names, one a line, or of columns under a header."""
    complete = head.rpartition("\n")[0] or head
    lines = [line.strip() for line in complete.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        return False
    cells = [_first_cells(line) for line in lines]
    named = sum(any(shapes.address_kind(cell.strip('" '), {}) for cell in found) for found in cells)
    if named >= LIST_SHARE * len(lines):
        return True
    header = [cell.strip('" ') for cell in cells[0]]
    return len(lines) > 1 and len(header) > 1 and sum(map(is_known, header)) >= 2 and all(len(c) > 1 for c in cells)


def _first_cells(line: str) -> list[str]:
    if _is_one_cell(line):
        return [line]
    delimiter = _delimiter(line)
    return line.split(delimiter if delimiter in line else None)[:20]


def read(path: Path, settings: ListSettings | None = None) -> Iterator[Row]:
    """Rows of a delimited list; the header is not a row. ListRefused where nothing of it can be one."""
    settings = settings or ListSettings()
    with path.open("rb") as probe:
        encoding = "utf-16" if probe.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    errors = "replace" if encoding == "utf-16" else "surrogateescape"
    with path.open(encoding=encoding, errors=errors, newline="") as file:
        lines = Lines(file)
        comment, delimiter = _preamble(lines, settings)
        if delimiter is None:
            return
        found = records(lines, delimiter)
        first = next(found, None)
        if first is None:
            return
        ahead = list(islice(found, LOOK_AHEAD))
        names, number = _names(first, ahead, comment, settings), 0
        rows = [first, *ahead]
        if names is None:
            names = _split_names(first.cells or [])
            rows = ahead
        if first.problem is not None and rows is ahead:
            raise ListRefused(f"its first line cannot be read ({first.problem}): a header is wanted there")
        if len(names) > MAX_COLUMNS:
            raise ListRefused(f"{len(names)} columns; the most is {MAX_COLUMNS}")
        for record in (record for part in (rows, found) for record in part):
            if record.cells is None or any(record.cells):
                yield _row(number, names, record)
                number += 1


def _preamble(lines: Lines, settings: ListSettings) -> tuple[str | None, str | None]:
    """(the last comment before the first line, delimiter or None for an empty list): `lines` then gives that line."""
    comment, said = None, settings.delimiter
    comments = 0
    for line in lines:
        if not line.strip():
            continue
        if comments < PREAMBLE_LINES and line.lstrip().startswith("#"):
            comment, comments = line.strip().lstrip("#").strip(), comments + 1
            continue
        if lines.count == 1 and line[:4].lower() == "sep=" and len(line.strip("\r\n")) == 5:
            said = said or line[4]
            continue
        lines.push(line)
        return comment, said or _delimiter(line)
    return None, None


def _delimiter(line: str) -> str:
    """The separator that a line holds most of, outside of quotes; where it holds none and is no address, a space that
    parts it; an address alone is one cell."""
    text = line.strip()
    if _is_one_cell(text):
        return "\t"
    bare = "".join(text.split('"')[::2])
    counts = Counter(c for c in bare if c in DELIMITERS)
    if not counts and " " in text and shapes.address_kind(text.split()[0], {}):
        return " "
    return max(DELIMITERS, key=lambda c: counts[c])


def _is_one_cell(text: str) -> bool:
    """Whether a line is one address. Addresses hold separators too: one ends there only where a time follows, or where
    what stands before is whole by its own end."""
    if not shapes.address_kind(text, {}):
        return False
    for delimiter in DELIMITERS:
        first, *rest = (cell.strip() for cell in text.split(delimiter))
        if len(rest) == 1 and _STRETCH.search(first):
            continue
        whole = first.lower().endswith(_ENDS) or _WATCH.search(first) is not None
        if rest and shapes.is_url(first) and (whole or any(shapes.time_kind(cell) for cell in rest)):
            return False
    return True


def _names(first: Record, ahead: list[Record], comment: str | None, settings: ListSettings) -> list[str] | None:
    """The columns' names where the first record is a row: those of a comment above, or numbers. None for a header."""
    cells = first.cells or []
    if settings.header is not None:
        return None if settings.header else _numbered(cells)
    if comment is not None and not Header(_split_names(cells)).has_address:
        said = _split_names(next(iter(csv_records(comment, _delimiter(comment), strict=False)), []))
        if Header(said).has_address:
            return said
    if first.problem is not None or any(map(is_known, cells)):
        return None
    if any(shapes.time_kind(cell) for cell in cells if cell):
        return _numbered(cells) if any(_names_a_video(cell, at, ahead) for at, cell in enumerate(cells)) else None
    return _numbered(cells) if any(_names_a_video(cell, at, ahead) for at, cell in enumerate(cells)) else None


def _names_a_video(cell: str, at: int, ahead: list[Record]) -> bool:
    """Whether a cell of the first record is a video's rather than a column's name: an id that might be a word is one
    only where those below it are ids too and look no other way."""
    kind = shapes.address_kind(cell, {})
    if kind is None or kind != shapes.ID:
        return kind is not None
    below = [record.cells[at] for record in ahead if record.cells and at < len(record.cells) and record.cells[at]]
    ids = [shapes.address_kind(other, {}) for other in below]
    if below and sum(bool(found) for found in ids) < LIST_SHARE * len(below):
        return False
    wordlike = sum(other.isalpha() and other.islower() for other in below)
    return not (below and cell.isalpha() and cell.islower() and wordlike < 0.1 * len(below))


def _numbered(cells: list[str]) -> list[str]:
    return [f"column {at}" for at in range(1, len(cells) + 1)]


def _split_names(cells: list[str]) -> list[str]:
    """Names of columns, each different: a second 'a' is 'a.2'."""
    seen: Counter[str] = Counter()
    names = []
    for name in cells:
        name = name.strip().lstrip("\ufeff")
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}.{seen[name]}")
    return names


def _row(number: int, names: list[str], record: Record) -> Row:
    if record.cells is None:
        return Row(number, problem=record.problem)
    cells = record.cells
    if len(cells) > len(names) and any(cells[len(names) :]):
        what = f"{len(cells)} cells under {len(names)} columns: quote cells that hold the separator"
        return Row(number, problem=f"line {record.line}: {what}")
    if not (text := "".join(cells)).isascii() and _NOT_UTF8.search(text):
        return Row(number, problem=f"line {record.line}: not UTF-8; save the list as UTF-8")
    return Row(number, dict(zip(names, cells, strict=False)))
