"""Five descriptions of a clip's picture, and its motion envelope, from the signal alone.

Clips are described by what moves in them more than by where it happens: most layers weigh pixels by how far they are
from the clip's mean picture, which finds the moving thing of a still camera without knowing what it is. Distributions
enter as square roots (Hellinger) or logarithms, so that Euclidean distance between them means something.

All functions take small pictures (`media.Shrinker`) and return float32; a clip of one picture, or in which nothing
moves, has finite values everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft

from winnow.models.envelopes import envelope_statistics, modulation_spectrum, on_grid
from winnow.models.layers import GRID_HZ, VISUAL_LAYERS

#: A pixel that differs from the mean picture by less than this (of full scale 1) counts as not moving: coding noise.
MOVING_FLOOR = 0.02
#: Luma differences below this between two pictures count as coding noise and not as motion.
MOTION_FLOOR = 0.005
#: Luma in 0–1 of RGB in 0–255 (ITU-R BT.601).
LUMA = np.array([0.299, 0.587, 0.114], np.float32) / np.float32(255)
_EPS = 1e-6


@dataclass(frozen=True)
class Pictures:
    """Small pictures of a clip, of two kinds.

    colour: uint8, (m, 48, 64, 3), RGB, about two a second, for what things look like; gray: uint8, (n, 24, 32), about
    sixteen a second, for how they move; times_s: float64, (n,), when those are shown, increasing, s on the clip's
    clock.
    """

    colour: np.ndarray
    gray: np.ndarray
    times_s: np.ndarray
    duration_s: float


def describe(pictures: Pictures) -> dict[str, np.ndarray]:
    """All layers of a clip by column ("v0" … "v4", float32, sizes as in `layers.VISUAL_LAYERS`) and "motion", the
    motion envelope (see `motion_envelope`)."""
    rgb = np.ascontiguousarray(np.moveaxis(pictures.colour, -1, 0)).astype(np.float32)
    luma = rgb[0] * LUMA[0] + rgb[1] * LUMA[1] + rgb[2] * LUMA[2]
    moving = moving_weight(luma)
    change, field = flow(pictures)
    values = (
        colour(rgb, moving),
        texture(luma, moving),
        spatial_frequency(luma),
        motion(field),
        temporal_dynamics(pictures, change, field),
    )
    layers = {layer.column: np.nan_to_num(v).astype(np.float32) for layer, v in zip(VISUAL_LAYERS, values, strict=True)}
    return layers | {"motion": motion_envelope(pictures, change)}


def moving_weight(gray: np.ndarray) -> np.ndarray:
    """How much each pixel belongs to what moves: distance from the clip's mean picture, summing to 1 over the clip.

    gray: float32 in 0–1, (m, height, width). Uniform when nothing moves. Returns the same shape.
    """
    weight = np.maximum(np.abs(gray - gray.mean(axis=0)) - MOVING_FLOOR, 0)
    total = weight.sum()
    return weight / total if total > _EPS * weight.size else np.full_like(weight, 1 / weight.size)


def colour(rgb: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """Layer v0: histograms of two opponent colours (5 × 5) and of brightness (7), of the whole picture and of what
    moves.

    rgb: float32, 0–255, (3, m, height, width). Returns (64,): square roots of shares. After Swain & Ballard, Color
    indexing, 1991.
    """
    r, g, b = rgb
    red_green = np.clip((r - g) / 102.4 + 2.5, 0, 4.999).astype(np.int64)
    blue_yellow = np.clip(((r + g) / 2 - b) / 102.4 + 2.5, 0, 4.999).astype(np.int64)
    bright = np.clip((r + g + b) * (7 / 766), 0, 6.999).astype(np.int64)
    parts = []
    for weight in (None, moving.ravel()):
        for index, bins in ((red_green * 5 + blue_yellow, 25), (bright, 7)):
            counts = np.bincount(index.ravel(), weight, minlength=bins).astype(np.float64)
            parts.append(np.sqrt(counts / max(counts.sum(), _EPS)))
    return np.concatenate(parts)


def texture(gray: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """Layer v1: oriented gradients (8 orientations at two scales) and rotation-invariant local binary patterns, of
    the whole picture and of what moves.

    Returns (56,). After Dalal & Triggs, Histograms of oriented gradients, 2005; Ojala et al., Local binary patterns,
    2002.
    """
    parts, pixels, weight = [], gray, moving
    for _ in range(2):
        gx = pixels[:, 1:-1, 2:] - pixels[:, 1:-1, :-2]
        gy = pixels[:, 2:, 1:-1] - pixels[:, :-2, 1:-1]
        strength, inner = np.hypot(gx, gy), weight[:, 1:-1, 1:-1]
        # Orientation without arctan2: three comparisons place a gradient in one of eight sectors of half a turn.
        x, y = np.where(gy < 0, -gx, gx), np.abs(gy)
        wide = np.abs(x)
        near = np.minimum(wide, y) > np.maximum(wide, y) * np.float32(0.41421356)
        steep = y > wide
        sector = steep.view(np.uint8) * np.uint8(2) + (near ^ steep)
        sector = np.where(x < 0, np.uint8(7) - sector, sector).ravel().astype(np.intp)
        for w in (strength, strength * inner):
            counts = np.bincount(sector, w.ravel(), minlength=8)
            parts.append(np.sqrt(counts / max(counts.sum(), _EPS)))
        total = max(float(inner.sum()), _EPS)
        mean, mine = float(strength.mean()), float((strength * inner).sum()) / total
        parts.append(np.array([np.log(mean + 1e-3), np.log(mine + 1e-3), np.log(float(strength.std()) + 1e-3)]))
        pixels, weight = _halved(pixels), _halved(weight)
    centre, inner = gray[:, 1:-1, 1:-1], moving[:, 1:-1, 1:-1]
    brighter, floor = np.zeros(centre.shape, np.uint8), centre + np.float32(0.01)
    height, width = gray.shape[1:]
    for dy in (0, 1, 2):
        for dx in (0, 1, 2):
            if (dy, dx) != (1, 1):
                brighter += gray[:, dy : height - 2 + dy, dx : width - 2 + dx] > floor
    pattern = brighter.ravel().astype(np.intp)
    for w in (None, inner.ravel()):
        counts = np.bincount(pattern, w, minlength=9).astype(np.float64)
        parts.append(np.sqrt(counts / max(counts.sum(), _EPS)))
    return np.concatenate(parts)


def spatial_frequency(gray: np.ndarray) -> np.ndarray:
    """Layer v2: log power by spatial frequency: of what moves (12 log-spaced radii × 4 orientations) and of the
    whole picture (12 radii), each relative to its mean. Power is blind to position.

    Returns (60,). After Oliva & Torralba, Modeling the shape of the scene, 2001 (global spectral signatures).
    """
    height, width = gray.shape[1:]
    window = np.outer(np.hanning(height), np.hanning(width)).astype(np.float32)
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
    radius, angle = np.hypot(fy, fx), np.arctan2(fy, fx) % np.pi
    ring = np.digitize(radius, np.geomspace(1.2 / width, 0.5, 12)[:-1]).clip(0, 11)
    sector = (np.floor(angle / (np.pi / 4) + 0.5).astype(np.int64)) % 4
    parts = []
    for pixels, index, bins in ((gray - gray.mean(axis=0), ring * 4 + sector, 48), (gray - gray.mean(), ring, 12)):
        power = (np.abs(scipy.fft.rfft2(pixels * window)) ** 2).mean(axis=0, dtype=np.float64)
        count = np.maximum(np.bincount(index.ravel(), minlength=bins), 1)
        level = np.log(np.bincount(index.ravel(), power.ravel(), minlength=bins) / count + 1e-3)
        parts.append(level - level.mean())
    return np.concatenate(parts)


@dataclass(frozen=True)
class Flow:
    """Motion of cells of 4 × 4 pixels between consecutive pictures. All float32, (n - 1, 6, 8).

    u, v: speed to the right and downwards, 64ths of the width per s; energy: mean squared change of luma.
    """

    u: np.ndarray
    v: np.ndarray
    energy: np.ndarray


def flow(pictures: Pictures) -> tuple[np.ndarray, Flow]:
    """Change and motion between consecutive pictures.

    Returns (change, field): change float64, (n - 1,), the mean luma change (of full scale 1) above `MOTION_FLOOR`;
    field by Lucas & Kanade's least squares (An iterative image registration technique, 1981), regularised, one
    solution a cell.
    """
    gray = pictures.gray.astype(np.float32) / np.float32(255)
    before, after = gray[:-1], gray[1:]
    change = after - before
    mean = before + after
    gx, gy = np.zeros_like(mean), np.zeros_like(mean)
    np.subtract(mean[:, :, 2:], mean[:, :, :-2], out=gx[:, :, 1:-1])
    np.subtract(mean[:, 2:, :], mean[:, :-2, :], out=gy[:, 1:-1, :])
    gx *= np.float32(0.25)
    gy *= np.float32(0.25)
    xx, xy, yy = _cells(gx * gx) + np.float32(1e-4), _cells(gx * gy), _cells(gy * gy) + np.float32(1e-4)
    xt, yt = _cells(gx * change), _cells(gy * change)
    step_s = np.maximum(np.diff(pictures.times_s), 1e-3).astype(np.float32)[:, None, None]
    scale = np.float32(-2) / ((xx * yy - xy * xy) * step_s)
    u, v = (yy * xt - xy * yt) * scale, (xx * yt - xy * xt) * scale
    excess = np.maximum(np.abs(change) - np.float32(MOTION_FLOOR), 0)
    return excess.mean(axis=(1, 2), dtype=np.float64), Flow(u, v, _cells(excess * excess))


def _halved(pixels: np.ndarray) -> np.ndarray:
    """Pictures at half their size: means of 2 × 2 pixels."""
    rows = pixels[:, ::2] + pixels[:, 1::2]
    return (rows[:, :, ::2] + rows[:, :, 1::2]) * np.float32(0.25)


def _cells(pixels: np.ndarray) -> np.ndarray:
    """Means over cells of 4 × 4 pixels: (n, 24, 32) → (n, 6, 8)."""
    n, height, width = pixels.shape
    rows = pixels.reshape(n, height // 4, 4, width)
    rows = rows[:, :, 0] + rows[:, :, 1] + rows[:, :, 2] + rows[:, :, 3]
    columns = rows.reshape(n, height // 4, width // 4, 4)
    return (columns[..., 0] + columns[..., 1] + columns[..., 2] + columns[..., 3]) * np.float32(1 / 16)


def motion(field: Flow) -> np.ndarray:
    """Layer v3: how things move, weighted by how much changes there: direction (8), speed (8), their axes, expansion
    and rotation, and how far the moving area spreads and travels (24 statistics).

    Returns (40,).
    """
    weight = field.energy.astype(np.float64)
    total = weight.sum()
    if total <= 1e-9:
        return np.zeros(40)
    weight = weight / total
    speed = np.hypot(field.u, field.v)
    sector = np.floor((np.arctan2(field.v, field.u) / np.pi + 1) * 4).astype(np.int64) % 8
    level = np.digitize(speed, np.geomspace(1.0, 120.0, 7))
    direction = np.bincount(sector.ravel(), weight.ravel(), minlength=8)
    speeds = np.bincount(level.ravel(), weight.ravel(), minlength=8)
    u, v = np.clip(field.u, -200, 200) / 40, np.clip(field.v, -200, 200) / 40
    du_y, du_x = np.gradient(u, axis=(1, 2))
    dv_y, dv_x = np.gradient(v, axis=(1, 2))
    spread, rotation, shear = du_x + dv_y, dv_x - du_y, du_x - dv_y

    def moments(x: np.ndarray) -> list[float]:
        mean = float((x * weight).sum())
        return [mean, float(np.sqrt((np.square(x - mean) * weight).sum()))]

    flowing = (u, v, np.abs(u), np.abs(v), spread, rotation, shear)
    per = weight.sum(axis=(1, 2))
    x, y, wide, high = _centroid(weight)
    seen = per > per.mean() * 0.1
    path_x, path_y = x[seen], y[seen]
    turning = np.corrcoef(path_x, path_y)[0, 1] if path_x.std() * path_y.std() > 1e-9 else 0.0
    steps = [np.abs(np.diff(path)).mean() if len(path) > 1 else 0.0 for path in (path_x, path_y)]
    area = (weight / np.maximum(weight.max(axis=(1, 2), keepdims=True), 1e-12) > 0.25).mean(axis=(1, 2))
    extent = [(wide * per).sum(), (high * per).sum(), (area * per).sum(), area.std(), seen.mean()]
    stats = [*(m for x in flowing for m in moments(x)), path_x.std(), path_y.std(), *steps, turning, *extent]
    return np.concatenate([np.sqrt(direction), np.sqrt(speeds), stats])


def _centroid(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Centre and spread of what changes, per pair of pictures: x, y, std of x, std of y; shares of width and
    height."""
    rows, columns = weight.shape[1:]
    xs, ys = (np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows
    per = np.maximum(weight.sum(axis=(1, 2)), 1e-15)
    along_x, along_y = weight.sum(axis=1), weight.sum(axis=2)
    x, y = along_x @ xs / per, along_y @ ys / per
    wide = np.sqrt(np.maximum(along_x @ xs**2 / per - x**2, 0))
    high = np.sqrt(np.maximum(along_y @ ys**2 / per - y**2, 0))
    return x, y, wide, high


def temporal_dynamics(pictures: Pictures, change: np.ndarray, field: Flow) -> np.ndarray:
    """Layer v4: how motion lives in time: modulation spectra (9 bands from 0.25 to 6 Hz) of the amount of change, of
    the place of change (x, y) and of brightness, and 12 statistics of the amount: quantiles, bursts, attack against
    decay.

    Returns (48,).
    """
    rate_hz = 12.0
    if len(change) < 2:
        return np.zeros(48)
    edges_s = pictures.times_s
    cells = max(int(np.ceil(edges_s[-1] * rate_hz)), 4)
    x, y, _, _ = _centroid(field.energy.astype(np.float64))
    bright = pictures.gray.mean(axis=(1, 2), dtype=np.float64) / 255
    amount = on_grid(edges_s, change, rate_hz, cells).astype(np.float64)
    tracks = (
        amount,
        on_grid(edges_s, x, rate_hz, cells),
        on_grid(edges_s, y, rate_hz, cells),
        on_grid(edges_s, bright[1:], rate_hz, cells),
    )
    spectra = [modulation_spectrum(track, rate_hz) for track in tracks]
    return np.concatenate([*spectra, envelope_statistics(amount, rate_hz)])


def motion_envelope(pictures: Pictures, change: np.ndarray) -> np.ndarray:
    """Luma change per s on the common grid: float32, (ceil(duration_s · GRID_HZ),); zeros for fewer than two
    pictures."""
    cells = max(int(np.ceil(pictures.duration_s * GRID_HZ - 1e-6)), 1)
    if len(change) < 1:
        return np.zeros(cells, np.float32)
    per_s = change / np.maximum(np.diff(pictures.times_s), 1e-3)
    return on_grid(pictures.times_s, per_s, GRID_HZ, cells)
