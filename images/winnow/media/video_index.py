"""VideoIndex: what a source video holds, read from its packets before anything is cut.

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
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, cast

from winnow.core.sample import Reason, SampleFailed
from winnow.media import clocks, colour, packets, picture_order, streams
from winnow.media.clocks import Track
from winnow.media.ffmpeg import av
from winnow.media.picture_order import NEVER

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

FORMATS = "mov,matroska,webm,avi,flv,mpegts,mpeg,asf,ogg,mp3,wav,aac,flac,amr"
#: Longest difference between the container's start and the first picture that is an audio codec's priming, s.
PRIMING_S = 0.1
#: Half the longest time between two pictures that a cut may round to, s.
HALF_S = 0.05
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


@dataclass(frozen=True)
class Tracks:
    """What tracks of sound a file has, and which was taken: their number, their languages in file order ('und' where
    nothing says), and the taken one's place among them (None without one)."""

    sounds: int
    languages: tuple[str, ...]
    taken: int | None

    @classmethod
    def of(cls, container: InputContainer) -> Tracks:
        """Of an opened file."""
        every, taken = list(container.streams.audio), streams.sound(container)
        languages = tuple(stream.language or "und" for stream in every)
        return cls(len(every), languages, None if taken is None else every.index(taken))


@dataclass
class VideoIndex:
    """A source video: its streams, its clock and its pictures in the order in which they are shown. `look` is how they
    are to be shown; `repaired` whether its time stamps were."""

    path: Path
    video: Track
    audio: Track | None
    zero_s: float
    rate: Fraction
    width: int
    height: int
    look: colour.Look
    can_copy: bool
    copies_sound: bool
    tracks: Tracks
    repaired: bool = False
    shown: list[int] = field(default_factory=list)

    @property
    def rotation(self) -> int:
        """Degrees, counter-clockwise, by which pictures are turned to be shown."""
        return self.look.rotation

    @property
    def half_s(self) -> float:
        """Half the time from one picture to the next, at most 0.05 s: the precision of a cut."""
        return min(0.5 / float(self.rate), HALF_S)

    def time_s(self, pts: int) -> float:
        """When a picture is shown, s."""
        return float(pts * self.video.time_base) - self.zero_s

    def place(self, time_s: float) -> Fraction:
        """A time on the video's clock as a time on the container's, s, to its step."""
        base = self.video.time_base
        return Fraction(round((time_s + self.zero_s) / float(base))) * base

    @property
    def first_s(self) -> float:
        """When the first picture is shown, s."""
        return max(0.0, self.time_s(self.shown[0]))

    @cached_property
    def end_s(self) -> float:
        """Where the last picture ends, s: the video's duration. Where pictures stand for long, or there is one only,
        the last stands as long as its sound goes on."""
        end_s = self.time_s(self.shown[-1]) + self._last_s()
        if self.audio is not None and self.audio.pts and self.holds:
            track, base = self.audio, float(self.audio.time_base)
            heard_s = min(track.pts[-1] + track.lasts[-1], track.pts[0] + sum(track.lasts) + 10 / base) * base
            end_s = max(end_s, heard_s - self.zero_s)
        return end_s

    @cached_property
    def holds(self) -> bool:
        """Whether a picture may stand for long: one alone, or one that stood for more than a second."""
        longest = max((b - a for a, b in pairwise(self.shown)), default=None)
        return longest is None or longest * self.video.time_base > 1

    @cached_property
    def silent_s(self) -> float:
        """The longest that a picture stands without any sound, s."""
        base, longest_s = float(self.video.time_base), 0.0
        ends_s = [*(pts * base for pts in self.shown[1:]), self.end_s + self.zero_s]
        for start_s, end_s in zip((pts * base for pts in self.shown), ends_s, strict=True):
            if end_s - start_s > longest_s:
                longest_s = max(longest_s, end_s - start_s - self._heard_s(start_s, end_s))
        return longest_s

    def _heard_s(self, start_s: float, end_s: float) -> float:
        """How much sound begins in a stretch of the container's clock, s."""
        if self.audio is None:
            return 0.0
        track, base = self.audio, float(self.audio.time_base)
        return sum(track.lasts[bisect_left(track.pts, start_s / base) : bisect_left(track.pts, end_s / base)]) * base

    def _last_s(self) -> float:
        """How long the last picture stands, s: as declared if that is plausible, else the nominal time."""
        declared = float(self.video.lasts[self.video.pts.index(self.shown[-1])] * self.video.time_base)
        nominal = 1.0 / float(self.rate)
        return declared if 0.2 * nominal < declared < 5 * nominal else nominal

    def first_at(self, time_s: float) -> tuple[int, bool]:
        """The picture that a clip beginning at this time shows first, as its position in `shown`, and whether it is
        held, that is has been standing since before: the one that begins then, to within half a picture."""
        base = float(self.video.time_base)
        at = bisect_left(self.shown, (time_s - self.half_s + self.zero_s) / base)
        late = at == len(self.shown) or self.shown[at] * base - self.zero_s > time_s + 1.5 * self.half_s
        return (at - 1, True) if late and at else (at, False)

    @cached_property
    def orphans(self) -> frozenset[int]:
        """Times of pictures that refer to ones that are not in the file."""
        return frozenset(self.video.pts[at] for at in self.video.orphans - self.video.hidden)

    def pictures(self, start_s: float, end_s: float) -> tuple[int, int]:
        """Pictures of a window as positions [first, last) in `shown`: from the one that stands at its start to the last
        before its end."""
        first, _ = self.first_at(start_s)
        if end_s >= self.end_s - self.half_s:
            return (first if start_s < self.end_s - self.half_s else len(self.shown)), len(self.shown)
        last, held = self.first_at(end_s)
        return first, last + held


