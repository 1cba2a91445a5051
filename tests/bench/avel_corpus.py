"""VGGSound-AVEL100k's corpus at its published size, synthetic: 101,072 videos of 141 categories, labelled by second;
and how long a release over them takes, alone (lists.py builds it together with AudioScopeV2's).

    .venv/bin/python tests/bench/avel_corpus.py [--videos 101072] [--quick] [--json]

The published counts (60,640 / 20,216 / 20,216 and 50,543) are not 60, 20, 20 and 50 % of 101,072: what they differ by
tells about the sizes of the categories. A category of n videos is divided by largest remainders: n = 5k exactly, and
n = 5k + 4 with 0.4 video less for train and 0.2 more for val and for test. Half of it, rounded up, is half a video more
than n / 2 where n is odd. The published train is 3.2 below 60 %, and 50,543 is 7 above the half. So eight categories
have n = 5k + 4 and the others n = 5k (the simplest way), and 14 of all are odd. The sizes are made so; the counts are
left to the rules.

The reference is bare DuckDB that draws 60/20/20 per category and half of each in one query, without groups, given
splits or exports, and writes one Parquet.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that the file runs by its path too

from tests.unit.manifests import manifest_of
from winnow.core import cpu

cpu.pin()  # as the command line does

import duckdb
import pyarrow as pa

from winnow.core import corpus_table, table
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.planned_table import INGEST
from winnow.core.settings import Settings
from winnow.release.build import build_release

VIDEOS, CATEGORIES = 101_072, 141
QUICK_VIDEOS = 2_022
#: What follows from the rules at the published size.
PUBLISHED = {("full", "train"): 60_640, ("full", "val"): 20_216, ("full", "test"): 20_216, ("half", None): 50_543}
#: Last digits of the categories' sizes: 127 multiples of ten, six odd multiples of five, eight of the form 10k + 9.
LAST_DIGITS = (0,) * 127 + (5,) * 6 + (9,) * 8
BATCH, V = "2026-11-02", "0123456789ab"
THREADS = 2

_ROWS = """
CREATE TABLE listed AS
SELECT
    category, n, substr(md5(category || n), 1, 11) AS video, (n * 7 % 400)::DOUBLE AS start_s,
    n % 7 AS first_second, 1 + n % 10 AS seconds
FROM (SELECT category, unnest(range(size)) AS n FROM sizes);
CREATE TABLE named AS
SELECT
    *,
    left(sha256('video' || chr(31) || 'youtube:' || video), 20) AS video_id,
    'https://www.youtube.com/watch?v=' || video AS url,
    (start_s * 1000)::BIGINT AS start_ms, (start_s * 1000)::BIGINT + 10000 AS end_ms
FROM listed;
"""


def sizes(videos: int = VIDEOS) -> dict[str, int]:
    """Videos of each category, between about 40 % and 160 % of the mean; a rest that fits no last digit goes to the
    last category. ValueError below 12 videos a category."""
    if videos < 12 * CATEGORIES:
        raise ValueError(f"{videos} videos; {12 * CATEGORIES} are the fewest")
    tens, rest = divmod(videos - sum(LAST_DIGITS), 10)
    least = max(1, tens * 42 // (100 * CATEGORIES))
    free = tens - least * CATEGORIES
    upto = [free * i * (i + 1) // (CATEGORIES * (CATEGORIES - 1)) for i in range(CATEGORIES)]
    counts = [10 * (least + b - a) for a, b in zip([0, *upto], upto, strict=False)]
    named = {f"event {i:03d}": n + digit for i, (n, digit) in enumerate(zip(counts, LAST_DIGITS, strict=True))}
    named[f"event {CATEGORIES - 1:03d}"] += rest
    return named


def avel_corpus(root: Path, videos: int = VIDEOS) -> dict[str, int]:
    """Write the corpus into the lake at `root` and admit its batch: candidates as a list of VGGSound gives them, and
    labels as published ones. The rows of what was written."""
    lake = Lake(str(root))
    with duckdb.connect() as con:
        con.execute("CREATE TABLE sizes (category VARCHAR, size BIGINT)")
        con.executemany("INSERT INTO sizes VALUES (?, ?)", list(sizes(videos).items()))
        con.execute(_ROWS)
        candidates = con.sql(
            f"""SELECT left(sha256(concat_ws(chr(31), 'candidate', video_id, start_ms, end_ms)), 20) AS sample_id,
                'ok' AS outcome, '{BATCH}' AS batch, video_id, 'vggsound' AS source, 'vggsound.csv' AS list_path,
                row_number() OVER (ORDER BY video_id) - 1 AS list_row, video AS source_id, url, start_s,
                start_s + 10 AS end_s, [category] AS labels
            FROM named ORDER BY sample_id"""
        ).to_arrow_table()
        labels = con.sql(
            """SELECT left(sha256(concat_ws(chr(31), 'clip', video_id, start_ms, end_ms)), 20) AS sample_id,
                'avel' AS family, video_id, video, start_s, start_s + 10 AS end_s, category,
                'published:avel' AS annotator_id, NULL::VARCHAR AS created_at,
                list_transform(
                    range(10), lambda k: (k >= first_second AND k < first_second + seconds)::INTEGER
                ) AS labels,
                NULL::INTEGER[] AS audible, NULL::INTEGER[] AS visible, 'bench' AS source
            FROM named ORDER BY sample_id"""
        ).to_arrow_table()
    corpus_table.add(lake, "segment_label", labels, provenance={"made": "by a bench"})
    _admit(lake, candidates)
    return {"videos": candidates.num_rows, "labels": labels.num_rows}


def differences(database: Path) -> list[str]:
    """Counts of a release over the full corpus that are not the published ones."""
    with duckdb.connect(str(database), read_only=True) as con:
        found = {
            ("full", split): samples
            for split, samples in con.execute(
                "SELECT split, samples FROM rpt_avel_sets WHERE family = 'avel' AND set_name = 'full'"
            ).fetchall()
        }
        [(half,)] = con.execute(
            "SELECT sum(samples)::BIGINT FROM rpt_avel_sets WHERE family = 'avel' AND set_name = 'half'"
        ).fetchall()
    found["half", None] = half
    return [f"{key}: {found.get(key)}, published {n}" for key, n in PUBLISHED.items() if found.get(key) != n]


def main() -> int:
    """Build a release over the corpus alone; exit status 1 where its counts are not the published ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=VIDEOS)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_VIDEOS} videos")
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of a table")
    options = parser.parse_args()
    videos = QUICK_VIDEOS if options.quick else options.videos
    with tempfile.TemporaryDirectory(prefix="winnow-bench-") as folder:
        run = _measure(Path(folder), videos)
    print(json.dumps(run) if options.json else "\n".join(f"{name:>20}  {value}" for name, value in run.items()))
    return 1 if run.get("differ") else 0


