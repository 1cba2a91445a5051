"""A batch before any release: its stage tables as DuckDB views, to ask what is measured so far."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from winnow.core.lake import Lake
from winnow.core.sample import check_batch
from winnow.gates.tables import batch_tables, views

if TYPE_CHECKING:
    import duckdb


@contextmanager
def open_batch(lake: Lake, batch: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that reads a batch's committed stage tables, a view a stage by its name, and nothing else: failed
    rows too (`outcome`, `reason`, `detail`), `shard` beside them, no rows for a stage that is not run yet; and
    `shards`, `missing`, `orphans`, which the gate asks. ContractError for a batch that was never ingested."""
    with views(lake, batch_tables(lake, check_batch(batch))) as con:
        con.execute("SET enable_external_access = false")
        con.execute("SET lock_configuration = true")
        yield con
