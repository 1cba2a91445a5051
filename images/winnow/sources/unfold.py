"""Rows that hold several clips: HD-VILA's `clip`, video2dataset's `clips`, ActivityNet's `timestamps` and `sentences`,
`annotations` with a `segment` each. Every clip becomes a row of its own with what the row says of all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from winnow.sources import shapes
from winnow.sources.columns import plain, time_role

MAX_CLIPS = 100_000


def unfold(values: Mapping[str, object]) -> Iterator[dict[str, object]]:
    """The rows of a row: itself where it holds one clip. An object in a column whose own columns are times or addresses
    is taken apart, as `clip.span`."""
    row = dict(values)
    for name, value in values.items():
        if type(value) is str and value[:1] == "[" and _is_nest(name):
            value = shapes.nested(value)
        if isinstance(value, dict) and _speaks(value):
            del row[name]
            row |= {f"{name}.{key}": inner for key, inner in value.items()}
    clips = next(((name, found) for name in row if (found := _clips(name, row[name]))), None)
    if clips is None:
        yield row
        return
    name, items = clips
    rest = {key: value for key, value in row.items() if key != name}
    lists = {key: shapes.nested(v) if type(v) is str and v[:1] == "[" else v for key, v in rest.items()}
    beside = {
        key: value
        for key, value in lists.items()
        if isinstance(value, (list, tuple))
        and len(value) == len(items)
        and not any(isinstance(v, dict) for v in value)
        and shapes.pair_of(value) is None
    }
    for at, item in enumerate(items[:MAX_CLIPS]):
        one = rest | {key: value[at] for key, value in beside.items()}
        if isinstance(item, dict):
            for key, inner in item.items():
                own = str(key)
                one[own if own != "id" and (own not in rest or time_role(own)[0]) else f"{name}.{own}"] = inner
        else:
            one[name] = item
        yield one


def _is_nest(name: str) -> bool:
    return time_role(name)[0] == "span"


def _clips(name: str, value: object) -> list | None:
    """The clips that a column holds, if it holds a list of them."""
    if type(value) is str:
        if value[:1] not in ("[", "(") or not _is_nest(name):
            return None
        value = shapes.nested(value)
    if not isinstance(value, (list, tuple)) or not value:
        return None
    if all(isinstance(item, dict) and _speaks(item) for item in value):
        return list(value)
    if all(isinstance(item, (list, tuple, dict)) and shapes.pair_of(item) is not None for item in value):
        return list(value) if _is_nest(name) else None
    return None


def _speaks(item: Mapping[str, object]) -> bool:
    """Whether an object holds the times or the address of something."""
    for key, value in item.items():
        role = time_role(str(key))[0]
        if role in ("start", "end") and shapes.time_kind(value) in (shapes.NUMBER, shapes.CLOCK):
            return True
        if role == "span" and shapes.pair_of(value) is not None:
            return True
        if plain(str(key)) in ("url", "video_url", "youtube_id") and shapes.text_of(value):
            return True
    return False
