"""The DAG `benchmark` in a real Airflow, over a small world whose truth is known: preset demo, two seeds, one thread.

    .venv/bin/python tests/bench/benchmark.py [--videos 150] [--keep DIR] [--quick] [--json]

A world of ten-second videos is made and measured as tests/bench/train.py does; a third of them have another video's
sound, are dropped, and are labelled as if nothing were wrong, as a list of clips would have it. The DAG draws the sets,
trains CPSP for both tasks on each with each seed, tries it, and collects; then it runs once more. What the other models
learn, tests/bench/train.py shows.

- mean, low, high, chance, gain, verdict: a line a task, model and set, as `winnow.estimates.learned` has them. What is
  trained on `release` must beat chance by MARGIN (avel: ten points; parse: anything).
- shuffled: of the first cell of each model on `release`, taught labels that were dealt out anew: at most ROOM over
  chance.
- equal: whether that cell, trained again under another name and in another process, has the same bytes.
- again: runs that the second run of the DAG trained: none.

Exit status 1 when one of these does not hold. --keep DIR keeps the world and its lake. --quick: planted vectors, one
seed, commands in place of Airflow.
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
from winnow.core import corpus_table
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.demo import processes
from winnow.demo.airflow_local import LocalAirflow
from winnow.demo.progress import Printer, Watch
from winnow.demo.run import now
from winnow.estimates.learned import learned
from winnow.train import cells, plan
from winnow.train.config import TrainConfig
from winnow.train.runs import Run

TASKS, MODELS = ("avel", "parse"), ("cpsp",)
#: Files of a run that follow from its numbers alone.
FILES = ("metrics-val.json", "metrics-test.json", "values-test.parquet", "predictions-test.parquet", "progress.parquet")


def main() -> int:
    """Print the figures; exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--videos", type=int, default=150)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="winnow-bench-") as scratch:
        folder = args.keep or Path(scratch)
        if args.quick:
            lake, made, again = _commands(folder)
        else:
            lake = world(folder, args.videos, args.videos // 3)
            made, again = _airflow(folder, lake)
        held = again == 0
        for row in learned(corpus_table.read(lake, cells.TABLE)).to_pylist():
            names = ("task", "model", "set", "mean", "low", "high", "chance", "gain", "verdict")
            show({name: row[name] for name in names}, args.json)
            if row["set"] == "release":
                held &= row["mean"] > row["chance"] + (MARGIN if row["task"] == "avel" else 0.0)
        for name, cell in plan.read(lake, made)["cells"].items():
            if cell["set"] == "release" and cell["seed"] == 0:
                figure, ok = _controls(lake, made, name, cell)
                show(figure, args.json)
                held &= ok
        show({"again": again}, args.json)
    return 0 if held else 1


def _controls(lake: Lake, made: str, name: str, cell: dict) -> tuple[dict[str, object], bool]:
    shuffled = _run(lake, made, cell, "shuffled", labels="shuffled", select="last")
    _run(lake, made, cell, "again")
    first, second = (Run(lake, cell["task"], run).home for run in (cell["run"], f"again-{cell['run']}"))
    equal = all((first / file).read_bytes() == (second / file).read_bytes() for file in FILES)
    room = ROOM * (100 if cell["task"] == "parse" else 1)
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
        made = plan.make(lake, None, TASKS, models=MODELS, seeds=1, settings=[*more, "epochs=30"])
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
