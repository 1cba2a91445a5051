"""The picture of a video: shots, backgrounds, the camera's hand and its noise, around one moving object.

Every shot looks from elsewhere: another background, position, scale, perhaps mirrored. The light (hue, saturation,
value) is the video's own, as a camera's is. The camera shakes a little in some videos and every sensor has noise.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from tests.world.flowing import Bird, Engine, Siren, Waterfall, Wind
from tests.world.painting import Canvas, Look
from tests.world.scene import PI2, Scene, View
from tests.world.scenery import backdrop, place
from tests.world.struck import Bell, Clockwork, Drum, Harp, Violin
from tests.world.timeline import Timeline
from tests.world.video import Video

SCENES: dict[str, type[Scene]] = {
    "bell": Bell,
    "drum": Drum,
    "violin": Violin,
    "wind": Wind,
    "waterfall": Waterfall,
    "engine": Engine,
    "bird": Bird,
    "harp": Harp,
    "siren": Siren,
    "clockwork": Clockwork,
}

MARGIN = 8
GRAIN_TILES = 16


def frames(video: Video, timeline: Timeline) -> Iterator[np.ndarray]:
    """Every frame as a yuv420p array of shape (3 × height / 2, width); the array is reused, copy what you keep."""
    rng = video.rng(3)
    look = Look(
        hue=float(rng.normal(0, 0.012)), saturation=float(rng.uniform(0.8, 1.15)), value=float(rng.uniform(0.85, 1.08))
    )
    noise = _grain(rng, video.width, video.height, float(rng.uniform(0.6, 2.6)))
    shake = float(rng.choice([0.0, 0.0, 0.8, 1.8]))
    canvas = Canvas(video.width, video.height)
    total = max(1, round(video.duration_s * video.fps))
    edges = np.round(np.cumsum((0.0, *video.shots_s)) * float(video.fps)).astype(int)
    edges[-1] = total
    for shot, (first, last) in enumerate(itertools.pairwise(edges)):
        stream = video.rng(4, shot)
        time_s = np.arange(first, last) / float(video.fps)
        scene, ground = _shot(video, look, timeline, time_s, stream)
        x = 0
        sway_x, sway_y = _sway(len(time_s), shake, float(video.fps), stream)
        for i in range(last - first):
            sway = (int(sway_x[i]), int(sway_y[i]))
            _copy_ground(canvas, ground, sway)
            scene.sway = (-sway[0], -sway[1])
            scene.draw(canvas, i)
            x, y = (x + stream.integers(1, GRAIN_TILES)) % GRAIN_TILES, stream.integers(0, GRAIN_TILES)
            canvas.y += noise[y : y + video.height, x : x + video.width]
            yield canvas.buffer


def _shot(
    video: Video, look: Look, timeline: Timeline, time_s: np.ndarray, rng: np.random.Generator
) -> tuple[Scene, Canvas]:
    view = View(
        width=video.width,
        height=video.height,
        x=float(rng.uniform(0.4, 0.6)),
        y=float(rng.uniform(0.46, 0.56)),
        scale=float(rng.uniform(0.72, 1.05)),
        mirror=int(rng.choice([-1, 1])),
    )
    where = place(video.visual_class, rng)
    ground = backdrop(where, rng, video.width + 2 * MARGIN, video.height + 2 * MARGIN, look)
    return SCENES[video.visual_class](view, look, timeline, time_s, rng), ground


def _sway(count: int, size: float, fps: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A hand-held camera's path in pixels: slow sines of random phase."""
    time_s, path = np.arange(count) / fps, []
    for _ in range(2):
        slow, quick = rng.uniform(0, PI2, 2)
        wave = np.sin(PI2 * 0.31 * time_s + slow) + 0.5 * np.sin(PI2 * 0.9 * time_s + quick)
        path.append(np.clip(np.round(wave * size), -MARGIN, MARGIN).astype(int))
    return path[0], path[1]


def _copy_ground(canvas: Canvas, ground: Canvas, sway: tuple[int, int]) -> None:
    x, y = MARGIN + sway[0], MARGIN + sway[1]
    canvas.y[:] = ground.y[y : y + canvas.height, x : x + canvas.width]
    x, y, width, height = x // 2, y // 2, canvas.width // 2, canvas.height // 2
    canvas.u[:] = ground.u[y : y + height, x : x + width]
    canvas.v[:] = ground.v[y : y + height, x : x + width]


def _grain(rng: np.random.Generator, width: int, height: int, deviation: float) -> np.ndarray:
    """Sensor noise as uint8 that wraps: luma stays within 16..235, noise within ±10, so a sum never does."""
    noise = rng.normal(0, deviation, (height + GRAIN_TILES, width + GRAIN_TILES))
    return np.clip(np.round(noise), -10, 10).astype(np.int8).view(np.uint8)
