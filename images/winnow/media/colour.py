"""Look: how a stream says that its pictures are to be shown: colours, range, field order, pixel shape, orientation.

Numbers are those of ITU-T H.273, names FFmpeg's.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, cast

from winnow.media.ffmpeg import av

if TYPE_CHECKING:
    from collections.abc import Iterable

    from av.sidedata.sidedata import SideData
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

TRANSFERS = {
    1: "bt709",
    4: "gamma22",
    5: "gamma28",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    11: "iec61966-2-4",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    18: "arib-std-b67",
}
PRIMARIES = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "film",
    9: "bt2020",
    11: "smpte431",
    12: "smpte432",
}
#: Transfers of high dynamic range: PQ and HLG (ITU-R BT.2100).
PQ, HLG = 16, 18
LIMITED_RANGE, FULL_RANGE, UNSPECIFIED, RGB, BT709, SMPTE170M = 1, 2, 2, 0, 1, 6
#: Field orders of codec contexts whose upper, lower line is shown first.
UPPER, LOWER = (2, 4), (3, 5)
#: Steps of libavfilter that put a picture upright, by the signs of its matrix (a, b, c, d), in which the point (x, y)
#: goes to (ax + cy, bx + dy).
STEPS = {
    (1, 0, 0, 1): (),
    (-1, 0, 0, 1): (("hflip", None),),
    (1, 0, 0, -1): (("vflip", None),),
    (-1, 0, 0, -1): (("hflip", None), ("vflip", None)),
    (0, 1, -1, 0): (("transpose", "clock"),),
    (0, -1, 1, 0): (("transpose", "cclock"),),
    (0, 1, 1, 0): (("transpose", "cclock_flip"),),
    (0, -1, -1, 0): (("transpose", "clock_flip"),),
}


@dataclass(frozen=True)
class Look:
    """How pictures are to be shown. `full_range`: whether their values fill all bits; `sar`: width to height of a
    pixel, None where nothing says; `steps`: what puts them upright; `rotation`: that in degrees counter-clockwise."""

    pixels: str
    full_range: bool
    matrix: int
    primaries: int
    transfer: int
    interlaced: bool
    upper_first: bool
    sar: Fraction | None
    steps: tuple[tuple[str, str | None], ...]
    rotation: int
    mirrored: bool
    limited: bool

    @classmethod
    def of(cls, stream: VideoStream, picture: VideoFrame) -> Look:
        """Of a stream and its first picture."""
        codec, (steps, mirrored) = stream.codec_context, _steps(picture)
        order = codec.field_order
        sar = stream.sample_aspect_ratio or codec.sample_aspect_ratio
        return cls(
            picture.format.name,
            picture.format.name.startswith("yuvj") or picture.color_range == FULL_RANGE,
            picture.colorspace,
            picture.color_primaries,
            picture.color_trc,
            bool(picture.interlaced_frame) or order in (*UPPER, *LOWER),
            order not in LOWER,
            sar or None,
            steps,
            picture.rotation % 360,
            mirrored,
            picture.color_range == LIMITED_RANGE,
        )

    def columns(self) -> dict[str, object]:
        """What a table says of it: None where the stream does not."""
        told = self.full_range or self.limited
        return {
            "colour_range": ("full" if self.full_range else "limited") if told else None,
            "colour_transfer": named(TRANSFERS, self.transfer),
            "colour_primaries": named(PRIMARIES, self.primaries),
            "hdr": self.hdr,
            "interlaced": self.interlaced,
            "sar": None if self.sar is None else round(float(self.sar), 6),
        }

    @property
    def upright(self) -> bool:
        """Whether pictures are shown as they are stored."""
        return not self.steps

    @property
    def turned(self) -> bool:
        """Whether width and height change places."""
        return any(name == "transpose" for name, _ in self.steps)

    @property
    def hdr(self) -> bool:
        """Whether pictures are of high dynamic range."""
        return self.transfer in (PQ, HLG)

    @property
    def rgb(self) -> bool:
        """Whether pictures have no matrix of colours because they are red, green and blue."""
        return self.pixels.startswith(("gbr", "rgb", "bgr", "argb", "abgr", "rgba", "bgra", "0rgb", "pal8", "x2"))


def _steps(picture: VideoFrame) -> tuple[tuple[tuple[str, str | None], ...], bool]:
    """What puts a picture upright, and whether it is mirrored."""
    for data in cast("Iterable[SideData]", picture.side_data):  # what it iterates over, whatever its types say
        if data.type is av.sidedata.sidedata.Type.DISPLAYMATRIX and len(bytes(data)) >= 36:
            a, b, _, c, d = struct.unpack("<9i", bytes(data)[:36])[:5]
            if abs(a) + abs(d) >= abs(b) + abs(c):
                b = c = 0
            else:
                a = d = 0
            signs = tuple((v > 0) - (v < 0) for v in (a, b, c, d))
            return STEPS.get(signs, ()), signs in STEPS and a * d - b * c < 0
    return (), False


def named(names: dict[int, str], value: int) -> str | None:
    """A number's name; None for 'unspecified', the number for one that has none here."""
    return None if value in (0, UNSPECIFIED, 3) else names.get(value, str(value))
