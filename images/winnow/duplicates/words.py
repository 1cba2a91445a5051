"""Words: what an index finds a sketch by. A word is the signs of 24 low frequencies of a short patch of a sketch; two
copies have some words in common, two other clips hardly any.

Signs do not see level, brightness or contrast; a difference over time does not see what stands still (a logo, hum, an
equaliser). Of a sound a patch is about a second of all bands; of a picture it is the change over half a second, of the
whole picture and of its middle, so that a crop has the words of what was left of it. Who asks also asks for the words
that differ in the signs of the weakest frequencies (`probes`) and, of a picture, for those of its mirror image. After
Haitsma and Kalker, A highly robust audio fingerprinting system, 2002 (signs of differences, weak bits flipped), and the
discrete cosine transform of PDQ.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from winnow.duplicates.sketch import BANDS, HEIGHT, WIDTH

#: Signs in a word, and how many of the weakest are asked for both ways.
BITS, FLIPS = 24, 5
#: Cells of a patch of sound; every STRIDE-th patch is known by a word, every one is asked for.
PATCH, STRIDE = 12, 2
#: Root mean square of what makes a moment informative: dB of a sound's level, steps of 255 of a picture's luma.
LEAST_DB, LEAST_LUMA = 0.7, 0.8
#: The middle of a picture that has words of its own: this share of its width and height.
MIDDLE = 0.85


def smooth(levels: np.ndarray) -> np.ndarray:
    """A sound's sketch in dB, smoothed over three cells so that half a cell's shift does not change it much: float32,
    (cells, BANDS)."""
    level = levels.astype(np.float32) * np.float32(0.5)
    if len(level) > 2:
        level[1:-1] = (level[:-2] + 2 * level[1:-1] + level[2:]) / 4
    return level


def states(pictures: np.ndarray) -> np.ndarray:
    """Pictures less their mean brightness, as vectors: float32, (cells, HEIGHT · WIDTH)."""
    flat = pictures.reshape(len(pictures), HEIGHT * WIDTH).astype(np.float32)
    return flat - flat.mean(axis=1, keepdims=True)


def window(pictures: np.ndarray, share: float, y: float = 0.5, x: float = 0.5) -> np.ndarray:
    """A part of the pictures, `share` of width and height, y and x of the way from the top left corner, enlarged to the
    size of a whole sketch (bilinear): float32."""
    rows, columns = _enlarge(HEIGHT, share, y), _enlarge(WIDTH, share, x)
    return rows @ pictures.astype(np.float32) @ columns.T


@lru_cache(maxsize=64)
def _enlarge(size: int, share: float, at: float) -> np.ndarray:
    place = np.clip((1 - share) * at * size + share * (np.arange(size) + 0.5) - 0.5, 0, size - 1)
    low = np.minimum(place.astype(int), size - 2)
    out = np.zeros((size, size), np.float32)
    out[np.arange(size), low], out[np.arange(size), low + 1] = 1 - (place - low), place - low
    return out


def of_sound(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies of every patch of a sound's sketch, and where informative ones begin: float32 (n, BITS), int64 (n,).

    Three over time (none constant) times eight over bands.
    """
    if len(levels) < PATCH:
        return np.zeros((0, BITS), np.float32), np.zeros(0, np.int64)
    patches = np.lib.stride_tricks.sliding_window_view(levels.astype(np.float32) * np.float32(0.5), PATCH, axis=0)
    over_time, over_bands = _cosines(PATCH)[1:4], _cosines(BANDS)[:8]
    frequencies = np.einsum("ub,nbl,vl->nuv", over_bands, patches, over_time, optimize=True).reshape(len(patches), -1)
    varied = patches - patches.mean(axis=2, keepdims=True)
    there = np.sqrt(np.einsum("nbl,nbl->n", varied, varied) / (BANDS * PATCH)) >= LEAST_DB
    at = np.flatnonzero(there)
    return frequencies[at].astype(np.float32), at


def of_picture(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies of every informative change of a picture's sketch, and the cells in whose middle it is: float32
    (n, BITS), int64 (n,)."""
    change = np.zeros((len(pictures), HEIGHT, WIDTH), np.float32)
    if len(pictures) > 2:
        change[1:-1] = pictures[2:].astype(np.float32) - pictures[:-2]
    flat = change.reshape(len(change), HEIGHT * WIDTH) - change.mean(axis=(1, 2))[:, None]
    at = np.flatnonzero(np.sqrt((flat**2).mean(axis=1)) >= LEAST_LUMA)
    whole = _cosines(HEIGHT)[:6] @ change[at] @ _cosines(WIDTH)[:8].T
    rows, columns = _picture_frequencies()
    return whole[:, rows, columns].astype(np.float32), at


@lru_cache
def _picture_frequencies() -> tuple[np.ndarray, np.ndarray]:
    """The BITS lowest frequencies of a picture but for its mean: rows, columns."""
    every = [(u, v) for u in range(6) for v in range(8) if u or v]
    every.sort(key=lambda f: ((f[0] / HEIGHT) ** 2 + (f[1] / WIDTH) ** 2, f))
    lowest = np.array(every[:BITS])
    return lowest[:, 0], lowest[:, 1]


@lru_cache
def mirror_mask() -> int:
    """The signs that turn when a picture is mirrored: those of odd frequencies along its width."""
    return int(sum(1 << bit for bit, column in enumerate(_picture_frequencies()[1].tolist()) if column % 2))


def packed(frequencies: np.ndarray) -> np.ndarray:
    """Words: the signs of frequencies, uint32, (n,)."""
    return ((frequencies > 0) @ (np.uint32(1) << np.arange(BITS, dtype=np.uint32))).astype(np.uint32)


def probes(frequencies: np.ndarray) -> np.ndarray:
    """Each word with its FLIPS weakest signs both ways: uint32, (n, 2 ** FLIPS)."""
    weakest = np.argsort(np.abs(frequencies), axis=1, kind="stable")[:, :FLIPS].astype(np.uint32)
    choices = np.arange(1 << FLIPS, dtype=np.uint32)
    masks = np.zeros((len(frequencies), 1 << FLIPS), np.uint32)
    for place in range(FLIPS):
        masks |= ((choices >> np.uint32(place)) & np.uint32(1)) << weakest[:, place : place + 1]
    return packed(frequencies)[:, None] ^ masks


@lru_cache
def _cosines(size: int) -> np.ndarray:
    """The cosine basis of a length, orthonormal rows: float32, (size, size)."""
    basis = np.cos(np.pi * np.outer(np.arange(size), np.arange(size) + 0.5) / size)
    return (basis / np.linalg.norm(basis, axis=1, keepdims=True)).astype(np.float32)
