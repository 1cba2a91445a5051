"""Shots: where one camera take ends and the next begins, by PySceneDetect's content detector on small pictures.

Every picture is decoded once, without its deblocking filter, and shrunk to a few thousand pixels before it is compared:
a cut changes most of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from scenedetect import FrameTimecode
from scenedetect.detectors import ContentDetector

from winnow.media import streams
from winnow.media.ffmpeg import av
from winnow.media.picture_order import demuxed
from winnow.media.video_index import VideoIndex, open_media

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

WIDTH, HEIGHT = 96, 72


def shots(index: VideoIndex, threshold: float, shortest_s: float) -> list[tuple[float, float]]:
    """Shots of a video as (start, end) in s on its clock, in order, without gaps: the first begins with the first
    picture, the last ends with the last one.

    `threshold` is the mean change of hue, saturation and brightness (0 to 255) that makes a cut, `shortest_s` the
    shortest time between two cuts.
    """
    detector = ContentDetector(threshold, min_scene_len=max(1, round(shortest_s * float(index.rate))))
    times: list[float] = []
    cuts: set[int] = set()
    with open_media(index.path) as container:
        stream = streams.pictures_of(container, index.video.index)
        stream.thread_type, stream.codec_context.thread_count = "NONE", 1
        stream.codec_context.options = {"skip_loop_filter": "all"}
        shrink = av.video.reformatter.VideoReformatter()
        for frame in pictures(index, container, stream):
            if frame.pts is None or not index.shown[0] <= frame.pts <= index.shown[-1]:
                continue
            small = shrink.reformat(frame, WIDTH, HEIGHT, "bgr24", interpolation="AREA").to_ndarray()
            at = FrameTimecode(len(times), fps=float(index.rate))
            cuts.update(cut.frame_num for cut in detector.process_frame(at, small))
            times.append(index.time_s(frame.pts))
    edges = [index.first_s, *(times[cut] for cut in sorted(cuts) if 0 < cut < len(times)), index.end_s]
    return [(start, end) for start, end in pairwise(edges) if end > start]


def pictures(index: VideoIndex, container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """Decoded pictures, at the video's times; a damaged packet gives none."""
    for at, packet in enumerate(demuxed(container, stream)):
        if index.repaired:
            packet.pts = packet.dts = index.video.pts[at]
        yield from _decoded(packet.decode)
    yield from _decoded(lambda: stream.codec_context.decode(None))


def _decoded(decode) -> list[av.VideoFrame]:
    try:
        return decode()
    except av.error.FFmpegError:
        return []
