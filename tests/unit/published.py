"""Small releases to publish: work folders as build, gate and report leave them."""

from __future__ import annotations

from pathlib import Path

import duckdb

from winnow.core.lake import Lake
from winnow.release import publish


def fill(work: Path, generation: int, clips: int = 2000) -> Path:
    """A work folder as build, gate and report leave it, small; every table carries its generation."""
    work.mkdir(parents=True, exist_ok=True)
    snapshot = work / "winnow.duckdb"
    snapshot.unlink(missing_ok=True)
    with duckdb.connect(str(snapshot)) as con:
        con.execute("CREATE SCHEMA ops")
        tables = {
            "tables/splits": f"SELECT range AS clip, {generation} AS generation FROM range({clips})",
            "tables/thresholds": f"SELECT 'z' AS rule, {generation} AS generation",
            "ops/dim_batches": f"SELECT 'b{generation}' AS batch, {generation} AS seq",
            "ops/fct_shards": f"""SELECT 'probe' AS stage, 'v0' AS v, 'b{generation}' AS batch, 's{generation}' AS
            sha256,
                '{{}}' AS params, 'm0' AS model, {generation} AS generation""",
        }
        for name, query in tables.items():
            folder, table = name.split("/")
            (work / folder).mkdir(exist_ok=True)
            con.execute(f"CREATE TABLE {'ops.' if folder == 'ops' else ''}{table} AS {query}")
            con.execute(f"COPY ({query}) TO '{work / name}.parquet'")
    (work / "gates").mkdir(exist_ok=True)
    (work / "gates" / "release.json").write_text('{"passed": true}')
    (work / "report.html").write_text(f"<p>{generation}")
    return work


def put(lake: Lake, generation: int, clips: int = 2000, **changes) -> dict[str, object]:
    """Publish one generation on top of what is current."""
    work = fill(Path(lake.full(f"releases/.work/test-{generation}")), generation, clips)
    given = {
        "release": publish.content_id(work, "hash"),
        "key": f"key{generation}",
        "base": publish.current(lake),
        "policy": "hash",
    }
    return publish.publish(work, lake, **{**given, **changes})
