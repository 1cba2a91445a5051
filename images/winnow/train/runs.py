"""Runs: folders of the lake, `runs/<task>/<run>/`, whole or not there.

    run.json                        the card: what was trained, on what, by what; where its files are
    progress.parquet                a row a step: loss by term, norm of the gradient, learning rate
    pace.parquet                    what clocks say: clips a second, share of waiting, peak memory
    validation.parquet              a row a validation
    checkpoints/<digest>.safetensors
    predictions-<split>.parquet, values-<split>.parquet (the main figure by example), metrics-<split>.json
    looks/test-0001.json            every look at the test split, kept for good

While it is trained, a run lies in `runs/<task>/.<run>/` with the state to go on from; it is renamed when all of it is
on the disk. Numbers of a run are those of seed, release and options, never of clocks or of how often it was killed:
what clocks say is in `pace.parquet` and in the card under `when`."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from winnow.core.alone import alone
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake, sha256_file, sync
from winnow.train.config import TASKS

NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}\Z")
CARD, STATE, PROGRESS, PACE, TRIED = "run.json", "state.safetensors", "progress", "pace", "validation"


class Run:
    """One run's folder: where it is while it is trained, and where it is then."""

    def __init__(self, lake: Lake, task: str, name: str) -> None:
        if task not in TASKS:
            raise ConfigError(f"there is no task {task!r}; there are {', '.join(TASKS)}")
        if not NAME.match(name):
            raise ConfigError(f"--run {name!r}: letters, digits, '.', '_', '-' are wanted, as in cpsp-1")
        if not lake.is_local:
            raise ConfigError(f"WINNOW_LAKE={lake.root}: runs are kept on local (or mounted) file systems")
        self.lake, self.task, self.name = lake, task, name
        self.home = Path(lake.full(f"runs/{task}/{name}"))
        self.work = self.home.with_name(f".{name}")

    @property
    def done(self) -> bool:
        """Whether it is there, whole."""
        return (self.home / CARD).is_file()

    def card(self) -> dict:
        """What it says of itself; ConfigError where it is not there, ContractError where it is damaged."""
        key = f"runs/{self.task}/{self.name}/{CARD}"
        value = self.lake.read_json(key, f"remove {self.home} and train it again")
        if value is None:
            known = ", ".join(c["run"] for c in listed(self.lake, self.task)) or "none"
            half = "; it was begun and not finished: run the same `winnow train` again" if self.work.is_dir() else ""
            raise ConfigError(f"task {self.task} has no run {self.name!r}{half}; there are: {known}")
        return value

    @contextmanager
    def working(self) -> Iterator[Path]:
        """Its folder while it is trained, held by this process alone."""
        self.work.mkdir(parents=True, exist_ok=True)
        with alone(self.work / ".lock", ConfigError(f"run {self.name} is being trained by another process")):
            yield self.work

    def publish(self) -> None:
        """Rename the finished folder to its place: from then on it never changes but for looks."""
        for name in (STATE, ".lock", f"{PROGRESS}.jsonl", f"{PACE}.jsonl", f"{TRIED}.jsonl"):
            (self.work / name).unlink(missing_ok=True)
        for path in self.work.rglob("*"):
            sync(path)
        sync(self.work)
        os.rename(self.work, self.home)
        sync(self.home.parent)

    def look(self, split: str, said: Mapping[str, object]) -> int:
        """Write down that somebody looked at a split; which look it was, from 1."""
        number = len(self.looks(split)) + 1
        data = json.dumps({**said, "at": datetime.now(UTC).isoformat(timespec="seconds")}, sort_keys=True) + "\n"
        while not self.lake.create(f"runs/{self.task}/{self.name}/looks/{split}-{number:04d}.json", data.encode()):
            number += 1
        return number

    def looks(self, split: str = "test") -> list[dict]:
        """All looks at a split, in order."""
        return [json.loads(p.read_text()) for p in sorted((self.home / "looks").glob(f"{split}-*.json"))]

    def checkpoint(self, card: Mapping) -> Path:
        """Its weights' file; ContractError when they are not the ones that the card names."""
        path = self.home / "checkpoints" / card["checkpoint"]
        if not path.is_file() or not sha256_file(path).startswith(path.stem):
            raise ContractError(f"{path} is not the checkpoint of run {self.name}: remove {self.home}, train it again")
        return path

    def metrics(self, split: str) -> dict | None:
        """Metrics of a split, or None where nobody took them."""
        path = self.home / f"metrics-{split}.json"
        return json.loads(path.read_text()) if path.is_file() else None


def listed(lake: Lake, task: str | None = None) -> list[dict]:
    """Cards of all whole runs."""
    found = []
    for one in [task] if task else list(TASKS):
        for name in lake.list(f"runs/{one}"):
            if not name.startswith(".") and lake.exists(f"runs/{one}/{name}/{CARD}"):
                found.append(Run(lake, one, name).card())
    return found


def summary(lake: Lake, card: Mapping) -> dict[str, object]:
    """A run as one row: its main figure on each split that was looked at, chance beside it."""
    run = Run(lake, card["task"], card["run"])
    row: dict[str, object] = {k: card[k] for k in ("task", "run", "model", "supervision", "release", "seed", "steps")}
    row["faithful"] = ",".join(card["config"]["faithful"])
    for split in ("val", "test"):
        said = run.metrics(split) or {}
        row |= {split: said.get("value"), f"{split}_chance": said.get("chance")}
        row["metric"] = said.get("metric", row.get("metric"))
    row["test_looks"] = len(run.looks())
    return row


def compare(lake: Lake, task: str, names: list[str], split: str) -> dict[str, Any]:
    """Figures of several runs of one task side by side; ContractError where they were not tried on the same
    examples."""
    if len(names) < 2:
        raise ConfigError("two runs at least are compared")
    cards = [Run(lake, task, name).card() for name in names]
    if len({(c["release"], c["examples"], tuple(c["categories"])) for c in cards}) > 1:
        raise ContractError(
            f"runs {', '.join(names)} are of other releases, sets or classes: their figures do not compare"
        )
    rows = []
    for card in cards:
        said = Run(lake, task, card["run"]).metrics(split)
        if said is None:
            command = f"winnow evaluate {task} --run {card['run']} --split {split}"
            raise ConfigError(f"run {card['run']} has no figures of {split}: run `{command}`")
        rows.append({**summary(lake, card), "value": said["value"], "chance": said["chance"]})
    if len({r.get("metric") for r in rows}) > 1:
        raise ContractError("these runs have other metrics (gate): their figures do not compare")
    best = max(rows, key=lambda r: r["value"])
    return {
        "task": task,
        "split": split,
        "metric": best["metric"],
        "chance": best["chance"],
        "best": best["run"],
        "runs": [
            {
                "run": r["run"],
                "model": r["model"],
                "seed": r["seed"],
                "value": r["value"],
                "over_first": r["value"] - rows[0]["value"],
                "test_looks": r["test_looks"],
            }
            for r in rows
        ],
    }
