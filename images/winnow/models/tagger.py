"""The built-in tagger: Speech, Music, Silence and Noise, from the signal and a small network that needs no download.

- **Speech** is what Silero VAD hears (`models.voice_activity`): the probability that it reaches for a second in all, so
  that one loud syllable is no speech and a short sentence is.
- **Music** is a logistic regression on four measures that the literature on telling speech from music has used since
  Scheirer & Slaney (ICASSP 1997): how many steady partials sound at a time (a chord has many, a voice glides), how
  clear the beat is (autocorrelation of onset strength, Tzanetakis & Cook, IEEE TSAP 2002), how much of loudness's
  modulation lies at the rates of beats, and how evenly loud it is.
- **Noise** is spectral flatness, as a share of what white noise has; **Silence** the share of time under −60 dBFS.

`WEIGHTS` was fitted on clips of development worlds (seeds 11 and 12). `tests/bench/tagger.py` measures the tagger on
sounds of other worlds, and with `--seeds 11,12` of those; it fits the weights anew on them, to compare. All of that is
synthetic sound: a harp, a violin or a bell alone mostly stays below the threshold of music, though people may call it
music, and nothing is known of real recordings. For those, a network with AudioSet's classes (stages `yamnet`, `panns`)
is the tagger to use.
"""

from __future__ import annotations

import numpy as np
import scipy.fft

from winnow.models import builtin_audio
from winnow.models.voice_activity import CHUNK, CHUNK_S, VoiceActivity, spans

RATE_HZ = builtin_audio.RATE_HZ
#: AudioSet's ids of what this tagger can give.
MIDS = {"speech": "/m/09x0r", "music": "/m/04rlf", "silence": "/m/028v0c", "noise": "/m/096m7z"}
#: Speech is a probability that is reached for so long in all, s.
SPEECH_S = 1.0
#: Sound under this level is silence, dBFS RMS over a chunk (as the stage `probe` counts it).
SILENCE_DBFS = -60.0
#: Flatness of white noise in one windowed spectrum: exp(−γ), the geometric over the arithmetic mean of an exponential
#: distribution.
WHITE_FLATNESS = 0.5615
#: Log-odds of Music per steady partial, unit of beat, share of modulation, unit of unevenness; and the constant.
WEIGHTS = np.array([1.030, 8.014, 15.287, -4.762, -14.248])
#: Beats are looked for between these, s (55 to 200 a minute), and their rates of modulation, Hz, between those.
BEAT_S = (0.3, 1.1)
BEAT_HZ = (2.5, 7.0)
_EPS = 1e-15


class Tagger:
    """The tagger, its network loaded once."""

    def __init__(self) -> None:
        self._voice = VoiceActivity()

    def __call__(self, wave: np.ndarray, start_s: float = 0.0) -> dict[str, object]:
        """Columns of the table `tags` but `tagger`; scores 0 to 1, four decimals.

        wave: mono, (samples,) at RATE_HZ; start_s: when its first sample is heard on the clip's clock.
        """
        voice = self._voice(wave)
        spoken = spans(voice, start_s)
        level = np.sqrt(_means(np.square(wave, dtype=np.float64), CHUNK))
        quiet = float(np.mean(level < 10 ** (SILENCE_DBFS / 20))) if len(level) else 1.0
        spectrum = builtin_audio.analyse(np.asarray(wave, np.float32))
        scores = {
            "speech": speech_score(voice),
            "music": music_score(music_measures(spectrum)) if quiet < 1 else 0.0,
            "silence": quiet,
            "noise": noise_score(spectrum) if quiet < 1 else 0.0,
        }
        scores = {name: round(float(score), 4) for name, score in scores.items()}
        best = sorted(scores, key=lambda name: (-scores[name], MIDS[name]))
        return {
            **scores,
            "other": None,
            "tag_mids": [MIDS[name] for name in best],
            "tag_scores": [scores[name] for name in best],
            "knows": sorted(MIDS.values()),
            "speech_spans": spoken,
            "outside_dbfs": outside_dbfs(level, voice),
        }


def speech_score(voice: np.ndarray) -> float:
    """The probability of speech that is reached for SPEECH_S in all (for a shorter sound: all of the time)."""
    if not len(voice):
        return 0.0
    count = min(len(voice), round(SPEECH_S / CHUNK_S))
    return float(np.sort(voice)[::-1][count - 1])


