"""Stage tables as Parquet: a stage's light schema, written the same way every time.

Types are Arrow's aliases; `float32[64]` is a fixed-size list, `string[]` a list of any length. Rows are ordered by
`sample_id`, so equal rows give equal bytes whatever order they were measured in.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from winnow.core.errors import ContractError
from winnow.core.sample import Outcome

#: The columns that every stage table begins with.
KEY_COLUMNS = {"sample_id": "string", "outcome": "string", "reason": "string", "detail": "string"}
#: Rows of a Parquet file's row groups.
ROW_GROUP = 65536
_LIST = re.compile(r"(\w+)\[(\d*)\]\Z")
#: Aliases that Arrow itself does not know.
_TYPES = {"float16": pa.float16()}


def arrow_type(alias: str) -> pa.DataType:
    """The Arrow type of a schema's alias; ValueError for an unknown one."""
    found = _LIST.match(alias)
    if found:
        inner, size = found.groups()
        kind = _TYPES.get(inner) or pa.type_for_alias(inner)
        return pa.list_(kind, int(size)) if size else pa.list_(kind)
    return pa.type_for_alias(alias)


def arrow_schema(columns: Mapping[str, str]) -> pa.Schema:
    """The Arrow schema of a stage table: the key columns, then the stage's own."""
    return pa.schema([(name, arrow_type(alias)) for name, alias in {**KEY_COLUMNS, **columns}.items()])


def to_bytes(table: pa.Table, schema: pa.Schema | None = None) -> bytes:
    """Parquet bytes, the same for the same table, a row group at a time; cast to `schema` where one is given."""
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, schema or table.schema, compression="zstd", store_schema=True) as file:
        for first in range(0, max(table.num_rows, 1), ROW_GROUP):
            rows = table.slice(first, ROW_GROUP)
            file.write_table(rows.cast(schema) if schema else rows, ROW_GROUP)
    return sink.getvalue()


def from_outcomes(outcomes: Iterable[Outcome], columns: Mapping[str, str], stage: str) -> pa.Table:
    """A stage table of outcomes, ordered by sample_id; ContractError for a column that the schema does not have, a
    value that does not fit its type, or an id that comes twice."""
    ordered = sorted(outcomes, key=lambda o: o.sample_id)
    for before, after in pairwise(ordered):
        if before.sample_id == after.sample_id:
            raise ContractError(f"{stage}: two outcomes for sample {after.sample_id}; a stage gives one for each")
    unknown = {key for o in ordered for key in o.values} - set(columns)
    if unknown:
        raise ContractError(f"{stage}: columns {sorted(unknown)} are not in its schema {sorted(columns)}")
    data: dict[str, Sequence[object]] = {
        "sample_id": [o.sample_id for o in ordered],
        "outcome": ["failed" if o.reason else "ok" for o in ordered],
        "reason": [o.reason.value if o.reason else None for o in ordered],
        "detail": [o.detail for o in ordered],
    }
    schema = arrow_schema(columns)
    arrays = []
    for f in schema:
        values = data[f.name] if f.name in data else [o.values.get(f.name) for o in ordered]
        try:
            arrays.append(_array(values, f.type))
        except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError, TypeError) as error:
            raise ContractError(
                f"{stage}: column {f.name} ({f.type}) cannot hold what was measured: {error}"
            ) from error
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(values: Sequence[object], kind: pa.DataType) -> pa.Array:
    """Arrow array of Python values; NumPy vectors are cast to the list's element type without a Python loop."""
    is_list = pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)
    if is_list and not pa.types.is_string(kind.value_type):
        import numpy as np

        dtype = kind.value_type.to_pandas_dtype()
        values = [None if v is None else np.asarray(v, dtype=dtype) for v in values]
    return pa.array(values, type=kind)


def plain_schema(columns: Mapping[str, str]) -> pa.Schema:
    """The Arrow schema of a table that has these columns and no others."""
    return pa.schema([(name, arrow_type(alias)) for name, alias in columns.items()])


def ok_rows(data: bytes, columns: Iterable[str]) -> pa.Table:
    """The measured rows of a stage table: their ids and these columns."""
    rows = pq.read_table(io.BytesIO(data), columns=["sample_id", "outcome", *columns])
    return rows.filter(pc.equal(rows["outcome"], "ok")).drop_columns(["outcome"]).combine_chunks()


def empty(columns: Mapping[str, str], *, keyed: bool = True) -> bytes:
    """Parquet bytes of a stage table without rows: what a reader gets for a stage that has not run. `keyed` is false
    for a table that does not begin with the key columns."""
    return to_bytes((arrow_schema if keyed else plain_schema)(columns).empty_table())
