"""Separators: what estimates the dialogue in a sound, so that the rest can be heard. One interface, two kinds:

    builtin     non-negative matrix factorisation guided by where somebody speaks; needs no weights (`nmf`)
    NAME        a demucs-style network, [separate.NAME] of the weights' catalogue, verified by its SHA-256 (`demucs`)

Importing this is cheap: a stage asks for the model's digest before it knows whether there is work.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from winnow.models.weights import find

if TYPE_CHECKING:
    import numpy as np

    from winnow.core.settings import Settings

BUILTIN = "builtin"
#: Kind of the checkpoints in the weights' catalogue.
KIND = "separate"


class Separator(Protocol):
    """A separator: the rate that it takes and gives, how tables name it, what it computes on."""

    rate_hz: int
    label: str
    device: str

    def dialogue(self, wave: np.ndarray, spoken: np.ndarray) -> np.ndarray:
        """The dialogue in a sound: float32 (channels, samples) at `rate_hz` to the same samples, of the same channels
        or of their mean (1, samples). spoken: (n, 2), stretches in which somebody speaks, s from the first sample."""


def model_digest(name: str, weights: Path) -> str | None:
    """Digest of a checkpoint; None for the built-in separator. ConfigError for one that the catalogue lacks."""
    return None if name == BUILTIN else find(weights, KIND, name).digest


def load(name: str, settings: Settings) -> Separator:
    """A separator, ready; what can go wrong with a checkpoint is told in `models.weights`."""
    if name == BUILTIN:
        from winnow.models.separators.nmf import Nmf

        return Nmf()
    from winnow.models.separators.demucs import Demucs

    return Demucs(settings, find(settings.weights, KIND, name))
