"""How fast clips go through ViT-B-32 and Cnn14 (random weights), beside the networks' bare forward pass: the layers of
`open_clip`, the layers and tags of `panns`, and the scorer `bridge`, which looks at one picture a second.

    .venv/bin/python tests/bench/features.py [--clips 8,24] [--precision fp32] [--quick] [--json]

Clips are real files of 10 s (640 × 360, 25 frames/s, stereo AAC). Per network and size, in clips/s:

- bare: the reference: the library's own forward pass on tensors that lie ready on the device, in the best of a few
  batch sizes; before and after what it is compared with, counted by its mean.
- decoded: the stage's line (`models.torch_batches.EncodePipeline`) from decoded pictures or sound: batching, transfer,
  normalisation, five layers and their means (bridge: the embedding, the tags' texts, the score). share is decoded /
  bare; at least 0.7.
- stage: the whole stage, from files, decoding on threads of its own. decode_share: what decoding takes of the CPU time
  of both. overlap: the stage's rate beside the slower of decoding and forward pass alone.

Runs on a GPU where torch sees one (WINNOW_DEVICE chooses), else on one core of the CPU, by the same code. On a CPU the
exit status goes by CPU time (share_cpu), which a busy machine does not change; on a GPU by the wall.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that the file runs by its path too

from winnow.core import cpu

cpu.pin()  # as the command line does

import numpy as np
import torch

from tests.bench.figures import show
from tests.unit.signals import mp4, sine
from tests.unit.torch_models import entry
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.core.stage import Batch, Sample, stage_class
from winnow.models import torch_batches
from winnow.models.open_clip_encoder import image_tower, text_tower
from winnow.models.panns_encoder import network
from winnow.models.torch_batches import Decoded, EncodePipeline

LIMIT = 0.7
SECONDS, HEIGHT, WIDTH, FPS = 10, 360, 640, 25
#: What `bridge` reads of the stage panns.
HEARD = {"scores": [1 / (2 + index) for index in range(527)], "model": "cnn14@0123456789ab"}


def checkpoints(folder: Path) -> None:
    """Write both networks with random weights, and a catalogue that names them."""
    import safetensors.torch

    torch.manual_seed(0)
    tower = {f"visual.{name}": tensor for name, tensor in image_tower("ViT-B-32").state_dict().items()}
    tower |= text_tower("ViT-B-32")[0].state_dict()
    cnn = network().Cnn14(32000, 1024, 320, 64, 50, 14000, 527).state_dict()
    for kind, name, state in (("open_clip", "vit-b-32", tower), ("panns", "cnn14", cnn)):
        file = folder / f"{kind}.safetensors"
        safetensors.torch.save_file({key: tensor.contiguous() for key, tensor in state.items()}, file)
        entry(folder, kind, name, file=file.name, sha256=hashlib.sha256(file.read_bytes()).hexdigest())


def clip(seed: int) -> bytes:
    """A clip of a textured picture that drifts, and a tone."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(0, 256, (HEIGHT // 40, WIDTH // 40, 3), np.uint8).repeat(40, axis=0).repeat(40, axis=1)
    pictures = (np.roll(ground, 3 * k, axis=1) for k in range(SECONDS * FPS))
    return mp4(pictures, sine(SECONDS, 200 + 100 * seed, -12, channels=2), fps=FPS)


class File(Sample):
    """A sample whose file is at hand."""

    data: bytes = b""

    def media(self, ext: str = "mp4") -> bytes:
        return self.data


def samples(files: list[bytes], count: int) -> Batch:
    """So many samples over these files, each in turn."""
    made = [File(f"{i:020x}", {"video_id": f"video-{i}"}, {"panns": HEARD}) for i in range(count)]
    for i, sample in enumerate(made):
        sample.data = files[i % len(files)]
    return Batch(made, Path())


