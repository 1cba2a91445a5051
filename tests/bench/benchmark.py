"""The DAG `benchmark` in a real Airflow, over a small world whose truth is known: preset demo, two seeds, one thread.

    .venv/bin/python tests/bench/benchmark.py [--videos 240] [--keep DIR] [--quick] [--json]

A world of ten-second videos is made and measured as tests/bench/train.py does; half of them have another video's
sound, are dropped, and are labelled as if nothing were wrong, as a list of clips would have it. The DAG draws the sets,
trains CPSP (avel, parse), heads on both sides and an untrained one (retrieve), projections with a probe on them (probe)
on each with each seed, tries them, and collects; then it runs once more. What the other models of avel and parse learn,
tests/bench/train.py shows.

- mean, low, high, chance, gain, verdict: a line a task, model and set, as `winnow.estimates.learned` has them. What is
  trained on `release` must beat chance by MARGIN (avel: ten points; parse: anything) or TIMES (retrieve), and of
  retrieve's heads the gain over random candidates must be significant.
- shuffled: of the first cell of each model on `release`, taught labels (or pairs) that were dealt out anew: at most
  ROOM over chance; of retrieve and probe two standard errors of chance.
- equal: whether that cell, trained again under another name and in another process, has the same bytes.
- again: runs that the second run of the DAG trained: none.
- tiny: the small towers, trained on the release's decoded clips and not trained: R@1 from sound to picture, and top-1
  of a probe on each. The first must be over three times chance, the probe's gain over GAIN.

Exit status 1 when one of these does not hold. --keep DIR keeps the world and its lake. --quick: planted vectors, one
seed, commands in place of Airflow, no towers.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that the file runs by its path too

from winnow.core import cpu

cpu.pin()  # as the command line does

from tests.bench.figures import show
from tests.bench.train import MARGIN, ROOM, planted_lake, world
from tests.unit.train import paired
from winnow.core import corpus_table
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.demo import processes
from winnow.demo.airflow_local import LocalAirflow
from winnow.demo.progress import Printer, Watch
from winnow.demo.run import now
from winnow.estimates.learned import learned
from winnow.train import cells, plan
from winnow.train.config import PAIRED, TrainConfig, load
from winnow.train.runs import Run

TASKS, MODELS = ("avel", "parse", "retrieve", "probe"), ("cpsp", "both", "untrained", "frozen")
TIMES, GAIN = 2.0, 0.10
#: Files of a run that follow from its numbers alone.
FILES = ("metrics-val.json", "metrics-test.json", "values-test.parquet", "predictions-test.parquet", "progress.parquet")


def main() -> int:
    """Print the figures; exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--videos", type=int, default=240)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="winnow-bench-") as scratch:
        folder = args.keep or Path(scratch)
        if args.quick:
            lake, made, again = _commands(folder)
            held = _told(lake, made, args.json)
            lake, made, more = _paired(folder / "pairs")
            again += more
        else:
            lake = world(folder, args.videos, args.videos // 2)
            made, again = _airflow(folder, lake)
            held = _towers(lake, args.json)
        held &= _told(lake, made, args.json) and again == 0
        show({"again": again}, args.json)
    return 0 if held else 1


def _told(lake: Lake, made: str, as_json: bool) -> bool:
    """Print what a plan's models learned; whether it is what must hold."""
    held = True
    for row in learned(corpus_table.read(lake, cells.TABLE)).to_pylist():
        names = ("task", "model", "set", "metric", "mean", "low", "high", "chance", "gain", "verdict")
        show({name: row[name] for name in names}, as_json)
        if row["set"] == "release" and row["model"] != "untrained":
            held &= row["mean"] > row["chance"] + (MARGIN if row["task"] == "avel" else 0.0)
            if row["task"] == "retrieve":
                held &= row["mean"] > TIMES * row["chance"] and row["verdict"] == "better"
    for name, cell in plan.read(lake, made)["cells"].items():
        if cell["set"] == "release" and cell["seed"] == 0 and cell["model"] != "untrained":
            figure, ok = _controls(lake, made, name, cell)
            show(figure, as_json)
            held &= ok
    return held


def _towers(lake: Lake, as_json: bool) -> bool:
    """The tiny towers on all of the release's clips, trained and not, and a probe on each."""
    from winnow.train.evaluate import evaluate
    from winnow.train.fit import train

    settings, cache, said = Settings(lake=lake.root, device="cpu"), f"cache={lake.full('vectors/windows')}", {}
    for name, more in (("untrained", ["untrained=true"]), ("trained", [])):
        config = load("contrast", "demo", [cache, "batch=32", "evaluate_every=20", *more], model="tiny")
        train(lake, settings, "contrast", config, run=f"tiny-{name}")
        tried = evaluate(lake, settings, "contrast", f"tiny-{name}")
        said[f"{name}_r1"], chance = tried["audio_to_visual"]["R@1"], tried["chances"]["R@1"]
        config = load("probe", "demo", [cache, f"of=tiny-{name}", "epochs=120"], model="tiny")
        train(lake, settings, "probe", config, run=f"tiny-{name}")
        said[f"{name}_top1"] = evaluate(lake, settings, "probe", f"tiny-{name}")["value"]
    show({"model": "tiny", **{n: round(v, 3) for n, v in said.items()}, "chance_r1": round(chance, 3)}, as_json)
    return said["trained_r1"] > 3 * chance and said["trained_top1"] > said["untrained_top1"] + GAIN


def _controls(lake: Lake, made: str, name: str, cell: dict) -> tuple[dict[str, object], bool]:
    shuffled = _run(lake, made, cell, "shuffled", labels="shuffled", select="last")
    _run(lake, made, cell, "again")
    first, second = (Run(lake, cell["task"], run).home for run in (cell["run"], f"again-{cell['run']}"))
    files = [file for file in FILES if (first / file).is_file()]
    equal = all((first / file).read_bytes() == (second / file).read_bytes() for file in files)
    room, chance = ROOM * (100 if cell["task"] == "parse" else 1), shuffled["chance"]
    if cell["task"] in PAIRED:
        room = 2 * (chance * (1 - chance) / shuffled.get("gallery", shuffled.get("clips"))) ** 0.5
    said = {"cell": name, "shuffled": shuffled["value"], "chance": shuffled["chance"], "equal": equal}
    return said, equal and shuffled["value"] <= shuffled["chance"] + room


def _run(lake: Lake, made: str, cell: dict, prefix: str, **more: object) -> dict:
    from winnow.train.evaluate import evaluate
    from winnow.train.fit import train

    settings, run = Settings(lake=lake.root, device="cpu"), f"{prefix}-{cell['run']}"
    config = TrainConfig(**{**cell["config"], "clips": lake.full(cell["list"]), **more})
    train(lake, settings, cell["task"], config, run=run, release=plan.read(lake, made)["release"])
    return evaluate(lake, settings, cell["task"], run)


def _commands(folder: Path) -> tuple[Lake, str, int]:
    """Without Airflow; the lake, the plan, and how many runs a second round trained."""
    lake, more = planted_lake(folder)
    settings, trained = Settings(lake=lake.root, device="cpu"), []
    for _ in range(2):
        made = plan.make(lake, None, TASKS[:2], models=MODELS[:1], seeds=1, settings=[*more, "epochs=30"])
        for cell in made["cells"]:
            trained.append(cells.train(lake, settings, made["plan"], cell)["computed"])
            cells.evaluate(lake, settings, made["plan"], cell)
        cells.collect(lake, made["plan"])
    return lake, made["plan"], sum(trained[len(trained) // 2 :])


def _paired(folder: Path) -> tuple[Lake, str, int]:
    """The same over planted pairs, half of which are not: retrieve and probe."""
    lake, settings, vectors = paired.make_lake(folder, paired.clips(240, dropped=2))
    trained = []
    for _ in range(2):
        given = [f"vectors={vectors}", "narrow=16", "epochs=15"]
        made = plan.make(lake, None, TASKS[2:], models=MODELS[1:], seeds=2, settings=given)
        for cell in made["cells"]:
            trained.append(cells.train(lake, settings, made["plan"], cell)["computed"])
            cells.evaluate(lake, settings, made["plan"], cell)
        cells.collect(lake, made["plan"])
    return lake, made["plan"], sum(trained[len(trained) // 2 :])


def _airflow(folder: Path, lake: Lake) -> tuple[str, int]:
    """The DAG, twice; the plan, and how many runs the second time trained."""
    mark, say = processes.marked_environment(folder), Printer()
    environment = {**mark, "WINNOW_LAKE": lake.root, "WINNOW_DEVICE": "cpu"}
    airflow = LocalAirflow(folder / "airflow", environment, folder / "airflow.log")
    found: list[list[dict]] = []
    try:
        airflow.start()
        airflow.wait_ready(["benchmark"])
        airflow.set_pools()
        airflow.api.unpause("benchmark")
        for _ in range(2):
            watch = Watch(airflow.api, now(), folder / "airflow" / "logs", say)
            airflow.api.trigger("benchmark", tasks=TASKS, models=MODELS, seeds=2)
            watch.until("benchmark", lambda runs: bool(runs) and all(run["state"] == "success" for run in runs))
            found.append([{"task": task, **answer} for _, _, task, answer in watch.summaries])
    finally:
        processes.end(folder)
    (made,) = {one["plan"] for one in found[1] if one["task"] == "collect"}
    trained = [one for one in found[1] if one.get("computed") and "seed" in one]
    tried = [one for one in found[1] if "cell" in one]
    assert len(tried) == len(plan.read(lake, made)["cells"]), "not every cell was tried"
    return made, len(trained)


if __name__ == "__main__":
    raise SystemExit(main())
