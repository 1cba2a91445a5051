"""Nearby: copies, on this machine, of what lies in a bucket, for libraries that read files (DuckDB, dbt, NumPy's maps);
and folders that one command works in.

    <scratch>/copies/<lake>/<place>    a file of a lake, compared with its digest when it comes; fetched once
    <scratch>/runs/<command>/          a command's own, removed at its end or, where it was killed, by the next one

What copies may take is bounded (`WINNOW_SCRATCH_MB`): those that were used longest ago make room. What another process
may be about to open stays: processes that use copies hold a lock that the kernel frees when they end.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from winnow.core.errors import ConfigError, ContractError, TransientError
from winnow.core.lake import Lake, digest, sha256_file
from winnow.core.settings import load

#: Files that are fetched, or put up, at a time.
AT_A_TIME = 8
#: A copy that was used no longer ago than this may be in use by another process, s.
RECENT_S = 3600.0
_MEBI = 1 << 20


@dataclass(frozen=True)
class Wanted:
    """A file of a lake: its key, the place of its copy (its key, unless one is said), its digest where it is known."""

    key: str
    sha256: str | None = None
    place: str | None = None


class Nearby:
    """Copies of one lake's files. `most_bytes`: what all copies on this machine may take."""

    def __init__(self, lake: Lake, folder: Path | None = None, most_bytes: int | None = None) -> None:
        self.lake = lake
        self.scratch = folder or scratch()
        self.most_bytes = most_bytes if most_bytes is not None else load().scratch_mb * _MEBI
        self.root = self.scratch / "copies" / digest([lake.root, str(getattr(lake.fs, "endpoint_url", None))])

    def path(self, wanted: Wanted) -> Path:
        """Where the copy of a file lies once it is there."""
        return self.root / (wanted.place or wanted.key)

    def bring(self, files: Iterable[Wanted]) -> dict[Wanted, str]:
        """Have copies of these files; what is wrong with those of which there is none, in a word: "missing", or
        "changed" where the digest is another. ConfigError where they would take more than copies may."""
        files = list(dict.fromkeys(files))
        hold(self.scratch)
        todo = [file for file in files if not self._is_there(file)]
        wrong: dict[Wanted, str] = {}
        own = {self.path(file) for file in files}
        taken = sum(size for _, size, _ in self._copies()) if todo else 0
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            for first in range(0, len(todo), 4 * AT_A_TIME):
                part = todo[first : first + 4 * AT_A_TIME]
                found = zip(part, pool.map(self._fetch, part), strict=True)
                wrong |= {file: said for file, said in found if said}
                taken += sum(self.path(file).stat().st_size for file in part if file not in wrong)
                if taken > self.most_bytes:
                    taken = self._fit(own)
        return wrong

    def one(self, key: str, sha256: str | None = None) -> Path:
        """The copy of one file; FileNotFoundError, or ContractError for other bytes than its digest says."""
        wanted = Wanted(key, sha256)
        if said := self.bring([wanted]).get(wanted):
            if said == "missing":
                raise FileNotFoundError(self.lake.full(key))
            raise ContractError(f"{self.lake.full(key)} {said}: run `winnow verify --all`, which says how to mend it")
        return self.path(wanted)

    def forget(self, key: str) -> None:
        """Remove the copy of a file that is no longer what it was."""
        self.path(Wanted(key)).unlink(missing_ok=True)

    def _is_there(self, file: Wanted) -> bool:
        path = self.path(file)
        with suppress(FileNotFoundError):
            os.utime(path)
            if file.sha256 is None or sha256_file(path) == file.sha256:
                return True
            path.unlink()
        return False

    def _fetch(self, file: Wanted) -> str | None:
        path = self.path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
        try:
            self.lake.fetch(file.key, part)
            if file.sha256 is not None and sha256_file(part) != file.sha256:
                return "changed"
            os.replace(part, path)
        except FileNotFoundError:
            return "missing"
        finally:
            part.unlink(missing_ok=True)
        return None

    def _copies(self) -> list[tuple[float, int, Path]]:
        """When each copy was last used, its size, and where it is."""
        found = []
        for path in (self.scratch / "copies").rglob("*"):
            with suppress(FileNotFoundError):
                if path.is_file():
                    found.append((path.stat().st_mtime, path.stat().st_size, path))
        return found

    def _fit(self, wanted: set[Path]) -> int:
        """Remove copies until they take no more than they may: the ones used longest ago first, none that is wanted.
        What is left, bytes."""
        copies = self._copies()
        taken = sum(size for _, size, _ in copies)
        with _alone(self.scratch) as alone:
            before = time.time() - (0 if alone else RECENT_S)
            for used, size, path in sorted(copies):
                if taken > self.most_bytes and path not in wanted and used <= before:
                    path.unlink(missing_ok=True)
                    taken -= size
        if taken <= self.most_bytes:
            return taken
        said = f"copies of {self.lake.root} in {self.scratch} take {taken / _MEBI:.0f} MiB"
        if sum(size for _, size, path in copies if path in wanted) <= self.most_bytes:
            raise TransientError(
                f"{said}, more than WINNOW_SCRATCH_MB={self.most_bytes // _MEBI}, and other commands use them: run "
                "this one again when they are done, or raise it"
            )
        raise ConfigError(
            f"{said}, and WINNOW_SCRATCH_MB={self.most_bytes // _MEBI} is what they may take: raise it, or let "
            "WINNOW_SCRATCH name a larger disk"
        )


def put(lake: Lake, files: Iterable[tuple[Path, str]]) -> None:
    """Put local files up, several at a time. Each is there whole or not at all."""
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        list(pool.map(lambda file: lake.put_file(*file), files))


def scratch() -> Path:
    """The folder for copies and work of this user; ConfigError where it is somebody else's or cannot be made."""
    folder = load().scratch or Path(tempfile.gettempdir()) / f"winnow-{os.getuid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        owner = folder.stat().st_uid
    except OSError as error:
        raise ConfigError(f"WINNOW_SCRATCH={folder}: {error}") from error
    if owner != os.getuid():
        raise ConfigError(f"{folder} belongs to another user: name a folder of your own, WINNOW_SCRATCH=…")
    return folder.absolute()


@contextmanager
def work_folder(command: str) -> Iterator[Path]:
    """A folder that this command works in, removed afterwards, with those that killed commands left."""
    root = scratch() / "runs"
    root.mkdir(exist_ok=True)
    for left in root.glob("[!.]*"):
        with suppress(OSError), (left / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{command}-", dir=root))
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        held = folder.rename(root / folder.name[1:])
        try:
            yield held
        finally:
            shutil.rmtree(held, ignore_errors=True)


_held: dict[tuple[int, Path], IO[str]] = {}
_guard = threading.Lock()


def hold(folder: Path) -> IO[str]:
    """The lock of all that use copies, shared; this process holds it until it ends."""
    with _guard:
        if (os.getpid(), folder) not in _held:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _held[os.getpid(), folder] = file = (folder / "lock").open("a")
            fcntl.flock(file, fcntl.LOCK_SH)
        return _held[os.getpid(), folder]


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether no other process uses copies, and none begins to meanwhile."""
    file = hold(folder)
    with _guard:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(file, fcntl.LOCK_SH)
            yield False
            return
        try:
            yield True
        finally:
            fcntl.flock(file, fcntl.LOCK_SH)
