"""From a list's row to a candidate: values checked and turned into the columns of `ingest`.

A time is a number of seconds or h:mm:ss; an unknown column is kept in `extra` as canonical JSON (keys sorted, no
spaces), so that equal rows give equal bytes. What cannot be used is refused with a Reason and a detail that says what
to do.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Mapping

from winnow.core.sample import Reason, SampleFailed
from winnow.sources import urls
from winnow.sources.columns import Header
from winnow.sources.row import MAX_ROW_BYTES

_TEXTS = ("source_id", "title", "description", "uploader", "license")
MAX_TIME_S = 10_000_000.0
MAX_DEPTH = 32
_CLOCK = re.compile(r"(?:(\d{1,4}):)?(\d{1,4}):(\d{1,2}(?:\.\d+)?)\Z")
_LABEL_SEPARATOR = re.compile(r"[;|]")


def candidate(values: Mapping[str, object], header: Header) -> tuple[dict[str, object], SampleFailed | None]:
    """The columns of one row, and why it is no candidate (None when it is). A refused row keeps what could be read."""
    raw, get = header.fields.get, values.get
    out: dict[str, object] = {}
    for name in _TEXTS:
        column = raw(name)
        out[name] = None if column is None else _text(get(column))
    failure: SampleFailed | None = None
    try:
        out["labels"] = _labels(get(raw("labels")), raw("labels", ""))
        out["duration_s"] = _declared(get(raw("duration_s")))
        out["extra"] = _extra(values, header, keep_duration=out["duration_s"] is None)
        out["url"] = _url(get(raw("url")), get(header.youtube))
        out["start_s"], out["end_s"] = _times(get(raw("start_s")), get(raw("end_s")))
    except SampleFailed as refused:
        failure = refused
    return out, failure


def _text(value: object) -> str | None:
    """Text of a cell, trimmed; None for an empty one. Lone surrogates, which UTF-8 cannot hold, are replaced."""
    if type(value) is str and value.isascii():
        return value.replace("\x00", "").strip() or None
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, (dict, list)):
        value = json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    text = str(value).replace("\x00", "").strip()
    return (text if text.isascii() else text.encode("utf-8", "replace").decode()) or None


def _url(value: object, youtube: object) -> str:
    text = _text(value)
    if text:
        return urls.check(text)
    video = _text(youtube)
    if not video:
        raise SampleFailed(Reason.missing_url, "no address in this row: fill its url")
    return urls.youtube_url(video)


def _times(start: object, end: object) -> tuple[float | None, float | None]:
    """Start and end in s, rounded to ms; `bad_time` when they are no stretch of a video."""
    start_s, end_s = _seconds(start, "start"), _seconds(end, "end")
    if end_s is not None and end_s <= (start_s or 0.0):
        raise SampleFailed(Reason.bad_time, f"ends at {end_s:g} s, which is not after its start at {start_s or 0:g} s")
    return start_s, end_s


def _seconds(value: object, name: str) -> float | None:
    if value is None:
        return None
    if type(value) is float:  # the common case: a reader has made it one
        if math.isnan(value):
            return None
        if 0 <= value <= MAX_TIME_S:
            return round(value, 3)
    text = None if isinstance(value, bool) else _text(value)
    if text is None and not isinstance(value, bool):
        return None
    seconds = _number(text) if text else None
    if seconds is None or not 0 <= seconds <= MAX_TIME_S:
        shown = urls.shown(text or str(value))
        raise SampleFailed(Reason.bad_time, f"{name} is {shown}: seconds from 0 on, or h:mm:ss, are wanted")
    return round(seconds, 3)


def _number(text: str) -> float | None:
    """Seconds of '12.5' or '1:02:03.5'; None for anything else."""
    clock = _CLOCK.match(text)
    if clock:
        return int(clock[1] or 0) * 3600 + int(clock[2]) * 60 + float(clock[3])
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None


def _declared(value: object) -> float | None:
    """A declared duration in s, or None for what is none: it is a hint, and no row is refused for it."""
    try:
        return _seconds(value, "duration")
    except SampleFailed:
        return None


def _labels(value: object, column: str) -> list[str] | None:
    """Labels as a list: a JSON list, or text separated by ';' or '|' (by ',' too in AudioSet's `positive_labels`)."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(value)
    if isinstance(value, str):
        text = value.replace(",", ";") if column.strip().lower() == "positive_labels" else value
        value = _LABEL_SEPARATOR.split(text)
    if value is not None and not isinstance(value, (list, tuple)):
        value = [value]
    labels = [label for label in map(_text, value or ()) if label]
    return labels or None


def _extra(values: Mapping[str, object], header: Header, keep_duration: bool) -> str | None:
    """Unknown columns as canonical JSON; None when they hold nothing."""
    names = header.extra
    if keep_duration and "duration_s" in header.fields:
        names = [*names, header.fields["duration_s"]]
    if not names:
        return None
    kept = {name: values.get(name) for name in names}
    kept = {name: _plain(value) for name, value in kept.items() if value is not None and value != ""}
    if not kept:
        return None
    text = json.dumps(kept, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
    if len(text) > MAX_ROW_BYTES:
        raise SampleFailed(Reason.bad_row, f"its other columns hold {len(text)} characters of {MAX_ROW_BYTES} at most")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _plain(value: object, depth: int = 0) -> object:
    """A value as JSON can hold it: NaN and infinities are null, bytes are hex, dates are ISO 8601."""
    if depth > MAX_DEPTH:
        raise SampleFailed(Reason.bad_row, f"a column nested more than {MAX_DEPTH} deep; make it flat")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(k): _plain(v, depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v, depth + 1) for v in value]
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if hasattr(value, "isoformat") else value
