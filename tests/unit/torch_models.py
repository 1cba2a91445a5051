"""Checkpoints and graphs with random weights, the folder and the catalogue they lie in, and shards of clips to run them
on; the encoders over these weights."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import io
import json
import math
import re
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.unit.manifests import manifest_of
from tests.unit.onnx_graphs import linear
from winnow.core import table
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.manifest import Manifest
from winnow.core.runtime import Runtime, Summary
from winnow.core.settings import Settings
from winnow.core.shard import Lineage, shard_name
from winnow.core.stage import stage_class, stage_optional_needs
from winnow.models.weights import find, load_state

TINY = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 7, "width": 48, "patch_size": 8, "head_width": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
MEAN, STD = [0.48, 0.46, 0.41], [0.27, 0.26, 0.28]
IDS = [f"{i:020x}" for i in range(6)]
NEEDS = {
    "open_clip": ("clip",),
    "panns": ("clip",),
    "bridge": ("clip", "panns"),
    "joint": ("clip",),
    "vggish": ("clip",),
    "vgg19": ("clip",),
    "efficientnet": ("clip",),
    "yamnet": ("clip",),
    "ridge": ("clip", "efficientnet", "yamnet"),
}
#: PANNs' checkpoint, as its publisher calls it.
CNN14 = "Cnn14_mAP=0.431"
#: How published files become checkpoints.
RECIPES = Path(__file__).resolve().parents[2] / "images" / "model" / "README.md"
#: Preprocessing of the tiny joint model's two sides.
LOOK = {"size": 16, "mean": MEAN, "std": STD}
HEAR = {"rate_hz": 8000, "mel_bins": 20, "frames": 60, "mean": -4.0, "std": 9.0, "clips": 3, "clip_s": 0.5}


def entry(folder: Path, kind: str, name: str, **values: object) -> None:
    """Append an entry to the catalogue of a folder of weights."""
    plain = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
    lines = [f"[{kind}.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in plain.items())]
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines += [f"[{kind}.{name}.{key}]", *(f"{k} = {json.dumps(v)}" for k, v in value.items())]
    with (folder / "weights.toml").open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n\n")


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@lru_cache(maxsize=1)
def weights_folder() -> Path:
    """A folder with a tiny CLIP (safetensors, as open_clip names its tensors), a full Cnn14 (a .pth as PANNs publishes
    it, and what its recipe makes of that) and the two graphs of a joint model (ONNX), all random; made once a process,
    and nobody may change it."""
    import safetensors.torch
    import torch

    from winnow.models.open_clip_encoder import import_open_clip
    from winnow.models.panns_encoder import network

    folder = Path(tempfile.mkdtemp(prefix="winnow-test-weights-"))
    atexit.register(shutil.rmtree, folder, True)
    (folder / "architectures").mkdir()
    (folder / "architectures" / "winnow-tiny.json").write_text(json.dumps(TINY))
    open_clip = import_open_clip()
    open_clip.add_model_config(folder / "architectures")
    torch.manual_seed(0)
    clip = open_clip.create_model("winnow-tiny", pretrained=None)
    safetensors.torch.save_file(clip.state_dict(), folder / "tiny.safetensors")
    cnn = network().Cnn14(32000, 1024, 320, 64, 50, 14000, 527)
    # what PANNs' training saves: the model, and the state of its balanced sampler
    sampler = {"indexes_per_class": [np.arange(3)], "queue": [1, 2], "pointers_of_classes": [0]}
    torch.save({"iteration": 1, "model": cnn.state_dict(), "sampler": sampler}, folder / f"{CNN14}.pth")
    convert("Cnn14", folder)
    preprocessing = {"mean": MEAN, "std": STD}
    entry(
        folder,
        "open_clip",
        "tiny",
        model="winnow-tiny",
        file="tiny.safetensors",
        sha256=sha256(folder / "tiny.safetensors"),
        preprocessing=preprocessing,
    )
    cnn14 = folder / f"{CNN14}.safetensors"
    entry(folder, "panns", "cnn14", file=cnn14.name, sha256=sha256(cnn14))
    joint(folder, "tiny")
    return folder


def convert(what: str, folder: Path) -> None:
    """Run the recipe of images/model/README.md that names `what`, over the published file in a folder."""
    blocks = re.findall(r"```python\n(.*?)```", RECIPES.read_text(), re.DOTALL)
    (recipe,) = (block for block in blocks if what in block)
    with contextlib.chdir(folder):
        exec(compile(recipe, what, "exec"), {})


def joint(folder: Path, name: str, sound_length: float = 1.0, **changed: object) -> None:
    """Write the two graphs of a joint model into a folder and its catalogue: each flattens and multiplies by random
    numbers, the sound's vectors `sound_length` times as long. `changed`: fields of both entries."""
    rng = np.random.default_rng(0)
    sides = {"joint_picture": ((3, 16, 16), LOOK, 1.0), "joint_sound": ((1, 20, 60), HEAR, sound_length)}
    for kind, (shape, preprocessing, length) in sides.items():
        weights = rng.normal(size=(math.prod(shape), 12)).astype(np.float32) * np.float32(length)
        file = folder / f"{kind}-{name}.onnx"
        file.write_bytes(linear(shape, weights))
        fields = {"model": "linear", "file": file.name, "sha256": sha256(file), **changed}
        entry(folder, kind, name, preprocessing=preprocessing, **fields)


def settings(lake: Lake, **more: object) -> Settings:
    """A deployment with those weights, on the CPU."""
    return Settings(lake=lake.root, **{"weights": weights_folder(), "device": "cpu", **more})


def commit_clips(
    lake: Lake, batch: str, shards: list[dict[str, bytes]], scratch: Path, stage: str = "clip", **values: object
) -> None:
    """Commit a table of clips, or of residuals (`separate`), whose shards hold these files by sample id, as if it had
    been cut; values: of every row."""
    schema, names = table.arrow_schema(stage_class(stage).schema), []
    for number, files in enumerate(shards):
        rows = [{"sample_id": name, "outcome": "ok", "video_id": f"video-{name}", **values} for name in sorted(files)]
        data = table.to_bytes(pa.Table.from_pylist(rows, schema=schema))
        digest = sha256_bytes(data)
        name = shard_name(number, {"rows": digest})
        tar_path = scratch / f"{stage}-{batch}-{number}.tar"
        with tarfile.open(tar_path, "w") as tar:
            for sample_id in sorted(files):
                member = tarfile.TarInfo(f"{sample_id}.{'mp4' if stage == 'clip' else 'flac'}")
                member.size = len(files[sample_id])
                tar.addfile(member, io.BytesIO(files[sample_id]))
        manifest = manifest_of(data, stage, batch, name, len(rows), sidecar="tar")
        lake.commit(manifest, data, tar_path)
        names.append(name)
    lake.set_head(stage, batch, {"v": "0" * 12, "shards": names})


def run(lake: Lake, name: str, batch: str, settings: Settings, **params: object) -> Summary:
    """Run a stage over a batch of `commit_clips`."""
    cls = stage_class(name)
    runtime = Runtime(cls(cls.Params(**params), lake, settings), lake, batch, log=lambda line: None)
    runtime.lineage.needs = NEEDS
    return runtime.run()


def read(lake: Lake, name: str, batch: str, number: int = 0) -> tuple[Manifest, pa.Table]:
    """A committed shard: its manifest and its table."""
    manifest = Lineage(lake, batch, NEEDS, stage_optional_needs()).committed(name, number)
    assert manifest is not None
    return manifest, pq.read_table(io.BytesIO(lake.read_table(manifest)))


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
