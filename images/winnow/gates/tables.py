"""A batch as tables in DuckDB: one per stage, and three about them all, which the batch suites ask.

`shards` puts what a manifest says beside what its table holds; `missing` and `orphans` say what disappeared between
two stages and what appeared from nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from winnow.core.errors import ContractError
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.manifest import Manifest
from winnow.core.shard import Lineage
from winnow.core.stage import stage_class, stage_columns, stage_needs, stage_optional_needs

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

#: Tables that are cut, not measured, and the one whose ok rows they were cut from. `ingest` starts from the lists.
CUT_FROM = {"decide": "screen", "plan": "decide"}
#: Tables that are cut in a batch of each flow; a batch begins with the first of one of them. `flag` holds what was
#: flagged and nothing else, so no table's rows must all be in it.
CUTS = {"curate": ("ingest", *CUT_FROM, "flag"), "mix": ("mixtures",)}
SHARD_COLUMNS = {
    "stage": "string",
    "shard": "string",
    "committed": "bool",
    "digest_holds": "bool",
    "misfit_columns": "string",
    "rows": "int64",
    "ok": "int64",
    "failed": "int64",
    "table_rows": "int64",
    "table_ok": "int64",
    "table_failed": "int64",
}
#: A shard's name in the name of its table's file.
_SHARD = r"([^/]+)\.[0-9a-f]{8}\.parquet$"


@dataclass(frozen=True)
class Table:
    """A stage's tables of one batch: the version it stands at, and its commits by shard number (None: not there)."""

    fingerprint: str
    shards: dict[int, Manifest | None]


def batch_tables(lake: Lake, batch: str) -> dict[str, Table]:
    """Every table that a batch stands on: the cut ones (candidates, decisions, plan), then each stage's of `curate`,
    and what other DAGs have measured of the whole batch; of a batch of mixtures, those and what `mix` made of them.
    ContractError before its first table is cut."""
    needs = stage_needs()
    lineage = Lineage(lake, batch, needs, stage_optional_needs())
    flow = next((flow for flow, cuts in CUTS.items() if lineage.head(cuts[0]) is not None), None)
    if flow is None:
        raise ContractError(
            f"batch {batch} was never ingested, so there is nothing to gate: run `winnow ingest --batch {batch}`"
        )
    tables = {}
    for stage in stage_columns():
        head = lineage.head(stage)
        required = stage_class(stage).flow == flow if stage in needs else stage in CUTS[flow]
        if not required and not head:
            continue
        numbers = lineage.numbers(stage) if head or stage in needs else [0]
        shards = {n: lineage.committed(stage, n) if head else None for n in numbers}
        if required or all(shards.values()):
            tables[stage] = Table(head["v"] if head else "", shards)
    lineage.keep()
    return tables


@contextmanager
def views(lake: Lake, tables: Mapping[str, Table]) -> Iterator[duckdb.DuckDBPyConnection]:
    """The batch as DuckDB views: one per stage, with `shard`; and `shards`, `missing`, `orphans` about them."""
    import duckdb
    import pyarrow as pa

    from winnow.core.table import arrow_schema

    schemas = stage_columns()
    with ExitStack() as stack:
        con = stack.enter_context(duckdb.connect())
        shards, allowed = [], []
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
            allowed += paths
            con.register(f"no_{stage}", without_half(schema).empty_table())
            shard = f"regexp_extract(filename, '{_SHARD}', 1)"
            some = f"* EXCLUDE (filename), {shard} AS shard FROM read_parquet({paths!r}, filename = true)"
            none = f"*, '' AS shard FROM no_{stage}"
            con.execute(f'CREATE VIEW "{stage}" AS SELECT {some if paths else none}')
        con.register(
            "shards",
            pa.Table.from_pylist(
                shards, schema=pa.schema([(n, pa.type_for_alias(t)) for n, t in SHARD_COLUMNS.items()])
            ),
        )
        add_accounts(con, tables)
        con.execute(f"SET allowed_paths = {allowed!r}")  # all that is left where a reader switches the rest off
        yield con


def without_half(schema: pa.Schema) -> pa.Schema:
    """The schema with half-precision numbers as single ones: DuckDB reads them so from Parquet, and not at all from
    Arrow."""
    import pyarrow as pa

    def single(kind: pa.DataType) -> pa.DataType:
        if pa.types.is_fixed_size_list(kind):
            return pa.list_(single(kind.value_type), kind.list_size)
        if pa.types.is_list(kind):
            return pa.list_(single(kind.value_type))
        return pa.float32() if pa.types.is_float16(kind) else kind

    return pa.schema([(field.name, single(field.type)) for field in schema])


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
    misfits = sorted(name for name in {**have, **want} if not _fits(have.get(name), want.get(name)))
    outcome = pq.read_table(io.BytesIO(data), columns=["outcome"])["outcome"]
    ok = pc.sum(pc.equal(outcome, "ok")).as_py() or 0
    counted = {"table_rows": len(outcome), "table_ok": ok, "table_failed": len(outcome) - ok}
    return {**said, "digest_holds": True, "misfit_columns": ", ".join(misfits) or None, **counted}


def _fits(have: pa.DataType | None, want: pa.DataType | None) -> bool:
    """Whether a column is what its stage declares; a declared list of any length may be one of a fixed length."""
    import pyarrow as pa

    if have is not None and want is not None and pa.types.is_fixed_size_list(have) and pa.types.is_list(want):
        return have.value_type == want.value_type
    return have == want


def add_accounts(con: duckdb.DuckDBPyConnection, tables: Iterable[str]) -> None:
    """Create the views `missing` and `orphans` over these tables. A table's inputs are the ok rows of the one
    before it (a stage's first need); a fan-out stage names them in `candidate_id`."""
    schemas = stage_columns()
    before = {**CUT_FROM, **{stage: needs[0] for stage, needs in stage_needs().items()}}
    missing, orphans = [], []
    there = set(tables)
    for stage, first in before.items():
        if stage not in there:
            continue
        parent = "coalesce(candidate_id, sample_id)" if "candidate_id" in schemas[stage] else "sample_id"
        given = f"SELECT sample_id FROM \"{first}\" WHERE outcome = 'ok'"
        got = f'SELECT {parent} AS sample_id FROM "{stage}"'
        names = f"SELECT DISTINCT '{stage}' AS stage, sample_id, '{first}' AS input_of"
        missing.append(f"{names} FROM ({given}) ANTI JOIN ({got}) USING (sample_id)")
        orphans.append(f"{names} FROM ({got}) ANTI JOIN ({given}) USING (sample_id)")
    con.execute(f"CREATE VIEW missing AS {' UNION ALL '.join(missing)}")
    con.execute(f"CREATE VIEW orphans AS {' UNION ALL '.join(orphans)}")
