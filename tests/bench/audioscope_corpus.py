"""AudioScopeV2's corpus at its published size, synthetic: uploaders, videos and ratings whose counts are known.

Only the lists are made up, not what is published of them: each split's videos get durations that hold exactly as many
windows (5 s, every 1 s) as its published list has clips, and uploaders whom the hash of their name puts into that split
(computed here on its own, from the shares of the seed). Everything else (windows, splits, labels, mixtures) is left to
the rules.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import duckdb

from winnow.core import corpus_table
from winnow.core.lake import Lake, sha256_file
from winnow.core.manifest import Manifest
from winnow.core.stage import stage_columns
from winnow.core.table import KEY_COLUMNS
from winnow.sources import yfcc_path

#: Split → windows, clips that raters agree on (on-screen only, off-screen only): README of datasets/audioscope-v2.
PUBLISHED = {
    "train": (4_845_626, 554, 1_072),
    "validate": (37_126, 104, 1_383),
    "test": (18_616, 43, 762),
}
MIXTURES = {
    ("validate", "onscreen_only"): 520,
    ("validate", "offscreen_only"): 6_915,
    ("test", "onscreen_only"): 215,
    ("test", "offscreen_only"): 1_524,
}
BATCH = "2026-11-01"
V = "0123456789ab"
VIDEOS_AN_UPLOADER = 7
WINDOWS = (5, 56)
_SEEDS = Path(__file__).resolve().parents[2] / "dbt" / "seeds"
_SQL_TYPES = {"string": "VARCHAR", "double": "DOUBLE", "int64": "BIGINT", "string[]": "VARCHAR[]"}

#: u(key) is a whole number that belongs to a key, the same on every machine.
_ROWS = """
CREATE MACRO u(key) AS ('0x' || left(sha256(key), 8))::BIGINT;
CREATE TABLE videos AS
WITH lengths AS (
    SELECT split, i, windows, {low} + u(split || i) % {spread} AS n
    FROM sizes, range(windows // {low} + 1) AS t(i)
),
counted AS (
    SELECT *, sum(n) OVER (PARTITION BY split ORDER BY i) - n AS before FROM lengths
)
SELECT split, i, least(n, windows - before)::BIGINT AS n, md5(split || i) AS hash FROM counted WHERE before < windows;
CREATE TABLE listed AS
WITH named AS (
    SELECT
        videos.*, uploaders.uploader,
        '{prefix}{folder}' || left(h, 3) || '/' || substr(h, 4, 3) || '/' || h || '.mp4' AS url
    FROM (SELECT *, left(hash, if(i % 16 = 0, 31, 32)) AS h FROM videos) AS videos
    JOIN uploaders ON uploaders.split = videos.split AND uploaders.k = videos.i // {each}
)
SELECT
    *, left(sha256('video' || chr(31) || url), 20) AS video_id, n + 4 + (u('f' || url) % 1000) / 1000.0 AS duration_s
FROM named;
CREATE TABLE rated AS
WITH clips AS (
    SELECT
        split, video_id, url, start_s, row_number() OVER (PARTITION BY split ORDER BY sha256(url || start_s)) AS place
    FROM (SELECT split, video_id, url, unnest(range(0, n, 3)) AS start_s FROM listed WHERE i < 4000)
),
stated AS (
    SELECT
        clips.*,
        CASE
            WHEN place <= onscreen THEN 'on' WHEN place <= onscreen + offscreen THEN 'off'
            ELSE ['mixed', 'none', 'differ', 'differ'][1 + place % 4]
        END AS state
    FROM clips JOIN sizes USING (split)
    WHERE place <= (onscreen + offscreen) * 5 // 4
)
SELECT *, unnest(['r1', 'r2', 'r3']) AS rater_id FROM stated;
"""


def audioscope_corpus(lake: Lake, share: float = 1.0) -> dict[str, int]:
    """Write and admit the corpus, or `share` of it (windows and ratings); the rows of what was written."""
    sizes = [(split, *(round(n * share) for n in PUBLISHED[split])) for split in PUBLISHED]
    with duckdb.connect() as con:
        con.execute("CREATE TABLE sizes (split VARCHAR, windows BIGINT, onscreen BIGINT, offscreen BIGINT)")
        con.executemany("INSERT INTO sizes VALUES (?, ?, ?, ?)", sizes)
        con.execute("CREATE TABLE uploaders (split VARCHAR, k BIGINT, uploader VARCHAR)")
        needed = {split: windows // (WINDOWS[0] * VIDEOS_AN_UPLOADER) + 1 for split, windows, *_ in sizes}
        con.from_arrow(_uploaders(needed)).insert_into("uploaders")
        low, spread = WINDOWS
        con.execute(
            _ROWS.format(
                low=low, spread=spread, each=VIDEOS_AN_UPLOADER, prefix=yfcc_path.URL_PREFIX, folder=yfcc_path.FOLDER
            )
        )
        ingest = """left(sha256(concat_ws(chr(31), 'candidate', video_id, '', '')), 20) AS sample_id, 'ok' AS outcome,
            video_id, 'yfcc' AS source, 'videos.csv' AS list_path, i AS list_row, url, uploader, duration_s
            FROM listed ORDER BY sample_id"""
        rows = _commit(con, lake, "ingest", ingest, stage_columns()["ingest"])
        answers = con.sql(
            """SELECT left(sha256(concat_ws(chr(31), 'clip', video_id, start_s * 1000, start_s * 1000 + 5000)), 20)
                AS sample_id, url AS video, start_s::DOUBLE AS start_s, start_s + 5.0 AS end_s, rater_id,
                state IN ('on', 'mixed') OR (state = 'differ' AND rater_id = 'r1') AS onscreen_present,
                state IN ('off', 'mixed') OR (state = 'differ' AND (rater_id != 'r1' OR place % 8 < 4))
                AS offscreen_present, '2026-11-01T00:00:00Z' AS created_at
            FROM rated ORDER BY sample_id, rater_id"""
        ).to_arrow_table()
    corpus_table.add(lake, "rating", answers, provenance={"made": "by a bench"})
    return {"videos": rows, "windows": sum(size[1] for size in sizes), "ratings": answers.num_rows}


def _uploaders(needed: Mapping[str, int]):
    """As many uploaders per split as may be needed, by the hash of their names."""
    import pyarrow as pa

    with (_SEEDS / "audioscope_splits.csv").open(encoding="utf-8", newline="") as file:
        shares = [(row["split"], Fraction(row["share"])) for row in csv.DictReader(file)]
    found: dict[str, list[str]] = {split: [] for split in needed}
    number = 0
    while any(len(found[split]) < count for split, count in needed.items()):
        name = f"uploader {number}"
        at = Fraction(int(hashlib.sha256(f"audioscope-split\x1f{name}".encode()).hexdigest()[:15], 16), 16**15)
        for split, share in shares:
            at -= share
            if at < 0:
                found[split].append(name)
                break
        number += 1
    flat = [(split, k, name) for split, names in found.items() for k, name in enumerate(names)]
    return pa.table(dict(zip(("split", "k", "uploader"), map(list, zip(*flat, strict=True)), strict=True)))


def _commit(con: duckdb.DuckDBPyConnection, lake: Lake, stage: str, rows: str, columns: Mapping[str, str]) -> int:
    """Commit a stage table of one shard (`rows` is what follows SELECT) and admit the batch with it; its rows."""
    declared = ", ".join(f'"{n}" {_SQL_TYPES[alias]}' for n, alias in {**KEY_COLUMNS, **columns}.items())
    con.execute(f"CREATE OR REPLACE TABLE t ({declared})")
    con.execute(f"INSERT INTO t BY NAME SELECT {rows}")
    [(count,)] = con.execute("SELECT count(*) FROM t").fetchall()
    scratch = Path(lake.full(f"{stage}.scratch"))
    scratch.parent.mkdir(parents=True, exist_ok=True)
    con.execute(f"COPY (SELECT * FROM t) TO '{scratch}' (FORMAT parquet, COMPRESSION zstd)")
    sha256, shard = sha256_file(scratch), "00000-audiosco"
    manifest = Manifest(
        stage=stage,
        fingerprint=V,
        batch=BATCH,
        shard=shard,
        file=f"{shard}.{sha256[:8]}.parquet",
        sha256=sha256,
        bytes=scratch.stat().st_size,
        rows=count,
        rows_in=count,
        ok=count,
        failed=0,
        at="2026-11-01T00:00:00+00:00",
    )
    key = lake.table_key(manifest)
    lake.put_file(scratch, key)
    scratch.unlink()
    lake.create(f"{lake.folder(stage, V, BATCH)}/{shard}.json", manifest.dumps())
    file = {"shard": shard, "path": key, "sha256": sha256, "rows": count}
    head = {"batch": BATCH, "seq": 0, "stages": {stage: {"v": V, "files": [file]}}}
    lake.write(f"batches/{BATCH}.json", json.dumps(head).encode())
    return count
