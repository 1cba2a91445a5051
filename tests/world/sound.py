"""The sound of a video: its voice in a room, what covers it, and the level it is recorded at."""

from __future__ import annotations

import numpy as np

from tests.world.acoustics import PI2, add_at, band, levelled, low_pass, rms, room, seconds, white
from tests.world.speech import speak
from tests.world.timeline import Timeline
from tests.world.video import Video
from tests.world.voices import VOICES

CHORDS = ((0, 4, 7), (7, 11, 14), (9, 12, 16), (5, 9, 12))


def soundtrack(video: Video, timeline: Timeline) -> np.ndarray:
    """Float32 of shape (channels, samples) within -1..1, as long as the picture."""
    rng = video.rng(5)
    rate_hz, duration_s = video.rate_hz, timeline.duration_s
    level_db = float(rng.uniform(-27, -17))
    if video.planted == "silence":
        quiet = white(len(seconds(duration_s, rate_hz)), rng) * np.float32(rng.choice([0.0, 1e-4]))
        return np.tile(quiet, (video.channels, 1))
    own, cover = _parts(video, timeline, rng)
    wet = own if cover is None else cover + own
    if video.channels == 1:
        return levelled(wet, level_db)[None, :]
    pan = float(rng.uniform(-0.35, 0.35))
    side = levelled(room(wet, rng, rate_hz, 0.12, 0.5) - wet, 20 * np.log10(rms(wet) + 1e-9) - 10, peak=4.0)
    return levelled(np.stack([wet * (1 - pan) + side, wet * (1 + pan) - side]), level_db)


def parts(video: Video, timeline: Timeline) -> tuple[np.ndarray, np.ndarray | None]:
    """What the sound of a video is the sum of, mono float32 (samples,): the sound of its own event, and what covers it
    (None where nothing does). The mean of the soundtrack's channels is their sum, up to one gain: stereo adds to one
    side what it takes from the other."""
    rng = video.rng(5)
    rng.uniform(-27, -17)
    return _parts(video, timeline, rng)


def _parts(video: Video, timeline: Timeline, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None]:
    rate_hz, duration_s = video.rate_hz, timeline.duration_s
    dry = levelled(VOICES[video.audio_class](timeline, rate_hz, rng), -20.0, peak=4.0)
    wet = room(dry, rng, rate_hz, float(rng.uniform(0.15, 0.7)), float(rng.uniform(0.05, 0.4)))
    hum_db = float(rng.uniform(-48, -32))
    wet = wet + levelled(low_pass(white(len(wet), rng), 1500, rate_hz), hum_db)
    if video.planted == "voice_over":
        voice = levelled(speak(duration_s, rate_hz, rng), -20.0, peak=4.0)
        return wet * np.float32(10 ** (rng.uniform(-22, -14) / 20)), voice
    if video.planted == "music":
        music = levelled(_music(duration_s, rate_hz, rng), -20.0, peak=4.0)
        return wet * np.float32(10 ** (rng.uniform(-18, -10) / 20)), music
    return wet, None


def _music(duration_s: float, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Four chords in a loop, a melody above them, a bass drum and a hi-hat."""
    time_s = seconds(duration_s, rate_hz)
    beat_s = 60.0 / rng.uniform(88, 126)
    root_hz, signal = 110 * 2 ** (rng.integers(0, 12) / 12), np.zeros_like(time_s)
    order = rng.permutation(4)
    order = order[np.concatenate([np.flatnonzero(order == 0), np.flatnonzero(order != 0)])]
    pads = []
    for which in order:
        pad_s = seconds(4 * beat_s, rate_hz)
        shape = np.minimum(1, pad_s / 0.05) * np.minimum(1, (4 * beat_s - pad_s) / 0.1)
        tone = sum(
            np.sin(PI2 * root_hz * 2 ** (note / 12) * pad_s * k) / k**1.5 for note in CHORDS[which] for k in (1, 2, 3)
        )
        pads.append((tone * shape * 0.22).astype(np.float32))
    kick_s, hat_s = seconds(0.2, rate_hz), seconds(0.05, rate_hz)
    kick = np.sin(PI2 * np.cumsum(50 + 90 * np.exp(-kick_s / 0.03)) / rate_hz) * np.exp(-kick_s / 0.07)
    hat = band(white(len(hat_s), rng), 5000, 11000, rate_hz) * np.exp(-hat_s / 0.015)
    for beat in range(int(duration_s / beat_s) + 1):
        at_s, chord = beat * beat_s, beat // 4 % 4
        if beat % 4 == 0:
            add_at(signal, pads[chord], at_s, 1.0, rate_hz)
        add_at(signal, kick, at_s, 0.9 if beat % 2 == 0 else 0.4, rate_hz)
        for half in (0.0, 0.5):
            add_at(signal, hat, at_s + half * beat_s, 0.35, rate_hz)
            if rng.random() < 0.6:
                note_hz = 4 * root_hz * 2 ** (CHORDS[order[chord]][int(rng.integers(3))] / 12)
                note_s = seconds(0.4, rate_hz)
                tune = np.sin(PI2 * note_hz * note_s) + 0.3 * np.sin(2 * PI2 * note_hz * note_s)
                add_at(signal, tune * np.exp(-note_s / 0.15), at_s + half * beat_s, 0.35, rate_hz)
    return signal
