"""When things happen in a video: one timeline drives what moves and what sounds.

A timeline has strikes (time, strength, which string or drum) and a level between 0 and 1 on a fixed grid. Struck
classes live by their strikes, continuous ones (wind, water, engine) by their level. Picture and sound agree as they
do in reality: to some milliseconds, and now and then something is heard that is not seen, or seen and not heard.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

GRID_HZ = 50.0
UNSEEN = 0.03
UNHEARD = 0.03
JITTER_S = 0.008


@dataclass(frozen=True)
class Timeline:
    """Strikes and level of one video.

    onset_s, strength, variant, seen, heard: arrays of one length, by time; `heard_s` is when each strike is heard.
    level: values in 0..1 at GRID_HZ.
    """

    duration_s: float
    onset_s: np.ndarray
    heard_s: np.ndarray
    strength: np.ndarray
    variant: np.ndarray
    seen: np.ndarray
    heard: np.ndarray
    level: np.ndarray

    def level_at(self, time_s: np.ndarray) -> np.ndarray:
        """Level at any times, linear between grid points."""
        return np.interp(time_s, np.arange(len(self.level)) / GRID_HZ, self.level)

    def visible(self, time_s: np.ndarray) -> Strikes:
        """For each time: the last and the next strike that can be seen."""
        onset_s, strength, variant = self.onset_s[self.seen], self.strength[self.seen], self.variant[self.seen]
        padded = np.concatenate([[-1e3], onset_s, [1e3]])
        power = np.concatenate([[0.0], strength, [0.0]])
        kind = np.concatenate([[0], variant, [0]])
        last = np.searchsorted(onset_s, time_s, side="right")
        return Strikes(
            since_s=time_s - padded[last],
            until_s=padded[last + 1] - time_s,
            power=power[last],
            next_power=power[last + 1],
            variant=kind[last],
            next_variant=kind[last + 1],
            count=last,
        )


@dataclass(frozen=True)
class Strikes:
    """Per frame: seconds since the last strike and until the next one, their powers and variants, strikes so far."""

    since_s: np.ndarray
    until_s: np.ndarray
    power: np.ndarray
    next_power: np.ndarray
    variant: np.ndarray
    next_variant: np.ndarray
    count: np.ndarray


def make_timeline(name: str, duration_s: float, rng: np.random.Generator) -> Timeline:
    """The timeline of one video of class `name`."""
    onset_s, strength, variant = RHYTHMS[name](duration_s, rng)
    keep = (onset_s > 0.1) & (onset_s < duration_s - 0.05)
    onset_s, strength, variant = onset_s[keep], strength[keep], variant[keep]
    count = len(onset_s)
    lag_s = rng.uniform(0.0, 0.03)
    heard_s = onset_s + np.abs(lag_s + rng.normal(0, JITTER_S, count))
    luck = rng.random(count)
    return Timeline(
        duration_s=duration_s,
        onset_s=onset_s,
        heard_s=heard_s,
        strength=strength,
        variant=variant.astype(np.int64),
        seen=luck > UNSEEN,
        heard=luck < 1 - UNHEARD,
        level=_level(name, duration_s, rng),
    )


def _level(name: str, duration_s: float, rng: np.random.Generator) -> np.ndarray:
    """A slowly wandering level in 0.08..1: gusts, surges, revs; nearly constant for struck classes."""
    pace_hz, depth = {"wind": (0.35, 1.0), "waterfall": (0.25, 0.75), "engine": (0.3, 0.9)}.get(name, (0.1, 0.2))
    knots = max(4, int(duration_s * pace_hz) + 3)
    values = rng.random(knots)
    grid = np.arange(int(duration_s * GRID_HZ) + 2) / GRID_HZ
    place = grid / max(duration_s, 1e-6) * (knots - 1)
    left = np.clip(place.astype(int), 0, knots - 2)
    ease = 0.5 - 0.5 * np.cos(np.pi * (place - left))
    wander = values[left] * (1 - ease) + values[left + 1] * ease
    return np.clip(1 - depth * (1 - wander), 0.08, 1.0)


Rhythm = Callable[[float, np.random.Generator], tuple[np.ndarray, np.ndarray, np.ndarray]]


def _regular(duration_s: float, rng: np.random.Generator, period_s: float, jitter: float) -> np.ndarray:
    steps = period_s * (1 + jitter * rng.normal(size=int(duration_s / period_s) + 4)).clip(0.4, 2.0)
    return np.cumsum(steps) - period_s * rng.random()


def _bell(duration_s: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    onset_s = _regular(duration_s, rng, rng.uniform(1.3, 2.6), 0.08)
    return onset_s, rng.uniform(0.6, 1.0, len(onset_s)), np.zeros(len(onset_s))


def _drum(duration_s: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    eighth_s = 30.0 / rng.uniform(80, 140)
    pattern = rng.random(16) < np.tile([0.95, 0.35, 0.7, 0.35], 4)
    onset_s = _regular(duration_s, rng, eighth_s, 0.02)
    slot = np.arange(len(onset_s)) % 16
    hit = pattern[slot] & (rng.random(len(onset_s)) < 0.93)
    strength = np.where(slot % 4 == 0, 1.0, 0.65) * rng.uniform(0.8, 1.0, len(onset_s))
    return onset_s[hit], strength[hit], (slot[hit] % 4 == 2).astype(float)


def _violin(duration_s: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    onset_s = _regular(duration_s, rng, rng.uniform(0.6, 1.3), 0.25)
    return onset_s, rng.uniform(0.55, 1.0, len(onset_s)), rng.integers(0, 7, len(onset_s))


def _bird(duration_s: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    starts = _regular(duration_s, rng, rng.uniform(1.1, 2.2), 0.3)
    syllable_s, times, kinds = rng.uniform(0.11, 0.2), [], []
    for start in starts:
        count = int(rng.integers(2, 6))
        times.append(start + np.arange(count) * syllable_s * rng.uniform(0.9, 1.15))
        kinds.append(np.full(count, rng.integers(0, 3)))
    onset_s = np.concatenate(times)
    order = np.argsort(onset_s, kind="stable")
    return onset_s[order], rng.uniform(0.6, 1.0, len(onset_s)), np.concatenate(kinds)[order]


def _harp(duration_s: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    onset_s = _regular(duration_s, rng, rng.uniform(0.3, 0.6), 0.06)
    played = (np.arange(len(onset_s)) % 8 < rng.integers(5, 8)) & (rng.random(len(onset_s)) < 0.9)
    steps = rng.integers(-2, 3, len(onset_s)).cumsum()
    return onset_s[played], rng.uniform(0.5, 1.0, int(played.sum())), (np.abs(steps) % 7)[played]


def _siren(duration_s: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    onset_s = _regular(duration_s, rng, rng.uniform(0.45, 0.85), 0.01)
    return onset_s, np.full(len(onset_s), 0.9), np.arange(len(onset_s)) % 2


def _clockwork(duration_s: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    onset_s = _regular(duration_s, rng, rng.uniform(0.22, 0.5), 0.03)
    pause = (np.arange(len(onset_s)) % 23) >= rng.integers(17, 24)
    return onset_s[~pause], rng.uniform(0.75, 1.0, int((~pause).sum())), np.arange(int((~pause).sum())) % 2


def _continuous(duration_s: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.zeros(0), np.zeros(0), np.zeros(0)


RHYTHMS: dict[str, Rhythm] = {
    "bell": _bell,
    "drum": _drum,
    "violin": _violin,
    "wind": _continuous,
    "waterfall": _continuous,
    "engine": _continuous,
    "bird": _bird,
    "harp": _harp,
    "siren": _siren,
    "clockwork": _clockwork,
}
