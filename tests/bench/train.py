"""What models learn from a small world whose truth is known: all models of avel and parse, preset demo, one thread.

    .venv/bin/python tests/bench/train.py [--videos 150] [--seeds 0,1] [--models a,b] [--keep DIR] [--quick] [--json]

A world of ten-second videos is made and measured by the stages `visual` and `audio`. Its truth labels it: what is
struck is heard and seen, or one of them, in the seconds of its strikes; what flows, in the seconds in which it is above
its own mean. The release is split 60/20/20 by video. Each model is trained on it with each seed and tried on test, and
once more with labels that were dealt out anew:

- value, chance: segment accuracy and the share of background (avel), Type@AV and the majority answer (parse), of
  several seeds the mean.
- shuffled: the same model taught shuffled labels.
- seconds: of one training and its trial.

Then one run is made twice: `equal` says whether both are the same to the byte. Exit status 1 when they are not, when a
model does not beat chance by MARGIN (avel, of either supervision; parse by anything), or a shuffled one beats it by
ROOM. --quick: planted vectors in place of media, one seed, three models. --keep DIR keeps the world and its release;
runs are made anew.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that the file runs by its path too

from winnow.core import cpu

cpu.pin()  # as the command line does

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.bench.figures import show
from tests.unit.train import paired, planted
from tests.world.make import make_world
from tests.world.timeline import GRID_HZ, make_timeline
from tests.world.video import Video
from winnow.core import table
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.sample import SampleFailed
from winnow.core.settings import Settings
from winnow.core.stage import stage_columns
from winnow.stages import audio, visual
from winnow.train import runs
from winnow.train.config import TASKS, load

MARGIN, ROOM, SECONDS, CLIPS = 0.10, 0.10, 10, 150
QUICK_MODELS = ("cpsp", "dmrn", "han")


def main() -> int:
    """Print a figure a model; exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--videos", type=int, default=150)
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--models", default="")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    seeds = [0] if args.quick else [int(s) for s in args.seeds.split(",")]
    models = tuple(m for m in args.models.split(",") if m) or (QUICK_MODELS if args.quick else ())
    with tempfile.TemporaryDirectory(prefix="winnow-bench-") as scratch:
        folder = args.keep or Path(scratch)
        lake, more = planted_lake(Path(scratch)) if args.quick else (world(folder, args.videos), [])
        passed = True
        for task in ("avel", "parse"):
            for name in TASKS[task]:
                if models and name not in models:
                    continue
                for supervision in ("full", "weak") if task == "avel" else ("full",):
                    figure, ok = _model(lake, task, name, supervision, seeds, more)
                    passed &= ok
                    show(figure, args.json)
        equal = _equal(lake, more)
        show({"equal": equal}, args.json)
    return 0 if passed and equal else 1


def _model(
    lake: Lake, task: str, name: str, supervision: str, seeds: list[int], more: list[str]
) -> tuple[dict[str, object], bool]:
    values, chance, seconds = [], 0.0, 0.0
    for seed in seeds:
        found = _run(lake, task, name, supervision, [*more, f"seed={seed}"], f"{name}-{supervision}-{seed}")
        values.append(found["value"])
        chance, seconds = found["chance"], found["seconds"]
    dealt = [*more, "labels=shuffled", "select=last"]
    control = _run(lake, task, name, supervision, dealt, f"{name}-{supervision}-shuffled")
    scale = 100.0 if task == "parse" else 1.0
    mean = float(np.mean(values))
    ok = control["value"] <= control["chance"] + ROOM * scale
    ok &= mean >= chance + (MARGIN if task == "avel" else 0.0)
    return {
        "task": task,
        "model": name,
        "supervision": supervision,
        "metric": found["metric"],
        "value": round(mean, 4),
        "deviation": round(float(np.std(values)), 4),
        "chance": round(chance, 4),
        "shuffled": round(control["value"], 4),
        "seconds": round(seconds, 1),
    }, bool(ok)


def _run(lake: Lake, task: str, name: str, supervision: str, more: list[str], run: str) -> dict:
    from winnow.train.evaluate import evaluate
    from winnow.train.fit import train

    settings, began = Settings(lake=lake.root, device="cpu"), time.perf_counter()
    config = load(task, "demo", more, model=name, supervision=supervision)
    train(lake, settings, task, config, run=run)
    seconds = time.perf_counter() - began
    return evaluate(lake, settings, task, run) | {"seconds": seconds}


def _equal(lake: Lake, more: list[str]) -> bool:
    found = []
    for run in ("once", "twice"):
        _run(lake, "avel", "cpsp", "full", [*more, "epochs=3"], run)
        home = runs.Run(lake, "avel", run).home
        names = ("metrics-val.json", "metrics-test.json", "predictions-test.parquet", "progress.parquet")
        found.append([(home / name).read_bytes() for name in names])
    return found[0] == found[1]


