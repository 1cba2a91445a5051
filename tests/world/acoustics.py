"""Sound in general: adding strikes, filtered noise, rooms, levels.

All arrays are float32 mono of shape (samples,) unless said otherwise; all filters are scipy's.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import butter, fftconvolve, lfilter, sosfilt

PI2 = 2 * np.pi


def seconds(duration_s: float, rate_hz: int) -> np.ndarray:
    """Sample times."""
    return np.arange(max(1, round(duration_s * rate_hz)), dtype=np.float32) / np.float32(rate_hz)


def add_at(signal: np.ndarray, sound: np.ndarray, at_s: float, gain: float, rate_hz: int) -> None:
    """Add `sound` into `signal` at a time, cut at the end."""
    start = int(at_s * rate_hz)
    if 0 <= start < len(signal):
        stop = min(len(signal), start + len(sound))
        signal[start:stop] += gain * sound[: stop - start]


def band(signal: np.ndarray, low_hz: float, high_hz: float, rate_hz: int, order: int = 2) -> np.ndarray:
    """Butterworth band-pass; edges are kept inside what the rate can carry."""
    top = 0.47 * rate_hz
    edges = [min(max(low_hz, 10.0), top * 0.8), min(high_hz, top)]
    return sosfilt(butter(order, edges, "bandpass", fs=rate_hz, output="sos"), signal).astype(np.float32)


def low_pass(signal: np.ndarray, edge_hz: float, rate_hz: int) -> np.ndarray:
    """One-pole low-pass."""
    pole = np.exp(-PI2 * min(edge_hz, 0.45 * rate_hz) / rate_hz)
    return lfilter([1 - pole], [1, -pole], signal).astype(np.float32)


def resonate(signal: np.ndarray, centre_hz: float, width_hz: float, rate_hz: int) -> np.ndarray:
    """A two-pole resonance of unit gain at its centre."""
    if centre_hz > 0.45 * rate_hz:
        return np.zeros_like(signal)
    radius = np.exp(-np.pi * width_hz / rate_hz)
    turn = PI2 * centre_hz / rate_hz
    poles = [1, -2 * radius * np.cos(turn), radius**2]
    gain = (1 - radius) * np.sqrt(1 - 2 * radius * np.cos(2 * turn) + radius**2)
    return lfilter([gain], poles, signal).astype(np.float32)


def white(count: int, rng: np.random.Generator) -> np.ndarray:
    """Gaussian white noise of deviation 1."""
    return rng.standard_normal(count, dtype=np.float32)


def room(signal: np.ndarray, rng: np.random.Generator, rate_hz: int, decay_s: float, wet: float) -> np.ndarray:
    """The signal with an exponentially decaying diffuse tail."""
    time_s = seconds(3 * decay_s, rate_hz)
    tail = white(len(time_s), rng) * np.exp(-time_s * 6.9 / decay_s / 3) * (time_s > 0.004)
    tail /= np.sqrt(np.sum(tail**2)) + 1e-9
    return (signal + wet * fftconvolve(signal, low_pass(tail, 5000, rate_hz))[: len(signal)]).astype(np.float32)


def rms(signal: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(signal, dtype=np.float64))))


def levelled(signal: np.ndarray, level_db: float, peak: float = 0.89) -> np.ndarray:
    """Scaled to an RMS level in dBFS, lower if a peak would pass `peak`."""
    gain = 10 ** (level_db / 20) / max(rms(signal), 1e-9)
    return signal * np.float32(min(gain, peak / max(float(np.abs(signal).max()), 1e-9)))
