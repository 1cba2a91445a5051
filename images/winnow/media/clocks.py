"""Clocks: time stamps as they come, repaired to one timeline on which pictures and sound rise.

Files in the world have clocks that start again (parts joined end to end), jump (a recorder that lost its signal), or
carry one flipped bit; old ones have no picture times at all, or those of decoding. Players show them, so they are cut.

- A clock that changes in picture and sound alike is one clock in two parts: the second part follows the first, picture
  after picture, and its sound stays where it was against its own pictures.
- One that changes in the picture alone, back, or forward to where no sound is, goes on at the usual pace.
- Single stamps that leave and come back are dropped; a missing one is put between its neighbours.
- Pictures that share a time are spread up to the next one; sound packets that do follow each other.

All lists are in file order; times are in units of the track's `time_base`, on the container's clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from statistics import median

#: A clock that goes back by more than BACK_S, or forward by more than FORWARD_S (as for FFmpeg's
#: `-dts_delta_threshold`), has been set anew; changes of two tracks that differ by less than SAME_S are one change.
BACK_S, FORWARD_S, SAME_S = 0.5, 10.0, 1.5
#: Longest run of packets whose times leave and come back that is put down to damage.
FLIPPED = 25
#: Longest time that one picture is believed to stand, s.
STANDS_S = 3600.0
#: Containers whose clock is one that was sent, not one that was written down for the file.
SENT = frozenset({"mpegts", "mpeg"})


@dataclass
class Track:
    """Packets of one stream in file order: presentation times and durations in units of `time_base`. Packets that the
    file says are only there to be decoded (before an edit), or that give no picture, are `hidden`."""

    time_base: Fraction
    codec: str
    index: int = 0
    pts: list[int] = field(default_factory=list)
    dts: list[int | None] = field(default_factory=list)
    lasts: list[int] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    hidden: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Change:
    """Where a clock is set anew: at which packet, and by how much, s."""

    at: int
    by_s: float


def one_timeline(video: Track, audio: Track | None, container: str) -> bool:
    """Join the parts of a clock that was set anew, in place. Whether there was anything to join."""
    seen, heard = _clock(video), _clock(audio) if audio else []
    dropped = _drop_flipped(video, seen)
    if audio:
        _drop_flipped(audio, heard)
    seen_changes, heard_changes = _changes(video, seen), _changes(audio, heard) if audio else []
    if not seen_changes:
        return dropped
    step = usual_step(seen)
    base = float(video.time_base)
    believed = max(20 * step * base, FORWARD_S)
    ends_s = _end_s(audio, heard, heard_changes) if audio else 0.0
    pairs = _pairs(seen_changes, heard_changes)
    moved = 0
    shifts: list[tuple[Change, Change | None, int]] = []
    for number, change in enumerate(seen_changes):
        pair = pairs.get(number)
        if pair is None and change.by_s > 0:
            told = container not in SENT and change.by_s < STANDS_S
            sounds_on = audio is not None and seen[change.at] * base + moved * base <= ends_s + FORWARD_S
            if change.by_s <= believed or told or sounds_on:
                continue
        before = [p for p in video.pts[max(0, change.at - 64) : change.at] if p is not None]
        after = [p for p in video.pts[change.at : change.at + 16] if p is not None]
        if not before or not after:
            continue
        start = min(after) if change.by_s > 0 else min(p for p in after if p - min(after) < FORWARD_S / base)
        follows = max(before) + moved + step
        moved = follows - start
        shifts.append((change, pair, moved))
    _shift(video, [(change.at, by) for change, _, by in shifts])
    if audio:
        paired = [(pair.at, by) for _, pair, by in shifts if pair is not None]
        ratio = video.time_base / audio.time_base
        starts = [(at, round(by * ratio)) for at, by in paired]
        _shift(audio, starts)
        _drop_overlap(audio, [at for at, _ in starts])
    return bool(shifts) or dropped


def _clock(track: Track) -> list[int]:
    """Decoding times, which rise in file order; presentation times where there are none."""
    found, last = [], 0
    for pts, dts in zip(track.pts, track.dts or track.pts, strict=True):
        last = dts if dts is not None else pts if pts is not None else last
        found.append(last)
    return found


def usual_step(times: list[int]) -> int:
    """The usual time from one to the next, at least 1."""
    return max(1, round(median([b - a for a, b in pairwise(times) if b > a] or [1])))


def _changes(track: Track, clock: list[int]) -> list[Change]:
    base = float(track.time_base)
    steps = ((i, (b - a) * base) for i, (a, b) in enumerate(pairwise(clock), 1))
    return [Change(i, by) for i, by in steps if by < -BACK_S or by > FORWARD_S]


def _drop_flipped(track: Track, clock: list[int]) -> bool:
    """Forget times that leave the clock and come back to it at once."""
    changes, dropped, number = _changes(track, clock), False, 0
    while number + 1 < len(changes):
        here, back = changes[number], changes[number + 1]
        if back.at - here.at <= FLIPPED and abs(here.by_s + back.by_s) < FORWARD_S:
            for at in range(here.at, back.at):
                clock[at] = clock[here.at - 1]
                track.pts[at] = None
                if track.dts:
                    track.dts[at] = None
            dropped, number = True, number + 1
        number += 1
    return dropped


def _pairs(seen: list[Change], heard: list[Change]) -> dict[int, Change]:
    """For changes of the picture's clock, the same one of the sound's."""
    found, left = {}, list(heard)
    for number, change in enumerate(seen):
        twin = next((c for c in left if abs(c.by_s - change.by_s) < SAME_S), None)
        if twin is not None:
            found[number] = twin
            left = left[left.index(twin) + 1 :]
    return found


def _end_s(audio: Track, heard: list[int], changes: list[Change]) -> float:
    """Where the first part of the sound's clock ends, s."""
    last = changes[0].at - 1 if changes else len(heard) - 1
    return heard[last] * float(audio.time_base) if heard else 0.0


