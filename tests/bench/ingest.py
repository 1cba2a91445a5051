"""How long `winnow ingest` takes over AudioSet's unbalanced list at its published size, beside bare CSV readers.

    .venv/bin/python tests/bench/ingest.py [--rows 2041789] [--general] [--quick] [--json]

The list is made up (ids, times and one to four of the 527 classes at random, the same for the same size) in the form of
unbalanced_train_segments.csv. Ingest reads it, checks every row, gives it its ids, looks for repeated rows and commits
Parquet shards. `--general` takes 100,000 rows of a list of any columns instead, as people write them: addresses, times,
titles, labels and columns that nobody asked for. The references read the same file in the same run and keep nothing:
Python's csv module row by row, and pyarrow's CSV reader (both cores). Then the same at a quarter of the size. `cpu_s`
is what both cores worked: on a machine that does other things too it says more than the clock. Exit status 1 where rows
are lost, or where the full size takes a minute or more.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import random
import resource
import string
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from winnow.core import cpu

cpu.pin()  # as the command line does

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED_ROWS = 2_041_789
QUICK_ROWS = 50_000
GENERAL_ROWS = 100_000
LIMIT_S = 60.0
NAME = "unbalanced_train_segments.csv"
BATCH = "bench"
MEGABYTE = 1 << 20


def main() -> int:
    """Run, print, and say whether all rows arrived in time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, help=f"{PUBLISHED_ROWS}, or {GENERAL_ROWS} of a general list")
    parser.add_argument("--general", action="store_true", help="a list of any columns")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROWS} rows, and no second size")
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of a table")
    options = parser.parse_args()
    whole = options.rows or (GENERAL_ROWS if options.general else PUBLISHED_ROWS)
    runs = []
    for rows in [QUICK_ROWS] if options.quick else [whole, whole // 4]:
        with tempfile.TemporaryDirectory(prefix="winnow-bench-") as folder:
            runs.append(measure(Path(folder), rows, general=options.general))
    if len(runs) > 1:
        keys = ("rows", "ingest_s", "cpu_s", "peak_mb", "csv_s", "pyarrow_s")
        runs.append({"bench": "growth", **{key: round(runs[0][key] / max(runs[1][key], 1e-3), 2) for key in keys}})
    for run in runs:
        if options.json:
            print(json.dumps(run))
        else:
            print("\n".join(f"{name:>20}  {value}" for name, value in run.items()), end="\n\n")
    return 1 if any(run.get("wrong") for run in runs) else 0


def measure(folder: Path, rows: int, *, general: bool = False) -> dict[str, object]:
    """Figures of one size. Each reader runs in a process of its own: its memory is its own."""
    path = folder / "inbox" / BATCH / ("crawl.csv" if general else NAME)
    path.parent.mkdir(parents=True)
    (write_general if general else write_list)(path, rows)
    found = _apart(_ingest, folder)
    csv_s, csv_rows = _apart(_bare_csv, path, int(general))
    arrow_s, arrow_rows = _apart(_pyarrow, path, 1 if general else 3)
    wrong = [
        f"{name} {count} rows of {rows}"
        for name, count in (("ingested", found["ok"]), ("csv", csv_rows), ("pyarrow", arrow_rows))
        if count != rows
    ]
    if rows >= PUBLISHED_ROWS and found["ingest_s"] >= LIMIT_S:
        wrong.append(f"{found['ingest_s']} s for the published list; a minute is the limit")
    return {
        "bench": "ingest",
        "list": path.name,
        "rows": rows,
        "list_mb": round(path.stat().st_size / MEGABYTE, 1),
        **found,
        "rows_per_s": round(rows / found["ingest_s"]),
        "csv_s": round(csv_s, 2),
        "pyarrow_s": round(arrow_s, 2),
        "ratio_csv": round(found["ingest_s"] / csv_s, 1),
        "ratio_pyarrow": round(found["ingest_s"] / arrow_s, 1),
        "wrong": wrong,
    }


def write_list(path: Path, rows: int) -> None:
    """A list as AudioSet's, the same for the same number of rows; every id is another."""
    rng = random.Random(rows)
    with (ROOT / "dbt" / "seeds" / "audioset_classes.csv").open(newline="", encoding="utf-8") as file:
        mids = [row["mid"] for row in csv.DictReader(file)]
    letters = string.ascii_letters + string.digits + "-_"
    with path.open("w", encoding="ascii") as file:
        file.write("# Segments csv created Sun Mar  5 10:54:31 2017\n")
        file.write(f"# num_ytids={rows}, num_segs={rows}, num_unique_labels=527, num_positive_labels={rows}\n")
        file.write("# YTID, start_seconds, end_seconds, positive_labels\n")
        for number in range(rows):
            video = "".join(rng.choices(letters, k=7)) + "".join(letters[number >> 6 * i & 63] for i in range(4))
            start_s = rng.choice((0, 30, 30, 30, rng.randrange(600)))
            labels = ",".join(rng.sample(mids, rng.choice((1, 2, 2, 3, 4))))
            file.write(f'{video}, {start_s}.000, {start_s + 10}.000, "{labels}"\n')


def write_general(path: Path, rows: int) -> None:
    """A list as a crawler writes it, the same for the same number of rows; every fifth title is quoted."""
    rng = random.Random(rows)
    with path.open("w", encoding="utf-8") as file:
        file.write("id,url,start,end,title,description,uploader,license,labels,view_count,lang,crawl_score\n")
        for number in range(rows):
            host = rng.choice(("videos.example", "cdn.films.example", "www.youtube.com"))
            name = f"{number:07d}{rng.randrange(16**4):04x}"
            url = f"https://{host}/watch?v={name}" if host[0] == "w" else f"https://{host}/v/{name}.mp4"
            title = f"Old church bell, part {number % 9}" if number % 5 == 0 else "Glocke im Turm – früh"
            start_s = rng.randrange(600)
            cells = (
                name,
                url,
                f"{start_s}.5",
                start_s + 10,
                f'"{title}"' if "," in title else title,
                "Ringing by hand.",
                f"user-{number % 9999}",
                "CC-BY-4.0",
                "church bell;outdoor",
                rng.randrange(10**6),
                rng.choice(("en", "de", "")),
                f"{rng.random():.3f}",
            )
            file.write(",".join(map(str, cells)) + "\n")


def _apart(function, *arguments):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _ingest(folder: Path) -> dict[str, object]:
    """Seconds of the clock and of the processors, and peak memory, of one ingest and the process that it starts."""
    from winnow.batch.ingest import ingest
    from winnow.core.lake import Lake
    from winnow.core.settings import Settings

    lake = Lake(folder / "lake")
    settings = Settings(inbox=folder / "inbox", lake=lake.root)
    clock = time.perf_counter()
    done = ingest(BATCH, settings, lake)
    ingest_s = time.perf_counter() - clock
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "ok": done["ok"],
        "failed": done["failed"],
        "shards": done["shards"],
        "ingest_s": round(ingest_s, 2),
        "cpu_s": round(sum(used.ru_utime + used.ru_stime for used in both), 2),
        "peak_mb": sum(used.ru_maxrss for used in both) // 1024,
    }


def _bare_csv(path: Path, header: int) -> tuple[float, int]:
    """Seconds of Python's csv module, and rows."""
    clock = time.perf_counter()
    with path.open(newline="", encoding="utf-8") as file:
        rows = sum(1 for cells in csv.reader(file, skipinitialspace=True) if not cells[0].startswith("#"))
    return time.perf_counter() - clock, rows - header


def _pyarrow(path: Path, skipped: int) -> tuple[float, int]:
    """Seconds of pyarrow's CSV reader, and rows. It cannot take the space before a quote, so cells stay in pieces."""
    import pyarrow.csv as pc

    clock = time.perf_counter()
    options = pc.ReadOptions(skip_rows=skipped, column_names=["text"])
    table = pc.read_csv(path, read_options=options, parse_options=pc.ParseOptions(delimiter="\t", quote_char=False))
    return time.perf_counter() - clock, table.num_rows


if __name__ == "__main__":
    sys.exit(main())
