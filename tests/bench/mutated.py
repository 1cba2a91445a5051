"""Media that something went wrong with: small healthy files of many formats, and ways to spoil them that follow from a
seed, so that nothing that is broken lies in the repository."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from random import Random

import av
import numpy as np

from tests.unit.media import numbered
from tests.unit.media.numbered import RATE, Recipe, make, rewritten

SECONDS = 5.0
PLAIN = Recipe(seconds=SECONDS)
#: Formats by the name that a file of them ends with; a second one of a container has a number.
RECIPES = {
    "mp4": PLAIN,
    "mkv": replace(PLAIN, container="mkv", video="mpeg4", audio="libmp3lame"),
    "webm": replace(PLAIN, container="webm", video="libvpx", audio="libopus"),
    "mov": replace(PLAIN, container="mov", audio="pcm_s16le", bframes=0),
    "avi": replace(PLAIN, container="avi", video="mpeg4", audio="libmp3lame", bframes=0),
    "ts": replace(PLAIN, container="ts", gop=25),
    "flv": replace(PLAIN, container="flv", gop=25),
    "3gp": replace(PLAIN, container="3gp", video="mpeg4", bframes=0),
    "mpg": replace(PLAIN, container="mpg", video="mpeg2video", audio="mp2"),
    "wmv": replace(PLAIN, container="wmv", video="wmv2", audio="libmp3lame", bframes=0),
    "ogg": replace(PLAIN, container="ogg", video="libvpx", audio="libopus"),
    "mp4-2": replace(PLAIN, audio=None, gop=1000),
    "mkv-2": replace(PLAIN, container="mkv", video="libx265", options=(("x265-params", "log-level=error"),)),
    "mp3": None,
    "wav": None,
    "flac": None,
}
SOUNDS = {"mp3": "libmp3lame", "wav": "pcm_s16le", "flac": "flac"}


def healthy(folder: Path) -> dict[str, bytes]:
    """A healthy file of each format."""
    formats = {"mpg": "mpeg", "wmv": "asf"}
    numbered.FORMATS.update(formats)
    found = {}
    for name, recipe in RECIPES.items():
        path = folder / f"healthy.{name.partition('-')[0]}"
        (make(recipe, path) if recipe else _sound(path, SOUNDS[name]))
        found[name] = path.read_bytes()
        path.unlink()
    return found


def _sound(path: Path, codec: str) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=RATE, layout="mono")
        wave = (numbered.sound(SECONDS) * 32767).astype(np.int16)
        for at in range(0, len(wave), 1024):
            frame = av.AudioFrame.from_ndarray(wave[None, at : at + 1024], format="s16", layout="mono")
            frame.rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


# -- bytes -------------------------------------------------------------------------------------------------------------
def _stretch(data: bytearray, lot: Random, most: float) -> tuple[int, int]:
    """A stretch of at most this share of a file: [low, high)."""
    size = max(1, round(len(data) * most * lot.random() ** 3))
    low = lot.randrange(max(1, len(data) - size))
    return low, low + size


def _bits(data: bytearray, lot: Random) -> None:
    for _ in range(lot.choice([1, 5, 25, 100, 400])):
        data[lot.randrange(len(data))] ^= 1 << lot.randrange(8)


def _head(data: bytearray, lot: Random) -> None:
    """Bits of what stands first or last, where containers keep what they say of the rest."""
    for _ in range(lot.choice([1, 3, 10])):
        at = lot.randrange(min(2500, len(data)))
        data[at if lot.random() < 0.6 else -1 - at] ^= 1 << lot.randrange(8)


def _zeros(data: bytearray, lot: Random) -> None:
    low, high = _stretch(data, lot, 0.6)
    data[low:high] = bytes(high - low)


def _noise(data: bytearray, lot: Random) -> None:
    low, high = _stretch(data, lot, 0.3)
    data[low:high] = lot.randbytes(high - low)


def _cut(data: bytearray, lot: Random) -> None:
    del data[lot.randrange(1, len(data)) :]


def _beheaded(data: bytearray, lot: Random) -> None:
    del data[: _stretch(data, lot, 0.8)[1] // 2]


def _gap(data: bytearray, lot: Random) -> None:
    low, high = _stretch(data, lot, 0.5)
    del data[low:high]


def _twice(data: bytearray, lot: Random) -> None:
    low, high = _stretch(data, lot, 0.5)
    data[high:high] = data[low:high]


def _swapped(data: bytearray, lot: Random) -> None:
    size = max(1, round(len(data) * 0.2 * lot.random() ** 2))
    one, two = sorted(lot.randrange(max(1, len(data) - size)) for _ in range(2))
    if two - one >= size:
        data[one : one + size], data[two : two + size] = data[two : two + size], data[one : one + size]


def _joined(data: bytearray, lot: Random) -> None:
    data += data[lot.choice([0, 0, len(data) // 3]) :]


def _numbers(data: bytearray, lot: Random) -> None:
    """Extreme numbers where sizes, counts and times may stand."""
    for _ in range(lot.choice([1, 2, 6])):
        width = lot.choice([1, 2, 4, 8])
        at = lot.randrange(max(1, min(len(data), lot.choice([2500, len(data)])) - width))
        at = at if lot.random() < 0.6 else len(data) - width - at
        data[at : at + width] = lot.choice([b"\xff", b"\0", b"\x7f", b"\x80"]) * width


BYTES: dict[str, Callable[[bytearray, Random], None]] = {
    "bits": _bits,
    "head": _head,
    "zeros": _zeros,
    "noise": _noise,
    "cut": _cut,
    "beheaded": _beheaded,
    "gap": _gap,
    "twice": _twice,
    "swapped": _swapped,
    "joined": _joined,
    "numbers": _numbers,
}


# -- time stamps -------------------------------------------------------------------------------------------------------
def _times(lot: Random):
    """An edit of packets: a jump of the clock, single wrong stamps, none at all, packets that are missing."""
    kind, share = lot.choice(["jump", "single", "same", "lost", "late"]), lot.choice([0.01, 0.1, 0.5])
    at, by_s = lot.randrange(200), lot.choice([-1000.0, -4.0, -0.3, 0.3, 4.0, 100.0, 90_000.0])
    of = lot.choice(["video", "audio", None])

    def edit(track: str, number: int, packet: av.Packet) -> bool:
        if of not in (None, track):
            return True
        by = round(by_s / packet.time_base)
        if kind == "jump" and number >= at:
            packet.pts, packet.dts = packet.pts + by, packet.dts + by
        elif kind == "single" and lot.random() < share:
            packet.pts += by
        elif kind == "same" and lot.random() < share:
            packet.pts = packet.dts
        elif kind == "late":
            packet.pts, packet.dts = packet.pts + by, packet.dts + by
        return not (kind == "lost" and lot.random() < share)

    return edit


def mutated(name: str, data: bytes, lot: Random, folder: Path) -> tuple[str, bytes]:
    """What was done to a healthy file of this format, and the file."""
    if RECIPES[name] is not None and lot.random() < 0.2:
        ending = name.partition("-")[0]
        source, made = folder / f"source.{ending}", folder / f"times.{ending}"
        source.write_bytes(data)
        try:
            return "times", rewritten(source, made, ending, _times(lot)).read_bytes()
        except (av.error.FFmpegError, ValueError, OverflowError, TypeError):
            pass  # the muxer itself wants right times
        finally:
            source.unlink()
            made.unlink(missing_ok=True)
    kinds = lot.sample(sorted(BYTES), lot.choice([1, 1, 1, 2]))
    spoiled = bytearray(data)
    for kind in kinds:
        if spoiled:
            BYTES[kind](spoiled, lot)
    return "+".join(kinds), bytes(spoiled)
