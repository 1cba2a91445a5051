"""Integrated loudness after ITU-R BS.1770-4, fast enough for every clip.

The weighting filters are those of pyloudnorm (Steinmetz & Reiss, pyloudnorm: A simple yet flexible loudness meter in
Python, 2021), which are Bristow-Johnson's (Cookbook formulae for audio equalizer biquad filter coefficients). Its own
meter filters in double precision, one section after the other, and sums 400 ms blocks that overlap by three quarters
one by one. Here both sections run in one pass and each 100 ms is summed once: the same figure to 0.01 LU, which a test
holds, in a third of the time.

Of SciPy only the compiled filter is loaded: importing all of scipy.signal takes 1 to 2 CPU s, as long as the sound of a
hundred clips.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np

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
    weighted = filtered(weighting(rate_hz), wave)
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


def filtered(sections: np.ndarray, wave: np.ndarray) -> np.ndarray:
    """A signal (channels, samples) through second-order sections (n, 6), float32, as `scipy.signal.sosfilt` does it."""
    made = np.array(wave, np.float32, order="C")
    _compiled()(sections, made, np.zeros((len(made), len(sections), 2), np.float32))
    return made


@lru_cache
def _compiled() -> Callable[[np.ndarray, np.ndarray, np.ndarray], None]:
    """SciPy's filter: sections, a signal, and the sections' states, the latter two changed in place."""
    found = find_spec("scipy")
    folder = Path(found.origin).parent / "signal" if found and found.origin else Path()
    for path in sorted(folder.glob("_sosfilt.*")):
        spec = spec_from_file_location("_sosfilt", path)
        if spec is not None and spec.loader is not None:
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
            return module._sosfilt
    from scipy.signal import sosfilt  # it lies elsewhere in this version

    def whole(sections: np.ndarray, wave: np.ndarray, _: np.ndarray) -> None:
        wave[:] = sosfilt(sections, wave)

    return whole


@lru_cache
def weighting(rate_hz: int) -> np.ndarray:
    """K-weighting: a high shelf for the head, and a high pass, as two second-order sections (2, 6), float32."""
    gain = 10 ** (4.0 / 40.0)
    cos, alpha = _place(1500.0, 1 / np.sqrt(2), rate_hz)
    root = 2 * np.sqrt(gain) * alpha
    shelf = [
        gain * ((gain + 1) + (gain - 1) * cos + root),
        -2 * gain * ((gain - 1) + (gain + 1) * cos),
        gain * ((gain + 1) + (gain - 1) * cos - root),
        (gain + 1) - (gain - 1) * cos + root,
        2 * ((gain - 1) - (gain + 1) * cos),
        (gain + 1) - (gain - 1) * cos - root,
    ]
    cos, alpha = _place(38.0, 0.5, rate_hz)
    high_pass = [(1 + cos) / 2, -(1 + cos), (1 + cos) / 2, 1 + alpha, -2 * cos, 1 - alpha]
    return np.array([np.array(section) / section[3] for section in (shelf, high_pass)], np.float32)


def _place(centre_hz: float, quality: float, rate_hz: int) -> tuple[float, float]:
    """Of a filter around a frequency: cosine of its angle, and its alpha."""
    angle = 2.0 * np.pi * (centre_hz / rate_hz)
    return np.cos(angle), np.sin(angle) / (2.0 * quality)
