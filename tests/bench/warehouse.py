"""How long a release takes over a million clips, and that its published files do not depend on how it was made.

    .venv/bin/python tests/bench/warehouse.py [--clips 1000000] [--quick] [--json]
    .venv/bin/python tests/bench/warehouse.py --cuts [--json]

Two lakes with the same rows, cut into other shards and in another row order, are built with one thread and with two;
the SHA-256 of every published table must agree. At a million clips the larger ones have several row groups, without
which the comparison would show little. Exit status 1 when they do not. --quick builds one, and compares nothing.

The reference is bare DuckDB that joins the same clips with their measures and writes them, ordered.

--cuts: what it costs a release that shards are small. The same 24,000 clips of two days in shards of 4,096
candidates, one a batch, and of 16, 200 a batch; each built from the shards, as an admitted batch of before is, and from
the one table a stage that admission makes of them. CPU seconds, and the ratio of 16 to 4,096; exit status 1 when tables
differ, or the second ratio is over 1.15.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that the file runs by its path too

from winnow.core import cpu

cpu.pin()  # as the command line does

import duckdb
import pyarrow.parquet as pq

from tests.bench.figures import show
from tests.dbt.lake import compact_batch
from tests.dbt.large import CLIPS_A_VIDEO, write_large
from winnow.core.admitted import admitted_keys
from winnow.core.lake import Lake, sha256_file
from winnow.core.settings import Settings
from winnow.release.build import build_release

QUICK_CLIPS = 20_000
#: Candidates of a shard, and of a batch, and batches; and how much more small shards may cost.
SIZES, CUT_CANDIDATES, CUT_BATCHES, MOST_RATIO = (4096, 16), 3_200, 2, 1.15


def build(folder: Path, clips: int, layout: str, threads: int) -> tuple[dict[str, object], dict[str, str]]:
    """One lake and its release: figures, and the digest of each published table."""
    lake = Lake(folder / f"lake-{layout}")
    clock = time.perf_counter()
    count = write_large(lake, clips, layout=layout)
    made_s = time.perf_counter() - clock
    clock = time.perf_counter()
    for key in admitted_keys(lake):
        compact_batch(lake, key)
    admitted_s = time.perf_counter() - clock
    work = folder / f"work-{layout}"
    work.mkdir()
    clock = time.perf_counter()
    build_release(work, lake, Settings(lake=lake.root), threads=threads)
    built_s = time.perf_counter() - clock
    reference_s = reference(lake, folder / f"reference-{layout}.parquet", threads)
    tables = sorted((work / "tables").glob("*.parquet"))
    figures = {
        "bench": "release",
        "clips": count,
        "threads": threads,
        "layout": layout,
        "lake_s": round(made_s, 1),
        "admit_s": round(admitted_s, 1),
        "build_s": round(built_s, 1),
        "reference_s": round(reference_s, 2),
        "ratio": round(built_s / reference_s, 1),
        "clips_per_s": round(count / built_s),
        "dbt_peak_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
        "row_groups": max(pq.ParquetFile(path).num_row_groups for path in tables),
        "published_mb": round(sum(path.stat().st_size for path in tables) / 1e6, 1),
    }
    return figures, {path.name: sha256_file(path) for path in tables}


def cuts(folder: Path, as_json: bool) -> int:
    """Builds from small shards and large ones, before and after admission made one table of them; exit status."""
    warm = Lake(folder / "warm")
    write_large(warm, 200, batches=1)
    (folder / "warm-work").mkdir()
    build_release(folder / "warm-work", warm, Settings(lake=warm.root), threads=2)  # so that none parses the project
    cpu_s: dict[tuple[str, int], float] = {}
    digests: list[dict[str, str]] = []
    for size in SIZES:
        lake = Lake(folder / f"lake-{size}")
        shards = -(-CUT_CANDIDATES // size)
        write_large(lake, CUT_BATCHES * CUT_CANDIDATES * CLIPS_A_VIDEO * 93 // 100, CUT_BATCHES, shards)
        shutil.copytree(warm.full("cache/dbt"), lake.full("cache/dbt"))
        for form in ("shards", "compact"):
            admit_s = 0.0
            if form == "compact":
                began = spent_s()
                for key in admitted_keys(lake):
                    compact_batch(lake, key)
                admit_s = spent_s() - began
            (work := folder / f"work-{size}-{form}").mkdir()
            began, clock = spent_s(), time.perf_counter()
            build_release(work, lake, Settings(lake=lake.root), threads=2)
            cpu_s[form, size] = spent_s() - began
            digests.append({path.name: sha256_file(path) for path in sorted((work / "tables").glob("*.parquet"))})
            show(
                {
                    "bench": "cut",
                    "shard_size": size,
                    "shards_a_batch": shards,
                    "read": form,
                    "admit_cpu_s": round(admit_s, 1),
                    "build_cpu_s": round(cpu_s[form, size], 1),
                    "build_s": round(time.perf_counter() - clock, 1),
                },
                as_json,
            )
    small, large = min(SIZES), max(SIZES)
    ratios = {form: round(cpu_s[form, small] / cpu_s[form, large], 2) for form in ("shards", "compact")}
    same = all(found == digests[0] for found in digests)
    show(
        {"bench": "cuts", "ratio_of_shards": ratios["shards"], "ratio": ratios["compact"], "same_bytes": same}, as_json
    )
    return 0 if same and ratios["compact"] <= MOST_RATIO else 1


def spent_s() -> float:
    """CPU seconds of this process and of those that it waited for."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def reference(lake: Lake, target: Path, threads: int) -> float:
    """Seconds that bare DuckDB takes to join the same clips with their measures and to write them, ordered."""
    tables = {s: f"read_parquet('{lake.full(s)}/v=*/batch=*/*.parquet')" for s in ("clip", "probe", "correspond")}
    clock = time.perf_counter()
    with duckdb.connect(config={"threads": threads}) as connection:
        connection.sql(
            f"copy (select * from {tables['clip']} as clips left join {tables['probe']} as probes using (sample_id) "
            f"left join {tables['correspond']} as scores using (sample_id) order by sample_id, candidate_id) "
            f"to '{target}' (format parquet)"
        )
    return time.perf_counter() - clock


def main() -> int:
    """Run, print, and say whether the files agree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_CLIPS:,} clips, one layout, within 30 s")
    parser.add_argument("--cuts", action="store_true", help="small shards against large ones")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    clips = QUICK_CLIPS if options.quick else options.clips
    with tempfile.TemporaryDirectory(prefix="winnow-bench-") as folder:
        if options.cuts:
            return cuts(Path(folder), options.json)
        layouts = (("a", 2), ("b", 1))[: 1 if options.quick else 2]
        runs = [build(Path(folder), clips, layout, threads) for layout, threads in layouts]
    for figures, digests in runs:
        show({**figures, "tables": digests} if options.json else figures, options.json)
    if options.quick:
        return 0
    digests, others = (run[1] for run in runs)
    differ = sorted(name for name in digests.keys() | others.keys() if digests.get(name) != others.get(name))
    show({"bench": "bytes", "tables": len(digests), "differ": differ}, options.json)
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
