"""What a day costs that is added to a released corpus, against a build from scratch by the same code.

    .venv/bin/python tests/bench/release_day.py [--clips 50000 200000] [--batches 20] [--quick] [--json]

A lake of so many clips in so many batches, admitted, of which all but the last are released; then the last is admitted
and released (build, gate, report, publish). Beside it the same lake is released at once, without anything that a
release before left: the published tables must be the same bytes. CPU seconds of all processes, in turn on one machine;
`cpu_share` is the added day's of the whole's. What a release costs over hardly any clips (`fixed`, dbt's start for the
most part) is a figure of its own: `rows_share` is of what is above it. `new_mb` is what the second release takes beside
the one before, `rows_mb` the new batch's share of its published tables by rows.

--quick: 20,000 clips in 5 batches, builds alone, without `fixed`, within 30 s.

Exit status 1 when bytes differ, or `rows_share` is over MOST_SHARE (of --quick, `cpu_share` over QUICK_SHARE).
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that the file runs by its path too

from winnow.core import cpu

cpu.pin()  # as the command line does

from tests.bench.figures import show
from tests.dbt.lake import compact_batch
from tests.dbt.large import write_large
from winnow.core.admitted import admitted_keys
from winnow.core.lake import Lake, sha256_file
from winnow.core.settings import Settings
from winnow.release import publish
from winnow.release.build import build_release
from winnow.release.steps import release

CLIPS, BATCHES = (50_000, 200_000), 20
QUICK_CLIPS, QUICK_BATCHES = 20_000, 5
FEW_CLIPS = 200
#: What a day may cost of the whole, above what any release costs.
MOST_SHARE = 0.9
#: What it may cost of a whole that is hardly more than what any costs.
QUICK_SHARE = 1.2


def spent_s(run: Callable[[], object]) -> float:
    """CPU seconds that something takes, with the processes that it waits for."""

    def now() -> float:
        used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(one.ru_utime + one.ru_stime for one in used)

    before = now()
    with redirect_stderr(StringIO()):
        run()
    return now() - before


def tables(folder: Path) -> dict[str, str]:
    """Digests of the published tables of a release or of a work folder."""
    return {path.name: sha256_file(path) for path in sorted((folder / "tables").glob("*.parquet"))}


class Bench:
    """Releases, or builds alone, in one folder; what dbt parsed is shared, as it is between the releases of a lake."""

    def __init__(self, folder: Path, whole: bool, as_json: bool) -> None:
        self.folder, self.whole, self.as_json = folder, whole, as_json
        self.fixed_s = 0.0
        if whole:
            few = self.lake("few", FEW_CLIPS, 1)
            self.released(few)
            self.parsed = few.full("cache/dbt")
            self.fixed_s, _ = self.released(self.lake("fewer", FEW_CLIPS, 1))

    def lake(self, name: str, clips: int, batches: int) -> Lake:
        """An admitted lake."""
        lake = Lake(self.folder / name)
        write_large(lake, clips, batches, 1)
        for key in admitted_keys(lake):
            compact_batch(lake, key)
        self.warm(lake)
        return lake

    def warm(self, lake: Lake) -> None:
        """Have what dbt parsed in a lake that has nothing of it."""
        if hasattr(self, "parsed"):
            shutil.copytree(self.parsed, lake.full("cache/dbt"), dirs_exist_ok=True)

    def released(self, lake: Lake) -> tuple[float, Path]:
        """CPU seconds of a release, and its folder."""
        settings = Settings(lake=lake.root)
        if self.whole:
            return spent_s(lambda: release(lake, settings)), publish.folder(lake)
        work = Path(tempfile.mkdtemp(dir=self.folder))
        return spent_s(lambda: build_release(work, lake, settings)), work

    def added(self, clips: int, batches: int) -> bool:
        """Release all batches but the last, then that too; and all at once. Whether the bytes are the same."""
        lake = self.lake(f"lake-{clips}", clips, batches)
        once = Lake(shutil.copytree(lake.root, f"{lake.root}-once", copy_function=os.link))
        last = f"batches/{admitted_keys(lake)[-1]}.json"
        head = lake.read(last)
        lake.remove(last)
        _, before = self.released(lake)
        if not self.whole:
            self.parsed = lake.full("cache/dbt")
            self.warm(once)
        lake.write(last, head)
        added_s, day = self.released(lake)
        scratch_s, whole = self.released(once)
        held = {path.stat().st_ino for path in before.rglob("*") if path.is_file()}
        published = [path.stat() for path in day.rglob("*") if path.is_file()]
        rows_b = sum(path.stat().st_size for path in (day / "tables").iterdir())
        share = added_s / scratch_s
        figures = {
            "bench": "day",
            "clips": clips,
            "batches": batches,
            "added_cpu_s": round(added_s, 1),
            "scratch_cpu_s": round(scratch_s, 1),
            "cpu_share": round(share, 2),
            "same_bytes": tables(day) == tables(whole),
        }
        if self.whole:
            share = (added_s - self.fixed_s) / (scratch_s - self.fixed_s)
            figures["fixed_cpu_s"] = round(self.fixed_s, 1)
            figures["rows_share"] = round(share, 2)
            figures["new_mb"] = round(sum(one.st_size for one in published if one.st_ino not in held) / 1e6, 1)
            figures["rows_mb"] = round(rows_b / batches / 1e6, 1)
        show(figures, self.as_json)
        return bool(figures["same_bytes"]) and share <= (MOST_SHARE if self.whole else QUICK_SHARE)


def main() -> int:
    """Run, print, and say whether the limits hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, nargs="+", default=list(CLIPS))
    parser.add_argument("--batches", type=int, default=BATCHES)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_CLIPS:,} clips, builds alone, within 30 s")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    sizes = [(QUICK_CLIPS, QUICK_BATCHES)] if options.quick else [(clips, options.batches) for clips in options.clips]
    with tempfile.TemporaryDirectory(prefix="winnow-bench-") as folder:
        bench = Bench(Path(folder), not options.quick, options.json)
        held = [bench.added(clips, batches) for clips, batches in sizes]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
