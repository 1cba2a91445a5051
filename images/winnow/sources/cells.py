"""Cells of a delimited file that may have no header: what lists of clips and tables of ratings have in common.

The reader of general lists (`sources.csv`) needs a header that names an address. The published clip lists have none,
so here a file is just records of cells; what they mean is their reader's business. The same bounds and the same rule
hold: a record that cannot be read is a problem with its line, and the others go on.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from winnow.sources.row import MAX_COLUMNS, MAX_ROW_BYTES, Row, csv_records

DELIMITERS = ",\t;"


def records(path: Path) -> Iterator[tuple[int, list[str] | None, str | None]]:
    """(line number from 1, trimmed cells, None) of every record that holds anything, or (line, None, problem).

    UTF-8 with or without a byte order mark; separated by comma, tab or semicolon, whichever the first record holds most
    of; lines that begin with '#' are comments.
    """
    with path.open("rb") as file:
        delimiter = None
        for number, line in enumerate(_lines(file), 1):
            text, problem = _text(line, number)
            if text:
                delimiter = delimiter or max(DELIMITERS, key=text.count)
                cells, problem = _cells(text, number, delimiter)
                if cells:
                    yield number, cells, None
            if problem:
                yield number, None, problem


def one_record(file: BinaryIO, line: bytes, number: int) -> tuple[list[str] | None, str | None]:
    """What `records` would give of one line, just read from a file with `readline(MAX_ROW_BYTES + 1)`, separated by
    commas: (cells, None), (None, problem), or (None, None) for an empty line and a comment."""
    if len(line) > MAX_ROW_BYTES:
        _pass_over(file, line)
    text, problem = _text(line, number)
    return _cells(text, number, ",") if text else (None, problem)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines, each whole or, where it is longer than a row may be, its beginning; the rest of it is passed over."""
    while line := file.readline(MAX_ROW_BYTES + 1):
        yield line
        _pass_over(file, line)


def _pass_over(file: BinaryIO, line: bytes) -> None:
    """Read the rest of a line that is longer than a row may be."""
    while line and len(line) > MAX_ROW_BYTES and not line.endswith(b"\n"):
        line = file.readline(MAX_ROW_BYTES + 1)


def _text(line: bytes, number: int) -> tuple[str | None, str | None]:
    """A line's text, or what is wrong with it; (None, None) for an empty one and a comment."""
    if len(line) > MAX_ROW_BYTES:
        return None, f"line {number}: longer than {MAX_ROW_BYTES} bytes"
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip("\r\n")
    except UnicodeDecodeError:
        return None, f"line {number}: not UTF-8; save the file as UTF-8"
    return (None if not text.strip() or text.lstrip().startswith("#") else text), None


def _cells(text: str, number: int, delimiter: str) -> tuple[list[str] | None, str | None]:
    """A line's cells, or what is wrong with them; (None, None) where all cells are empty."""
    cells, problem = _split(text, delimiter)
    if problem:
        return None, f"line {number}: {problem}"
    return (cells if any(cells) else None), None


def _split(text: str, delimiter: str) -> tuple[list[str], str | None]:
    """Trimmed cells of one line, and what is wrong with it."""
    if '"' not in text:
        cells = text.split(delimiter)
    else:
        try:
            cells = next(iter(csv_records(text, delimiter)), [])
        except csv.Error as error:
            return [], f"{error}; quote the cell, double quotes inside it, one record a line"
    if len(cells) > MAX_COLUMNS:
        return [], f"{len(cells)} cells; the most is {MAX_COLUMNS}"
    return [cell.replace("\x00", "").strip() for cell in cells], None


def row_of(
    number: int,
    line: int,
    cells: list[str] | None,
    problem: str | None,
    values: Callable[[list[str]], dict[str, object]],
) -> Row:
    """A record as a row: what `values` makes of its cells, or what is wrong with it (a ValueError of `values`, with the
    record's first line)."""
    if cells is None:
        return Row(number, problem=problem)
    try:
        return Row(number, values(cells))
    except ValueError as error:
        return Row(number, problem=f"line {line}: {error}")
