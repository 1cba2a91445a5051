"""Five descriptions of a clip's sound, and its onset envelope, from the signal alone.

One short-time spectrum serves all of them. Level is taken out everywhere (how loud a video was uploaded says nothing
about what sounds in it), and means over time are weighted by how loud each moment is, so that silence between events
does not wash the events out.

All functions return float32 and are finite for digital silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import scipy.fft

from winnow.models.envelopes import envelope_statistics, modulation_spectrum, on_grid
from winnow.models.layers import AUDIO_LAYERS, GRID_HZ

#: Rate that sounds are described at, Hz: up to 8 kHz holds what identifies most sounds.
RATE_HZ = 16_000
WINDOW, HOP = 1024, 320
FRAME_HZ = RATE_HZ / HOP
MEL_BANDS = 32
_EPS = 1e-15


@dataclass(frozen=True)
class Spectrum:
    """Short-time spectrum of a clip (Hann window of 64 ms every 20 ms).

    power: float32, (frames, 513); mel: float32, (frames, 32), mel-band power; level: float32, (frames,), total power;
    weight: float64, (frames,), share of the clip's loudness in each frame, summing to 1.
    """

    power: np.ndarray
    mel: np.ndarray
    level: np.ndarray
    weight: np.ndarray


def describe(wave: np.ndarray, start_s: float, duration_s: float) -> dict[str, np.ndarray]:
    """All layers of a clip by column ("a0" … "a4", float32, sizes as in `layers.AUDIO_LAYERS`) and "onset", the onset
    envelope (see `onset_envelope`).

    wave: mono float32, (samples,) at RATE_HZ; start_s: when its first sample is heard on the clip's clock.
    """
    return layers(analyse(wave), start_s, duration_s)


def layers(spectrum: Spectrum, start_s: float, duration_s: float) -> dict[str, np.ndarray]:
    """What `describe` gives, of a spectrum."""
    strength = onset_strength(spectrum)
    values = (
        spectral_envelope(spectrum),
        cepstrum(spectrum),
        pitch(spectrum),
        modulation(spectrum),
        onsets(spectrum, strength),
    )
    named = {layer.column: np.nan_to_num(v).astype(np.float32) for layer, v in zip(AUDIO_LAYERS, values, strict=True)}
    return named | {"onset": onset_envelope(strength, start_s, duration_s)}


def analyse(wave: np.ndarray) -> Spectrum:
    """The short-time spectrum of a mono signal (padded to one window when it is shorter)."""
    wave = np.pad(wave, (WINDOW // 2, max(WINDOW // 2, WINDOW - len(wave))))
    frames = np.lib.stride_tricks.sliding_window_view(wave, WINDOW)[::HOP]
    spectrum = scipy.fft.rfft(frames * _window())
    power = spectrum.real**2 + spectrum.imag**2
    mel = power @ _mel_filters()
    level = mel.sum(axis=1)
    loud = np.sqrt(level.astype(np.float64))
    total = loud.sum()
    weight = loud / total if total > 1e-6 else np.full(len(loud), 1 / len(loud))
    return Spectrum(power, mel, level, weight)


@lru_cache
def _window() -> np.ndarray:
    return (np.hanning(WINDOW + 1)[:-1] / (WINDOW / 4)).astype(np.float32)


@lru_cache
def _mel_filters() -> np.ndarray:
    """Triangular filters, equally spaced in mel from 50 Hz to 8 kHz: float32, (513, 32). Scale: O'Shaughnessy,
    1987."""
    mel = np.linspace(1127 * np.log1p(50 / 700), 1127 * np.log1p(RATE_HZ / 2 / 700), MEL_BANDS + 2)
    edges_hz = 700 * np.expm1(mel / 1127)
    f_hz = np.fft.rfftfreq(WINDOW, 1 / RATE_HZ)[:, None]
    rise = (f_hz - edges_hz[:-2]) / np.diff(edges_hz)[:-1]
    fall = (edges_hz[2:] - f_hz) / np.diff(edges_hz)[1:]
    return np.maximum(np.minimum(rise, fall), 0).astype(np.float32)


def _log_mel(spectrum: Spectrum) -> np.ndarray:
    """Log mel power above a floor 70 dB under the clip's loudest frame: float32, (frames, 32)."""
    floor = max(float(spectrum.level.max()) * 1e-7, _EPS)
    return np.log(spectrum.mel + floor)


