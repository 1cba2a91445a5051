"""Windows: a stretch of a clip as arrays, its pictures and its sound aligned by time stamps.

Both are on the clock of the clip's first picture: picture k of a window is the one on the screen k/`per_s` s after its
start, and its first sample is heard then. Starts lie on the grid of the pictures, so a window is the same whether it is
decoded alone or cut out of the whole clip. A clip that is shorter ends in its last picture and in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from winnow.core.errors import ConfigError
from winnow.core.lake import digest
from winnow.media import mixture_render, moments

#: Starts of a window without pictures lie so far apart, 1/s.
GRID_HZ = 100.0
#: Room for a clip whose length is a rounded one, s.
_SLACK_S = 1e-3


@dataclass(frozen=True)
class Window:
    """What is cut out of a clip: `seconds` of it, `per_s` pictures of `width` × `height` a second (0: none), sound of
    `rate_hz`, mono (0: none). place: where it begins: drawn by lot, in the middle, or with the clip. crop: pictures are
    shrunk and cut around the middle instead of stretched."""

    seconds: float
    per_s: float = 2.0
    width: int = 112
    height: int = 112
    rate_hz: int = 16_000
    place: Literal["random", "centre", "start"] = "random"
    crop: bool = False

    def __post_init__(self) -> None:
        if self.seconds <= 0 or self.per_s < 0 or self.rate_hz < 0 or not (self.per_s or self.rate_hz):
            raise ConfigError(f"{self}: a window has some length, and pictures or sound")

    @property
    def key(self) -> str:
        """Digest of what a clip as a whole is decoded to; `place` has no part in it."""
        return digest([{**asdict(self), "place": None}, 1])

    @property
    def pictures(self) -> int:
        """Pictures of a window."""
        return max(round(self.seconds * self.per_s), 1) if self.per_s else 0

    @property
    def samples(self) -> int:
        """Samples of a window."""
        return round(self.seconds * self.rate_hz)

    def read(self, files: Mapping[str, bytes], rng: np.random.Generator) -> dict[str, np.ndarray]:
        """A window straight from a clip's file (`mp4`): pictures uint8 (n, height, width, 3), sound float32 (samples,),
        full scale 1.0, start_s float64 (). SampleFailed for a clip that lacks one of them or cannot be decoded."""
        length_s = mixture_render.picture_s(files["mp4"])
        start = self._start(length_s, rng)
        found = {"start_s": np.array(start / self._grid)}
        if self.per_s:
            found["pictures"] = self._pictures(files["mp4"], start, self.pictures)
        if self.rate_hz:
            found["sound"] = self._cut(self._sound(files["mp4"], length_s), start)
        return found

    def whole(self, files: Mapping[str, bytes]) -> dict[str, np.ndarray]:
        """All of a clip that any window may need; what `cut` takes."""
        length_s = mixture_render.picture_s(files["mp4"])
        found = {"length_s": np.array(length_s)}
        if self.per_s:
            found["pictures"] = self._pictures(files["mp4"], 0, self.starts(length_s) - 1 + self.pictures)
        if self.rate_hz:
            found["sound"] = self._sound(files["mp4"], length_s)
        return found

    def cut(self, whole: Mapping[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
        """The same window as `read`, out of a whole clip."""
        return self.at(whole, self._start(float(whole["length_s"]), rng))

    def at(self, whole: Mapping[str, np.ndarray], start: int) -> dict[str, np.ndarray]:
        """The window that begins at a place of the grid, 0 to `starts` − 1."""
        found = {"start_s": np.array(start / self._grid)}
        if self.per_s:
            found["pictures"] = np.array(whole["pictures"][start : start + self.pictures])
        if self.rate_hz:
            found["sound"] = self._cut(whole["sound"], start)
        return found

    def starts(self, length_s: float) -> int:
        """In how many places of the grid a window can begin in a clip; 1 for a clip that is shorter."""
        return max(int((length_s - self.seconds + _SLACK_S) * self._grid), 0) + 1

    @property
    def _grid(self) -> float:
        return self.per_s or GRID_HZ

    def _start(self, length_s: float, rng: np.random.Generator) -> int:
        count = self.starts(length_s)
        return {"random": lambda: int(rng.integers(count)), "centre": lambda: count // 2, "start": lambda: 0}[
            self.place
        ]()

    def _pictures(self, data: bytes, first: int, count: int) -> np.ndarray:
        times_s = np.arange(first, first + count) / self.per_s
        return moments.pictures(data, times_s.tolist(), self.width, self.height, crop=self.crop)

    def _sound(self, data: bytes, length_s: float) -> np.ndarray:
        return mixture_render.sound(data, self.rate_hz, length_s).wave.astype(np.float32)

    def _cut(self, sound: np.ndarray, start: int) -> np.ndarray:
        at = round(start / self._grid * self.rate_hz)
        part = sound[at : at + self.samples]
        return np.pad(part, (0, self.samples - len(part))) if len(part) < self.samples else np.array(part)
