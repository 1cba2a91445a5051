"""Shape: pictures as an H.264 encoder takes them: upright, of even size, 4:2:0 with 8 bits, in the range they came in.

An odd width or height loses its last column or row: 4:2:0 has none, and scaling would blur every picture for one line.
Fields are lines, and no file can say that they are columns: of an interlaced picture that is turned by 90° the field
that is shown first is taken, at twice its height, so that what comes out is progressive as it says.
Red, green and blue become BT.709 from 720 lines on and BT.601 below: 4:2:0 has no other choice, and players take these.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from winnow.media import colour
from winnow.media.ffmpeg import av
from winnow.media.video_index import VideoIndex

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

#: Lines from which pictures without a word on their matrix are BT.709.
HD_LINES = 720


class Shape:
    """Turns decoded pictures into pictures of `width` × `height` pixels in the format `pixels`; what needs nothing
    passes untouched. `matrix` and `sar` (None where nothing says) are those of what comes out."""

    def __init__(self, index: VideoIndex) -> None:
        look = index.look
        width, height = (index.height, index.width) if look.turned else (index.width, index.height)
        self.width, self.height = max(2, width & ~1), max(2, height & ~1)
        self.pixels = "yuvj420p" if look.pixels.startswith("yuvj") else "yuv420p"
        self.full_range = look.full_range and not look.rgb
        self.matrix = look.matrix
        self._convert: dict[str, Any] = {}
        if look.rgb or look.matrix == colour.RGB:
            hd = index.height >= HD_LINES
            self.matrix = colour.BT709 if hd else colour.SMPTE170M
            self._convert = {"src_color_range": "JPEG", "dst_color_range": "MPEG"}
            self._convert["dst_colorspace"] = "ITU709" if hd else "ITU601"
        elif self.full_range:
            self._convert = {"src_color_range": "JPEG", "dst_color_range": "JPEG"}
        self.sar = 1 / look.sar if look.sar and look.turned else look.sar
        self.interlaced = look.interlaced and not look.turned
        upside_down = any(name == "vflip" for name, _ in look.steps)
        self.upper_first = look.upper_first is not (upside_down and not height % 2)  # line 0 is the last one then
        self._size = (index.width, index.height)
        self._turns = look.steps
        if look.interlaced and look.turned:
            field = ("field", f"type={'top' if look.upper_first else 'bottom'}")
            self._turns = (field, ("scale", f"{index.width}:{index.height}:flags=bilinear"), *look.steps)
        self._needed = bool(self._turns) or (width, height) != (self.width, self.height)
        self._graph: av.filter.Graph | None = None

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        """One picture in, one picture out. A picture whose size changed on the way is scaled to the first one's."""
        if (frame.width, frame.height) != self._size or frame.format.name != self.pixels:
            frame = frame.reformat(*self._size, self.pixels, **self._convert)
        if not self._needed:
            return frame
        if self._graph is None:
            self._graph = self._made(frame)
        self._graph.push(frame)
        return self._graph.vpull()

    def _made(self, frame: VideoFrame) -> av.filter.Graph:
        graph = av.filter.Graph()
        steps = [
            graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
        ]
        steps += [graph.add(name, value) for name, value in self._turns]
        steps.append(graph.add("crop", f"{self.width}:{self.height}:0:0:exact=1"))
        steps.append(graph.add("buffersink"))
        for one, two in pairwise(steps):
            one.link_to(two)
        graph.configure()
        return graph
