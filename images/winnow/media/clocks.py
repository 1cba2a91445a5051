"""Clocks: time stamps as they come, repaired to one timeline on which pictures and sound rise.

Files in the world have clocks that start again (parts joined end to end), jump (a recorder that lost its signal), or
carry one flipped bit; old ones have no picture times at all, or those of decoding. Players show them, so they are cut.

- A clock that changes in picture and sound alike is one clock in two parts: the second part follows the first, picture
  after picture, and its sound stays where it was against its own pictures.
- One that changes in the picture alone, back, or forward to where no sound is, goes on at the usual pace.
- Single stamps that leave and come back count as missing; a missing one is put between its neighbours.
- Pictures that share a time are spread up to the next one; sound packets that do follow each other.

Times are in units of their track's `time_base`, on the container's clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from statistics import median

#: A clock that goes back by more than BACK_S, or forward by more than FORWARD_S (as for FFmpeg's
#: `-dts_delta_threshold`), has been set anew; changes of two tracks that differ by less than SAME_S are one change.
BACK_S, FORWARD_S, SAME_S = 0.5, 10.0, 1.5
#: Longest run of pictures or packets whose times leave and come back that is put down to damage.
FLIPPED = 8
#: Longest time that one picture is believed to stand, s.
STANDS_S = 3600.0
#: Containers whose clock is one that was sent, not one that was written down for the file.
SENT = frozenset({"mpegts", "mpeg"})


@dataclass
class Track:
    """Packets of one stream in file order: presentation times and durations in units of `time_base`; a time that is
    missing stands as None among `pts` until the clock is repaired. Packets that the
    file says are only there to be decoded (before an edit), or that give no picture, are `hidden`; those whose picture
    refers to one that is missing are `orphans`."""

    time_base: Fraction
    codec: str
    index: int = 0
    pts: list[int] = field(default_factory=list)
    dts: list[int | None] = field(default_factory=list)
    lasts: list[int] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    hidden: set[int] = field(default_factory=set)
    orphans: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Part:
    """Pictures on one setting of the clock: their first and last time as they came, and what was added to them."""

    first: int
    last: int
    shift: int


def usual_step(times: list[int]) -> int:
    """The usual time from one to the next, at least 1."""
    return max(1, round(median([b - a for a, b in pairwise(times) if b > a] or [1])))


def is_set_anew(track: Track) -> bool:
    """Whether a track's clock jumps, judged by the times of decoding, which rise in file order."""
    clock = [d if d is not None else p for p, d in zip(track.pts, track.dts or track.pts, strict=True)]
    return bool(_jumps([time for time in clock if time is not None], track.time_base))


def _jumps(times: list[int], base: Fraction) -> list[int]:
    low, high = -BACK_S / base, FORWARD_S / base
    return [at for at, (a, b) in enumerate(pairwise(times), 1) if b - a < low or b - a > high]


def one_timeline(times: list[int | None], base: Fraction, audio: Track | None, container: str) -> list[int | None]:
    """Times of pictures in the order in which they are shown, with the parts of a clock that was set anew joined; the
    sound's times are moved along, in place."""
    jumps = _sound_jumps(audio) if audio else []
    step = usual_step([t for t in times if t is not None])
    times = without_flipped(times, step)
    parts: list[Part] = []
    before: int | None = None
    made: list[int | None] = []
    for time in times:
        if time is None:
            made.append(None)
            continue
        shift = parts[-1].shift if parts else 0
        if before is None or _believed(before, time, step, base, audio, jumps, container):
            parts[-1:] = [Part(parts[-1].first, time, shift)] if parts else [Part(time, time, 0)]
        else:
            shift += before + step - time
            parts.append(Part(time, time, shift))
        made.append(time + shift)
        before = time
    if audio and jumps and len(parts) > 1:
        _move_along(audio, jumps, parts, base)
    return made


def _believed(
    before: int, time: int, step: int, base: Fraction, audio: Track | None, jumps: list[int], container: str
) -> bool:
    """Whether a picture's time follows that of the one before it on one clock."""
    by = time - before
    if -BACK_S / base <= by <= max(20 * step, FORWARD_S / base):
        return True
    if by < 0:
        return False
    by_s = float(by * base)
    twin = audio is not None and any(
        abs(float((audio.pts[at] - audio.pts[at - 1]) * audio.time_base) - by_s) < SAME_S for at in jumps
    )
    if twin or by_s > STANDS_S:
        return False
    if container not in SENT:
        return True
    if audio is None or not audio.pts:
        return False
    first_end = (jumps[0] if jumps else len(audio.pts)) - 1
    return time * base <= audio.pts[first_end] * audio.time_base + FORWARD_S


