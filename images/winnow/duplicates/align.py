"""Alignment: whether two sketches show the same stretch of time, where, and how fast one plays beside the other.

What is compared is change, not state: differences of a sketch over a short while, so that backgrounds, logos, hum,
level and brightness drop out. A line u = offset + speed · t through the matrix of inner products is a hypothesis; of
each line the stretch that gains most over chance is taken (Kadane's maximal sum), and its score is the correlation
along it. After the temporal networks and diagonal searches of video copy detection (VCSL, He et al., 2022).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from winnow.selection.compiled import compiled

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
    square = np.einsum("ij,ij->i", second, second)
    step = np.append(np.einsum("ij,ij->i", second[:-1], second[1:]), np.float32(0))
    offset, speed, start, end, gain, dot, power = _best(
        first @ second.T, np.einsum("ij,ij->i", first, first), square, step, offsets, speeds, CHANCE
    )
    if gain <= 0 or end - start < least:
        return None
    return Match(dot / max(np.sqrt(power), 1e-9), start, end, offset, speed, gain)


@compiled
def _best(products, square, square2, step2, offsets, speeds, chance):
    """The line and the stretch of it that gain most over chance: offset, speed, start, end, gain, sum of products, and
    product of both sides' sums of squares. Of equal ones the first line, its first end, and the latest start."""
    n, m = products.shape
    last = m - 1
    found = (0.0, 1.0, 0, 0, 0.0, 0.0, 0.0)
    for offset in offsets:
        for speed in speeds:
            gain = low_gain = 0.0
            start = 0
            dot = own = other = low_dot = low_own = low_other = 0.0
            for t in range(n):
                if gain <= low_gain:
                    low_gain, start, low_dot, low_own, low_other = gain, t, dot, own, other
                u = offset + speed * t
                if 0 <= u <= last:
                    at = int(u)
                    part = u - at
                    product, power = products[t, at], square2[at]
                    if part > 0:
                        product = product * (1 - part) + products[t, at + 1] * part
                        power = power * (1 - part) ** 2 + square2[at + 1] * part**2 + 2 * part * (1 - part) * step2[at]
                        power = max(power, 0.0)
                    gain += product - chance * np.sqrt(power * square[t])
                    dot, own, other = dot + product, own + square[t], other + power
                if gain - low_gain > found[4]:
                    both = (own - low_own) * (other - low_other)
                    found = (offset, speed, start, t + 1, gain - low_gain, dot - low_dot, both)
    return found
