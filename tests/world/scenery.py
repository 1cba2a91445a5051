"""Backgrounds: walls, bricks, planks, sky, foliage, street, night, each drawn anew for every shot.

A class has places where it is usually found, yet any class can be found anywhere: the background hints at the class
and does not name it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tests.world.painting import Canvas, Look, cloud, halve


@dataclass(frozen=True)
class Plot:
    """The ground a backdrop is drawn on: x and y run 0..1 over the frame as a row and a column."""

    rng: np.random.Generator
    width: int
    height: int
    x: np.ndarray
    y: np.ndarray

    def cloud(self, cells: float, octaves: int = 3) -> np.ndarray:
        """Smooth noise over the plot."""
        return cloud(self.rng, self.width, self.height, cells, octaves)

    def between(self, low: float, high: float) -> float:
        """A number drawn for this shot."""
        return float(self.rng.uniform(low, high))


Field = tuple[object, object, object]
"""Hue, saturation, value: arrays or scalars."""


def backdrop(kind: str, rng: np.random.Generator, width: int, height: int, look: Look) -> Canvas:
    """A background of one of the kinds in BACKDROPS, as a canvas of even size."""
    canvas = Canvas(width, height)
    x = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    hue, saturation, value = BACKDROPS[kind](Plot(rng, width, height, x, y))
    planes = [np.broadcast_to(plane, (height, width)) for plane in look.planes(hue, saturation, value)]
    canvas.y[:] = np.clip(planes[0], 18, 230)
    canvas.u[:] = halve(planes[1])
    canvas.v[:] = halve(planes[2])
    return canvas


def place(name: str, rng: np.random.Generator) -> str:
    """Where a class is found: two times in three at home, else anywhere."""
    kinds = HOMES[name] if rng.random() < 0.66 else tuple(BACKDROPS)
    return kinds[int(rng.integers(len(kinds)))]


def _wall(plot: Plot) -> Field:
    slope = plot.between(-0.15, 0.15)
    shade = slope * (plot.x - 0.5) - 0.1 * plot.y + 0.04 * plot.cloud(5)
    return plot.between(0.05, 0.16), plot.between(0.08, 0.25), plot.between(0.5, 0.8) + shade


def _brick(plot: Plot) -> Field:
    rows = int(plot.rng.integers(9, 16))
    row = np.floor(plot.y * rows)
    bed = np.abs(plot.y * rows % 1 - 0.5) > 0.43
    head = np.abs((plot.x * rows * plot.width / plot.height / 2 + row * 0.5) % 1 - 0.5) > 0.46
    mortar = bed | head
    value = np.where(mortar, 0.62, plot.between(0.36, 0.5) + 0.08 * plot.cloud(rows, 2))
    return plot.between(0.02, 0.06), np.where(mortar, 0.1, plot.between(0.25, 0.4)), value


def _planks(plot: Plot) -> Field:
    grain = np.sin(plot.y * plot.between(120, 220) + 5 * plot.cloud(3, 2))
    seam = np.abs(plot.y * 6 % 1 - 0.5) > 0.47
    return plot.between(0.06, 0.1), 0.4, np.where(seam, 0.22, plot.between(0.38, 0.55) + 0.05 * grain)


def _sky(plot: Plot) -> Field:
    puff = np.clip(plot.cloud(3, 4), 0, 1) * plot.between(0.3, 0.9)
    saturation = np.clip((0.45 - 0.3 * plot.y) * (1 - puff), 0, 1)
    return plot.between(0.54, 0.6), saturation, 0.78 + 0.12 * plot.y + 0.08 * puff


def _foliage(plot: Plot) -> Field:
    leaf = plot.cloud(9)
    hue = plot.between(0.22, 0.3) + 0.02 * leaf
    return hue, plot.between(0.3, 0.5), plot.between(0.32, 0.5) + 0.16 * leaf


def _street(plot: Plot) -> Field:
    horizon = plot.between(0.45, 0.65)
    windows = (np.abs(plot.x * 14 % 1 - 0.5) < 0.28) & (np.abs(plot.y * 9 % 1 - 0.5) < 0.25)
    front = np.where(windows, plot.between(0.5, 0.75), plot.between(0.35, 0.5))
    value = np.where(plot.y < horizon, front, plot.between(0.25, 0.38)) + 0.05 * plot.cloud(14, 2)
    return plot.between(0.55, 0.68), plot.between(0.04, 0.15), value


def _night(plot: Plot) -> Field:
    across, down = (plot.x - plot.between(0, 1)) / 0.3, (plot.y - plot.between(0, 1)) / 0.3
    glow = np.exp(-(across**2) - down**2)
    return plot.between(0.6, 0.72), 0.35, 0.14 + 0.22 * glow + 0.04 * plot.cloud(6)


BACKDROPS: dict[str, Callable[[Plot], Field]] = {
    "wall": _wall,
    "brick": _brick,
    "planks": _planks,
    "sky": _sky,
    "foliage": _foliage,
    "street": _street,
    "night": _night,
}

HOMES: dict[str, tuple[str, ...]] = {
    "bell": ("sky", "brick", "wall"),
    "drum": ("wall", "planks", "brick"),
    "violin": ("wall", "planks", "night"),
    "wind": ("sky", "foliage", "street"),
    "waterfall": ("foliage", "sky", "brick"),
    "engine": ("brick", "planks", "street"),
    "bird": ("foliage", "sky", "wall"),
    "harp": ("wall", "night", "planks"),
    "siren": ("street", "night", "brick"),
    "clockwork": ("planks", "wall", "night"),
}
