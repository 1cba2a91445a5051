"""Integrated loudness after ITU-R BS.1770-4, fast enough for every clip.

The weighting filters are pyloudnorm's (Steinmetz & Reiss, pyloudnorm: A simple yet flexible loudness meter in Python,
2021); its own meter filters in double precision, one section after the other, and sums 400 ms blocks that overlap by
three quarters one by one. Here both sections run in one pass and each 100 ms is summed once: the same figure to 0.01
LU, which a test holds, in a third of the time.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pyloudnorm
import scipy.signal

#: The absolute gate of BS.1770, LUFS: blocks below it do not count, so no loudness lies below it.
GATE_LUFS = -70.0
_STEPS_PER_BLOCK = 4


def integrated_loudness(wave: np.ndarray, rate_hz: int) -> float:
    """Gated loudness, LUFS, of a mono or stereo signal at full scale 1.0; GATE_LUFS for silence.

    wave: float32, (channels, samples). Less than one block (400 ms) is padded with silence to it.
    """
    step = round(0.1 * rate_hz)
    if wave.shape[1] < step * _STEPS_PER_BLOCK:
        wave = np.pad(wave, ((0, 0), (0, step * _STEPS_PER_BLOCK - wave.shape[1])))
    weighted = scipy.signal.sosfilt(_weighting(rate_hz), wave)
    steps = wave.shape[1] // step
    parts = np.ascontiguousarray(weighted[:, : steps * step]).reshape(len(wave), steps, step)
    power = np.einsum("cij,cij->i", parts, parts).astype(np.float64)
    block = np.lib.stride_tricks.sliding_window_view(power, _STEPS_PER_BLOCK).sum(axis=1) / (step * _STEPS_PER_BLOCK)
    loud = block[_lufs(block) >= GATE_LUFS]
    if not len(loud):
        return GATE_LUFS
    loud = loud[_lufs(loud) > _lufs(loud.mean()) - 10]
    return float(_lufs(loud.mean()))


def _lufs(power: np.ndarray) -> np.ndarray:
    """Loudness of weighted mean power."""
    return 10 * np.log10(np.maximum(power, 1e-12)) - 0.691


@lru_cache
def _weighting(rate_hz: int) -> np.ndarray:
    """K-weighting: a high shelf for the head, and a high pass, as two second-order sections (2, 6), float32."""
    shelf = pyloudnorm.IIRfilter(4.0, 1 / np.sqrt(2), 1500.0, rate_hz, "high_shelf")
    high_pass = pyloudnorm.IIRfilter(0.0, 0.5, 38.0, rate_hz, "high_pass")
    return np.array([np.concatenate([f.b * f.passband_gain, f.a]) for f in (shelf, high_pass)], np.float32)
