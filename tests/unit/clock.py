"""A clock that is set ahead or back: what Winnow's code in this process is told from then on. For processes of their
own (forks, scripts), since nothing sets it right again. Libraries keep the true one (compiled ones check the size of
the class), and the file system goes on dating files by the kernel's, as a server of files does whose clock is right.
"""

from __future__ import annotations

import datetime as datetimes
import sys
import time

# All that ask what time it is, so that none is imported later and asks the true one.
import winnow.core.planned_table
import winnow.core.pointer
import winnow.core.runtime
import winnow.explorer.answers
import winnow.release.publish  # noqa: F401

YEAR_S = 365 * 86400.0
_TRUE, _time, _time_ns = datetimes.datetime, time.time, time.time_ns


def set_clock(by_s: float) -> None:
    """Set it by so many seconds (below zero: back)."""
    by = datetimes.timedelta(seconds=by_s)

    class Set(_TRUE):
        @classmethod
        def now(cls, tz: datetimes.tzinfo | None = None) -> datetimes.datetime:
            return _TRUE.now(tz) + by

    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("winnow", "tests") and vars(module).get("datetime") is _TRUE:
            module.datetime = Set
    time.time = lambda: _time() + by_s
    time.time_ns = lambda: _time_ns() + int(by_s * 1e9)
