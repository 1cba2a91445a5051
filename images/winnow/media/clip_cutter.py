"""Cut: clips out of one source video, in one pass over its packets.

Each picture is decoded once, whatever number of clips wants it; stretches that no clip wants, and clips that can be
copied (`winnow.media.clip_writer` says which), are not decoded at all.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from winnow.core.sample import SampleFailed
from winnow.media import streams
from winnow.media.clip_writer import ClipFile, EncodedClip, Encoding
from winnow.media.ffmpeg import av
from winnow.media.packets import said
from winnow.media.picture_order import demuxed
from winnow.media.video_index import VideoIndex, open_media

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

__all__ = ["Encoding", "EncodedClip", "cut"]


def cut(
    index: VideoIndex, windows: Sequence[tuple[float, float]], work: Path, encoding: Encoding
) -> Iterator[tuple[int, EncodedClip | SampleFailed]]:
    """The clips of some windows [start, end) in s, each with its window's number, in the order in which they are done;
    a window that gave none has its failure (`empty_clip`: no picture, `undecodable`: damaged pictures, or what FFmpeg
    said of them)."""
    waiting: list[tuple[int, ClipFile]] = []
    for number, window in enumerate(windows):
        try:
            waiting.append((number, ClipFile(index, window, work / f"clip-{number}.mp4", encoding)))
        except SampleFailed as failure:
            yield number, failure
    with open_media(index.path) as container:
        reading = _Pass(index, container, waiting)
        waiting = []  # a clip that is done is let go, with its encoders
        yield from reading.run()


class _Pass:
    """One reading of the packets. A clip's file is open only from its first picture or sound to its last, so that a
    long video with hundreds of clips needs no more memory than a short one, however rare its keyframes are and
    however long one of its pictures stands."""

    def __init__(self, index: VideoIndex, container: InputContainer, waiting: list[tuple[int, ClipFile]]) -> None:
        video = streams.pictures_of(container, index.video.index)
        self.index, self.container, self.video, self.waiting = index, container, video, dict(waiting)
        self.audio = streams.sound_of(container, index.audio.index) if index.audio is not None else None
        self.tick_s = float(index.audio.time_base) if index.audio is not None else 0.0
        self.active: list[tuple[int, ClipFile]] = []
        self.broken: list[tuple[int, SampleFailed]] = []
        encoded, copied = ([i for i in waiting if (i[1].copied is None) is how] for how in (True, False))
        #: What begins clips: a picture that is shown, by its time; packets of copied pictures and of sound, by number.
        self.by_picture = sorted((clip.low, number) for number, clip in encoded)
        self.by_packet = sorted((clip.copied[0], number) for number, clip in copied if clip.copied)
        self.by_sound = sorted((clip.sounds[0], number) for number, clip in waiting if clip.sounds)
        self.pictures = _Ranges([clip.pictures for _, clip in encoded])
        self.sounds = _Ranges([clip.sounds for _, clip in waiting if clip.sounds and not index.copies_sound])
        self.sound_ends = frozenset(clip.sounds[1] for _, clip in waiting if clip.sounds)
        video.thread_type, video.codec_context.thread_count = "NONE", 1

    def run(self) -> Iterator[tuple[int, EncodedClip | SampleFailed]]:
        """Read on until every clip is done."""
        at_picture = at_sound = 0
        wanted: list[VideoStream | AudioStream] = [self.video] if self.audio is None else [self.video, self.audio]
        for packet in demuxed(self.container, *wanted):
            if not (self.waiting or self.active or self.broken):
                break
            if packet.stream_index == self.video.index:
                self._begin(self.by_packet, at_picture)
                self._picture(at_picture, packet)
                at_picture += 1
            else:
                self._begin(self.by_sound, at_sound)
                self._sound(at_sound, packet)
                at_sound += 1
                if at_sound not in self.sound_ends and not self.broken:
                    continue
            for item in [i for i in self.active if i[1].is_over(at_picture, at_sound)]:
                self.active.remove(item)
                yield item[0], _finished(item[1])
            while self.broken:
                yield self.broken.pop()
        self._show(_drained(self.video.codec_context) if at_picture else [])
        for number in sorted(number for number, clip in self.waiting.items() if clip.kept is not None):
            self._open(number)
        yield from self.broken
        for number, clip in (*self.active, *self.waiting.items()):
            yield number, _finished(clip)

    def _begin(self, queue: list[tuple[int, int]], at: int, frame=None) -> None:
        """Open what waits for this place; a clip whose picture stands keeps it until something of its own follows."""
        while queue and queue[0][0] <= at:
            _, number = queue.pop(0)
            clip = self.waiting.get(number)
            if clip is None:
                continue
            if frame is not None and clip.stands and clip.kept is None:
                clip.kept = frame
                if clip.following is not None:
                    insort(queue, (clip.following, number))
            else:
                self._open(number)

    def _open(self, number: int) -> None:
        item = number, self.waiting.pop(number)
        self.active.append(item)
        self._do(item, item[1].open, self.video, self.audio)

    def _do(self, item: tuple[int, ClipFile], what: Callable[..., None], *given) -> None:
        """Let a clip take something; what FFmpeg will not do ends this clip and no other."""
        try:
            what(*given)
        except av.error.FFmpegError as error:
            item[1].abandon()
            self.active.remove(item)
            failure = said(error)
            if failure is None:
                raise
            self.broken.append((item[0], failure))

    def _show(self, frames: list) -> None:
        for frame in frames:
            if frame.pts is not None:
                self._begin(self.by_picture, frame.pts, frame)
            for item in [*self.active]:
                self._do(item, item[1].encode_picture, frame)

    def _picture(self, at: int, packet: Packet) -> None:
        if self.index.repaired:
            packet.pts = packet.dts = self.index.video.pts[at]
        for item in [*self.active]:
            if item[1].copied is not None:
                self._do(item, item[1].copy_picture, at, packet)
        if at not in self.pictures:
            return
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            frames = []
        if not self.pictures.ends_at(at):
            self._show(frames)
            return
        self._show([*frames, *_drained(self.video.codec_context)])
        for _, clip in self.active:
            clip.seen = clip.seen or clip.pictures[1] <= at + 1

    def _sound(self, at: int, packet: Packet) -> None:
        track = self.index.audio
        assert track is not None
        assert self.audio is not None
        if at in track.hidden and not packet.is_discard:
            return
        packet.pts = packet.dts = track.pts[at]
        if self.index.copies_sound:
            for item in [*self.active]:
                self._do(item, item[1].copy_sound, at, packet)
        if at not in self.sounds:
            return
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            frames = []
            for _, clip in self.active:
                clip.lose_sound(at)
        if self.sounds.ends_at(at):
            frames = [*frames, *_drained(self.audio.codec_context)]
        for frame in frames:
            if frame.pts is None:
                continue
            when_s, frame.pts = frame.pts * self.tick_s, None
            for item in [*self.active]:
                self._do(item, item[1].encode_sound, frame, when_s)


def _drained(decoder) -> list:
    """What a decoder still holds; afterwards it can start elsewhere."""
    try:
        frames = decoder.decode(None)
    except av.error.FFmpegError:
        frames = []
    decoder.flush_buffers()
    return frames


def _finished(clip: ClipFile) -> EncodedClip | SampleFailed:
    try:
        return clip.finish()
    except SampleFailed as failure:
        return failure
    except av.error.FFmpegError as error:
        clip.abandon()
        found = said(error)
        if found is None:
            raise
        return found


class _Ranges:
    """Packet numbers that are wanted, as disjoint ranges in order; asked in order."""

    def __init__(self, ranges: list[tuple[int, int]]) -> None:
        self._parts: list[tuple[int, int]] = []
        for low, high in sorted(ranges):
            if self._parts and low <= self._parts[-1][1]:
                self._parts[-1] = (self._parts[-1][0], max(high, self._parts[-1][1]))
            else:
                self._parts.append((low, high))
        self._next = 0
        self.end = self._parts[-1][1] if self._parts else 0

    def __contains__(self, at: int) -> bool:
        while self._next < len(self._parts) and at >= self._parts[self._next][1]:
            self._next += 1
        return self._next < len(self._parts) and self._parts[self._next][0] <= at

    def ends_at(self, at: int) -> bool:
        """Whether a range ends with this packet."""
        return self._next < len(self._parts) and self._parts[self._next][1] == at + 1
