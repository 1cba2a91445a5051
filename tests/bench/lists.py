"""How long a release takes over the lists of AudioScopeV2 and VGGSound-AVEL100k at their published sizes, together.

    .venv/bin/python tests/bench/lists.py [--share 1] [--quick] [--json]

Both corpora are written straight as stage tables (audioscope_corpus, avel_corpus) and built in one dbt run with two
threads: 4,901,368 windows of 150,000 videos with their ratings, and 101,072 videos of AVEL. What the rules
make of them must have the published counts: windows, labelled clips and mixtures; samples by split and half of them.
Then the same at a quarter of the size. Exit status 1 where a count differs.

The reference is bare DuckDB that makes the windows from the listed videos and writes them, ordered, as one Parquet.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that the file runs by its path too

from winnow.core import cpu

cpu.pin()  # as the command line does

from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.exports import read_audioscope
from winnow.release.build import build_release

QUICK_SHARE = 0.02
THREADS = 2
MEGABYTE = 1 << 20


def main() -> int:
    """Run, print, and say whether the counts are the published ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the published sizes")
    parser.add_argument("--quick", action="store_true", help=f"a share of {QUICK_SHARE}, and no second size")
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of a table")
    options = parser.parse_args()
    shares = [QUICK_SHARE] if options.quick else [options.share, options.share / 4]
    runs = []
    for share in shares:
        with tempfile.TemporaryDirectory(prefix="winnow-bench-") as folder:
            runs.append(measure(Path(folder), share))
    if len(runs) > 1:
        runs.append(
            {
                "bench": "growth",
                "windows": round(runs[0]["windows"] / runs[1]["windows"], 2),
                **{
                    key: round(runs[0][key] / runs[1][key], 2) for key in ("build_s", "cpu_s", "peak_mb", "reference_s")
                },
            }
        )
    for run in runs:
        if options.json:
            print(json.dumps(run))
        else:
            print("\n".join(f"{name:>20}  {value}" for name, value in run.items()), end="\n\n")
    return 1 if any(run.get("differ") for run in runs) else 0


def measure(folder: Path, share: float) -> dict[str, object]:
    """Figures of one size: what was written, how long the build took and how much memory, and counts that differ."""
    clock = time.perf_counter()
    written = _apart(_write, folder, share)
    made_s = time.perf_counter() - clock
    built = _apart(_build, folder)
    reference_s = _apart(_reference, folder)
    return {
        "bench": "lists",
        "share": share,
        **written,
        "threads": THREADS,
        "lake_s": round(made_s, 1),
        **built,
        "reference_s": round(reference_s, 1),
        "ratio": round(built["build_s"] / reference_s, 1),
        **_apart(_counts, folder),
        "differ": _apart(_differences, folder, share),
    }


def _apart(function, *arguments):
    """What a function returns, run in a process of its own: its memory is its own. DuckDB is imported there, by then:
    imported with this module, in a process that is only starting, it would take it for a terminal and draw progress."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def _write(folder: Path, share: float) -> dict[str, int]:
    from tests.bench.audioscope_corpus import audioscope_corpus
    from tests.bench.avel_corpus import VIDEOS, avel_corpus

    lake = Lake(folder / "lake")
    written = audioscope_corpus(lake, share)
    avel = avel_corpus(Path(lake.root), round(VIDEOS * share))
    return {**written, **{f"avel_{name}": rows for name, rows in avel.items()}}


def _build(folder: Path) -> dict[str, float]:
    """Seconds of a release, of the clock and of all cores, and its peak memory: of dbt, or of what exports tables and
    lists when dbt has ended."""
    lake, work = Lake(folder / "lake"), folder / "work"
    work.mkdir()
    clock = time.perf_counter()
    build_release(work, lake, Settings(lake=lake.root), threads=THREADS)
    built_s = time.perf_counter() - clock
    nodes = json.loads((work / "dbt" / "target" / "run_results.json").read_text())["results"]
    slowest = sorted(nodes, key=lambda node: -node["execution_time"])[:3]
    dbt, own = resource.getrusage(resource.RUSAGE_CHILDREN), resource.getrusage(resource.RUSAGE_SELF)
    files = [path for name in ("tables", "exports") for path in (work / name).rglob("*") if path.is_file()]
    return {
        "build_s": round(built_s, 1),
        "cpu_s": round(sum(used.ru_utime + used.ru_stime for used in (dbt, own)), 1),
        "peak_mb": max(dbt.ru_maxrss, own.ru_maxrss) // 1024,
        "published_mb": round(sum(path.stat().st_size for path in files) / MEGABYTE),
        "slowest": {node["unique_id"].split(".")[2]: round(node["execution_time"], 1) for node in slowest},
    }


def _reference(folder: Path) -> float:
    """Seconds of bare DuckDB for the windows alone: read the listed videos, make the windows, order and write them."""
    import duckdb

    videos = f"{folder}/lake/ingest/v=*/batch=*/*.parquet"
    clock = time.perf_counter()
    with duckdb.connect(config={"threads": THREADS}) as con:
        con.sql(
            "COPY (SELECT url, start_s::DOUBLE AS start_s, start_s + 5.0 AS end_s FROM ("
            f"SELECT url, unnest(range(0, floor(duration_s)::BIGINT - 4)) AS start_s FROM read_parquet('{videos}')"
            f" WHERE source = 'yfcc') ORDER BY url, start_s) TO '{folder}/reference.parquet'"
            " (FORMAT parquet, COMPRESSION zstd)"
        )
    return time.perf_counter() - clock


def _counts(folder: Path) -> dict[str, object]:
    """Rows of every published table of the two families."""
    import duckdb

    with duckdb.connect(str(folder / "work" / "winnow.duckdb"), read_only=True) as con:
        names = con.sql(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema = 'main' AND regexp_matches(table_name, '^(rpt_)?(audioscope|avel)') ORDER BY 1"
        ).fetchall()
        return {"rows": {name: con.sql(f'SELECT count(*) FROM "{name}"').fetchall()[0][0] for (name,) in names}}


def _differences(folder: Path, share: float) -> list[str]:
    """Lists of AudioScopeV2 whose rows are not as many as the published counts say (or their share), and, at the full
    size, counts of AVEL that are not the published ones."""
    from tests.bench import avel_corpus
    from tests.bench.audioscope_corpus import MIXTURES, PUBLISHED

    lists = folder / "work" / "exports" / "audioscope"
    differ = avel_corpus.differences(folder / "work" / "winnow.duckdb") if share == 1 else []
    for file in read_audioscope.FILES:
        if file.version != "v2":
            continue
        labels = ("any", "onscreen_only", "offscreen_only")
        clips = round(PUBLISHED[file.split][labels.index(file.label)] * share)
        if file.mixtures:
            published = PUBLISHED[file.split][labels.index(file.label)]
            clips *= MIXTURES[file.split, file.label] // published
        with (lists / file.name).open("rb") as lines:
            rows = sum(block.count(b"\n") for block in iter(lambda f=lines: f.read(MEGABYTE), b""))
        if rows != clips:
            differ.append(f"{file.name}: {rows} rows, {clips} are published")
    return differ


if __name__ == "__main__":
    sys.exit(main())
