"""Parquet: columns of any type, read block by block. What breaks inside a file costs the rows from there on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from winnow.sources.columns import Header, no_address
from winnow.sources.row import MAX_COLUMNS, Row

EXTENSIONS = frozenset({".parquet", ".pq"})
BLOCK_ROWS = 4096
#: Largest row group, uncompressed as its footer says, bytes: a guard against files made to fill memory.
MAX_GROUP_BYTES = 4 << 30


def read(path: Path) -> Iterator[Row]:
    """Rows of a Parquet list."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if len(names) > MAX_COLUMNS or len(set(names)) < len(names) or not Header(names).has_address:
                yield Row(0, problem=no_address(names))
                return
            groups = [file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups)]
            if max(groups, default=0) > MAX_GROUP_BYTES:
                yield Row(0, problem=f"a row group of more than {MAX_GROUP_BYTES} bytes; write smaller row groups")
                return
            for block in file.iter_batches(batch_size=BLOCK_ROWS, use_threads=False):
                for values in block.to_pylist():
                    yield Row(number, values)
                    number += 1
    except (pa.ArrowException, OSError, ValueError, OverflowError):
        yield Row(number, problem=f"not readable as Parquet from row {number} on; write the list again")
