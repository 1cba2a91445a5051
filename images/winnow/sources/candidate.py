"""From a list's row to a candidate: values checked and turned into the columns of `ingest`.

A time is a number of seconds, h:mm:ss or ISO 8601; an unknown column is kept in `extra` as canonical JSON (keys
sorted, no spaces), so that equal rows give equal bytes. What cannot be used is refused with a Reason and a detail that
says what to do.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from winnow.core.sample import Reason, SampleFailed
from winnow.sources import shapes, urls
from winnow.sources.columns import Header
from winnow.sources.literal import parse_list
from winnow.sources.profile import Plan
from winnow.sources.row import MAX_ROW_BYTES

_TEXTS = ("source_id", "title", "description", "uploader", "license")
MAX_TIME_S = shapes.MAX_TIME_S
MAX_DEPTH = 32
_URLS, _FILES = frozenset({shapes.URL}), frozenset({shapes.URL, shapes.FILE})
_MIDS = re.compile(r"/[a-z]/[\w]+(?:\s*,\s*/[a-z]/[\w]+)+\Z")
_LABEL_SEPARATOR = re.compile(r"[;|]")
#: A text as JSON writes it where characters outside ASCII may stand.
_quoted = json.encoder.encode_basestring
#: A row's value under a column; a row has none under None.
_Get = Callable[[str | None], object]


def candidate(values: Mapping[str, object], header: Header) -> tuple[dict[str, object], SampleFailed | None]:
    """The columns of one row, and why it is no candidate (None when it is). A refused row keeps what could be read.
    Under a Plan a file that lies beside the list is named by its place, as `beside`, and has no url."""
    raw, get = header.fields.get, cast(_Get, values.get)
    out: dict[str, object] = {}
    for name in _TEXTS:
        column = raw(name)
        out[name] = None if column is None else _text(get(column))
    failure: SampleFailed | None = None
    try:
        out["labels"] = _labels(get(raw("labels")), raw("labels", ""))
        out["duration_s"] = _declared(get(raw("duration_s")), _scale(header, raw("duration_s")))
        out["extra"] = _extra(values, header, keep_duration=out["duration_s"] is None)
        if isinstance(header, Plan):
            _planned(out, values, header)
        else:
            out["url"] = _url(get(raw("url")), get(header.youtube))
            out["start_s"], out["end_s"] = _times(get(raw("start_s")), get(raw("end_s")))
    except SampleFailed as refused:
        failure = refused
    return out, failure


def _text(value: object) -> str | None:
    """Text of a cell, trimmed; None for an empty one. Lone surrogates, which UTF-8 cannot hold, are replaced."""
    if type(value) is str:
        text = value.replace("\x00", "").strip()
        return (text if text.isascii() else text.encode("utf-8", "replace").decode()) or None
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


def _planned(out: dict[str, object], values: Mapping[str, object], plan: Plan) -> None:
    """Address and times of a row as its list's plan has them."""
    text: str | None = None
    kinds: frozenset[str] = frozenset()
    for column, found in plan.addresses:
        if text := _text(values.get(column)):
            kinds = found
            break
    named: tuple[float | None, float | None] = (None, None)
    if not text:
        where = ", ".join(repr(c) for c, _ in plan.addresses) or "url"
        raise SampleFailed(Reason.missing_url, f"no address in this row: fill {where}")
    if shapes.FILE in kinds and text in plan.beside:
        out["beside"] = plan.beside[text]
        out["source_id"] = out["source_id"] or text
    elif text.startswith("http") or kinds <= _URLS or shapes.is_url(text):
        out["url"] = urls.check(text)
        if plan.address_times:
            named = _times(*urls.times_in(text))
    elif kinds <= _FILES:
        raise SampleFailed(Reason.missing_file, f"no file {urls.shown(text)} lies beside the list")
    elif (clip := shapes.clip_of(text)) is not None:
        out["url"] = urls.youtube_url(clip[0])
        if out["source_id"] in (None, text):
            out["source_id"] = clip[0]
        named = _of_name(clip[1:], plan)
    else:
        out["url"] = urls.youtube_url(text)
    out["start_s"], out["end_s"] = _window(values, plan, named)


def _of_name(times: tuple[float | None, ...], plan: Plan) -> tuple[float | None, float | None]:
    """Times that a clip's name gives, s. A name with a start alone in ms names ten seconds too."""
    start, end = times
    if start is None or plan.clip_scale == 1.0:
        return start, end
    start_s = start * plan.clip_scale
    return start_s, start_s + 10 if end is None or end == start + 10 else end * plan.clip_scale


