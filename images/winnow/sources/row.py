"""One row of a list as its reader found it, the bounds within which a row is believed, and what ends a whole list."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass

#: Largest row (a CSV record, a JSON line, a Parquet row as JSON), bytes. Far above any real one.
MAX_ROW_BYTES = 1 << 20
#: Most columns of a list.
MAX_COLUMNS = 1000


@dataclass(frozen=True)
class Row:
    """`number` counts the list's data rows from 0. `values` maps the list's own column names to what stands there; a
    row that could not be read has `problem` instead, which says what is wrong, where, and what to do."""

    number: int
    values: Mapping[str, object] | None = None
    problem: str | None = None


class ListRefused(Exception):
    """A list of which nothing may be read: its columns name no video, or hold times that nobody understood. The text
    says what was looked for, what was found and what to do."""


def csv_records(text: str, delimiter: str, *, strict: bool = True) -> list[list[str]]:
    """Cells of the records in a text, as Python's csv reads them, of any length up to MAX_ROW_BYTES characters a cell;
    csv.Error for a quotation mark out of place where `strict`. The limit of csv is one of the whole process, whose
    other readers keep theirs."""
    before = csv.field_size_limit(2 * MAX_ROW_BYTES)
    try:
        return list(csv.reader([text], delimiter=delimiter, skipinitialspace=True, strict=strict))
    finally:
        csv.field_size_limit(before)
