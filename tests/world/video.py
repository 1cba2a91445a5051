"""One source video as a record: what it shows and says, how it is encoded, where it lies, what is expected of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

import numpy as np

FIRST_DAY = date(2026, 11, 1)
HOST = "http://media.world.test/"
REFUSED_HOST = "http://refused.world.test/"
WATCH = "https://www.youtube.com/watch?v="

EXPECTED: dict[str, str] = {
    "mismatch": "low_correspondence",
    "voice_over": "low_correspondence",
    "music": "low_correspondence",
    "silence": "silent",
    "frozen": "frozen",
    "no_audio": "no_audio",
    "too_short": "too_short",
    "truncated": "undecodable",
    "text_as_mp4": "not_media",
    "gone": "gone",
    "refused": "refused",
    "redirect_private": "blocked_address",
    "hang": "timeout",
    "html": "not_media",
}
"""What an ideal curator says of each plant; what is not named here is to be kept."""


@dataclass(frozen=True)
class Video:
    """One source video: what it shows and says, how it is encoded, where it lies, what is expected of it.

    `file` is its path below the world's folder, None where a link leads to no file. `shots_s` are shot lengths;
    `segments` the (start, end) seconds its list asks for, empty for the whole video.
    """

    seed: int
    batch: int
    index: int
    video: str
    url: str
    file: str | None
    visual_class: str
    audio_class: str
    planted: str | None
    uploader: str | None
    of: str | None
    duration_s: float
    shots_s: tuple[float, ...]
    segments: tuple[tuple[float, float], ...]
    width: int
    height: int
    fps: Fraction
    container: str
    video_codec: str
    audio_codec: str
    rate_hz: int
    channels: int

    @property
    def key(self) -> str:
        """The batch key, a date."""
        return batch_key(self.batch)

    @property
    def copied(self) -> str | None:
        """How a near-duplicate was made beside being cropped, scaled, shifted and encoded again; None for no copy."""
        ways = ("plain", "mirrored", "darker")
        return ways[int(self.rng(10).integers(len(ways)))] if self.of else None

    @property
    def expected(self) -> str:
        """The reason or rule that should end this video's way, or 'kept'."""
        return EXPECTED.get(self.planted or "", "kept")

    def rng(self, *stream: int) -> np.random.Generator:
        """A random stream of this video's own."""
        return np.random.default_rng([self.seed, self.batch, self.index, *stream])


def batch_key(batch: int) -> str:
    """2026-11-01 for batch 0, and a day more for each that follows."""
    return (FIRST_DAY + timedelta(days=batch)).isoformat()
