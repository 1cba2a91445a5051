"""vggish and vgg19: from small files to features by second, with networks of random weights; what a task reads of
them."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests import needs
from tests.unit.signals import mp4, sine, textured
from tests.unit.torch_models import IDS, commit_clips, entry, read, run, settings, sha256
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.core.stage import identity, stage_class
from winnow.models.weights import SHIPPED, entries, find, load_state
from winnow.train.vectors import join

#: Preprocessing of the small networks: of sound shorter patches in fewer bins, of pictures two positions a side.
SMALL = {"vggish": {"frames": 16, "mel_bins": 16}, "vgg19": {"size": 64}}
SAID = {"vggish": {"seconds": 4}, "vgg19": {"seconds": 4, "per_s": 2, "decode": "all"}}
NAMES = ("vggish", "vgg19")


@pytest.fixture(scope="module", autouse=True)
def _packages() -> None:
    needs.package("torch", "safetensors")


@lru_cache(maxsize=1)
def weights() -> Path:
    """A folder with a small VGGish and a VGG-19, random; the published files' classifier stands beside its
    convolutions."""
    import safetensors.torch
    import torch

    from winnow.models.vgg import VGG19, VggishNet, convolutions

    folder = Path(tempfile.mkdtemp(prefix="winnow-test-vgg-"))
    atexit.register(shutil.rmtree, folder, True)
    torch.manual_seed(0)
    seen = {f"features.{name}": value for name, value in convolutions(VGG19, 3).state_dict().items()}
    states = {"vggish": VggishNet(16, 16).state_dict(), "vgg19": {**seen, "classifier.0.bias": torch.zeros(3)}}
    for kind, state in states.items():
        # weights that keep a signal's size through all layers, so that different inputs end apart
        scaled = {n: v * 2.4 if n.endswith("weight") else v for n, v in state.items()}
        path = folder / f"{kind}.safetensors"
        safetensors.torch.save_file(scaled, path)
        name = "audioset" if kind == "vggish" else "imagenet"
        entry(folder, kind, name, file=path.name, sha256=sha256(path), preprocessing=SMALL[kind])
    return folder


def by_second() -> bytes:
    """A clip of three seconds: in the second one another picture and a tone; silence and one picture around it."""
    shown = [textured(k // 25 % 2, 64, 64) for k in range(75)]
    heard = np.zeros((1, 3 * 44_100), np.float32)
    heard[:, 44_100 + 2_000 : 88_200 - 2_000] = sine(1, 500, -6)[:, : 44_100 - 4_000]
    return mp4(shown, heard, bframes=0)


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> tuple[Lake, dict[str, pa.Table]]:
    """A lake in which both stages have measured three clips: `by_second`, one of six seconds, one that is none."""
    folder = tmp_path_factory.mktemp("lake")
    lake = Lake(folder / "lake")
    long = mp4([textured(k // 25, 64, 64) for k in range(150)], sine(6, 700, -6), bframes=0)
    commit_clips(lake, "day", [{IDS[0]: by_second(), IDS[1]: long, IDS[2]: b"no file"}], folder)
    for name in NAMES:
        run(lake, name, "day", settings(lake, weights=weights()), **SAID[name])
    return lake, {name: read(lake, name, "day")[1] for name in NAMES}


@pytest.mark.parametrize(("name", "positions", "width"), [("vggish", 1, 128), ("vgg19", 4, 512)])
def test_row_i_is_of_second_i_and_the_last_one_is_repeated(
    measured: tuple, name: str, positions: int, width: int
) -> None:
    lake, tables = measured
    assert tables[name].schema.field("features").type == pa.list_(pa.float16(), 4 * positions * width)
    rows = {row["sample_id"]: row for row in tables[name].to_pylist()}
    assert [rows[IDS[k]]["n_seconds"] for k in range(3)] == [3, 4, None]
    assert rows[IDS[2]]["reason"] == "undecodable"
    assert {rows[IDS[0]]["positions"], rows[IDS[1]]["positions"]} == {positions}
    assert rows[IDS[0]]["model"] == find(weights(), name, "audioset" if name == "vggish" else "imagenet").label
    found = np.array(rows[IDS[0]]["features"], np.float64).reshape(4, positions * width)
    same, other = np.abs(found[0] - found[2]).max(), np.abs(found[0] - found[1]).max()
    assert same < 0.1 * other, "only the second one is another"
    assert (found[3] == found[2]).all(), "a clip of three seconds repeats its last"
    again = run(lake, name, "day", settings(lake, weights=weights()), **SAID[name])
    assert (again.computed, again.skipped) == (0, 1)


def test_the_map_is_channels_last_row_by_row(measured: tuple) -> None:
    """Against the network called as torchvision has it: channels first, before anything is moved."""
    import torch

    from winnow.models.vgg import Vgg19Encoder

    found = find(weights(), "vgg19", "imagenet")
    encoder = Vgg19Encoder(found, load_state(weights(), found), torch.device("cpu"))
    pictures = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8))
    with torch.inference_mode():
        got = encoder.encode(pictures).numpy().reshape(2, 2, 2, 512)
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        plain = encoder.net["features"](((pictures.float() / 255 - mean) / std).permute(0, 3, 1, 2)).numpy()
        flipped = Vgg19Encoder(
            found.model_copy(update={"preprocessing": {**found.preprocessing, "order": "bgr"}}),
            load_state(weights(), found),
            torch.device("cpu"),
        )
        other = flipped.encode(pictures.flip(3)).numpy().reshape(2, 2, 2, 512)
    assert np.abs(plain).max() > 0
    np.testing.assert_allclose(got, plain.transpose(0, 2, 3, 1), rtol=0, atol=1e-5 * np.abs(plain).max())
    np.testing.assert_array_equal(other, got)


def test_vggish_hears_what_its_authors_code_computes() -> None:
    """Shipped constants, against torch's own Fourier transform and triangles written out: 25 ms every 10 ms, 512
    points, 64 bins of 125 to 7,500 Hz, ln(mel + 0.01), patches of 0.96 s; the channels come last when it is flat."""
    import torch

    from winnow.models.vgg import Patches, VggishNet

    options = Patches(**entries(SHIPPED)["vggish"]["audioset"]["preprocessing"])
    wave = np.random.default_rng(0).normal(0, 0.1, 2 * 16_000).astype(np.float32)
    got = options(wave, 0.96)
    assert got.shape == (2, 96, 64)
    assert options.patch == 15_600
    assert len(options(wave, 1.0)) == 2, "0.975 s of the second one are enough"
    frames = torch.from_numpy(wave).double().unfold(0, 400, 160)
    power = torch.fft.rfft(frames * torch.hann_window(400, periodic=True, dtype=torch.float64), 512).abs()
    edges = torch.linspace(1127 * np.log(1 + 125 / 700), 1127 * np.log(1 + 7500 / 700), 66, dtype=torch.float64)
    at = 1127 * torch.log(1 + torch.arange(257, dtype=torch.float64) * 16_000 / 512 / 700)
    up = (at[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - at[:, None]) / (edges[2:] - edges[1:-1])
    bank = torch.minimum(up, down).clamp(min=0)
    bank[0] = 0
    wanted = torch.log(power @ bank + 0.01)
    np.testing.assert_allclose(got[0], wanted[:96], atol=1e-5)
    np.testing.assert_allclose(got[1], wanted[96:192], atol=1e-5)
    with torch.device("meta"):
        assert sum(p.numel() for p in VggishNet(96, 64).parameters()) == 72_141_184
    net = VggishNet(16, 32)
    net.embeddings = torch.nn.Identity()
    patch = torch.randn(1, 1, 16, 32)
    flat, maps = net(patch).detach(), net.features(patch).detach()
    assert maps.shape == (1, 512, 1, 2)
    np.testing.assert_array_equal(flat.reshape(2, 512).T, maps[0, :, 0])


def test_equal_inputs_give_equal_bytes_alone_or_together(measured: tuple, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    commit_clips(lake, "day", [{IDS[0]: by_second()}], tmp_path)
    for name in NAMES:
        run(lake, name, "day", settings(lake, weights=weights(), model_batch=1), **SAID[name])
        assert read(lake, name, "day")[1].equals(measured[1][name].slice(0, 1))


def _release(lake: Lake, tmp_path: Path) -> Path:
    from tests.unit.train import planted

    shards = [
        {"stage": name, "batch": "day", "path": lake.table_key(manifest), "sha256": manifest.sha256}
        for name in NAMES
        for manifest in [read(lake, name, "day")[0]]
    ]
    return planted.release(Lake(tmp_path), planted.samples(3), shards=shards)


def test_a_task_reads_maps_and_vectors_of_as_many_seconds_as_its_labels(measured: tuple, tmp_path: Path) -> None:
    lake, tables = measured
    folder = _release(lake, tmp_path)
    inputs = {"audio": ("vggish.features",), "visual": ("vgg19.features",)}
    ids = pa.array(IDS[:2])
    whole = np.array(tables["vgg19"]["features"][0].as_py(), np.float32).reshape(4, 4, 512)
    for seconds in (2, 4, 5):
        found = join(lake, folder, ids, inputs, seconds, None, 0.0)
        audio, visual = (found.vectors.arrays[name][found.places[0]] for name in ("audio", "visual"))
        assert (audio.shape, visual.shape) == ((seconds, 128), (seconds, 4, 512))
        np.testing.assert_array_equal(visual, whole[np.minimum(np.arange(seconds), 3)])
        assert set(found.vectors.card["encoders"]) == set(NAMES)
    mean = join(lake, folder, ids, inputs, 1, None, 0.0)
    np.testing.assert_allclose(mean.vectors.arrays["visual"][0, 0], whole.mean(0), rtol=1e-6)
    with pytest.raises(ContractError, match=r"vgg19\.features has 4 positions: .* stands alone"):
        join(lake, folder, ids, {**inputs, "audio": ("vgg19.features",)}, 4, None, 0.0)
    missing = pa.array([IDS[0], IDS[2]])
    with pytest.raises(ContractError, match=f"clip {IDS[2]}: it failed as undecodable"):
        join(lake, folder, missing, inputs, 4, None, 0.0)


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_is_refused_before_any_work(name: str, tmp_path: Path) -> None:
    cls = stage_class(name)
    with pytest.raises(ConfigError, match="no verified SHA-256"):
        identity(cls(cls.Params(), Lake(tmp_path), Settings(weights=tmp_path)))
    found = find(weights(), name, "audioset" if name == "vggish" else "imagenet")
    state = load_state(weights(), found)
    stage = cls(cls.Params(), Lake(tmp_path), Settings(weights=weights()))
    with pytest.raises(ConfigError, match=rf"\[{name}\..*'ResNet'"):
        stage.load(found.model_copy(update={"model": "ResNet"}), state, "cpu")
    state.popitem()
    state.pop("features.0.weight")
    with pytest.raises(ContractError, match=r"does not fit VGG.*missing: .*features\.0\.weight"):
        stage.load(found, state, "cpu")
