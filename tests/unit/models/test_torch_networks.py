"""The layers of open_clip and PANNs against the networks' own modules; batches, checkpoints, libraries, the GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import needs
from tests.unit.torch_models import IDS, MEAN, STD, encoder, weights_folder
from winnow.core.errors import ConfigError, ContractError
from winnow.core.stage import Batch
from winnow.models.weights import find, load_state


@pytest.fixture(scope="module", autouse=True)
def _packages() -> None:
    needs.package("torch", "open_clip", "panns_inference", "safetensors")


@pytest.fixture(scope="module", autouse=True)
def _release_memory():
    yield
    encoder.cache_clear()


@pytest.mark.parametrize("name", ["open_clip", "panns"])
def test_full_batches_across_clips_give_the_same_to_rounding(name: str) -> None:
    """What a GPU is fed: seven rows at a time whatever the clip, the last batch padded. Every row finds its clip."""
    import torch

    from winnow.core.stage import Sample
    from winnow.models.torch_batches import EncodePipeline

    network, rng = encoder(name), np.random.default_rng(0)
    if name == "open_clip":
        data = {i: rng.integers(0, 256, (n, 32, 32, 3), np.uint8) for i, n in zip(IDS, (3, 1, 16, 6), strict=False)}
    else:
        data = {i: rng.normal(0, 0.1, (n, 16000)).astype(np.float32) for i, n in zip(IDS, (2, 1, 9), strict=False)}

    class Held(Sample):
        def media(self, ext: str = "mp4") -> bytes:
            return self.id.encode()

    def values(across: bool) -> dict[str, np.ndarray]:
        sizes: list[int] = []

        def encode(rows: torch.Tensor) -> torch.Tensor:
            sizes.append(len(rows))
            return network.encode(rows)

        line = EncodePipeline(lambda ref: data[ref.decode()], encode, torch.device("cpu"), rows=7, threads=2)
        line.across, line.rows = (True, 7) if across else (line.across, line.rows)
        samples = Batch([Held(i, {}) for i in data], Path())
        out = {o.sample_id: o.values["rows"] for o in line.run(samples, lambda clip: {"rows": clip.values})}
        counts = [len(rows) for rows in data.values()]
        assert sizes == ([7] * -(-sum(counts) // 7) if across else counts)
        return out

    packed, plain = values(True), values(False)
    for i, rows in data.items():
        assert packed[i].shape == plain[i].shape == (len(rows), sum(network.widths.values()))
        np.testing.assert_allclose(packed[i], plain[i], rtol=0, atol=2e-5 * np.abs(plain[i]).max())


def test_open_clip_layers_are_the_blocks_outputs() -> None:
    """Against the tower's own modules, called one after another in a plain loop."""
    import torch
    import torch.nn.functional as F

    network = encoder("open_clip")
    assert network.blocks == (2, 3, 5, 6, 7)
    pictures = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), np.uint8)
    with torch.inference_mode():
        got = network.encode(torch.from_numpy(pictures)).numpy()
        x = torch.stack([torch.from_numpy(p.astype(np.float32) / 255) for p in pictures])
        x = ((x - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)
        vit, outputs = network.visual, {}
        x = vit.conv1(x).flatten(2).transpose(1, 2)
        x = torch.cat([vit.class_embedding.expand(3, 1, -1), x], dim=1) + vit.positional_embedding
        x = vit.ln_pre(x)
        for number, block in enumerate(vit.transformer.resblocks, 1):
            x = block(x)
            outputs[number] = x[:, 1:].mean(dim=1)
        embedding = F.normalize(vit.ln_post(x)[:, 0] @ vit.proj, dim=-1)
    at = 0
    for block in network.blocks:
        np.testing.assert_allclose(got[:, at : at + 48], outputs[block].numpy(), atol=1e-5)
        at += 48
    np.testing.assert_allclose(got[:, at:], embedding.numpy(), atol=1e-6)


def test_panns_layers_are_the_blocks_outputs_and_tags_come_with_them() -> None:
    import torch
    import torch.nn.functional as F

    network = encoder("panns")
    sounds = torch.from_numpy(np.random.default_rng(1).normal(0, 0.1, (2, 32000)).astype(np.float32))
    cnn, outputs = network.network, {}
    with torch.inference_mode():
        got = network.encode(sounds).numpy()
        spectrum = torch.stft(
            sounds, 1024, 320, window=torch.hann_window(1024), center=True, pad_mode="reflect", return_complex=True
        )
        power = spectrum.abs().square().transpose(1, 2)[:, None]
        x = 10 * torch.log10(torch.clamp(power @ cnn.logmel_extractor.melW, min=1e-10))
        x = cnn.bn0(x.transpose(1, 3)).transpose(1, 3)
        for number in range(1, 7):
            block = getattr(cnn, f"conv_block{number}")
            x = F.relu(block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x))))))
            x = F.avg_pool2d(x, 2) if number < 6 else x
            outputs[number] = x.mean(dim=(2, 3))
        x = x.mean(dim=3)
        embedding = F.relu(cnn.fc1(x.amax(dim=2) + x.mean(dim=2)))
        scores = torch.sigmoid(cnn.fc_audioset(embedding))
    wanted = torch.cat([*(outputs[b] for b in (2, 3, 6, 1)), embedding], dim=1).numpy()
    assert list(network.widths.items())[-1] == ("scores", 527)
    assert list(network.widths.values())[:-1] == [128, 256, 2048, 64, 2048]
    np.testing.assert_allclose(got[:, :-527], wanted, atol=1e-4 * np.abs(wanted).max())
    np.testing.assert_allclose(got[:, -527:], scores.numpy(), atol=1e-5)


