"""Separation metrics: the numbers that the definition gives, and torchmetrics' where both define the same thing."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner

from tests import needs
from winnow.cli.main import cli
from winnow.core.errors import ConfigError, ContractError
from winnow.metrics import calibration
from winnow.metrics.separation import si_snr_db, snr_db, suppression_db


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def sine(cycles: int, samples: int = 1600) -> np.ndarray:
    return np.sin(2 * np.pi * cycles * np.arange(samples) / samples)


def test_identical_signals_reach_the_cap() -> None:
    wave = noise(4, 16_000)
    assert si_snr_db(wave, wave) == pytest.approx([80.0] * 4, abs=1e-6)
    assert si_snr_db(wave, -3 * wave) == pytest.approx([80.0] * 4, abs=1e-6)


def test_orthogonal_signals_reach_the_floor() -> None:
    assert si_snr_db(sine(3), sine(5)) == pytest.approx(-80.0, abs=1e-6)
    assert si_snr_db(sine(3), np.zeros(1600)) == pytest.approx(-80.0)
    assert si_snr_db(np.zeros(1600), sine(3)) == pytest.approx(-80.0)


@pytest.mark.parametrize("scale", [1e-3, 0.5, 7.0, -2.0, 1e4])
def test_si_snr_ignores_scale(scale: float) -> None:
    reference, estimate = noise(16_000), noise(16_000) + 0.3 * noise(16_000, seed=1)
    assert si_snr_db(reference, scale * estimate) == pytest.approx(float(si_snr_db(reference, estimate)), abs=1e-9)
    assert si_snr_db(scale * reference, estimate) == pytest.approx(float(si_snr_db(reference, estimate)), abs=1e-9)
    assert abs(float(snr_db(reference, scale * estimate) - snr_db(reference, estimate))) > 1


@pytest.mark.parametrize("db", [-30, -3, 0, 9.9, 20, 45, 60])
def test_known_noise_gives_its_level(db: float) -> None:
    """Noise at right angles to the signal, `db` under it; on both sides of the seam at 20 dB."""
    reference, other = sine(3), sine(5)
    estimate = reference + 10 ** (-db / 20) * other
    expected = 10 * np.log10((1 / (1 + 10 ** (-db / 10)) + 1e-8) / (1 / (1 + 10 ** (db / 10)) + 1e-8))
    assert si_snr_db(reference, estimate) == pytest.approx(expected, abs=1e-9)
    assert expected == pytest.approx(db, abs=0.05)
    assert snr_db(reference, estimate) == pytest.approx(db, abs=0.2)


def test_snr_adds_its_constant_to_both_powers() -> None:
    assert snr_db(np.full(100, 2.0), np.full(100, 1.0)) == pytest.approx(10 * np.log10((4 + 1e-8) / (1 + 1e-8)))
    assert snr_db(np.full(100, 1e-4), np.zeros(100)) == pytest.approx(0.0, abs=1e-12)
    assert snr_db(np.full(100, 1e-4), np.full(100, 1e-4)) == pytest.approx(10 * np.log10(2))


def test_suppression_is_power_in_over_power_out() -> None:
    mixture = noise(3, 8000)
    assert suppression_db(mixture, mixture) == pytest.approx([0.0] * 3)
    assert suppression_db(mixture, 0.1 * mixture) == pytest.approx([20.0] * 3, abs=1e-4)
    assert (suppression_db(mixture, np.zeros((3, 8000))) > 79).all()


def test_what_is_no_signal_is_refused() -> None:
    for bad in (np.array([]), np.array(["a"]), np.array([1.0, np.nan]), np.zeros(4) + 1j):
        with pytest.raises(ContractError):
            si_snr_db(bad, np.ones(max(1, bad.size)))
    with pytest.raises(ContractError, match="3 and 4 samples"):
        snr_db(np.ones(3), np.ones(4))


def test_torchmetrics_agrees_where_the_definitions_coincide() -> None:
    """Between −33 and 33 dB the constants change less than 1e-4 dB of SI-SNR; at ±80 dB they are the value, which
    torchmetrics does not bound so. Its SI-SNR subtracts means, ours does not: they agree on signals without one, and
    its SI-SDR without `zero_mean` on all. SNR's constant is absolute here and the number type's there: they agree
    where powers are far above 1e-8."""
    needs.package("torch", "torchmetrics", "torchvision", "open_clip")
    from winnow.models.open_clip_encoder import import_open_clip

    import_open_clip()  # describes the operators that a CPU build of torch lacks and torchvision expects
    import torch
    from torchmetrics.audio import (
        ScaleInvariantSignalDistortionRatio,
        ScaleInvariantSignalNoiseRatio,
        SignalNoiseRatio,
    )

    for seed, level in enumerate(10.0 ** np.linspace(-1.5, 1.5, 9)):
        reference = noise(8000, seed=seed)
        estimate = 0.7 * reference + level * noise(8000, seed=100 + seed)
        shifted = estimate + 0.4
        centred_reference, centred = reference - reference.mean(), estimate - estimate.mean()
        for metric, ours, pair in (
            (ScaleInvariantSignalDistortionRatio(zero_mean=False), si_snr_db, (reference, shifted)),
            (ScaleInvariantSignalNoiseRatio(), si_snr_db, (centred_reference, centred)),
            (SignalNoiseRatio(), snr_db, (reference, shifted)),
        ):
            target, made = (torch.from_numpy(np.asarray(w, np.float64)) for w in pair)
            assert float(ours(*pair)) == pytest.approx(float(metric(made, target)), abs=1e-4)
        assert abs(float(si_snr_db(reference, shifted) - si_snr_db(centred_reference, centred))) > 1e-4
    same = torch.from_numpy(noise(8000))
    assert (
        float(ScaleInvariantSignalNoiseRatio()(same, same)) > 100 > 80.001 > float(si_snr_db(noise(8000), noise(8000)))
    )


def separated(count: int, seed: int) -> list[calibration.Separated]:
    """Answers of a model: four sources that add up to the mixture, some with a high logit."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        sources = rng.normal(size=(4, 400)) * rng.uniform(0.1, 1, (4, 1))
        out.append(calibration.Separated(sources.sum(axis=0), sources, rng.normal(-2, 3, 4)))
    return out


