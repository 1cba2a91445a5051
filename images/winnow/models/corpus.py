"""The clips that a correspondence scorer is fitted on, as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np


@dataclass(frozen=True)
class Corpus:
    """Clips to fit on, ordered by sample id.

    video: (n,) ids; picture: (n, d), sound: (n, e), each side's layers joined; picture_sizes, sound_sizes: lengths of
    the layers; motion, onset: prepared envelopes, (n, MAX_CELLS + 1). All float32. groups: the group of each video
    (`models.copies`), of videos without a clip here too; a video that is not there is one by itself.
    """

    video: np.ndarray
    picture: np.ndarray
    sound: np.ndarray
    picture_sizes: tuple[int, ...]
    sound_sizes: tuple[int, ...]
    motion: np.ndarray
    onset: np.ndarray
    groups: Mapping[str, str] = field(default_factory=dict)

    @property
    def group(self) -> np.ndarray:
        """The name of each clip's group, (n,) str."""
        return np.array([self.groups.get(video, video) for video in self.video.tolist()], dtype=str)

    def __len__(self) -> int:
        return len(self.video)

    def take(self, place: np.ndarray) -> Corpus:
        """The clips at these places."""
        return replace(
            self,
            video=self.video[place],
            picture=self.picture[place],
            sound=self.sound[place],
            motion=self.motion[place],
            onset=self.onset[place],
        )

    def first(self, most: int) -> Corpus:
        """The first clips, at most so many."""
        return self.take(np.arange(min(len(self), most)))
