"""audio: five layers that hear different things, and an envelope that rises when something begins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from tests.unit.signals import clicks, moving_square, mp4, sine
from winnow.core.lake import Lake
from winnow.core.sample import Reason, SampleFailed
from winnow.core.settings import Settings
from winnow.models import builtin_audio
from winnow.models.layers import AUDIO_LAYERS, GRID_HZ
from winnow.stages.audio import Audio, measure

COLUMNS = [layer.column for layer in AUDIO_LAYERS]
RATE_HZ = builtin_audio.RATE_HZ


def describe(wave: np.ndarray) -> dict[str, np.ndarray]:
    return builtin_audio.describe(wave.astype(np.float32), 0.0, len(wave) / RATE_HZ)


def tone(hz: float, seconds: float = 4.0, partials: int = 6) -> np.ndarray:
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return sum(np.sin(2 * np.pi * hz * k * t) / k for k in range(1, partials + 1)) * 0.1


def noise(seconds: float = 4.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=round(seconds * RATE_HZ)) * 0.05


def distance(a: dict, b: dict, column: str) -> float:
    return float(np.linalg.norm(np.asarray(a[column], np.float64) - b[column]) / np.sqrt(len(a[column])))


def test_the_schema_is_kept() -> None:
    row = measure(mp4(moving_square(4), sine(4, 440, -12)))
    assert set(row) == set(Audio.schema)
    for layer in AUDIO_LAYERS:
        assert row[layer.column].dtype == np.float32
        assert row[layer.column].shape == (layer.dim,)
        assert np.isfinite(row[layer.column]).all()
    assert abs(len(row["onset"]) - 4 * GRID_HZ) <= 1
    assert row["n_samples"] == pytest.approx(4 * RATE_HZ, abs=2000)


def test_bytes_do_not_change_from_run_to_run() -> None:
    data = mp4(None, clicks(3, (0.5, 1.4, 2.2)))
    first, second = measure(data), measure(data)
    assert all(first[column].tobytes() == second[column].tobytes() for column in [*COLUMNS, "onset"])


def test_the_pictures_do_not_matter_but_for_the_grid() -> None:
    wave = clicks(3, (0.5, 1.4, 2.2))
    bare, with_pictures = measure(mp4(None, wave)), measure(mp4(moving_square(3), wave))
    assert all(distance(bare, with_pictures, column) < 1e-6 for column in COLUMNS)


def test_level_does_not_matter() -> None:
    loud, quiet = describe(tone(330)), describe(0.1 * tone(330))
    assert all(distance(loud, quiet, column) < 0.001 for column in COLUMNS)


def test_layers_hear_different_things() -> None:
    """Four changes of one sound; each moves one layer more than the other changes do."""
    t = np.arange(4 * RATE_HZ) / RATE_HZ
    base = tone(330)
    bursts = clicks(4, np.arange(0.3, 4, 0.45), RATE_HZ)[0]
    changed = {
        "a0": tone(330, partials=1),
        "a2": tone(700),
        "a3": base * (1 + np.sin(2 * np.pi * 5 * t)),
        "a4": base * 0.2 + bursts,
    }
    rows = [describe(wave) for wave in changed.values()]
    moved = np.array([[distance(describe(base), row, column) for column in COLUMNS] for row in rows])
    share = moved / moved.sum(axis=0)
    assert share[:, COLUMNS.index("a3")].argmax() >= 2
    assert share[:, COLUMNS.index("a4")].argmax() >= 2
    assert share[1, COLUMNS.index("a2")] > share[1, COLUMNS.index("a4")]
    correlation = np.corrcoef(moved.T)
    assert (np.abs(correlation[np.triu_indices(5, 1)]) < 0.999).all()


def test_pitch_is_found_and_noise_is_not_pitched() -> None:
    def shares(wave: np.ndarray) -> np.ndarray:
        return np.square(describe(wave)["a2"][:16])

    for hz in (110, 330, 880):
        step = int(np.log2(hz / 60) * 16 / np.log2(2000 / 60))
        assert shares(tone(hz))[max(step - 1, 0) : step + 2].sum() > 0.9, hz
    pitched, unpitched = describe(tone(330))["a2"][16:22], describe(noise())["a2"][16:22]
    assert pitched.min() > 0.8
    assert unpitched.max() < 0.7


def test_modulation_is_found_in_its_band() -> None:
    t = np.arange(6 * RATE_HZ) / RATE_HZ
    edges_hz = np.geomspace(0.5, 20, 9)
    for hz in (1.0, 4.0, 12.0):
        depth = describe(noise(6) * (1 + 0.9 * np.sin(2 * np.pi * hz * t)))["a3"].reshape(8, 8)
        assert depth.mean(axis=0).argmax() == np.digitize(hz, edges_hz) - 1


def test_onsets_are_where_the_clicks_are() -> None:
    times_s = (0.5, 1.5, 2.25, 3.4)
    onset = measure(mp4(moving_square(4), clicks(4, times_s)))["onset"]
    cells = sorted(np.argsort(onset)[-4:])
    for time_s, cell in zip(times_s, cells, strict=True):
        assert abs((cell + 0.5) / GRID_HZ - time_s) <= 1 / GRID_HZ


def test_silence_and_very_short_sounds_are_finite() -> None:
    for wave in (np.zeros(2 * RATE_HZ), np.zeros(10), tone(330, 0.05), np.zeros(0)):
        row = describe(wave)
        assert all(np.isfinite(row[column]).all() for column in [*COLUMNS, "onset"])


def test_reasons() -> None:
    with pytest.raises(SampleFailed) as failure:
        measure(mp4(moving_square(1)))
    assert failure.value.reason is Reason.no_audio_stream
    with pytest.raises(SampleFailed) as failure:
        measure(b"no file")
    assert failure.value.reason is Reason.undecodable


def test_the_stage_holds_linear_algebra_to_one_thread(tmp_path: Path) -> None:
    Audio(Audio.Params(), Lake(tmp_path), Settings()).setup()
    assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {1}
