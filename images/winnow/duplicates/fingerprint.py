"""Fingerprints: what is compared of a clip, and whether it says enough to be compared at all.

A picture that is flat or stands still, a sound that is silent or steady, and either of them that is too short, are
equal in thousands of clips: a fingerprint of them has no information, matches nothing, and says why.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from winnow.duplicates import words
from winnow.duplicates.sketch import BANDS, HEIGHT, PICTURE_HZ, SOUND_HZ, WIDTH

#: Shorter clips are compared by nothing, s.
LEAST_S = 1.5
#: Informative moments that a fingerprint needs: as many as half a second of them.
LEAST_PICTURE, LEAST_SOUND = 4, 6
#: A picture whose luma nowhere and never varies by more (root mean square of 255) is flat.
FLAT_LUMA = 2.0


@dataclass(frozen=True)
class Fingerprint:
    """A clip's sketches: picture uint8 (cells, HEIGHT, WIDTH) at PICTURE_HZ, sound uint8 (cells, BANDS) at SOUND_HZ; of
    a side that has no information `…_void` says why, else it is None. `video_id`, `start_s` and `end_s`: where it was
    cut. Of two versions nothing is compared."""

    sample_id: str
    version: str
    picture: np.ndarray
    sound: np.ndarray
    picture_void: str | None = None
    sound_void: str | None = None
    video_id: str = ""
    start_s: float = 0.0
    end_s: float = 0.0

    @classmethod
    def of_row(cls, row: dict[str, object]) -> Fingerprint:
        """From a row of the stage's table."""
        return cls(
            str(row["sample_id"]),
            str(row["version"]),
            np.asarray(row["picture"], np.uint8).reshape(-1, HEIGHT, WIDTH),
            np.asarray(row["sound"], np.uint8).reshape(-1, BANDS),
            row["picture_void"],  # type: ignore[arg-type]
            row["sound_void"],  # type: ignore[arg-type]
            str(row["video_id"]),
            float(row["start_s"]),  # type: ignore[arg-type]
            float(row["end_s"]),  # type: ignore[arg-type]
        )


def picture_moments(picture: np.ndarray) -> int:
    """Cells at which a picture's sketch changes by more than noise."""
    return len(words.of_picture(picture)[1])


def sound_moments(sound: np.ndarray) -> int:
    """Patches in which a sound's sketch varies by more than noise."""
    return len(words.of_sound(sound)[1])


def picture_void(picture: np.ndarray) -> str | None:
    """Why a picture's sketch has no information: short, flat, still; None where it has."""
    if len(picture) < LEAST_S * PICTURE_HZ:
        return "short"
    if float(words.states(picture).std(axis=1).max()) < FLAT_LUMA:
        return "flat"
    return "still" if picture_moments(picture) < LEAST_PICTURE else None


def sound_void(sound: np.ndarray) -> str | None:
    """Why a sound's sketch has no information: short, silent, steady; None where it has."""
    if len(sound) < LEAST_S * SOUND_HZ:
        return "short"
    if not sound.any():
        return "silent"
    return "steady" if sound_moments(sound) < LEAST_SOUND else None
