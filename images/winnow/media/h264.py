"""H.264: what a stream's units tell without decoding (ITU-T H.264, 7.3 and 7.4).

A packet must consist of whole units, one of them a slice, without the zeros that the format forbids; and reference
pictures are counted: each slice's frame_num is that of the reference picture before it plus one (7.4.3), so that a
picture that is missing is seen at the next one. FFmpeg's decoder puts a copy of another picture in its place and says
nothing, so what is decoded from there to the next keyframe is taken for damaged.

Streams that may leave numbers out say so, and are believed; so is every keyframe (streams are cut and joined there,
and some of these do not start afresh) and a 1, which may follow a picture that set the count anew (8.2.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.packet import Packet

#: Types of units: slices, IDR pictures, parameter sets, the last type that is not reserved for other uses.
SLICES, IDR, SPS, PPS, LAST_TYPE = frozenset({1, 2, 5}), 5, 7, 8, 23
ZEROS = bytes(4)
#: Profiles whose parameter sets say how colour is sampled (7.3.2.1.1).
WITH_CHROMA = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
#: Bytes of a slice's header that hold its frame_num, however long the numbers before it are.
HEAD = 16
START, LONGEST_SET = b"\0\0\1", 4096


def unit_bytes(extradata: bytes | None) -> int:
    """Size of the length fields between units, bytes, of a stream in MP4; 0 for a byte stream with start codes."""
    if not extradata or extradata[:1] != b"\x01":
        return 0
    return (extradata[4] & 3) + 1 if len(extradata) > 6 else 4


def starts_afresh(data: bytes, units: int) -> bool:
    """Whether a packet is an IDR picture: nothing after it refers to anything before it. `units` as `unit_bytes`."""
    if not units:
        return any(part and part[0] & 31 == IDR for part in data.split(b"\x00\x00\x01")[1:])
    at = 0
    while at + units < len(data):
        if data[at + units] & 31 == IDR:
            return True
        at += units + int.from_bytes(data[at : at + units], "big")
    return False


def are_pictures(packets: list, extradata: bytes | None) -> bool:
    """Whether all packets of a stream in MP4 are pictures, as far as their units tell."""
    units = unit_bytes(extradata) or 4
    return all(_is_picture(bytes(packet), units) for packet in packets)


def follow_each_other(packets: list, extradata: bytes | None) -> bool:
    """Whether no picture is missing between those of a stream in MP4, in the order of decoding. What cannot be read is
    doubted."""
    count = Count(extradata)
    return all(count.follows(packet, packet.has_sidedata("new_extradata")) for packet in packets)


def _is_picture(data: bytes, units: int) -> bool:
    at, slices = 0, False
    while at + units < len(data):
        size = int.from_bytes(data[at : at + units], "big")
        head = data[at + units]
        kind = head & 31
        if not size or head & 128 or not 0 < kind <= LAST_TYPE or data.find(ZEROS, at + units, at + units + size) >= 0:
            return False
        slices = slices or kind in SLICES
        at += units + size
    return slices and at == len(data)


def _heads(data: bytes, units: int) -> Iterator[bytes]:
    """Units of a packet up to its first slice, of which the beginning is given."""
    at = 0 if units else data.find(START)
    while 0 <= at < len(data) - max(units, 3):
        if units:
            low = at + units
            at = low + int.from_bytes(data[at:low], "big")
        else:
            low = at + 3
            at = data.find(START, low, low + LONGEST_SET)
        if data[low] & 31 in SLICES:
            yield data[low : low + HEAD]
            return
        if at == low:
            return
        yield data[low : at if at > 0 else low + LONGEST_SET]


class Bits:
    """Bits of some bytes, read one number after the other: `left` of them, as the number `value`. ValueError behind
    their end."""

    def __init__(self, data: bytes) -> None:
        self.value, self.left = int.from_bytes(data, "big"), 8 * len(data)

    @classmethod
    def of_unit(cls, unit: bytes) -> Bits:
        """Of a unit, behind its first byte and without the bytes that only keep start codes out."""
        return cls(unit[1:] if unit.find(b"\0\0\3") < 0 else unit[1:].replace(b"\0\0\3", b"\0\0"))

    def read(self, count: int) -> int:
        """An unsigned number of so many bits, u(n)."""
        if count > self.left:
            raise ValueError("behind the end of a unit")
        self.left -= count
        found = self.value >> self.left
        self.value -= found << self.left
        return found

    def golomb(self) -> int:
        """An Exp-Golomb number, ue(v)."""
        zeros = self.left - self.value.bit_length()
        left = self.left - 2 * zeros - 1
        if zeros > 32 or left < 0:
            raise ValueError("no number of this format")
        found = self.value >> left
        self.left, self.value = left, self.value - (found << left)
        return found - 1

    def signed(self) -> int:
        """A signed Exp-Golomb number, se(v)."""
        code = self.golomb()
        return (code + 1) // 2 if code & 1 else -(code // 2)


@dataclass(frozen=True)
class _Set:
    """What a sequence's parameter set says of numbers: bits of a frame_num, whether some may be left out, whether
    planes are coded apart, and whether pictures may be fields."""

    bits: int
    gaps: bool
    apart: bool
    fields: bool


class Count:
    """The count of reference pictures of a stream, over its packets in the order of decoding."""

    def __init__(self, extradata: bytes | None) -> None:
        self._units = unit_bytes(extradata)
        self._sequences: dict[int, _Set] = {}
        self._pictures: dict[int, int] = {}
        self._before: int | None = None
        self._field = False
        for unit in _described(extradata or b""):
            self._learn(unit)

    def follows(self, packet: Packet, renewed: bool = False) -> bool | None:
        """Whether a packet is the picture that comes next; None where that cannot be read. `renewed`: from this packet
        on the stream is described anew."""
        data = bytes(packet)
        if renewed:
            self._sequences.clear()
        units = self._units
        if units and len(data) > units and data[units] & 31 in SLICES:
            return self._is_next(data[units : units + HEAD], packet.is_keyframe)
        for unit in _heads(data, units):
            if unit[0] & 31 in SLICES:
                return self._is_next(unit, packet.is_keyframe)
            self._learn(unit)
        return None

    def _learn(self, unit: bytes) -> None:
        """Keep what a parameter set says; one that cannot be read is forgotten."""
        kind = unit[0] & 31 if unit else 0
        try:
            if kind == SPS:
                number, said = _sequence(unit)
                self._sequences[number] = said
            elif kind == PPS:
                bits = Bits.of_unit(unit)
                number = bits.golomb()
                self._pictures[number] = bits.golomb()
        except ValueError:
            (self._sequences if kind == SPS else self._pictures).clear()

    def _is_next(self, unit: bytes, key: bool) -> bool | None:
        try:
            said, number, is_field = self._number(unit)
        except (KeyError, ValueError):
            return None
        before, self._before = self._before, number if unit[0] & 96 else self._before
        was_field, self._field = self._field, is_field if unit[0] & 96 else self._field
        return (
            said.gaps
            or key
            or before is None
            or number in (1, (before + 1) % (1 << said.bits))
            or (is_field and was_field and number == before)
        )

    def _number(self, unit: bytes) -> tuple[_Set, int, bool]:
        """Of a slice's header (7.3.3): what its sequence's parameter set says, its frame_num, whether it is a field."""
        bits = Bits.of_unit(unit)
        bits.golomb()  # the first macroblock
        bits.golomb()  # the type
        said = self._sequences[self._pictures[bits.golomb()]]
        if said.apart:
            bits.read(2)
        number = bits.read(said.bits)
        return said, number, said.fields and bool(bits.read(1))


def _described(extradata: bytes) -> Iterator[bytes]:
    """The parameter sets of a stream's description: an avcC box (ISO/IEC 14496-15, 5.3.3.1) or a byte stream."""
    if not unit_bytes(extradata):
        yield from extradata.split(START)[1:]
        return
    at = 5
    for mask in (31, 255):
        count, at = (extradata[at] & mask if at < len(extradata) else 0), at + 1
        for _ in range(count):
            low = at + 2
            at = low + int.from_bytes(extradata[at:low], "big")
            yield extradata[low:at]


def _sequence(unit: bytes) -> tuple[int, _Set]:
    """A sequence's parameter set (7.3.2.1.1) by its number."""
    bits = Bits.of_unit(unit)
    profile = bits.read(8)
    bits.read(16)
    number, apart = bits.golomb(), False
    if profile in WITH_CHROMA:
        sampling = bits.golomb()
        apart = sampling == 3 and bool(bits.read(1))
        bits.golomb()
        bits.golomb()
        bits.read(1)
        if bits.read(1):
            for at in range(12 if sampling == 3 else 8):
                if bits.read(1):
                    _skip_scaling(bits, 16 if at < 6 else 64)
    width = bits.golomb() + 4
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.read(1)
        bits.signed()
        bits.signed()
        for _ in range(min(bits.golomb(), 255)):
            bits.signed()
    bits.golomb()
    gaps = bool(bits.read(1))
    bits.golomb()
    bits.golomb()
    return number, _Set(width, gaps, apart, not bits.read(1))


def _skip_scaling(bits: Bits, count: int) -> None:
    """Pass over a scaling list (7.3.2.1.1.1)."""
    last = following = 8
    for _ in range(count):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last
