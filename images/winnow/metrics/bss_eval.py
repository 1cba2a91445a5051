"""SDR, SIR and SAR of separated sources over the whole signal: BSS Eval 4 (images), as museval 0.4.1 has it.

What an estimate holds of its own source is what a filter of 512 taps can make of that source; of all sources, what such
filters can make of all; the rest is artefact. Both are projections, so their energies follow from correlations and one
solution of the normal equations each: nothing is convolved, and the values are museval's to 1e-6 dB at a multiple of
its speed. One window is the whole signal, so a silent stretch of one source costs no other its value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from winnow.core.errors import ContractError

TAPS = 512


@dataclass(frozen=True)
class Quality:
    """Of one estimate, dB: signal to all distortion, to interference of other sources, to artefacts."""

    sdr_db: float
    sir_db: float
    sar_db: float


def quality(sources: np.ndarray, estimates: np.ndarray, which: int = 0) -> list[Quality | None]:
    """Estimates (n, samples) of source `which` of sources (S, samples), which are correlated once; None for each where
    a source is silent, for then nothing is defined (museval: NaN)."""
    sources, estimates = np.asarray(sources, np.float64), np.atleast_2d(np.asarray(estimates, np.float64))
    if sources.ndim != 2 or estimates.shape[1] != sources.shape[1]:
        raise ContractError(f"sources are (S, samples), estimates (n, samples), not {sources.shape}, {estimates.shape}")
    if not (np.isfinite(sources).all() and np.isfinite(estimates).all()):
        raise ContractError("a signal has samples that are not finite")
    if not sources.any(1).all():
        return [None] * len(estimates)
    size = 1 << (sources.shape[1] + TAPS - 2).bit_length()
    spectra = np.fft.rfft(sources, size)
    gram = _gram(spectra, size)
    own = slice(which * TAPS, (which + 1) * TAPS)
    lagged = [np.fft.irfft(spectra.conj() * np.fft.rfft(one, size), size)[:, :TAPS] for one in estimates]
    crossed = np.stack([lags.ravel() for lags in lagged])
    of_own = _explained(gram[own, own], crossed[:, own])
    of_all = _explained(gram, crossed)
    found: list[Quality | None] = []
    for estimate, mine, whole in zip(estimates, of_own, of_all, strict=True):
        energy, error = np.sum(sources[which] ** 2), np.sum((sources[which] - estimate) ** 2)
        found.append(Quality(_db(energy, error), _db(mine, whole - mine), _db(whole, np.sum(estimate**2) - whole)))
    return found


def _explained(gram: np.ndarray, crossed: np.ndarray) -> np.ndarray:
    """Energy of the projections of several estimates, from their correlations (n, taps): (n,)."""
    eased = gram + np.finfo(float).eps * np.eye(len(gram))
    return np.sum(crossed * np.linalg.solve(eased, crossed.T).T, axis=1)


def _gram(spectra: np.ndarray, size: int) -> np.ndarray:
    """Correlations of delayed sources, (S·TAPS, S·TAPS)."""
    count = len(spectra)
    lags = np.arange(TAPS)[:, None] - np.arange(TAPS)[None]
    gram = np.empty((count * TAPS, count * TAPS))
    for i in range(count):
        for j in range(i, count):
            correlated = np.fft.irfft(spectra[i].conj() * spectra[j], size)
            part = correlated[lags]
            gram[i * TAPS : (i + 1) * TAPS, j * TAPS : (j + 1) * TAPS] = part
            gram[j * TAPS : (j + 1) * TAPS, i * TAPS : (i + 1) * TAPS] = part.T
    return gram


def _db(above: float, below: float) -> float:
    return float("inf") if below <= 0 else float(10 * np.log10(max(above, np.finfo(float).tiny) / below))
