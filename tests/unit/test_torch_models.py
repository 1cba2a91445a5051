"""open_clip and panns: layers of networks with random weights, from real small files to half-precision tables."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.unit.signals import moving_square, mp4, sine, textured
from tests.unit.torch_models import MEAN, STD, commit_clips, read, run, settings, weights_folder
from winnow.errors import ConfigError, ContractError
from winnow.lake import Lake
from winnow.models import pictures
from winnow.models.weights import find, load_state
from winnow.sample import Reason, SampleFailed
from winnow.settings import Settings
from winnow.stage import Batch, identity, stage_class
from winnow.stages import panns

IDS = [f"{i:020x}" for i in range(6)]
SHORT = {"open_clip": {"model": "tiny", "frames_hz": 2.0}, "panns": {"window_s": 1.0}}
WIDTHS = {
    "open_clip": {**{f"layer_{i}": 48 for i in range(5)}, "embedding": 24},
    "panns": {"layer_0": 64, "layer_1": 128, "layer_2": 512, "layer_3": 1024, "layer_4": 2048, "scores": 527},
}
COUNTED = {"open_clip": "n_frames", "panns": "n_windows"}


@pytest.fixture(autouse=True)
def _packages(need_package) -> None:
    need_package("torch", "open_clip", "panns_inference", "safetensors")


@pytest.fixture(scope="module")
def clips() -> dict[str, bytes]:
    """Three clips of different length and sound, one that is silent, one without pictures, and one that is none."""
    made = [mp4(moving_square(s, seed=s), sine(s, 220.0 * s, -12)) for s in (1, 2, 3)]
    made += [mp4(moving_square(1)), mp4(None, sine(1, 500, -12)), b"no file"]
    return dict(zip(IDS, made, strict=True))


@lru_cache(maxsize=2)
def encoder(name: str):
    """A stage's encoder on the CPU, made without the stage; Cnn14's layers in an order of their own."""
    import torch

    from winnow.models.open_clip_encoder import OpenClipEncoder
    from winnow.models.panns_encoder import PannsEncoder

    folder = weights_folder()
    found = find(folder, name, "tiny" if name == "open_clip" else "cnn14")
    kind = OpenClipEncoder if name == "open_clip" else PannsEncoder
    torch.set_num_threads(1)
    more = {} if name == "open_clip" else {"blocks": (2, 3, 6, 1)}
    return kind(found, load_state(folder, found), torch.device("cpu"), **more)


@pytest.fixture(scope="module", autouse=True)
def _release_memory():
    yield
    encoder.cache_clear()


def vectors(table: pa.Table, name: str) -> list[dict[str, np.ndarray]]:
    return [{k: np.asarray(row[k], np.float64) for k in WIDTHS[name]} for row in table.to_pylist() if row["model"]]


@pytest.mark.parametrize("name", ["open_clip", "panns"])
def test_a_batch_becomes_fixed_lists_of_half_precision(name: str, clips: dict, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    commit_clips(lake, "day", [clips], tmp_path)
    summary = run(lake, name, "day", settings(lake), **SHORT[name])
    assert (summary.ok, summary.failed) == (4, 2)
    manifest, table = read(lake, name, "day")
    for column, width in WIDTHS[name].items():
        assert table.schema.field(column).type == pa.list_(pa.float16(), width)
    rows = {row["sample_id"]: row for row in table.to_pylist()}
    lacking = IDS[4] if name == "open_clip" else IDS[3]
    assert rows[lacking]["reason"] == ("no_video_stream" if name == "open_clip" else "no_audio_stream")
    assert rows[IDS[5]]["reason"] == "undecodable"
    assert all(rows[lacking][column] is None for column in WIDTHS[name])
    per_s = 2 if name == "open_clip" else 1
    assert [rows[i][COUNTED[name]] for i in IDS[:3]] == [per_s * s for s in (1, 2, 3)]
    measured = vectors(table, name)
    assert all(np.isfinite(v).all() and v.std() > 0 for row in measured for v in row.values())
    assert all(np.abs(measured[0][c] - measured[1][c]).max() > 1e-3 for c in WIDTHS[name]), "clips differ"
    found = find(weights_folder(), name, SHORT[name].get("model", "cnn14"))
    assert {row["model"] for row in table.to_pylist()} == {found.label, None}
    assert manifest.model == found.digest
    again = run(lake, name, "day", settings(lake), **SHORT[name])
    assert (again.computed, again.skipped) == (0, 1)


@pytest.mark.parametrize("name", ["open_clip", "panns"])
def test_a_clips_bytes_depend_on_no_neighbour_thread_or_setting(name: str, clips: dict, tmp_path: Path) -> None:
    """One shard of three clips, in order; then each in a shard of its own, with other settings and more threads."""
    three, lake, alone = {i: clips[i] for i in IDS[:3]}, Lake(tmp_path / "a"), Lake(tmp_path / "b")
    commit_clips(lake, "day", [three], tmp_path)
    commit_clips(alone, "day", [{i: data} for i, data in three.items()], tmp_path)
    run(lake, name, "day", settings(lake), **SHORT[name])
    cls = stage_class(name)
    wide = type(cls.resources)(cpu=4, memory_mb=1, gpu=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cls, "resources", wide)
        patch.setattr(os, "sched_getaffinity", lambda _: range(4))
        run(alone, name, "day", settings(alone, model_batch=1), **SHORT[name])
    (manifest, together), apart = read(lake, name, "day"), [read(alone, name, "day", k) for k in range(3)]
    assert together.equals(pa.concat_tables(table for _, table in apart))
    assert {m.v for m, _ in apart} == {manifest.v}, "no setting is part of a table's version"


@pytest.mark.parametrize("name", ["open_clip", "panns"])
def test_full_batches_across_clips_give_the_same_to_rounding(name: str) -> None:
    """What a GPU is fed: seven rows at a time whatever the clip, the last batch padded. Every row finds its clip."""
    import torch

    from winnow.models.torch_batches import Line
    from winnow.stage import Sample

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

        line = Line(lambda ref: data[ref.decode()], encode, torch.device("cpu"), rows=7, threads=2)
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


@pytest.mark.parametrize("name", ["open_clip", "panns"])
def test_precision_changes_values_a_little_and_the_version(name: str, clips: dict, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    commit_clips(lake, "day", [{IDS[0]: clips[IDS[0]]}], tmp_path)
    versions, tables = [], []
    for precision in ("fp32", "bf16"):
        versions.append(run(lake, name, "day", settings(lake), precision=precision, **SHORT[name]).v)
        tables.append(vectors(read(lake, name, "day")[1], name)[0])
    assert versions[0] != versions[1]
    for column in WIDTHS[name]:
        difference = np.abs(tables[0][column] - tables[1][column]).max() / np.abs(tables[0][column]).max()
        assert 0 < difference < 0.05, column


def test_pictures_are_those_shown_in_the_middle_of_equal_parts() -> None:
    """Every picture is as bright as its time."""
    seconds, fps = 4, 25
    shown = [np.full((96, 128), 30 + 2 * k, np.uint8) for k in range(seconds * fps)]
    data = mp4(shown, fps=fps, bframes=0)

    def times_s(**params: object) -> list[float]:
        found, at_s = pictures.pictures(data, pictures.PictureParams(**params), 32, 32)
        assert found.shape[1:] == (32, 32, 3)
        assert at_s.tolist() == pytest.approx([(k + 0.5) * seconds / len(found) for k in range(len(found))])
        return [round((float(p.mean()) - 30) / 2 / fps, 2) for p in found]

    assert times_s() == pytest.approx([0.48, 1.48, 2.48, 3.48], abs=0.021)
    assert times_s(frames=2, decode="all") == pytest.approx([1.0, 3.0], abs=0.021)
    assert times_s(frames_hz=4.0, max_frames=5) == pytest.approx([0.4, 1.2, 2.0, 2.8, 3.6], abs=0.021)
    assert len(times_s(frames=200)) == 200, "more than there are: some twice"


def test_one_picture_and_odd_shapes() -> None:
    params = pictures.PictureParams(frames=3)
    assert pictures.pictures(mp4([textured(0)]), params, 32, 32)[0].shape == (3, 32, 32, 3)
    for height, width in ((16, 512), (512, 16), (64, 64)):
        found, _ = pictures.pictures(mp4([textured(0, height, width)] * 5), params, 32, 48)
        assert found.shape == (3, 32, 48, 3)


def test_pictures_are_scaled_as_open_clip_scales_them() -> None:
    import av
    import torch
    from PIL import Image

    from winnow.models.open_clip_encoder import import_open_clip

    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (9, 16, 3), np.uint8)).resize((320, 180), Image.Resampling.BICUBIC)
    frame = av.VideoFrame.from_ndarray(np.asarray(picture), "rgb24")
    kind = import_open_clip().transform
    for resize in ("shortest", "squash"):
        theirs = kind.image_transform(32, False, mean=MEAN, std=STD, resize_mode=resize, interpolation="bicubic")(
            picture
        )
        ours = torch.from_numpy(pictures.Scaler(32, 32, resize)(frame))
        ours = encoder("open_clip").normalised(ours[None])[0]
        assert float((theirs - ours).abs().mean()) < 0.03
        assert np.corrcoef(theirs.ravel(), ours.ravel())[0, 1] > 0.998


def test_windows_fit_the_sound() -> None:
    second = 100
    for length_s, count in ((10.02, 1), (14.9, 1), (15.1, 2), (20.0, 2), (99.0, 8)):
        wave = np.arange(round(length_s * second), dtype=np.float32)
        found = panns.windows(wave, 10 * second, 8)
        assert found.shape == (count, 10 * second)
        assert (np.diff(found, axis=1) == 1).all(), "each is a piece of the sound"
        middle = found.mean(axis=1)
        wanted = (np.arange(count) + 0.5) * len(wave) / count
        np.testing.assert_allclose(middle, wanted.clip(5 * second, len(wave) - 5 * second), atol=1)
    found = panns.windows(np.arange(30, dtype=np.float32), 100, 8)
    assert (found[0] == np.arange(100) % 30).all()


def test_what_half_precision_cannot_hold_is_a_failed_row() -> None:
    from winnow.models.torch_batches import half

    assert half({"layer_0": np.array([65504.0])})["layer_0"].dtype == np.float16
    with pytest.raises(SampleFailed) as failure:
        half({"layer_0": np.array([1.0, 7e4])})
    assert failure.value.reason is Reason.internal_error


@pytest.mark.parametrize(
    ("name", "params", "device", "said"),
    [
        ("open_clip", {"model": "tiny", "blocks": (1, 2, 3, 4, 8)}, "cpu", "5 numbers from 1 to 7"),
        ("open_clip", {"model": "tiny", "blocks": (1, 2)}, "cpu", "5 numbers from 1 to 7"),
        ("panns", {"blocks": (0, 1, 2, 3)}, "cpu", "4 numbers from 1 to 6"),
        ("open_clip", {"model": "tiny"}, "tpu", "auto, cpu, cuda"),
        ("open_clip", {"model": "tiny"}, "meta", "run on cpu and cuda"),
        ("open_clip", {"model": "tiny"}, "cuda:31", "sees .* CUDA devices"),
    ],
)
def test_what_cannot_be_is_refused_at_set_up(tmp_path: Path, name: str, params: dict, device: str, said: str) -> None:
    cls, lake = stage_class(name), Lake(tmp_path)
    stage = cls(cls.Params(**params), lake, settings(lake, device=device))
    with pytest.raises(ConfigError, match=said):
        stage.setup()


def test_an_architecture_that_the_checkpoint_does_not_fit(tmp_path: Path) -> None:
    found = find(weights_folder(), "open_clip", "tiny")
    state = load_state(weights_folder(), found)
    from winnow.models.open_clip_encoder import OpenClipEncoder, image_tower

    with pytest.raises(ContractError, match=r"tiny.safetensors does not fit ViT-B-32; missing: .* and \d+ more"):
        OpenClipEncoder(found.model_copy(update={"model": "ViT-B-32"}), state, "cpu")
    for name in ("no-such-model", "hf-hub:laion/x", "local-dir:/tmp"):
        with pytest.raises(ConfigError, match=name):
            image_tower(name)


def test_without_a_checkpoint_a_run_ends_before_any_work(tmp_path: Path) -> None:
    for name in ("open_clip", "panns"):
        cls = stage_class(name)
        with pytest.raises(ConfigError, match="no verified SHA-256"):
            identity(cls(cls.Params(), Lake(tmp_path), Settings(weights=tmp_path)))


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


def test_the_table_reads_back_as_numbers(clips: dict, tmp_path: Path) -> None:
    """DuckDB, which dbt and the gates read with, takes half-precision lists from Parquet as floats."""
    import duckdb

    lake = Lake(tmp_path / "lake")
    commit_clips(lake, "day", [{IDS[0]: clips[IDS[0]]}], tmp_path)
    run(lake, "open_clip", "day", settings(lake), **SHORT["open_clip"])
    manifest, table = read(lake, "open_clip", "day")
    path = lake.full(lake.table_key(manifest))
    (found,) = duckdb.sql(f"select layer_4, len(embedding) as width from '{path}'").fetchall()
    assert found[1] == 24
    np.testing.assert_array_equal(np.float16(found[0]), table["layer_4"][0].as_py())
    assert io.BytesIO(lake.read_table(manifest)).getbuffer().nbytes < 20000