def _window(
    values: Mapping[str, object], plan: Plan, named: tuple[float | None, float | None]
) -> tuple[float | None, float | None]:
    """Start and end of a row, s; from a clip's name where no column has them."""
    if plan.span is not None:
        span = values.get(plan.span)
        pair = shapes.pair_of(span)
        if pair is None and _text(span):
            what = f"{plan.span} is {urls.shown(str(span))}: a start and an end are wanted"
            raise SampleFailed(Reason.bad_time, what)
        start, end = pair or (None, None)
        scale = _scale(plan, plan.span)
        return _times(start, end, scale, scale)
    columns = plan.fields.get("start_s"), plan.fields.get("end_s")
    start, end = (values.get(column) if column else None for column in columns)
    start_s, end_s = _times(start, end, _scale(plan, columns[0]), _scale(plan, columns[1]))
    if start_s is None and end_s is None and columns == (None, None):
        start_s, end_s = named
        if start_s is not None and plan.clip_s is not None:
            end_s = start_s + plan.clip_s
    elif start_s is not None and end_s is None and (plan.length or plan.clip_s):
        length = (
            _seconds(values.get(plan.length), plan.length, _scale(plan, plan.length)) if plan.length else plan.clip_s
        )
        if length is not None and length <= 0:
            raise SampleFailed(Reason.bad_time, f"a clip of {length:g} s: a length above 0 is wanted")
        end_s = None if length is None else round(start_s + length, 3)
    return start_s, end_s


def _scale(header: Header, column: str | None) -> float:
    return header.scale.get(column, 1.0) if column and isinstance(header, Plan) else 1.0


def _times(
    start: object, end: object, start_scale: float = 1.0, end_scale: float = 1.0
) -> tuple[float | None, float | None]:
    """Start and end in s, rounded to ms; `bad_time` when they are no stretch of a video."""
    start_s, end_s = _seconds(start, "start", start_scale), _seconds(end, "end", end_scale)
    if end_s is not None and end_s <= (start_s or 0.0):
        raise SampleFailed(Reason.bad_time, f"ends at {end_s:g} s, which is not after its start at {start_s or 0:g} s")
    return start_s, end_s


def _seconds(value: object, name: str, scale: float = 1.0) -> float | None:
    """A time in s; `scale` is seconds in the unit of a bare number."""
    if value is None:
        return None
    if type(value) is float:  # the common case: a reader has made it one
        if math.isnan(value):
            return None
        if 0 <= value * scale <= MAX_TIME_S:
            return round(value * scale, 3)
    if type(value) is str and (number := _number(value)) is not None and 0 <= number * scale <= MAX_TIME_S:
        return round(number * scale, 3)
    text = None if isinstance(value, bool) else _text(value)
    if text is None and not isinstance(value, bool):
        return None
    seconds = shapes.seconds(text) if text else None
    if seconds is not None and scale != 1.0 and not shapes.is_clock(text or ""):
        seconds *= scale
    if seconds is None or not 0 <= seconds <= MAX_TIME_S:
        shown = urls.shown(text or str(value))
        raise SampleFailed(Reason.bad_time, f"{name} is {shown}: seconds from 0 on, or h:mm:ss, are wanted")
    return round(seconds, 3)


def _number(text: str) -> float | None:
    """The number that a text is, as most times are written; None for any other."""
    if not text or "_" in text or ":" in text:
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _declared(value: object, scale: float = 1.0) -> float | None:
    """A declared duration in s, or None for what is none: it is a hint, and no row is refused for it."""
    try:
        return _seconds(value, "duration", scale)
    except SampleFailed:
        return None


def _labels(value: object, column: str) -> list[str] | None:
    """Labels as a list: a JSON list, or text separated by ';' or '|' (by ',' too in AudioSet's `positive_labels`, and
    between ids of its ontology)."""
    if type(value) is str and "," not in value and "[" not in value:
        value = _LABEL_SEPARATOR.split(value) if ";" in value or "|" in value else [value]
    if isinstance(value, str) and value.lstrip().startswith("["):
        text = value
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(text)
        if value is text:
            with contextlib.suppress(ValueError):
                value = parse_list(text)
    if isinstance(value, str):
        by_comma = column.strip().lower() == "positive_labels" or _MIDS.match(value.strip())
        text = value.replace(",", ";") if by_comma else value
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
    kept: dict[str, Any] = {}
    texts = True
    for name in names:
        value = values.get(name)
        if type(value) is str:
            if value:
                kept[name] = value
        elif value is not None:
            kept[name], texts = _plain(value), False
    if not kept:
        return None
    if texts:  # as below, without an encoder made for each row
        text = "{" + ",".join([f"{_quoted(name)}:{_quoted(kept[name])}" for name in sorted(kept)]) + "}"
    else:
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
