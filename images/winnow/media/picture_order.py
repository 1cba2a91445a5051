"""Which pictures a stream gives, and in which order they are shown, where its time stamps do not say.

Decoders put out pictures in the order in which they are shown. So where times are missing, shared, or those of decoding
(AVI has no others), one pass decodes the video, without its deblocking filter, and the order is theirs. Healthy files
are never decoded for this.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

from winnow.media import clocks, vop_times
from winnow.media.clocks import Track
from winnow.media.ffmpeg import av

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

#: A time before all others: of packets that give no picture.
NEVER = -(2**60)
#: No picture is shown later than this after it is decoded, s.
AHEAD_S = 4


def is_doubtful(track: Track, stream: VideoStream, first: VideoFrame | None) -> bool:
    """Whether the times of the pictures cannot be right, or need not be."""
    times = [pts for at, pts in enumerate(track.pts) if at not in track.hidden]
    if None in times or len(set(times)) < len(times):
        return True
    both = list(zip(track.pts, track.dts, strict=True))
    if any(d is not None and not 0 <= p - d <= AHEAD_S / track.time_base for p, d in both):
        return True
    clock = [d for d in track.dts if d is not None]
    if any(b <= a for a, b in pairwise(clock)):
        return True
    if first is not None and first.interlaced_frame and stream.codec_context.name in ("h264", "mpeg2video", "hevc"):
        return True  # two packets may be the fields of one picture
    if stream.container.format.name == "avi" and any(p != d for p, d in both):
        return True  # it has no times of showing: these are guessed
    reorders = bool(stream.codec_context.has_b_frames)
    return reorders and len(times) > 2 and (stream.container.format.name == "avi" or times == sorted(times))


@dataclass(frozen=True)
class Order:
    """Numbers of the packets that give pictures, in the order in which these are shown; and their own times in ticks,
    for MPEG-4 in AVI (None for one that has none, and for all others)."""

    packets: list[int]
    own: list[int | None]


def decoded_order(container: InputContainer, stream: VideoStream) -> Order:
    """The pictures of a stream as a decoder gives them."""
    stream.thread_type, stream.codec_context.thread_count = "NONE", 1
    stream.codec_context.options = {"skip_loop_filter": "all"}
    told = stream.codec_context.name == "mpeg4" and container.format.name == "avi"
    clock, own = vop_times.Clock(stream.codec_context.extradata) if told else None, {}
    found: list[int] = []
    for at, packet in enumerate(demuxed(container, stream)):
        packet.pts = packet.dts = at
        if clock is not None:
            own[at] = clock.own(bytes(packet))
        found += _numbers(packet.decode)
    found += _numbers(lambda: stream.codec_context.decode(None))
    packets = list(dict.fromkeys(found))
    return Order(packets, [own.get(at) for at in packets])


def demuxed(container: InputContainer, *streams: VideoStream | AudioStream) -> Iterator[Packet]:
    """Packets with content, to the end or to where the demuxer gives up. (PyAV 18.1 raises IndexError at the end of a
    file in which a stream has turned up on the way.)

    Of two MPEG-4 pictures in one packet FFmpeg 8 decodes the second when the next packet comes, so never behind the
    last packet: it gets one of its own."""
    packets = container.demux(*streams)
    mpeg4 = {stream.index for stream in streams if stream.codec_context.name == "mpeg4"}
    last: Packet | None = None
    while True:
        try:
            packet = next(packets)
        except (StopIteration, IndexError, av.error.FFmpegError):
            break
        if packet.size:
            yield packet
            if packet.stream_index in mpeg4:
                last = packet
    held = b"" if last is None else vop_times.second(bytes(last))
    if last is not None and held:
        packet = av.Packet(held)
        packet.stream, packet.time_base = last.stream, last.time_base
        if last.dts is not None:
            packet.pts = packet.dts = last.dts + max(1, last.duration or 1)
        yield packet


def _numbers(decode) -> list[int]:
    try:
        return [frame.pts for frame in decode() if frame.pts is not None]
    except av.error.FFmpegError:
        return []


@dataclass(frozen=True)
class Told:
    """What a container says of its times: its format's name, and pictures a second (None where nothing says)."""

    container: str
    rate: Fraction | None


def retimed(video: Track, audio: Track | None, found: Order, told: Told) -> None:
    """Give the pictures, in this order, rising times on one timeline, and move the sound along, in place; packets
    without a picture are hidden.

    AVI has no picture times but those of its packets, one after the other, and where MPEG-4 pictures know their own
    (`winnow.media.vop_times`), these. Where times are missing or shared and the told rate fills the whole stretch, each
    picture gets its own place at that rate.
    """
    seen = [(at, own) for at, own in zip(found.packets, found.own, strict=True) if at not in video.hidden]
    order = [at for at, _ in seen]
    times: list[int | None] = [None if told.container == "avi" else video.pts[at] for at in order]
    times = [time if time is not None else video.dts[at] for time, at in zip(times, order, strict=True)]
    given = sorted(time for time in times if time is not None)
    if len(given) == len(times) and (own := vop_times.places([time for _, time in seen], given)):
        times = [*own]
    if times == sorted(times, key=lambda time: time or 0) or told.container != "avi":
        times = clocks.one_timeline(times, video.time_base, audio, told.container)
    known = sorted({t for t in times if t is not None})
    filled = clocks.rising_pictures(times, clocks.usual_step(known))
    if len(known) < len(times) and told.rate and len(filled) > 1:
        step = 1 / (told.rate * video.time_base)
        if abs(filled[-1] - filled[0] - step * (len(filled) - 1)) <= step:
            filled = [filled[0] + round(step * k) for k in range(len(filled))]
    pictures = dict(zip(order, filled, strict=True))
    video.hidden |= {at for at in range(len(video.pts)) if at not in pictures}
    video.pts = [pictures.get(at, NEVER) for at in range(len(video.pts))]