def timed(work: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Wall and CPU s of a call, the device's work included."""
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - clock, time.process_time() - cpu


def bare(name: str, encoder, rows: np.ndarray, batch: int, count: int, device: torch.device) -> tuple[float, float]:
    """Wall and CPU s a row of the network alone, over at least `count` rows in batches of `batch`."""
    ready = torch.from_numpy(np.resize(rows, (batch, *rows.shape[1:]))).to(device)
    tower = getattr(encoder, "tower", encoder)
    run = encoder.network if name == "panns" else tower.visual
    with torch.inference_mode():
        ready = ready if name == "panns" else tower.normalised(ready)
        times = -(-count // batch)
        wall_s, cpu_s = timed(lambda: [run(ready) for _ in range(times)], device)
    return wall_s / (times * batch), cpu_s / (times * batch)


@contextmanager
def watched(device: torch.device) -> Iterator[list[int]]:
    """GPU utilisation in percent as nvidia-smi tells it, five times a second; empty without a GPU or the program."""
    seen: list[int] = []
    program, stop = shutil.which("nvidia-smi"), threading.Event()

    def look() -> None:
        call = [program, f"--id={device.index or 0}", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while not stop.wait(0.2):
            said = subprocess.run(call, capture_output=True, text=True, timeout=10).stdout.strip()
            seen.extend([int(said)] if said.isdigit() else [])

    watcher = threading.Thread(target=look, daemon=True)
    if device.type == "cuda" and program:
        watcher.start()
    try:
        yield seen
    finally:
        stop.set()
        if watcher.is_alive():
            watcher.join(15)


def measure(stage, files: list[bytes], count: int, quick: bool) -> dict[str, object]:
    """All figures of one network at one size."""
    device, encoder = stage.pipeline.device, stage.encoder
    decoded: list[np.ndarray | Decoded] = []
    decode_s, decode_cpu_s = timed(lambda: decoded.extend(map(stage.rows, files)), device)
    ready = dict(zip(files, decoded, strict=True))
    rows = decoded[0].rows if isinstance(decoded[0], Decoded) else decoded[0]
    per_clip = len(rows)
    line = EncodePipeline(
        ready.__getitem__, encoder.encode, device, rows=stage.pipeline.rows, threads=stage.pipeline.threads
    )
    batch = samples(files, count)
    best = 4 * per_clip
    if not quick:
        sizes = {per_clip, best} if device.type == "cpu" else {64, 128, 256, stage.pipeline.rows}
        best = min(sizes, key=lambda size: bare(stage.name, encoder, rows, size, 1, device)[0])
    references = [bare(stage.name, encoder, rows, best, count * per_clip, device)]
    line_s, line_cpu_s = timed(lambda: list(line.run(batch, stage.finish)), device)
    references.append(bare(stage.name, encoder, rows, best, count * per_clip, device))
    with watched(device) as seen:
        stage_s, stage_cpu_s = timed(lambda: list(stage.process(batch)), device)
    bare_s, bare_cpu_s = (per_clip * sum(column) / 2 for column in zip(*references, strict=True))
    line_s, line_cpu_s, stage_s = line_s / count, line_cpu_s / count, stage_s / count
    decode_s, decode_cpu_s = decode_s / len(files), decode_cpu_s / len(files)
    figure = {
        "bench": stage.name,
        "device": torch_batches.device_name(device),
        "precision": stage.params.precision,
        "clips": count,
        "rows_per_clip": per_clip,
        "reference_batch": best,
        "clips_per_s": round(1 / line_s, 3),
        "reference_clips_per_s": round(1 / bare_s, 3),
        "ratio": round(bare_s / line_s, 3),
        "limit": LIMIT,
        "stage_clips_per_s": round(1 / stage_s, 3),
        "stage_cpu_s_per_clip": round(stage_cpu_s / count, 3),
        "decode_clips_per_s": round(1 / decode_s, 2),
        "decode_threads": stage.pipeline.threads,
        "decode_share": round(decode_cpu_s / (decode_cpu_s + line_cpu_s), 3),
        "overlap": round(max(decode_s / stage.pipeline.threads, line_s) / stage_s, 3),
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    if device.type == "cpu":
        figure["ratio_cpu"] = round(bare_cpu_s / line_cpu_s, 3)
    if seen:
        figure["gpu_utilisation"] = round(sum(seen) / len(seen), 1)
    return figure


def growth(figures: list[dict[str, object]], name: str) -> dict[str, object]:
    """Time a clip at the largest size over that at the smallest, by wall and by CPU: 1 is linear."""
    mine = sorted((f for f in figures if f["bench"] == name), key=lambda f: f["clips"])
    ratio = mine[0]["stage_clips_per_s"] / mine[-1]["stage_clips_per_s"]
    ratio_cpu = mine[-1]["stage_cpu_s_per_clip"] / mine[0]["stage_cpu_s_per_clip"]
    sizes = [f["clips"] for f in mine]
    return {"bench": f"{name} growth", "sizes": sizes, "ratio": round(ratio, 3), "ratio_cpu": round(ratio_cpu, 3)}


def main() -> int:
    """Run, print, and say whether every share holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", default="8,24", help="sizes, comma-separated")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16", "fp16"))
    parser.add_argument("--quick", action="store_true", help="two networks, small, within 30 s")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    sizes = [2] if options.quick else sorted(int(size) for size in options.clips.split(","))
    figures: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="winnow-bench-") as name:
        folder = Path(name)
        checkpoints(folder)
        files = [clip(seed) for seed in range(1 if options.quick else 4)]
        settings = Settings(weights=folder, lake=str(folder / "lake"))
        few = {"frames": 4} if options.quick else {}
        kinds = (("open_clip", few), ("panns", {}), ("bridge", {}))
        for kind, params in kinds[: 2 if options.quick else 3]:
            cls = stage_class(kind)
            stage = cls(cls.Params(precision=options.precision, **params), Lake(settings.lake), settings)
            stage.setup()
            list(stage.process(samples(files, 1)))  # the libraries' first calls
            for size in sizes:
                figures.append(measure(stage, files, size, options.quick))
                show(figures[-1], options.json)
            if len(sizes) > 1:
                show(growth(figures, kind), options.json)
            del stage
    return 0 if all(f.get("ratio_cpu", f["ratio"]) >= LIMIT for f in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
