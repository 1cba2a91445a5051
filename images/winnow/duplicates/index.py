"""The index: words of known clips, sorted, a segment for each batch; and the candidates of a batch among them.

A segment is made once, from its batch alone, and never changes, so that an index grows by one segment and what is found
does not depend on how often it was asked. A clip meets those before it only: of earlier batches and, in its own, those
of smaller ids. Of a word that many clips have (a music bed, a jingle) the first MOST_OCCURRENCES count: who came
first is who later ones are compared with. Exact search over sorted words: multi-index hashing with one table a view of
the clip (Norouzi et al., Fast exact search in Hamming space with multi-index hashing, 2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from winnow.core.errors import ContractError
from winnow.duplicates import words
from winnow.duplicates.fingerprint import Fingerprint
from winnow.duplicates.sketch import PICTURE_HZ, SOUND_HZ

#: Occurrences of one word that are looked at.
MOST_OCCURRENCES = 256
#: Words that must agree on when two clips lie over each other, and how exactly, s.
VOTES, TOLERANCE_S = 2, 0.5
#: Candidates of one clip that are verified: those with most votes.
MOST_CANDIDATES = 32
#: New clips that are asked for at a time, which bounds memory.
GROUP = 64
#: Views of a clip that have words of their own: its sound, its picture, the middle of its picture.
SOUND, PICTURE, MIDDLE = 0, 1, 2


@dataclass(frozen=True)
class Segment:
    """Words of a batch's clips, by view: word (uint32, sorted), clip (uint32, its number in `ids`), time in 1/100 s
    (int32). All of one version of the fingerprint."""

    version: str
    ids: tuple[str, ...]
    word: tuple[np.ndarray, ...]
    clip: tuple[np.ndarray, ...]
    time: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, prints: Sequence[Fingerprint]) -> Segment:
        """The segment of a batch; its clips in the order of their ids."""
        ordered = sorted(prints, key=lambda one: one.sample_id)
        views: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for view in (SOUND, PICTURE, MIDDLE):
            parts = [_known(one, view) for one in ordered]
            clip = np.repeat(np.arange(len(parts), dtype=np.uint32), [len(part[0]) for part in parts])
            word = np.concatenate([part[0] for part in parts] or [np.zeros(0, np.uint32)])
            time = np.concatenate([part[1] for part in parts] or [np.zeros(0, np.int32)])
            order = np.lexsort((time, clip, word))
            views.append((word[order], clip[order], time[order]))
        versions = {one.version for one in ordered}
        if len(versions) > 1:
            raise ContractError(f"fingerprints of several versions in one segment: {', '.join(sorted(versions))}")
        ids = tuple(one.sample_id for one in ordered)
        return cls(next(iter(versions), ""), ids, *(tuple(column) for column in zip(*views, strict=True)))


def _known(one: Fingerprint, view: int) -> tuple[np.ndarray, np.ndarray]:
    """Words by which a clip is known, and their times in 1/100 s."""
    frequencies, time = _frequencies(one, view)
    if view == SOUND:
        every = time[1] % words.STRIDE == 0
        frequencies, time = frequencies[every], (time[0][every], time[1][every])
    return words.packed(frequencies), time[0]


def _frequencies(one: Fingerprint, view: int) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Frequencies of a view, and their times in 1/100 s and in cells."""
    if view == SOUND:
        found, at = words.of_sound(one.sound if not one.sound_void else one.sound[:0])
        return found, (np.rint(at * (100 / SOUND_HZ)).astype(np.int32), at)
    pictures = one.picture if not one.picture_void else one.picture[:0]
    found, at = words.of_picture(words.window(pictures, words.MIDDLE) if view == MIDDLE else pictures)
    return found, (np.rint(at * (100 / PICTURE_HZ)).astype(np.int32), at)


#: Which view of a new clip is looked up among which of the known ones: a crop shows the middle of what it was cut from.
LOOKUPS = ((SOUND, SOUND), (PICTURE, PICTURE), (MIDDLE, PICTURE), (PICTURE, MIDDLE))


