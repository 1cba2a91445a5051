"""Copies of clips, as people make them: for `duplicates.py`. Pictures and sound are held as arrays, changed, and
encoded as the clip stage leaves them (MP4)."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from winnow.media.ffmpeg import av

RATE_HZ = 44_100


@dataclass(frozen=True)
class Reel:
    """A stretch of a video: RGB pictures at a rate, mono sound at RATE_HZ, and how it is encoded."""

    pictures: list[np.ndarray]
    fps: float
    wave: np.ndarray
    crf: int = 20
    bit_rate: int = 128_000
    container: str = "mp4"

    def cut(self, start_s: float, seconds: float) -> Reel:
        """A part of it."""
        first, last = round(start_s * self.fps), round((start_s + seconds) * self.fps)
        sound = self.wave[round(start_s * RATE_HZ) : round((start_s + seconds) * RATE_HZ)]
        return replace(self, pictures=self.pictures[first:last], wave=sound)

    def each(self, change: Callable[[np.ndarray], np.ndarray]) -> Reel:
        """With every picture changed."""
        return replace(self, pictures=[change(picture) for picture in self.pictures])

    def encoded(self) -> bytes:
        """As MP4; by way of another container and its codecs where it says so."""
        if self.container == "mp4":
            return _write(self, "mp4", "libx264", "aac")
        return replace(read(io.BytesIO(_write(self, self.container, "libvpx", "libopus"))), crf=20).encoded()


def read(file: Path | io.BytesIO, most_s: float = 60.0) -> Reel:
    """The first seconds of a file."""
    with av.open(file if isinstance(file, io.BytesIO) else str(file)) as container:
        video = container.streams.video[0]
        fps = float(video.average_rate or 25)
        pictures = []
        for frame in container.decode(video):
            if len(pictures) >= most_s * fps:
                break
            pictures.append(frame.to_ndarray(format="rgb24"))
    if isinstance(file, io.BytesIO):
        file.seek(0)
    with av.open(file if isinstance(file, io.BytesIO) else str(file)) as container:
        resampler = av.AudioResampler("fltp", "mono", RATE_HZ)
        blocks = [out.to_ndarray()[0] for f in container.decode(audio=0) for out in resampler.resample(f)]
        blocks += [out.to_ndarray()[0] for out in resampler.resample(None)]
    return Reel(pictures, fps, np.concatenate(blocks)[: round(most_s * RATE_HZ)])


def _write(reel: Reel, container: str, picture_codec: str, sound_codec: str) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        options = {"crf": str(reel.crf), "preset": "veryfast", "threads": "1"}
        if picture_codec == "libvpx":
            options = {"crf": "12", "b": "800k", "deadline": "realtime", "cpu-used": "8", "threads": "1"}
        rate = Fraction(reel.fps).limit_denominator(1001)
        video = out.add_stream(picture_codec, rate=rate, options=options)
        video.height, video.width = (size // 2 * 2 for size in reel.pictures[0].shape[:2])
        video.pix_fmt = "yuv420p"
        hz = 48_000 if sound_codec == "libopus" else RATE_HZ
        audio = out.add_stream(sound_codec, rate=hz, layout="mono", options={"b": str(reel.bit_rate)})
        for number, picture in enumerate(reel.pictures):
            even = np.ascontiguousarray(picture[: video.height, : video.width])
            frame = av.VideoFrame.from_ndarray(even, format="rgb24")
            frame.pts, frame.time_base = number, 1 / rate
            out.mux(video.encode(frame))
        sound = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(reel.wave[None], np.float32), format="fltp", layout="mono"
        )
        sound.rate = RATE_HZ
        resampler = av.AudioResampler(audio.format.name, "mono", hz, frame_size=audio.frame_size or 960)
        for part in (sound, None):
            for piece in resampler.resample(part):
                out.mux(audio.encode(piece))
        out.mux(audio.encode(None))
        out.mux(video.encode(None))
    return file.getvalue()


def scaled(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """A picture of another size."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    return frame.reformat(width, height, interpolation="AREA").to_ndarray()


def smaller(reel: Reel) -> Reel:
    """At 60 % of its size."""
    height, width = reel.pictures[0].shape[:2]
    return reel.each(lambda p: scaled(p, int(width * 0.3) * 2, int(height * 0.3) * 2))


