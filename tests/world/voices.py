"""What can be heard: ten kinds of sound, each driven by the same timeline as its picture.

A struck sound is computed once per pitch and strength and added at every strike; a continuous one is noise or a
pulse train shaped by the timeline's level. Pitches, decays and colours are drawn anew for every video.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.signal import lfilter

from tests.world.acoustics import PI2, add_at, band, low_pass, resonate, seconds, white
from tests.world.timeline import Timeline

Voice = Callable[[Timeline, int, np.random.Generator], np.ndarray]
"""(timeline, rate_hz, rng) → mono float32."""

SCALE = np.array([0, 2, 4, 7, 9, 12, 14])


def _strikes(
    timeline: Timeline, rate_hz: int, sounds: list[np.ndarray], rng: np.random.Generator, power: float = 1.3
) -> np.ndarray:
    """Every strike that is heard, as the sound of its variant."""
    signal = np.zeros_like(seconds(timeline.duration_s, rate_hz))
    for at_s, strength, variant, heard in zip(
        timeline.heard_s, timeline.strength, timeline.variant, timeline.heard, strict=True
    ):
        if heard:
            gain = float(strength**power * rng.uniform(0.9, 1.1))
            add_at(signal, sounds[int(variant) % len(sounds)], at_s, gain, rate_hz)
    return signal


def _bell(timeline: Timeline, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Inharmonic partials (hum, prime, tierce, quint, nominal and above) that decay, the high ones first."""
    base_hz, decay_s = rng.uniform(330, 720), rng.uniform(1.0, 2.0)
    time_s = seconds(3 * decay_s, rate_hz)
    sound = 0.25 * white(len(time_s), rng) * np.exp(-time_s / 0.004)
    for ratio, gain in ((0.5, 0.5), (1, 1), (1.19, 0.7), (1.5, 0.45), (2, 0.9), (2.67, 0.5), (4.07, 0.3), (5.2, 0.15)):
        partial_hz = base_hz * ratio * (1 + 0.004 * rng.normal())
        if partial_hz < 0.45 * rate_hz:
            fade = np.exp(-time_s * (0.6 + 0.5 * ratio) / decay_s)
            sound += gain * fade * np.sin(PI2 * partial_hz * time_s + rng.uniform(0, PI2))
    return _strikes(timeline, rate_hz, [sound], rng)


