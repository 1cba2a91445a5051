"""DIR: what lies where in the demo's folder, who may use it, and what earlier runs left.

DIR/world/       the videos, the inbox and the truth
DIR/lake/        what Winnow makes of them; releases/current is what is published
DIR/airflow/     AIRFLOW_HOME: its database and its tasks' logs
DIR/logs/        output of Airflow and of the world's maker and server
DIR/truth.json   planted against found
DIR/demo.json    which world this is and what was finished
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from winnow.core.alone import alone
from winnow.core.errors import ConfigError
from winnow.demo import processes

#: Disk, measured with the default world: Airflow's own files and a release, then world and lake for each new video.
DISK_BASE_MB, DISK_VIDEO_MB = 30, 4.0


@dataclass
class State:
    """What a folder is about and how far it came. `days`: batches that a finished run has published."""

    seed: int
    videos: int
    days: list[str] = field(default_factory=list)
    clean_end: bool = True
    kinds: bool = True


class DemoFolder:
    """Paths of a demo's folder, its state and its lock."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.world, self.lake, self.airflow = self.root / "world", self.root / "lake", self.root / "airflow"
        self.logs, self.truth, self._state = self.root / "logs", self.root / "truth.json", self.root / "demo.json"

    @property
    def inbox(self) -> Path:
        """Where the days' lists lie."""
        return self.world / "inbox"

    def state(self) -> State | None:
        """What earlier runs left; None in a new folder."""
        try:
            return State(**json.loads(self._state.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def write_state(self, state: State) -> None:
        """Keep the state for the next run."""
        self._state.write_text(json.dumps(asdict(state), indent=1) + "\n", encoding="utf-8")

    def open(self, seed: int, videos: int, kinds: bool = True) -> State:
        """The folder's state, made for this world if the folder is new.

        ConfigError if it holds something else or another world. After a run that did not end by itself, Airflow's
        history is dropped: it may name running tasks that are gone. The lake needs no such care.
        """
        state = self.state()
        if state is None:
            if self.root.exists() and any(path.name != ".lock" for path in self.root.iterdir()):
                raise ConfigError(f"{self.root} is not empty and no demo's folder: choose another one with DIR=")
            state = State(seed, videos, kinds=kinds)
        if (state.seed, state.videos) != (seed, videos):
            raise ConfigError(
                f"{self.root} holds the world SEED={state.seed} VIDEOS={state.videos}, not SEED={seed} VIDEOS={videos}"
                f": choose another folder with DIR=, or remove this one with `make clean DIR={self.root}`"
            )
        if state.kinds != kinds:
            raise ConfigError(
                f"{self.root} holds a world {'with' if state.kinds else 'without'} real-world kinds: run it "
                f"{'without' if state.kinds else 'with'} --no-kinds, or choose another folder with DIR="
            )
        if not state.clean_end:
            shutil.rmtree(self.airflow, ignore_errors=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        self.write_state(state)
        return state

    def check_space(self, videos: int) -> int:
        """MB that a run with so many new videos will need; ConfigError when the disk has less."""
        need_mb = round(DISK_BASE_MB + DISK_VIDEO_MB * videos)
        free_mb = shutil.disk_usage(self.root).free >> 20
        if free_mb < need_mb:
            raise ConfigError(f"{self.root}: {need_mb} MB are needed and {free_mb} MB are free; choose another DIR=")
        return need_mb

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Hold the folder for one run; ConfigError while another run holds it."""
        self.root.mkdir(parents=True, exist_ok=True)
        busy = ConfigError(f"another demo is at work in {self.root}: wait for it or choose another DIR=")
        with alone(self.root / ".lock", busy):
            yield

    def stop(self) -> int:
        """End what runs for this folder; returns how many processes that were."""
        return processes.end(self.root)

    def clean(self) -> None:
        """End what runs and remove the folder; ConfigError for a folder that no demo made."""
        if not self.root.exists():
            return
        if self.state() is None and any(path.name != ".lock" for path in self.root.iterdir()):
            raise ConfigError(f"{self.root} is no demo's folder: it has no demo.json, nothing is removed")
        with self.claim():
            self.stop()
            shutil.rmtree(self.root)

    def manifests(self) -> set[str]:
        """All committed shards of the lake: comparing two moments shows what was computed between them."""
        return {str(path.relative_to(self.lake)) for path in self.lake.glob("*/v=*/batch=*/*.json")}
