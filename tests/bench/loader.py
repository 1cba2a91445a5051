"""The loader of vectors beside tensors that are there already: how many steps a second a training loses by reading.

    .venv/bin/python tests/bench/loader.py [--rounds 5] [--quick] [--json]

Model cpsp takes steps (forward, loss, backward, Adam) on batches that lie in memory, and on batches that the loader
reads from a mapped store of vectors, in turns in one run; `ratio` is the median over the turns of the second rate over
the first. Cases: batches of 64 of AVE's sizes (49 × 512 a second, 1 MB a clip; published network) and of the built-in
layers' sizes (one position; preset demo), and batches of 1,024 of the latter. `waiting` is the share of time in which
the step waited for data, as a run reports it; what was read ahead during the other turn is thrown away first.
`growth_mb`: what five epochs add to the private memory of a loader alone, over the first one; pages of the mapped file
are the system's and not counted.

Exit status 1 when a ratio is below RATIO or the growth above GROWTH_MB. --quick: a small store and one turn less.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that the file runs by its path too

from winnow.core import cpu

cpu.pin()  # as the command line does

import numpy as np
import pyarrow as pa

from tests.bench.figures import show
from winnow.train.config import TrainConfig
from winnow.train.loader import AHEAD, Loader, Vectors
from winnow.train.store import Block, make

RATIO, GROWTH_MB, EPOCHS = 0.9, 200, 5
CLASSES, SECONDS = 28, 10
#: Case → clips, batch, numbers of sound, positions, numbers of a position, divisor of widths, steps a turn.
CASES = {
    "ave": (256, 64, 128, 49, 512, 1, 2),
    "builtin 64": (2_048, 64, 274, 1, 276, 4, 25),
    "builtin 1024": (4_096, 1_024, 274, 1, 276, 4, 2),
}
QUICK = CASES | {"ave": (128, 32, 128, 49, 512, 4, 2)}


def main() -> int:
    """Print a figure a case; exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rounds, passed = max(2, args.rounds - args.quick), True
    for name, case in (QUICK if args.quick else CASES).items():
        with tempfile.TemporaryDirectory(prefix="winnow-bench-") as folder:
            vectors = _store(Path(folder) / "store", *case[:1], *case[2:5])
            figure = {"case": name, **_rates(vectors, case, rounds), "growth_mb": _growth(vectors, case[1])}
        passed &= figure["ratio"] >= RATIO and figure["growth_mb"] <= GROWTH_MB
        show(figure, args.json)
    return 0 if passed else 1


def _store(folder: Path, clips: int, audio: int, positions: int, visual: int) -> Vectors:
    rng, shapes = np.random.default_rng(0), {"audio": (SECONDS, audio), "visual": (SECONDS, positions, visual)}

    def blocks(shape: tuple[int, ...]) -> Iterator[Block]:
        for at in range(0, clips, 64):
            rows = np.arange(at, min(at + 64, clips))
            yield rows, slice(None), rng.standard_normal((len(rows), *shape), dtype=np.float32)

    make(folder, pa.array([f"{k:020x}" for k in range(clips)]), {n: blocks(s) for n, s in shapes.items()}, shapes, {})
    return Vectors.open(folder)


def _rates(vectors: Vectors, case: tuple[int, ...], rounds: int) -> dict[str, float]:
    clips, batch, _, _, _, _, steps = case
    step = _stepper(vectors, case)
    rows = np.arange(batch)
    synthetic = vectors.take(rows)
    loader = Loader(vectors, np.arange(clips), size=batch, seed=0, epochs=1_000)
    coming = loader.steps()
    step(synthetic, rows), step(next(coming).inputs, rows)  # warm
    found: dict[str, list[float]] = {"synthetic": [], "loader": []}
    waited, seconds = loader.waited_s, 0.0
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(steps):
            step(synthetic, rows)
        found["synthetic"].append(steps / (time.perf_counter() - began))
        for _ in range(AHEAD):
            next(coming)
        began = time.perf_counter()
        for _ in range(steps):
            one = next(coming)
            step(one.inputs, one.rows)
        seconds += time.perf_counter() - began
        found["loader"].append(steps / (time.perf_counter() - began))
    coming.close()
    ratio = statistics.median(b / a for a, b in zip(found["synthetic"], found["loader"], strict=True))
    rates = {f"{name}_steps_per_s": round(statistics.median(v), 3) for name, v in found.items()}
    return {**rates, "ratio": round(ratio, 3), "waiting": round((loader.waited_s - waited) / seconds, 4)}


def _stepper(vectors: Vectors, case: tuple[int, ...]) -> Callable[[dict, np.ndarray], None]:
    import torch

    from winnow.train.sizes import Sizes
    from winnow.train.tasks import avel

    torch.set_num_threads(1)
    clips, _, audio, positions, visual, narrow, _ = case
    config = TrainConfig(model="cpsp", narrow=narrow)
    net = avel.build(config, Sizes(audio, visual, positions, SECONDS, CLASSES, narrow=narrow))
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    category = torch.arange(clips) % CLASSES
    events = (torch.rand(clips, SECONDS) < 0.7).float()

    def step(inputs: dict, rows: np.ndarray) -> None:
        out = net(**{name: torch.from_numpy(values) for name, values in inputs.items()})
        given = {"category": category[rows], "events": events[rows]}
        loss = sum(weight * value for weight, value in avel.terms(config, out, given).values() if value is not None)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    return step


def _growth(vectors: Vectors, batch: int) -> float:
    """Private memory after EPOCHS epochs of reading alone over that after one, MB."""
    loader, after = Loader(vectors, np.arange(len(vectors.ids)), size=batch, seed=0, epochs=EPOCHS), []
    for one in loader.steps():
        if (one.step + 1) % loader.per_epoch == 0:
            after.append(_private_mb())
    return round(after[-1] - after[0], 1)


def _private_mb() -> float:
    with open("/proc/self/smaps_rollup", encoding="ascii") as file:
        lines = dict(line.split(":", 1) for line in file if ":" in line and line[0].isupper())
    return int(lines["Anonymous"].split()[0]) / 1024


if __name__ == "__main__":
    raise SystemExit(main())
