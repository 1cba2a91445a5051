"""A large synthetic lake, made by DuckDB in seconds: the rows follow from the number of clips alone; how they lie in files
(which shard, which order) follows from `layout`, on which no published byte may depend."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb

from tests.dbt.lake import V
from winnow import warehouse
from winnow.lake import Lake, sha256_file
from winnow.manifest import Manifest

CLIPS_A_VIDEO = 4
_SQL_TYPES = {"string": "VARCHAR", "double": "DOUBLE", "int64": "BIGINT", "bool": "BOOLEAN", "float32": "FLOAT"}

# u(salt) is a number in [0, 1) that belongs to a row, the same on every machine.
_ROWS = """
CREATE MACRO u(key, salt) AS (('0x' || left(sha256(key || salt), 8))::BIGINT / 4294967296.0)::DOUBLE;
CREATE TABLE videos AS
SELECT
    left(sha256('video' || i), 20) AS video_id, left(sha256('candidate' || i), 20) AS candidate_id, i,
    printf('2026-11-%02d', 1 + i % {batches}) AS batch,
    CASE WHEN u('v' || i, 'has') < 0.5 THEN 'uploader ' || (i // 7) END AS uploader,
    ['label ' || (i * 7919 % 300)] AS labels,
    CASE WHEN u('v' || i, 'copy') < 0.01 THEN sha256('file' || (i // 200)) ELSE sha256('file of ' || i) END AS source_sha256,
    u('v' || i, 'fate') AS fate
FROM range({videos}) AS t(i);
CREATE TABLE clips AS
SELECT
    v.*, left(sha256('clip' || i || '/' || j), 20) AS clip_id, j * 8.0 AS start_s,
    j * 8.0 + CASE WHEN u('c' || i || j, 'short') < 0.02 THEN 1.0 ELSE 10.0 END AS end_s,
    CASE WHEN u('c' || i || j, 'twin') < 0.002 THEN sha256('twin' || (i // 50)) ELSE sha256('bytes' || i || '/' || j) END AS media_sha256,
    u('c' || i || j, 'silence') AS silence, u('c' || i || j, 'still') AS still, u('c' || i || j, 'z') * 8 - 1 AS z,
    u('c' || i || j, 'broken') < 0.005 AS broken
FROM videos AS v, range({clips_a_video}) AS t(j)
WHERE fate >= 0.07;
"""

_VIDEO = {"sample_id": "candidate_id", "outcome": "'ok'", "video_id": "video_id", "url": "'http://media.world.test/' || i || '.mp4'"}
_CLIP = {"sample_id": "clip_id", "outcome": "'ok'", "video_id": "video_id"}
_BROKEN = {"outcome": "if(broken, 'failed', 'ok')", "reason": "if(broken, 'undecodable', NULL)"}
_STAGES: dict[str, tuple[str, dict[str, str]]] = {
    "ingest": (
        "videos",
        {**_VIDEO, "source": "'csv'", "list_path": "'list.csv'", "list_row": "i", "source_id": "'id ' || i", "uploader": "uploader",
         "labels": "labels", "title": "'title ' || i"},
    ),
    "screen": ("videos", {**_VIDEO, "url_scheme": "'http'", "title_chars": "8", "has_times": "false"}),
    "decide": (
        "videos",
        {**_VIDEO, "outcome": "if(fate < 0.02, 'failed', 'ok')", "reason": "if(fate < 0.02, 'declared_too_long', NULL)"},
    ),
    "plan": ("videos WHERE fate >= 0.02", _VIDEO),
    "fetch": (
        "videos WHERE fate >= 0.02",
        {**_VIDEO, "outcome": "if(fate < 0.07, 'failed', 'ok')", "reason": "if(fate < 0.07, 'gone', NULL)", "media_sha256": "source_sha256",
         "fetched_duration_s": "60"},
    ),
    "clip": (
        "clips",
        {**_CLIP, "candidate_id": "candidate_id", "start_s": "start_s", "end_s": "end_s", "duration_s": "end_s - start_s",
         "window": "'fixed'", "cut": "'copy'", "media_sha256": "media_sha256", "media_bytes": "1000 + i", "av_offset_s": "0"},
    ),
    "probe": (
        "clips",
        {**_CLIP, **_BROKEN, "duration_s": "end_s - start_s", "video_codec": "'h264'", "width": "640", "height": "360", "fps": "25",
         "audio_codec": "'aac'", "rate_hz": "44100", "channels": "2", "has_audio": "true", "loudness_lufs": "-20 - silence",
         "peak_dbfs": "-3", "silence_ratio": "silence", "stillness": "still", "black_ratio": "0"},
    ),
    "visual": ("clips", {**_CLIP, **_BROKEN, "grid_hz": "8", "n_frames": "80"}),
    "audio": ("clips", {**_CLIP, **_BROKEN, "grid_hz": "8", "n_samples": "320000"}),
    "correspond": (
        "clips",
        {**_CLIP, **_BROKEN, "score": "z / 10", "z": "z", "semantic": "z / 20", "sync": "z / 30", "fold": "i % 5", "model": "'m'"},
    ),
}  # fmt: skip


def write_large(lake: Lake, clips: int, batches: int = 4, shards: int = 3, layout: str = "a") -> int:
    """Write and admit a lake of about this many clips; returns how many. `layout` changes shards and row order only."""
    videos = clips // CLIPS_A_VIDEO * 100 // 93
    columns = warehouse.stage_columns()
    heads = {f"2026-11-{n + 1:02d}": {"batch": f"2026-11-{n + 1:02d}", "seq": n, "stages": {}} for n in range(batches)}
    with duckdb.connect() as con:
        con.execute(_ROWS.format(batches=batches, videos=videos, clips_a_video=CLIPS_A_VIDEO))
        for stage, (rows, given) in _STAGES.items():
            values = {"sample_id": "", "outcome": "", "reason": "NULL", "detail": "NULL", **dict.fromkeys(columns[stage], "NULL"), **given}
            select = ", ".join(f'({expr})::{_sql_type(columns[stage].get(name, "string"))} AS "{name}"' for name, expr in values.items())
            parts = 1 if stage in ("ingest", "screen", "decide") else shards
            con.execute(f"CREATE OR REPLACE TABLE t AS SELECT {select}, batch AS b, abs(hash('{layout}' || i)) % {parts} AS p FROM {rows}")
            for batch, head in heads.items():
                files = [_commit(con, lake, stage, batch, number, layout) for number in range(parts)]
                head["stages"][stage] = {"v": V, "files": files}
        total = con.execute("SELECT count(*) FROM clips").fetchone()[0]
    for batch, head in heads.items():
        lake.write(f"batches/{batch}.json", json.dumps(head).encode())
    return total


def _commit(con: duckdb.DuckDBPyConnection, lake: Lake, stage: str, batch: str, number: int, layout: str) -> dict:
    scratch = Path(lake.full(f"{stage}.scratch"))
    scratch.parent.mkdir(parents=True, exist_ok=True)
    con.execute(
        f"COPY (SELECT * EXCLUDE (b, p) FROM t WHERE b = '{batch}' AND p = {number} ORDER BY hash('{layout}' || sample_id))"
        f" TO '{scratch}' (FORMAT parquet)"
    )
    sha256, shard = sha256_file(scratch), f"{number:05d}-{layout:0>8}"
    rows = con.execute(f"SELECT count(*) FROM read_parquet('{scratch}')").fetchone()[0]
    manifest = Manifest(
        stage=stage, v=V, batch=batch, shard=shard, file=f"{shard}.{sha256[:8]}.parquet", sha256=sha256,
        bytes=scratch.stat().st_size, rows=rows, rows_in=rows, ok=rows, failed=0, at="2026-11-01T00:00:00+00:00",
    )  # fmt: skip
    lake.put_file(scratch, lake.table_key(manifest))
    scratch.unlink()
    lake.create(f"{lake.folder(stage, V, batch)}/{shard}.json", manifest.dumps())
    return {"shard": shard, "path": lake.table_key(manifest), "sha256": sha256, "rows": rows}


def _sql_type(alias: str) -> str:
    inner, _, size = alias.partition("[")
    return _SQL_TYPES[inner] + (f"[{size}" if size else "")
