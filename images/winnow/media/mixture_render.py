"""Mixing: one clip's picture under the sum of two clips' sound, as MixIT and AudioScope make their mixtures.

Both sounds are put on the clock of clip 1's picture: a sample stands where it is heard against its own clip's first
picture, and what is missing up to the picture's end is silence. They become mono at one rate and are added as floating
point without any gain.

The file is MP4: clip 1's video packets, copied, and the sum as FLAC of 24 bits. AAC would alter the very signal that a
separator has to take apart, floating-point PCM in MP4 or Matroska is not played by browsers; FLAC is lossless, gives
equal bytes, and FFmpeg, torchaudio and browsers read it. Rounding to 24 bits adds noise 146 dB under full scale. An
integer format has a ceiling: where a peak passes full scale, the peak guard lowers the sum (and the two parts with it,
so that they still add up) by one gain, which the row tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from winnow.core.sample import Reason, SampleFailed
from winnow.media import streams
from winnow.media.decode import opened, waveform
from winnow.media.ffmpeg import av

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet

    from winnow.media.decode import Clip

BITS = 24
#: Largest sample of 24 bits, as a share of full scale.
CEILING = (2 ** (BITS - 1) - 1) / 2 ** (BITS - 1)
#: Sound whose time stamps leave its running position by more than this is laid down anew, s.
JUMP_S = 0.02
MP4 = {"movflags": "+faststart", "fflags": "+bitexact"}
FLAC = {"fflags": "+bitexact"}
#: Samples given to the encoder at a time.
CHUNK = 65_536


@dataclass(frozen=True)
class Sound:
    """One clip's sound on the clock of a picture: float64 (samples,), and how much of it, s, is silence that was put in
    and how much of the clip's own was left out."""

    wave: np.ndarray
    padded_s: float
    left_out_s: float


@dataclass(frozen=True)
class Level:
    """RMS and peak, dB relative to full scale (a constant 1.0 is 0 dBFS RMS); None for digital silence."""

    rms_dbfs: float | None
    peak_dbfs: float | None

    @classmethod
    def of(cls, wave: np.ndarray) -> Level:
        """Levels of a waveform (samples,)."""
        if not len(wave):
            return cls(None, None)
        return cls(_dbfs(float(np.sqrt(np.mean(np.square(wave))))), _dbfs(float(np.abs(wave).max())))


@dataclass(frozen=True)
class Scaled:
    """Signals as they are written: samples of 24 bits in int32, the gain that the guard took (0 dB: none), and how many
    samples of the sum were clipped (0 with the guard on)."""

    signals: list[np.ndarray]
    gain_db: float
    clipped: int


def picture_s(data: bytes) -> float:
    """How long a clip's picture lasts, s; SampleFailed without one."""
    with opened(data) as clip:
        video = clip.require_video()
        if video.duration is None or video.duration <= 0:
            raise SampleFailed(Reason.undecodable, "its picture has no duration")
        return float(video.duration * streams.clock(video))


def sound(data: bytes, rate_hz: int, length_s: float, shift_s: float = 0.0) -> Sound:
    """A clip's sound, mono, on the clock of a picture of `length_s`, `shift_s` later than on its own.

    SampleFailed with `no_audio_stream` or `undecodable` where there is none.
    """
    with opened(data) as clip:
        stream = clip.require_audio()
        zero_s = _zero_s(clip)
        pieces = [
            (
                frames[0].time - zero_s if frames[0].time is not None else 0.0,
                waveform(frames, rate_hz=rate_hz, mono=True),
            )
            for frames in _runs(clip, stream)
        ]
    if not any(wave.shape[1] for _, wave in pieces):
        raise SampleFailed(Reason.undecodable, "no sound could be decoded")
    total = round(length_s * rate_hz)
    out, there, own = np.zeros(total), np.zeros(total, bool), 0
    for at_s, wave in pieces:
        at = round((at_s + shift_s) * rate_hz)
        low, high = max(0, -at), max(0, min(wave.shape[1], total - at))
        own += wave.shape[1]
        if low < high:
            out[at + low : at + high], there[at + low : at + high] = wave[0, low:high], True
    laid = int(there.sum())
    return Sound(out, (total - laid) / rate_hz, max(0, own - laid) / rate_hz)