@pytest.mark.parametrize("statistic", ["median", "mean"])
@pytest.mark.parametrize("target_db", [1.0, 6.0, 20.0])
def test_calibration_reaches_its_target(statistic: str, target_db: float) -> None:
    answers = separated(15, seed=3)
    found = calibration.calibrate(answers, target_db, statistic=statistic)
    direct = [
        float(suppression_db(a.mixture, calibration.onscreen_estimate(a.sources, a.logits, found.bias)))
        for a in answers
    ]
    assert getattr(np, statistic)(direct) == pytest.approx(target_db, abs=1e-3)
    assert found.suppression_db == pytest.approx(target_db, abs=1e-3)
    assert (found.statistic, found.mixtures) == (statistic, 15)


def test_a_higher_target_asks_for_a_lower_bias() -> None:
    answers = separated(9, seed=4)
    biases = [calibration.calibrate(answers, db).bias for db in (2.0, 8.0, 16.0, 30.0)]
    assert biases == sorted(biases, reverse=True)


def test_calibration_says_what_can_be_reached() -> None:
    with pytest.raises(ConfigError, match=r"200.* is out of reach: these 5 mixtures reach .*0\.00 dB"):
        calibration.calibrate(separated(5, seed=6), 200.0)
    with pytest.raises(ContractError, match="at least one"):
        calibration.calibrate([], 6.0)
    with pytest.raises(ConfigError, match="median and mean"):
        calibration.calibrate(separated(1, seed=6), 6.0, statistic="mode")


def test_two_models_meet_at_one_operating_point() -> None:
    """A model whose logits are all 5 higher is the same model: calibration removes the difference."""
    answers = separated(9, seed=7)
    louder = [calibration.Separated(a.mixture, a.sources, a.logits + 5) for a in answers]
    references = [a.sources[0] for a in answers]
    one, two = (calibration.calibrate(a, 8.0) for a in (answers, louder))
    assert one.bias - two.bias == pytest.approx(5, abs=1e-3)
    scores = [
        calibration.onscreen_si_snr_db(references, model, found.bias)
        for model, found in ((answers, one), (louder, two))
    ]
    assert scores[0] == pytest.approx(scores[1], abs=1e-2)


def wav(path: Path, wave: np.ndarray, rate_hz: int = 16_000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="wav") as out:
        stream = out.add_stream("pcm_f32le", rate=rate_hz, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave[None], np.float32), format="flt", layout="mono")
        frame.rate = rate_hz
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def call(*arguments: object) -> dict:
    done = CliRunner().invoke(cli, ["metrics", *map(str, arguments)], standalone_mode=False, catch_exceptions=False)
    return json.loads(done.stdout.splitlines()[-1])


