"""Numbered media: picture n shows n, sound k says k, so that any clip can be read back: which picture and which sound
of the source stand at which of its times. And ways to spoil their time stamps."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

FPS, RATE = 25, 48_000
WIDTH, HEIGHT, CELLS = 160, 96, 12
#: A burst every EVERY_S: number k has FIRST_HZ + STEP_HZ · k.
EVERY_S, BURST_S, FIRST_HZ, STEP_HZ = 0.5, 0.04, 500.0, 130.0
CORNERS = {"R": (220, 30, 30), "B": (30, 30, 220), "G": (30, 200, 30), "Y": (230, 230, 30)}


def picture(n: int) -> np.ndarray:
    """Picture n: RGB, (96, 160, 3); its corners are red, blue, green, yellow."""
    made = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    band, cell = HEIGHT // 5, WIDTH / CELLS
    made[:band, : WIDTH // 2], made[:band, WIDTH // 2 :] = CORNERS["R"], CORNERS["B"]
    made[-band:, : WIDTH // 2], made[-band:, WIDTH // 2 :] = CORNERS["G"], CORNERS["Y"]
    for i in range(CELLS):
        made[2 * band : 3 * band, int(i * cell) : int((i + 1) * cell)] = 235 if n >> (CELLS - 1 - i) & 1 else 16
    return made


def number(made: np.ndarray) -> int:
    """The number of an upright picture."""
    band, cell, n = made.shape[0] // 5, made.shape[1] / CELLS, 0
    for i in range(CELLS):
        inner = made[2 * band + 4 : 3 * band - 4, int(i * cell + cell * 0.3) : int((i + 1) * cell - cell * 0.3)]
        n = n << 1 | int(inner.mean() > 125)
    return n


def corners(made: np.ndarray) -> str:
    """The colours of a picture's corners, row by row: 'RBGY' upright."""
    high, wide = made.shape[:2]
    points = [(y, x) for y in (high // 16, high - high // 16) for x in (wide // 16, wide - wide // 16)]
    seen = [made[y - 2 : y + 2, x - 2 : x + 2].reshape(-1, 3).mean(axis=0) for y, x in points]
    return "".join(min(CORNERS, key=lambda c: float(((one - np.array(CORNERS[c])) ** 2).sum())) for one in seen)


def sound(seconds: float, start_s: float = 0.0) -> np.ndarray:
    """Bursts: float32, (samples,)."""
    wave = np.zeros(round((seconds + start_s) * RATE), np.float32)
    t = np.arange(round(BURST_S * RATE)) / RATE
    for k in range(int((seconds + start_s) / EVERY_S)):
        at = round(k * EVERY_S * RATE)
        burst = 0.6 * np.sin(2 * np.pi * (FIRST_HZ + STEP_HZ * k) * t)
        wave[at : at + len(t)] = burst[: len(wave) - at]
    return wave[round(start_s * RATE) :]


@dataclass(frozen=True)
class Recipe:
    """How numbered media are made."""

    seconds: float = 6.0
    container: str = "mp4"
    video: str = "libx264"
    audio: str | None = "aac"
    bframes: int = 2
    gop: int = 50
    first: int = 0
    start_s: float = 0.0
    pixels: str = "yuv420p"
    fps: int = FPS
    options: tuple[tuple[str, str], ...] = ()
    #: Called with the video stream before anything is written.
    prepare: Callable | None = None
    times: tuple[float, ...] | None = None


FORMATS = {"mkv": "matroska", "ts": "mpegts", "webm": "webm"}


def make(recipe: Recipe, path: Path) -> Path:
    """Write the media; the path."""
    muxer = {"fflags": "+bitexact", "avoid_negative_ts": "disabled"}
    with av.open(str(path), "w", format=FORMATS.get(recipe.container, recipe.container), options=muxer) as out:
        options = {"g": str(recipe.gop), "bf": str(recipe.bframes), "threads": "1"}
        if recipe.video == "libx264":
            options |= {"preset": "veryfast", "sc_threshold": "0"}
        video = out.add_stream(recipe.video, rate=recipe.fps, options=options | dict(recipe.options))
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, recipe.pixels
        fine = Fraction(1, 12800) if recipe.container in ("mp4", "mov") else Fraction(1, recipe.fps)
        video.codec_context.time_base = fine
        audio = out.add_stream(recipe.audio, rate=RATE, layout="mono") if recipe.audio else None
        if recipe.prepare:
            recipe.prepare(video)
        times = recipe.times or tuple(n / recipe.fps for n in range(round(recipe.seconds * recipe.fps)))
        for n, time_s in enumerate(times):
            shown = recipe.first + (n if recipe.times is None else round(time_s * FPS))
            frame = av.VideoFrame.from_ndarray(picture(shown), format="rgb24").reformat(format=recipe.pixels)
            frame.pts, frame.time_base = round((time_s + recipe.start_s) / fine), fine
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if audio is not None:
            wave = sound(recipe.seconds, recipe.first / FPS)
            for at in range(0, len(wave), 1024):
                frame = av.AudioFrame.from_ndarray(wave[None, at : at + 1024], format="fltp", layout="mono")
                frame.rate, frame.time_base = RATE, Fraction(1, RATE)
                frame.pts = at + round(recipe.start_s * RATE)
                out.mux(audio.encode(frame))
            out.mux(audio.encode(None))
    return path


def rewritten(source: Path, path: Path, container: str, edit: Callable[[str, int, av.Packet], object]) -> Path:
    """The packets of a file in another container, each edited on the way (`edit(kind, number, packet)`; False leaves it
    out)."""
    muxer = {"avoid_negative_ts": "disabled", "fflags": "+bitexact"}
    with (
        av.open(str(source)) as given,
        av.open(str(path), "w", format=FORMATS.get(container, container), options=muxer) as out,
    ):
        twins = {stream.index: out.add_stream_from_template(stream) for stream in given.streams}
        packets = [packet for packet in given.demux() if packet.size]
        packets.sort(key=lambda p: (p.dts if p.dts is not None else p.pts) * p.time_base)
        counts = dict.fromkeys(twins, 0)
        for packet in packets:
            twin, at = av.Packet(bytes(packet)), packet.stream_index
            twin.pts, twin.dts, twin.duration = packet.pts, packet.dts, packet.duration
            twin.time_base, twin.is_keyframe = packet.time_base, packet.is_keyframe
            counts[at] += 1
            if edit(packet.stream.type, counts[at] - 1, twin) is not False:
                twin.stream = twins[at]
                out.mux(twin)
    return path


@dataclass(frozen=True)
class Seen:
    """What stands in a clip: the numbers of its pictures and their times; how much later than in the source, s, its
    pictures and its sounds stand (medians; None without any); how long its video track lasts; its corners."""

    numbers: list[int]
    times_s: list[float]
    picture_s: float
    sound_s: float | None
    bursts: int
    lasts_s: float
    corners: str


def look(data: bytes) -> Seen:
    """Read a clip back."""
    from winnow.media import decode

    with av.open(io.BytesIO(data)) as clip:
        video = clip.streams.video[0]
        shown = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in clip.decode(video)]
        lasts_s, has_sound = float(video.duration * video.time_base), bool(clip.streams.audio)
    numbers = [number(made) for _, made in shown]
    found = []
    if has_sound:
        with decode.opened(data) as clip:
            frames = list(clip.frames(clip.require_audio()))
            start_s = clip.time_s(frames[0])
        found = heard(decode.waveform(frames, mono=True)[0], frames[0].rate, start_s)
    picture_s = float(np.median([t - n / FPS for (t, _), n in zip(shown, numbers, strict=True)]))
    sound_s = float(np.median([t - k * EVERY_S for t, k in found])) if found else None
    return Seen(numbers, [t for t, _ in shown], picture_s, sound_s, len(found), lasts_s, corners(shown[0][1]))


def heard(wave: np.ndarray, rate: int, start_s: float) -> list[tuple[float, int]]:
    """Bursts of a waveform: when each begins, s, and its number."""
    window = rate // 1000
    level = np.sqrt(np.convolve(np.square(wave), np.ones(window) / window, "same"))
    loud = np.flatnonzero(level > 0.15)
    found = []
    for at in loud[np.diff(loud, prepend=-rate) > 0.1 * rate]:
        part = wave[at : at + round(0.03 * rate)]
        if len(part) < round(0.03 * rate):
            continue
        spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 8 * len(part)))
        k = (np.argmax(spectrum) * rate / (8 * len(part)) - FIRST_HZ) / STEP_HZ
        if abs(k - round(k)) < 0.25:
            found.append((start_s + at / rate, round(k)))
    return found
