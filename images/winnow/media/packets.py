"""Packets: one reading of a file's packets, in file order, without decoding more than its first picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from winnow.core import own_fault
from winnow.core.sample import Reason, SampleFailed
from winnow.media import h264
from winnow.media.clocks import Track
from winnow.media.ffmpeg import av
from winnow.media.picture_order import demuxed

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


def said(error: Exception) -> SampleFailed | None:
    """What FFmpeg says of data that it will not take, as the data's failure; None for other errors, and for those of
    the machine (no space, no such file). Of a damaged file it also says what an operating system says of a damaged
    disk: that is the data's too."""
    if not isinstance(error, av.error.FFmpegError) or own_fault.of(error) or isinstance(error, FileNotFoundError):
        return None
    return SampleFailed(Reason.undecodable, f"FFmpeg: {error.strerror or type(error).__name__}")


def read(
    container: InputContainer, stream: VideoStream, sound: AudioStream | None, video: Track, audio: Track | None
) -> tuple[VideoFrame | None, bool]:
    """Fill the tracks; returns the first picture, and whether H.264's key frames start afresh and nothing about the
    stream changes on its way."""
    stream.thread_type, stream.codec_context.thread_count = "NONE", 1
    picture, whole = None, True
    units = h264.unit_bytes(stream.codec_context.extradata)
    count, lost = h264.Count(stream.codec_context.extradata) if video.codec == "h264" else None, False
    wanted: list[VideoStream | AudioStream] = [stream] if sound is None else [stream, sound]
    for packet in demuxed(container, *wanted):
        track = video if packet.stream_index == stream.index else audio
        if track is None:
            continue
        at = len(track.pts)
        track.pts.append(cast("int", packet.pts))  # or None, as Track says
        track.lasts.append(packet.duration or 0)
        if packet.is_discard:
            track.hidden.add(at)
        if track is audio:
            continue
        track.dts.append(packet.dts)
        whole = whole and not packet.is_corrupt
        if packet.is_keyframe:
            track.keys.append(at)
            whole = whole and (video.codec != "h264" or h264.starts_afresh(bytes(packet), units))
        elif video.codec == "vp8" and not bytes(packet)[0] & 16:
            track.hidden.add(at)  # RFC 6386, 9.1: a picture that is not shown
        renewed = packet.has_sidedata("new_extradata")
        whole = whole and not renewed
        if count is not None:
            lost = count.follows(packet, renewed) is False or (lost and not packet.is_keyframe)
            if lost:
                track.orphans.add(at)
        if picture is None:
            picture = _first(packet.decode)
    if picture is None and video.pts:
        picture = _first(lambda: stream.codec_context.decode(None))
    return picture, whole


def _first(decode) -> VideoFrame | None:
    """The first picture that a call of a decoder gives."""
    try:
        return next(iter(decode()), None)
    except av.error.FFmpegError:
        return None
