"""Rows of a table that become Python's values when they are asked for: a shard's vectors as lists of numbers take eight
times what Arrow takes for them, and a stage works on one sample at a time."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.parquet as pq


class Row(Mapping[str, object]):
    """One row, by column; a value is made anew each time."""

    __slots__ = ("_at", "_columns")

    def __init__(self, columns: Mapping[str, pa.Array | pa.ChunkedArray], at: int) -> None:
        self._columns, self._at = columns, at

    def __getitem__(self, name: str) -> object:
        return self._columns[name][self._at].as_py()

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


class Rows:
    """The rows of a stage's table, by their samples' ids."""

    def __init__(self, data: bytes) -> None:
        table = pq.read_table(io.BytesIO(data)).combine_chunks()
        self._columns = {name: _whole(table[name]) for name in table.column_names}
        ids, outcomes = (self._columns[name].to_pylist() for name in ("sample_id", "outcome"))
        self._at = {sample_id: at for at, sample_id in enumerate(ids)}
        #: Ids of the rows that have a value, ordered.
        self.ok = sorted(sample_id for sample_id, outcome in zip(ids, outcomes, strict=True) if outcome == "ok")

    def get(self, sample_id: str) -> Row | None:
        """A sample's row, or None."""
        at = self._at.get(sample_id)
        return None if at is None else Row(self._columns, at)


def _whole(column: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    return column.chunk(0) if column.num_chunks == 1 else column
