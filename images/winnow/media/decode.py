"""Decoding for the measuring stages: open a clip, and take from its streams only what a measure needs.

Each stage decodes for itself, so decoding is where their time goes. Three things keep it small: one thread and no
frame queue (clips are short and a pod measures one at a time, and bytes must not depend on threads), decoders told to
skip what the measure cannot see (pictures that no other refers to, the deblocking filter), and pictures that swscale
shrinks before Python ever touches them.

Times are s on the clip's own clock, where the container starts; both streams share it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from winnow.core.sample import Reason, SampleFailed
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
    """An opened clip: its container and the first stream of each kind (None where it has none)."""

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
        streams = [s for s in (self.video, self.audio) if s is not None and s.duration is not None]
        return max((float(s.duration * s.time_base) for s in streams), default=0.0)

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

    def packets(self, *streams: VideoStream | AudioStream) -> Iterator[Packet]:
        """Packets of the streams in file order, each stream's last one empty; ends early where a damaged file
        does."""
        packets = self.container.demux(*streams)
        while True:
            try:
                yield next(packets)
            except (StopIteration, av.error.FFmpegError):
                return

    def frames(self, stream: VideoStream | AudioStream) -> Iterator[VideoFrame | AudioFrame]:
        """All that can be decoded of one stream, in the order in which it is shown or heard."""
        for packet in self.packets(stream):
            yield from decoded(packet)

    def time_s(self, frame: VideoFrame | AudioFrame) -> float:
        """When a frame is shown or heard, s; 0 for one without a time stamp."""
        return 0.0 if frame.time is None else frame.time - self.start_s


def decoded(packet: Packet) -> list[VideoFrame | AudioFrame]:
    """The frames that a packet releases; none for a damaged one: what is around it is still measured."""
    try:
        return packet.decode()
    except av.error.FFmpegError:
        return []


@contextmanager
def opened(data: bytes, *, skip: str | None = None) -> Iterator[Clip]:
    """Open a clip's bytes for single-threaded decoding; fails as `undecodable` when no demuxer knows them.

    `skip` leaves pictures undecoded where the codec allows it, and with them the deblocking filter, for measures that
    see neither fine detail nor every frame: "NONREF" those that no other refers to, "BIDIR" all that refer to later
    ones. On H.264 it halves the time.
    """
    try:
        container = av.open(io.BytesIO(data), format="mp4")
    except (av.error.FFmpegError, ValueError) as error:
        raise SampleFailed(
            Reason.undecodable, f"not a media file: {getattr(error, 'strerror', None) or error}"
        ) from error
    with container:
        video = next((s for s in container.streams.video if not _is_cover(s)), None)
        audio = next(iter(container.streams.audio), None)
        for stream in (video, audio):
            if stream is not None:
                stream.thread_type = "NONE"
                stream.codec_context.thread_count = 1
        if video is not None and skip is not None:
            video.codec_context.skip_frame = skip
            video.codec_context.options = {"skip_loop_filter": "all"}
        yield Clip(container, video, audio)


def _is_cover(stream: VideoStream) -> bool:
    """Whether a video stream is a still cover picture that audio files carry."""
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


class Shrinker:
    """Turns frames into small pictures through swscale (area averaging), its tables made once. Every shape is
    stretched to the one that is asked for."""

    def __init__(self, pixels: str, width: int, height: int) -> None:
        self.pixels, self.width, self.height = pixels, width, height
        self._scale, self._how = av.video.reformatter.VideoReformatter(), av.video.reformatter.Interpolation.AREA

    def __call__(self, frame: VideoFrame) -> np.ndarray:
        """One picture: uint8, (height, width) for 'gray', (height, width, 3) for 'rgb24'; full range 0–255."""
        small = self._scale.reformat(frame, self.width, self.height, self.pixels, interpolation=self._how, threads=1)
        return small.to_ndarray()


def waveform(frames: list[AudioFrame], *, rate_hz: int | None = None, mono: bool = False) -> np.ndarray:
    """Samples of decoded frames: float32, (channels, samples), full scale 1.0.

    `rate_hz` resamples (swresample); `mono` takes the channels' mean. Layouts of more than two channels become
    stereo. Frames are joined end to end: a gap between their time stamps closes.
    """
    if not frames:
        return np.zeros((1, 0), np.float32)
    first = frames[0]
    layout = "mono" if first.layout.nb_channels == 1 else "stereo"
    if all(f.format.name == "fltp" and f.layout.name == layout and f.rate == first.rate for f in frames):
        wave = _joined(frames, first.layout.nb_channels)
    else:
        for frame in frames:
            frame.pts = None
        wave = _resampled(frames, layout, first.rate)
    if mono and len(wave) > 1:
        wave, layout = wave.mean(axis=0, keepdims=True), "mono"
    if rate_hz is not None and rate_hz != first.rate:
        whole = av.AudioFrame.from_ndarray(wave, format="fltp", layout=layout)
        whole.rate = first.rate
        wave = _resampled([whole], layout, rate_hz)
    return wave


def _joined(frames: list[AudioFrame], channels: int) -> np.ndarray:
    """Planar float frames of one layout, end to end, without a call into FFmpeg for each: float32, (channels,
    samples)."""
    wave = np.empty((channels, sum(frame.samples for frame in frames)), np.float32)
    at = 0
    for frame in frames:
        samples = frame.samples
        for channel, plane in enumerate(frame.planes):
            wave[channel, at : at + samples] = np.frombuffer(plane, np.float32, samples)
        at += samples
    return wave


def _resampled(frames: list[AudioFrame], layout: str, rate_hz: int) -> np.ndarray:
    """Frames through swresample to planar float at one layout and rate: float32, (channels, samples)."""
    resampler = av.AudioResampler("fltp", layout, rate_hz)
    parts = [out.to_ndarray() for frame in [*frames, None] for out in resampler.resample(frame)]
    return np.concatenate(parts, axis=1) if parts else np.zeros((1, 0), np.float32)
