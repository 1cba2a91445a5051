"""Pixels: a YUV canvas, sprites painted by functions, and smooth noise.

Frames are composed directly in planar YUV 4:2:0, the encoder's own format: no per-frame colour conversion, and a
sprite touches only its own rectangle. A sprite is a painter (object coordinates → hue, saturation, value, alpha)
evaluated once per size and angle and cached; per frame there is only clipping and blending.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import zoom

Plane = np.ndarray
Paint = tuple[object, object, object, object]
"""Hue (turns), saturation, value, alpha: arrays or scalars in 0..1."""

Painter = Callable[[Plane, Plane], Paint]
"""(u, v), both -1..1 across the object, → its paint."""


class Canvas:
    """One frame's planes as views of a single (3h/2, w) uint8 buffer, the layout PyAV calls yuv420p."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.buffer = np.zeros((height * 3 // 2, width), np.uint8)
        flat, luma = self.buffer.reshape(-1), width * height
        self.y = flat[:luma].reshape(height, width)
        self.u = flat[luma : luma + luma // 4].reshape(height // 2, width // 2)
        self.v = flat[luma + luma // 4 :].reshape(height // 2, width // 2)


@dataclass(frozen=True)
class Sprite:
    """Planes as int16 and alpha in 0..128 (so that a product fits int16), luma size even in both directions."""

    y: np.ndarray
    u: np.ndarray
    v: np.ndarray
    alpha: np.ndarray
    alpha_half: np.ndarray

    def blit(self, canvas: Canvas, centre_x: float, centre_y: float) -> None:
        """Blend into the canvas with the sprite's middle at the given pixel; clipped at the borders."""
        left = round(centre_x - self.y.shape[1] / 2)
        top = round(centre_y - self.y.shape[0] / 2)
        _blend(canvas.y, self.y, self.alpha, left, top)
        _blend(canvas.u, self.u, self.alpha_half, left // 2, top // 2)
        _blend(canvas.v, self.v, self.alpha_half, left // 2, top // 2)


def _blend(plane: np.ndarray, source: np.ndarray, alpha: np.ndarray, left: int, top: int) -> None:
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + source.shape[1], plane.shape[1]), min(top + source.shape[0], plane.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    window = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
    under = plane[y0:y1, x0:x1].astype(np.int16)
    under += ((source[window] - under) * alpha[window]) >> 7
    plane[y0:y1, x0:x1] = under


@dataclass(frozen=True)
class Look:
    """A video's own light: hue shift (turns), saturation and value gains, applied to whatever is painted."""

    hue: float = 0.0
    saturation: float = 1.0
    value: float = 1.0

    def planes(self, hue: object, saturation: object, value: object) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """HSV → full-size Y, U, V as floats, BT.601 limited range."""
        h = (np.asarray(hue, np.float32) + self.hue) * 6.0
        s = np.clip(np.asarray(saturation, np.float32) * self.saturation, 0, 1)
        v = np.clip(np.asarray(value, np.float32) * self.value, 0, 1)
        red, green, blue = (
            v - v * s * np.clip(np.minimum((n + h) % 6, 4 - (n + h) % 6), 0, 1) for n in (5.0, 3.0, 1.0)
        )
        return (
            16 + 65.481 * red + 128.553 * green + 24.966 * blue,
            128 - 37.797 * red - 74.203 * green + 112.0 * blue,
            128 + 112.0 * red - 93.786 * green - 18.214 * blue,
        )


def paint(painter: Painter, half_w: float, half_h: float, look: Look, angle: float = 0.0) -> Sprite:
    """Evaluate a painter as a sprite of half sizes in pixels, turned by `angle` radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    box_w = max(2, int(np.ceil(abs(half_w * cos) + abs(half_h * sin))))
    box_h = max(2, int(np.ceil(abs(half_w * sin) + abs(half_h * cos))))
    x = np.arange(-box_w, box_w, dtype=np.float32)[None, :] + 0.5
    y = np.arange(-box_h, box_h, dtype=np.float32)[:, None] + 0.5
    u, v = (x * cos + y * sin) / half_w, (-x * sin + y * cos) / half_h
    hue, saturation, value, alpha = painter(u, v)
    inside = soft(1 - np.abs(u), half_w) * soft(1 - np.abs(v), half_h)
    alpha = np.broadcast_to(np.asarray(alpha, np.float32), inside.shape) * inside * 128
    planes = [np.broadcast_to(plane, inside.shape) for plane in look.planes(hue, saturation, value)]
    return Sprite(
        planes[0].astype(np.int16),
        halve(planes[1]).astype(np.int16),
        halve(planes[2]).astype(np.int16),
        alpha.astype(np.int16),
        halve(alpha).astype(np.int16),
    )


def soft(distance: np.ndarray, sharpness: float = 30.0) -> np.ndarray:
    """An anti-aliased edge: 0 outside, 1 inside, one pixel wide when `sharpness` is pixels per unit."""
    return np.clip(distance * sharpness, 0, 1)


def halve(plane: np.ndarray) -> np.ndarray:
    """Mean over 2×2 blocks."""
    return (plane[0::2, 0::2] + plane[1::2, 0::2] + plane[0::2, 1::2] + plane[1::2, 1::2]) / 4


def cloud(rng: np.random.Generator, width: int, height: int, cells: float, octaves: int = 3) -> np.ndarray:
    """Smooth value noise in about -1..1 of shape (height, width); `cells` grid cells across the height."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        rows = max(2, int(cells * 2**octave) + 2)
        columns = max(2, int(rows * width / height) + 1)
        grid = rng.random((rows, columns), dtype=np.float32) * 2 - 1
        total += zoom(grid, (height / rows, width / columns), order=1)[:height, :width] * 0.5**octave
    return total / 1.5
