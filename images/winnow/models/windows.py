"""A clip's sound as networks take it that were trained on windows of one length."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from winnow.core.stage import StageParams

if TYPE_CHECKING:
    import numpy as np


class WindowParams(StageParams):
    """window_s: length of a window; a clip has as many as fit best, evenly placed, `max_windows` at most."""

    window_s: float = Field(10.0, ge=1.0, le=60.0)
    max_windows: int = Field(8, ge=1, le=64)


def windows(wave: np.ndarray, length: int, limit: int) -> np.ndarray:
    """Windows of `length` samples, evenly placed: (n, length). As many as the sound's length comes closest to, so that
    10.02 s are one window of 10 s and not two; a shorter sound is repeated until it fills one."""
    import numpy as np

    if len(wave) < length:
        return np.resize(wave, (1, length))
    count = min(max(1, round(len(wave) / length)), limit)
    starts = [round((k + 0.5) * len(wave) / count - length / 2) for k in range(count)]
    return np.stack([wave[at : at + length] for at in (min(max(s, 0), len(wave) - length) for s in starts)])
