"""How long a release takes over a million clips, and that its published files do not depend on how it was made.

    python -m tests.bench.warehouse [--clips 1000000] [--quick] [--json]

Two lakes with the same rows, cut into other shards and in another row order, are built with one thread and with two;
the SHA-256 of every published table must agree. At a million clips the larger ones have several row groups, without
which the comparison would show little. Exit status 1 when they do not.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

from tests.dbt.large import write_large
from winnow import warehouse
from winnow.lake import Lake, sha256_file
from winnow.settings import Settings

QUICK_CLIPS = 20_000


def build(folder: Path, clips: int, layout: str, threads: int) -> tuple[dict[str, object], dict[str, str]]:
    """One lake and its release: figures, and the digest of each published table."""
    lake = Lake(folder / f"lake-{layout}")
    clock = time.perf_counter()
    count = write_large(lake, clips, layout=layout)
    made_s = time.perf_counter() - clock
    work = folder / f"work-{layout}"
    work.mkdir()
    clock = time.perf_counter()
    warehouse.build_release(work, lake, Settings(lake=lake.root), threads=threads)
    built_s = time.perf_counter() - clock
    tables = sorted((work / "tables").glob("*.parquet"))
    figures = {
        "clips": count,
        "threads": threads,
        "layout": layout,
        "lake_s": round(made_s, 1),
        "build_s": round(built_s, 1),
        "clips_per_s": round(count / built_s),
        "dbt_peak_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
        "row_groups": max(pq.ParquetFile(path).num_row_groups for path in tables),
        "published_mb": round(sum(path.stat().st_size for path in tables) / 1e6, 1),
    }
    return figures, {path.name: sha256_file(path) for path in tables}


def main() -> int:
    """Run, print, and say whether the files agree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_CLIPS:,} clips")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    options = parser.parse_args()
    clips = QUICK_CLIPS if options.quick else options.clips
    with tempfile.TemporaryDirectory(prefix="winnow-bench-") as folder:
        runs = [build(Path(folder), clips, layout, threads) for layout, threads in (("a", 2), ("b", 1))]
    (first, digests), (second, others) = runs
    differ = sorted(name for name in digests.keys() | others.keys() if digests.get(name) != others.get(name))
    if options.json:
        print(json.dumps({"runs": [first, second], "tables": digests, "differ": differ}, indent=1))
    else:
        for name in first:
            print(f"{name:>14}  {first[name]!s:>12}  {second[name]!s:>12}")
        print(
            f"{len(digests)} published tables, " + (f"DIFFERENT: {', '.join(differ)}" if differ else "byte-identical")
        )
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
