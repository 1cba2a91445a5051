"""JSON lines: one object per line, or the text that names a video. Another line spoils only itself; blank lines are no
rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from winnow.sources.row import MAX_ROW_BYTES, Row

EXTENSIONS = frozenset({".jsonl", ".ndjson"})
_BOM = b"\xef\xbb\xbf"


def read(path: Path) -> Iterator[Row]:
    """Rows of a JSON-lines list."""
    number = -1
    with path.open("rb") as file:
        for at, line in enumerate(lines(file), 1):
            line = line.removeprefix(_BOM) if at == 1 else line
            if not line.strip():
                continue
            number += 1
            yield _row(number, at, line)


def lines(file) -> Iterator[bytes]:
    """Lines, each whole or, where it is longer than a row may be, its beginning; the rest of it is passed over."""
    while line := file.readline(MAX_ROW_BYTES + 1):
        yield line
        while line and len(line) > MAX_ROW_BYTES and not line.endswith(b"\n"):
            line = file.readline(MAX_ROW_BYTES + 1)


def _row(number: int, at: int, line: bytes) -> Row:
    if len(line) > MAX_ROW_BYTES:
        return Row(number, problem=f"line {at}: longer than {MAX_ROW_BYTES} bytes; split it into rows")
    try:
        value = json.loads(line.rstrip(), parse_constant=lambda name: None)
    except UnicodeDecodeError:
        return Row(number, problem=f"line {at}: not UTF-8; save the list as UTF-8")
    except json.JSONDecodeError as error:
        what = f"not JSON ({error.msg}); one object per line is wanted"
        return Row(number, problem=f"line {at}, column {error.colno}: {what}")
    except (RecursionError, ValueError):
        return Row(number, problem=f"line {at}: JSON nested too deeply or with a number too long to be one")
    if isinstance(value, str) and value.strip():
        return Row(number, {"item": value})
    if not isinstance(value, dict):
        return Row(number, problem=f"line {at}: a JSON object is wanted, not {type(value).__name__}")
    return Row(number, value)
