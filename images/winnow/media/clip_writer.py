"""One clip's file: MP4 with H.264 and AAC, its clock starting at 0 with its first picture.

Pictures are copied where that gives exactly the window's pictures: it begins with an IDR picture, and the packets up to
its last picture, in decoding order, are its pictures and no others. Otherwise they are encoded again (libx264, one
thread: the bytes depend on threads). What happens to sound is told in `winnow.media.clip_audio`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from winnow.core import cpu
from winnow.core.sample import Reason, SampleFailed
from winnow.media import clip_check
from winnow.media.clip_audio import SoundCopy, SoundEncoder
from winnow.media.colour import FULL_RANGE, LIMITED_RANGE
from winnow.media.ffmpeg import av
from winnow.media.frame_shape import Shape
from winnow.media.video_index import VideoIndex, key_before

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

#: Seconds from one keyframe of an encoded clip to the next: readers that jump find one near.
KEY_EVERY_S = 2.0
#: Written so that equal clips are equal bytes (no clock, no library's version) and a browser can play them at once.
MUXER = {"movflags": "+faststart", "fflags": "+bitexact"}
#: A clip with a larger share of damaged pictures, or of damaged packets of sound, is not kept.
DAMAGED_SHARE = 0.02
#: A file's pictures last as long as its row says to within this, s.
TOLERANCE_S = 0.1
#: A copied clip's last picture stands no longer than this many halves of a picture: its packet says how long.
LONGEST_LAST = 5


@dataclass(frozen=True)
class Encoding:
    """How pictures are encoded again: libx264's preset and constant rate factor."""

    preset: str
    crf: int

    def options(self, rate: Fraction) -> dict[str, str]:
        """libx264's options at a picture rate; the ones that a fair comparison must use too.

        Without macroblock-tree rate control: with B-frames its assembly reads memory that nobody wrote, so the bytes
        depend on what the process did before (a run under other values of MALLOC_PERTURB_ shows it). And with the
        instructions of `winnow.core.cpu`: with fewer, other bytes come out.
        """
        keys = max(1, round(KEY_EVERY_S * float(rate)))
        own = ":".join(f"{name}={value}" for name, value in {"mbtree": "0", **cpu.x264_options()}.items())
        return {"preset": self.preset, "crf": str(self.crf), "threads": "1", "g": str(keys), "x264-params": own}


@dataclass(frozen=True)
class EncodedClip:
    """One clip's file and what is known of it: size in pixels, pictures a second, duration in s; `av_offset_s` is how
    much later than the picture the sound starts, as a reader sees it."""

    data: bytes
    copied: bool
    width: int
    height: int
    fps: float
    duration_s: float
    has_audio: bool
    av_offset_s: float | None