def test_an_architecture_that_the_checkpoint_does_not_fit(tmp_path: Path) -> None:
    found = find(weights_folder(), "open_clip", "tiny")
    state = load_state(weights_folder(), found)
    from winnow.models.open_clip_encoder import OpenClipEncoder, image_tower

    with pytest.raises(ContractError, match=r"tiny.safetensors does not fit ViT-B-32; missing: .* and \d+ more"):
        OpenClipEncoder(found.model_copy(update={"model": "ViT-B-32"}), state, "cpu")
    for name in ("no-such-model", "hf-hub:laion/x", "local-dir:/tmp"):
        with pytest.raises(ConfigError, match=name):
            image_tower(name)


def test_importing_the_libraries_downloads_and_writes_nothing(tmp_path: Path) -> None:
    home, tools = tmp_path / "home", tmp_path / "tools"
    home.mkdir()
    tools.mkdir()
    (tools / "wget").write_text(f"#!/bin/sh\ntouch {tmp_path}/called\n")
    (tools / "wget").chmod(0o755)
    code = """if True:
        import socket, sys
        def refuse(*a, **k):
            raise SystemExit("a connection was tried")
        socket.socket.connect = socket.getaddrinfo = refuse
        from winnow.models.open_clip_encoder import image_tower
        from winnow.models.panns_encoder import network
        network().Cnn14
        import os
        tower = type(image_tower("ViT-S-32-alt")).__name__
        print(os.environ["HF_HUB_OFFLINE"], "panns_inference" in sys.modules, tower)
    """
    environment = {**os.environ, "HOME": str(home), "PATH": f"{tools}:{os.environ['PATH']}"}
    environment |= {"MPLCONFIGDIR": str(tmp_path / "mpl"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=400)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["1", "False", "VisionTransformer"]
    assert not (tmp_path / "called").exists()
    assert [p for p in home.rglob("*") if p.is_file()] == []


def test_a_gpu_gives_the_same_within_the_tolerance_that_is_stated() -> None:
    import torch

    from winnow.models.torch_batches import GPU_TOLERANCE, deterministic

    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    from winnow.models.open_clip_encoder import OpenClipEncoder

    folder = weights_folder()
    found = find(folder, "open_clip", "tiny")
    pictures = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), np.uint8))
    deterministic(torch.device("cuda"))
    with torch.inference_mode():
        there = OpenClipEncoder(found, load_state(folder, found), torch.device("cuda")).encode(pictures.cuda()).cpu()
        here = encoder("open_clip").encode(pictures)
    assert float((there - here).abs().max() / here.abs().max()) < GPU_TOLERANCE
