"""Things that move in strokes: bell, drum, bowed violin, harp, clockwork.

Each moves towards a stroke before it falls (hammer, mallet, finger) and answers after it (swing, ripple, vibration).
"""

from __future__ import annotations

import numpy as np

from tests.world.painting import Canvas, Paint, Plane, soft
from tests.world.scene import PI2, Scene
from tests.world.timeline import Timeline


class Bell(Scene):
    """A brass bell that swings under its beam and is struck by a hammer."""

    def prepare(self, timeline: Timeline, time_s: np.ndarray) -> None:
        hits = timeline.visible(time_s)
        swing_hz = self.rng.uniform(0.8, 1.2)
        self.angle = 0.42 * hits.power * np.exp(-hits.since_s / 0.9) * np.sin(PI2 * swing_hz * hits.since_s)
        self.gap = 0.25 * np.clip(np.minimum(hits.until_s / 0.2, hits.since_s / 0.35), 0, 1)

    def draw(self, canvas: Canvas, i: int) -> None:
        angle = self.angle[i]
        self.put(canvas, _beam, (0, -0.42), (0.55, 0.05))
        self.put(canvas, _bell, (-0.4 * np.sin(angle), 0.4 * np.cos(angle) - 0.4), (0.34, 0.38), angle)
        self.put(canvas, _hammer, (0.44 + self.gap[i], 0.22), (0.16, 0.08))


def _bell(u: Plane, v: Plane) -> Paint:
    width = 0.42 + 0.06 * (v + 1) + 0.42 * np.exp((v - 1) * 3.2) - 1.6 * np.clip(-0.75 - v, 0, 1)
    band = (np.abs((v * 3.5) % 1 - 0.5) > 0.42) * 0.14
    value = 0.35 + 0.5 * np.cos(1.25 * u / np.maximum(width, 0.1) - 0.4) - band
    return 0.115, 0.78 - 0.25 * (value > 0.8), value, soft(width - np.abs(u))


def _beam(u: Plane, v: Plane) -> Paint:
    return 0.07, 0.5, 0.3 + 0.06 * np.sin(v * 9 + np.sin(u * 6)), 1.0


def _hammer(u: Plane, v: Plane) -> Paint:
    head = soft(0.45 - np.hypot(u * 2 + 1.0, v))
    return 0.6, 0.1, 0.25 + 0.2 * (1 - np.abs(v)), np.maximum(head, soft(0.25 - np.abs(v), 9) * (u > -0.6))


class Drum(Scene):
    """A red drum: mallets fall, the skin dips and rings run over it."""

    def prepare(self, timeline: Timeline, time_s: np.ndarray) -> None:
        hits = timeline.visible(time_s)
        lift = np.clip(np.minimum(hits.until_s / 0.12, hits.since_s / 0.14), 0, 1)
        self.hand = np.where(hits.until_s < hits.since_s, hits.next_variant, hits.variant)
        self.lift = 0.32 * lift
        self.dip = 0.05 * hits.power * np.exp(-hits.since_s / 0.08)
        ring = np.clip(hits.since_s / 0.05, 0, 7).astype(int)
        self.ring = np.where(hits.since_s < 0.35, ring, 7)

    def draw(self, canvas: Canvas, i: int) -> None:
        self.put(canvas, _shell, (0, 0.2), (0.45, 0.3))
        self.put(canvas, SKINS[self.ring[i]], (0, -0.08 + self.dip[i]), (0.46, 0.17))
        for hand in (0, 1):
            side = 0.18 if hand else -0.18
            lift = self.lift[i] if self.hand[i] == hand else 0.3
            self.put(canvas, _mallet, (side, -0.2 - lift), (0.09, 0.16), 0.5 if hand else -0.5)


def _shell(u: Plane, v: Plane) -> Paint:
    width = np.sqrt(np.clip(1 - 0.06 * (1 - v), 0, 1))
    lace = np.abs(((u * 3 + v * 0.5) % 1) - 0.5) + np.abs(((u * 3 - v * 0.5) % 1) - 0.5) < 0.16
    rim = np.abs(v) > 0.84
    value = (0.75 - 0.35 * u * u) * np.where(rim, 0.7, 1.0) + lace * 0.25
    return (
        np.where(rim, 0.1, 0.995),
        np.where(lace, 0.15, 0.82),
        value,
        soft(width - np.abs(u)) * soft(1 - v - 0.35 * u * u),
    )


