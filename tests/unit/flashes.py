"""Videos in which a white picture and a beep fall together at known times, and a reader that says when they do."""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BEEP_S = 0.06


@dataclass(frozen=True)
class Recipe:
    """How a test video is made. `start_s` shifts all its time stamps; `events_s` are when it flashes and beeps."""

    name: str
    container: str = "mp4"
    video: str = "libx264"
    audio: str | None = "aac"
    fps: Fraction = Fraction(25)
    rate_hz: int = 44100
    layout: str = "stereo"
    width: int = 96
    height: int = 64
    seconds: float = 12.0
    gop: int = 50
    bframes: int = 2
    start_s: float = 0.0
    audio_late_s: float = 0.0
    options: tuple[tuple[str, str], ...] = ()
    rotation: int = 0

    @property
    def events_s(self) -> list[float]:
        """Picture times at which it flashes, about one a second, s."""
        step = round(1.0 * self.fps)
        return [float(k / self.fps) for k in range(step // 2, int(self.seconds * self.fps) - 3, step)]


def make(recipe: Recipe, path: Path) -> Path:
    """Write the video; its path."""
    shift = round(recipe.start_s * 60000)
    options = {"avoid_negative_ts": "disabled", "fflags": "+bitexact"}
    with av.open(str(path), "w", format=FORMATS[recipe.container], options=options) as out:
        stream = out.add_stream(recipe.video, rate=recipe.fps, options=_options(recipe))
        stream.width, stream.height, stream.pix_fmt = recipe.width, recipe.height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 60000)
        if recipe.rotation:
            stream.set_display_rotation(recipe.rotation)
        sound = None
        if recipe.audio:
            sound = out.add_stream(recipe.audio, rate=recipe.rate_hz, layout=recipe.layout)
            quick = {"aac_coder": "fast"} if recipe.audio == "aac" else {}
            sound.codec_context.options = {"strict": "experimental", **quick}
        for packet in _pictures(recipe, stream, shift):
            out.mux(packet)
        if sound is not None:
            for packet in _sounds(recipe, sound):
                out.mux(packet)
    return path


FORMATS = {"mp4": "mp4", "webm": "webm", "mkv": "matroska", "mov": "mov", "ts": "mpegts", "avi": "avi"}


def _options(recipe: Recipe) -> dict[str, str]:
    options = {"g": str(recipe.gop), "threads": "1"}
    if recipe.video == "libx264":
        options |= {"preset": "veryfast", "bf": str(recipe.bframes), "x264-params": "scenecut=0"}
    elif recipe.video.startswith("libvpx"):
        options |= {"deadline": "realtime", "cpu-used": "8"}
    return options | dict(recipe.options)


def _pictures(recipe: Recipe, stream, shift: int):
    flashes = {round(t * recipe.fps) for t in recipe.events_s}
    rng = np.random.default_rng(0)
    scene = rng.integers(20, 90, (recipe.height, recipe.width, 3), dtype=np.uint8)
    for k in range(int(recipe.seconds * recipe.fps)):
        image = np.full_like(scene, 250) if k in flashes else np.roll(scene, k, axis=1)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = round(k / recipe.fps * 60000) + shift, Fraction(1, 60000)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _sounds(recipe: Recipe, stream):
    channels = 1 if recipe.layout == "mono" else 2
    late = round(recipe.audio_late_s * recipe.rate_hz)
    length = int(recipe.seconds * recipe.rate_hz)
    wave = np.random.default_rng(1).normal(0, 0.002, length).astype(np.float32)
    for event_s in recipe.events_s:
        at, size = round(event_s * recipe.rate_hz), round(BEEP_S * recipe.rate_hz)
        time = np.arange(min(size, length - at)) / recipe.rate_hz
        wave[at : at + len(time)] += (0.8 * np.sign(np.sin(2 * np.pi * 900 * time))).astype(np.float32)
    wave = wave[late:]
    for at in range(0, len(wave), 4096):
        part = np.repeat(wave[None, at : at + 4096], channels, axis=0)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), format="fltp", layout=recipe.layout)
        frame.rate = recipe.rate_hz
        frame.pts = at + late + round(recipe.start_s * recipe.rate_hz)
        frame.time_base = Fraction(1, recipe.rate_hz)
        yield from stream.encode(frame)
    yield from stream.encode(None)


@dataclass(frozen=True)
class Seen:
    """What a reader finds in a clip: times of flashes and beeps, s, by the clip's time stamps and (beeps) by counting
    samples from the first, as readers do that ignore time stamps; its pictures and their times."""

    flashes_s: list[float]
    beeps_s: list[float]
    counted_s: list[float]
    times_s: list[float]
    audio_s: float
    width: int
    height: int
    codecs: tuple[str, ...]


def _brightness(frame: av.VideoFrame) -> float:
    """The mean of a picture's luma: white is 235, what lies between flashes below 100."""
    assert frame.format.name.startswith("yuv4"), frame.format.name
    plane = frame.planes[0]
    return float(np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width].mean())


def look(data: bytes) -> Seen:
    """Decode a clip and find its flashes and beeps."""
    with av.open(io.BytesIO(data)) as clip:
        codecs = tuple(s.codec_context.name for s in clip.streams)
        rows = [(frame.time, _brightness(frame)) for frame in clip.decode(video=0)]
        video = clip.streams.video[0]
        size = (video.width, video.height)
    times = [t for t, _ in rows]
    flashes = [t for t, mean in rows if mean > 180]
    beeps, counted, audio_s = [], [], 0.0
    if "aac" in codecs:
        with av.open(io.BytesIO(data)) as clip:
            frames = [(f.time, np.abs(f.to_ndarray()).mean(axis=0), f.rate) for f in clip.decode(audio=0)]
        rate = frames[0][2]
        wave = np.concatenate([w for _, w, _ in frames])
        clock = np.concatenate([t + np.arange(len(w)) / rate for t, w, _ in frames])
        audio_s = len(wave) / rate
        onsets = _onsets(wave, rate)
        beeps, counted = [float(clock[i]) for i in onsets], [i / rate for i in onsets]
    return Seen(flashes, beeps, counted, times, audio_s, *size, codecs)


def _onsets(wave: np.ndarray, rate: int) -> list[int]:
    """Samples at which a beep begins: half of its level is passed, after at least 0.2 s of quiet."""
    loud = np.flatnonzero(wave > 0.35)
    if not len(loud):
        return []
    first = np.flatnonzero(np.diff(loud, prepend=-rate) > 0.2 * rate)
    return [int(loud[i]) for i in first]
