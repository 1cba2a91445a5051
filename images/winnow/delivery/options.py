"""Options: what an export is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from winnow.core.errors import ConfigError
from winnow.delivery.formats import WRITERS
from winnow.delivery.licences import MEDIA


@dataclass(frozen=True)
class Options:
    """What to export, and how: splits (all, where there are none), `format`, bytes of media a shard, whose files come
    along (`licences.MEDIA`)."""

    splits: tuple[str, ...] = ()
    format: str = "webdataset"
    shard_bytes: int = 256 << 20
    media: str = "shareable"

    def __post_init__(self) -> None:
        if self.format not in WRITERS:
            raise ConfigError(f"--format {self.format}: there are {', '.join(WRITERS)}")
        if self.media not in MEDIA:
            raise ConfigError(f"--media {self.media}: there are {', '.join(MEDIA)}")
        if self.shard_bytes < 1:
            raise ConfigError("--shard-mb: a shard has at least 1 MB")
