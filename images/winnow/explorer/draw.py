"""Draw: pictures of clips, in a process of its own: the middle as JPEG, the sound as a wave and as a spectrogram.

    python -m winnow.explorer.draw

It opens what strangers made, so it has no network where the kernel lets it, and is ended by the process that started it
when it takes too long or too much memory (`winnow.explorer.pictures`). Without that one it ends by itself: nobody asks,
or the task at hand goes on for ALONE_S. (The kernel's own signal would come with the end of a thread.) Of each task it
reads kind (a letter), seconds (float64), length and bytes of a clip, and writes the length and the bytes of a picture,
length 0 for what cannot be drawn.
"""

from __future__ import annotations

import io
import os
import signal
import struct
import zlib
from fractions import Fraction
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from winnow.core import confine, cpu
from winnow.core.sample import SampleFailed

if TYPE_CHECKING:
    from winnow.media.decode import Clip

#: Task: kind, middle of the clip (s), bytes of the file. Answer: bytes of the picture.
TASK, ANSWER = struct.Struct("<cdI"), struct.Struct("<I")
#: Longest task, s, if nobody ends it before.
ALONE_S = 60
#: Width of a thumbnail, and the most that its height may be, px.
THUMB_PX, TALLEST_PX = 320, 320
#: Size of the pictures of a sound, px.
WIDE_PX, WAVE_PX, SPECTRUM_PX = 1000, 96, 160
RATE_HZ, WINDOW = 16000, 512
#: Lowest level that a spectrogram shows, dB below its highest.
RANGE_DB = 75.0
#: Colour of the wave, which stands out on a light and on a dark page.
WAVE_RGB = (44, 138, 124)
#: Colours of a spectrogram from low to high.
_COLOURS = np.array([(11, 12, 20), (52, 22, 94), (142, 40, 110), (222, 82, 74), (250, 172, 82), (252, 250, 200)], float)


def thumbnail(data: bytes, middle_s: float) -> bytes:
    """The picture that is shown in the middle of a clip, as JPEG, THUMB_PX wide at the most."""
    from winnow.media import decode
    from winnow.media.ffmpeg import av

    with decode.opened(data, skip="NONREF") as clip:
        frame = _shown_at(clip, middle_s)
        sar = float(frame.sample_aspect_ratio or 1) if hasattr(frame, "sample_aspect_ratio") else 1.0
        wide, tall = frame.width * (sar or 1.0), float(frame.height)
        scale = min(THUMB_PX / wide, TALLEST_PX / tall, 1.0)
        size = max(2, round(wide * scale) & ~1), max(2, round(tall * scale) & ~1)
        pixels = decode.Shrinker("rgb24", *size)(frame)
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = *size, "yuvj420p"
    encoder.time_base, encoder.options = Fraction(1, 25), {"qmin": "4", "qmax": "6"}
    picture = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuvj420p", dst_color_range="JPEG")
    picture.pts = 0
    return b"".join(bytes(packet) for given in (picture, None) for packet in encoder.encode(given))


def _shown_at(clip: Clip, middle_s: float):
    """The first decoded picture at or after a time, else the last one."""
    video, frame = clip.require_video(), None
    if middle_s > 0:
        clip.container.seek(int((middle_s + clip.start_s) * 1_000_000))
    for frame in clip.frames(video):
        if clip.time_s(frame) >= middle_s:
            break
    if frame is None and middle_s > 0:
        clip.container.seek(0)
        frame = next(iter(clip.frames(video)), None)
    if frame is None:
        raise ValueError("no picture can be decoded")
    return frame


def sound(data: bytes) -> np.ndarray:
    """A clip's sound: float32 (samples,) at RATE_HZ."""
    from winnow.media import decode

    with decode.opened(data) as clip:
        frames = clip.frames(clip.require_audio())
        wave = decode.waveform(frames, rate_hz=RATE_HZ, mono=True)[0]
    if not len(wave):
        raise ValueError("no sound can be decoded")
    return wave


def wave_picture(wave: np.ndarray) -> bytes:
    """Lowest and highest sample of each column, as PNG on nothing."""
    edges = np.linspace(0, len(wave), WIDE_PX + 1).astype(int)
    starts = np.minimum(edges[:-1], len(wave) - 1)
    low, high = np.minimum.reduceat(wave, starts), np.maximum.reduceat(wave, starts)
    peak = max(float(np.abs(wave).max()), 1e-4)
    rows = np.linspace(1, -1, WAVE_PX)[:, None]
    half = 1.0 / WAVE_PX
    drawn = (rows <= high / peak + half) & (rows >= low / peak - half)
    pixels = np.zeros((WAVE_PX, WIDE_PX, 4), np.uint8)
    pixels[drawn] = (*WAVE_RGB, 255)
    return png(pixels)


def spectrum_picture(wave: np.ndarray) -> bytes:
    """Levels by time and frequency (0 to RATE_HZ / 2, low ones below), as PNG."""
    wave = np.pad(wave, (0, max(0, WINDOW - len(wave))))
    starts = np.linspace(0, len(wave) - WINDOW, WIDE_PX).astype(int)
    frames = wave[starts[:, None] + np.arange(WINDOW)] * np.hanning(WINDOW)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    level = 10 * np.log10(power[:, 1:] + 1e-10)
    place = np.linspace(0, level.shape[1] - 1, SPECTRUM_PX)
    level = np.maximum(level[:, np.floor(place).astype(int)], level[:, np.ceil(place).astype(int)])
    share = np.clip((level - level.max() + RANGE_DB) / RANGE_DB, 0, 1).T[::-1]
    at = share * (len(_COLOURS) - 1)
    pixels = np.stack([np.interp(at, np.arange(len(_COLOURS)), _COLOURS[:, i]) for i in range(3)], axis=-1)
    return png(pixels.astype(np.uint8))


def png(pixels: np.ndarray) -> bytes:
    """A picture, uint8 (height, width, 3 or 4), as PNG."""
    height, width, channels = pixels.shape
    kind = {3: 2, 4: 6}[channels]
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines.tobytes(), 6)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


#: What each kind of task draws of a clip's bytes and its middle.
KINDS = {
    b"t": thumbnail,
    b"w": lambda data, middle_s: wave_picture(sound(data)),
    b"s": lambda data, middle_s: spectrum_picture(sound(data)),
}


def serve(tasks: BinaryIO, answers: BinaryIO) -> None:
    """One task after the other, until nobody asks."""
    from winnow.media.ffmpeg import av

    while len(head := tasks.read(TASK.size)) == TASK.size:
        signal.alarm(ALONE_S)
        kind, middle_s, length = TASK.unpack(head)
        data = tasks.read(length)
        try:
            drawn = KINDS[kind](data, middle_s)
        except (SampleFailed, ValueError, ArithmeticError, av.error.FFmpegError):
            drawn = b""
        answers.write(ANSWER.pack(len(drawn)) + drawn)
        answers.flush()
        signal.alarm(0)


def main() -> None:
    """Serve the process that started this one."""
    confine.leave_network()
    cpu.pin()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no picture
    serve(io.BufferedReader(io.FileIO(0)), answers)


if __name__ == "__main__":
    main()
