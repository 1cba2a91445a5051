"""`winnow release build` as a process whose clock is five years back, and which waits once it knows what it reads."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import parsed
from tests.unit.clock import YEAR_S, set_clock
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.release import build, steps

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def building(lake: Lake, work: Path) -> Iterator[None]:
    """What happens while a release is built into `work`: before dbt runs, after its inputs were listed."""
    parsed.share(lake.root)
    command = [sys.executable, "-m", "tests.dbt.building", lake.root, str(work)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout.readline() == "reads\n"
        yield
        process.communicate("go on\n", timeout=120)
    assert process.returncode == 0


if __name__ == "__main__":
    set_clock(-5 * YEAR_S)
    parsed.keep()  # asks the server of the tests that started this
    run_dbt = build.run_dbt

    def run_when_told(*arguments: object, **options: object) -> None:
        print("reads", flush=True)
        sys.stdin.readline()
        run_dbt(*arguments, **options)

    build.run_dbt = run_when_told
    steps.build(Path(sys.argv[2]), Lake(sys.argv[1]), Settings(lake=sys.argv[1]), "hash")
