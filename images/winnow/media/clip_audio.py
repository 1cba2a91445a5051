"""Sound of a clip: AAC packets as they are, or any other sound decoded, trimmed to the sample and encoded as AAC.

Positions are counted in samples from the clip's first picture, so that nothing drifts: container clocks are coarse
(1 ms in Matroska), and a packet that is off by less than that clock's step stands where the one before it ended.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from winnow.media import downmix
from winnow.media.ffmpeg import av
from winnow.media.video_index import VideoIndex

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet

#: Decoded before a clip's start and thrown away: AAC needs a packet, Opus 80 ms (RFC 7845, 4.6) to settle.
SETTLE_S = Fraction(1, 5)
#: Step of the coarsest container clock, s, with some room: jitter below it is the container's, not the sound's.
CLOCK_S = Fraction(3, 2000)
AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
AAC_SAMPLES = 1024
#: Bits a second and channel, and no tool that puts noise or another channel's sound in place of what was there.
BIT_RATE = 64_000
AAC = {"aac_coder": "fast", "aac_pns": "0", "aac_is": "0"}


def _packets(index: VideoIndex, start: Fraction, end: Fraction) -> tuple[int, int] | None:
    """Packets that sound within [start, end), as a range of their numbers."""
    track = index.audio
    if track is None:
        return None
    low = max(0, bisect_right(track.pts, start / track.time_base) - 1)
    high = bisect_left(track.pts, end / track.time_base)
    while low < high and (track.pts[low] + track.lasts[low]) * track.time_base <= start:
        low += 1
    return (low, high) if low < high else None


class SoundCopy:
    """Copies AAC packets into a clip. The packets that reach over its start, and one more before them, get negative
    times: the file's edit list hides them. Only where they follow each other: readers hide as many samples as the first
    one's time says, so that a gap among them would hide what is heard. `offset_s` is how late the sound begins in the
    clip, s; None without any."""

    def __init__(
        self,
        index: VideoIndex,
        start: Fraction,
        end: Fraction,
        packets: tuple[int, int],
        sound: AudioStream,
        out: OutputContainer,
    ) -> None:
        track = index.audio
        assert track is not None
        self._tick, self._from = float(track.time_base * sound.rate), float(start * sound.rate)
        self._base, self._slack = Fraction(1, sound.rate), float(CLOCK_S * sound.rate)
        self._out, self._stream = out, out.add_stream_from_template(sound)
        self._next: int | None = None
        self._size = sound.codec_context.frame_size or AAC_SAMPLES
        self._start = start
        self._ahead: list[Packet] = []
        self.offset_s: float | None = None

    @staticmethod
    def can(index: VideoIndex) -> bool:
        """Whether this sound can be copied."""
        return index.copies_sound

    @staticmethod
    def packets(index: VideoIndex, start: Fraction, end: Fraction) -> tuple[int, int] | None:
        """The packets of a clip's sound, the one to settle on included; None where it has no sound."""
        heard = _packets(index, start, end)
        return None if heard is None else (max(0, heard[0] - 1), heard[1])

    def packet(self, packet: Packet) -> None:
        """Take one packet, which has its time."""
        assert packet.pts is not None
        position = round(packet.pts * self._tick - self._from)
        if self._next is not None and abs(position - self._next) <= self._slack:
            position = self._next
        self._next = position + self._size
        twin = av.Packet(bytes(packet))
        twin.pts = twin.dts = position
        twin.duration, twin.time_base, twin.is_keyframe = self._size, self._base, True
        twin.stream = self._stream
        if self.offset_s is None:
            if self._ahead and self._ahead[-1].pts != position - self._size:
                self._ahead = []
            self._ahead.append(twin)
            if self._next <= 0:
                return
            self.offset_s = round(max(0.0, float(packet.pts * packet.time_base - self._start)), 6)
            self._out.mux(self._ahead)
        else:
            self._out.mux(twin)

    def finish(self) -> None:
        """What ends before the clip's start is not heard in it."""


class SoundEncoder:
    """Encodes a clip's samples as AAC. Gaps become silence, overlaps are dropped."""

    def __init__(
        self,
        index: VideoIndex,
        start: Fraction,
        end: Fraction,
        packets: tuple[int, int],
        sound: AudioStream,
        out: OutputContainer,
    ) -> None:
        self._rate = sound.rate if sound.rate in AAC_RATES else 48000
        self._start_s, self._total, self._made = float(start), round((end - start) * self._rate), 0
        self._layout = "mono" if sound.codec_context.layout.nb_channels == 1 else "stereo"
        self._resampler: av.AudioResampler | None = None
        self._shape: tuple[str, str, int] | None = None
        self._base, self._slack = Fraction(1, self._rate), float(CLOCK_S * self._rate)
        self._out = out
        self._stream = out.add_stream("aac", rate=self._rate, layout=self._layout, options=dict(AAC))
        self._stream.codec_context.bit_rate = BIT_RATE * (1 if self._layout == "mono" else 2)
        self.offset_s = 0.0

    @staticmethod
    def packets(index: VideoIndex, start: Fraction, end: Fraction) -> tuple[int, int] | None:
        """The packets to decode for a clip's sound, those to settle on included; None where it has no sound."""
        heard = _packets(index, start, end)
        return None if heard is None else ((_packets(index, start - SETTLE_S, end) or heard)[0], heard[1])

    def frame(self, frame: AudioFrame, when_s: float) -> None:
        """Encode what of some decoded sound lies in the clip; `when_s` is where it starts on the container's clock."""
        place = round((when_s - self._start_s) * self._rate)
        if place >= self._total:
            return
        for part in self._resampled(frame):
            if abs(place - self._made) <= self._slack:
                place = self._made
            following = place + part.samples
            if place == self._made and following <= self._total:
                self._encode(part)
            else:
                samples = part.to_ndarray()
                gap = min(place, self._total) - self._made
                if gap > 0:
                    self._encode(self._framed(np.zeros((samples.shape[0], gap), np.float32)))
                skip = max(0, self._made - place)
                inside = samples[:, skip : max(skip, self._total - place)]
                if inside.shape[1]:
                    self._encode(self._framed(inside))
            place = following

    def _resampled(self, frame: AudioFrame) -> list[AudioFrame]:
        """A frame as planar float at this clip's rate and number of channels; its shape may change on the way."""
        channels = 1 if self._layout == "mono" else 2
        if frame.layout.nb_channels != channels:
            wave = downmix.stereo(downmix.samples(frame), downmix.names_of(frame))
            frame = self._framed(downmix.as_many(wave, channels), frame.rate)
        shape = (frame.format.name, frame.layout.name, frame.rate)
        if self._resampler is None or shape != self._shape:
            self._resampler, self._shape = av.AudioResampler("fltp", self._layout, self._rate), shape
        return self._resampler.resample(frame)

    def _framed(self, samples: np.ndarray, rate: int | None = None) -> AudioFrame:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=self._layout)
        frame.rate = rate or self._rate
        return frame

    def _encode(self, frame: AudioFrame) -> None:
        frame.pts, frame.time_base = self._made, self._base
        self._made += frame.samples
        self._out.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Encode what the encoder still holds."""
        self._out.mux(self._stream.encode(None))
