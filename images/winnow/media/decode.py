"""Decoding for the measuring stages: open a clip, and take from its streams only what a measure needs.

Each stage decodes for itself, so decoding is where their time goes. Three things keep it small: one thread and no
frame queue (clips are short and a pod measures one at a time, and bytes must not depend on threads), decoders told to
skip what the measure cannot see (pictures that no other refers to, the deblocking filter), and pictures that swscale
shrinks before Python ever touches them.

Times are s on the clip's own clock, where the container starts; both streams share it.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from winnow.core.sample import Reason, SampleFailed
from winnow.media import downmix, streams, tone
from winnow.media.ffmpeg import av

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


@dataclass(frozen=True)
class Clip:
    """An opened clip: its container and the stream of each kind that plays (None where it has none)."""

    container: InputContainer
    video: VideoStream | None
    audio: AudioStream | None

    @property
    def start_s(self) -> float:
        """Where the container's clock starts, s."""
        return (self.container.start_time or 0) / av.time_base

    @property
    def duration_s(self) -> float:
        """Duration that the container declares, else the longest of its streams, s (0 where nothing says)."""
        if self.container.duration is not None:
            return self.container.duration / av.time_base
        plays = [s for s in (self.video, self.audio) if s is not None]
        told = [s.duration * streams.clock(s) for s in plays if s.duration is not None]
        return max(map(float, told), default=0.0)

    def require_video(self) -> VideoStream:
        """The video stream, or the sample fails with `no_video_stream`."""
        if self.video is None:
            raise SampleFailed(Reason.no_video_stream, "no video stream")
        return self.video

    def require_audio(self) -> AudioStream:
        """The audio stream, or the sample fails with `no_audio_stream`."""
        if self.audio is None:
            raise SampleFailed(Reason.no_audio_stream, "no audio stream")
        return self.audio

    @overload
    def packets(self, *wanted: VideoStream) -> Iterator[Packet[VideoStream]]: ...
    @overload
    def packets(self, *wanted: AudioStream) -> Iterator[Packet[AudioStream]]: ...
    @overload
    def packets(self, *wanted: VideoStream | AudioStream) -> Iterator[Packet[Any]]: ...
    def packets(self, *wanted: VideoStream | AudioStream) -> Iterator[Packet[Any]]:
        """Packets of the streams in file order, each stream's last one empty; ends early where a damaged file
        does."""
        packets = self.container.demux(*wanted)
        while True:
            try:
                yield next(packets)
            except (StopIteration, IndexError, av.error.FFmpegError):
                return

    @overload
    def frames(self, stream: VideoStream) -> Iterator[VideoFrame]: ...
    @overload
    def frames(self, stream: AudioStream) -> Iterator[AudioFrame]: ...
    def frames(self, stream: VideoStream | AudioStream) -> Iterator[VideoFrame | AudioFrame]:
        """All that can be decoded of one stream, in the order in which it is shown or heard."""
        for packet in self.packets(stream):
            yield from decoded(packet)

    def time_s(self, frame: VideoFrame | AudioFrame) -> float:
        """When a frame is shown or heard, s; 0 for one without a time stamp."""
        return 0.0 if frame.time is None else frame.time - self.start_s


@overload
def decoded(packet: Packet[VideoStream]) -> list[VideoFrame]: ...
@overload
def decoded(packet: Packet[AudioStream]) -> list[AudioFrame]: ...
def decoded(packet: Packet[Any]) -> Sequence[VideoFrame | AudioFrame]:
    """The frames that a packet releases; none for a damaged one: what is around it is still measured."""
    try:
        return packet.decode()
    except av.error.FFmpegError:
        return []


@contextmanager
def opened(data: bytes, *, skip: Literal["NONREF", "BIDIR"] | None = None) -> Iterator[Clip]:
    """Open a clip's bytes for single-threaded decoding; fails as `undecodable` when no demuxer knows them.

    `skip` leaves pictures undecoded where the codec allows it, and with them the deblocking filter, for measures that
    see neither fine detail nor every frame: "NONREF" those that no other refers to, "BIDIR" all that refer to later
    ones. On H.264 it halves the time.
    """
    try:
        container = av.open(io.BytesIO(data), "r", format="mp4")
    except (av.error.FFmpegError, ValueError) as error:
        raise SampleFailed(
            Reason.undecodable, f"not a media file: {getattr(error, 'strerror', None) or error}"
        ) from error
    with container:
        video = next(iter(streams.moving(container)), None)
        audio = streams.sound(container)
        for stream in (video, audio):
            if stream is not None:
                stream.codec_context.thread_type = "NONE"
                stream.codec_context.thread_count = 1
        if video is not None and skip is not None:
            video.codec_context.skip_frame = skip
            video.codec_context.options = {"skip_loop_filter": "all"}
        yield Clip(container, video, audio)