def scan(path: Path) -> VideoIndex:
    """Read a source video's packets. Fails as `undecodable` (not media, damaged, cut off) or `no_video_stream`."""
    try:
        return _scan(path)
    except av.error.FFmpegError as error:
        failure = packets.said(error)
        if failure is None:
            raise
        raise failure from error


def _scan(path: Path) -> VideoIndex:
    with open_media(path) as container:
        stream = _film(path, container)
        sound = streams.sound(container)
        video = Track(streams.clock(stream), stream.codec_context.name, stream.index)
        audio = Track(streams.clock(sound), sound.codec_context.name, sound.index) if sound is not None else None
        picture, whole = packets.read(container, stream, sound, video, audio)
        if picture is None:
            raise SampleFailed(Reason.undecodable, "its pictures cannot be decoded")
        audio = audio if audio and audio.pts else None
        _hide_headless(video)
        if audio:
            step = clocks.usual_step([t for t in audio.pts if t is not None])
            audio.pts = cast("list[int]", clocks.without_flipped(audio.pts, step))  # or None, as Track says
            clocks.plain_lasts(audio)
        repaired = clocks.is_set_anew(video)
        if repaired or picture_order.is_doubtful(video, stream, picture):
            with open_media(path) as again:
                order = picture_order.decoded_order(again, streams.pictures_of(again, stream.index))
            before = list(video.pts)
            told = picture_order.Told(container.format.name, stream.guessed_rate or stream.average_rate)
            picture_order.retimed(video, audio, order, told)
            repaired = repaired or any(a != b for a, b in zip(before, video.pts, strict=True) if b != NEVER)
        if audio:
            clocks.rising_sound(audio)
        shown = sorted({pts for at, pts in enumerate(video.pts) if at not in video.hidden})
        if not shown:
            raise SampleFailed(Reason.undecodable, "its pictures cannot be decoded")
        first_s = float(shown[0] * video.time_base)
        start_s = first_s if container.start_time is None else container.start_time / av.time_base
        zero_s = first_s if abs(first_s - start_s) < PRIMING_S else start_s
        index = VideoIndex(
            path,
            video,
            audio,
            zero_s,
            _rate(stream, shown, video.time_base),
            picture.width,
            picture.height,
            colour.Look.of(stream, picture),
            False,
            _copies_sound(sound),
            Tracks.of(container),
            repaired,
            shown,
        )
        index.can_copy = whole and not repaired and _can_copy(stream, index)
        if not repaired:
            _require_whole(container, stream, index)
        return index


