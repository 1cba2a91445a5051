"""What a value of a list looks like: an address, a YouTube id, a clip's name, a file beside the list, a time.

Columns are told by their content as much as by their names, and this is how one value is told.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping

from winnow.sources import youtube_clips
from winnow.sources.literal import parse_list

URL, ID, CLIP, FILE = "address", "YouTube id", "clip name", "file beside the list"
NUMBER, CLOCK, PAIR = "number", "clock", "pair"
MAX_TIME_S = 10_000_000.0
MAX_NESTED_CHARS = 1 << 20
_CLOCK = re.compile(r"(?:(\d{1,4}):)?(\d{1,4}):(\d{1,2}(?:[.,]\d+)?)\Z", re.ASCII)
_ISO = re.compile(r"P(?:(\d{1,4})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,6})M)?(?:(\d{1,8}(?:\.\d+)?)S)?)?\Z", re.ASCII)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,20}://\S+\Z")
_BARE = re.compile(r"(?:www\.[\w-]+\.\w+|(?:m\.)?youtube\.com|youtu\.be)/\S*\Z", re.IGNORECASE)
_LOCAL = re.compile(r"(?:file|inbox|data|javascript|about|blob|smb|gopher|jar):\S+\Z", re.IGNORECASE)
_RANGE = re.compile(r"\s*\(?\[?\s*([\d:.]+)\s*(?:,|;|-|–|\s|to)\s*([\d:.]+)\s*\]?\)?\s*\Z", re.ASCII)


def text_of(value: object) -> str:
    """A scalar as trimmed text, '' for none."""
    if value is None or isinstance(value, (bool, dict, list, tuple)) or (isinstance(value, float) and value != value):
        return ""
    return str(value).replace("\x00", "").strip()


def is_url(text: str) -> bool:
    """Whether a text is written as an address, of whatever scheme."""
    return bool(_SCHEME.match(text) or _BARE.match(text) or _LOCAL.match(text))


def is_id(text: str) -> bool:
    """Whether a text may be a YouTube id; eleven digits are somebody's number."""
    return bool(youtube_clips.YOUTUBE_ID.match(text)) and not text.isdigit()


def clip_of(text: str) -> tuple[str, float | None, float | None] | None:
    """(YouTube id, start, end) that a clip's name gives, s; None for what is no such name."""
    if not 11 <= len(text) <= 60:
        return None
    try:
        found = youtube_clips.parse(text)
    except ValueError:
        return None
    return None if found[0].isdigit() else found


def address_kind(value: object, beside: Mapping[str, str]) -> str | None:
    """What a value could name a video by; None for what names none. `beside` maps names of files to their places."""
    text = text_of(value)
    if not text:
        return None
    if is_url(text):
        return URL
    if text in beside:
        return FILE
    if is_id(text):
        return ID
    return CLIP if clip_of(text) else None


def seconds(text: str) -> float | None:
    """Seconds of '12.5', '1:02:03.5', '00:01:02,500' or 'PT1M2S'; None for anything else."""
    try:
        number = float(text)
    except ValueError:
        pass
    else:
        return number if math.isfinite(number) and "_" not in text else None
    if clock := _CLOCK.match(text):
        return int(clock[1] or 0) * 3600 + int(clock[2]) * 60 + float(clock[3].replace(",", "."))
    if text[:1] == "P" and len(text) > 2 and (iso := _ISO.match(text)) and any(iso.groups()):
        return int(iso[1] or 0) * 86400 + int(iso[2] or 0) * 3600 + int(iso[3] or 0) * 60 + float(iso[4] or 0)
    return None


def is_clock(text: str) -> bool:
    """Whether a time is written with its unit, so that none is asked for: h:mm:ss or ISO 8601."""
    return ":" in text or text[:1] == "P"


def time_kind(value: object) -> str | None:
    """NUMBER, CLOCK (h:mm:ss or ISO 8601) or PAIR (a start and an end); None for what is no time."""
    if (pair := pair_of(value)) is not None:
        return PAIR if pair else None
    text = text_of(value)
    found = seconds(text) if text else None
    if found is None or not 0 <= found <= MAX_TIME_S * 1000:
        return None
    return CLOCK if is_clock(text) else NUMBER


def pair_of(value: object) -> tuple[object, object] | None:
    """The start and end that one value holds: [1, 2], '[1, 2]', '0:01-0:02'; None for no pair."""
    items: object
    if isinstance(value, (list, tuple)):
        items = value
    elif isinstance(value, dict) and len(value) == 2 and {"start", "end"} == {str(key).lower() for key in value}:
        items = [next(v for k, v in value.items() if str(k).lower() == name) for name in ("start", "end")]
    elif isinstance(value, str) and len(value) < 200:
        if not (found := _RANGE.match(value)) or seconds(found[1]) is None or seconds(found[2]) is None:
            items = nested(value) if value.lstrip()[:1] in "[(" else None
        else:
            items = [found[1], found[2]]
    else:
        return None
    if not isinstance(items, (list, tuple)) or len(items) != 2:
        return None
    if any(isinstance(item, bool) or not isinstance(item, (int, float, str)) for item in items):
        return None
    start, end = (seconds(text_of(item)) if text_of(item) else None for item in items)
    return None if start is None or end is None else (items[0], items[1])


def nested(text: str) -> object:
    """The list or object that a cell's text holds, as JSON or as Python writes it; None where it holds none."""
    text = text.strip()
    if text[:1] not in ("[", "{", "(") or len(text) > MAX_NESTED_CHARS:
        return None
    try:
        return json.loads(text, parse_constant=lambda name: None)
    except (ValueError, RecursionError):
        pass
    try:
        return parse_list(text)
    except ValueError:
        return None
