"""A small formant synthesiser: nobody's voice, saying nothing, in the rhythm of speech.

Source and filter after Klatt (1980, "Software for a cascade/parallel formant synthesizer", JASA 67): glottal pulses
with a pitch contour and noise drive four resonances whose centres move from sound to sound. Syllables are drawn from
consonant and vowel tables: a voice-over has fricatives, stops, nasals, phrases and pauses, and no words to recognise.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import resample_poly, sosfilt

from tests.world.acoustics import PI2, band, white

RATE_HZ = 16000
STEP = 80
WIDTHS_HZ = np.array([80.0, 100.0, 140.0, 220.0])
VOWELS = np.array(
    [
        [730, 1090, 2440, 3400],
        [530, 1840, 2480, 3500],
        [270, 2290, 3010, 3700],
        [570, 840, 2410, 3300],
        [300, 870, 2240, 3300],
        [500, 1500, 2500, 3500],
        [660, 1720, 2410, 3500],
    ],
    np.float64,
)
"""F1–F4 in Hz of seven English vowels, after Peterson and Barney (1952), F4 by hand."""

CONSONANTS = {
    "s": (0.10, 0.0, 0.5, 4200, 7400),
    "sh": (0.09, 0.0, 0.5, 2200, 5200),
    "f": (0.08, 0.0, 0.22, 1500, 7000),
    "t": (0.07, 0.0, 0.55, 2800, 6500),
    "k": (0.08, 0.0, 0.5, 1400, 2800),
    "p": (0.07, 0.0, 0.35, 400, 1600),
    "m": (0.07, 0.45, 0.0, 0, 0),
    "l": (0.06, 0.6, 0.0, 0, 0),
    "z": (0.08, 0.35, 0.25, 3800, 7200),
}
"""Name → seconds, voicing, noise, noise band in Hz; stops are silent for the first half."""


def speak(duration_s: float, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Speech-like sound at `rate_hz`, mono float32, peak about 1."""
    count = int(duration_s * RATE_HZ / STEP) + 1
    pitch, voicing, noise, formants, bands = _score(count, rng)
    samples = count * STEP
    fine = np.arange(samples) / STEP
    grid = np.arange(count)
    pitch_hz = np.interp(fine, grid, pitch) * (1 + 0.008 * np.sin(PI2 * 5.1 * fine * STEP / RATE_HZ))
    phase = np.cumsum(pitch_hz) / RATE_HZ
    glottis = np.exp(-9 * (phase % 1)) - 0.11
    breath = white(samples, rng)
    source = glottis * np.interp(fine, grid, voicing) + 0.02 * breath * np.interp(fine, grid, voicing)
    voiced = _formant_filter(source, formants, float(rng.uniform(0.9, 1.18)))
    hiss = np.zeros(samples)
    for low_hz, high_hz in {tuple(b) for b in bands if b[1] > 0}:
        mask = np.interp(fine, grid, np.where((bands == (low_hz, high_hz)).all(axis=1), noise, 0.0))
        hiss += band(breath, low_hz, high_hz, RATE_HZ) * mask
    speech = voiced / (np.abs(voiced).max() + 1e-9) + 0.35 * hiss
    speech = resample_poly(speech, rate_hz, RATE_HZ)[: round(duration_s * rate_hz)]
    return (speech / (np.abs(speech).max() + 1e-9)).astype(np.float32)


def _score(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What the voice does every 5 ms: pitch, voicing, noise, four formants, the noise's band."""
    pitch, voicing, noise = np.full(count, 100.0), np.zeros(count), np.zeros(count)
    formants, bands = np.tile(VOWELS[5], (count, 1)), np.zeros((count, 2))
    base_hz, syllable_s = rng.uniform(95, 210), rng.uniform(0.13, 0.19)
    names, at = list(CONSONANTS), int(rng.uniform(0.05, 0.4) * RATE_HZ / STEP)
    while at < count:
        syllables = int(rng.integers(5, 14))
        for syllable in range(syllables):
            name = names[int(rng.integers(len(names)))]
            length_s, voice, hiss, low_hz, high_hz = CONSONANTS[name]
            steps = int(length_s * rng.uniform(0.8, 1.2) * RATE_HZ / STEP)
            onset = at + (steps // 2 if name in "tkp" else 0)
            voicing[at : at + steps] = voice
            noise[onset : at + steps] = hiss
            bands[onset : at + steps] = (low_hz, high_hz)
            formants[at : at + steps] = (250, 1200, 2300, 3300) if name in ("m", "l") else VOWELS[5]
            at += steps
            steps = int(syllable_s * rng.uniform(0.6, 1.6) * RATE_HZ / STEP)
            voicing[at : at + steps] = rng.uniform(0.75, 1.0)
            formants[at : at + steps] = VOWELS[int(rng.integers(len(VOWELS)))]
            fall = 1.12 - 0.3 * syllable / syllables
            pitch[at - 8 : at + steps] = base_hz * fall * rng.uniform(0.94, 1.1)
            at += steps
        at += int(rng.uniform(0.18, 0.6) * RATE_HZ / STEP)
    ease = np.ones(7) / 7
    smooth = [np.convolve(track, ease, "same") for track in (pitch, voicing)]
    moved = np.stack([np.convolve(np.pad(f, 6, "edge"), np.ones(13) / 13, "valid") for f in formants.T], axis=1)
    return smooth[0], smooth[1], np.convolve(noise, np.ones(3) / 3, "same"), moved, bands


def _formant_filter(source: np.ndarray, formants: np.ndarray, tract: float) -> np.ndarray:
    """Four resonances in cascade, moved every 5 ms; `tract` scales their centres (a shorter throat is higher)."""
    radius = np.exp(-np.pi * WIDTHS_HZ / RATE_HZ)
    state, spoken = np.zeros((4, 2)), np.empty_like(source)
    second = -2 * radius * np.cos(PI2 * np.clip(formants * tract, 150, 7000) / RATE_HZ)
    sections = np.zeros((4, 6))
    sections[:, 3], sections[:, 5] = 1.0, radius**2
    for step, middle in enumerate(second):
        sections[:, 4] = middle
        sections[:, 0] = 1 + middle + radius**2
        block = slice(step * STEP, (step + 1) * STEP)
        spoken[block], state = sosfilt(sections, source[block], zi=state)
    return spoken
