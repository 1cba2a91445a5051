"""Log-mel spectra: as Kaldi computes them, which audio models of the AST family (ImageBind among them) were trained on,
and as AudioSet's authors do (`Spectra`), which VGGish and YAMNet were.

Kaldi: frames that fit whole into the sound, each without its mean, pre-emphasised, under a symmetric Hann window,
padded to a power of two; power; triangles of equal width on the mel scale 1127 ln(1 + f / 700); natural logarithm.
Source: Kaldi's feature-fbank and its torchaudio port (compliance.kaldi), dither 0; a test compares with Kaldi's own
code's values.
AudioSet: magnitudes under a periodic Hann window, the same triangles, natural logarithm of that plus an offset. Source:
models/research/audioset (vggish/mel_features.py, yamnet/features.py).
"""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

#: Kaldi's smallest power, before the logarithm: single precision's epsilon.
FLOOR = float(np.finfo(np.float32).eps)
PREEMPHASIS = 0.97


def log_mel(
    wave: np.ndarray, *, rate_hz: int, bins: int, window_s: float, hop_s: float, fmin_hz: float, fmax_hz: float
) -> np.ndarray:
    """Natural logarithms of mel powers: float64, (frames, bins); no frame where the sound is shorter than a window.

    wave: (samples,), full scale 1; fmax_hz: 0 is half the rate.
    """
    length, hop = round(window_s * rate_hz), round(hop_s * rate_hz)
    if len(wave) < length:
        return np.zeros((0, bins))
    frames = np.lib.stride_tricks.sliding_window_view(np.asarray(wave, np.float64), length)[::hop]
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    size = 1 << (length - 1).bit_length()
    spectrum = np.fft.rfft((frames - PREEMPHASIS * before) * np.hanning(length), size)[:, : size // 2]
    power = spectrum.real**2 + spectrum.imag**2
    weights = triangles(bins, size, rate_hz, fmin_hz, fmax_hz or rate_hz / 2)
    return np.log(np.maximum(power @ weights.T, FLOOR))


def triangles(bins: int, size: int, rate_hz: int, fmin_hz: float, fmax_hz: float) -> np.ndarray:
    """Weights of a Fourier transform's powers in every mel bin: (bins, size / 2), the highest frequency left out."""
    low, high = mel(np.array([fmin_hz, fmax_hz]))
    edges = np.linspace(low, high, bins + 2)[:, None]
    at = mel(np.arange(size // 2) * rate_hz / size)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    return np.maximum(np.minimum((at - left) / (centre - left), (right - at) / (right - centre)), 0)


def mel(frequency_hz: np.ndarray) -> np.ndarray:
    """Frequencies on Kaldi's mel scale."""
    return 1127 * np.log1p(np.asarray(frequency_hz, np.float64) / 700)


class Spectra(BaseModel):
    """How AudioSet's networks want a sound: rate, window, hop, length of the Fourier transform, mel bins and their
    range, and what is added before the logarithm."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rate_hz: int = Field(gt=0, le=192_000)
    window_s: PositiveFloat
    hop_s: PositiveFloat
    fft: int = Field(gt=0, le=65_536)
    mel_bins: int = Field(gt=0, le=1024)
    fmin_hz: float = Field(ge=0)
    fmax_hz: PositiveFloat
    offset: PositiveFloat
    frames: int = Field(gt=0, le=10_000, description="of a patch, which is what the network sees at a time")

    @property
    def window(self) -> int:
        """Samples of a window."""
        return round(self.window_s * self.rate_hz)

    @property
    def hop(self) -> int:
        """Samples from one window to the next."""
        return round(self.hop_s * self.rate_hz)

    @property
    def patch(self) -> int:
        """Samples that a patch is computed from."""
        return self.window + (self.frames - 1) * self.hop

    def log_mel(self, wave: np.ndarray) -> np.ndarray:
        """float32, (samples,), full scale 1, at rate_hz → float64, (frames, mel_bins): frames that fit whole."""
        frames = np.lib.stride_tricks.sliding_window_view(np.asarray(wave, np.float64), self.window)[:: self.hop]
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.window) / self.window)
        spectrum = np.abs(np.fft.rfft(frames * hann, self.fft)[:, : self.fft // 2])
        weights = triangles(self.mel_bins, self.fft, self.rate_hz, self.fmin_hz, self.fmax_hz)
        return np.log(spectrum @ weights.T + self.offset)
