"""Values of annotations as people and programs write them, checked; ValueError says what is wrong with one."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from winnow.sources.urls import MAX_CHARS, shown

#: Longest id of a person or a program, characters.
MAX_ID_CHARS = 200
MAX_TIME_S = 1e7
_SAMPLE_ID = re.compile("[0-9a-f]{20}")


def text(value: object, name: str = "text") -> str | None:
    """Trimmed text of a cell or a JSON value; None for an empty one."""
    if isinstance(value, (dict, list)):
        raise ValueError(f"{name} is a {type(value).__name__}: text is wanted")
    found = "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value).strip()
    if len(found) > MAX_CHARS or not found.isprintable():
        raise ValueError(f"{name} {shown(found)} is too long or holds control characters")
    return found or None


def seconds(value: object, name: str) -> float | None:
    """A time in s, from 0 on, rounded to ms; None for an empty value."""
    found = text(value, name)
    if found is None:
        return None
    try:
        number = float(found)
    except ValueError:
        number = math.nan
    if not 0 <= number <= MAX_TIME_S:
        raise ValueError(f"{name} is {shown(found)}: seconds from 0 on are wanted")
    return round(number, 3)


def identifier(value: object, name: str) -> str:
    """Who or what: at most MAX_ID_CHARS characters."""
    found = text(value, name)
    if found is None or len(found) > MAX_ID_CHARS:
        raise ValueError(f"{name} is missing or longer than {MAX_ID_CHARS} characters")
    return found


def sample_id(value: object) -> str | None:
    """A clip's id: 20 hexadecimal digits; None for an empty value."""
    found = text(value, "sample_id")
    if found is not None and not _SAMPLE_ID.fullmatch(found):
        raise ValueError(f"sample_id {shown(found)} is no id of a clip: 20 hexadecimal digits are")
    return found


def instant(value: object) -> str | None:
    """ISO 8601 in UTC with microseconds, so that text orders as time does; a time without a zone is taken as UTC."""
    found = text(value, "created_at")
    if found is None:
        return None
    try:
        at = datetime.fromisoformat(found)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"created_at is {shown(found)}: ISO 8601 is wanted, as in 2026-11-01T09:30:00Z") from None
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
