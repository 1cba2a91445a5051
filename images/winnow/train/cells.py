"""The cells of a benchmark (`winnow.train.plan`): each is trained, tried once on test, and collected into the corpus's
table `run_metrics`, where releases read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from winnow.core import corpus_table
from winnow.core.errors import ContractError
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.train import plan as plans
from winnow.train.config import TrainConfig
from winnow.train.runs import Run, summary
from winnow.train.tasks import task_module

TABLE, SPLIT = "run_metrics", "test"
_KEY = ("release", "task", "model")


def train(
    lake: Lake, settings: Settings, plan: str, cell: str, note: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """Train one cell, or go on with it; what `winnow train` answers. Nothing is computed, nor torch loaded, for one
    that is done: its name says what it follows from."""
    found = plans.read(lake, plan)
    one = plans.cell_of(found, cell)
    if (run := Run(lake, one["task"], one["run"])).done:
        return {**summary(lake, run.card()), "computed": False}
    from winnow.train.fit import train as train_run

    shared = {"release": found["release"], "note": note}
    under = one.get("under")
    if under and not Run(lake, "contrast", under["run"]).done:
        config = TrainConfig(**{**under["config"], "clips": lake.full(one["list"])})
        train_run(lake, settings, "contrast", config, run=under["run"], **shared)
    config = TrainConfig(**{**one["config"], "clips": lake.full(one["list"])})
    return train_run(lake, settings, one["task"], config, run=one["run"], **shared)


def evaluate(lake: Lake, settings: Settings, plan: str, cell: str) -> dict[str, Any]:
    """Try one cell on test, once: a repeated call answers what the first look saw."""
    one = plans.cell_of(plans.read(lake, plan), cell)
    run = Run(lake, one["task"], one["run"])
    run.card()
    told = run.metrics(SPLIT)
    computed = told is None
    if told is None:
        from winnow.train.evaluate import evaluate as try_run

        told = try_run(lake, settings, one["task"], one["run"], SPLIT)
    names = ("metric", "value", "chance")
    return {"cell": cell, "run": one["run"], "computed": computed, **{name: told[name] for name in names}}


def collect(lake: Lake, plan: str) -> dict[str, Any]:
    """Put the figures of all cells into `run_metrics`, in the place of what was known of these models and this release;
    {"plan", "release", "rows", "computed", "results"}, the last as `winnow.estimates.learned` has them. ContractError
    for a cell that was not tried."""
    import pyarrow as pa

    from winnow.estimates.learned import learned

    found = plans.read(lake, plan)
    since = corpus_table.pointer(lake, TABLE)
    rows = [row for name, cell in found["cells"].items() for row in _rows(lake, found, name, cell, plan)]
    anew = {tuple(row[name] for name in _KEY) for row in rows}
    before = corpus_table.read(lake, TABLE).to_pylist()
    kept = [row for row in before if tuple(row[name] for name in _KEY) not in anew]
    every = sorted([*kept, *rows], key=lambda r: tuple(str(r[n]) for n in (*_KEY, "set", "seed", "metric", "group_id")))
    provenance = {"command": "winnow benchmark collect", "plan": plan, "release": found["release"]}
    done = corpus_table.replace(lake, TABLE, every, provenance=provenance, since=since)
    return {
        "plan": plan,
        "release": found["release"],
        "rows": done["rows"],
        "computed": done["computed"],
        "results": learned(pa.Table.from_pylist(rows)).to_pylist(),
    }


def _rows(lake: Lake, plan: Mapping, name: str, cell: Mapping, key: str) -> list[dict]:
    """A row a group of the evaluation set: means over its examples."""
    import pyarrow.parquet as pq

    run = Run(lake, cell["task"], cell["run"])
    told, path = (run.metrics(SPLIT), run.home / f"values-{SPLIT}.parquet") if run.done else (None, None)
    if told is None or path is None or not path.is_file():
        step = "evaluate" if run.done else "train"
        raise ContractError(f"cell {name} was not tried: run `winnow benchmark {step} --plan {key} --cell {name}`")
    listed = pq.read_table(lake.full(cell["list"])).to_pylist()
    group = {row["sample_id"]: row["group_id"] for row in listed}
    by_group: dict[str, list[dict]] = {}
    for row in pq.read_table(path).to_pylist():
        by_group.setdefault(group[row["sample_id"]], []).append(row)
    shared = {
        "release": plan["release"],
        "preset": plan["preset"],
        "run": cell["run"],
        "split": SPLIT,
        "metric": told["metric"],
        "ceiling": task_module(cell["task"]).CEILING,
        "clips": sum(row["split"] == "train" for row in listed),
        **{name: cell[name] for name in ("task", "model", "set", "seed")},
    }
    return [
        {**shared, "group_id": one, "examples": len(found), **{n: _mean(found, n) for n in ("value", "chance")}}
        for one, found in sorted(by_group.items())
    ]


def _mean(rows: list[dict], name: str) -> float:
    return sum(row[name] for row in rows) / len(rows)
