"""Python literals in the cell of a list, as `str(list)` wrote them: read without running or compiling anything.

Lists, tuples, texts, numbers, None, True and False; nothing else is one, and a cell has bounds. (`ast.literal_eval`
would build a syntax tree of a hundred times the cell's size, and falls over deep nesting.)
"""

from __future__ import annotations

import math
import re

MAX_DEPTH = 8
MAX_ITEMS = 100_000
MAX_DIGITS = 30
_TOKEN = re.compile(
    r"""\s*(?:(?P<open>[\[(])|(?P<close>[\])])|(?P<comma>,)
    |(?P<text>'[^'\\\n]*(?:\\.[^'\\\n]*)*'|"[^"\\\n]*(?:\\.[^"\\\n]*)*")
    |(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?(?![\w.]))
    |(?P<name>None|True|False|nan|inf)(?!\w))""",
    re.VERBOSE | re.ASCII,
)
_SPACE = re.compile(r"\s*\Z")
_NAMES = {"None": None, "True": True, "False": False, "nan": None, "inf": None}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"'}
_CLOSING = {"[": "]", "(": ")"}


def parse_list(text: str) -> list[object]:
    """The list that a cell holds, tuples as lists; ValueError says where a cell is none, or what bound it breaks."""
    stack: list[list[object]] = []
    brackets: list[str] = []
    at, items, wants_item = 0, 0, True
    while True:
        found = _TOKEN.match(text, at)
        if not found:
            raise ValueError(f"no list, from character {at} on")
        kind, token = found.lastgroup, found[found.lastgroup or 0]
        here, at = found.start(kind or 0), found.end()
        if not stack and kind != "open":
            raise ValueError("no list in brackets")
        if (kind == "comma") == wants_item and kind != "close":
            raise ValueError(f"no list: {'an item' if wants_item else 'a comma'} is wanted at character {here}")
        if kind == "comma":
            wants_item = True
            continue
        if kind == "close":
            if token != _CLOSING[brackets.pop()]:
                raise ValueError(f"no list: another bracket is wanted at character {here}")
            done = stack.pop()
            if not stack:
                if not _SPACE.match(text, at):
                    raise ValueError(f"no list: it goes on after its end, character {at}")
                return done
            wants_item = False
            continue
        items += 1
        if items > MAX_ITEMS:
            raise ValueError(f"a list of more than {MAX_ITEMS} items")
        if kind == "open":
            if len(stack) == MAX_DEPTH:
                raise ValueError(f"a list nested more than {MAX_DEPTH} deep")
            new: list[object] = []
            if stack:
                stack[-1].append(new)
            stack.append(new)
            brackets.append(token)
            continue
        stack[-1].append(_text(token) if kind == "text" else _NAMES[token] if kind == "name" else _number(token))
        wants_item = False


def _text(token: str) -> str:
    inner = token[1:-1]
    return _ESCAPE.sub(_unescaped, inner) if "\\" in inner else inner


def _unescaped(found: re.Match[str]) -> str:
    escape = found[1]
    if escape in _ESCAPED:
        return _ESCAPED[escape]
    if len(escape) > 1:
        code = int(escape[1:], 16)
        return chr(code) if code <= 0x10FFFF and not 0xD800 <= code < 0xE000 else "\ufffd"
    return found[0]


def _number(token: str) -> int | float | None:
    """A number; None for one beyond floats."""
    if len(token) > MAX_DIGITS:
        raise ValueError(f"a number of {len(token)} digits")
    if token.lstrip("+-").isdigit():
        return int(token)
    number = float(token)
    return number if math.isfinite(number) else None
