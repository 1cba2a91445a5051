"""Footage: what a source video holds, read from its packets before anything is cut.

One pass over the packets, which costs a few milliseconds a minute, tells where every picture and every piece of sound
lies. That is enough to say which pictures a window holds, which windows can be copied without decoding, and whether the
file is whole. Only the first picture is decoded.

Times are s on the video's own clock: 0 is where a player starts, that is the container's start, or the first picture
where the two differ only by an audio codec's priming.

Files come from strangers. libavformat would follow a playlist or an edit list into other files and addresses, so only
container formats may be opened, and only from a file.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from winnow.core.sample import Reason, SampleFailed
from winnow.media.ffmpeg import av

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

FORMATS = "mov,matroska,webm,avi,flv,mpegts,mpeg,asf,ogg,mp3,wav,aac,flac,amr"
#: Longest difference between the container's start and the first picture that is an audio codec's priming, s.
PRIMING_S = 0.1
#: A file is damaged when its pictures end this much before the end that it declares: s, and share of the whole.
MISSING_S, MISSING_SHARE = 1.0, 0.02
#: H.264 in one of these formats can be copied into a clip that every player shows.
COPYABLE_PIXELS = frozenset({"yuv420p", "yuvj420p"})


def open_media(path: Path) -> InputContainer:
    """Open a media file; fails as `undecodable` when it is none."""
    try:
        return av.open(str(path), options={"protocol_whitelist": "file", "format_whitelist": FORMATS})
    except FileNotFoundError:
        raise
    except (av.error.FFmpegError, ValueError) as error:
        what = getattr(error, "strerror", None) or type(error).__name__
        raise SampleFailed(Reason.undecodable, f"not a media file that can be read: {what}") from error


def video_stream(container: InputContainer) -> VideoStream | None:
    """The first stream of moving pictures; the cover of a song is none."""
    cover = av.stream.Disposition.attached_pic
    return next((s for s in container.streams.video if not s.disposition & cover), None)


@dataclass
class Track:
    """Packets of one stream in file order: presentation times and durations in units of `time_base`. Packets that the
    file says are only there to be decoded (before an edit) are `hidden`."""

    time_base: Fraction
    codec: str
    pts: list[int] = field(default_factory=list)
    dts: list[int | None] = field(default_factory=list)
    lasts: list[int] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    hidden: set[int] = field(default_factory=set)


@dataclass
class Footage:
    """A source video: its streams, its clock and its pictures in the order in which they are shown."""

    path: Path
    video: Track
    audio: Track | None
    zero_s: float
    rate: Fraction
    width: int
    height: int
    rotation: int
    pixels: str
    can_copy: bool
    copies_sound: bool
    shown: list[int] = field(default_factory=list)

    @property
    def half_s(self) -> float:
        """Half the time from one picture to the next, s: the precision of a cut."""
        return 0.5 / float(self.rate)

    def time_s(self, pts: int) -> float:
        """When a picture is shown, s."""
        return float(pts * self.video.time_base) - self.zero_s

    @property
    def first_s(self) -> float:
        """When the first picture is shown, s."""
        return max(0.0, self.time_s(self.shown[0]))

    @property
    def end_s(self) -> float:
        """Where the last picture ends, s: the video's duration."""
        return self.time_s(self.shown[-1]) + self._last_s()

    def _last_s(self) -> float:
        """How long the last picture stands, s: as declared if that is plausible, else the nominal time."""
        declared = float(self.video.lasts[self.video.pts.index(self.shown[-1])] * self.video.time_base)
        nominal = 1.0 / float(self.rate)
        return declared if 0.2 * nominal < declared < 5 * nominal else nominal

    def pictures(self, start_s: float, end_s: float) -> tuple[int, int]:
        """Pictures of a window as positions [first, last) in `shown`: those within half a picture of [start, end)."""
        base = self.video.time_base
        low = (start_s - self.half_s + self.zero_s) / float(base)
        high = (end_s - self.half_s + self.zero_s) / float(base)
        return bisect_left(self.shown, low), bisect_left(self.shown, high)


def scan(path: Path) -> Footage:
    """Read a source video's packets. Fails as `undecodable` (not media, damaged, cut off) or `no_video_stream`."""
    with open_media(path) as container:
        stream = video_stream(container)
        if stream is None:
            raise SampleFailed(Reason.no_video_stream, "no stream of moving pictures")
        sound = next(iter(container.streams.audio), None)
        video = Track(stream.time_base, stream.codec_context.name)
        audio = Track(sound.time_base, sound.codec_context.name) if sound is not None else None
        picture, whole = _read(container, stream, video, audio)
        shown = sorted({pts for i, pts in enumerate(video.pts) if i not in video.hidden})
        if not shown or picture is None:
            raise SampleFailed(Reason.undecodable, "its pictures cannot be decoded")
        first_s = float(shown[0] * video.time_base)
        start_s = first_s if container.start_time is None else container.start_time / av.time_base
        zero_s = first_s if abs(first_s - start_s) < PRIMING_S else start_s
        footage = Footage(
            path, video, audio if audio and audio.pts else None, zero_s, _rate(stream, shown, video.time_base),
            picture.width, picture.height, picture.rotation % 360, picture.format.name, False, _copies_sound(sound),
            shown,
        )  # fmt: skip
        footage.can_copy = whole and _can_copy(stream, footage)
        _require_whole(container, stream, footage)
        return footage