def _measure(folder: Path, videos: int) -> dict[str, object]:
    lake, work = Lake(str(folder / "lake")), folder / "work"
    written = avel_corpus(folder / "lake", videos)
    work.mkdir()
    clock = time.perf_counter()
    build_release(work, lake, Settings(lake=lake.root), threads=THREADS)
    build_s = time.perf_counter() - clock
    nodes = json.loads((work / "dbt" / "target" / "run_results.json").read_text())["results"]
    avel_s = sum(node["execution_time"] for node in nodes if "avel" in node["unique_id"])
    reference_s = _reference(folder, lake)
    with duckdb.connect(str(work / "winnow.duckdb"), read_only=True) as con:
        counts = con.execute("SELECT set_name, split, samples FROM rpt_avel_sets ORDER BY ALL").fetchall()
    exports = [path for path in (work / "exports" / "avel").rglob("*") if path.is_file()]
    return {
        "bench": "avel",
        **written,
        "threads": THREADS,
        "build_s": round(build_s, 1),
        "avel_models_s": round(avel_s, 1),
        "reference_s": round(reference_s, 2),
        "ratio": round(avel_s / reference_s, 1),
        "dbt_peak_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
        "export_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "export_mb": round(sum(path.stat().st_size for path in exports) / (1 << 20), 1),
        "counts": {f"{name} {split}": n for name, split, n in counts},
        "differ": differences(work / "winnow.duckdb") if videos == VIDEOS else [],
    }


def _reference(folder: Path, lake: Lake) -> float:
    [labels] = corpus_table.files(lake, "segment_label")
    clock = time.perf_counter()
    with duckdb.connect(config={"threads": THREADS}) as con:
        con.execute(
            f"""COPY (
                SELECT *, if(place <= 0.6 * n, 'train', if(place <= 0.8 * n, 'val', 'test')) AS split,
                    row_number() OVER (PARTITION BY category ORDER BY sha256('h' || sample_id)) <= n / 2 AS in_half
                FROM (
                    SELECT *, count(*) OVER (PARTITION BY category) AS n,
                        row_number() OVER (PARTITION BY category ORDER BY sha256(sample_id)) AS place
                    FROM read_parquet('{lake.full(labels)}')
                ) ORDER BY sample_id
            ) TO '{folder}/reference.parquet' (FORMAT parquet, COMPRESSION zstd)"""
        )
    return time.perf_counter() - clock


def _admit(lake: Lake, rows: pa.Table) -> None:
    """Commit the candidates as one shard and admit the batch with them."""
    schema = table.arrow_schema(INGEST.columns)
    arrays = [
        rows[f.name].cast(f.type) if f.name in rows.column_names else pa.nulls(rows.num_rows, f.type) for f in schema
    ]
    data = table.to_bytes(pa.Table.from_arrays(arrays, schema=schema))
    sha256, shard = sha256_bytes(data), "00000-avel"
    manifest = manifest_of(data, "ingest", BATCH, shard, rows.num_rows, fingerprint=V, at="2026-11-02T00:00:00+00:00")
    lake.commit(manifest, data)
    file = {"shard": shard, "path": lake.table_key(manifest), "sha256": sha256, "rows": rows.num_rows}
    head = {"batch": BATCH, "seq": 1, "stages": {"ingest": {"v": V, "files": [file]}}}
    lake.write(f"batches/{BATCH}.json", json.dumps(head).encode())


if __name__ == "__main__":
    sys.exit(main())
