"""Pointers: small files that say which of several committed things counts (heads of stages and batches, the model, the
corpus table, the release in use). A writer notes a pointer's state before it reads what it will work on, and moves it
only from that state: one that began before a newer one wrote is refused, and changes nothing.

On a local or mounted file system the two halves of a move are one under a lock that the kernel frees when its holder
dies; in S3 the store compares (`If-Match`). A store of another kind is asked just before the write, and the user told.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from winnow.core.errors import TransientError

LOCK = ".pointers.lock"
SHOWN = 200


class Files(Protocol):
    """What a pointer needs of a lake; `compares`: its store can replace a file only if it is the one that was seen."""

    is_local: bool
    compares: bool
    fs: Any

    def full(self, key: str) -> str:
        """Where a key lies: a path or an address."""

    def read_or_none(self, key: str) -> bytes | None:
        """A file's bytes; None where there is no such file."""

    def write(self, key: str, data: bytes) -> None:
        """Write a file, whole or not at all."""

    def create(self, key: str, data: bytes) -> bool:
        """Write a file that is not there yet; False where it is."""

    def etag(self, key: str) -> str:
        """What a store calls a file's content as it is now."""

    def replace_in_store(self, key: str, data: bytes, etag: str) -> bool:
        """Write a file of a store if its content is still that; False where it is not."""

    def sync_folder(self, key: str) -> None:
        """Bring the names in a folder to the disk."""


class StaleWriter(TransientError):
    """A pointer was moved by another process since this one began: what this one made is older."""


class Pointer:
    """A pointer as it was when this was made. Make it before reading what the new value follows from."""

    def __init__(self, lake: Files, key: str) -> None:
        self.lake, self.key = lake, key
        self.state = _state(lake, key)

    def move(self, data: bytes, again: str) -> None:
        """Write a new value; untouched when it has it already. StaleWriter, and nothing changed, when another process
        wrote since this Pointer was made; `again` is the command that then makes it from what is there now."""
        if self.lake.read_or_none(self.key) == data:
            return
        if self._moved(data):
            self.state = _state(self.lake, self.key)
        elif self.lake.read_or_none(self.key) != data:  # it does where the store's answer to our own write was lost
            raise StaleWriter(
                f"{self.lake.full(self.key)} was written by another process{_when(self.lake, self.key)} after this one "
                f"began, so what this one made is the older one and nothing was changed. It now says {self._said()}. "
                f"Run `{again}` again"
            )

    def _moved(self, data: bytes) -> bool:
        lake, key = self.lake, self.key
        if lake.is_local:
            with locked(lake):
                if _state(lake, key) != self.state:
                    return False
                lake.write(key, data)
                lake.sync_folder(key)
                return True
        if not self.state:
            return lake.create(key, data)
        if lake.compares:
            return lake.replace_in_store(key, data, self.state)
        _warn(lake)
        if _state(lake, key) != self.state:
            return False
        lake.write(key, data)
        return True

    def _said(self) -> str:
        text = " ".join((self.lake.read_or_none(self.key) or b"nothing").decode(errors="replace").split())
        return text if len(text) <= SHOWN else f"{text[:SHOWN]} …"


@cache
def _told(kind: str) -> None:
    print(
        f"winnow: a store of kind {kind} does not compare before it replaces a file. Of two commands that end on one "
        "batch in the same moment both may count it as theirs: run one at a time for each batch",
        file=sys.stderr,
        flush=True,
    )


def _warn(lake: Files) -> None:
    """Say once what such a store cannot do; memory is of this process alone."""
    kind = lake.fs.protocol if isinstance(lake.fs.protocol, str) else lake.fs.protocol[0]
    if kind != "memory":
        _told(kind)


def _state(lake: Files, key: str) -> str:
    """What changes whenever a file is written; "" when it is not there."""
    if lake.is_local:
        try:
            with open(lake.full(key), "rb") as file:
                stat = os.fstat(file.fileno())
                return f"{stat.st_ino} {stat.st_mtime_ns} {sha256(file.read()).hexdigest()}"
        except FileNotFoundError:
            return ""
    if lake.compares:
        return lake.etag(key)
    data = lake.read_or_none(key)
    return "" if data is None else sha256(data).hexdigest()


def _when(lake: Files, key: str) -> str:
    with suppress(OSError, NotImplementedError):
        return f" at {datetime.fromtimestamp(lake.fs.modified(lake.full(key)).timestamp(), UTC):%Y-%m-%d %H:%M:%S} UTC"
    return ""


@contextmanager
def locked(lake: Files) -> Iterator[None]:
    """While this is held, no pointer of a lake on a file system moves."""
    path = Path(lake.full(LOCK))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
