"""The built-in encoders' catalogue: which layers a clip's picture and sound are described by, and how long each is.

Five views of either signal that fail in different ways, as the layers of a network do, but computed from the signal,
so that nothing has to be downloaded or trained. Light on purpose: a stage's schema reads it where nothing heavy is
loaded.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Cells per second of the common time grid of `motion` and `onset`: cell k covers [k, k + 1) / GRID_HZ on a clip's
#: clock.
GRID_HZ = 8.0


@dataclass(frozen=True)
class Layer:
    """One fixed-size description of a clip: its column, what it is, and its number of float32 values."""

    column: str
    name: str
    dim: int


VISUAL_LAYERS = (
    Layer("v0", "colour", 64),
    Layer("v1", "texture", 56),
    Layer("v2", "spatial frequency", 60),
    Layer("v3", "motion", 40),
    Layer("v4", "temporal dynamics", 48),
)
AUDIO_LAYERS = (
    Layer("a0", "spectral envelope", 66),
    Layer("a1", "cepstrum", 48),
    Layer("a2", "pitch and harmonicity", 48),
    Layer("a3", "modulation", 64),
    Layer("a4", "onsets", 40),
)
