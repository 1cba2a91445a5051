"""What the pin costs: the main computations by the pinned instructions, against those that libraries choose.

    .venv/bin/python tests/bench/cpu.py [--rounds 3] [--quick] [--json]

Each side is a process of its own, because libraries choose once, as they load; the sides take turns. The reference is
the same computation in a process that pins nothing but the number of threads and lets FFmpeg and libx264 look at the
CPU. `ratio` is the pinned side's CPU time over the reference's, best of the rounds; `found` says what the reference
chose. On a CPU without AVX-512 both sides choose nearly the same: run it where there is more.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that the file runs by its path too

from winnow.core import cpu

ROOT = Path(__file__).resolve().parents[2]
SIDES = ("pinned", "chosen")


def work(side: str, seconds: float) -> dict[str, object]:
    """CPU time of each computation, s, best of as many as fit into `seconds`; and what the libraries use."""
    if side == "pinned":
        cpu.pin()
    else:
        os.environ.update(cpu.THREADS)
        cpu.X264, cpu.check = "auto", lambda: None
    import numpy as np

    import winnow.media.ffmpeg  # noqa: F401
    from tests.contracts import computed
    from tests.unit.signals import moving_square, mp4, sine

    flags = ctypes.CDLL(sys.modules["av._core"].__file__)
    if side == "chosen":
        flags.av_force_cpu_flags(-1)  # look at the CPU again
    rng = np.random.default_rng(0)
    many, square = rng.normal(size=(2000, 200)), rng.normal(size=(500, 500))
    clip = mp4(moving_square(4), sine(4, 440, -12, channels=2))
    bodies: dict[str, Callable[[], object]] = {
        "matrix product": lambda: square @ square,
        "singular values": lambda: np.linalg.svd(many, full_matrices=False),
        "eigenvectors": lambda: np.linalg.eigh(many.T @ many),
        **computed.NUMBERS,
        **{name: partial(body, clip) for name, body in computed.MEDIA.items()},
    }
    times = {name: _best(body, seconds) for name, body in bodies.items()}
    umath = sys.modules["numpy._core._multiarray_umath"]
    used = [name for name in umath.__cpu_dispatch__ if umath.__cpu_features__[name]]
    found = f"{cpu.blas_of(umath.__file__)}, NumPy {'+'.join(used)}, FFmpeg {flags.av_get_cpu_flags() & 0xFFFFFFFF:#x}"
    return {"times": times, "found": found}


def _best(body: Callable[[], object], seconds: float) -> float:
    body()
    best, end = float("inf"), time.process_time() + seconds
    while time.process_time() < end:
        start = time.process_time()
        body()
        best = min(best, time.process_time() - start)
    return best


def main() -> None:
    """Print a figure a computation."""
    from tests.bench.figures import show

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one short round, within 30 s")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    seconds = 0.1 if options.quick else 1.0
    if options.side:
        print(json.dumps(work(options.side, seconds)))
        return
    environment = {name: value for name, value in os.environ.items() if name not in {*cpu.INSTRUCTIONS, *cpu.REMOVED}}
    command = [sys.executable, __file__, *(["--quick"] if options.quick else []), "--side"]
    sides: dict[str, list[dict]] = {side: [] for side in SIDES}
    for _ in range(1 if options.quick else options.rounds):
        for side in SIDES:
            done = subprocess.run([*command, side], env=environment, cwd=ROOT, stdout=subprocess.PIPE, check=True)
            sides[side].append(json.loads(done.stdout.splitlines()[-1]))
    for name in sides["pinned"][0]["times"]:
        pinned, chosen = (min(one["times"][name] for one in sides[side]) for side in SIDES)
        show(
            {
                "bench": "cpu",
                "computation": name,
                "pinned_ms": round(pinned * 1e3, 2),
                "chosen_ms": round(chosen * 1e3, 2),
                "ratio": round(pinned / chosen, 3),
                "found": sides["chosen"][0]["found"],
            },
            options.json,
        )


if __name__ == "__main__":
    main()