def _skin(phase: int) -> object:
    def skin(u: Plane, v: Plane) -> Paint:
        radius = np.hypot(u, v)
        wave = 0.16 * np.cos(radius * 14 - phase * 1.6) * (phase < 7) * (1 - phase / 8)
        edge = radius > 0.9
        value = np.where(edge, 0.6, 0.86 - 0.1 * radius + wave)
        return np.where(edge, 0.99, 0.12), np.where(edge, 0.8, 0.2), value, soft(1 - radius)

    skin.__name__ = f"skin{phase}"
    return skin


SKINS = [_skin(phase) for phase in range(8)]


def _mallet(u: Plane, v: Plane) -> Paint:
    head = soft(0.5 - np.hypot(u * 0.6, (v - 0.55) * 1.1))
    return (
        0.08,
        np.where(v > 0.1, 0.1, 0.55),
        np.where(v > 0.1, 0.9, 0.5),
        np.maximum(head, soft(0.16 - np.abs(u), 9) * (v < 0.5)),
    )


class Violin(Scene):
    """A wooden body; a bow slides across it, turning where the note changes."""

    def prepare(self, timeline: Timeline, time_s: np.ndarray) -> None:
        hits = timeline.visible(time_s)
        span = np.minimum(hits.since_s + hits.until_s, 2.0)
        progress = np.clip(hits.since_s / np.maximum(span, 0.1), 0, 1)
        reach = 0.18 + 0.3 * hits.power
        sign = np.where(hits.count % 2 == 0, 1.0, -1.0)
        self.slide = sign * reach * np.cos(np.pi * progress)
        self.lean = 0.06 * np.sin(PI2 * 0.2 * time_s + self.rng.uniform(0, PI2)) + 0.03 * self.slide

    def draw(self, canvas: Canvas, i: int) -> None:
        self.put(canvas, _body, (0, 0), (0.26, 0.46), self.lean[i])
        slide = self.slide[i]
        self.put(canvas, _bow, (slide, 0.12 + 0.12 * slide), (0.62, 0.045), 0.2)


def _body(u: Plane, v: Plane) -> Paint:
    upper = 1 - np.hypot(u / 0.74, (v + 0.1) / 0.36)
    lower = 1 - np.hypot(u / 0.98, (v - 0.5) / 0.48)
    waist = np.minimum(0.56 - np.abs(u), 0.3 - np.abs(v - 0.15))
    neck = (np.abs(u) < 0.13) & (v < -0.3)
    grain = np.sin(u * 32 + 2.5 * np.sin(v * 3)) * 0.09
    hole = (np.abs(np.abs(u) - 0.42 - 0.07 * np.sin(v * 9)) < 0.05) & (np.abs(v - 0.2) < 0.22)
    strings = (np.abs(np.abs(u) - 0.04) < 0.02) | (np.abs(np.abs(u) - 0.1) < 0.02)
    value = np.where(neck, 0.16, 0.55 + grain - 0.2 * u * u) - 0.4 * hole + 0.35 * strings
    alpha = np.maximum(soft(np.maximum(np.maximum(upper, lower), waist), 20), neck * 1.0)
    return 0.055, np.where(strings, 0.2, 0.8), value, alpha


def _bow(u: Plane, v: Plane) -> Paint:
    hair = v > 0.1
    return (
        0.09,
        np.where(hair, 0.08, 0.7),
        np.where(hair, 0.92, 0.28),
        soft(1 - np.abs(u), 60) * (np.abs(v + 0.1) > 0.12),
    )


