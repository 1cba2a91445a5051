"""Samples: their ids, and what became of them.

A sample is a candidate, a video or a clip. Its id is derived from content and logical names only, never from a clock,
a host or a folder, so that the same lists give the same ids everywhere; the source's own id stays a column.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING

from winnow.core.errors import ConfigError

if TYPE_CHECKING:
    from winnow.core.shard_tar import Kept, Spool

ID_CHARS = 20
_BATCH = re.compile(r"[a-z0-9][a-z0-9_.-]*\Z")


def sid(*parts: object) -> str:
    """A sample id: the first 20 hex characters (80 bits) of SHA-256 over the parts."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:ID_CHARS]


def milliseconds(seconds: float | None) -> int | str:
    """Whole milliseconds of a time in s, '' for none: times enter ids as integers."""
    return "" if seconds is None else round(seconds * 1000)


def candidate_id(video_id: str, start_s: float | None, end_s: float | None) -> str:
    """Id of one listed candidate: a video, or a stretch of it (times in s)."""
    return sid("candidate", video_id, milliseconds(start_s), milliseconds(end_s))


def clip_id(video_id: str, start_s: float, end_s: float) -> str:
    """Id of one clip of a video (times in s on the video's clock)."""
    return sid("clip", video_id, milliseconds(start_s), milliseconds(end_s))


def check_batch(key: str) -> str:
    """The key itself when it can name a batch (it becomes a path), else a ConfigError."""
    if not key:
        raise ConfigError(
            "no batch is named: give its key, as in 2026-11-01 (where Airflow asks, as the run's partition or in its "
            "Param `batch`)"
        )
    if not _BATCH.match(key):
        raise ConfigError(
            f"{key!r} cannot name a batch: use lower-case letters, digits, '.', '_', '-', as in 2026-11-01"
        )
    return key


class Reason(str, Enum):
    """Why a sample has no value: a closed list. `transient` ones may be tried again (`--retry-reasons`)."""

    # a row of a list
    bad_row = "bad_row"
    missing_url = "missing_url"
    bad_url = "bad_url"
    bad_time = "bad_time"
    duplicate_row = "duplicate_row"
    # a download
    gone = "gone"
    forbidden = "forbidden"
    refused = "refused"
    throttled = "throttled"
    timeout = "timeout"
    server_error = "server_error"
    unresolved_host = "unresolved_host"
    incomplete = "incomplete"
    not_media = "not_media"
    too_large = "too_large"
    blocked_address = "blocked_address"
    blocked_scheme = "blocked_scheme"
    missing_file = "missing_file"
    unsupported_site = "unsupported_site"
    over_limit = "over_limit"
    taken_down = "taken_down"
    # a file
    no_video_stream = "no_video_stream"
    no_audio_stream = "no_audio_stream"
    undecodable = "undecodable"
    outside_media = "outside_media"
    empty_clip = "empty_clip"
    # the house
    no_input = "no_input"
    internal_error = "internal_error"
    killed = "killed"

    @property
    def transient(self) -> bool:
        """Whether trying again later may help."""
        return self in TRANSIENT

    @property
    def systemic(self) -> bool:
        """Whether it blames the system rather than the data, and so counts against a shard's failure budget."""
        return self.transient or self in OURS


#: Reasons that the outside may take back.
TRANSIENT = frozenset(
    {Reason.refused, Reason.throttled, Reason.timeout, Reason.server_error, Reason.unresolved_host, Reason.incomplete}
)


#: What may have been our own fault.
OURS = frozenset({Reason.internal_error, Reason.killed})
#: What a run may name to try its rows again.
RETRYABLE = TRANSIENT | OURS | {Reason.over_limit}


class SampleFailed(Exception):
    """Raised by a stage for one sample: it becomes a failed row. `detail` names no port, path or clock."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Outcome:
    """What one sample became in one stage: `ok` with values, or `failed` with a Reason and a detail."""

    sample_id: str
    reason: Reason | None = None
    detail: str | None = None
    values: Mapping[str, object] = field(default_factory=dict)
    parent: str | None = None
    files: Mapping[str, bytes | Kept] = field(default_factory=dict)

    def laid_aside(self, spool: Spool) -> Outcome:
        """The same outcome, its files on the disk."""
        if not self.files:
            return self
        kept = {ext: spool.keep(data) if isinstance(data, bytes) else data for ext, data in self.files.items()}
        return replace(self, files=kept)

    @classmethod
    def ok(
        cls,
        sample_id: str,
        values: Mapping[str, object],
        *,
        parent: str | None = None,
        files: Mapping[str, bytes | Kept] | None = None,
    ) -> Outcome:
        """A measured sample; a fan-out stage names the input it came from as `parent`, and its media as `files`."""
        return cls(sample_id, values=values, parent=parent, files=files or {})

    @classmethod
    def failed(
        cls,
        sample_id: str,
        reason: Reason,
        detail: str,
        *,
        parent: str | None = None,
        values: Mapping[str, object] | None = None,
    ) -> Outcome:
        """A sample without a value, and why; `values` may keep what identifies it (ids, url)."""
        return cls(sample_id, Reason(reason), detail[:500], values=values or {}, parent=parent)
