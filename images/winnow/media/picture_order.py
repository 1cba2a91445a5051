"""Which pictures a stream gives, and in which order they are shown, where its time stamps do not say.

Decoders put out pictures in the order in which they are shown. So where times are missing, shared, or those of decoding
(AVI has no others), one pass decodes the video, without its deblocking filter, and the order is theirs. Healthy files
are never decoded for this.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av

from winnow.media.clocks import Track, rising_pictures, usual_step

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

#: A time before all others: of packets that give no picture.
NEVER = -(2**60)


def is_doubtful(track: Track, stream: VideoStream, first: VideoFrame | None) -> bool:
    """Whether the times of the pictures cannot be right, or need not be."""
    times = [pts for at, pts in enumerate(track.pts) if at not in track.hidden]
    if None in times or len(set(times)) < len(times):
        return True
    if any(d is not None and d > p for p, d in zip(track.pts, track.dts, strict=True) if p is not None):
        return True
    if first is not None and first.interlaced_frame and stream.codec_context.name in ("h264", "mpeg2video", "hevc"):
        return True  # two packets may be the fields of one picture
    reorders = bool(stream.codec_context.has_b_frames)
    return reorders and len(times) > 2 and (stream.container.format.name == "avi" or times == sorted(times))


def decoded_order(container: InputContainer, stream: VideoStream) -> list[int]:
    """Numbers of the packets that give pictures, in the order in which these are shown."""
    stream.thread_type, stream.codec_context.thread_count = "NONE", 1
    stream.codec_context.options = {"skip_loop_filter": "all"}
    found: list[int] = []
    for at, packet in enumerate(demuxed(container, stream)):
        packet.pts = packet.dts = at
        found += _numbers(packet.decode)
    found += _numbers(lambda: stream.codec_context.decode(None))
    return list(dict.fromkeys(found))


def demuxed(container: InputContainer, *streams):
    """Packets with content, to the end or to where the demuxer gives up."""
    packets = container.demux(*streams)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.error.FFmpegError):
            return
        if packet.size:
            yield packet


def _numbers(decode) -> list[int]:
    try:
        return [frame.pts for frame in decode() if frame.pts is not None]
    except av.error.FFmpegError:
        return []


def retimed(track: Track, order: list[int], *, slots: bool, rate: Fraction | None) -> None:
    """Give the pictures, in this order, rising times, in place; packets without a picture are hidden.

    `slots`: the container has no picture times but those of its packets, one after the other (AVI). Where times are
    missing or shared and `rate` pictures a second fill the whole stretch, each picture gets its own place at that rate.
    """
    times = [None if slots else track.pts[at] for at in order]
    times = [time if time is not None else track.dts[at] for time, at in zip(times, order, strict=True)]
    known = sorted({t for t in times if t is not None})
    filled = rising_pictures(times, usual_step(known))
    if len(known) < len(times) and rate and len(filled) > 1:
        step = 1 / (rate * track.time_base)
        if abs(filled[-1] - filled[0] - step * (len(filled) - 1)) <= step:
            filled = [filled[0] + round(step * k) for k in range(len(filled))]
    pictures = dict(zip(order, filled, strict=True))
    track.hidden |= {at for at in range(len(track.pts)) if at not in pictures}
    track.pts = [pictures.get(at, NEVER) for at in range(len(track.pts))]
