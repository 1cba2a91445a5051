"""A FLAC file's sound, as stages lay it beside their tables."""

from __future__ import annotations

import io

import numpy as np

from winnow.core.sample import Reason, SampleFailed
from winnow.media.decode import waveform
from winnow.media.ffmpeg import av


def sound(data: bytes, rate_hz: int) -> np.ndarray:
    """Mono samples, float32 (samples,), full scale 1.0; SampleFailed for bytes that are no FLAC."""
    try:
        with av.open(io.BytesIO(data), "r", format="flac") as container:
            wave = waveform(container.decode(audio=0), rate_hz=rate_hz, mono=True)
    except (av.error.FFmpegError, ValueError, IndexError) as error:
        raise SampleFailed(Reason.undecodable, f"no FLAC file: {error}") from error
    return wave[0]
