"""Cells of files that people open in a spreadsheet, made harmless: it computes what begins with = + - @, so a title of
a stranger's video could open an address or start a program. Files whose format others have published stay as they are.
"""

from __future__ import annotations

import re

_FORMULA = re.compile(r"[=+\-@\t\r]")
#: A sign and one word cannot call anything: YouTube's ids and handles, numbers.
_WORD = re.compile(r"[+\-@][\w.\-]*\Z")


def harmless(cell: object) -> object:
    """The same value, with ' before a text that a spreadsheet would compute: it shows the rest as it is."""
    if isinstance(cell, str) and _FORMULA.match(cell) and not _WORD.match(cell):
        return f"'{cell}"
    return cell


def as_written(cell: str) -> str:
    """The text that `harmless` was given."""
    inner = cell[1:] if cell.startswith("'") else cell
    return inner if harmless(inner) == cell else cell
