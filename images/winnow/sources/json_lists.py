"""JSON documents that are lists: an array of objects or ids (VGG-SS), an object by id (ActivityNet), ids by class
(MUSIC: `{"videos": {"flute": [ids]}}`), tables that belong together by an id (MSR-VTT's videos and sentences). A file
of JSON lines that is called `.json` is read as such.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from winnow.sources import jsonl, shapes
from winnow.sources.columns import plain
from winnow.sources.row import ListRefused, Row

EXTENSIONS = frozenset({".json"})
#: A document is held whole; what is larger belongs into JSON lines.
MAX_BYTES = 256 << 20
MAX_DEPTH = 6
#: Keys that hold lists and say nothing about what is in them.
_WRAPPERS = frozenset(
    "videos video data database items entries results rows list annotations clips segments "  # noqa: SIM905
    "samples examples records root dataset instances".split()
)
_SPLITS = frozenset("train training val valid validation dev test testing eval".split())  # noqa: SIM905


def read(path: Path) -> Iterator[Row]:
    """Rows of a document. ListRefused where it is none, or holds no list."""
    if path.stat().st_size > MAX_BYTES:
        raise ListRefused(f"larger than {MAX_BYTES} bytes of JSON: write it as JSON lines, one object a line")
    data = path.read_bytes()
    try:
        document = json.loads(data.decode("utf-8-sig"), parse_constant=lambda name: None)
    except UnicodeDecodeError:
        raise ListRefused("not UTF-8; save the list as UTF-8") from None
    except (ValueError, RecursionError) as error:
        if _is_lines(data):
            yield from jsonl.read(path)
            return
        raise ListRefused(f"not JSON: {str(error)[:200]}") from None
    del data
    if _is_answers(document):
        raise ListRefused(
            "what people answered in Label Studio about clips, not a list of videos: take it away from here, and run "
            f"`winnow annotate import {path.name}`"
        )
    for number, row in enumerate(_joined(_tables(document))):
        yield Row(number, row)


def _is_lines(data: bytes) -> bool:
    """Whether the first line that holds something is an object by itself."""
    first = next((line for line in data[: 1 << 20].splitlines() if line.strip()), b"").removeprefix(b"\xef\xbb\xbf")
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _is_answers(document: object) -> bool:
    """Whether a document is an export of Label Studio (JSON, JSON-MIN, JSON before 1.0) of tasks that Winnow wrote:
    each names the clip that it asks about by `sample_id`."""
    task = document[0] if isinstance(document, list) and document else None
    if not isinstance(task, dict):
        return False
    if isinstance(data := task.get("data"), dict):
        return "sample_id" in data and not task.keys().isdisjoint({"annotations", "completions", "predictions"})
    return "sample_id" in task and not task.keys().isdisjoint({"annotator", "annotation_id"})


def _tables(value: object, said: Mapping[str, object] | None = None, depth: int = 0) -> list[list[dict[str, object]]]:
    """The lists that a value holds, each as rows; `said` is what the keys above say of them."""
    said = dict(said or {})
    if depth > MAX_DEPTH:
        return []
    if isinstance(value, list):
        return [[_row(item, said) for item in value if item is not None]] if value else []
    if not isinstance(value, dict) or not value:
        return []
    keys = [str(key) for key in value]
    if sum(bool(shapes.address_kind(key, {})) for key in keys) >= 0.9 * len(keys):
        return [[row for key, inner in value.items() for row in _keyed(str(key), inner, said)]]
    if not any(isinstance(inner, (list, dict)) for inner in value.values()) or _names_a_video(value):
        return [[_row(value, said)]]
    if all(isinstance(inner, dict) and _names_a_video(inner) for inner in value.values()):
        return [[_row({"key": key, **inner}, said) for key, inner in value.items()]]
    tables = []
    for key, inner in value.items():
        about: dict[str, object] = {}
        if plain(str(key)) in _SPLITS:
            about = {"split": str(key)}
        elif plain(str(key)) not in _WRAPPERS and isinstance(inner, list) and _are_names(inner):
            about = {"labels": [str(key)]}
        tables += _tables(inner, said | about, depth + 1)
    if _same_kind(tables):
        return [[row for table in tables for row in table]]
    return tables


def _are_names(values: list) -> bool:
    """Whether a list holds the videos of a class: names, or objects with one."""
    named = [_names_a_video(v) if isinstance(v, dict) else shapes.address_kind(v, {}) for v in values[:100]]
    return sum(map(bool, named)) > 0.5 * len(named)


def _same_kind(tables: list[list[dict[str, object]]]) -> bool:
    return len(tables) > 1 and len({frozenset(table[0]) for table in tables if table}) == 1


def _names_a_video(value: Mapping[str, object]) -> bool:
    named = (value.get(key) for key in value if plain(str(key)) in ("url", "video_url", "youtube_id", "id", "video_id"))
    return any(shapes.address_kind(inner, {}) for inner in named)


def _keyed(key: str, inner: object, said: Mapping[str, object]) -> Iterator[dict[str, object]]:
    """Rows of what stands under a video's id or address."""
    if isinstance(inner, dict):
        yield {"key": key, **said, **{str(name): value for name, value in inner.items()}}
    elif isinstance(inner, list) and inner and all(isinstance(item, dict) for item in inner):
        for item in inner:
            yield {"key": key, **said, **item}
    elif shapes.pair_of(inner) is not None or (
        isinstance(inner, list) and inner and all(shapes.pair_of(item) is not None for item in inner)
    ):
        yield {"key": key, **said, "span": inner}
    else:
        yield {"key": key, **said, "labels": inner}


def _row(item: object, said: Mapping[str, object]) -> dict[str, object]:
    if isinstance(item, dict):
        return {**said, **{str(key): value for key, value in item.items()}}
    if isinstance(item, (list, tuple)):
        return {**{f"column {at}": cell for at, cell in enumerate(item, 1)}, **said}
    return {"item": item, **said}


def _joined(tables: list[list[dict[str, object]]]) -> list[dict[str, object]]:
    """The rows that name videos, each with what other tables say under the same id: a list a column."""
    addressed = [table for table in tables if _is_addressed(table)]
    if not addressed:
        longest = max(tables, key=len, default=[])
        if not longest:
            raise ListRefused("a JSON document that holds no list: an array of objects, or objects by id, is wanted")
        return longest
    rows = [row for table in addressed for row in table]
    for table in tables:
        if any(table is one for one in addressed):
            continue
        keys = [key for key in table[0] if key in rows[0] and plain(key).endswith(("id", "key", "name"))]
        for key in keys[:1]:
            said: dict[object, list[dict[str, object]]] = {}
            for row in table:
                said.setdefault(_hashable(row.get(key)), []).append(row)
            for row in rows:
                for other in said.get(_hashable(row.get(key)), []):
                    for name, value in other.items():
                        if name != key and (name not in row or isinstance(row[name], _Said)):
                            row.setdefault(name, _Said())
                            row[name].append(value)  # type: ignore[attr-defined]
    return rows


class _Said(list):
    """A column that came from another table."""


def _hashable(value: object) -> object:
    return value if isinstance(value, (str, int, float)) else None


def _is_addressed(table: list[dict[str, object]]) -> bool:
    head = table[:50]
    found = [
        any(shapes.address_kind(value, {}) for name, value in row.items() if name not in ("image", "icon"))
        for row in head
    ]
    return bool(head) and sum(found) >= 0.5 * len(head)