def spectral_envelope(spectrum: Spectrum) -> np.ndarray:
    """Layer a0: where the energy lies: loudness-weighted mean (32) and deviation (32) of log mel bands, the mean
    without its level, and the mean and deviation of the spectral centroid in mel bands.

    Returns (66,). After Davis & Mermelstein, 1980 (mel filter bank).
    """
    log_mel = _log_mel(spectrum)
    mean = spectrum.weight @ log_mel
    deviation = np.sqrt(spectrum.weight @ np.square(log_mel - mean))
    centroid = spectrum.mel @ np.arange(MEL_BANDS, dtype=np.float32) / np.maximum(spectrum.level, _EPS)
    centre = float(spectrum.weight @ centroid)
    wander = float(np.sqrt(spectrum.weight @ np.square(centroid - centre)))
    return np.concatenate([mean - mean.mean(), deviation, [centre / 8, wander / 4]])


def cepstrum(spectrum: Spectrum) -> np.ndarray:
    """Layer a1: how the spectrum's shape varies: mel cepstrum 1–16 as loudness-weighted mean, deviation, and mean
    absolute change a frame.

    Returns (48,). After Davis & Mermelstein, Comparison of parametric representations, 1980.
    """
    coefficients = scipy.fft.dct(_log_mel(spectrum), norm="ortho", axis=1)[:, 1:17]
    mean = spectrum.weight @ coefficients
    deviation = np.sqrt(spectrum.weight @ np.square(coefficients - mean))
    if len(coefficients) > 2:
        pace = (spectrum.weight[1:] @ np.abs(np.diff(coefficients, axis=0))) / max(spectrum.weight[1:].sum(), _EPS)
    else:
        pace = np.zeros(16)
    return np.concatenate([mean, deviation, pace])


