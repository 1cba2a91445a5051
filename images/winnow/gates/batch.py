"""The batch gate: what stands between a batch's stage tables and every release.

It checks that the batch is whole (every shard of every stage committed, every input with an outcome) and that its values
are possible, then writes the batch's head, `batches/<key>.json`: the list of tables that a release reads. A batch without
a head is in no release, so a batch enters one all at once or not at all. Batches are numbered (`seq`) in the order in
which they were first admitted; splits that were published earlier are kept by that order.

Nothing is read again for a batch whose tables were admitted before under the same suites.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from winnow.errors import ContractError, GateFailed
from winnow.gates.results import GateResult
from winnow.gates.suites import load_suites, suites_digest
from winnow.lake import Lake, digest, sha256_bytes
from winnow.manifest import Manifest
from winnow.sample import Reason, check_batch
from winnow.settings import Settings
from winnow.shard import Chain
from winnow.stage import stage_needs
from winnow.warehouse import stage_columns as columns

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

BOUNDARY = "batch"
#: Tables that are cut, not measured, and the one whose ok rows they were cut from. `ingest` starts from the lists.
CUT_FROM = {"decide": "screen", "plan": "decide"}
SHARD_COLUMNS = {
    "stage": "string", "shard": "string", "committed": "bool", "digest_holds": "bool", "misfit_columns": "string",
    "rows": "int64", "ok": "int64", "failed": "int64", "table_rows": "int64", "table_ok": "int64", "table_failed": "int64",
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A stage's tables of one batch: the version it stands at, and its commits by shard number (None: not there)."""

    v: str
    shards: dict[int, Manifest | None]


def gate_batch(batches: Sequence[str], settings: Settings, lake: Lake) -> dict[str, object]:
    """Gate batches and admit them, in the order of their keys; GateFailed, and none of them admitted, when one fails.

    Returns {"batches": [{"batch", "seq", "computed", "rules", "page"}], "computed"}: `computed` counts the batches that were
    checked, the others' very tables were admitted before under the same suites.
    """
    suites = suites_digest(settings.dbt_dir, BOUNDARY)
    found = {key: batch_tables(lake, key) for key in sorted({check_batch(b) for b in batches})}
    heads = {key: _head(lake, key, tables, suites) for key, tables in found.items()}
    fresh = [key for key, head in heads.items() if not _admitted(lake, head)]
    results = {key: check_tables(lake, settings, key, found[key]) for key in fresh}
    pages = {key: _write(lake, result) for key, result in results.items()}
    if failed := [result.message(pages[key]) for key, result in results.items() if not result.passed]:
        raise GateFailed("\n".join([*failed, f"  admitted now: none of {', '.join(heads)}"]))
    for key in fresh:
        head = {**heads[key], "seq": _seq(lake, key)}
        lake.write(f"batches/{key}.json", (json.dumps(head, indent=1, sort_keys=True) + "\n").encode())
    batches_done = [
        {
            "batch": key,
            "seq": json.loads(lake.read(f"batches/{key}.json"))["seq"],
            "computed": key in results,
            "rules": results[key].counts[1] if key in results else None,
            "page": lake.full(f"gates/{key}/index.html"),
        }
        for key in heads
    ]
    return {"batches": batches_done, "computed": len(fresh)}


def check_tables(lake: Lake, settings: Settings, batch: str, tables: Mapping[str, Table]) -> GateResult:
    """Run the batch suites over a batch's tables. Imports Great Expectations (seconds)."""
    from winnow.gates.validate import validate

    results = []
    rules = fetch_rules(settings)
    with views(lake, tables) as con:
        for suite in load_suites(settings.dbt_dir, BOUNDARY):
            for stage in tables if suite.each_stage else [""]:
                one = suite.for_stage(stage) if stage else suite
                reasons = [reason.value for reason in Reason] + (rules if stage == "decide" else [])
                results.append(validate(one, con.sql(one.frame).df(), {"reasons": reasons}))
    return GateResult(BOUNDARY, batch, suites_digest(settings.dbt_dir, BOUNDARY), tuple(results))


def fetch_rules(settings: Settings) -> list[str]:
    """Names of the rules that may reject a candidate before it is fetched: the reasons of the table `decide`."""
    with (Path(settings.dbt_dir) / "seeds" / "thresholds.csv").open(encoding="utf-8", newline="") as file:
        return [row["rule"] for row in csv.DictReader(file) if row["point"] == "fetch"]


def batch_tables(lake: Lake, batch: str) -> dict[str, Table]:
    """Every table that a batch stands on: the cut ones (candidates, decisions, plan), then each stage's; ContractError
    before its ingest."""
    needs = stage_needs()
    chain = Chain(lake, batch, needs)
    if chain.stand("ingest") is None:
        raise ContractError(f"batch {batch} was never ingested, so there is nothing to gate: run `winnow ingest --batch {batch}`")
    tables = {}
    for stage in columns():
        stand = chain.stand(stage)
        numbers = chain.numbers(stage) if stand or stage in needs else [0]
        tables[stage] = Table(stand["v"] if stand else "", {n: chain.committed(stage, n) if stand else None for n in numbers})
    return tables


