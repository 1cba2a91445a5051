"""Verification: whether two clips really have a stretch of picture, of sound or of both in common.

An index only guesses. Here the two sketches are laid beside each other at every offset and speed and, of pictures, in
every frame that a copy may have (mirrored, cropped from the middle or a corner, on either side), and the best stretch
must correlate (`align`) for long enough. Where both sides have information and one of them disagrees, that is told:
the same picture with another sound is a dubbed clip, the same sound with another picture a music bed or a still.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from winnow.duplicates import align, words
from winnow.duplicates.fingerprint import Fingerprint
from winnow.duplicates.sketch import PICTURE_HZ, SOUND_HZ

#: What two stretches must correlate by, and how many cells long they must be. A short stretch of smooth pictures is
#: found by chance, a short stretch of sound in another clip of the same rhythm: the shortest must correlate by the
#: last number, those of LONG times as many cells by the first.
PICTURE_CELLS, PICTURE_SCORES = 6, (0.55, 0.7)
SOUND_CELLS, SOUND_SCORES = 18, (0.68, 0.9)
LONG = 2.5
#: What is enough of a picture whose sound agrees and is at most twice as long, and by how much the two may say another
#: offset, s.
BESIDE_SCORE, BESIDE_S = 0.5, 0.6
#: What the mean pictures of a stretch must correlate by: the same movement in another scene is another clip.
SCENE_SCORE = 0.5
#: And where a sound agrees, what they must correlate by when nothing is known of their movement.
SAME_SCENE = 0.85
#: A picture's match that needs no other frame to be tried, and the speeds that are tried first.
CERTAIN = 0.8
COARSE = np.array([0.95, 1.0, 1.05])


@dataclass(frozen=True)
class Pair:
    """A verified pair, the earlier admitted clip first. kind: `both`, `picture` or `sound` where the other side says
    nothing (no information), `picture_other_sound`, `sound_other_picture`. length_s: how long the common stretch is in
    the first clip; it stands at `first_s` there and at `second_s` in the second, which plays `speed` times as fast.
    share: of the shorter clip. Scores: correlation along the stretch, None where not matched."""

    first: str
    second: str
    kind: str
    first_s: float
    second_s: float
    length_s: float
    share: float
    speed: float
    mirrored: bool
    picture_score: float | None
    sound_score: float | None


def verify(first: Fingerprint, second: Fingerprint) -> Pair | None:
    """What two clips have in common; None for nothing that counts. Fingerprints of two versions have nothing."""
    if first.version != second.version:
        return None
    heard = _sound(first, second)
    seen, mirrored = _picture(first, second, heard)
    if heard is None and seen is None:
        return None
    if heard is not None and seen is not None and not _agree(seen, heard):
        # Not one event: what they share longer counts, the other side is another one's.
        longer = (seen.end - seen.start) / PICTURE_HZ > (heard.end - heard.start) / SOUND_HZ
        seen, heard, mirrored = (seen, None, mirrored) if longer else (None, heard, False)
    voids = (first.picture_void or second.picture_void, first.sound_void or second.sound_void)
    if heard is not None and seen is not None:
        kind = "both"
    elif seen is not None:
        kind = "picture" if voids[1] else "picture_other_sound"
    else:
        kind = "sound" if voids[0] else "sound_other_picture"
    stretches = [(match, hz) for match, hz in ((seen, PICTURE_HZ), (heard, SOUND_HZ)) if match is not None]
    match, hz = max(stretches, key=lambda pair: (pair[0].end - pair[0].start) / pair[1])
    length_s = (match.end - match.start) / hz
    shorter_s = min(len(first.sound) / SOUND_HZ, len(second.sound) / SOUND_HZ)
    return Pair(
        first.sample_id,
        second.sample_id,
        kind,
        round(match.start / hz, 2),
        round((match.offset + match.speed * match.start) / hz, 2),
        round(length_s, 2),
        round(min(length_s / max(shorter_s, 1e-9), 1.0), 3),
        match.speed,
        mirrored,
        None if seen is None else round(float(seen.score), 3),
        None if heard is None else round(float(heard.score), 3),
    )


def _lines(first: int, second: int, least: int, step: float = 0.5) -> np.ndarray:
    """Offsets in cells, at which two sketches have `least` cells in common."""
    return np.arange(-(first - least), second - least + step / 2, step)


def _sound(first: Fingerprint, second: Fingerprint) -> align.Match | None:
    if first.sound_void or second.sound_void:
        return None
    a, b = (align.differences(words.smooth(one.sound), 1) for one in (first, second))
    found = align.best(a, b, _lines(len(a), len(b), SOUND_CELLS), align.SPEEDS, SOUND_CELLS)
    return found if found is not None and found.score >= _needed(found, SOUND_CELLS, SOUND_SCORES) else None


def _needed(match: align.Match, cells: int, scores: tuple[float, float]) -> float:
    """What a stretch must correlate by at its length."""
    short = np.clip((LONG - (match.end - match.start) / cells) / (LONG - 1), 0, 1)
    return float(scores[0] + short * (scores[1] - scores[0]))


def _agree(seen: align.Match, heard: align.Match) -> bool:
    """Whether picture and sound say the same of when one clip lies over the other, in the middle of the picture's."""
    at_s = (seen.start + seen.end) / 2 / PICTURE_HZ
    there = [match.offset / hz + match.speed * at_s for match, hz in ((seen, PICTURE_HZ), (heard, SOUND_HZ))]
    return abs(there[0] - there[1]) <= BESIDE_S