def _sound_jumps(audio: Track) -> list[int]:
    """Where the sound's clock is set anew."""
    last = next((pts for pts in audio.pts if pts is not None), 0)
    for at, pts in enumerate(audio.pts):
        last = last if pts is None else pts
        audio.pts[at] = last
    return _jumps(audio.pts, audio.time_base)


def without_flipped(times: Sequence[int | None], step: int) -> list[int | None]:
    """Times in order, without those that leave their clock for at most FLIPPED pictures and come back to it."""
    found: list[int | None] = list(times)
    given = {at: time for at, time in enumerate(times) if time is not None}
    known = list(given)
    place = 0
    kept: list[int] = []
    while place < len(known):
        at = known[place]
        if not kept or given[at] >= given[kept[-1]]:
            kept.append(at)
            place += 1
            continue
        high = next((k for k in range(1, min(FLIPPED, len(kept) - 1) + 1) if given[kept[-k - 1]] < given[at]), None)
        if high is not None and given[at] - given[kept[-high - 1]] <= (high + 2) * 3 * step:
            for back in kept[-high:]:
                found[back] = None
            kept[-high:] = []
            continue
        ahead = known[place + 1 : place + 1 + FLIPPED]
        low = next((k for k, later in enumerate(ahead, 1) if given[later] > given[kept[-1]]), None)
        if low is not None and given[ahead[low - 1]] - given[kept[-1]] <= (low + 2) * 3 * step:
            for back in known[place : place + low]:
                found[back] = None
            place += low
            continue
        kept = [at]
        place += 1
    return found


def _move_along(audio: Track, jumps: list[int], parts: list[Part], base: Fraction) -> None:
    """Move the sound after each jump of its clock as far as the pictures of its part."""
    ratio, slack = base / audio.time_base, SAME_S / base
    part, starts = 0, []
    for at, following in zip(jumps, [*jumps[1:], len(audio.pts)], strict=True):
        time = audio.pts[at] / ratio
        for number in range(part + 1, len(parts)):
            if parts[number].first - slack <= time <= parts[number].last + slack:
                part = number
                break
        starts.append((at, following, round(parts[part].shift * ratio)))
    for at, following, by in starts:
        for i in range(at, following):
            audio.pts[i] += by
    _drop_overlap(audio, [at for at, _, by in starts if by])


def _drop_overlap(audio: Track, starts: list[int]) -> None:
    """Hide sound of a new part that the old part still covers by more than half a packet."""
    for start in starts:
        at, end = start, audio.pts[start - 1] + audio.lasts[start - 1]
        while at < len(audio.pts) and end - BACK_S / audio.time_base < audio.pts[at] < end - audio.lasts[at] / 2:
            audio.hidden.add(at)
            at += 1


def plain_lasts(audio: Track) -> None:
    """Durations of packets as they are, in place: MP4 has no other way to write a gap than a packet that lasts."""
    usual = sorted(audio.lasts)[len(audio.lasts) // 2] if audio.lasts else 0
    audio.lasts = [min(last, 4 * usual) if usual else last for last in audio.lasts]


def rising_sound(audio: Track) -> None:
    """Give every packet a time, in place: one that has none, or starts well before the one before it ends, follows
    it."""
    times = without_flipped(audio.pts, usual_step([t for t in audio.pts if t is not None]))
    expected: int | None = None
    audio.pts = []
    for at, pts in enumerate(times):
        last = audio.lasts[at]
        if at not in audio.hidden or pts is None:
            if pts is None or (expected is not None and pts < expected - last // 2):
                pts = expected or 0
            expected = pts + max(1, last)
        audio.pts.append(pts)
    for at in range(len(audio.pts) - 2, -1, -1):  # the times of hidden ones must not disturb the order
        if at in audio.hidden:
            audio.pts[at] = min(audio.pts[at], audio.pts[at + 1])


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
