"""Handwritten digits as pictures, rotated and flipped ones as their second view.

scikit-learn's copy of the UCI optical digits (1,797 pictures of 8 × 8, about 180 a class) is real data that comes with
the library. A class needs more samples than that, and the two views of a class are of different instances, so each
sample is a picture drawn with replacement and moved a little: shifted by up to 0.3 pixels, turned by up to 5 degrees,
scaled by up to 5 %, with noise of one grey level of 16. Nothing else is changed.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

CLASSES = 10
SIDE = 8
#: How far a picture is moved at most: pixels, degrees, share; and its noise in grey levels of 16.
SHIFT_PX, TURN_DEG, SCALE, NOISE = 0.3, 5, 0.05, 1.0


@lru_cache
def _originals() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    data = load_digits()
    return data.images.astype(np.float64), data.target.astype(np.int64)


def handwritten(per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and their classes, class by class.

    Returns float32 (10 · per_class, 8, 8) in 0 to 1, and int64 (10 · per_class,). The same seed: the same pictures.
    """
    from scipy.ndimage import affine_transform

    images, target = _originals()
    rng = np.random.default_rng([seed, 8])
    out, classes = [], np.repeat(np.arange(CLASSES), per_class)
    centre = np.full(2, (SIDE - 1) / 2)
    for digit in range(CLASSES):
        members = np.flatnonzero(target == digit)
        for index in rng.choice(members, per_class):
            shift = rng.uniform(-SHIFT_PX, SHIFT_PX, 2)
            turn = np.deg2rad(rng.uniform(-TURN_DEG, TURN_DEG))
            scale = 1 + rng.uniform(-SCALE, SCALE)
            matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) / scale
            moved = affine_transform(
                images[index], matrix, centre - matrix @ (centre + shift), order=1, mode="grid-constant"
            )
            out.append(np.clip(moved + rng.normal(0, NOISE, moved.shape), 0, 16) / 16)
    return np.array(out, np.float32), classes


def rotated(images: np.ndarray) -> np.ndarray:
    """Turned by 90 degrees, counter-clockwise."""
    return np.ascontiguousarray(np.rot90(images, axes=(1, 2)))


def flipped(images: np.ndarray) -> np.ndarray:
    """Upside down (vertical flip)."""
    return np.ascontiguousarray(images[:, ::-1])


def mirrored(images: np.ndarray) -> np.ndarray:
    """Left and right changed (horizontal flip)."""
    return np.ascontiguousarray(images[:, :, ::-1])