def candidates(
    segments: Sequence[Segment], prints: Sequence[Fingerprint], own: int | None = None
) -> list[tuple[int, int, int]]:
    """Pairs that may be copies: (number of the new clip in order of ids, segment, number of the known clip), ordered.

    `own` is the place of the new clips' own segment, of which only clips with smaller ids are candidates. Segments of
    another version are passed over.
    """
    ordered = sorted(prints, key=lambda one: one.sample_id)
    base = np.cumsum([0, *(len(segment.ids) for segment in segments)])
    out: list[tuple[int, int, int]] = []
    for first in range(0, len(ordered), GROUP):
        group = ordered[first : first + GROUP]
        found = np.concatenate([_lookup(group, first, segments, base, own, *lookup) for lookup in LOOKUPS])
        pair, place = np.unique(found[:, 0], return_inverse=True)
        votes = np.bincount(place, weights=found[:, 1], minlength=len(pair)).astype(np.int64)
        asker, known = pair >> _CLIP, pair & ((1 << _CLIP) - 1)
        order = np.lexsort((known, -votes, asker))
        asker, known = asker[order], known[order]
        best = np.arange(len(asker)) - np.searchsorted(asker, asker) < MOST_CANDIDATES
        asker, known = asker[best], known[best]
        segment = np.searchsorted(base, known, "right") - 1
        out += sorted(zip((asker + first).tolist(), segment.tolist(), (known - base[segment]).tolist(), strict=True))
    return out


#: Bits of a key: the known clip's number over all segments, the lag's bin, the moment that voted.
_CLIP, _LAG, _MOMENT = 32, 12, 12


def _lookup(
    group: Sequence[Fingerprint],
    first: int,
    segments: Sequence[Segment],
    base: np.ndarray,
    own: int | None,
    view: int,
    known: int,
) -> np.ndarray:
    """Where enough words of one view agree: int64, (n, 2): asker and known clip as one number, votes."""
    parts = [_frequencies(one, view) for one in group]
    asked = [words.probes(frequencies) for frequencies, _ in parts]
    clip = np.repeat(np.arange(len(group)), [part.size for part in asked])
    word = np.concatenate([part.ravel() for part in asked])
    moment = np.concatenate([np.repeat(at, 1 << words.FLIPS) for _, (_, at) in parts])
    time = np.concatenate([np.repeat(time, 1 << words.FLIPS) for _, (time, _) in parts]).astype(np.int64)
    version = {one.version for one in group}
    rows: list[np.ndarray] = []
    for mask in (0, words.mirror_mask()) if view != SOUND else (0,):
        turned = word ^ np.uint32(mask)
        order = np.argsort(turned, kind="stable")
        turned, clip_, moment_, time_ = turned[order], clip[order], moment[order], time[order]
        room = np.full(len(turned), MOST_OCCURRENCES)
        hits = []
        for place, segment in enumerate(segments):
            if segment.version not in version:
                continue
            low = np.searchsorted(segment.word[known], turned, "left")
            count = np.minimum(np.searchsorted(segment.word[known], turned, "right") - low, room)
            room -= count
            asker = np.repeat(np.arange(len(turned)), count)
            at = np.repeat(low - np.cumsum(count) + count, count) + np.arange(len(asker))
            there = segment.clip[known][at].astype(np.int64)
            if place == own:
                earlier = there < clip_[asker] + first
                asker, at, there = asker[earlier], at[earlier], there[earlier]
            pair = clip_[asker] << _CLIP | (there + base[place])
            hits.append(np.stack([pair, segment.time[known][at] - time_[asker], moment_[asker]]))
        if hits:
            rows.append(_votes(np.concatenate(hits, axis=1)))
    return np.concatenate(rows) if rows else np.zeros((0, 2), np.int64)


def _votes(hits: np.ndarray) -> np.ndarray:
    """hits: pair, lag in 1/100 s, moment. Pairs for which enough moments agree on the lag: (n, 2), pair and votes.

    A moment votes once for a lag, whichever of its probes was there. Lags are put into bins twice, half a bin apart, so
    that no agreement is divided by an edge.
    """
    several, place, count = np.unique(hits[0], return_inverse=True, return_counts=True)
    many = count[place] >= VOTES
    pair, lag, moment = place[many], hits[1][many], hits[2][many]
    width, out = round(100 * TOLERANCE_S), []
    for shift in (0, width // 2):
        lag_bin = (lag + shift) // width + (1 << (_LAG - 1))
        once = np.unique((pair << _LAG | lag_bin) << _MOMENT | moment)
        at, votes = np.unique(once >> _MOMENT, return_counts=True)
        strong = votes >= VOTES
        out.append(np.column_stack([several[at[strong] >> _LAG], votes[strong]]))
    return np.concatenate(out)
