"""Five layers of features of short spoken sounds, from the signal alone: a loudness contour with brightness, a
spectrogram stretched to a common length, its cepstrum, how that moves, and the manifold that the sounds themselves lie
on. No label is read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from winnow.benchmark.manifold import embed

LAYERS = ("contour", "spectrogram", "cepstrum", "movement", "manifold")
BANDS, STEPS, CEPSTRA = 26, 16, 12
_HOP_S, _WINDOW_S = 0.008, 0.025


def describe(waves: Sequence[np.ndarray], rate_hz: int, seed: int) -> list[np.ndarray]:
    """The five layers, in the order of LAYERS: float32 (n, dim) each. The last is fitted on these very sounds."""
    import scipy.fft

    filters = mel_filters(rate_hz)
    mel = np.stack([time_normalised(log_mel(w, rate_hz, filters)) for w in waves])
    level = mel.mean(axis=2)
    bright = (np.exp(mel) * np.arange(BANDS)).sum(axis=2) / np.exp(mel).sum(axis=2)
    contour = np.concatenate([level - level.mean(axis=1, keepdims=True), bright / 2], axis=1)
    shape = mel - mel.mean(axis=(1, 2), keepdims=True)
    cepstrum = scipy.fft.dct(mel, norm="ortho", axis=2)[:, :, 1 : CEPSTRA + 1]
    cepstrum = cepstrum - cepstrum.mean(axis=1, keepdims=True)  # the voice and the channel
    lifter = 1 + (CEPSTRA / 2) * np.sin(np.pi * np.arange(1, CEPSTRA + 1) / CEPSTRA)
    cepstrum = cepstrum * lifter / lifter.max()
    movement = cepstrum[:, 2:] - cepstrum[:, :-2]
    layers = [v.reshape(len(waves), -1) for v in (contour, shape, cepstrum, movement)]
    return [np.asarray(v, np.float32) for v in (*layers, embed(layers[1:], seed))]


def log_mel(wave: np.ndarray, rate_hz: int, filters: np.ndarray) -> np.ndarray:
    """Log power in mel bands above a floor 50 dB under the loudest moment: (frames, BANDS)."""
    import scipy.fft

    size, hop = int(rate_hz * _WINDOW_S), int(rate_hz * _HOP_S)
    wave = np.pad(np.append(wave[:1], wave[1:] - 0.95 * wave[:-1]), (size // 2, size))
    frames = np.lib.stride_tricks.sliding_window_view(wave, size)[::hop] * np.hanning(size)
    power = np.abs(scipy.fft.rfft(frames, n=1024, axis=1)) ** 2
    mel = power @ filters
    return np.log(mel + mel.max() * 1e-5 + 1e-12)


def mel_filters(rate_hz: int, low_hz: float = 80, high_hz: float = 7600) -> np.ndarray:
    """Triangular filters equally spaced in mel: (513, BANDS)."""
    mel = np.linspace(1127 * np.log1p(low_hz / 700), 1127 * np.log1p(high_hz / 700), BANDS + 2)
    edges = 700 * np.expm1(mel / 1127)
    f = np.fft.rfftfreq(1024, 1 / rate_hz)[:, None]
    rise, fall = (f - edges[:-2]) / np.diff(edges)[:-1], (edges[2:] - f) / np.diff(edges)[1:]
    return np.maximum(np.minimum(rise, fall), 0)


def time_normalised(log_power: np.ndarray) -> np.ndarray:
    """The sounding part (within 35 dB of the loudest moment) stretched to STEPS equal steps: (STEPS, BANDS)."""
    level = np.logaddexp.reduce(log_power, axis=1)
    sounding = np.flatnonzero(level > level.max() - 8.0)
    part = log_power[sounding[0] : sounding[-1] + 1]
    edges = np.linspace(0, len(part), STEPS + 1)
    total = np.vstack([np.zeros(part.shape[1]), np.cumsum(part, axis=0)])
    place = np.arange(len(total))
    at = np.stack([np.interp(edges, place, column) for column in total.T], axis=1)
    return np.diff(at, axis=0) / np.diff(edges)[:, None]