class ClipFile:
    """One clip in the making. `start` and `end` are exact times on the container's clock, s: those of pictures, or the
    window's own where a picture stands across them. `pictures` and `sounds` are the ranges of packets that it needs;
    `stands` whether its first picture has been standing since before, `kept` that picture, until `following`, the next
    one, or sound comes."""

    def __init__(self, index: VideoIndex, window: tuple[float, float], path: Path, encoding: Encoding) -> None:
        first, last = index.pictures(*window)
        if first >= last:
            raise SampleFailed(Reason.empty_clip, f"no picture between {window[0]:.3f} s and {window[1]:.3f} s")
        base = index.video.time_base
        self.index, self.path, self.encoding = index, path, encoding
        self.count, self.made, self.damaged, self.mute = last - first, 0, 0, 0
        self.low, self.high = index.shown[first], index.shown[last - 1]
        self.orphans = len(index.orphans.intersection(index.shown[first:last])) if index.orphans else 0
        _, held = index.first_at(window[0])
        after, stands = index.first_at(window[1]) if last < len(index.shown) else (last, True)
        self.start = index.place(window[0]) if held else self.low * base
        self.end = index.place(min(window[1], index.end_s)) if stands else index.shown[after] * base
        if last == len(index.shown) and self.end >= index.place(index.end_s - index.half_s):
            self.end = index.place(index.end_s)
        self.zero = round(self.start / base)
        self.kept: VideoFrame | None = None
        self.following = index.shown[first + 1] if last - first > 1 else None
        as_long = self.end - self.high * base <= LONGEST_LAST * index.half_s
        self.copied = _copied(index, first, last) if as_long and not held else None
        self.pictures = self.copied or _decoded(index, self.low, self.high)
        self.seen = False
        self._pending: Packet | None = None
        self._last: int | None = None
        self.copies_sound = SoundCopy.can(index)
        self.sounds = (SoundCopy if self.copies_sound else SoundEncoder).packets(index, self.start, self.end)
        self.stands = held and self.sounds is not None
        self._out: OutputContainer | None = None
        self._sound: SoundCopy | SoundEncoder | None = None
        self.width, self.height = index.width, index.height

    def is_over(self, at_picture: int, at_sound: int) -> bool:
        """Whether all its packets have come."""
        seen = self.seen if self.copied is None else self.copied[1] <= at_picture
        return seen and (self.sounds is None or self.sounds[1] <= at_sound)

    def open(self, video: VideoStream, audio: AudioStream | None) -> None:
        """Begin the file."""
        self._out = av.open(str(self.path), "w", format="mp4", options=dict(MUXER))
        if self.copied:
            self._video = self._out.add_stream_from_template(video)
        else:
            self._shape = Shape(self.index)
            self.width, self.height = self._shape.width, self._shape.height
            self._video = _x264(self._out, self.index, self.encoding, video, self._shape)
        if self.sounds is not None and audio is not None:
            kind = SoundCopy if self.copies_sound else SoundEncoder
            self._sound = kind(self.index, self.start, self.end, self.sounds, audio, self._out)
        if self.kept is not None:
            self.encode_picture(self.kept)
            self.kept = None

    def copy_picture(self, at: int, packet: Packet) -> None:
        """Take a packet as it is, if it is one of a copied clip."""
        if self.copied is None or not self.copied[0] <= at < self.copied[1]:
            return
        assert self._out is not None
        assert packet.pts is not None
        assert packet.dts is not None
        twin = av.Packet(bytes(packet))
        twin.pts, twin.dts = packet.pts - self.low, packet.dts - self.low
        twin.duration, twin.time_base, twin.is_keyframe = packet.duration, packet.time_base, packet.is_keyframe
        twin.stream = self._video
        if at == self.copied[0]:
            self._began = packet.dts - self.low
        if at + 1 == self.copied[1]:
            twin.duration = self._to_end(twin)
        self._out.mux(twin)
        self.made += 1

    def encode_picture(self, frame: VideoFrame) -> None:
        """Encode a picture, if it is one of an encoded clip."""
        if self.copied is not None or frame.pts is None:
            return
        self.seen = self.seen or frame.pts >= self.high
        if not self.low <= frame.pts <= self.high or (self._last is not None and frame.pts <= self._last):
            return
        assert self._out is not None
        self._last = frame.pts
        self.damaged += bool(frame.is_corrupt)
        shaped = self._shape(frame)
        before = shaped.pts
        shaped.pts, shaped.time_base = max(0, frame.pts - self.zero), self.index.video.time_base
        shaped.pict_type = 0
        self._put(self._video.encode(shaped))
        shaped.pts = before
        self.made += 1

    def _put(self, packets: list[Packet]) -> None:
        """Write pictures, but for the last one: how long that stands is known at the end."""
        for packet in packets:
            if self._pending is None:
                self._began = packet.dts or 0
            elif self._out is not None:
                self._out.mux(self._pending)
            self._pending = packet

    def copy_sound(self, at: int, packet: Packet) -> None:
        """Take a packet of sound as it is, if this clip copies sound and it is one of its own."""
        if isinstance(self._sound, SoundCopy) and self.sounds and self.sounds[0] <= at < self.sounds[1]:
            self._sound.packet(packet)

    def lose_sound(self, at: int) -> None:
        """Count a packet of sound that could not be decoded."""
        self.mute += not self.copies_sound and self.sounds is not None and self.sounds[0] < at < self.sounds[1]

    def encode_sound(self, frame: AudioFrame, when_s: float) -> None:
        """Encode what of decoded sound, which starts at `when_s`, lies in this clip."""
        if isinstance(self._sound, SoundEncoder):
            self._sound.frame(frame, when_s)

    def finish(self) -> EncodedClip:
        """Write what the encoders hold, close the file, and return the clip; SampleFailed when too little came."""
        if self._out is None:
            raise SampleFailed(Reason.undecodable, "none of its pictures can be decoded")
        try:
            if self.copied is None and self.made:
                self._put(self._video.encode(None))
                self._put_last()
            if self._sound is not None:
                self._sound.finish()
        finally:
            self._close()
        data = self.path.read_bytes() if self.path.exists() else b""
        self.path.unlink(missing_ok=True)
        duration_s, offset_s = float(self.end - self.start), self._sound.offset_s if self._sound else None
        _allow(self.damaged + self.count - self.made, self.count, "pictures")
        if self.sounds is not None:
            _allow(self.mute, self.sounds[1] - self.sounds[0], "packets of sound")
        found = clip_check.check(data, copied=self.copied is not None, copied_sound=self.copies_sound)
        _allow(found.damaged + abs(found.pictures - self.made), self.count, "pictures")
        _allow(self.orphans, self.count, "pictures refer to missing ones and")
        if abs(found.picture_s - duration_s) > TOLERANCE_S:
            what = f"its pictures last {found.picture_s:.3f} s, not {duration_s:.3f} s"
            raise SampleFailed(Reason.undecodable, what)
        if found.sounds and self.copies_sound:
            _allow(found.mute, found.sounds, "packets of sound")
        nominal, mean = float(self.index.rate), self.made / duration_s
        return EncodedClip(
            data,
            self.copied is not None,
            self.width,
            self.height,
            nominal if abs(mean - nominal) < 0.02 * nominal else round(mean, 3),
            round(duration_s, 6),
            found.sounds > 0,
            offset_s if found.sounds else None,
        )

    def _put_last(self) -> None:
        """Write the last picture: it stands to the clip's end."""
        packet = self._pending
        if packet is not None and self._out is not None:
            packet.duration = self._to_end(packet)
            self._out.mux(packet)
            self._pending = None

    def _to_end(self, packet: Packet) -> int:
        """How long the packet that is stored last lasts, so that the track is as long as the clip."""
        lasts = round((self.end - self.start) / packet.time_base) - ((packet.dts or 0) - self._began)
        return lasts if lasts > 0 else packet.duration or 0

    def abandon(self) -> None:
        """Leave nothing of a clip that cannot be written."""
        with suppress(av.error.FFmpegError):
            self._close()
        self.path.unlink(missing_ok=True)

    def _close(self) -> None:
        out, self._out = self._out, None
        if out is not None:
            out.close()


