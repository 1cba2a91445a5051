"""Faults of our own side: a full or read-only disk, too many open files, no memory left; a file of the lake that is
not what was committed; the store that it lies in. They say nothing about a sample, so they are never its outcome: the
shard ends with a TransientError (or the ContractError), nothing of it is committed, and the same command works once
there is room.
"""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Iterator

from winnow.core import extras, store_fault
from winnow.core.errors import TransientError, WinnowError
from winnow.core.sample import Reason, SampleFailed

#: Of the operating system, whoever raised it.
_OURS = {
    errno.ENOSPC: "a file system is full",
    errno.EDQUOT: "a quota of disk is used up",
    errno.EROFS: "a file system is read-only",
    errno.EMFILE: "this process has too many open files",
    errno.ENFILE: "this machine has too many open files",
}
#: Ours only from Python itself: FFmpeg says the same of broken media (a frame of an absurd size, a file cut short).
_OURS_UNLESS_MEDIA = {errno.EIO: "a disk fails", errno.ENOMEM: "there is no memory left"}


def of(error: BaseException | None) -> WinnowError | None:
    """The TransientError that an exception stands for, itself or by what it comes from, or what is wrong with the
    store (`winnow.core.store_fault`); None where it is no fault of our own side."""
    links = list(chain(error))
    for link in links:  # before what a store's client makes of it: s3fs says "input/output error" of much
        if isinstance(link, TransientError):
            return link
        if fault := store_fault.of(link):
            return fault
    for link in links:
        said = _said(link)
        if said:
            where = getattr(link, "filename", None)
            return TransientError(
                f"{said}{f' ({where})' if where else ''}: nothing of this shard was committed. Make room in the lake "
                "and in TMPDIR (or raise the limit), then run the same command again"
            )
    return None


def internal_error(error: Exception) -> SampleFailed:
    """The failure of a sample that an exception nobody foresaw stands for, its traceback on stderr; a fault of our own
    side is raised instead, as a TransientError, a library that is not installed as the ConfigError that names its
    extra, and so is what Winnow itself raises on purpose."""
    if isinstance(error, WinnowError):
        raise error
    if fault := of(error) or extras.missing(error):
        raise fault from error
    traceback.print_exception(error, file=sys.stderr)
    return SampleFailed(Reason.internal_error, type(error).__name__)


def _said(error: BaseException) -> str | None:
    media = type(error).__module__.split(".")[0] == "av"
    if isinstance(error, MemoryError):
        return None if media else _OURS_UNLESS_MEDIA[errno.ENOMEM]
    if not isinstance(error, OSError):
        return None
    number = error.errno or 0
    return _OURS.get(number) or (None if media else _OURS_UNLESS_MEDIA.get(number))


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and everything that it says it comes from, outermost first; libraries keep that in attributes of
    their own too (`cause`, `exc_info`, `reason`)."""
    todo, seen = [error], set()
    while todo:
        link = todo.pop(0)
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        inner = getattr(link, "exc_info", None)
        near = (getattr(link, "cause", None), inner[1] if inner else None, getattr(link, "reason", None))
        far = (link.__cause__, link.__context__)
        todo += [one for one in (*near, *far) if isinstance(one, BaseException)]
