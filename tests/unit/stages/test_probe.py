"""probe: known files have known figures."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pyloudnorm
import pytest

from tests.unit.signals import moving_square, mp4, sine, textured
from winnow.core.sample import Reason, SampleFailed
from winnow.models.loudness import GATE_LUFS, filtered, integrated_loudness, weighting
from winnow.stages.probe import Probe, measure

BLACK = np.zeros((96, 128), np.uint8)


def test_says_what_is_in_the_file() -> None:
    row = measure(mp4(moving_square(3, fps=24), sine(3, 440, -12, 48_000, 2), fps=24, rate_hz=48_000))
    assert row["container"] == "mp4"
    assert (row["video_codec"], row["width"], row["height"], row["n_frames"]) == ("h264", 128, 96, 72)
    assert (row["audio_codec"], row["rate_hz"], row["channels"], row["has_audio"]) == ("aac", 48_000, 2, True)
    assert row["fps"] == 24
    assert row["duration_s"] == pytest.approx(3, abs=0.05)
    assert set(row) == set(Probe.schema)


def test_odd_frame_rates_are_kept() -> None:
    rate = Fraction(30000, 1001)
    assert measure(mp4(moving_square(2, fps=30), fps=rate))["fps"] == pytest.approx(29.97003, abs=1e-5)


def test_a_file_without_sound_is_measured_and_says_so() -> None:
    row = measure(mp4(moving_square(1)))
    assert row["has_audio"] is False
    assert not {"loudness_lufs", "silence_ratio", "rate_hz"} & set(row)


def test_a_file_without_pictures_is_measured_too() -> None:
    row = measure(mp4(None, sine(1, 440, -12)))
    assert "stillness" not in row
    assert row["has_audio"] is True


@pytest.mark.parametrize(("channels", "expected"), [(2, -23.0), (1, -26.0)])
def test_loudness_of_the_reference_sine(channels: int, expected: float) -> None:
    """EBU Tech 3341, case 1: a stereo sine of 1 kHz at −23 dBFS is −23 LUFS; one channel of it 3 LU less."""
    row = measure(mp4(None, sine(5, 1000, -23, 48_000, channels), rate_hz=48_000))
    assert row["loudness_lufs"] == pytest.approx(expected, abs=0.15)
    assert row["peak_dbfs"] == pytest.approx(-23, abs=1.0)  # the codec overshoots at the start


@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_loudness_is_pyloudnorms(rate_hz: int, channels: int) -> None:
    rng = np.random.default_rng(rate_hz + channels)
    envelope = np.repeat([1.0, 0.02, 0.3, 0.0, 0.6], rate_hz)
    wave = (rng.normal(size=(channels, 5 * rate_hz)) * envelope * 0.1).astype(np.float32)
    library = pyloudnorm.Meter(rate_hz).integrated_loudness(wave.T.astype(np.float64))
    assert integrated_loudness(wave, rate_hz) == pytest.approx(library, abs=0.01)


@pytest.mark.parametrize("rate_hz", [11_025, 48_000])
def test_its_filter_is_scipys_to_the_last_bit(rate_hz: int) -> None:
    from scipy.signal import sosfilt

    designs = (4.0, 1 / np.sqrt(2), 1500.0, rate_hz, "high_shelf"), (0.0, 0.5, 38.0, rate_hz, "high_pass")
    sections = np.array([np.concatenate([f.b, f.a]) for f in (pyloudnorm.IIRfilter(*d) for d in designs)], "f4")
    wave = np.random.default_rng(1).normal(size=(2, rate_hz)).astype(np.float32)
    before = wave.copy()
    assert filtered(weighting(rate_hz), wave).tobytes() == sosfilt(sections, wave).tobytes()
    assert (wave == before).all()


def test_measuring_sound_imports_neither_scipys_signals_nor_pandas() -> None:
    code = (
        "import sys; from winnow.core.no_pandas import without_pandas; without_pandas()\n"
        "import numpy as np, pyarrow as pa; from winnow.stages.probe import Probe, sound_measures\n"
        "sound_measures(np.ones((1, 48_000), np.float32), 48_000, Probe.Params()); pa.table({'a': [1]})\n"
        "print([m for m in ('scipy.signal', 'pandas') if m in sys.modules]); import pandas"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert out.strip() == "[]"


def test_silence_has_the_gates_loudness_and_short_sound_some() -> None:
    assert integrated_loudness(np.zeros((2, 48_000), np.float32), 48_000) == GATE_LUFS
    assert GATE_LUFS < integrated_loudness(sine(0.1, 1000, -6), 44_100) < -6


def test_silence_ratio_counts_time() -> None:
    wave = np.concatenate([sine(2, 440, -20), np.zeros((1, 3 * 44_100), np.float32)], axis=1)
    assert measure(mp4(None, wave))["silence_ratio"] == pytest.approx(0.6, abs=0.03)
    assert measure(mp4(None, np.zeros((1, 44_100), np.float32)))["silence_ratio"] == 1.0
    assert measure(mp4(None, sine(1, 440, -40)))["silence_ratio"] == pytest.approx(0.0, abs=0.05)


def test_stillness_of_a_frozen_a_moving_and_a_half_frozen_clip() -> None:
    assert measure(mp4([textured(1)] * 100))["stillness"] == 1.0
    assert measure(mp4(moving_square(4)))["stillness"] == 0.0
    half = [textured(0)] * 100 + moving_square(4)
    assert measure(mp4(half))["stillness"] == pytest.approx(0.5, abs=0.13)


def test_a_long_stretch_between_key_pictures_is_not_judged_by_its_ends() -> None:
    """One keyframe in 8 s; something moves only in the fourth and fifth second."""
    pictures = [textured(0)] * 75 + moving_square(2, seed=0) + [textured(0)] * 75
    row = measure(mp4(pictures, gop=1000))
    assert row["stillness"] == pytest.approx(0.5, abs=0.01)


def test_a_loop_in_step_with_the_key_pictures_moves() -> None:
    """Every keyframe is the same, as of a pendulum whose period is theirs."""
    once = moving_square(1, speed=1.0)
    assert measure(mp4(once * 4, gop=25))["stillness"] == 0.0


def test_a_slow_fade_is_no_still_picture() -> None:
    """No two pictures that follow each other differ by more than half a level of 255."""
    fade = [(textured(0) * 0.5 + 0.5 * number).astype(np.uint8) for number in range(150)]
    assert measure(mp4(fade, gop=50))["stillness"] == 0.0


def test_black_ratio_counts_time() -> None:
    assert measure(mp4([BLACK] * 50))["black_ratio"] == 1.0
    assert measure(mp4([BLACK] * 50 + moving_square(2)))["black_ratio"] == pytest.approx(0.5, abs=0.05)
    assert measure(mp4(moving_square(1)))["black_ratio"] == 0.0


def test_one_picture_stands_still() -> None:
    row = measure(mp4([textured(0)]))
    assert (row["stillness"], row["black_ratio"], row["n_frames"]) == (1.0, 0.0, 1)


def test_what_cannot_be_decoded_has_its_reason() -> None:
    with pytest.raises(SampleFailed) as failure:
        measure(b"text" * 100)
    assert failure.value.reason is Reason.undecodable


def test_values_do_not_change_from_run_to_run() -> None:
    data = mp4(moving_square(2), sine(2, 440, -12))
    assert measure(data) == measure(data)