def letterboxed(reel: Reel) -> Reel:
    """With black bars above and below, an eighth of the height each."""
    return reel.each(lambda p: np.pad(p, ((p.shape[0] // 6, p.shape[0] // 6), (0, 0), (0, 0))))


def cropped(reel: Reel, y: float = 0.5, x: float = 0.5) -> Reel:
    """85 % of its width and height, from the middle or elsewhere."""
    height, width = reel.pictures[0].shape[:2]
    h, w = int(height * 0.85), int(width * 0.85)
    top, left = int((height - h) * y), int((width - w) * x)
    return reel.each(lambda p: p[top : top + h, left : left + w])


def logo(reel: Reel) -> Reel:
    """With a bright sign in a corner, a fifth of the width."""
    height, width = reel.pictures[0].shape[:2]
    sign = np.full((height // 8, width // 5, 3), (250, 220, 30), np.uint8)
    sign[3:-3:4] = 20

    def put(picture: np.ndarray) -> np.ndarray:
        picture = picture.copy()
        picture[4 : 4 + sign.shape[0], -4 - sign.shape[1] : -4] = sign
        return picture

    return reel.each(put)


def faster(reel: Reel, by: float) -> Reel:
    """Played faster, pitch and all."""
    n = int(len(reel.wave) / by)
    wave = np.interp(np.arange(n) * by, np.arange(len(reel.wave)), reel.wave).astype(np.float32)
    return replace(reel, fps=reel.fps * by, wave=wave)


def stretched(reel: Reel, by: float) -> Reel:
    """Played faster at the same pitch (FFmpeg's atempo)."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=RATE_HZ, format="fltp", layout="mono", time_base=Fraction(1, RATE_HZ))
    tempo, sink = graph.add("atempo", str(by)), graph.add("abuffersink")
    source.link_to(tempo)
    tempo.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(reel.wave[None]), format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, 0, Fraction(1, RATE_HZ)
    blocks = []
    for part in (frame, None):
        graph.push(part)
        while True:
            try:
                blocks.append(graph.pull().to_ndarray()[0])
            except (av.error.BlockingIOError, av.error.EOFError):
                break
    return replace(reel, fps=reel.fps * by, wave=np.concatenate(blocks))


def at_rate(reel: Reel, fps: float) -> Reel:
    """At another number of pictures a second."""
    count = int(len(reel.pictures) / reel.fps * fps)
    picked = [reel.pictures[min(int(k / fps * reel.fps), len(reel.pictures) - 1)] for k in range(count)]
    return replace(reel, pictures=picked, fps=fps)


#: Name → how a stretch of `seconds` from a second into its video becomes the copy; `other` is another video's.
CHANGES: dict[str, Callable[[Reel, Reel, float], Reel]] = {
    "re-encoded": lambda reel, other, s: replace(reel.cut(1, s), crf=32, bit_rate=48_000),
    "container": lambda reel, other, s: replace(reel.cut(1, s), container="webm"),
    "scaled": lambda reel, other, s: smaller(reel.cut(1, s)),
    "letterbox": lambda reel, other, s: letterboxed(reel.cut(1, s)),
    "crop": lambda reel, other, s: cropped(reel.cut(1, s)),
    "crop_corner": lambda reel, other, s: cropped(reel.cut(1, s), 0.0, 1.0),
    "mirror": lambda reel, other, s: reel.cut(1, s).each(lambda p: p[:, ::-1]),
    "darker": lambda reel, other, s: reel.cut(1, s).each(lambda p: (p * 0.6).astype(np.uint8)),
    "brighter": lambda reel, other, s: reel.cut(1, s).each(lambda p: np.clip(p * 1.1 + 25.0, 0, 255).astype(np.uint8)),
    "logo": lambda reel, other, s: logo(reel.cut(1, s)),
    "faster": lambda reel, other, s: faster(reel.cut(1, s), 1.05),
    "slower": lambda reel, other, s: faster(reel.cut(1, s), 0.95),
    "tempo": lambda reel, other, s: stretched(reel.cut(1, s), 1.05),
    "shifted": lambda reel, other, s: reel.cut(2.37, s - 1.37),
    "frame_rate": lambda reel, other, s: at_rate(reel.cut(1, s), 12.5 if reel.fps > 16 else 30.0),
    "part": lambda reel, other, s: reel.cut(4.2, 2.1),
    "all_at_once": lambda reel, other, s: replace(
        smaller(logo(cropped(faster(reel.cut(1.5, s - 0.5), 1.03)))), crf=30, bit_rate=64_000
    ),
    "sound_alone": lambda reel, other, s: replace(other.cut(1, s), wave=reel.cut(1, s).wave),
    "picture_alone": lambda reel, other, s: replace(reel.cut(1, s), wave=other.cut(1, s).wave),
}
