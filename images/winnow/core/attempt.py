"""Attempts: what an attempt at a shard leaves behind when the kernel ends it, mostly for want of memory.

An attempt writes down which samples it works on and takes that away when it ends by itself, unless memory ran out.
Where it still stands, this one works on one sample at a time, and a sample that was alone when it happened again fails
by name (`killed`), so that it does not cost the others their rows. An attempt that finishes no sample for longer than
the deployment's `stall_s` ends itself the same way: a decoder that a broken file holds in a circle asks nobody.

An attempt that is still at work, as a lock says that the kernel frees, was ended by nobody: a second one beside it
holds nothing against its samples.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import TextIO

from winnow.core.lake import Lake
from winnow.core.sample import Outcome, Reason
from winnow.core.stage import Sample

DETAIL = (
    "the process was killed, stood still or was out of memory twice while it worked on this sample, the second time on "
    "it alone: give it more memory, then try the row again by this reason"
)


class Attempt:
    """One attempt at a shard, as a context; `killed` are the ids of samples that it does not touch, `stall_s` is the
    longest time without a finished sample, s. `tell` hears, whenever it begins on samples, whether on each alone and
    how many it does not touch."""

    def __init__(
        self,
        lake: Lake,
        folder: str,
        shard: str,
        stall_s: float,
        tell: Callable[[bool, int], None] = lambda alone, killed: None,
    ) -> None:
        self.lake, self.stall_s, self.tell = lake, stall_s, tell
        self.key = f"{folder}/.{shard}.attempt"  # hidden, as what killed writers leave: Lake.sweep takes it in the end
        self.killed: list[str] = []
        self.alone = False
        #: Whether no other attempt at this shard is at work: only then is a note of this one kept.
        self.first = True
        self._lock: TextIO | None = None

    def __enter__(self) -> Attempt:
        self._claim()
        left = self.lake.read_or_none(self.key)
        if left is not None:
            self.alone = self.first
            with contextlib.suppress(ValueError, KeyError, TypeError):  # torn: which sample it was will be seen
                told = json.loads(left)
                self.alone = self.alone or told["alone"]
                self.killed = [*told["killed"], *(told["working"] if told["alone"] and self.first else [])]
        self._restore = terminated_by_an_exception()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.first and not out_of_memory(error):
            self.lake.remove(self.key)
        if self._lock is not None:
            Path(self._lock.name).unlink(missing_ok=True)
            self._lock.close()
        self._restore()

    def _claim(self) -> None:
        """Take the shard's lock, where the lake has locks."""
        if not self.lake.is_local:
            return
        path = Path(self.lake.full(f"{self.key}.lock"))
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._lock = lock
        except OSError as error:  # held; or a mount without locks
            self.first = not isinstance(error, BlockingIOError)
            lock.close()

    def groups(self, samples: Sequence[Sample]) -> Iterator[list[Sample]]:
        """The samples to work on, together or one at a time; what is handed out is written down before."""
        todo = [sample for sample in samples if sample.id not in self.killed]
        for group in [[sample] for sample in todo] if self.alone else [todo]:
            self._works_on(group)
            self.tell(self.alone, len(self.killed))
            yield group
        if self.alone:
            self._works_on([])  # what ends it now is no sample's fault

    def _works_on(self, group: Sequence[Sample]) -> None:
        if not self.first:
            return
        working = {"working": [sample.id for sample in group], "alone": self.alone, "killed": self.killed}
        self.lake.write(self.key, json.dumps(working).encode())

    def watched(self, outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
        """The outcomes as they come. Where none comes for `stall_s` this process is killed, from a thread of its own,
        and what it worked on stays written down."""
        came, over = threading.Event(), threading.Event()

        def watch() -> None:
            while came.wait(self.stall_s):
                came.clear()
                if over.is_set():
                    return
            print(
                f"winnow: {self.key}: no sample was finished for {self.stall_s:g} s (WINNOW_STALL_S), so this attempt "
                "ends. The same command goes on from here, with each sample of this shard alone",
                file=sys.stderr,
                flush=True,
            )
            os.kill(os.getpid(), signal.SIGKILL)

        watching = threading.Thread(target=watch, name="stall", daemon=True)
        watching.start()
        try:
            for outcome in outcomes:
                came.set()
                yield outcome
        finally:
            over.set()
            came.set()
            watching.join()

    def failed(self, samples: Sequence[Sample]) -> list[Outcome]:
        """Outcomes of the samples that `groups` leaves out."""
        return [Outcome.failed(sample.id, Reason.killed, DETAIL) for sample in samples if sample.id in self.killed]


def out_of_memory(error: BaseException | None) -> bool:
    """Whether an exception, or what it comes from, says that there is no memory."""
    while error is not None and not isinstance(error, MemoryError):
        error = error.__cause__ or error.__context__
    return error is not None


def terminated_by_an_exception() -> Callable[[], object]:
    """Let SIGTERM end this process as an exception would, for as long as nobody else asked for it; how to undo that. An
    evicted pod is no sample's fault. It is asked once: what comes again, to this process and to its group, changes
    nothing."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        return lambda: None

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)
    return lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL)
