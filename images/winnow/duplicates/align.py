"""Alignment: whether two sketches show the same stretch of time, where, and how fast one plays beside the other.

What is compared is change, not state: differences of a sketch over a short while, so that backgrounds, logos, hum,
level and brightness drop out. A line u = offset + speed · t through the matrix of inner products is a hypothesis; of
each line the stretch that gains most over chance is taken (Kadane's maximal sum), and its score is the correlation
along it. After the temporal networks and diagonal searches of video copy detection (VCSL, He et al., 2022).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Speeds that are tried, beside one another.
SPEEDS = np.round(np.arange(0.94, 1.0601, 0.01), 2)
#: What a moment must correlate by to lengthen a stretch.
CHANCE = 0.45


@dataclass(frozen=True)
class Match:
    """A stretch of a first clip that a second one has too: `score` is the correlation over it (1 for the same), cells
    `start` … `end` of the first stand at `offset + speed · t` of the second; `gain`: how much it has over chance."""

    score: float
    start: int
    end: int
    offset: float
    speed: float
    gain: float


def differences(states: np.ndarray, reach: int) -> np.ndarray:
    """Change of each cell: what comes `reach` cells later less what came as many before, compressed to the square root
    of its length so that a cut does not outweigh a movement: float32, (cells, k)."""
    out = np.zeros(states.shape, np.float32)
    if len(states) > 2 * reach:
        out[reach:-reach] = states[2 * reach :] - states[: -2 * reach]
    length = np.sqrt(np.einsum("ij,ij->i", out, out))
    return out / np.sqrt(np.maximum(length, 1e-6))[:, None]


def best(first: np.ndarray, second: np.ndarray, offsets: np.ndarray, speeds: np.ndarray, least: int) -> Match | None:
    """The best stretch among these lines (offsets in cells of the second); None where none is `least` cells long.

    first, second: what `differences` gives, (n, k) and (m, k).
    """
    last = len(second) - 1
    products = np.pad(first @ second.T, ((0, 0), (0, 1)))
    norm_a = np.einsum("ij,ij->i", first, first)
    norm_b = np.pad(np.einsum("ij,ij->i", second, second), (0, 1))
    step_b = np.pad(np.einsum("ij,ij->i", second[:-1], second[1:]), (0, 2))
    t = np.arange(len(first))
    lines = np.stack(np.meshgrid(offsets, speeds, indexing="ij"), axis=-1).reshape(-1, 2)
    u = lines[:, :1] + lines[:, 1:] * t
    inside = (u >= 0) & (u <= last)
    u = np.clip(u, 0, last)
    low = u.astype(np.int32)
    part = (u - low).astype(np.float32)
    dot = (products[t, low] * (1 - part) + products[t, low + 1] * part) * inside
    power = norm_b[low] * (1 - part) ** 2 + norm_b[low + 1] * part**2 + 2 * part * (1 - part) * step_b[low]
    power = np.maximum(power, 0) * inside
    gain = np.cumsum(dot - CHANCE * np.sqrt(power * norm_a), axis=1, dtype=np.float64)
    before = np.pad(gain, ((0, 0), (1, 0)))[:, :-1]
    rise = gain - np.minimum.accumulate(before, axis=1)
    line, end = (int(place) for place in np.unravel_index(int(rise.argmax()), rise.shape))
    start = end - int(before[line, end::-1].argmin())
    if rise[line, end] <= 0 or end + 1 - start < least:
        return None
    stretch = slice(start, end + 1)
    length = np.sqrt(float(norm_a[stretch][inside[line, stretch]].sum()) * float(power[line, stretch].sum()))
    score = float(dot[line, stretch].sum()) / max(length, 1e-9)
    return Match(score, start, end + 1, float(lines[line, 0]), float(lines[line, 1]), float(rise[line, end]))
