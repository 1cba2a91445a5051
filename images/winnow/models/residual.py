"""What is left of a flagged clip's sound when `separate` took the dialogue out, as every scorer hears it.

A clip that the dialogue covered comes back when this sound matches what is seen, so each scorer that scores the clip's
own sound scores this one too, where there is one.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from winnow.core.sample import Reason, SampleFailed

if TYPE_CHECKING:
    import numpy as np


def waveform(data: bytes, rate_hz: int) -> np.ndarray:
    """A residual's file (FLAC) as sound at a rate: float32, (samples,). SampleFailed as undecodable where it holds
    none."""
    from winnow.media import decode
    from winnow.media.ffmpeg import av

    with av.open(io.BytesIO(data), "r", format="flac") as file:
        frames = list(file.decode(audio=0))
    if not frames:
        raise SampleFailed(Reason.undecodable, "the residual holds no sound")
    return decode.waveform(frames, rate_hz=rate_hz, mono=True)[0]


def described(wave: np.ndarray, separated: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The built-in layers of a residual at `builtin_audio.RATE_HZ`, as `audio` gives a clip's own; separated: its row
    of `separate`, which says when its first sample is heard and how long the clip is."""
    from winnow.models import builtin_audio

    return builtin_audio.describe(wave, float(separated["start_s"]), float(separated["duration_s"]))
