"""Fence: a downloader in a process of its own, which no page can make compute, grow or wait without end.

What a site says decides how much yt-dlp computes: patterns over pages of megabytes, manifests that name a million
parts. None of that asks the network, so no deadline of a socket ends it, and none of it is bounded by yt-dlp. A child
has limits of CPU and memory that the kernel holds, and the deadline of its file kills it. What it did then is that
link's failure, and the next link gets a new child.

Children are forked from a server that has yt-dlp imported already and runs no thread (`multiprocessing`, forkserver);
a child serves one link after the other. It works under the same guard as a download in this process would.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import signal
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from winnow.core import own_fault
from winnow.core.errors import ConfigError, TransientError
from winnow.core.sample import Reason, SampleFailed
from winnow.fetching.egress import Guard, Network, Policy

if TYPE_CHECKING:
    from winnow.fetching.download import Download, Downloader

#: How often a deadline is looked at while a child works, s.
WATCH_S = 0.1
#: What a child may allocate beyond what it had when it began, bytes, and compute for one link, s.
MEMORY_BYTES = 384 << 20
CPU_S = 60
#: A Unix socket's path has 108 bytes, and multiprocessing adds to this one.
MAX_TMPDIR_CHARS = 72
_MEMORY = f"its page needs more than the {MEMORY_BYTES >> 20} MiB of memory that a link may take"
_PACE, _DONE, _FAILED, _OURS = "pace", "done", "failed", "ours"
_starting = threading.Lock()


@dataclass(frozen=True)
class Terms:
    """What a child is made with: a Downloader's parameters, the networks that may be reached, its limits (bytes beyond
    what it begins with, s of CPU a link), and the function of a module that makes its downloader."""

    format: str
    rewrites: Mapping[str, str]
    timeout_s: float
    max_bytes: int
    allow: tuple[Network, ...]
    memory_bytes: int = MEMORY_BYTES
    cpu_s: int = CPU_S
    make: Callable[[Terms], Downloader] | None = None


def plain(terms: Terms) -> Downloader:
    """The downloader of a child."""
    from winnow.fetching.download import Downloader

    return Downloader(terms.format, terms.rewrites, terms.timeout_s, terms.max_bytes)


class FencedDownloader:
    """As `download.Downloader`, in a child; reused from link to link, never by two threads at once."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self._child: multiprocessing.process.BaseProcess | None = None
        self._line: Connection | None = None

    def fetch(self, url: str, folder: Path, guard: Guard, pace: Callable[[], None] = lambda: None) -> Download:
        """Download `url` into the empty `folder`. SampleFailed with the Reason where there is nothing to keep:
        `over_limit` where its page asked for more than the fence allows, `timeout` when `guard` was aborted."""
        line = self._line or self._start()
        try:
            line.send((url, folder))
            while True:
                while not line.poll(WATCH_S):
                    if guard.aborted:
                        self.end()
                        raise SampleFailed(Reason.timeout, "not complete within the time for one file")
                kind, said = line.recv()
                if kind != _PACE:
                    break
                pace()
                line.send(None)
        except (EOFError, ConnectionError) as gone:
            raise self._ended() from gone
        if kind == _DONE:
            return said
        if kind == _OURS:
            raise TransientError(said)
        if said[0] is Reason.over_limit:
            self.end()
        raise SampleFailed(*said)

    def end(self) -> int | None:
        """End the child, if there is one; its exit code."""
        child, line, self._child, self._line = self._child, self._line, None, None
        if line is not None:
            line.close()
        if child is None:
            return None
        child.join(WATCH_S)  # one that ended by itself says how
        child.kill()
        child.join()
        return child.exitcode

    def _start(self) -> Connection:
        if len(tempfile.gettempdir()) > MAX_TMPDIR_CHARS:
            raise ConfigError(
                f"TMPDIR is longer than {MAX_TMPDIR_CHARS} characters, too long for the socket of a download's process "
                "beneath it: choose another"
            )
        context = multiprocessing.get_context("forkserver")
        with _starting:  # the server is started once
            context.set_forkserver_preload(["__main__", "winnow.fetching.download"])
            self._line, theirs = context.Pipe()
            self._child = context.Process(target=_serve, args=(theirs, self.terms, dict(os.environ)), daemon=True)
            self._child.start()
        theirs.close()
        return self._line

    def _ended(self) -> Exception:
        """What a child that answers no more stands for."""
        code = self.end()
        if code == -signal.SIGXCPU:
            return SampleFailed(Reason.over_limit, f"its page takes more than {self.terms.cpu_s} s of computing")
        return SampleFailed(
            Reason.killed,
            f"its download's process ended with {code}, mostly for want of memory: give the pod more or lower "
            "WINNOW_FETCH_CONCURRENCY, then try the row again by this reason",
        )


def _serve(line: Connection, terms: Terms, environment: Mapping[str, str]) -> None:
    """A child's life: one link after the other, until nobody listens."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is asked to stop, and its end is seen here
    os.environ.clear()
    os.environ.update(environment)
    downloader = (terms.make or plain)(terms)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most = _address_space() + terms.memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    policy = Policy(terms.allow)

    def pace() -> None:
        line.send((_PACE, None))
        line.recv()

    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            url, folder = line.recv()
            used = resource.getrusage(resource.RUSAGE_SELF)
            resource.setrlimit(
                resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + terms.cpu_s, resource.RLIM_INFINITY)
            )
            line.send(_answer(downloader, url, folder, Guard(policy), pace))


def _answer(downloader, url: str, folder: Path, guard: Guard, pace: Callable[[], None]) -> tuple[str, object]:
    """(kind, what is said) of one link."""
    try:
        return _DONE, downloader.fetch(url, folder, guard, pace)
    except (EOFError, ConnectionError):
        raise  # the parent is gone
    except SampleFailed as failure:
        return _FAILED, (failure.reason, failure.detail)
    except Exception as error:
        if any(isinstance(link, MemoryError) for link in own_fault.chain(error)):
            return _FAILED, (Reason.over_limit, _MEMORY)
        try:
            unknown = own_fault.internal_error(error)
        except TransientError as ours:
            return _OURS, str(ours)
        return _FAILED, (unknown.reason, unknown.detail)


def _address_space() -> int:
    """Bytes of address space that this process has (`RLIMIT_AS` counts these)."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