def _drum(timeline: Timeline, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """A membrane whose pitch falls, with a slap of noise; the second variant is higher and snappier."""
    base_hz, sounds = rng.uniform(75, 130), []
    for pitch, snap in ((1.0, 0.35), (1.6, 0.8)):
        time_s = seconds(0.45, rate_hz)
        sweep = base_hz * pitch * (1 + 0.7 * np.exp(-time_s / 0.025))
        body = np.sin(PI2 * np.cumsum(sweep) / rate_hz) * np.exp(-time_s / 0.11)
        body += 0.4 * np.sin(PI2 * 1.59 * np.cumsum(sweep) / rate_hz) * np.exp(-time_s / 0.06)
        slap = band(white(len(time_s), rng), 250, 2600, rate_hz) * np.exp(-time_s / 0.03)
        sounds.append((body + snap * slap).astype(np.float32))
    return _strikes(timeline, rate_hz, sounds, rng)


def _violin(timeline: Timeline, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """A sawtooth with vibrato through body resonances; a new note and a soft attack with every bow stroke."""
    time_s = seconds(timeline.duration_s, rate_hz)
    heard_s = timeline.heard_s
    last = np.searchsorted(heard_s, time_s, side="right")
    notes = np.concatenate([[0], SCALE[timeline.variant % len(SCALE)]])
    pitch = low_pass(notes[last].astype(np.float32), 12, rate_hz)
    vibrato = rng.uniform(0.05, 0.25) * np.sin(PI2 * rng.uniform(4.8, 6.2) * time_s)
    tone_hz = rng.uniform(190, 330) * 2 ** ((pitch + vibrato) / 12)
    phase = (np.cumsum(tone_hz, dtype=np.float64) / rate_hz) % 1
    saw = low_pass((2 * phase - 1).astype(np.float32), 4500, rate_hz)
    since = time_s - np.concatenate([[-9.0], heard_s])[last]
    power = np.concatenate([[0.5], np.where(timeline.heard, timeline.strength, 0.25)])[last]
    stroke = (1 - np.exp(-since / 0.06)) * power * (0.75 + 0.25 * np.exp(-since / 0.5))
    scratch = 0.1 * band(white(len(time_s), rng), 1800, 5200, rate_hz)
    source = (saw + scratch) * low_pass(stroke.astype(np.float32), 25, rate_hz)
    body = sum(
        resonate(source, rng.uniform(0.94, 1.06) * centre, width, rate_hz)
        for centre, width in ((280, 90), (460, 110), (1100, 380), (2500, 900))
    )
    return (0.25 * source + body).astype(np.float32)


def _wind(timeline: Timeline, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Low rumble always, a howling band that comes up with the gusts, leaves that hiss at the top of them."""
    time_s = seconds(timeline.duration_s, rate_hz)
    level = timeline.level_at(time_s).astype(np.float32)
    noise, low_hz = white(len(time_s), rng), rng.uniform(160, 320)
    rumble = low_pass(low_pass(noise, 120, rate_hz), 250, rate_hz) * 4
    howl = band(noise, low_hz, low_hz * 2.2, rate_hz) * 1.6
    hiss = band(white(len(time_s), rng), 2200, 6000, rate_hz)
    return rumble * (0.2 + 0.8 * level) + howl * level**1.8 + 0.35 * hiss * level**2.5


def _waterfall(timeline: Timeline, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Broad bright noise that follows the water, and hundreds of bubbles: short tones that rise."""
    time_s = seconds(timeline.duration_s, rate_hz)
    level = timeline.level_at(time_s).astype(np.float32)
    bright = band(white(len(time_s), rng), rng.uniform(600, 1100), 7500, rate_hz, order=1)
    signal = bright * (0.15 + 0.85 * level**1.3)
    bubbles = []
    for pitch_hz in rng.uniform(500, 2200, 10):
        bubble_s = seconds(0.07, rate_hz)
        sweep = pitch_hz * (1 + 5 * bubble_s)
        bubbles.append((np.sin(PI2 * np.cumsum(sweep) / rate_hz) * np.exp(-bubble_s / 0.015)).astype(np.float32))
    count = int(22 * timeline.duration_s)
    at_s = rng.uniform(0, timeline.duration_s, count)
    gains = rng.uniform(0.2, 1.4, count) * (0.3 + 0.7 * timeline.level_at(at_s))
    for which, (start_s, gain) in enumerate(zip(at_s, gains, strict=True)):
        add_at(signal, bubbles[which % len(bubbles)], float(start_s), float(gain), rate_hz)
    return signal


def _engine(timeline: Timeline, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """A train of combustion pulses whose rate follows the level, uneven by cylinder, through a muffler."""
    time_s = seconds(timeline.duration_s, rate_hz)
    level = timeline.level_at(time_s).astype(np.float32)
    idle_hz, span_hz = rng.uniform(22, 32), rng.uniform(45, 75)
    phase = np.cumsum(idle_hz + span_hz * level, dtype=np.float64) / rate_hz
    cylinder = np.array([1.0, 0.75, 0.9, 0.65], np.float32)[phase.astype(np.int64) % 4]
    pulse = (cylinder * np.exp(-6 * (phase % 1))).astype(np.float32)
    pulse -= low_pass(pulse, 15, rate_hz)
    rattle = band(white(len(time_s), rng), 900, 3000, rate_hz) * pulse * 0.35
    muffler_hz = rng.uniform(110, 190)
    exhaust = low_pass(pulse, 900, rate_hz) + 1.2 * resonate(pulse, muffler_hz, 60, rate_hz)
    return (exhaust + rattle) * (0.45 + 0.55 * level)


def _bird(timeline: Timeline, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Chirps: three kinds of fast sweep (down, up, trill) between 2 and 6 kHz."""
    top_hz, sounds = rng.uniform(3800, 5600), []
    for start, stop, trill in ((1.0, 0.62, 0.0), (0.6, 0.95, 0.0), (0.8, 0.75, 0.09)):
        length_s = float(rng.uniform(0.07, 0.12))
        time_s = seconds(length_s, rate_hz)
        path = start + (stop - start) * time_s / length_s + trill * np.sin(PI2 * 45 * time_s)
        shape = np.sin(np.pi * np.clip(time_s / length_s, 0, 1)) ** 0.7
        turn = PI2 * np.cumsum(top_hz * path) / rate_hz
        sounds.append((shape * (np.sin(turn) + 0.12 * np.sin(2 * turn) * (top_hz < 0.22 * rate_hz))).astype(np.float32))
    return _strikes(timeline, rate_hz, sounds, rng)


def _harp(timeline: Timeline, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Karplus–Strong strings on a pentatonic scale."""
    base_hz, sounds = rng.uniform(170, 300), []
    for step in SCALE:
        period = round(rate_hz / (base_hz * 2 ** (step / 12)))
        burst = np.zeros(int(1.4 * rate_hz), np.float32)
        burst[:period] = low_pass(white(period, rng), 5000, rate_hz)
        loop = np.zeros(period + 2)
        loop[0], loop[period], loop[period + 1] = 1.0, -0.498, -0.498
        sounds.append((2.2 * lfilter([1.0], loop, burst)).astype(np.float32))
    return _strikes(timeline, rate_hz, sounds, rng)


def _siren(timeline: Timeline, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Two tones in turn, reedy and slightly gliding, with the slow swell of something that drives about."""
    time_s = seconds(timeline.duration_s, rate_hz)
    last = np.searchsorted(timeline.heard_s, time_s, side="right")
    which = np.concatenate([[1], timeline.variant])[last]
    low_hz = rng.uniform(420, 560)
    tone_hz = low_pass(np.where(which == 1, low_hz, low_hz * rng.uniform(1.26, 1.4)).astype(np.float32), 18, rate_hz)
    turn = PI2 * np.cumsum(tone_hz, dtype=np.float64) / rate_hz
    tone = sum(gain * np.sin(k * turn) for k, gain in ((1, 1.0), (2, 0.5), (3, 0.6), (4, 0.2), (5, 0.3), (7, 0.12)))
    since = time_s - np.concatenate([[-9.0], timeline.heard_s])[last]
    swell = 0.7 + 0.3 * np.sin(PI2 * rng.uniform(0.05, 0.12) * time_s + rng.uniform(0, PI2))
    return (tone * swell * (1 - 0.5 * np.exp(-since / 0.03))).astype(np.float32)


def _clockwork(timeline: Timeline, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Dry clicks, tick and tock: a millisecond of noise ringing two small metal modes."""
    sounds = []
    for pitch in (1.0, 0.82):
        time_s = seconds(0.06, rate_hz)
        click = white(len(time_s), rng) * np.exp(-time_s / 0.0012)
        for mode_hz in rng.uniform((1900, 3300), (2700, 5200)):
            if mode_hz * pitch < 0.45 * rate_hz:
                click += 0.7 * np.sin(PI2 * mode_hz * pitch * time_s) * np.exp(-time_s / rng.uniform(0.006, 0.014))
        sounds.append(click.astype(np.float32))
    return _strikes(timeline, rate_hz, sounds, rng)


VOICES: dict[str, Voice] = {
    "bell": _bell,
    "drum": _drum,
    "violin": _violin,
    "wind": _wind,
    "waterfall": _waterfall,
    "engine": _engine,
    "bird": _bird,
    "harp": _harp,
    "siren": _siren,
    "clockwork": _clockwork,
}
