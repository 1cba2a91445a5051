"""The built-in separator: what a place sounds like in a voice's pauses tells what lies under the voice.

Semi-supervised non-negative matrix factorisation (Smaragdis, Raj & Shashanka, Supervised and semi-supervised separation
of sounds from single-channel mixtures, ICA 2007; multiplicative updates for the Kullback–Leibler divergence by Lee &
Seung, 2001): bases of the background are learnt from the power spectrum where nobody speaks and then held; where
somebody speaks, further bases, free, take what those cannot explain. The dialogue is the mixture times their share of
the power (Wiener's mask).

A voice is much louder than what it covers, so bases of the background would be turned up to help explain it. Hence one
rule of our own: no basis becomes louder than it was heard in the pauses (`LOUDEST`). What is never heard in a pause is
taken for voice and removed with it, and a voice without any pause leaves nothing to learn from: then the quietest
`QUIETEST` of the time stands in for pauses.

`tests/bench/separation.py` measures what SI-SDR gains under a voice that is 14 to 22 dB louder, beside an ideal mask;
`tests/bench/avset.py` how many residuals pass as their own picture's sound, and as another's.
"""

from __future__ import annotations

import warnings

import numpy as np
import scipy.fft

from winnow.core.fingerprint import code_digest
from winnow.core.lake import digest

RATE_HZ = 16_000
WINDOW, HOP = 1024, 256
BACKGROUND, VOICE = 24, 60
ITERATIONS = 60
#: Quantile of a basis' activations in the pauses that it may not exceed under the voice.
LOUDEST = 0.98
QUIETEST = 0.08
#: Pauses shorter than so many windows are no sample of the background.
MIN_FRAMES = 5
#: A stretch of speech is this much longer at either end, s: its onset and its ringing on.
MARGIN_S = 0.04
_EPS = np.float32(1e-12)


class Nmf:
    """The separator; it holds nothing but constants."""

    rate_hz = RATE_HZ
    device = "cpu"

    def __init__(self) -> None:
        self.label = f"builtin@{digest(code_digest(__name__))}"

    def dialogue(self, wave: np.ndarray, spoken: np.ndarray) -> np.ndarray:
        """The dialogue in the mean of the channels: float32, (1, samples)."""
        mono = np.asarray(wave, np.float64).mean(axis=0)
        spectrum = transform(mono)
        power = np.square(np.abs(spectrum)).astype(np.float32).T
        talk = talking(spoken, power.shape[1])
        scale = float(power.mean())
        if not talk.any() or scale <= 0:
            return np.zeros((1, len(mono)), np.float32)
        voice = voice_share(power / np.float32(scale), talk)
        return inverse(spectrum * voice.T, len(mono))[None].astype(np.float32)


def talking(spoken: np.ndarray, frames: int) -> np.ndarray:
    """Which frames somebody speaks in: bool, (frames,)."""
    at_s = np.arange(frames) * HOP / RATE_HZ
    inside = np.zeros(frames, bool)
    for start_s, end_s in np.asarray(spoken, float).reshape(-1, 2):
        inside |= (at_s >= start_s - MARGIN_S) & (at_s <= end_s + MARGIN_S)
    return inside


def voice_share(power: np.ndarray, talk: np.ndarray) -> np.ndarray:
    """Share of the voice in every cell: float32 in 0 … 1, (bins, frames); 0 where nobody speaks.

    power: float32, (bins, frames), mean about 1; talk: bool, (frames,).
    """
    level = power.sum(axis=0)
    heard = ~talk if (~talk).sum() >= MIN_FRAMES else level <= np.quantile(level, QUIETEST)
    bases, activations = background(power[:, heard])
    loudest = np.quantile(activations, LOUDEST, axis=1, keepdims=True).astype(np.float32)
    mixture = power[:, talk] + _EPS
    under, over = explain(mixture, bases, np.repeat(activations.mean(axis=1, keepdims=True), talk.sum(), 1), loudest)
    share = np.zeros_like(power)
    share[:, talk] = over / (under + over + _EPS)
    return share


def background(power: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bases, (bins, k), each summing to 1, and their activations, (k, frames), of frames without a voice."""
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    model = NMF(
        min(BACKGROUND, power.shape[1]),
        solver="mu",
        beta_loss="kullback-leibler",
        init="random",
        random_state=0,
        max_iter=ITERATIONS,
        tol=0.0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        bases = model.fit_transform(power + _EPS)
    total = bases.sum(axis=0) + _EPS
    return (bases / total).astype(np.float32), (model.components_ * total[:, None]).astype(np.float32)


def explain(
    mixture: np.ndarray, bases: np.ndarray, start: np.ndarray, loudest: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Power of the background and of the voice, (bins, frames) each, whose sum explains the mixture.

    bases: of the background, held; start: its activations to begin with; loudest: (k, 1), their ceiling.
    """
    rng = np.random.default_rng(0)
    voice = rng.random((len(mixture), VOICE), np.float32) + np.float32(0.1)
    voice /= voice.sum(axis=0)
    spoken = rng.random((VOICE, mixture.shape[1]), np.float32) * np.float32(mixture.mean() * 10)
    under = np.minimum(start, loudest)
    for _ in range(ITERATIONS):
        quotient = mixture / (bases @ under + voice @ spoken + _EPS)
        under = np.minimum(under * (bases.T @ quotient), loudest)
        spoken *= voice.T @ quotient
        quotient = mixture / (bases @ under + voice @ spoken + _EPS)
        voice *= (quotient @ spoken.T) / (spoken.sum(axis=1) + _EPS)
        total = voice.sum(axis=0) + _EPS
        voice /= total
        spoken *= total[:, None]
    return bases @ under, voice @ spoken


def transform(wave: np.ndarray) -> np.ndarray:
    """Short-time spectrum (Hann, 64 ms every 16 ms), the first frame centred on the first sample: complex128,
    (frames, 513)."""
    padded = np.pad(wave, (WINDOW // 2, WINDOW // 2 + -len(wave) % HOP + WINDOW))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    return scipy.fft.rfft(frames * _window())


def inverse(spectrum: np.ndarray, samples: int) -> np.ndarray:
    """The signal of a short-time spectrum, by overlap and add (Griffin & Lim, 1984): float64, (samples,)."""
    frames = scipy.fft.irfft(spectrum, WINDOW) * _window()
    out = np.zeros((len(frames) - 1) * HOP + WINDOW)
    norm = np.zeros_like(out)
    square = np.square(_window())
    for i, frame in enumerate(frames):
        out[i * HOP : i * HOP + WINDOW] += frame
        norm[i * HOP : i * HOP + WINDOW] += square
    return (out / np.maximum(norm, 1e-9))[WINDOW // 2 : WINDOW // 2 + samples]


def _window() -> np.ndarray:
    return np.hanning(WINDOW + 1)[:-1]