def scaled(signals: list[np.ndarray], guard: bool) -> Scaled:
    """Signals rounded to 24 bits, the first being the sum. Where one passes full scale, `guard` lowers all of them by
    one gain; without it they are clipped."""
    peak = max((float(np.abs(s).max()) for s in signals if len(s)), default=0.0)
    gain = CEILING / peak if guard and peak > CEILING else 1.0
    clipped = int((np.abs(signals[0]) > CEILING).sum()) if gain == 1.0 else 0
    whole = 2 ** (BITS - 1)
    rounded = [np.clip(np.rint(s * gain * whole), -whole, whole - 1).astype(np.int32) for s in signals]
    return Scaled(rounded, round(20 * float(np.log10(gain)), 9) if gain != 1.0 else 0.0, clipped)


def render(data: bytes, samples: np.ndarray, rate_hz: int, path: Path) -> tuple[bytes, int]:
    """MP4 bytes with a clip's video packets as they are and these samples as its sound; and how many packets."""
    with opened(data) as clip, av.open(str(path), "w", format="mp4", options=dict(MP4)) as out:
        source = clip.require_video()
        video = out.add_stream_from_template(source)
        audio, packets = _flac(out, samples, rate_hz)
        pictures = [packet for packet in clip.packets(source) if packet.size]
        for picture in pictures:
            picture.stream = video
        for piece in packets:
            piece.stream = audio
        for packet in sorted([*pictures, *packets], key=_when):
            out.mux(packet)
    rendered = path.read_bytes()
    path.unlink()
    return rendered, len(pictures)


def flac(samples: np.ndarray, rate_hz: int, path: Path) -> bytes:
    """A FLAC file of mono samples of 24 bits."""
    with av.open(str(path), "w", format="flac", options=dict(FLAC)) as out:
        stream, packets = _flac(out, samples, rate_hz)
        for packet in packets:
            packet.stream = stream
            out.mux(packet)
    rendered = path.read_bytes()
    path.unlink()
    return rendered


def _flac(out: OutputContainer, samples: np.ndarray, rate_hz: int) -> tuple[AudioStream, list[Packet]]:
    """A FLAC stream of a container, and its packets; FFmpeg's FLAC takes 24 bits as the upper ones of 32."""
    stream = out.add_stream("flac", rate=rate_hz, layout="mono")
    stream.codec_context.format = "s32"
    packets = []
    for at in range(0, len(samples), CHUNK):
        part = np.ascontiguousarray(samples[None, at : at + CHUNK] << (32 - BITS))
        frame = av.AudioFrame.from_ndarray(part, format="s32", layout="mono")
        frame.rate, frame.pts, frame.time_base = rate_hz, at, Fraction(1, rate_hz)
        packets += stream.encode(frame)
    return stream, [*packets, *stream.encode(None)]


def _when(packet: Packet) -> Fraction:
    """When a packet is due, s: pictures and sound are written side by side."""
    at = packet.dts if packet.dts is not None else packet.pts
    return Fraction(at or 0) * packet.time_base


def _zero_s(clip: Clip) -> float:
    """When the clip's first picture is shown, s on the container's clock; its start where it has no picture."""
    video = clip.video
    return clip.start_s if video is None or video.start_time is None else float(video.start_time * streams.clock(video))


def _runs(clip: Clip, stream: AudioStream) -> list[list[AudioFrame]]:
    """Frames of a stream in runs whose time stamps follow one another."""
    runs: list[list[AudioFrame]] = []
    expected_s: float | None = None
    for frame in clip.frames(stream):
        if expected_s is None or (frame.time is not None and abs(frame.time - expected_s) > JUMP_S):
            runs.append([])
            expected_s = frame.time or 0.0
        runs[-1].append(frame)
        expected_s += frame.samples / frame.rate
    return runs


def _dbfs(value: float) -> float | None:
    return round(20 * float(np.log10(value)), 6) if value > 0 else None
