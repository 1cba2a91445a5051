"""Copies: which clips a cross-fitted scorer takes for one event, and which of its models scores a clip.

Two copies in two folds are a leak: one is scored by a model that was fitted on the other. So folds are drawn of groups
of videos, not of videos (`groups_of`), and a frozen scorer knows the clips that it was fitted on under four keys:
picture and sound together, the video, the picture, the sound. Whatever agrees in one of them, under whatever id, falls
in their group's fold (`Known`). A clip that agrees in none was seen by no model; its fold follows from its picture
alone, so that byte-identical media that come later under two ids get the same score too. What that leaves: a new clip
of a known video, and its copy under an id that nobody knows, may fall in two folds; and a near-duplicate that comes
after the fit is scored by a model that may have seen its original, until the next fit.

A picture or a sound alone that many videos share says nothing of a common origin: silence, black, a jingle. It ties
none of them.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

#: A picture or a sound that more videos than this have ties none of them: music_bed of dbt/seeds/thresholds.csv.
MOST_SHARERS = 8
#: The group of a clip that a scorer does not know.
UNKNOWN = -1


def fold_of(name: str, folds: int) -> int:
    """The fold of a group, 0 … folds − 1: depends on its name alone."""
    return int(hashlib.sha256(f"fold\x1f{name}".encode()).hexdigest()[:15], 16) % folds


def key_of(kind: str, what: str | np.ndarray) -> int:
    """64 bits that stand for a video's id, or for the features of a picture or sound, float32."""
    content = what.encode() if isinstance(what, str) else np.asarray(what, np.float32).tobytes()
    return int.from_bytes(hashlib.sha256(f"{kind}\x1f".encode() + content).digest()[:8], "big")


def groups_of(videos: Iterable[str], ties: Iterable[Sequence[str]]) -> dict[str, str]:
    """The group of every video: the smallest id among those that `ties`, sets of ids, hold together."""
    above = {video: video for video in videos}

    def root(video: str) -> str:
        while above[video] != video:
            above[video] = above[above[video]]
            video = above[video]
        return video

    for tied in ties:
        first, *others = tied
        for other in others:
            one, two = sorted((root(first), root(other)))
            above[two] = one
    return {video: root(video) for video in sorted(above)}


def same(
    video: Sequence[str] | np.ndarray, features: np.ndarray, says: np.ndarray, most: int | None = MOST_SHARERS
) -> list[list[str]]:
    """Sets of videos that share a row of features (n, d), of those rows that say something (bool, n); what more than
    `most` videos share is left out, unless that is None."""
    found: dict[bytes, set[str]] = defaultdict(set)
    for place in np.flatnonzero(says).tolist():
        found[features[place].tobytes()].add(str(video[place]))
    return [sorted(videos) for videos in found.values() if 1 < len(videos) <= (most or len(videos))]


@dataclass(frozen=True)
class Known:
    """The clips that a scorer was fitted on: keys (n,), uint64, ascending; the number of each one's group and its fold,
    int64; folds: how many there are."""

    keys: np.ndarray
    group: np.ndarray
    fold: np.ndarray
    folds: int

    @classmethod
    def of(
        cls, group: np.ndarray, picture: np.ndarray, sound: np.ndarray, groups: Mapping[str, str], folds: int
    ) -> Known:
        """Of n clips: names of their groups, features of picture (n, d) and sound (n, e); groups: of all videos. A
        picture or a sound that two groups have is no key; where they have both, the first one's counts."""
        names, number = np.unique(group, return_inverse=True)
        place = {str(name): at for at, name in enumerate(names)}
        found: dict[int, int] = {}
        shared = set()
        for at, (seen, heard) in enumerate(zip(picture, sound, strict=True)):
            for key in (key_of("picture", seen), key_of("sound", heard)):
                if found.setdefault(key, int(number[at])) != number[at]:
                    shared.add(key)
            both = key_of("clip", np.concatenate([seen, heard]))
            found.setdefault(both, int(number[at]))
        found = {key: of for key, of in found.items() if key not in shared}
        found |= {key_of("video", video): place[name] for video, name in groups.items() if name in place}
        keys = np.array(sorted(found), np.uint64)
        of_key = np.array([found[int(key)] for key in keys], np.int64)
        fold = np.array([fold_of(str(name), folds) for name in names], np.int64)
        return cls(keys, of_key, fold[of_key], folds)

    def find(self, video_id: str, picture: np.ndarray, sound: np.ndarray) -> tuple[int, int]:
        """The group of a clip, UNKNOWN where it agrees with none, and its fold. picture (d,), sound (e,): features."""
        both = key_of("clip", np.concatenate([picture, sound]))
        for key in (both, key_of("video", video_id), key_of("picture", picture), key_of("sound", sound)):
            at = int(np.searchsorted(self.keys, np.uint64(key)))
            if at < len(self.keys) and int(self.keys[at]) == key:
                return int(self.group[at]), int(self.fold[at])
        return UNKNOWN, key_of("picture", picture) % self.folds

    def places(
        self, video: Sequence[str] | np.ndarray, picture: np.ndarray, sound: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Groups and folds of n clips, each int64 (n,)."""
        found = [self.find(str(v), p, s) for v, p, s in zip(video, picture, sound, strict=True)]
        group, fold = np.array(found, np.int64).reshape(-1, 2).T
        return group, fold

    def arrays(self) -> dict[str, np.ndarray]:
        """What a model's file holds of it."""
        return {"known_keys": self.keys, "known_group": self.group, "known_fold": self.fold}

    @classmethod
    def read(cls, arrays: Mapping[str, np.ndarray], folds: int) -> Known:
        """What `arrays` gave; KeyError where it is not there."""
        return cls(arrays["known_keys"], arrays["known_group"], arrays["known_fold"], folds)