class Shrinker:
    """Turns frames into small pictures through swscale (area averaging), its tables made once. Every shape is
    stretched to the one that is asked for; high dynamic range is shown as an ordinary screen does."""

    def __init__(self, pixels: str, width: int, height: int) -> None:
        self.pixels, self.width, self.height = pixels, width, height
        self._scale, self._how = av.video.reformatter.VideoReformatter(), av.video.reformatter.Interpolation.AREA

    def __call__(self, frame: VideoFrame) -> np.ndarray:
        """One picture: uint8, (height, width) for 'gray', (height, width, 3) for 'rgb24'; full range 0–255."""
        hdr = tone.is_hdr(frame)
        small = self._scale.reformat(
            frame, self.width, self.height, "rgb24" if hdr else self.pixels, interpolation=self._how, threads=1
        ).to_ndarray()
        if not hdr:
            return small
        rgb = tone.shown(small, frame)
        return tone.luma(rgb) if self.pixels == "gray" else rgb


#: Time stamps that leave the running position of the sound by more than this are a gap (or an overlap), s.
GAP_S = 0.02
#: No gap of a clip is longer, s: one that is comes from a broken clock.
LONGEST_GAP_S = 3600.0


def waveform(frames: Iterable[AudioFrame], *, rate_hz: int | None = None, mono: bool = False) -> np.ndarray:
    """Samples of decoded frames, as `Sound.waveform`."""
    sound = Sound()
    for frame in frames:
        sound.add(frame)
    return sound.waveform(rate_hz=rate_hz, mono=mono)


class Sound:
    """Decoded sound, its frames joined as they come, so that a decoder uses its buffers again. False while empty."""

    def __init__(self) -> None:
        #: Runs of frames that follow each other in time and are of one shape: when each begins, s, and its samples.
        self._runs: list[tuple[float | None, av.AudioFifo]] = []
        self._rate, self._layout = 0, ""
        self._tick_s, self._slack = 0.0, 0.0
        self._expected: float | None = None

    def __bool__(self) -> bool:
        return bool(self._runs)

    @property
    def rate(self) -> int:
        """Samples a second, as it begins."""
        return self._runs[0][1].sample_rate if self._runs else 0

    def add(self, frame: AudioFrame) -> None:
        """Take the next frame."""
        at, samples = frame.pts, frame.samples
        if not samples:
            return
        follows = at is None or self._expected is None or abs(at - self._expected) <= self._slack
        frame.pts = None  # or the queue asks for times that are exact
        if not (self._runs and follows and frame.layout.name == self._layout and self._queued(frame)):
            self._runs.append(
                (None if at is None or not frame.time_base else float(at * frame.time_base), av.AudioFifo())
            )
            self._queued(frame)
            self._rate, self._layout = frame.rate, frame.layout.name
            self._tick_s = float(frame.time_base or 0)
            timed = bool(self._tick_s) and at is not None
            self._expected, self._slack = (at, GAP_S / self._tick_s) if timed else (None, 0.0)
        if self._expected is not None:
            self._expected += samples / self._rate / self._tick_s
        frame.pts = at

    def _queued(self, frame: AudioFrame) -> bool:
        """Add a frame to the last run, if its format and rate are that run's."""
        try:
            self._runs[-1][1].write(frame)
        except ValueError:
            return False
        return True

    def waveform(self, *, rate_hz: int | None = None, mono: bool = False) -> np.ndarray:
        """Samples so far, which leave this: float32, (channels, samples), full scale 1.0, counted from the first
        frame's time.

        `rate_hz` resamples (swresample); `mono` makes one channel of two. Layouts of more than two channels become
        stereo (`winnow.media.downmix`: at the same level). A gap between time stamps is silence, so that what follows
        stays where it is heard; of an overlap the earlier sound is kept. SampleFailed with `undecodable` for a gap
        above an hour.
        """
        if not self._runs:
            return np.zeros((1, 0), np.float32)
        rate, first_s = self.rate, self._runs[0][0]
        pieces: list[np.ndarray] = []
        made = 0
        for start_s, queue in self._runs:
            whole = queue.read()
            if whole is None:
                continue
            wave = downmix.stereo(downmix.samples(whole), downmix.names_of(whole))
            if whole.rate != rate:
                wave = _resampled(wave, whole.rate, rate)
            lag = made if start_s is None or first_s is None else round((start_s - first_s) * rate)
            if lag - made > GAP_S * rate:
                if lag - made > LONGEST_GAP_S * rate:
                    raise SampleFailed(Reason.undecodable, f"its sound stops for {(lag - made) / rate:.0f} s")
                pieces.append(np.zeros((1, lag - made), np.float32))
                made = lag
            elif made - lag > GAP_S * rate:
                wave = wave[:, made - lag :]
            pieces.append(wave)
            made += wave.shape[1]
        self._runs = []
        channels = max(len(piece) for piece in pieces)
        wave = pieces[0] if len(pieces) == 1 else np.concatenate([downmix.as_many(p, channels) for p in pieces], axis=1)
        if mono:
            wave = downmix.mono(wave)
        return wave if rate_hz is None or rate_hz == rate else _resampled(wave, rate, rate_hz)


def _resampled(wave: np.ndarray, rate: int, rate_hz: int) -> np.ndarray:
    """One or two channels through swresample to another rate: float32, (channels, samples)."""
    layout = "mono" if len(wave) == 1 else "stereo"
    whole = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave), format="fltp", layout=layout)
    whole.rate = rate
    resampler = av.AudioResampler("fltp", layout, rate_hz)
    parts = [out.to_ndarray() for frame in (whole, None) for out in resampler.resample(frame)]
    return np.concatenate(parts, axis=1) if parts else np.zeros((len(wave), 0), np.float32)