def _allow(damaged: int, count: int, what: str) -> None:
    """SampleFailed where too large a share is damaged."""
    if damaged > DAMAGED_SHARE * count:
        raise SampleFailed(Reason.undecodable, f"{damaged} of {count} {what} are damaged")


def _copied(index: VideoIndex, first: int, last: int) -> tuple[int, int] | None:
    """The packets that are exactly the pictures `shown[first:last]`, if such a run begins with a fresh start."""
    track = index.video
    if not index.can_copy:
        return None
    low, high, count = index.shown[first], index.shown[last - 1], last - first
    key = key_before(index, low)
    run = track.pts[key : key + count]
    if track.pts[key] != low or len(run) != count or min(run) < low or max(run) > high:
        return None
    return None if any(key <= at < key + count for at in track.hidden) else (key, key + count)


def _decoded(index: VideoIndex, low: int, high: int) -> tuple[int, int]:
    """The packets to decode for the pictures from `low` to `high`: up to the second key packet after them, since
    pictures shown before a keyframe may be stored behind it."""
    key, track = key_before(index, low), index.video
    end, keys, passed = key + 1, set(track.keys), 0
    for at in range(key, len(track.pts)):
        if track.pts[at] <= high:
            end = at + 1
        elif at in keys:
            passed += 1
            if passed > 1:
                break
    return key, end


def _x264(out, index: VideoIndex, encoding: Encoding, source, shape: Shape):
    """A libx264 stream for pictures of this video, its colours and fields described as the source's are."""
    options = encoding.options(index.rate)
    if shape.interlaced:
        options["x264-params"] += ":tff=1" if shape.upper_first else ":bff=1"
    stream = out.add_stream("libx264", rate=index.rate, options=options)
    stream.width, stream.height, stream.pix_fmt = shape.width, shape.height, shape.pixels
    codec, context = stream.codec_context, source.codec_context
    codec.time_base = index.video.time_base
    codec.thread_count = 1
    if shape.full_range:
        codec.color_range = FULL_RANGE
    elif not index.look.full_range:
        codec.color_range = context.color_range
    else:
        codec.color_range = LIMITED_RANGE
    codec.color_primaries, codec.color_trc, codec.colorspace = (
        context.color_primaries,
        context.color_trc,
        context.colorspace if shape.matrix == index.look.matrix else shape.matrix,
    )
    if shape.sar:
        codec.sample_aspect_ratio = shape.sar
    return stream
