"""The exported graphs of `joint`: what they are fed is what the model was trained on, and no file is run that nobody
vouched for."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from tests import needs
from tests.unit.models.test_weights import Harmful
from tests.unit.onnx_graphs import linear
from tests.unit.torch_models import HEAR, joint, sha256, weights_folder
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.core.stage import stage_class
from winnow.models import mel
from winnow.models.weights import find, load_state


@pytest.fixture(scope="module", autouse=True)
def _packages() -> None:
    needs.package("torch", "open_clip", "panns_inference", "safetensors", "onnxruntime")


def stage(folder: Path, model: str = "tiny", device: str = "cpu"):
    cls = stage_class("joint")
    return cls(cls.Params(model=model), Lake(folder / "lake"), Settings(weights=folder, device=device))


def test_pieces_of_sound_lie_evenly_and_are_filled_up() -> None:
    from winnow.models.joint import SoundPreprocessing

    prepare = SoundPreprocessing(**HEAR)
    wave = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    found = prepare(wave)
    assert found.shape == (3, 1, 20, 60)
    assert found.dtype == np.float32
    for piece, start in zip(found, (0, 6000, 12000), strict=True):
        spectrum = mel.log_mel(
            wave[start : start + 4000], rate_hz=8000, bins=20, window_s=0.025, hop_s=0.01, fmin_hz=20, fmax_hz=0
        )
        assert len(spectrum) == 48
        np.testing.assert_allclose(piece[0, :, :48], (spectrum.T + 4) / 9, atol=1e-5)
        np.testing.assert_allclose(piece[0, :, 48:], 4 / 9, atol=1e-6)
    short = prepare(wave[:1000])
    np.testing.assert_array_equal(short[0], short[2])
    with pytest.raises(ValueError, match="shorter than a window"):
        prepare(wave[:100])


def test_spectra_are_kaldis() -> None:
    """Values of kaldi-native-fbank 1.23 (Kaldi's own code): 40 bins, Hann window of 25 ms every 10 ms, dither 0."""
    t = np.arange(8000) / 16000
    wave = 0.2 * np.sign(np.sin(2 * np.pi * 110.3 * t)) * np.exp(-2 * t) + 0.1 * np.sin(
        2 * np.pi * (300 * t + 4000 * t**2)
    )
    found = mel.log_mel(
        wave.astype(np.float32), rate_hz=16000, bins=40, window_s=0.025, hop_s=0.01, fmin_hz=20, fmax_hz=0
    )
    assert found.shape == (48, 40)
    kaldi = {
        0: (-0.308, -0.916, 0.223, 0.95, 1.582),
        20: (-1.109, -1.681, -0.519, 0.15, 0.781),
        47: (-2.204, -2.751, -1.655, -0.847, -0.298),
    }
    for frame, values in kaldi.items():
        np.testing.assert_allclose(found[frame, [0, 9, 19, 29, 39]], values, atol=6e-4)


def test_a_graph_of_another_digest_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    joint(tmp_path, "tiny")
    file = tmp_path / "joint_sound-tiny.onnx"
    data = file.read_bytes()
    real = onnxruntime.InferenceSession
    for other in (data[:-1], data[:100], b"", data + b"\0"):
        file.write_bytes(other)
        monkeypatch.setattr(
            onnxruntime,
            "InferenceSession",
            lambda given, *a, **k: pytest.fail("it was opened") if given == other else real(given, *a, **k),  # noqa: B023
        )
        with pytest.raises(ContractError, match=r"is not the checkpoint of joint_sound.tiny.*not opened"):
            stage(tmp_path).setup()


def made(folder: Path, data: bytes, suffix: str = "onnx") -> None:
    """A joint model whose picture side is this file, with the right digest."""
    joint(folder, "tiny")
    text = (folder / "weights.toml").read_text()
    file = folder / f"other.{suffix}"
    file.write_bytes(data)
    old = sha256(folder / "joint_picture-tiny.onnx")
    text = text.replace("joint_picture-tiny.onnx", file.name).replace(old, sha256(file))
    (folder / "weights.toml").write_text(text)


def test_a_file_that_is_no_whole_graph_is_refused_even_when_its_digest_is_right(tmp_path: Path) -> None:
    weights = np.ones((768, 4), np.float32)
    trace = tmp_path / "trace"
    graph = linear((3, 16, 16), weights)
    for number, data in enumerate((b"", graph[:200], graph[:-30], pickle.dumps(Harmful(trace), protocol=2))):
        folder = tmp_path / str(number)
        folder.mkdir()
        made(folder, data)
        with pytest.raises(ContractError, match=r"other.onnx .*right digest and is no graph"):
            stage(folder).setup()
    assert not trace.exists()
    folder = tmp_path / "operator"
    folder.mkdir()
    made(folder, linear((3, 16, 16), weights, operator="Call", domain="home.made"))
    with pytest.raises(ContractError, match=r"home.made:Call.*is not a registered"):
        stage(folder).setup()


def test_numbers_that_no_digest_covers_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph may point to a file for its numbers; onnxruntime would take it from the working folder."""
    weights = np.ones((768, 4), np.float32)
    monkeypatch.chdir(tmp_path)
    weights.tofile("numbers.bin")
    for number, outside in enumerate(("numbers.bin", str(tmp_path / "numbers.bin"), "../numbers.bin")):
        folder = tmp_path / str(number)
        folder.mkdir()
        made(folder, linear((3, 16, 16), weights, outside=outside))
        with pytest.raises(ContractError, match="with its numbers inside"):
            stage(folder).setup()


def test_a_checkpoint_is_no_graph_and_a_graph_no_checkpoint(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    made(tmp_path, pickle.dumps(Harmful(trace), protocol=2), "pt")
    with pytest.raises(ConfigError, match=r"other.pt .*an exported graph is wanted"):
        stage(tmp_path).setup()
    assert not trace.exists()
    with pytest.raises(ConfigError, match="not an exported graph"):
        load_state(weights_folder(), find(weights_folder(), "joint_sound", "tiny"))


@pytest.mark.parametrize("shape", [(3, 8, 8), (16, 16), (1, 16, 16)])
def test_a_graph_of_another_shape_is_named(tmp_path: Path, shape: tuple[int, ...]) -> None:
    made(tmp_path, linear(shape, np.ones((int(np.prod(shape)), 4), np.float32)))
    with pytest.raises(ContractError, match=r"must take float32 \(n, 3, 16, 16\) and give \(n, d\)"):
        stage(tmp_path).setup()


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    from winnow.models.graphs import providers

    assert providers("cpu") == ["CPUExecutionProvider"]
    for device in ("tpu", "cuda:99"):
        if device == "tpu" or "CUDAExecutionProvider" not in __import__("onnxruntime").get_available_providers():
            with pytest.raises(ConfigError, match=f"WINNOW_DEVICE={device}"):
                providers(device)
