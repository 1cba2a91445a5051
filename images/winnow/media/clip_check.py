"""Check: what stands in a clip's file, looked at once it is written.

An encoded clip's pictures have been decoded to make it, so those that its index names, inside the file, are counted and
its length is taken. A copied clip's have not: damage in the source is damage in the clip. Decoding it whole would cost
what copying saves, so its packets are read as H.264 (`winnow.media.h264`: are they pictures; that none is missing
between them, the source's index has seen), its keyframes, which hold most of its bytes, and some after each are
decoded, and so is a sample of copied sound. Only where something is wrong with these is everything decoded and counted.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from winnow.core.sample import Reason, SampleFailed
from winnow.media import h264
from winnow.media.ffmpeg import av

if TYPE_CHECKING:
    from av.packet import Packet

#: Share of a copied clip's pictures that is decoded, in runs from its keyframes on; of its packets of sound, one in
#: so many, but of a few all.
SAMPLE, SOUND_STEP, FEW = 0.06, 8, 100


@dataclass(frozen=True)
class Found:
    """A clip's file: pictures, how long they last in s, how many of them do not decode; packets of sound, and how many
    of those do not."""

    pictures: int
    picture_s: float
    damaged: int
    sounds: int
    mute: int


def check(data: bytes, *, copied: bool, copied_sound: bool = True) -> Found:
    """Look at a clip's file, of which pictures, sound or both were copied; SampleFailed with `undecodable` where
    nothing can be read of it."""
    with _opened(data) as clip:
        video = clip.streams.video[0]
        audio = clip.streams.audio[0] if clip.streams.audio else None
        copied_sound = copied_sound and audio is not None
        shown: list[Packet] = []
        heard: list[Packet] = []
        damaged = mute = 0
        if copied or copied_sound:
            for packet in clip.demux(*(s for s, wanted in ((video, copied), (audio, copied_sound)) if wanted)):
                if packet.size:
                    (shown if packet.stream_index == video.index else heard).append(packet)
        duration = video.duration or 0
        picture_s, count = float(duration * video.time_base), _stored(video, len(data))
        if copied and _is_doubtful(shown, video):
            damaged = max(0, count - decoding(data, "video"))
        heard = [packet for packet in heard if not packet.is_discard]
        if copied_sound and _is_mute(heard, audio):
            mute = max(0, len(heard) - decoding(data, "audio"))
        return Found(count, picture_s, damaged, 0 if audio is None else _stored(audio, len(data)), mute)


def _stored(stream, size: int) -> int:
    """How many packets of a stream lie in a file of `size` bytes and are shown or heard, by the file's index."""
    return sum(0 < entry.size <= size - entry.pos and not entry.is_discard for entry in stream.index_entries)


def _opened(data: bytes):
    try:
        return av.open(io.BytesIO(data), format="mp4")
    except (av.error.FFmpegError, ValueError) as error:
        raise SampleFailed(Reason.undecodable, "what was written cannot be read") from error


def _is_doubtful(packets: list, video) -> bool:
    """Whether a packet is no H.264 picture, or a keyframe cannot be decoded."""
    if not h264.are_pictures(packets, video.codec_context.extradata):
        return True
    video.thread_type, video.codec_context.thread_count = "NONE", 1
    video.codec_context.options = {"err_detect": "explode", "skip_loop_filter": "all"}
    chosen = _runs(packets)
    try:
        decoded = [frame for packet in chosen for frame in packet.decode()]
        decoded += video.codec_context.decode(None)
    except av.error.FFmpegError:
        return True
    return len(decoded) < len(chosen) or any(frame.is_corrupt for frame in decoded)


def _runs(packets: list) -> list:
    """Keyframes, and as many of those stored after each as the sample allows."""
    keys = [at for at, packet in enumerate(packets) if packet.is_keyframe]
    run = max(1, int(SAMPLE * len(packets) / max(1, len(keys))))
    return [
        p for at, end in zip(keys, [*keys[1:], len(packets)], strict=True) for p in packets[at : min(at + run, end)]
    ]


def _is_mute(packets: list, audio) -> bool:
    """Whether a packet of sound is nothing but zeros, or one of the sample cannot be decoded."""
    if any(not bytes(packet).strip(b"\0") for packet in packets):
        return True
    audio.thread_type, audio.codec_context.thread_count = "NONE", 1
    audio.codec_context.options = {"err_detect": "explode"}
    try:
        return not all(packet.decode() for packet in packets[:: 1 if len(packets) < FEW else SOUND_STEP])
    except av.error.FFmpegError:
        return True


def decoding(data: bytes, kind: str) -> int:
    """How many pictures, or pieces of sound, of a stream decode undamaged."""
    good = 0
    with _opened(data) as clip:
        stream = (clip.streams.video if kind == "video" else clip.streams.audio)[0]
        stream.thread_type, stream.codec_context.thread_count = "NONE", 1
        stream.codec_context.options = {"skip_loop_filter": "all"}
        packets = clip.demux(stream)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.error.FFmpegError):
                return good
            try:
                good += sum(not frame.is_corrupt for frame in packet.decode())
            except av.error.FFmpegError:
                continue
