"""Streams: of all tracks of a file, the picture and the sound that a player would play.

A player takes the default track. Of several (Matroska marks every track so unless told otherwise) it is the one in the
original language, and no commentary, description for the blind or dub; then the first. Covers are no video: whether
they are marked or not, whether they come first or last, and whatever their container calls their picture rate.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING

from winnow.core.sample import Reason, SampleFailed
from winnow.media.ffmpeg import av

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

Disposition = av.stream.Disposition
#: Codecs of single pictures: a track of one picture in one of these is a cover.
STILLS = frozenset({"mjpeg", "png", "bmp", "gif", "webp", "tiff", "jpeg2000", "mjpegb", "jpegls", "ppm", "apng"})
#: Tracks that are heard or seen beside the main one, not instead of it.
BESIDE = (
    Disposition.comment
    | Disposition.hearing_impaired
    | Disposition.visual_impaired
    | Disposition.karaoke
    | Disposition.clean_effects
    | Disposition.descriptions
    | Disposition.dependent
    | Disposition.non_diegetic
)
PICTURES_ONLY = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
_BESIDE_TITLE = re.compile(r"comment|kommentar|descri(ption|bed)|audiodesk", re.IGNORECASE)


def rank(stream: Stream) -> tuple[bool, bool, bool, bool, int]:
    """Sort key of a track: the one that plays comes first."""
    flags = Disposition(stream.disposition)
    title = stream.metadata.get("title") or stream.metadata.get("handler_name") or ""
    beside = bool(flags & BESIDE) or bool(_BESIDE_TITLE.search(title))
    return (
        beside,
        not flags & Disposition.default,
        not flags & Disposition.original,
        bool(flags & Disposition.dub),
        stream.index,
    )


def sound(container: InputContainer) -> AudioStream | None:
    """The sound that plays; None where there is none that has a decoder."""
    able = [stream for stream in container.streams.audio if stream.codec_context is not None]
    return min(able, key=rank, default=None)


def moving(container: InputContainer) -> list[VideoStream]:
    """Tracks of pictures that are not marked as covers, the one that plays first. None of them may move: `counted`
    says which of several has more than one picture."""
    able = [s for s in container.streams.video if s.codec_context is not None and not s.disposition & PICTURES_ONLY]
    return sorted(able, key=rank)


def clock(stream: Stream) -> Fraction:
    """What a stream counts time in, s; SampleFailed with `undecodable` where its file does not say."""
    if stream.time_base is None:
        raise SampleFailed(Reason.undecodable, f"stream {stream.index} has no unit of time")
    return stream.time_base


def pictures_of(container: InputContainer, track: int) -> VideoStream:
    """The stream of pictures with this number, of another opening of its file."""
    return next(stream for stream in container.streams.video if stream.index == track)


def sound_of(container: InputContainer, track: int) -> AudioStream:
    """The stream of sound with this number, of another opening of its file."""
    return next(stream for stream in container.streams.audio if stream.index == track)


def doubtful(streams: list[VideoStream]) -> bool:
    """Whether packets must be counted to tell the film from a cover that is not marked as one."""
    return len(streams) > 1 or any(stream.codec_context.name in STILLS for stream in streams)


def counted(container: InputContainer, streams: list[VideoStream]) -> VideoStream | None:
    """The first track with more than one picture, else the first whose one picture is no cover; reads the container
    until that is known."""
    pictures = {stream.index: 0 for stream in streams}
    packets = container.demux(streams)
    while min(pictures.values()) < 2:
        try:
            packet = next(packets)
        except (StopIteration, IndexError, av.error.FFmpegError):
            break
        pictures[packet.stream_index] += packet.size > 0
    films = [s for s in streams if pictures[s.index] > 1]
    return next(iter([*films, *(s for s in streams if s.codec_context.name not in STILLS)]), None)
