"""Spoken digits: espeak-ng (a Debian program) says "zero" to "nine" in many voices.

Every sample is one call of the program with a fixed list of arguments, drawn from the seed: an accent, a voice variant,
a speed and a pitch. German ones are held out: words and voices on which no method was tuned. The program is
deterministic, so a digest of its version and of all recipes names the result, which is kept in a work folder; a file
there is read back only under its own digest.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import wave
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import digest


@dataclass(frozen=True)
class Speech:
    """What is said and by whom: the words for zero to nine, the program's accents of their language, and its voice
    variants (whispering and robots are left out)."""

    words: tuple[str, ...]
    accents: tuple[str, ...]
    variants: tuple[str, ...]


ENGLISH = Speech(
    ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    ("en-gb", "en-us", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-rp", "en-gb-x-gbcwmd", "en-029", "en-us-nyc"),
    ("f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "klatt", "klatt3", "Andy"),
)
GERMAN = Speech(
    ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"),
    ("de",),
    (
        "Alex",
        "Alicia",
        "Annie",
        "Denis",
        "Gene",
        "Hugo",
        "Jacky",
        "Marco",
        "Mario",
        "Michael",
        "Mike",
        "adam",
        "belinda",
        "linda",
        "max",
        "robert",
    ),
)
RATE_HZ = 22_050
#: Longest answer of the program that is read, s, and how long it may take, s.
LONGEST_S, TIMEOUT_S = 3.0, 20.0


def recipes(per_class: int, seed: int, speech: Speech = ENGLISH) -> list[tuple[str, ...]]:
    """Arguments of every call, class by class: per_class of each word; a longer list begins with a shorter one."""
    out: list[tuple[str, ...]] = []
    for digit, word in enumerate(speech.words):
        rng = np.random.default_rng([seed, 64, digit])
        for _ in range(per_class):
            accent, variant = (names[rng.integers(len(names))] for names in (speech.accents, speech.variants))
            voice = f"{accent}+{variant}"
            speed, pitch = rng.integers(110, 220), rng.integers(20, 80)
            out.append(("-v", voice, "-s", str(speed), "-p", str(pitch), "-z", "--stdout", word))
    return out


def program() -> tuple[str, str]:
    """Path and version line of espeak-ng. ConfigError where it is not installed."""
    path = shutil.which("espeak-ng")
    if path is None:
        raise ConfigError("espeak-ng is not installed, and the spoken digits need it: apt install espeak-ng")
    done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    return path, done.stdout.split("Data at")[0].strip()


def spoken(
    per_class: int,
    seed: int,
    work: Path,
    note: Callable[[str], None] = lambda _: None,
    speech: Speech = ENGLISH,
) -> tuple[list[np.ndarray], np.ndarray]:
    """Waves of spoken digits and their classes, class by class.

    Returns a list of float32 waves (mono, RATE_HZ) and int64 (10 · per_class,). Made once for a version of the program,
    then read from `work`. ConfigError without espeak-ng, ContractError when it answers with something else than sound.
    """
    path, version = program()
    calls = recipes(per_class, seed, speech)
    target = work / f"spoken-{digest({'version': version, 'calls': calls})}.npz"
    classes = np.repeat(np.arange(len(speech.words)), per_class)
    if (kept := _kept(target)) is not None:
        return kept, classes
    note(f"espeak-ng says {len(calls)} digits (kept in {work})")
    with ThreadPoolExecutor(2) as pool:
        waves = list(pool.map(lambda call: _say(path, call), calls))
    work.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    with part.open("wb") as file:
        np.savez(file, samples=np.concatenate(waves), lengths=np.array([len(w) for w in waves]))
    part.replace(target)
    return [w.astype(np.float32) / 32768 for w in waves], classes


def _kept(path: Path) -> list[np.ndarray] | None:
    """The waves of a file that `spoken` wrote; None where there is none, or none that is whole."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            samples, lengths = kept["samples"].astype(np.float32) / 32768, kept["lengths"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return np.split(samples, np.cumsum(lengths)[:-1]) if lengths.sum() == len(samples) else None


def _say(path: str, call: tuple[str, ...]) -> np.ndarray:
    """One call's sound, int16."""
    command = f"espeak-ng {' '.join(call)}"
    try:
        done = subprocess.run(
            [path, *call], capture_output=True, timeout=TIMEOUT_S, check=True, stdin=subprocess.DEVNULL
        )
        # A wave that is written to a pipe does not know its own length: read what is there.
        with wave.open(io.BytesIO(done.stdout)) as sound:
            form = sound.getframerate(), sound.getnchannels(), sound.getsampwidth()
        start = done.stdout.index(b"data") + 8
        samples = np.frombuffer(done.stdout[start : start + int(LONGEST_S * RATE_HZ) * 2 & ~1], "<i2")
    except (subprocess.SubprocessError, wave.Error, EOFError, ValueError) as error:
        raise ContractError(f"{command}: no sound came back: {error}") from error
    if form != (RATE_HZ, 1, 2) or np.abs(samples).max(initial=0) < 300:
        raise ContractError(f"{command}: mono 16-bit sound at {RATE_HZ} Hz is wanted, not {form}, and not silence")
    return samples
