"""What the tasks that take sounds apart learn on a small world whose truth is known: preset demo, one thread.

    .venv/bin/python tests/bench/sounds.py [--videos 90] [--quick] [--json]

A world of ten-second videos is made (`tests/world`). Most are matched; in the others another video's sound plays, which
stands for sound that is not on the screen. Matched ones are in train, val and test; the others, in val and test, are
first clips of off-screen mixtures. Query vectors are the built-in layers of the picture.

- onscreen: SI-SNR at a suppression of 6 dB (calibrated on val), the mixture's as `chance`, MixIT's best assignment as
  `ceiling`; it must be above the mixture.
- query-separate: SDR, the mixture's as `chance`; it must be above it.
- seconds: of training and its validations.

Exit status 1 when one is not above. --quick: the planted clips of the unit tests instead of a world."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that the file runs by its path too

from winnow.core import cpu

cpu.pin()  # as the command line does

import numpy as np

from tests.bench.figures import show
from tests.unit import mixed
from tests.unit.train import planted, sounding
from tests.world import make_world
from winnow.core.lake import Lake
from winnow.core.sample import SampleFailed, sid
from winnow.core.settings import Settings
from winnow.train.config import load
from winnow.train.mixtures import OFF, ON

SPLITS = ("train", "train", "train", "val", "test")
QUICK = {
    "onscreen": ["clip_s=1", "epochs=60"],
    "query-separate": ["source_s=1", "samples=7936", "epochs=12"],
}


def main() -> int:
    """Print a figure a task; exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--videos", type=int, default=90)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    passed = True
    with tempfile.TemporaryDirectory(prefix="winnow-bench-") as name:
        lake, vectors = _planted(Path(name)) if args.quick else _world(Path(name), args.videos)
        for task in ("onscreen", "query-separate"):
            more = QUICK[task] if args.quick else []
            figure = _run(lake, task, [*more, *([f"vectors={vectors}"] if task == "query-separate" else [])])
            passed &= figure["value"] > figure["chance"]
            show(figure, args.json)
    return 0 if passed else 1


def _run(lake: Lake, task: str, more: list[str]) -> dict[str, object]:
    from winnow.train.evaluate import evaluate
    from winnow.train.fit import train

    settings, began = Settings(lake=lake.root, device="cpu"), time.perf_counter()
    card = train(lake, settings, task, load(task, "demo", more), run="demo")
    seconds = time.perf_counter() - began
    found = evaluate(lake, settings, task, "demo")
    said = {name: round(found[name], 3) for name in ("value", "chance", "mixit_db", "osr_db", "auc") if name in found}
    figure = {"task": task, "model": card["model"], "metric": found["metric"], **said}
    return {**figure, "val": round(card["val"], 3), "steps": card["steps"], "seconds": round(seconds, 1)}


def _planted(folder: Path) -> tuple[Lake, str]:
    lake, _, vectors = sounding.make_lake(folder)
    return lake, vectors


def _world(folder: Path, videos: int) -> tuple[Lake, str]:
    """A lake with the world's videos as clips, rendered mixtures of them, and the file of query vectors."""
    from winnow.stages import visual

    made = make_world(folder / "world", videos=videos, seconds=(10.0, 10.01), plants={"mismatch": videos // 4}, jobs=2)
    rows, layers, counts = [], [], {True: 0, False: 0}
    for video in sorted((v for v in made.videos if v.file), key=lambda v: v.video):
        data = (made.root / video.file).read_bytes()
        try:
            measured = visual.measure(data)
        except SampleFailed:
            continue
        seen = not video.planted
        split = SPLITS[counts[seen] % len(SPLITS)] if seen else ("val", "test")[counts[seen] % 2]
        counts[seen] += 1
        rows.append(
            {
                "name": video.video,
                "sample_id": sid("clip", video.video),
                "video_id": video.video,
                "group_id": video.video,
                "label": video.visual_class,
                "split": split,
                "status": "kept",
                "data": data,
                "seen": seen,
            }
        )
        layers.append(np.concatenate([np.asarray(measured[f"v{k}"], np.float32) for k in range(5)]))
    lake, _, _ = sounding.make_lake(folder, rows, _mixtures(rows))
    vectors = planted.write_vectors(folder / "layers.parquet", rows, {"query": np.stack(layers)[:, None]})
    return lake, str(vectors)


def _mixtures(rows: list[dict]) -> list[dict]:
    """Each clip of val and test as first clip of three mixtures."""
    rng, found = np.random.default_rng(0), []
    for row in (r for r in rows if r["split"] != "train"):
        others = [o for o in rows if o["split"] == row["split"] and o["label"] != row["label"]]
        for k in rng.permutation(len(others))[:3]:
            split = {"val": "validate"}.get(row["split"], row["split"])
            label = ON if row["seen"] else OFF
            found.append(mixed.mixture(row["name"], others[k]["name"], split=split, label=label))
    return found


if __name__ == "__main__":
    raise SystemExit(main())
