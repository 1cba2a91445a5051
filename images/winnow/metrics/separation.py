"""Quality of separated sound in dB: SI-SNR, SNR and off-screen suppression ratio, over the last axis.

Definitions are those of sound-separation (google-research, models/train/metrics.py), which MixIT and AudioScope are
scored with. They differ from textbook formulas, and from torchmetrics, in one thing: a constant of 1e-8 on both powers
keeps every value finite. SI-SNR therefore lies within ±80 dB, and SNR and suppression of very quiet signals (mean power
near 1e-8, −80 dBFS) shrink towards 0. Nothing subtracts a mean.
"""

from __future__ import annotations

import numpy as np

from winnow.core.errors import ContractError

#: Added to signal and noise power before the logarithm.
EPSILON = 1e-8
#: Energies below this normalise as if they were this large, so that silence stays silence.
ENERGY_FLOOR = 1e-16
#: Below this share of noise, 1 − cos² loses digits: the residual's energy is summed instead.
DIRECT_BELOW = 0.01


def si_snr_db(reference: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    """Scale-invariant signal-to-noise ratio, dB, in [−80, 80]; also called SI-SDR.

    `reference` and `estimate` are (…, samples) and broadcast; the result is (…). With both scaled to unit energy and
    cos their inner product: signal power cos², noise power 1 − cos². A silent reference or estimate gives −80 up to
    rounding. Source: `signal_to_noise_ratio_gain_invariant`; Le Roux et al., arXiv:1811.02508, equation 5.
    """
    target, made = _unit(reference), _unit(estimate)
    _same_length(target, made)
    cosine = np.sum(made * target, axis=-1)
    signal = np.square(cosine)
    noise = 1.0 - signal
    direct = np.sum(np.square(made - target * cosine[..., None]), axis=-1)
    return _ratio_db(signal, np.where(noise >= DIRECT_BELOW, noise, direct))


def si_snr_of_products_db(cross: np.ndarray, reference: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    """SI-SNR, dB, from inner products: reference with estimate, and each with itself; of sums of sources whose sounds
    are not kept. That of `si_snr_db`, to 1e-6 dB below 50 dB."""
    reference, estimate = np.maximum(reference, ENERGY_FLOOR), np.maximum(estimate, ENERGY_FLOOR)
    signal = np.minimum(np.square(cross) / (reference * estimate), 1.0)
    return _ratio_db(signal, 1.0 - signal)


def snr_db(reference: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    """Signal-to-noise ratio, dB, the noise being what the estimate lacks or has too much: (…, samples) → (…).

    Mean powers of `reference` and of `reference − estimate`. Source: `signal_to_noise_ratio_residual`.
    """
    target, made = _float64(reference), _float64(estimate)
    _same_length(target, made)
    return _ratio_db(_power(target), _power(target - made))


def suppression_db(mixture: np.ndarray, onscreen: np.ndarray) -> np.ndarray:
    """Off-screen suppression ratio (OSR), dB, of a mixture whose sound is all off screen: (…, samples) → (…).

    10·log10 of the mixture's power over the power of the on-screen estimate, which should be silence; higher is better,
    0 passes everything. The two powers carry the same 1e-8 as SNR; AudioScope's papers do not give that detail.
    """
    whole, passed = _float64(mixture), _float64(onscreen)
    _same_length(whole, passed)
    return power_ratio_db(_power(whole), _power(passed))


def power_ratio_db(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """10·log10((above + 1e-8) / (below + 1e-8)) of mean powers, dB."""
    return _ratio_db(np.asarray(above, np.float64), np.asarray(below, np.float64))


def _ratio_db(signal: np.ndarray, noise: np.ndarray) -> np.ndarray:
    return 10.0 * np.log10((signal + EPSILON) / (noise + EPSILON))


def _power(wave: np.ndarray) -> np.ndarray:
    return np.mean(np.square(wave), axis=-1)


def _unit(wave: np.ndarray) -> np.ndarray:
    """A signal scaled to unit energy."""
    wave = _float64(wave)
    energy = np.sum(np.square(wave), axis=-1, keepdims=True)
    return wave / np.sqrt(np.maximum(energy, ENERGY_FLOOR))


def _float64(wave: np.ndarray) -> np.ndarray:
    """A signal in double precision; ContractError unless it has samples and all are finite real numbers."""
    wave = np.asarray(wave)
    if wave.dtype.kind not in "fiu":
        raise ContractError(f"a signal is an array of real numbers, this one holds {wave.dtype}")
    if wave.ndim == 0 or wave.shape[-1] == 0:
        raise ContractError("a signal without samples has no power")
    wave = wave.astype(np.float64, copy=False)
    if not np.isfinite(wave).all():
        raise ContractError("a signal has samples that are not finite")
    return wave


def _same_length(one: np.ndarray, other: np.ndarray) -> None:
    if one.shape[-1] != other.shape[-1]:
        raise ContractError(f"signals of {one.shape[-1]} and {other.shape[-1]} samples cannot be compared: cut or pad")
