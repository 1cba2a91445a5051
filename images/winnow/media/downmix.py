"""Downmix: any number of channels as two, and two as one, at one level whatever the codec and the number of channels.

Two ears hear five loudspeakers with the coefficients of ITU-R BS.775-3, table 2: a front channel whole on its side,
the centre and each surround at 0.7071, a centre at the back at 0.5 on both sides, the low-frequency effects not at all.
Each side's coefficients are then divided by their sum, so that they sum to one: what is the same in all channels keeps
its level, a downmix never exceeds the loudest channel, and it depends on nothing but the layout. (libswresample leaves
out that division for floating point, and so makes decoded AAC and FLAC of one recording differ by 7.6 dB.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from winnow.media.ffmpeg import av

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

HALF_POWER = 0.5**0.5
#: Of a channel by name: what it gives to the left and to the right, before the division. Others: see `coefficients`.
SIDES = {
    "FL": (1.0, 0.0),
    "FR": (0.0, 1.0),
    "FC": (HALF_POWER, HALF_POWER),
    "BC": (0.5, 0.5),
    "FLC": (1.0, 0.0),
    "FRC": (0.0, 1.0),
    "DL": (1.0, 0.0),
    "DR": (0.0, 1.0),
    "LFE": (0.0, 0.0),
    "LFE2": (0.0, 0.0),
}
#: Two channels whose mean has less than this share of their power cancel each other out.
CANCELLED = 0.1
#: PyAV 18.1 counts one plane too many of eight, and reads it: such frames are interleaved first.
MOST_PLANES = 7
_WHOLE = {"u8": 2**7, "s16": 2**15, "s32": 2**31, "s64": 2**63}


def coefficients(names: tuple[str, ...]) -> np.ndarray:
    """float32, (2, channels): each row sums to one. Channels that only a later standard names go by their last letter
    (…L, …R at 0.7071, others 0.5 on both sides); of a layout without names every channel counts alike."""
    sides = [SIDES.get(name) or _other(name) for name in names]
    weights = np.array(sides, np.float64).T
    totals = weights.sum(axis=1, keepdims=True)
    if not totals.all():
        weights, totals = np.ones_like(weights), np.full((2, 1), float(len(names)))
    return (weights / totals).astype(np.float32)


def _other(name: str) -> tuple[float, float]:
    if name.endswith("L"):
        return HALF_POWER, 0.0
    return (0.0, HALF_POWER) if name.endswith("R") else (0.5, 0.5)


def stereo(wave: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Samples (channels, samples) as at most two channels; one and two stay what they are."""
    return wave if len(wave) <= 2 else coefficients(names) @ wave


def mono(wave: np.ndarray) -> np.ndarray:
    """The mean of one or two channels, (1, samples). Where they cancel each other out (a plug wired the wrong way
    round), the louder one instead: what everybody hears is not silence."""
    if len(wave) == 1:
        return wave
    mean = wave.mean(axis=0, keepdims=True)
    louder = _louder(wave, mean[0])
    return mean if louder is None else wave[louder : louder + 1]


def heard(wave: np.ndarray) -> np.ndarray:
    """One or two channels whose mean is what is heard: the louder one alone where they cancel each other out."""
    louder = _louder(wave, wave.mean(axis=0)) if len(wave) > 1 else None
    return wave if louder is None else wave[louder : louder + 1]


def _louder(wave: np.ndarray, mean: np.ndarray) -> int | None:
    """The louder of two channels that cancel each other out in their mean; None where they do not."""
    powers = [float(np.dot(channel, channel)) for channel in wave]
    cancel = float(np.dot(mean, mean)) < CANCELLED * sum(powers) / len(powers)
    return int(np.argmax(powers)) if cancel else None


def names_of(frame: AudioFrame) -> tuple[str, ...]:
    """The names of a frame's channels."""
    return tuple(channel.name for channel in frame.layout.channels)


def samples(frame: AudioFrame) -> np.ndarray:
    """A frame's samples as float32 (channels, samples), full scale 1.0, whatever its format."""
    kind = frame.format.name.removesuffix("p")
    if frame.format.is_planar and frame.layout.nb_channels > MOST_PLANES:
        (frame,) = av.AudioResampler(kind, frame.layout, frame.rate).resample(frame)
    raw = frame.to_ndarray()
    if not frame.format.is_planar:
        raw = raw.reshape(-1, frame.layout.nb_channels).T
    if kind not in _WHOLE:
        return raw.astype(np.float32, copy=False)
    if kind == "u8":
        raw = raw.astype(np.float32) - _WHOLE[kind]
    return (raw / np.float32(_WHOLE[kind])).astype(np.float32, copy=False)


def as_many(wave: np.ndarray, channels: int) -> np.ndarray:
    """One or two channels as `channels` (1 or 2): one is heard on both sides."""
    if len(wave) == channels:
        return wave
    return mono(wave) if channels == 1 else np.repeat(wave, 2, axis=0)
