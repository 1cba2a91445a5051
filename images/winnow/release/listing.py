"""Listing: what lies in a folder of a lake, how large it is, and when it was written by the clock of who stores it.

On a disk what is hidden is listed too: a writer's own, at work or killed. In a store nothing is hidden: a file is there
whole or not at all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from winnow.core.lake import Lake

#: Names that stores have for when a file was written; memory's is `created`.
_WRITTEN = ("LastModified", "last_modified", "mtime", "updated", "created")


@dataclass(frozen=True)
class Entry:
    """A file: its size, bytes; when it was written, s since the epoch; what its removal frees, bytes."""

    bytes: int
    written: float
    frees: int


def listed(lake: Lake, folder: str, deep: bool = False) -> dict[str, Entry]:
    """Files in a folder, in the order of their names (of their paths below it where `deep`); {} where there is none."""
    if lake.is_local:
        root = Path(lake.full(folder))
        paths = [path for path in (root.rglob("*") if deep else root.glob("*")) if path.is_file()]
        found = {path.relative_to(root).as_posix(): _on_disk(path) for path in paths}
        return dict(sorted((name, entry) for name, entry in found.items() if entry is not None))
    try:
        if deep:
            infos = lake.fs.find(lake.full(folder), detail=True).values()
        else:
            infos = lake.fs.ls(lake.full(folder), detail=True)
    except FileNotFoundError:
        return {}
    base = PurePosixPath(lake.full(folder).removeprefix("/"))
    files = {_below(base, info["name"]): _in_store(info) for info in infos if info["type"] == "file"}
    return dict(sorted(files.items()))


def written(lake: Lake, key: str) -> float | None:
    """When a file was written, s; None for one that is not there."""
    if lake.is_local:
        entry = _on_disk(Path(lake.full(key)))
        return entry.written if entry else None
    try:
        return _in_store(lake.fs.info(lake.full(key))).written
    except FileNotFoundError:
        return None


def now(lake: Lake, key: str) -> float:
    """The time as who stores the lake has it, which dates the others' files too: of a file that is written to `key` and
    removed. It is read of a listing, as theirs are: of one file alone stores say whole seconds."""
    lake.remove(key)
    lake.write(key, b"now")
    folder, _, name = key.rpartition("/")
    try:
        return listed(lake, folder)[name].written
    finally:
        lake.remove(key)


def _on_disk(path: Path) -> Entry | None:
    """A file that has another name besides frees nothing."""
    with contextlib.suppress(FileNotFoundError):
        stat = path.stat()
        return Entry(stat.st_size, stat.st_mtime, stat.st_size if stat.st_nlink == 1 else 0)
    return None


def _in_store(info: Mapping[str, Any]) -> Entry:
    at = next(info[name] for name in _WRITTEN if info.get(name))
    at = datetime.fromisoformat(at) if isinstance(at, str) else at
    return Entry(info["size"], at.timestamp() if isinstance(at, datetime) else float(at), info["size"])


def _below(base: PurePosixPath, name: str) -> str:
    return PurePosixPath(name.removeprefix("/")).relative_to(base).as_posix()