def _film(path: Path, container: InputContainer) -> VideoStream:
    """The stream of moving pictures that plays; SampleFailed without one."""
    found = streams.moving(container)
    if found and streams.doubtful(found):
        with open_media(path) as again:
            film = streams.counted(again, streams.moving(again))
            found = [] if film is None else [streams.pictures_of(container, film.index)]
    if not found:
        unknown = [s for s in container.streams.video if s.codec_context is None]
        if unknown and len(unknown) == len(container.streams.video):
            raise SampleFailed(Reason.undecodable, "no decoder for its pictures")
        raise SampleFailed(Reason.no_video_stream, "no stream of moving pictures")
    return found[0]


def _hide_headless(video: Track) -> None:
    """Hide pictures before the first keyframe: what they refer to is not in the file."""
    if not video.keys:
        return
    first = video.keys[0]
    key = video.pts[first]
    video.hidden |= set(range(first))
    if key is not None:
        video.hidden |= {at for at, pts in enumerate(video.pts[: first + 32]) if pts is not None and pts < key}


def _can_copy(stream: VideoStream, index: VideoIndex) -> bool:
    """Whether packets of this stream can stand in a clip as they are."""
    return (
        index.video.codec == "h264"
        and index.look.pixels in COPYABLE_PIXELS
        and index.look.upright
        and bool(stream.codec_context.extradata)
        and bool(index.video.keys)
        and not any(dts is None for dts in index.video.dts)
        and len(index.shown) + len(index.video.hidden) == len(index.video.pts)
    )


def _copies_sound(sound: AudioStream | None) -> bool:
    """Whether packets of this sound can stand in a clip as they are: AAC that describes itself at a usual rate."""
    return sound is not None and sound.codec_context.name == "aac" and bool(sound.codec_context.extradata)


def _rate(stream: VideoStream, shown: list[int], base: Fraction) -> Fraction:
    """Pictures a second: the stream's own word where the times agree with it within a fifth, in the mean or in the
    median, else their mean, or their median where some stand for long."""
    mean = Fraction(len(shown) - 1) / ((shown[-1] - shown[0]) * base) if len(shown) > 1 else None
    usual = 1 / (clocks.usual_step(shown) * base) if len(shown) > 1 else None
    if mean is not None and usual is not None and usual > 2 * mean:
        mean = usual
    for told in (stream.guessed_rate, stream.average_rate):
        if told and (mean is None or abs(told - mean) <= mean / 5) and 0 < told <= 1000:
            return Fraction(told)
    return mean.limit_denominator(1001) or Fraction(1) if mean else Fraction(25)


def _require_whole(container: InputContainer, stream: VideoStream, index: VideoIndex) -> None:
    """Fail as `undecodable` when the file ends well before the end that it declares."""
    end_s = index.end_s + index.zero_s
    if stream.duration is not None:
        declared_s = float(((stream.start_time or 0) + stream.duration) * streams.clock(stream))
    elif container.duration is not None:
        declared_s = container.duration / av.time_base
        if index.audio is not None:
            last = max(range(len(index.audio.pts)), key=index.audio.pts.__getitem__)
            end_s = max(end_s, float((index.audio.pts[last] + index.audio.lasts[last]) * index.audio.time_base))
    else:
        return
    missing_s = declared_s - end_s
    if missing_s > max(MISSING_S, MISSING_SHARE * declared_s):
        raise SampleFailed(Reason.undecodable, f"cut off: it ends at {end_s:.1f} s of {declared_s:.1f} s")


def key_before(index: VideoIndex, pts: int) -> int:
    """Index of the last key packet that is shown at `pts` or before (the first key packet if there is none)."""
    keys = index.video.keys or [0]
    times = [index.video.pts[k] for k in keys]
    if times == sorted(times):
        return keys[max(0, bisect_right(times, pts) - 1)]
    return max((k for k, t in zip(keys, times, strict=True) if t <= pts), default=keys[0])
