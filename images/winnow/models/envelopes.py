"""Amounts over time: onto a regular grid, and described without regard to when they begin or how large they are."""

from __future__ import annotations

import numpy as np
import scipy.fft


def on_grid(edges_s: np.ndarray, values: np.ndarray, grid_hz: float, n_cells: int) -> np.ndarray:
    """Mean of a step function over the cells of a regular grid.

    `values[i]` holds between `edges_s[i]` and `edges_s[i + 1]` (s, not decreasing, n + 1 of them); cell k covers
    [k, k + 1) / grid_hz. Cells that no step reaches are 0. Returns float32, (n_cells,).
    """
    total = np.concatenate([[0.0], np.cumsum(np.asarray(values, np.float64) * np.diff(edges_s))])
    cells_s = np.arange(n_cells + 1) / grid_hz
    return (np.diff(np.interp(cells_s, edges_s, total)) * grid_hz).astype(np.float32)


def modulation_spectrum(track: np.ndarray, rate_hz: float, bands: int = 9) -> np.ndarray:
    """Square-root shares of a signal's power in log-spaced bands from 0.25 Hz to half its rate, its mean removed.

    track: (n,). Returns float64, (bands,); zeros for a constant signal.
    """
    track = np.asarray(track, np.float64)
    track = (track - track.mean()) * np.hanning(len(track) + 2)[1:-1]
    power = np.abs(scipy.fft.rfft(track, n=max(256, len(track)))) ** 2
    f_hz = np.arange(len(power)) * rate_hz / max(256, len(track))
    edges_hz = np.geomspace(0.25, rate_hz / 2, bands + 1)
    band = np.digitize(f_hz, edges_hz) - 1
    inside = (band >= 0) & (band < bands)
    share = np.bincount(band[inside], power[inside], minlength=bands)
    return np.sqrt(share / max(share.sum(), 1e-12))


def envelope_statistics(envelope: np.ndarray, rate_hz: float) -> np.ndarray:
    """Twelve statistics of an amount over time that do not depend on its scale, but for the first (log mean).

    envelope: not negative, (n,) at `rate_hz`. Returns float64, (12,).
    """
    mean = float(envelope.mean())
    if mean <= 1e-9 or len(envelope) < 4:
        return np.concatenate([[np.log(mean + 1e-6)], np.zeros(11)])
    e = envelope / mean
    rise = np.diff(e)
    up, down = np.maximum(rise, 0), np.maximum(-rise, 0)
    centred = e - 1
    power = float((centred**2).sum())
    low = max(int(0.2 * rate_hz), 1)
    lags = max(min(int(2 * rate_hz), len(e) - 2), 1)
    again = np.correlate(centred, centred, "full")[len(e) : len(e) + lags] / max(power, 1e-9)
    repeats = lags > low
    peaks = (e[1:-1] > e[:-2]) & (e[1:-1] >= e[2:]) & (e[1:-1] > 1 + centred.std() * 0.5)
    return np.array(
        [
            np.log(mean + 1e-6),
            centred.std(),
            *np.quantile(e, (0.1, 0.5, 0.9)),
            e.max() ** 0.5,
            (e < 0.2).mean(),
            up.max() / max(down.max(), 1e-6) if down.max() > 1e-6 else 1.0,
            (up**2).sum() / max((down**2).sum(), 1e-6),
            again[low:].max() if repeats else 0.0,
            (again[low:].argmax() + low + 1) / rate_hz if repeats else 0.0,
            peaks.sum() / (len(e) / rate_hz),
        ]
    )
