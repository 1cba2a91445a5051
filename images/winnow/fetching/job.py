"""A job: one download in progress, and what its requests have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from winnow.core.sample import Reason, SampleFailed
from winnow.fetching.egress import SCHEMES, Blocked, Guard

#: Most parts of an HLS or DASH stream: a day in parts of two seconds.
MAX_PARTS = 43_200


@dataclass
class Job:
    """One download in progress: what its requests have in common. `pace` returns when the next one may start;
    `trouble` is the last answer that broke off: the downloader gives up with words alone."""

    guard: Guard
    mirror: Callable[[str], str]
    max_bytes: int
    pace: Callable[[], None]
    redirects: int = 0
    trouble: BaseException | None = None

    def address(self, url: str) -> str:
        """Where a request really goes: the deployment's mirror of the address; Blocked for a scheme nobody may use."""
        scheme = urlsplit(url).scheme.lower()
        if scheme not in SCHEMES:
            what = f"{scheme}: addresses are not fetched, only http and https"
            raise self.guard.refuse(Blocked(Reason.blocked_scheme, what))
        return self.mirror(url)

    def progress(self, status: Mapping[str, object]) -> None:
        """yt-dlp's progress hook: what is promised and what has come must both fit."""
        parts = status.get("fragment_count")
        if isinstance(parts, int) and parts > MAX_PARTS:
            raise SampleFailed(Reason.too_large, f"in {parts} parts; the most is {MAX_PARTS}")
        sizes = (status.get("downloaded_bytes"), status.get("total_bytes"))
        if any(isinstance(size, int) and size > self.max_bytes for size in sizes):
            raise too_large()


def too_large() -> SampleFailed:
    """The failure of a file beyond the deployment's bound."""
    return SampleFailed(Reason.too_large, "larger than WINNOW_FETCH_MAX_BYTES allows")


class Working(Protocol):
    """A client that works on one job at a time."""

    job: Job | None
