"""Calibration of on-screen separation: one scalar added to every source's on-screen logit, so that models are compared
at the same off-screen suppression.

A model gives M sources and a logit each; its on-screen estimate is Σ sigmoid(logit + bias) · source. A lower bias
passes less of everything: it suppresses more and loses more of what is on screen. AudioScopeV2 therefore fixes the
suppression (OSR on off-screen validation mixtures) and compares SI-SNR there. The authors' target is not known, so it
is a parameter; median and mean over the mixtures are offered.

The power of an estimate is pᵀ G p with G the sources' inner products, so a bisection touches the audio once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from winnow.core.errors import ConfigError, ContractError
from winnow.metrics.separation import power_ratio_db, si_snr_db

Statistic = Literal["median", "mean"]
#: Biases that are searched: at these, sigmoid is 0 or 1 to 13 digits for any usual logit.
BIAS_LIMIT = 60.0


@dataclass(frozen=True)
class Separated:
    """A model's answer for one mixture: `mixture` (samples,), `sources` (sources, samples), `logits` (sources,)."""

    mixture: np.ndarray
    sources: np.ndarray
    logits: np.ndarray


@dataclass(frozen=True)
class Calibration:
    """The bias that reaches a suppression: what was asked for and what was reached on validation, dB, over how many
    mixtures."""

    bias: float
    suppression_db: float
    target_db: float
    statistic: str
    mixtures: int


def onscreen_estimate(sources: np.ndarray, logits: np.ndarray, bias: float = 0.0) -> np.ndarray:
    """Σ sigmoid(logit + bias) · source: (sources, samples), (sources,) → (samples,)."""
    sources, logits = _checked(sources, logits)
    return _sigmoid(logits + bias) @ sources


class Suppression:
    """Off-screen suppression of one model over many mixtures as a function of the bias."""

    def __init__(self, answers: Iterable[Separated], statistic: Statistic = "median") -> None:
        if statistic not in ("median", "mean"):
            raise ConfigError(f"statistic {statistic!r}: there are median and mean")
        self.statistic = statistic
        self._powers: list[float] = []
        self._grams: list[np.ndarray] = []
        self._logits: list[np.ndarray] = []
        for answer in answers:
            sources, logits = _checked(answer.sources, answer.logits)
            mixture = np.asarray(answer.mixture, np.float64)
            if mixture.shape != sources.shape[1:]:
                raise ContractError(f"a mixture of shape {mixture.shape} has sources of shape {sources.shape}")
            self._powers.append(float(np.mean(np.square(mixture))))
            self._grams.append(sources @ sources.T / sources.shape[1])
            self._logits.append(logits)
        if not self._powers:
            raise ContractError("calibration needs at least one off-screen mixture")

    @classmethod
    def of_powers(
        cls, powers: np.ndarray, grams: np.ndarray, logits: np.ndarray, statistic: Statistic = "median"
    ) -> Suppression:
        """The same from mean powers of mixtures (n,), mean inner products of their sources (n, M, M) and logits
        (n, M): of models whose sounds are not kept."""
        found = cls([Separated(np.zeros(1), np.zeros((1, 1)), np.zeros(1))], statistic)
        if not len(powers):
            raise ContractError("calibration needs at least one off-screen mixture")
        found._powers, found._grams, found._logits = [float(p) for p in powers], list(grams), list(logits)
        return found

    def __len__(self) -> int:
        return len(self._powers)

    def each_db(self, bias: float) -> np.ndarray:
        """OSR of every mixture at a bias, dB: (mixtures,)."""
        passed = []
        for gram, logits in zip(self._grams, self._logits, strict=True):
            weights = _sigmoid(logits + bias)
            passed.append(max(0.0, float(weights @ gram @ weights)))
        return power_ratio_db(np.array(self._powers), np.array(passed))

    def at_db(self, bias: float) -> float:
        """The statistic over the mixtures at a bias, dB."""
        each = self.each_db(bias)
        return float(np.median(each) if self.statistic == "median" else np.mean(each))


def calibrate(
    answers: Iterable[Separated] | Suppression,
    target_db: float,
    *,
    statistic: Statistic = "median",
    tolerance_db: float = 1e-4,
) -> Calibration:
    """Find, by bisection, the bias at which off-screen validation mixtures are suppressed by `target_db`.

    Suppression is continuous in the bias, so a target between its values at −60 and +60 is reached; where sources do
    not cancel each other it also falls throughout, and the bias is the only one. ConfigError, naming what can be
    reached, for a target outside.
    """
    found = answers if isinstance(answers, Suppression) else Suppression(answers, statistic)
    low, high = -BIAS_LIMIT, BIAS_LIMIT
    most, least = found.at_db(low), found.at_db(high)
    if not least <= target_db <= most:
        raise ConfigError(
            f"a suppression of {target_db} dB is out of reach: these {len(found)} mixtures reach {least:.2f} dB (all "
            f"passes) to {most:.2f} dB (nothing does)"
        )
    bias = 0.0
    for _ in range(200):
        bias = (low + high) / 2
        reached = found.at_db(bias)
        if abs(reached - target_db) <= tolerance_db or high - low < 1e-12:
            break
        low, high = (bias, high) if reached > target_db else (low, bias)
    return Calibration(bias, found.at_db(bias), float(target_db), found.statistic, len(found))


def onscreen_si_snr_db(references: Sequence[np.ndarray], answers: Sequence[Separated], bias: float = 0.0) -> np.ndarray:
    """SI-SNR of every on-screen estimate at a bias, dB: (mixtures,). `references` hold clip 1's own sound."""
    if len(references) != len(answers):
        raise ContractError(f"{len(references)} references for {len(answers)} mixtures")
    return np.array(
        [
            float(si_snr_db(reference, onscreen_estimate(answer.sources, answer.logits, bias)))
            for reference, answer in zip(references, answers, strict=True)
        ]
    )


def _checked(sources: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    sources, logits = np.asarray(sources, np.float64), np.asarray(logits, np.float64)
    if sources.ndim != 2 or sources.shape[1] == 0 or logits.shape != sources.shape[:1]:
        raise ContractError(
            f"sources are (sources, samples) and logits (sources,), not {sources.shape}, {logits.shape}"
        )
    if not (np.isfinite(sources).all() and np.isfinite(logits).all()):
        raise ContractError("sources and logits must be finite")
    return sources, logits


def onscreen_weights(logits: np.ndarray, bias: float = 0.0) -> np.ndarray:
    """How much of each source is on screen, 0 to 1."""
    return _sigmoid(np.asarray(logits, np.float64) + bias)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + e^−x) without overflow."""
    return np.exp(-np.logaddexp(0.0, -x))
