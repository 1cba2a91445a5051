"""Shape: pictures as an H.264 encoder takes them: upright, of even size, 4:2:0 with 8 bits.

An odd width or height loses its last column or row: 4:2:0 has none, and scaling would blur every picture for one line.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from winnow.media.ffmpeg import av
from winnow.media.video_index import Footage

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

#: A source's rotation (degrees, counter-clockwise) as libavfilter's steps that undo it.
TURNS = {90: (("transpose", "cclock"),), 180: (("hflip", None), ("vflip", None)), 270: (("transpose", "clock"),)}


class Shape:
    """Turns decoded pictures into pictures of `width` × `height` pixels; what needs nothing passes untouched."""

    def __init__(self, footage: Footage) -> None:
        turned = footage.rotation in (90, 270)
        width, height = (footage.height, footage.width) if turned else (footage.width, footage.height)
        self.width, self.height = max(2, width & ~1), max(2, height & ~1)
        self._size = (footage.width, footage.height)
        self._turns = TURNS.get(footage.rotation, ())
        self._needed = bool(self._turns) or (width, height) != (self.width, self.height)
        self._graph: av.filter.Graph | None = None

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        """One picture in, one picture out. A picture whose size changed on the way is scaled to the first one's."""
        if (frame.width, frame.height) != self._size or frame.format.name != "yuv420p":
            frame = frame.reformat(*self._size, "yuv420p")
        if not self._needed:
            return frame
        if self._graph is None:
            self._graph = self._made(frame)
        self._graph.push(frame)
        return self._graph.pull()

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
