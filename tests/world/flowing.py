"""Things that flow, turn or travel: wind in a tree, a waterfall, an engine, a bird, a siren on wheels.

Wind, water and engine follow the timeline's level: faster and wider when louder. Bird and siren follow its strikes.
"""

from __future__ import annotations

import numpy as np

from tests.world.painting import Canvas, Paint, Plane, cloud, halve, soft
from tests.world.scene import PI2, Scene
from tests.world.timeline import Timeline


def _travel(level: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """Distance covered at speed `level`, from the start of the shot."""
    step_s = float(time_s[1] - time_s[0]) if len(time_s) > 1 else 0.0
    return np.cumsum(level) * step_s


class Wind(Scene):
    """A tree that leans and flutters, and leaves that fly past."""

    leaves = 16

    def prepare(self, timeline: Timeline, time_s: np.ndarray) -> None:
        self.level = timeline.level_at(time_s)
        distance = _travel(0.05 + self.level**1.5, time_s)
        self.phase = distance * PI2 * 1.7
        start, depth = self.rng.random((2, self.leaves))
        self.leaf_x = (start[None, :] * 2.2 + distance[:, None] * (0.7 + 0.7 * depth)[None, :]) % 2.2 - 1.1
        swing = np.sin(distance[:, None] * 9 + start[None, :] * 40)
        self.leaf_y = (self.rng.random(self.leaves) - 0.45)[None, :] * 0.9 + 0.06 * swing
        self.leaf_angle = distance[:, None] * 11 * (0.5 + depth)[None, :] + start[None, :] * 9
        self.tufts = self.rng.uniform(-1, 1, (9, 3))

    def draw(self, canvas: Canvas, i: int) -> None:
        level, phase = self.level[i], self.phase[i]
        lean = 0.16 * level + 0.1 * level * np.sin(phase)
        self.put(canvas, _trunk, (0.25 * lean, 0.32), (0.07, 0.24), 0.5 * lean)
        for k, (x, y, size) in enumerate(self.tufts):
            push = lean * (0.9 - 0.5 * y) + 0.05 * level * np.sin(phase * 1.9 + k * 1.7)
            at = (0.3 * x + push, -0.12 + 0.24 * y + 0.03 * level * np.sin(phase * 2.3 + k))
            self.put(canvas, _tuft, at, (0.19 + 0.02 * round(size * 2), 0.16), 0.6 * push, turns=60)
        for x, y, angle in zip(self.leaf_x[i], self.leaf_y[i], self.leaf_angle[i], strict=True):
            self.put(canvas, _leaf, (float(x), float(y)), (0.05, 0.026), float(angle), turns=24)


def _trunk(u: Plane, v: Plane) -> Paint:
    return 0.07, 0.5, 0.28 + 0.08 * np.sin(u * 7 + np.sin(v * 5)), soft(0.55 + 0.3 * v - np.abs(u), 12)


def _tuft(u: Plane, v: Plane) -> Paint:
    speckle = np.sin(u * 13 + 4 * np.sin(v * 7)) * np.sin(v * 15 + 3 * np.sin(u * 9))
    edge = 0.9 + 0.1 * np.sin(np.arctan2(v, u) * 9) - np.hypot(u, v)
    return 0.3 + 0.03 * speckle, 0.7, 0.42 + 0.2 * speckle - 0.12 * v, soft(edge, 14)


def _leaf(u: Plane, v: Plane) -> Paint:
    return 0.2, 0.75, 0.72 - 0.3 * (np.abs(v) < 0.15), soft(1 - np.abs(u) ** 1.5 - np.abs(v) * 1.1, 8)


class Waterfall(Scene):
    """White and blue streaks that fall between rocks into a churning pool; more water is whiter and faster."""

    def prepare(self, timeline: Timeline, time_s: np.ndarray) -> None:
        unit, view = self.view.unit, self.view
        self.level = timeline.level_at(time_s)
        self.fall = (_travel(0.35 + 1.1 * self.level, time_s) * unit).astype(int)
        self.width = int(min(0.55 * unit, view.width * 0.6)) // 2 * 2
        self.height = view.height
        noise = cloud(self.rng, self.width, self.height * 2, 14, 3)
        threads = cloud(self.rng, self.width, 4, 2, 2)[:1].repeat(self.height * 2, axis=0)
        fine = self.rng.normal(0, 0.35, self.width)[None, :]
        streak = np.clip(0.5 + 0.45 * noise + 0.35 * threads + fine * 0.5, 0, 1)
        self.sheets = []
        for whiteness in np.linspace(0.1, 0.5, 6):
            value = np.clip(0.35 + whiteness + (0.2 + 0.5 * whiteness) * streak, 0, 1)
            y, u, v = self.look.planes(0.56, np.clip(0.75 - whiteness - 0.35 * streak, 0, 1), value)
            self.sheets.append(
                (np.clip(y, 18, 232).astype(np.uint8), halve(u).astype(np.uint8), halve(v).astype(np.uint8))
            )
        self.foam = self.rng.random((26, 4))

    def draw(self, canvas: Canvas, i: int) -> None:
        level = self.level[i]
        middle, _ = self.pixel((0.0, 0.0))
        left = int(np.clip(middle - self.width / 2, 0, canvas.width - self.width)) // 2 * 2
        sheet = self.sheets[int(np.clip(level * 6, 0, 5))]
        shift = self.fall[i] // 2 * 2 % self.height
        top = self.height - shift
        for plane, source, scale in ((canvas.y, sheet[0], 1), (canvas.u, sheet[1], 2), (canvas.v, sheet[2], 2)):
            rows = slice(top // scale, top // scale + self.height // scale)
            plane[:, left // scale : (left + self.width) // scale] = source[rows]
        bank = self.width / 2 / self.view.unit
        for side in (-1, 1):
            for k in range(4):
                self.put(canvas, _rock, (side * (bank + 0.05 + 0.03 * (k % 2)), -0.42 + 0.3 * k), (0.13, 0.19), k * 1.3)
        for x, speed, rise, size in self.foam[: 10 + int(16 * level)]:
            beat = (self.fall[i] / self.view.unit * (1 + speed) * 1.4 + rise) % 1
            at = ((x - 0.5) * 2.3 * bank, 0.46 - 0.28 * (0.4 + level) * np.sin(np.pi * beat))
            self.put(canvas, _foam, at, (0.05 + 0.02 * round(2 * size), 0.045))


def _rock(u: Plane, v: Plane) -> Paint:
    grit = np.sin(u * 8 + 3 * np.sin(v * 6)) * np.sin(v * 11 + 2 * np.sin(u * 5))
    return (
        0.09,
        0.18,
        0.3 + 0.1 * grit - 0.08 * v,
        soft(0.92 + 0.08 * np.sin(np.arctan2(v, u) * 5) - np.hypot(u, v), 14),
    )


def _foam(u: Plane, v: Plane) -> Paint:
    return 0.55, 0.08, 0.96, 0.75 * soft(1 - np.hypot(u, v), 1.6)


class Engine(Scene):
    """A grey block with a spoked flywheel, a belt to a small pulley, a shaking pipe and puffs of smoke."""

    spokes = 5

    def prepare(self, timeline: Timeline, time_s: np.ndarray) -> None:
        self.level = timeline.level_at(time_s)
        turned = _travel(0.35 + 2.4 * self.level, time_s)
        self.angle = turned * PI2 * 0.55
        self.shake = 0.012 * self.level * np.sin(turned * PI2 * 4.3)
        self.puff = turned * 1.3

    def draw(self, canvas: Canvas, i: int) -> None:
        shake = float(self.shake[i])
        self.put(canvas, _block, (0.22, 0.12 + shake), (0.36, 0.28))
        self.put(canvas, _pipe, (0.42, -0.26 + 2 * shake), (0.05, 0.16))
        turn = PI2 / self.spokes
        self.put(canvas, _flywheel, (-0.2, 0.1 + shake), (0.36, 0.36), self.angle[i] % turn, turns=160)
        self.put(canvas, _flywheel, (0.28, -0.1 + shake), (0.13, 0.13), 2 * self.angle[i] % turn, turns=160)
        for k in range(4):
            rise = (self.puff[i] + k / 4) % 1
            self.put(canvas, _smoke, (0.42 + 0.15 * rise, -0.44 - 0.4 * rise), (0.05 + 0.02 * int(rise * 4), 0.05))


def _block(u: Plane, v: Plane) -> Paint:
    fins = np.sin(v * 34) > 0.1
    bolt = np.hypot((np.abs(u) - 0.8) * 1.3, np.abs(v) - 0.78) < 0.09
    return 0.6, 0.12, np.where(bolt, 0.8, np.where(fins, 0.42, 0.26) + 0.08 * u), 1.0


def _pipe(u: Plane, v: Plane) -> Paint:
    return 0.05, 0.35, 0.22 + 0.3 * (1 - u * u), 1.0


def _flywheel(u: Plane, v: Plane) -> Paint:
    radius, angle = np.hypot(u, v), np.arctan2(v, u)
    spoke = np.cos(angle * 5) > 0.72
    rim, hub = radius > 0.78, radius < 0.2
    solid = rim | hub | spoke
    value = np.where(hub, 0.75, np.where(rim, 0.5 + 0.12 * np.cos(angle * 5), 0.62))
    return (
        np.where(hub, 0.07, 0.62),
        np.where(hub, 0.85, 0.1),
        np.where(solid, value, 0.1),
        soft(1 - radius) * (0.35 + 0.65 * solid),
    )


def _smoke(u: Plane, v: Plane) -> Paint:
    return 0.6, 0.03, 0.72, 0.5 * soft(1 - np.hypot(u, v), 1.2)


class Bird(Scene):
    """A yellow bird that hops along a branch and opens its wings and beak as it sings."""

    def prepare(self, timeline: Timeline, time_s: np.ndarray) -> None:
        hits = timeline.visible(time_s)
        spots = self.rng.uniform(-0.4, 0.4, int(hits.count.max(initial=0)) + 2)
        burst = np.cumsum(np.concatenate([[1], np.diff(timeline.onset_s[timeline.seen]) > 0.35]).astype(int))
        spot = spots[np.concatenate([[0], burst])[hits.count] % len(spots)]
        before = spots[np.maximum(np.concatenate([[0], burst])[hits.count] - 1, 0) % len(spots)]
        first = np.concatenate([[True], np.diff(burst, prepend=0) > 0])[hits.count]
        hop = np.where(first, np.clip(hits.since_s / 0.22, 0, 1), 1.0)
        self.x = before + (spot - before) * hop
        self.y = -0.16 * np.sin(np.pi * hop) * np.minimum(1, np.abs(spot - before) * 4)
        self.sing = hits.power * np.exp(-hits.since_s / 0.07)
        self.side = np.where(spot >= before, 0, 1)

    def draw(self, canvas: Canvas, i: int) -> None:
        self.put(canvas, _branch, (0, 0.28), (0.75, 0.05), 0.06)
        x, y, sing = float(self.x[i]), float(self.y[i]), float(self.sing[i])
        way = -1 if self.side[i] else 1
        self.put(canvas, _tail, (x - 0.2 * way, y + 0.12 - 0.05 * sing), (0.14, 0.05), -0.4 * way)
        self.put(canvas, _plumage, (x, y + 0.08), (0.17, 0.15 + 0.01 * round(2 * sing)))
        self.put(canvas, _head, (x + 0.13 * way, y - 0.08 - 0.04 * sing), (0.1, 0.1))
        self.put(canvas, _beak, (x + 0.24 * way, y - 0.08 - 0.06 * sing), (0.05, 0.025 + 0.015 * round(3 * sing)))
        self.put(
            canvas, _wing, (x - 0.05 * way, y + 0.05 - 0.1 * sing), (0.13, 0.06), (0.3 - 1.3 * sing) * way, turns=48
        )


def _branch(u: Plane, v: Plane) -> Paint:
    return 0.07, 0.45, 0.3 + 0.07 * np.sin(u * 25 + v * 3), soft(0.8 + 0.2 * np.sin(u * 7) - np.abs(v), 8)


def _plumage(u: Plane, v: Plane) -> Paint:
    scale = np.sin(u * 18 + 9 * v) * np.sin(v * 18)
    return 0.145 - 0.02 * v, 0.85, 0.88 + 0.09 * scale - 0.18 * (v > 0.3), soft(1 - np.hypot(u, v))


def _head(u: Plane, v: Plane) -> Paint:
    eye = np.hypot(np.abs(u) - 0.35, v + 0.15) < 0.18
    return 0.14, np.where(eye, 0.2, 0.85), np.where(eye, 0.08, 0.92), soft(1 - np.hypot(u, v))


def _beak(u: Plane, v: Plane) -> Paint:
    return 0.055, 0.9, 0.85 - 0.5 * (np.abs(v) < 0.2), soft(1 - np.hypot(u, v), 8)


def _wing(u: Plane, v: Plane) -> Paint:
    return 0.13, 0.5, 0.42 + 0.25 * (np.sin(u * 14) > 0), soft(1 - np.hypot(u, v))


def _tail(u: Plane, v: Plane) -> Paint:
    return 0.12, 0.45, 0.35 + 0.2 * (np.sin(v * 9) > 0), soft(1 - np.abs(v) ** 2, 10)


class Siren(Scene):
    """A chequered van that drives to and fro; red and blue lamps alternate with the two tones."""

    def prepare(self, timeline: Timeline, time_s: np.ndarray) -> None:
        hits = timeline.visible(time_s)
        pace_hz, start = self.rng.uniform(0.03, 0.08), self.rng.uniform(0, PI2)
        self.x = 0.3 * np.sin(PI2 * pace_hz * time_s + start)
        self.bounce = 0.01 * np.sin(PI2 * 2.1 * time_s)
        self.lamp = hits.variant
        self.glow = np.exp(-hits.since_s / 0.3)

    def draw(self, canvas: Canvas, i: int) -> None:
        x, y = float(self.x[i]), float(self.bounce[i])
        self.put(canvas, _van, (x, 0.1 + y), (0.48, 0.24))
        for wheel in (-0.28, 0.28):
            self.put(canvas, _tyre, (x + wheel, 0.34), (0.1, 0.1), self.x[i] * 10, turns=40)
        blue = bool(self.lamp[i])
        lamp_x, strong = x + (0.14 if blue else -0.14), self.glow[i] > 0.25
        self.put(canvas, _bar, (x, -0.16 + y), (0.26, 0.035))
        self.put(
            canvas,
            (_blue_hot if blue else _red_hot) if strong else (_blue if blue else _red),
            (lamp_x, -0.2 + y),
            (0.3, 0.26),
        )
        tint = int(10 * self.glow[i])
        if tint:
            (canvas.u if blue else canvas.v)[:] += np.uint8(tint)
            canvas.y[:] += np.uint8(tint // 2)


def _van(u: Plane, v: Plane) -> Paint:
    row, column = np.floor(v * 5), np.floor(u * 8)
    chequer = ((row + column) % 2 == 0) & (np.abs(v - 0.25) < 0.4)
    pane = (np.abs(v + 0.5) < 0.3) & (np.abs(np.abs(u - 0.1) - 0.45) < 0.32)
    value = np.where(pane, 0.2, np.where(chequer, 0.75, 0.93)) - 0.1 * (v > 0.8)
    cab = soft(1.15 - u * 0.55 + v * 0.45, 20)
    return np.where(chequer, 0.17, 0.62), np.where(chequer, 0.9, np.where(pane, 0.3, 0.04)), value, cab


def _tyre(u: Plane, v: Plane) -> Paint:
    radius = np.hypot(u, v)
    bolts = np.cos(np.arctan2(v, u) * 4) > 0.4
    return 0.6, 0.05, np.where(radius < 0.55, 0.45 + 0.3 * bolts, 0.08), soft(1 - radius)


def _bar(u: Plane, v: Plane) -> Paint:
    return 0.6, 0.1, 0.25, 1.0


def _lamp(name: str, hue: float, strength: float) -> object:
    def lamp(u: Plane, v: Plane) -> Paint:
        radius = np.hypot(u, v)
        return hue, np.clip(radius * 3.5, 0.1, 0.95), 1.0, strength * np.clip(1 - radius, 0, 1) ** 1.6

    lamp.__name__ = name
    return lamp


_red, _red_hot = _lamp("red", 0.0, 0.45), _lamp("red_hot", 0.0, 1.0)
_blue, _blue_hot = _lamp("blue", 0.63, 0.45), _lamp("blue_hot", 0.63, 1.0)