def test_one_command_scores_two_folders(tmp_path: Path) -> None:
    references, others = noise(3, 4000) * 0.1, noise(3, 4000, seed=1) * 0.1
    for i in range(3):
        wav(tmp_path / f"reference/m{i}.wav", references[i])
        np.save(_folder(tmp_path / "estimate") / f"m{i}.npy", (references[i] + 0.1 * others[i]).astype(np.float32))
        wav(tmp_path / f"mixture/m{i}.wav", references[i] + others[i])
    folders = ["--estimate", tmp_path / "estimate"]
    both = call(
        "separation",
        *folders,
        "--reference",
        tmp_path / "reference",
        "--mixture",
        tmp_path / "mixture",
        "--items",
        tmp_path / "items.csv",
    )
    direct = si_snr_db(references, references + 0.1 * others)
    assert both["items"] == 3
    assert both["si_snr_db"]["mean"] == pytest.approx(direct.mean(), abs=1e-3)
    assert both["si_snr_db"]["median"] == pytest.approx(np.median(direct), abs=1e-3)
    assert both["si_snr_improvement_db"]["mean"] == pytest.approx(20, abs=0.5)
    lines = (tmp_path / "items.csv").read_text().splitlines()
    assert (lines[0], len(lines)) == ("id,si_snr_db,snr_db,si_snr_improvement_db", 4)
    alone = call("separation", *folders, "--mixture", tmp_path / "mixture")
    assert set(alone) == {"items", "suppression_db"}


def test_unequal_folders_are_errors_that_say_where(tmp_path: Path) -> None:
    for name, length in (("a", 400), ("b", 400)):
        wav(tmp_path / f"estimate/{name}.wav", noise(length))
    wav(tmp_path / "reference/a.wav", noise(400))
    command = ["separation", "--estimate", tmp_path / "estimate", "--reference", tmp_path / "reference"]
    with pytest.raises(ContractError, match=r"do not hold the same items: 1 only in the first \['b'\]"):
        call(*command)
    wav(tmp_path / "reference/b.wav", noise(300))
    with pytest.raises(ContractError, match="b: lengths differ"):
        call(*command)
    wav(tmp_path / "reference/b.wav", noise(400), rate_hz=8000)
    with pytest.raises(ContractError, match=r"b: rates of \[8000, 16000\] Hz"):
        call(*command)
    (tmp_path / "reference/b.wav").write_bytes(b"#EXTM3U\nfile:///etc/passwd")
    with pytest.raises(ConfigError, match=r"b\.wav is no WAV or FLAC"):
        call(*command)
    with pytest.raises(ConfigError, match="give --reference"):
        call(*command[:3])
    with pytest.raises(ConfigError, match="is not a folder"):
        call("separation", "--estimate", tmp_path / "none", "--reference", tmp_path / "reference")


def test_a_pickle_is_not_loaded(tmp_path: Path) -> None:
    np.save(_folder(tmp_path / "estimate") / "a.npy", np.array([{"x": 1}]), allow_pickle=True)
    wav(tmp_path / "reference/a.wav", noise(400))
    with pytest.raises(ConfigError, match=r"a\.npy is not a plain \.npy array"):
        call("separation", "--estimate", tmp_path / "estimate", "--reference", tmp_path / "reference")


def test_calibration_from_folders(tmp_path: Path) -> None:
    for split, beside, seed in (("validation", "mixture", 1), ("test", "reference", 2)):
        for i, found in enumerate(separated(6, seed)):
            root = tmp_path / split
            for name in ("sources", "logits", beside):
                _folder(root / name)
            np.save(root / "sources" / f"{i}.npy", found.sources)
            np.save(root / "logits" / f"{i}.npy", found.logits)
            np.save(root / beside / f"{i}.npy", found.mixture if beside == "mixture" else found.sources[0])
    done = call("calibrate", "--validation", tmp_path / "validation", "--test", tmp_path / "test", "--target-db", 9)
    wanted = calibration.calibrate(separated(6, 1), 9.0)
    test = separated(6, 2)
    scores = calibration.onscreen_si_snr_db([a.sources[0] for a in test], test, wanted.bias)
    assert done["calibration"]["bias"] == pytest.approx(wanted.bias)
    assert done["si_snr_db"]["mean"] == pytest.approx(scores.mean())
    assert done["items"] == 6


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path
