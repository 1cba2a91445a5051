"""Clips made of known pictures and known sound, as the clip stage would leave them (MP4), and the lake to fit on."""

from __future__ import annotations

import io
from collections.abc import Iterable
from fractions import Fraction

import av
import numpy as np


def mp4(
    pictures: Iterable[np.ndarray] | None,
    wave: np.ndarray | None = None,
    *,
    fps: Fraction | int = 25,
    rate_hz: int = 44_100,
    gop: int = 25,
    bframes: int = 2,
) -> bytes:
    """A clip of gray or RGB pictures (uint8) and a waveform (channels, samples), either of which may be missing."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        frames = None if pictures is None else [_frame(picture) for picture in pictures]
        video = audio = None
        if frames:
            options = {"crf": "16", "g": str(gop), "bf": str(bframes), "threads": "1", "preset": "veryfast"}
            video = out.add_stream("libx264", rate=fps, options=options)
            video.width, video.height, video.pix_fmt = frames[0].width, frames[0].height, "yuv420p"
        if wave is not None:
            layout = "mono" if len(wave) == 1 else "stereo"
            audio = out.add_stream("aac", rate=rate_hz, layout=layout, options={"b": "256000"})
        for frame in frames or []:
            out.mux(video.encode(frame))
        if audio is not None:
            sound = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave, np.float32), format="fltp", layout=layout)
            sound.rate = rate_hz
            out.mux(audio.encode(sound))
            out.mux(audio.encode(None))
        if video is not None:
            out.mux(video.encode(None))
    return file.getvalue()


def _frame(picture: np.ndarray) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(picture, format="gray" if picture.ndim == 2 else "rgb24")


def textured(seed: int, height: int = 96, width: int = 128) -> np.ndarray:
    """A still picture with some contrast: gray uint8, blocks of 8 × 8 pixels."""
    blocks = np.random.default_rng(seed).integers(60, 200, (height // 8, width // 8))
    return blocks.repeat(8, axis=0).repeat(8, axis=1).astype(np.uint8)


def moving_square(
    seconds: float, fps: float = 25, speed: float = 0.5, seed: int = 0, axis: int = 1, stripes: int = 0
) -> list[np.ndarray]:
    """A bright square that crosses a textured picture, `speed` widths a second; `stripes` pixels wide bars in it."""
    ground, out = textured(seed), []
    height, width = ground.shape
    for number in range(round(seconds * fps)):
        place = (number / fps * speed) % 1.0
        y, x = (round(place * (height - 24)), 40) if axis == 0 else (30, round(place * (width - 24)))
        picture = ground.copy()
        patch = np.full((24, 24), 250, np.uint8)
        if stripes:
            patch[:, (np.arange(24) // stripes) % 2 == 1] = 10
        picture[y : y + 24, x : x + 24] = patch
        out.append(picture)
    return out


def sine(seconds: float, hz: float, dbfs: float, rate_hz: int = 44_100, channels: int = 1) -> np.ndarray:
    """A sine whose peak is at `dbfs`: (channels, samples)."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    return np.tile(10 ** (dbfs / 20) * np.sin(2 * np.pi * hz * t), (channels, 1)).astype(np.float32)


def clicks(seconds: float, times_s: Iterable[float], rate_hz: int = 44_100, seed: int = 0) -> np.ndarray:
    """Short bursts of noise at these times in silence: (1, samples)."""
    rng = np.random.default_rng(seed)
    wave = np.zeros(round(seconds * rate_hz))
    burst = round(0.05 * rate_hz)
    for time_s in times_s:
        at = round(time_s * rate_hz)
        piece = wave[at : at + burst]
        piece += 0.5 * rng.normal(size=len(piece)) * np.exp(-np.arange(len(piece)) / (0.01 * rate_hz))
    return wave[None].astype(np.float32)
