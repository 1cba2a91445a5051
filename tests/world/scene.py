"""One object in one shot: the frame around it and the way it is put on a canvas.

A scene computes its whole motion from the timeline beforehand, as arrays over frames, and then draws frame by frame.
Sizes are in units of the shorter side of the frame; angles are quantised so that painted sprites can be cached.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.world.painting import Canvas, Look, Painter, Sprite, paint
from tests.world.timeline import Timeline

PI2 = 2 * np.pi


@dataclass(frozen=True)
class View:
    """Where one shot looks from: the frame, the object's middle (0..1 of the frame), its scale, mirroring (1, -1)."""

    width: int
    height: int
    x: float
    y: float
    scale: float
    mirror: int

    @property
    def unit(self) -> float:
        """Pixels per object unit."""
        return min(self.width, self.height) * self.scale


class Scene:
    """A subclass gives `prepare` (motion from the timeline) and `draw` (one frame)."""

    def __init__(self, view: View, look: Look, timeline: Timeline, time_s: np.ndarray, rng: np.random.Generator):
        self.view, self.look, self.rng = view, look, rng
        self.sway = (0, 0)
        self.parts: dict[tuple[object, ...], Sprite] = {}
        self.prepare(timeline, time_s)

    def prepare(self, timeline: Timeline, time_s: np.ndarray) -> None:
        """Compute the motion at every frame time of the shot."""
        raise NotImplementedError

    def draw(self, canvas: Canvas, i: int) -> None:
        """Draw frame `i` of the shot."""
        raise NotImplementedError

    def put(
        self,
        canvas: Canvas,
        painter: Painter,
        at: tuple[float, float],
        half: tuple[float, float],
        angle: float = 0.0,
        turns: int = 180,
    ) -> None:
        """Blit a painter at an offset from the middle: `half` sizes in units, `angle` in radians in `turns` steps."""
        unit = self.view.unit
        step = round(angle * self.view.mirror / PI2 * turns) % turns
        size = (max(2, int(half[0] * unit)), max(2, int(half[1] * unit)))
        key = (painter.__name__, size, step)
        if key not in self.parts:
            self.parts[key] = paint(painter, size[0], size[1], self.look, step / turns * PI2)
        x, y = self.pixel(at)
        self.parts[key].blit(canvas, x, y)

    def pixel(self, at: tuple[float, float]) -> tuple[float, float]:
        """Frame position in pixels of an offset from the object's middle."""
        x = self.view.x * self.view.width + self.view.mirror * at[0] * self.view.unit + self.sway[0]
        return x, self.view.y * self.view.height + at[1] * self.view.unit + self.sway[1]
