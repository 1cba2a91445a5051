"""Downloaders that a fence is for. Functions of a module, since a child finds them by name."""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path

from winnow.fetching.download import Download
from winnow.fetching.fence import Terms, plain


class Strange:
    """Does what an address says."""

    def __init__(self, terms: Terms) -> None:
        self.real = plain(terms)

    def fetch(self, url: str, folder: Path, guard: object, pace: object) -> Download:
        if (what := url.rsplit("/", 1)[-1]) not in TRICKS:
            return self.real.fetch(url, folder, guard, pace)
        TRICKS[what]()
        return Download(folder, "video/mp4", "mp4", title=os.environ.get("TITLE"), redirects=os.getpid())


def _compute() -> None:
    while True:
        pass


def _full() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


TRICKS = {
    "compute": _compute,
    "grow": lambda: bytearray(1 << 30),
    "wait": lambda: time.sleep(60),
    "die": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "stumble": lambda: 1 / 0,
    "full": _full,
    "nothing": lambda: None,
}
