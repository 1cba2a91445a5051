"""VOP times: when MPEG-4 pictures are shown, by their own word (ISO/IEC 14496-2, 6.2.5 and 6.3.5).

AVI has no picture times, only slots, and encoders of its days stored two pictures in one slot and left others empty, so
that the slot in which a picture comes out is up to some pictures late against the sound. Each picture says itself how
much later it is than a whole second, which tells its place.
"""

from __future__ import annotations

from itertools import pairwise

from winnow.media.h264 import Bits

LAYER, PICTURE = b"\x00\x00\x01\x20", b"\x00\x00\x01\xb6"
#: Bytes of a picture's head that hold its time.
HEAD = 24
#: A picture of at most so many bytes holds nothing: the one before stands on.
NOT_CODED = 8
#: A place by a picture's own time is at most so many slots from the one where it came: encoders hold back no more.
HELD_BACK = 4


class Clock:
    """Own times of pictures, packet by packet in the order of decoding, in ticks."""

    def __init__(self, extradata: bytes | None) -> None:
        self._second_ticks = _resolution(extradata or b"")
        self._second = self._before = 0
        self._held: list[int] = []

    def own(self, data: bytes) -> int | None:
        """The time of the picture that a packet gives; None for one that gives none. A packet gives one: of two
        pictures that it holds, the second comes with the next packet, and so on until one holds none."""
        if LAYER in data:
            self._second_ticks = _resolution(data) or self._second_ticks
        if not self._second_ticks:
            return None
        at = data.find(PICTURE)
        while at >= 0:
            time = self._time(data[at + 4 : at + 4 + HEAD])
            if time is not None:
                self._held.append(time)
            at = data.find(PICTURE, at + 4)
        return self._held.pop(0) if self._held else None

    def _time(self, head: bytes) -> int | None:
        bits, seconds = Bits(head), 0
        try:
            kind = bits.read(2)
            while bits.read(1):
                seconds += 1
            bits.read(1)
            ticks = bits.read(max(1, (self._second_ticks - 1).bit_length()))
            bits.read(1)
            coded = bits.read(1)
        except ValueError:
            return None
        if not coded:
            return None
        if kind != 2:  # all but pictures between two others move the second on
            self._before, self._second = self._second, self._second + seconds
            return self._second * self._second_ticks + ticks
        return (self._before + seconds) * self._second_ticks + ticks


def second(data: bytes) -> bytes:
    """The second picture that a packet holds; b"" where there is one, or none, or the second only repeats the first
    (not coded, some bytes)."""
    at = data.find(PICTURE, data.find(PICTURE) + 4) if PICTURE in data else -1
    return data[at:] if at >= 0 and len(data) - at > NOT_CODED else b""


def places(times: list[int | None], slots: list[int]) -> list[int] | None:
    """Slots of pictures in the order in which they are shown, by their own times; None where these do not rise, or do
    not belong to the slots in which they came."""
    known = [time for time in times if time is not None]
    if len(known) < max(len(times), 3) or any(b <= a for a, b in pairwise(known)):
        return None
    steps = sorted(b - a for a, b in pairwise(known))
    step = steps[len(steps) // 2]
    found = [slots[0] + round((time - known[0]) / step) for time in known]
    rising = all(a < b for a, b in pairwise(found))
    return found if rising and max(abs(a - b) for a, b in zip(found, slots, strict=True)) <= HELD_BACK else None


def _resolution(data: bytes) -> int:
    """Ticks of a second, as the layer's head tells (0: it does not)."""
    at = data.find(LAYER)
    if at < 0:
        return 0
    bits = Bits(data[at + 4 : at + 64])
    try:
        bits.read(9)
        if bits.read(1):
            bits.read(7)
        if bits.read(4) == 15:
            bits.read(16)
        if bits.read(1):
            bits.read(3)
            if bits.read(1):
                bits.read(79)
        bits.read(3)
        return bits.read(16)
    except ValueError:
        return 0
