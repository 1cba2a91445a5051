"""A large synthetic lake, made by DuckDB in seconds: the rows follow from the number of clips alone; how they lie in
files (which shard, which order) follows from `layout`, on which no published byte may depend."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb

from tests.dbt.lake import V
from tests.unit.manifests import manifest_of
from winnow.core import table
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.stage import stage_columns

CLIPS_A_VIDEO = 4
_SQL_TYPES = {
    "string": "VARCHAR",
    "double": "DOUBLE",
    "int64": "BIGINT",
    "bool": "BOOLEAN",
    "float32": "FLOAT",
    "uint8": "UTINYINT",
}

# u(key, salt) is a number in [0, 1) that belongs to a row, the same on every machine.
_ROWS = """
CREATE MACRO u(key, salt) AS (('0x' || left(sha256(key || salt), 8))::BIGINT / 4294967296.0)::DOUBLE;
CREATE TABLE videos AS
SELECT
    left(sha256('video' || i), 20) AS video_id, left(sha256('candidate' || i), 20) AS candidate_id, i,
    printf('2026-11-%02d', 1 + i % {batches}) AS batch,
    CASE WHEN u('v' || i, 'has') < 0.5 THEN 'uploader ' || (i // 7) END AS uploader,
    ['label ' || (i * 7919 % 300)] AS labels,
    sha256(CASE WHEN u('v' || i, 'copy') < 0.01 THEN 'file' || (i // 200) ELSE 'file of ' || i END) AS source_sha256,
    u('v' || i, 'fate') AS fate
FROM range({videos}) AS t(i);
CREATE TABLE clips AS
SELECT
    v.*, left(sha256('clip' || i || '/' || j), 20) AS clip_id, j * 8.0 AS start_s,
    j * 8.0 + CASE WHEN u('c' || i || j, 'short') < 0.02 THEN 1.0 ELSE 10.0 END AS end_s,
    sha256(CASE WHEN u('c' || i || j, 'twin') < 0.002 THEN 'twin' || (i // 50) ELSE i || '/' || j END) AS media_sha256,
    u('c' || i || j, 'silence') AS silence, u('c' || i || j, 'still') AS still, u('c' || i || j, 'z') * 8 - 1 AS z,
    u('c' || i || j, 'broken') < 0.005 AS broken
FROM videos AS v, range({clips_a_video}) AS t(j)
WHERE fate >= 0.07;
"""

_VIDEO = "candidate_id AS sample_id, 'ok' AS outcome"
_CLIP = "clip_id AS sample_id, if(broken, 'failed', 'ok') AS outcome, if(broken, 'undecodable', NULL) AS reason"
_ABOUT = "video_id, 'http://media.world.test/' || i || '.mp4' AS url"
#: Every stage's rows, as what follows SELECT; columns that are not named are null.
_STAGES = {
    "ingest": f"""{_VIDEO}, {_ABOUT}, 'csv' AS source, 'list.csv' AS list_path, i AS list_row, 'id ' || i AS source_id,
        uploader, labels, 'title ' || i AS title FROM videos""",
    "screen": f"{_VIDEO}, 'http' AS url_scheme, 8 AS title_chars, false AS has_times FROM videos",
    "decide": f"""candidate_id AS sample_id, if(fate < 0.02, 'failed', 'ok') AS outcome,
        if(fate < 0.02, 'declared_too_long', NULL) AS reason, {_ABOUT} FROM videos""",
    "plan": f"{_VIDEO}, {_ABOUT} FROM videos WHERE fate >= 0.02",
    "fetch": f"""candidate_id AS sample_id, if(fate < 0.07, 'failed', 'ok') AS outcome,
        if(fate < 0.07, 'gone', NULL) AS reason, {_ABOUT}, source_sha256 AS media_sha256, 60 AS fetched_duration_s
        FROM videos WHERE fate >= 0.02""",
    "clip": """clip_id AS sample_id, 'ok' AS outcome, candidate_id, video_id, start_s, end_s,
        end_s - start_s AS duration_s, 'fixed' AS "window", 'copy' AS cut, media_sha256,
        1000 + i AS media_bytes, 0 AS av_offset_s FROM clips""",
    "probe": f"""{_CLIP}, end_s - start_s AS duration_s, 'h264' AS video_codec, 640 AS width, 360 AS height,
        25 AS fps, 'aac' AS audio_codec, 44100 AS rate_hz, 2 AS channels, true AS has_audio,
        -20 - silence AS loudness_lufs, -3 AS peak_dbfs, silence AS silence_ratio, still AS stillness, 0 AS black_ratio
        FROM clips""",
    "visual": f"{_CLIP}, 8 AS grid_hz, 80 AS n_frames FROM clips",
    "audio": f"{_CLIP}, 8 AS grid_hz, 320000 AS n_samples FROM clips",
    "correspond": f"""{_CLIP}, z / 10 AS score, z, z / 20 AS semantic, z / 30 AS sync, i % 5 AS fold, 'm' AS model
        FROM clips""",
}


def write_large(lake: Lake, clips: int, batches: int = 4, shards: int = 3, layout: str = "a") -> int:
    """Write and admit a lake of about this many clips; returns how many. `layout` changes shards and row order only."""
    videos = clips // CLIPS_A_VIDEO * 100 // 93
    columns = stage_columns()
    heads = {f"2026-11-{n + 1:02d}": {"batch": f"2026-11-{n + 1:02d}", "seq": n, "stages": {}} for n in range(batches)}
    with duckdb.connect() as con:
        con.execute(_ROWS.format(batches=batches, videos=videos, clips_a_video=CLIPS_A_VIDEO))
        for stage, rows in _STAGES.items():
            parts = 1 if stage in ("ingest", "screen", "decide") else shards
            types = {**table.KEY_COLUMNS, **columns[stage]}
            declared = ", ".join(f'"{name}" {_sql_type(alias)}' for name, alias in types.items())
            con.execute(f"CREATE OR REPLACE TABLE t ({declared}, b VARCHAR, p BIGINT)")
            placed = f"batch AS b, abs(hash('{layout}' || i)) % {parts} AS p"
            con.execute(f"INSERT INTO t BY NAME SELECT {placed}, {rows}")
            for batch, head in heads.items():
                files = [_commit(con, lake, stage, batch, number, layout) for number in range(parts)]
                head["stages"][stage] = {"v": V, "files": files}
        total = con.execute("SELECT count(*) FROM clips").fetchone()[0]
    for batch, head in heads.items():
        lake.write(f"batches/{batch}.json", json.dumps(head).encode())
    return total


def _commit(con: duckdb.DuckDBPyConnection, lake: Lake, stage: str, batch: str, number: int, layout: str) -> dict:
    found = con.sql(
        f"SELECT * EXCLUDE (b, p) FROM t WHERE b = '{batch}' AND p = {number} ORDER BY hash('{layout}' || sample_id)"
    ).to_arrow_table()
    data = table.to_bytes(found.cast(table.arrow_schema(stage_columns()[stage])))
    sha256, shard, rows = sha256_bytes(data), f"{number:05d}-{layout:0>8}", found.num_rows
    manifest = manifest_of(data, stage, batch, shard, rows, fingerprint=V, at="2026-11-01T00:00:00+00:00")
    Path(path := lake.full(lake.table_key(manifest))).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(data)  # nothing here need outlive a power cut
    Path(path).with_name(f"{shard}.json").write_bytes(manifest.dumps())
    return {"shard": shard, "path": lake.table_key(manifest), "sha256": sha256, "rows": rows}


def _sql_type(alias: str) -> str:
    inner, _, size = alias.partition("[")
    return _SQL_TYPES[inner] + (f"[{size}" if size else "")
