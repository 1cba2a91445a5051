"""Fingerprints of clips that nobody filmed: smooth fields that move, and levels that vary, as sketches have them."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from winnow.duplicates import fingerprint
from winnow.duplicates.fingerprint import Fingerprint
from winnow.duplicates.sketch import BANDS, HEIGHT, PICTURE_HZ, SOUND_HZ, STEPS, WIDTH

VERSION = "0123456789ab"


def pictures(seed: int, seconds: float = 10.0) -> np.ndarray:
    """A picture's sketch: uint8, (cells, HEIGHT, WIDTH)."""
    field = np.random.default_rng([seed, 1]).normal(size=(round(seconds * PICTURE_HZ), HEIGHT, WIDTH))
    field = gaussian_filter(field, (1.2, 1.5, 1.5))
    return np.clip(120 + 40 * field / field.std(), 0, 255).astype(np.uint8)


def levels(seed: int, seconds: float = 10.0) -> np.ndarray:
    """A sound's sketch: uint8, (cells, BANDS)."""
    field = np.random.default_rng([seed, 2]).normal(size=(round(seconds * SOUND_HZ), BANDS))
    field = gaussian_filter1d(gaussian_filter1d(field, 1.5, axis=0), 0.7, axis=1)
    return np.clip(80 + 14 * field / field.std(), 0, STEPS).astype(np.uint8)


def known(
    sample_id: str,
    picture: np.ndarray,
    sound: np.ndarray,
    *,
    version: str = VERSION,
    video_id: str = "",
    at_s: float = 0,
) -> Fingerprint:
    """The fingerprint of two sketches."""
    voids = fingerprint.picture_void(picture), fingerprint.sound_void(sound)
    end_s = at_s + len(sound) / SOUND_HZ
    return Fingerprint(sample_id, version, picture, sound, *voids, video_id or sample_id, at_s, end_s)