def _enough(match: align.Match, heard: align.Match | None) -> bool:
    """Whether a picture's stretch correlates by more than chance does at its length."""
    if heard is not None and match.score >= BESIDE_SCORE and _agree(match, heard):
        return 2 * (match.end - match.start) / PICTURE_HZ >= (heard.end - heard.start) / SOUND_HZ
    return match.score >= _needed(match, PICTURE_CELLS, PICTURE_SCORES)


def _picture(first: Fingerprint, second: Fingerprint, heard: align.Match | None) -> tuple[align.Match | None, bool]:
    """The best stretch, and whether it is mirrored. Every frame is tried coarsely, the best three of them finely."""
    if first.picture_void or second.picture_void:
        return None, False
    size = len(first.picture), len(second.picture)
    lines = _lines(*size, PICTURE_CELLS, 1.0), _lines(*size, PICTURE_CELLS)
    frames = list(_frames(first.picture, second.picture))
    changes: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # by the sketch as it lies there: most lie there often

    def prepared(sketch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if id(sketch) not in changes:
            states = words.states(sketch)
            changes[id(sketch)] = states, align.differences(states, 1)
        return changes[id(sketch)]

    coarse: list[tuple[float, int]] = []
    for order, (_, a, b) in enumerate(frames):
        match = align.best(prepared(a)[1], prepared(b)[1], lines[0], COARSE, PICTURE_CELLS)
        if match is not None:
            coarse.append((-match.gain, order))
            if match.score >= CERTAIN:
                break
    for _, order in sorted(coarse)[:3]:
        mirrored, a, b = frames[order]
        (one, one_changes), (other, other_changes) = prepared(a), prepared(b)
        match = align.best(one_changes, other_changes, lines[1], align.SPEEDS[::2], PICTURE_CELLS)
        if match is not None and _enough(match, heard) and _scene(one, other, match) >= SCENE_SCORE:
            return match, mirrored
    return (None, False) if heard is None else _same_scene(first.picture, second.picture, heard)


def _same_scene(first: np.ndarray, second: np.ndarray, heard: align.Match) -> tuple[align.Match | None, bool]:
    """Where a sound agrees and little moves: whether the scene is the same while it is heard."""
    scale = PICTURE_HZ / SOUND_HZ
    start, end = int(heard.start * scale), min(int(np.ceil(heard.end * scale)), len(first))
    while start < end and heard.offset * scale + heard.speed * start < 0:
        start += 1
    if end - start < PICTURE_CELLS:
        return None, False
    lain = align.Match(0.0, start, end, heard.offset * scale, heard.speed, 0.0)
    found = max((_scene(words.states(a), words.states(b), lain), turned) for turned, a, b in _frames(first, second))
    return (replace(lain, score=found[0]), found[1]) if found[0] >= SAME_SCENE else (None, False)


def _frames(first: np.ndarray, second: np.ndarray) -> Iterator[tuple[bool, np.ndarray, np.ndarray]]:
    """Pairs of sketches as they may lie over each other: mirrored or not, either of them cropped."""
    turned = second[:, :, ::-1]
    for share, places in ((1.0, ((0.5, 0.5),)), (words.MIDDLE, _PLACES), (0.925, ((0.5, 0.5),))):
        for y, x in places:
            cropped = first if share == 1.0 else words.window(first, share, y, x)
            for mirrored, other in enumerate((second, turned)):
                yield bool(mirrored), cropped, other
                if share != 1.0:
                    yield bool(mirrored), first, words.window(other, share, y, x)


_PLACES = ((0.5, 0.5), (0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))


def _scene(one: np.ndarray, other: np.ndarray, match: align.Match) -> float:
    """Correlation of a stretch's mean pictures, without the sixth of them that differs most: a logo, a subtitle."""
    t = np.arange(match.start, match.end)
    u = np.clip(np.rint(match.offset + match.speed * t), 0, len(other) - 1).astype(int)
    a, b = one[t].mean(axis=0), other[u].mean(axis=0)
    for kept in (len(a) * 11 // 12, len(a) * 10 // 12):
        nearest = np.argsort(np.abs(a / (a.std() + 1e-6) - b / (b.std() + 1e-6)), kind="stable")[:kept]
        a, b = a[nearest] - a[nearest].mean(), b[nearest] - b[nearest].mean()
    return float(a @ b / np.sqrt((a @ a) * (b @ b) + 1e-6))