def _head(lake: Lake, batch: str, tables: Mapping[str, Table], suites: str) -> dict[str, object]:
    stages = {
        stage: {
            "v": table.v,
            "files": [
                {"shard": m.shard, "path": lake.table_key(m), "sha256": m.sha256, "rows": m.rows}
                for _, m in sorted(table.shards.items())
                if m is not None
            ],
        }
        for stage, table in tables.items()
    }
    whole = all(m is not None for table in tables.values() for m in table.shards.values())
    return {"batch": batch, "stages": stages, "gate": {"suites": suites, "tables": digest(stages), "whole": whole}}


def _admitted(lake: Lake, head: dict) -> bool:
    """Whether exactly these tables were admitted under exactly these suites."""
    data = lake.read_or_none(f"batches/{head['batch']}.json")
    return data is not None and head["gate"]["whole"] and json.loads(data).get("gate") == head["gate"]


def _seq(lake: Lake, batch: str) -> int:
    """The batch's number in the order of admission, from 1. Each number is a file created exclusively, so two gates at
    a time take different ones and a gate that died after taking one finds it again."""
    taken = lake.list("batches/seq")
    for name in taken:
        if lake.read(f"batches/seq/{name}").decode() == batch:
            return int(name)
    seq = int(taken[-1]) + 1 if taken else 1
    while not lake.create(f"batches/seq/{seq:08d}", batch.encode()):
        seq += 1
    return seq


def _write(lake: Lake, result: GateResult) -> str:
    from winnow.report.gate_page import gate_page

    folder = f"gates/{result.subject}"
    lake.write(f"{folder}/result.json", (json.dumps(result.to_json(), indent=1, sort_keys=True) + "\n").encode())
    lake.write(f"{folder}/index.html", gate_page([result.to_json()]).encode())
    return lake.full(f"{folder}/index.html")


@contextmanager
def views(lake: Lake, tables: Mapping[str, Table]) -> Iterator[duckdb.DuckDBPyConnection]:
    """The batch as DuckDB views: one per stage, and `shards`, `missing`, `orphans` about them all."""
    import duckdb
    import pyarrow as pa

    from winnow.table import arrow_schema

    schemas = columns()
    with ExitStack() as stack:
        con = stack.enter_context(duckdb.connect())
        shards = []
        for stage, table in tables.items():
            schema = arrow_schema(schemas[stage])
            paths = []
            for number, manifest in sorted(table.shards.items()):
                row = {"stage": stage, "shard": f"{number:05d}", "committed": manifest is not None}
                if manifest is not None:
                    path = stack.enter_context(lake.local(lake.table_key(manifest)))
                    row |= _measured(manifest, path.read_bytes() if path.is_file() else b"", schema)
                    paths += [str(path)] if row["digest_holds"] else []
                shards.append(row)
            con.register(f"no_{stage}", schema.empty_table())
            source = f"read_parquet({paths!r}, union_by_name = true)" if paths else f"no_{stage}"
            con.execute(f"CREATE VIEW {stage} AS SELECT * FROM {source}")
        con.register("shards", pa.Table.from_pylist(shards, schema=pa.schema([(n, pa.type_for_alias(t)) for n, t in SHARD_COLUMNS.items()])))
        for name, sql in _accounts(schemas).items():
            con.execute(f"CREATE VIEW {name} AS {sql}")
        yield con


def _measured(manifest: Manifest, data: bytes, schema: pa.Schema) -> dict[str, object]:
    """What a committed table really holds, beside what its manifest says."""
    import io

    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    said = {"shard": manifest.shard, "rows": manifest.rows, "ok": manifest.ok, "failed": manifest.failed}
    if sha256_bytes(data) != manifest.sha256:
        return {**said, "digest_holds": False}
    have = {field.name: field.type for field in pq.read_schema(io.BytesIO(data))}
    want = {field.name: field.type for field in schema}
    misfits = sorted(name for name in {**have, **want} if have.get(name) != want.get(name))
    outcome = pq.read_table(io.BytesIO(data), columns=["outcome"])["outcome"]
    ok = pc.sum(pc.equal(outcome, "ok")).as_py() or 0
    counted = {"table_rows": len(outcome), "table_ok": ok, "table_failed": len(outcome) - ok}
    return {**said, "digest_holds": True, "misfit_columns": ", ".join(misfits) or None, **counted}


def _accounts(schemas: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """SQL of the two tables that say what disappeared and what appeared from nowhere. A table's inputs are the ok rows
    of the one before it (a stage's first need); a fan-out stage names them in `candidate_id`."""
    before = {**CUT_FROM, **{stage: needs[0] for stage, needs in stage_needs().items()}}
    missing, orphans = [], []
    for stage, first in before.items():
        parent = "coalesce(candidate_id, sample_id)" if "candidate_id" in schemas[stage] else "sample_id"
        given, got = f"SELECT sample_id FROM {first} WHERE outcome = 'ok'", f"SELECT {parent} AS sample_id FROM {stage}"
        names = f"SELECT DISTINCT '{stage}' AS stage, sample_id, '{first}' AS input_of"
        missing.append(f"{names} FROM ({given}) ANTI JOIN ({got}) USING (sample_id)")
        orphans.append(f"{names} FROM ({got}) ANTI JOIN ({given}) USING (sample_id)")
    return {"missing": " UNION ALL ".join(missing), "orphans": " UNION ALL ".join(orphans)}