def pitch(spectrum: Spectrum) -> np.ndarray:
    """Layer a2: whether it is pitched, and how: shares of pitch between 60 and 2,000 Hz (16 steps), quantiles of
    periodicity (6) and of flatness (6), mean and spread of pitch, how much is pitched, how far pitch steps (5), and
    how sharp spectral peaks are by octave (12).

    Pitch is the strongest peak of the autocorrelation, taken from the power spectrum (Wiener–Khinchin) after dividing
    out the window's own (Boersma, Accurate short-term analysis of the fundamental frequency, 1993). Returns (48,).
    """
    power = spectrum.power[::2]
    weight = spectrum.weight[::2] / max(spectrum.weight[::2].sum(), _EPS)
    auto = scipy.fft.irfft(power, axis=1)[:, : WINDOW // 2]
    low, high = RATE_HZ // 2000, RATE_HZ // 60
    lag = auto[:, low:high] / np.maximum(auto[:, :1], _EPS) / _window_autocorrelation()[low:high]
    # Of peaks about equally high the shortest lag is the pitch: the others are its multiples.
    inner = (lag[:, 1:-1] > lag[:, :-2]) & (lag[:, 1:-1] >= lag[:, 2:])
    peak = np.zeros_like(lag)
    peak[:, 1:-1] = np.where(inner, lag[:, 1:-1] - np.linspace(0, 0.1, lag.shape[1] - 2, dtype=np.float32), 0)
    best = peak.argmax(axis=1)
    periodic = np.clip(peak[np.arange(len(peak)), best], 0, 1)
    f0_hz = RATE_HZ / (best + low)
    octave = np.log2(f0_hz / 60)
    voiced = weight * periodic
    shares = np.bincount(np.clip(octave * (16 / np.log2(2000 / 60)), 0, 15).astype(np.int64), voiced, minlength=16)
    total = max(voiced.sum(), _EPS)
    step = np.abs(np.diff(octave)) if len(octave) > 1 else np.zeros(1)
    both = np.minimum(voiced[1:], voiced[:-1]) if len(octave) > 1 else np.zeros(1)
    moves = np.bincount(np.digitize(step, (0.02, 0.06, 0.2, 0.6)), both, minlength=5)
    log_power = np.log(power[:, 4:] + _EPS + power.max() * 1e-8)
    flat = np.exp(log_power.mean(axis=1)) / np.maximum(power[:, 4:].mean(axis=1), _EPS)
    tonal, bands = _tonal_bands(power, weight)
    mean_octave = float((voiced @ octave) / total)
    spread = float(np.sqrt(voiced @ np.square(octave - mean_octave) / total))
    stats = [mean_octave, spread, float(total), *(moves / max(moves.sum(), _EPS))]
    quantiles = [*_weighted_quantiles(periodic, weight), *_weighted_quantiles(flat, weight)]
    return np.concatenate([np.sqrt(shares / total), quantiles, stats, tonal, bands])


@lru_cache
def _window_autocorrelation() -> np.ndarray:
    """The window's own autocorrelation, 1 at lag 0: float32, (WINDOW // 2,)."""
    auto = scipy.fft.irfft(np.abs(scipy.fft.rfft(_window().astype(np.float64), 2 * WINDOW)) ** 2)[: WINDOW // 2]
    return np.maximum(auto / auto[0], 0.05).astype(np.float32)


def _tonal_bands(power: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Height of the highest spectral peak over the mean in six octaves from 125 Hz, as a share of what a pure tone
    has: (6,) each, of single frames and of the mean spectrum."""
    mean = weight @ power
    edges = (np.array([125, 250, 500, 1000, 2000, 4000, 8000]) * WINDOW // RATE_HZ).astype(int)
    sharp, steady = [], []
    for low, high in pairwise(edges):
        band = power[:, low:high]
        crest = band.max(axis=1) / np.maximum(band.mean(axis=1), _EPS)
        sharp.append(float(weight @ np.log(np.maximum(crest, 1))) / np.log(high - low))
        whole = mean[low:high]
        steady.append(float(np.log(max(whole.max() / max(whole.mean(), _EPS), 1.0))) / np.log(high - low))
    return np.array(sharp), np.array(steady)


def _weighted_quantiles(
    values: np.ndarray, weight: np.ndarray, at: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9, 0.98)
) -> np.ndarray:
    """Quantiles of values of which each counts by its weight."""
    order = np.argsort(values, kind="stable")
    place = np.cumsum(weight[order])
    return values[order][np.searchsorted(place, np.array(at) * place[-1]).clip(0, len(values) - 1)]


def modulation(spectrum: Spectrum) -> np.ndarray:
    """Layer a3: how loudness moves in eight frequency bands: for each, shares of modulation power in eight
    log-spaced rates from 0.5 to 20 Hz, times how deep the modulation is.

    Returns (64,). After Dau et al., Modeling auditory processing of amplitude modulation, 1997.
    """
    bands = np.sqrt(spectrum.mel.reshape(len(spectrum.mel), 8, MEL_BANDS // 8).sum(axis=2))
    mean = bands.mean(axis=0)
    relative = (bands - mean) / np.maximum(mean, 1e-6)
    relative *= np.hanning(len(bands) + 2)[1:-1, None].astype(np.float32)
    size = max(512, len(bands))
    power = np.abs(scipy.fft.rfft(relative, n=size, axis=0)) ** 2
    f_hz = np.arange(len(power)) * FRAME_HZ / size
    place = np.digitize(f_hz, np.geomspace(0.5, 20, 9)) - 1
    shares = np.stack([power[place == k].sum(axis=0) if (place == k).any() else np.zeros(8) for k in range(8)])
    return np.log1p(shares * (20 / max(len(bands), 1))).T.ravel()


def onset_strength(spectrum: Spectrum) -> np.ndarray:
    """How much the spectrum grows at each frame: float32, (frames,), mean over bands of the rise of compressed mel
    power over 40 ms. After Böck & Widmer, Maximum filter vibrato suppression for onset detection, 2013 (without the
    filter)."""
    scale = max(float(np.mean(spectrum.mel)), _EPS)
    compressed = np.log1p(spectrum.mel * (4 / scale))
    strength = np.zeros(len(compressed), np.float32)
    if len(compressed) > 2:
        strength[1:-1] = np.maximum(compressed[2:] - compressed[:-2], 0).mean(axis=1)
    return strength


def onsets(spectrum: Spectrum, strength: np.ndarray) -> np.ndarray:
    """Layer a4: how events follow each other: modulation spectrum of onset strength (9), statistics of onset strength
    (12) and of loudness (12), intervals between onsets (6 classes) and their regularity.

    Returns (40,).
    """
    loud = np.sqrt(spectrum.level.astype(np.float64) / max(float(spectrum.level.max()), _EPS))
    smooth = np.convolve(strength, np.array([0.25, 0.5, 0.25]), mode="same")
    top = max(float(smooth.max()), 1e-6)
    inner = smooth[1:-1]
    peak = (inner > smooth[:-2]) & (inner >= smooth[2:]) & (inner > 0.3 * top)
    gap_s = np.diff(np.flatnonzero(peak)) / FRAME_HZ
    shares = np.bincount(np.digitize(gap_s, (0.1, 0.2, 0.4, 0.8, 1.6)), minlength=6) / max(len(gap_s), 1)
    regular = float(np.std(gap_s) / np.mean(gap_s)) if len(gap_s) > 1 else 1.0
    return np.concatenate(
        [
            modulation_spectrum(smooth, FRAME_HZ),
            envelope_statistics(smooth.astype(np.float64), FRAME_HZ),
            envelope_statistics(loud, FRAME_HZ),
            np.sqrt(shares),
            [min(regular, 3.0)],
        ]
    )


def onset_envelope(strength: np.ndarray, start_s: float, duration_s: float) -> np.ndarray:
    """Onset strength on the common grid: float32, (ceil(duration_s · GRID_HZ),).

    strength: (frames,) every HOP samples, the first one centred on `start_s`.
    """
    cells = max(int(np.ceil(duration_s * GRID_HZ - 1e-6)), 1)
    edges_s = start_s + (np.arange(len(strength) + 1) - 0.5) / FRAME_HZ
    return on_grid(edges_s, strength, GRID_HZ, cells)
