"""Sketches: small pictures of a clip's luma and of its mel spectrum over time, made from what measuring decodes anyway.

A fingerprint is computed from a sketch without the file. Both are means over cells of a regular grid on the clip's
clock, hence smooth in time: what lies between two cells can be interpolated, so that a copy that was shifted by half a
cell, played faster or at another frame rate is compared at the same moments.
"""

from __future__ import annotations

import numpy as np

#: Cells a second of the picture's sketch, and its size.
PICTURE_HZ, HEIGHT, WIDTH = 4.0, 12, 16
#: Cells a second of the sound's sketch, and its mel bands.
SOUND_HZ, BANDS = 12.5, 16
#: A bar of a letterbox: no brighter than this, and all of it within so much, of 255, throughout the clip.
BAR_LUMA, BAR_SPREAD = 40, 8
#: Steps of the sound's sketch, dB, and how many lie between its loudest cell and its floor.
STEP_DB, STEPS = 0.5, 120


def picture(gray: np.ndarray, times_s: np.ndarray, duration_s: float) -> np.ndarray:
    """Luma of a clip's content, letterbox bars cut off: uint8, (cells, HEIGHT, WIDTH).

    gray: uint8, (m, height, width), pictures in the order of their times; a cell holds the mean of the pictures in it,
    and is interpolated where there are none.
    """
    top, bottom, left, right = content(gray)
    inside = gray[:, top:bottom, left:right].astype(np.float32)
    small = _area(HEIGHT, bottom - top) @ inside @ _area(WIDTH, right - left).T
    cells = max(int(np.ceil(duration_s * PICTURE_HZ - 1e-6)), 1)
    return (
        np.rint(_gridded(small.reshape(len(small), -1), times_s, PICTURE_HZ, cells))
        .astype(np.uint8)
        .reshape(cells, HEIGHT, WIDTH)
    )


def sound(mel: np.ndarray, start_s: float, frame_hz: float, duration_s: float) -> np.ndarray:
    """Levels of a clip's mel bands in steps of STEP_DB over a floor STEPS below the loudest: uint8, (cells, BANDS).

    mel: power, (frames, k · BANDS), the first frame centred on `start_s`. All 0 for digital silence.
    """
    power = mel.reshape(len(mel), BANDS, -1).sum(axis=2).astype(np.float64)
    times_s = np.maximum(start_s, 0) + np.arange(len(power)) / frame_hz
    cells = max(int(np.ceil(duration_s * SOUND_HZ - 1e-6)), 1)
    power = _gridded(power, times_s, SOUND_HZ, cells, beyond=0.0)
    top = float(power.max())
    if top < 1e-9:
        return np.zeros((cells, BANDS), np.uint8)
    level = 10 * np.log10(power / top + 1e-12) / STEP_DB + STEPS
    return np.rint(np.clip(level, 0, STEPS)).astype(np.uint8)


def content(gray: np.ndarray) -> tuple[int, int, int, int]:
    """Where the content of pictures lies: top, bottom, left, right (ends exclusive). Dark rows and columns at the
    edges in which nothing ever happens are bars, as many on either side, up to a third: what is dark on one side only
    is a dark scene."""
    high, low = gray.max(axis=0).astype(int), gray.min(axis=0).astype(int)
    out: list[int] = []
    for axis in (1, 0):
        flat = (high.max(axis=axis) <= BAR_LUMA) & (high.max(axis=axis) - low.min(axis=axis) <= BAR_SPREAD)
        size, most = len(flat), len(flat) // 3
        bar = 0 if flat.all() else min(int(np.argmin(flat)), int(np.argmin(flat[::-1])), most)
        out += [bar, size - bar]
    return out[0], out[1], out[2], out[3]


def _area(size: int, of: int) -> np.ndarray:
    """Weights that average `of` cells into `size` of equal width: float32, (size, of)."""
    edges = np.linspace(0, of, size + 1)
    low, high = np.maximum(edges[:-1, None], np.arange(of)), np.minimum(edges[1:, None], np.arange(1, of + 1))
    return (np.maximum(high - low, 0) * (size / of)).astype(np.float32)


def _gridded(values: np.ndarray, times_s: np.ndarray, hz: float, cells: int, beyond: float | None = None) -> np.ndarray:
    """Means of rows by the cell of their time, (cells, k); an empty cell between others is interpolated, one before or
    after all of them is like its neighbour, or `beyond`."""
    cell = np.clip((np.asarray(times_s) * hz + 1e-3).astype(np.int64), 0, cells - 1)
    order = np.argsort(cell, kind="stable")
    there, first = np.unique(cell[order], return_index=True)
    means = np.add.reduceat(values[order].astype(np.float64), first) / np.bincount(cell)[there][:, None]
    if len(there) == cells:
        return means
    grid = np.arange(cells)
    right = np.clip(np.searchsorted(there, grid), 0, len(there) - 1)
    left = np.where(there[right] > grid, np.maximum(right - 1, 0), right)
    gap = np.maximum(there[right] - there[left], 1)
    share = np.clip((grid - there[left]) / gap, 0, 1)[:, None]
    out = means[left] * (1 - share) + means[right] * share
    if beyond is not None:
        out[(grid < there[0]) | (grid > there[-1])] = beyond
    return out