# -- data --------------------------------------------------------------------------------------------------------------
def planted_lake(folder: Path) -> tuple[Lake, list[str]]:
    """A lake with a release of planted vectors, and the settings that take them."""
    rows = [*planted.samples(CLIPS), *planted.samples(CLIPS, "llp")]
    lake, arrays = Lake(folder / "lake"), planted.vectors_of(rows[:CLIPS], noise=0.8)
    planted.release(lake, rows)
    path = planted.write_vectors(folder / "vectors.parquet", rows[:CLIPS], arrays)
    names = {row["sample_id"]: row for row in rows}
    facts(lake, [(row, k // 3 % 3 != 2, -float(k)) for k, row in enumerate(names.values())])
    return lake, [f"vectors={path}", "epochs=30", "narrow=8"]


def facts(lake: Lake, clips: list[tuple[dict, bool, float]]) -> None:
    """What the release says of clips: (row of its samples, whether it keeps the clip, score)."""
    listed = [
        {
            "sample_id": row["sample_id"],
            "video_id": row["video_id"],
            "uploader": None,
            "label": row["category"],
            "status": "kept" if kept else "dropped",
            "effective_z": score,
            "split": row["split"] if kept else None,
            "group_id": row["group_id"] if kept else None,
        }
        for row, kept, score in clips
    ]
    path = Path(lake.full(f"releases/{planted.RELEASE}")) / "tables" / "fct_clips.parquet"
    pq.write_table(pa.Table.from_pylist(listed), path)


def world(folder: Path, videos: int, mismatched: int = 0) -> Lake:
    """A lake with a release of a world's clips, of which so many have another sound: those it drops. How they score is
    made up: what is mismatched lower, but for some."""
    plants = {"mismatch": mismatched} if mismatched else {}
    world = make_world(folder / "world", videos=videos, seconds=(SECONDS, SECONDS + 0.01), plants=plants, jobs=2)
    lake, rows, measured, said = Lake(folder / "lake"), [], {"audio": [], "visual": []}, []
    rng = np.random.default_rng(7)
    shutil.rmtree(folder / "lake" / "runs", ignore_errors=True)
    files: dict[str, bytes] = {}
    for video in sorted((v for v in world.videos if v.file), key=lambda v: v.video):
        data = (world.root / video.file).read_bytes()
        try:
            found = {"audio": audio.measure(data), "visual": visual.measure(data)}
        except SampleFailed:
            continue
        name = f"{len(rows):020x}"
        heard, seen = _events(video)
        for stage, values in found.items():
            measured[stage].append({"sample_id": name, "outcome": "ok", **values})
        if labelled := list(_labels(name, video, heard, seen, len(rows))):
            files[name] = data
            said.append((labelled[0], not video.planted, float(rng.normal(2.0 * (not video.planted)))))
        rows += labelled
    shards = [_commit(lake, stage, found) for stage, found in measured.items()]
    if not lake.exists("releases/current"):
        planted.release(lake, rows, shards=shards)
        facts(lake, said)
        _clips(lake, files)
    return lake


def _clips(lake: Lake, files: dict[str, bytes]) -> None:
    """The clips themselves, in a tar, and where the release says that they lie."""
    folder = Path(lake.full(f"releases/{planted.RELEASE}"))
    paired.tarred(lake, files)
    table = pq.read_table(folder / "tables" / "fct_clips.parquet")
    digests = pa.array([sha256_bytes(files[name]) for name in table["sample_id"].to_pylist()])
    pq.write_table(table.append_column("media_sha256", digests), folder / "tables" / "fct_clips.parquet")
    listed = pa.table({"sample_id": list(files), "tar": [paired.TAR] * len(files)})
    pq.write_table(listed, folder / "ops" / "fct_clip_files.parquet")


def _labels(name: str, video: Video, heard: np.ndarray, seen: np.ndarray, place: int) -> Iterator[dict]:
    split = planted.SPLITS[place // 2 % len(planted.SPLITS)]
    both = heard & seen
    shared = {
        "sample_id": name,
        "category": video.visual_class,
        "clip": video.video,
        "video_id": video.video,
        "group_id": video.uploader or video.video,
        "split": split,
        "in_half": False,
    }
    if both.any():
        yield {**shared, "family": "avel", "labels": both.astype(int).tolist(), "audible": None, "visible": None}
        yield {
            **shared,
            "family": "llp",
            "labels": both.astype(int).tolist(),
            "audible": heard.astype(int).tolist(),
            "visible": seen.astype(int).tolist(),
        }


def _events(video: Video) -> tuple[np.ndarray, np.ndarray]:
    """Seconds in which the video's event is heard and seen: (10,) bool each."""
    timeline = make_timeline(video.visual_class, video.duration_s, video.rng(1))
    second = np.clip(timeline.onset_s.astype(int), 0, SECONDS - 1)
    if not len(second):
        level = timeline.level[: int(SECONDS * GRID_HZ)]
        busy = np.array([part.mean() for part in np.array_split(level, SECONDS)]) > level.mean()
        return busy, busy
    found = []
    for there in (timeline.heard, timeline.seen):
        marks = np.zeros(SECONDS, bool)
        marks[second[there]] = True
        found.append(marks)
    return found[0], found[1]


def _commit(lake: Lake, stage: str, rows: list[dict]) -> dict:
    schema, sink = table.arrow_schema(stage_columns()[stage]), io.BytesIO()
    listed = [{f.name: row.get(f.name) for f in schema} for row in rows]
    pq.write_table(pa.Table.from_pylist(listed, schema=schema), sink)
    key = f"{stage}/v=bench/batch=world/0.parquet"
    lake.write(key, sink.getvalue())
    return {"stage": stage, "batch": "world", "path": key, "sha256": sha256_bytes(sink.getvalue())}


if __name__ == "__main__":
    raise SystemExit(main())