def outside_dbfs(level: np.ndarray, voice: np.ndarray) -> float | None:
    """Median RMS level, dBFS, of the chunks in which nobody speaks; None where there are none, or digital silence.

    Chunks beside speech are left out, and the median looks past a syllable that was not taken for speech.
    """
    if not len(voice):
        return None
    spoken = np.convolve(voice >= 0.5, np.ones(3), "same") > 0
    outside = level[: len(spoken)][~spoken[: len(level)]]
    middle = float(np.median(outside)) if len(outside) else 0.0
    return round(20 * float(np.log10(middle)), 3) if middle > 0 else None


def noise_score(spectrum: builtin_audio.Spectrum) -> float:
    """Spectral flatness, weighted by loudness, as a share of white noise's, at most 1 (Gray & Markel, 1974)."""
    power = spectrum.power[:, 4:]
    log_power = np.log(power + _EPS + power.max() * 1e-8)
    flat = np.exp(log_power.mean(axis=1)) / np.maximum(power.mean(axis=1), _EPS)
    return min(float(spectrum.weight @ flat) / WHITE_FLATNESS, 1.0)


def music_score(measures: np.ndarray) -> float:
    """Probability of Music from its four measures."""
    return float(1 / (1 + np.exp(-(measures @ WEIGHTS[:-1] + WEIGHTS[-1]))))


def music_measures(spectrum: builtin_audio.Spectrum) -> np.ndarray:
    """(partials, beat, modulation, unevenness): float64, (4,)."""
    loud = np.sqrt(spectrum.level.astype(np.float64))
    loud /= max(float(loud.mean()), 1e-9)
    return np.array(
        [_partials(spectrum), _beat(spectrum), _modulation(loud), float(np.log(loud + 1e-3).std())], np.float64
    )


def _partials(spectrum: builtin_audio.Spectrum) -> float:
    """Spectral peaks between 120 Hz and 2 kHz, four times the median under 4 kHz, that stay for three frames (60 ms):
    mean number at a time."""
    low = np.sqrt(spectrum.power[:, :256])
    high = low[:, 1:-1] > 4 * np.median(low, axis=1, keepdims=True) + 1e-9
    peak = (low[:, 1:-1] > low[:, :-2]) & (low[:, 1:-1] >= low[:, 2:]) & high
    f_hz = np.arange(1, low.shape[1] - 1) * RATE_HZ / builtin_audio.WINDOW
    peak = peak[:, (f_hz > 120) & (f_hz < 2000)]
    if len(peak) < 3:
        return 0.0
    return float((peak[2:] & peak[1:-1] & peak[:-2]).sum(axis=1).mean())


def _beat(spectrum: builtin_audio.Spectrum) -> float:
    """Highest autocorrelation of onset strength at a beat's distance, mean of four bands: 1 is a perfect repetition."""
    bands = spectrum.mel.reshape(len(spectrum.mel), 4, -1).sum(axis=2)
    rise = np.maximum(np.diff(np.log1p(bands * 4 / np.maximum(bands.mean(axis=0), _EPS)), axis=0), 0)
    first, last = (round(at * builtin_audio.FRAME_HZ) for at in BEAT_S)
    if len(rise) <= last:
        return 0.0
    rise = rise - rise.mean(axis=0)
    size = scipy.fft.next_fast_len(2 * len(rise), real=True)
    auto = scipy.fft.irfft(np.abs(scipy.fft.rfft(rise, size, axis=0)) ** 2, size, axis=0)[: len(rise)]
    auto /= np.maximum(auto[:1], 1e-9)
    lags = np.arange(len(rise))
    return float((auto.mean(axis=1) * len(rise) / (len(rise) - lags))[first:last].max())


def _modulation(loud: np.ndarray) -> float:
    """Share of loudness's modulation (0.3 to 20 Hz) that lies at the rates of beats and their halves."""
    size = max(512, len(loud))
    power = np.abs(scipy.fft.rfft((loud - 1) * np.hanning(len(loud)), size)) ** 2
    f_hz = np.arange(len(power)) * builtin_audio.FRAME_HZ / size
    whole = power[(f_hz > 0.3) & (f_hz < 20)].sum()
    return float(power[(f_hz > BEAT_HZ[0]) & (f_hz < BEAT_HZ[1])].sum() / (whole + 1e-12))


def _means(values: np.ndarray, size: int) -> np.ndarray:
    """Means of consecutive pieces, the last one of what is left: (ceil(n / size),)."""
    if not len(values):
        return np.zeros(0)
    sums = np.add.reduceat(values, np.arange(0, len(values), size))
    counts = np.full(len(sums), size)
    counts[-1] = len(values) - size * (len(sums) - 1)
    return sums / counts