class Harp(Scene):
    """A magenta frame with seven strings; a finger plucks one and it trembles."""

    strings = 7

    def prepare(self, timeline: Timeline, time_s: np.ndarray) -> None:
        hits = timeline.visible(time_s)
        self.tremble = np.zeros((len(time_s), self.strings))
        for onset_s, power, string in zip(timeline.onset_s, timeline.strength, timeline.variant, strict=True):
            after = time_s - onset_s
            wave = 0.06 * power * np.exp(-after / 0.45) * np.cos(PI2 * 6.3 * after)
            self.tremble[:, string] += np.where(after >= 0, wave, 0)
        reach = np.clip(1 - hits.until_s / 0.16, 0, 1)
        place = hits.next_variant * reach + hits.variant * (1 - reach)
        self.finger_x = self._string_x(np.clip(place, 0, 6))
        self.finger_y = 0.1 + 0.14 * (1 - np.exp(-hits.since_s / 0.08)) * (1 - reach)
        self.path = np.sin(np.linspace(0, np.pi, 64))

    @staticmethod
    def _string_x(string: object) -> object:
        return -0.33 + 0.11 * np.asarray(string)

    def draw(self, canvas: Canvas, i: int) -> None:
        self.put(canvas, _frame, (0, 0), (0.46, 0.46))
        unit = self.view.unit
        thick = max(1, int(unit / 70))
        for string in range(self.strings):
            x, y = self.pixel((float(self._string_x(string)), 0.0))
            rows = np.arange(int(y - 0.36 * unit), int(y + 0.36 * unit))
            rows = rows[(rows >= 0) & (rows < canvas.height)]
            bend = np.sin(np.pi * np.clip((rows - y) / (0.72 * unit) + 0.5, 0, 1))
            columns = (x + self.view.mirror * self.tremble[i, string] * unit * bend).astype(int)
            for offset in range(thick):
                inside = (columns + offset >= 0) & (columns + offset < canvas.width)
                canvas.y[rows[inside], columns[inside] + offset] = 222
        self.put(canvas, _finger, (float(self.finger_x[i]), float(self.finger_y[i]) + 0.1), (0.07, 0.13))


def _frame(u: Plane, v: Plane) -> Paint:
    bar = (np.abs(v) > 0.78) | (np.abs(u) > 0.84)
    swirl = 0.14 * np.sin(u * 16 + 5 * np.sin(v * 4)) + 0.08 * np.sin(v * 21)
    return 0.86, np.where(bar, 0.75, 0.5), np.where(bar, 0.6 + swirl, 0.2), np.where(bar, 1.0, 0.55)


def _finger(u: Plane, v: Plane) -> Paint:
    return 0.05, 0.38, 0.86 - 0.2 * u * u, soft(1 - np.hypot(u, np.clip(-v, 0, 1) * 1.0) ** 2)


class Clockwork(Scene):
    """A toothed wheel in black and teal that moves one tooth a tick, held by a rocking anchor."""

    teeth = 12

    def prepare(self, timeline: Timeline, time_s: np.ndarray) -> None:
        hits = timeline.visible(time_s)
        settle = 1 - np.exp(-hits.since_s / 0.025) * np.cos(PI2 * 11 * hits.since_s)
        self.angle = (hits.count - 1 + settle) * PI2 / self.teeth
        self.anchor = np.where(hits.count % 2 == 0, 1, -1) * 0.25 * np.clip(2 * settle - 1, -1, 1)

    def draw(self, canvas: Canvas, i: int) -> None:
        self.put(canvas, _wheel, (0, 0.08), (0.4, 0.4), self.angle[i] % (PI2 / self.teeth), turns=144)
        self.put(canvas, _wheel, (0.38, -0.28), (0.2, 0.2), -self.angle[i] % (PI2 / self.teeth), turns=144)
        self.put(canvas, _anchor, (0, -0.4), (0.24, 0.1), self.anchor[i])


def _wheel(u: Plane, v: Plane) -> Paint:
    radius, angle = np.hypot(u, v), np.arctan2(v, u)
    rim = 0.84 + 0.13 * np.sign(np.sin(angle * 12))
    check = np.sin(angle * 12) * np.sin(radius * 22) > 0
    hub = radius < 0.16
    value = np.where(check, 0.8, 0.14)
    return 0.48, np.where(hub, 0.1, np.where(check, 0.6, 0.3)), np.where(hub, 0.9, value), soft(rim - radius)


def _anchor(u: Plane, v: Plane) -> Paint:
    arch = np.abs(v + 0.5 - 1.2 * u * u) < 0.4
    return 0.52, 0.5, 0.35 + 0.3 * (1 - np.abs(u)), arch * 1.0