def _read(
    container: InputContainer, stream: VideoStream, video: Track, audio: Track | None
) -> tuple[VideoFrame | None, bool]:
    """Fill the tracks; returns the first picture, and whether H.264's key frames start afresh and nothing about the
    stream changes on its way."""
    stream.thread_type, stream.codec_context.thread_count = "NONE", 1
    picture, whole = None, True
    extradata = stream.codec_context.extradata or b""
    units = 0 if extradata[:1] != b"\x01" else (extradata[4] & 3) + 1 if len(extradata) > 6 else 4
    streams = [stream] if audio is None else [stream, container.streams.audio[0]]
    try:
        for packet in container.demux(streams):
            if packet.pts is None or not packet.size:
                continue
            track = video if packet.stream_index == stream.index else audio
            if track is None:
                continue
            at = len(track.pts)
            track.pts.append(packet.pts)
            track.lasts.append(packet.duration or 0)
            if packet.is_discard:
                track.hidden.add(at)
            if track is audio:
                continue
            track.dts.append(packet.dts)
            if packet.is_keyframe:
                track.keys.append(at)
                whole = whole and (video.codec != "h264" or _starts_afresh(bytes(packet), units))
            whole = whole and not packet.has_sidedata("new_extradata")
            if picture is None:
                picture = next(iter(packet.decode()), None)
    except av.error.FFmpegError as error:
        raise SampleFailed(Reason.undecodable, f"damaged: {error.strerror}") from error
    if picture is None and video.pts:
        try:
            picture = next(iter(stream.codec_context.decode(None)), None)
        except av.error.FFmpegError as error:
            raise SampleFailed(Reason.undecodable, f"damaged: {error.strerror}") from error
    return picture, whole


def _starts_afresh(data: bytes, units: int) -> bool:
    """Whether an H.264 picture is an IDR picture (ITU-T H.264, 7.4.1): nothing after it refers to anything before it.
    `units` is the size of the length fields of avcC, 0 for a byte stream with start codes."""
    if not units:
        return any(part and part[0] & 31 == 5 for part in data.split(b"\x00\x00\x01")[1:])
    at = 0
    while at + units < len(data):
        if data[at + units] & 31 == 5:
            return True
        at += units + int.from_bytes(data[at : at + units], "big")
    return False


def _can_copy(stream: VideoStream, footage: Footage) -> bool:
    """Whether packets of this stream can stand in a clip as they are."""
    return (
        footage.video.codec == "h264"
        and footage.pixels in COPYABLE_PIXELS
        and not footage.rotation
        and bool(stream.codec_context.extradata)
        and bool(footage.video.keys)
        and not any(dts is None for dts in footage.video.dts)
        and len(footage.shown) + len(footage.video.hidden) == len(footage.video.pts)
    )


def _copies_sound(sound: AudioStream | None) -> bool:
    """Whether packets of this sound can stand in a clip as they are: AAC that describes itself at a usual rate."""
    return sound is not None and sound.codec_context.name == "aac" and bool(sound.codec_context.extradata)


def _rate(stream: VideoStream, shown: list[int], base: Fraction) -> Fraction:
    """Pictures a second: the stream's own word where the times agree with it within a fifth, else their mean."""
    mean = Fraction(len(shown) - 1) / ((shown[-1] - shown[0]) * base) if len(shown) > 1 else None
    for told in (stream.guessed_rate, stream.average_rate):
        if told and (mean is None or abs(told - mean) <= mean / 5) and 0 < told <= 1000:
            return Fraction(told)
    return mean.limit_denominator(1001) or Fraction(1) if mean else Fraction(25)


def _require_whole(container: InputContainer, stream: VideoStream, footage: Footage) -> None:
    """Fail as `undecodable` when the file ends well before the end that it declares."""
    end_s = footage.end_s + footage.zero_s
    if stream.duration is not None:
        declared_s = float((stream.start_time or 0) * stream.time_base + stream.duration * stream.time_base)
    elif container.duration is not None:
        declared_s = container.duration / av.time_base
        if footage.audio is not None:
            last = max(range(len(footage.audio.pts)), key=footage.audio.pts.__getitem__)
            end_s = max(end_s, float((footage.audio.pts[last] + footage.audio.lasts[last]) * footage.audio.time_base))
    else:
        return
    missing_s = declared_s - end_s
    if missing_s > max(MISSING_S, MISSING_SHARE * declared_s):
        raise SampleFailed(Reason.undecodable, f"cut off: it ends at {end_s:.1f} s of {declared_s:.1f} s")


def key_before(footage: Footage, pts: int) -> int:
    """Index of the last key packet that is shown at `pts` or before (the first key packet if there is none)."""
    keys = footage.video.keys or [0]
    times = [footage.video.pts[k] for k in keys]
    if times == sorted(times):
        return keys[max(0, bisect_right(times, pts) - 1)]
    return max((k for k, t in zip(keys, times, strict=True) if t <= pts), default=keys[0])
