"""Lease: one writer at a time where no kernel holds a lock, in a bucket.

    <key>    {"token": 7, "holder": "host 4711", "beat": 12, "free": false}

It is taken, renewed and given back by compare-and-swap (`winnow.core.pointer`). A holder renews it three times in the
time that it lasts; who waits takes it over once it has not changed for all of that time by the waiter's own clock, so
no two machines' clocks are compared. Each taking has a higher token: a fence that a writer puts into what it means to
move, so that one who slept through the loss of its lease moves nothing any more (`winnow.release.publish.fence`).
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from winnow.core.errors import ContractError, TransientError
from winnow.core.pointer import Files, Pointer, StaleWriter

#: How long a lease lasts after it was last renewed, s: how long a dead holder keeps others waiting.
LASTS_S = 60.0


class LeaseLost(TransientError):
    """Another writer took over, because this one had not renewed its lease in time."""


def clock() -> float:
    """Seconds that go on while this machine sleeps, where it can tell."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Lease:
    """One holding of a lease, or the wait for it. `said` is what it is about, for people; `again` the command that is
    run again when it is lost; `now` and `sleep` are the clock, s."""

    def __init__(
        self,
        lake: Files,
        key: str,
        said: str,
        again: str,
        *,
        lasts_s: float = LASTS_S,
        now: Callable[[], float] = clock,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.lake, self.key, self.said, self.again = lake, key, said, again
        self.lasts_s, self._now, self._sleep = lasts_s, now, sleep
        self.token = 0
        self._beat, self._renewed = 0, float("-inf")
        self._pointer: Pointer | None = None
        self._lock = threading.Lock()

    def take(self) -> int:
        """Wait until it is ours; its token, higher than any before."""
        seen, since, told = "", self._now(), False
        while True:
            pointer = Pointer(self.lake, self.key)
            held = self._read()
            if pointer.state != seen:
                seen, since = pointer.state, self._now()
            if held is None or held["free"] or self._now() - since >= self.lasts_s:
                self.token = int(held["token"]) + 1 if held else 1
                began = self._now()
                with suppress(StaleWriter):  # another one was faster
                    pointer.move(self._text(), self.again)
                    self._pointer, self._renewed = pointer, began
                    return self.token
            elif not told:
                print(f"{self.said} ({held['holder']}); waiting for it", file=sys.stderr, flush=True)
                told = True
            self._sleep(self.lasts_s / 30)

    def renew(self) -> None:
        """Say that the holder is alive; LeaseLost when it is no longer ours."""
        with self._lock:
            began = self._now()
            self._beat += 1
            self._move(free=False)
            self._renewed = began

    def check(self) -> None:
        """LeaseLost unless it is ours for certain: renewed within its time."""
        if self._now() - self._renewed >= self.lasts_s:
            self._pointer = None
            raise self._lost()

    def give_back(self) -> None:
        """Let the next one have it at once; nothing where it is not ours any more."""
        with self._lock, suppress(LeaseLost):
            self._move(free=True)
            self._pointer = None

    @contextmanager
    def held(self) -> Iterator[Lease]:
        """Taken, renewed from a thread of its own, given back."""
        self.take()
        over = threading.Event()

        def renew() -> None:
            while not over.wait(self.lasts_s / 3):
                try:
                    self.renew()
                except LeaseLost:
                    return
                except Exception as error:  # the store is away: as long as it lasts, it may come back
                    print(f"winnow: {self.key} could not be renewed: {error}", file=sys.stderr, flush=True)

        thread = threading.Thread(target=renew, name="lease", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            over.set()
            thread.join()
            self.give_back()

    def _move(self, *, free: bool) -> None:
        if self._pointer is None:
            raise self._lost()
        for _ in range(2):
            try:
                self._pointer.move(self._text(free=free), self.again)
                return
            except StaleWriter:
                self._pointer = Pointer(self.lake, self.key)
                if (self._read() or {}).get("token") != self.token:
                    break  # else it is our own, from a renewal whose answer was lost
        self._pointer = None
        raise self._lost()

    def _text(self, *, free: bool = False) -> bytes:
        value = {
            "token": self.token,
            "holder": f"{socket.gethostname()} {os.getpid()}",
            "beat": self._beat,
            "free": free,
        }
        return (json.dumps(value, sort_keys=True) + "\n").encode()

    def _read(self) -> dict[str, Any] | None:
        where = self.lake.full(self.key)
        try:
            held: dict[str, Any] | None = json.loads(self.lake.read_or_none(self.key) or b"null")
            if held is None or {"token", "holder", "free"} <= held.keys():
                return held
        except (ValueError, AttributeError):
            pass
        raise ContractError(f"{where} is damaged: remove it while no `{self.again}` runs, then run it again")

    def _lost(self) -> LeaseLost:
        return LeaseLost(
            f"this writer lost its lease ({self.lake.full(self.key)}): it was not renewed for {self.lasts_s:g} s, and "
            f"another one may write now. Nothing was changed: run `{self.again}` again"
        )