def _shift(track: Track, parts: list[tuple[int, int]]) -> None:
    """Add to all times from a packet on, up to the next part."""
    edges = [*(at for at, _ in parts), len(track.pts)]
    for (at, by), following in zip(parts, edges[1:], strict=True):
        for times in (track.pts, track.dts):
            for i in range(at, following if times else 0):
                if times[i] is not None:
                    times[i] += by


def _drop_overlap(audio: Track, starts: list[int]) -> None:
    """Hide sound of a new part that the old part still covers by more than half a packet."""
    for at in starts:
        known = [i for i in range(max(0, at - 64), at) if audio.pts[i] is not None]
        if not known:
            continue
        end = audio.pts[known[-1]] + audio.lasts[known[-1]]
        while at < len(audio.pts) and audio.pts[at] is not None and audio.pts[at] < end - audio.lasts[at] / 2:
            audio.hidden.add(at)
            at += 1


def rising_sound(audio: Track) -> None:
    """Give every packet a time, in place: one that has none, or starts well before the one before it ends, follows
    it."""
    expected: int | None = None
    for at, pts in enumerate(audio.pts):
        if at in audio.hidden and pts is not None:
            continue
        last = audio.lasts[at]
        if pts is None or (expected is not None and pts < expected - last // 2):
            pts = (expected or 0) if pts is None or expected is None else expected
        audio.pts[at], expected = pts, pts + max(1, last)
    low = None
    for at in range(len(audio.pts) - 1, -1, -1):  # hidden ones must not disturb the order
        if at in audio.hidden and (low is None or audio.pts[at] > low):
            audio.pts[at] = low if low is not None else audio.pts[at]
        low = audio.pts[at]


def rising_pictures(times: list[int | None], step: int) -> list[int]:
    """Times of pictures in the order in which they are shown, repaired: out of order they are sorted (the times are
    right, their owners are not), missing ones are put between, equal ones spread up to the next."""
    known = iter(sorted(t for t in times if t is not None))
    filled: list[int] = []
    for at, time in enumerate(times):
        if time is not None:
            filled.append(next(known))
        elif filled:
            filled.append(filled[-1] + step)
        else:
            later = next(((k, t) for k, t in enumerate(times) if t is not None), (at, 0))
            filled.append(later[1] - step * (later[0] - at))
    for at in range(len(filled) - 2, -1, -1):  # what was put between stays below what follows
        if times[at] is None:
            filled[at] = min(filled[at], filled[at + 1])
    at = 0
    while at < len(filled):
        end = at + 1
        while end < len(filled) and filled[end] <= filled[at]:
            end += 1
        if end - at > 1:
            first = filled[at]
            following = filled[end] if end < len(filled) else first + step * (end - at)
            for k in range(1, end - at):
                filled[at + k] = max(filled[at + k - 1] + 1, first + (following - first) * k // (end - at))
        if end < len(filled):
            filled[end] = max(filled[end], filled[end - 1] + 1)
        at = end
    return filled
