"""Parquet: columns of any type, read block by block. What breaks inside a file costs the rows from there on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from winnow.sources.row import MAX_COLUMNS, ListRefused, Row

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
            if len(names) > MAX_COLUMNS or len(set(names)) < len(names):
                raise ListRefused(
                    f"{len(names)} columns, {len(set(names))} of them different; the most is {MAX_COLUMNS}"
                )
            groups = [file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups)]
            if max(groups, default=0) > MAX_GROUP_BYTES:
                raise ListRefused(f"a row group of more than {MAX_GROUP_BYTES} bytes; write smaller row groups")
            for block in file.iter_batches(batch_size=BLOCK_ROWS, use_threads=False):
                for values in block.to_pylist():
                    yield Row(number, values)
                    number += 1
    except (pa.ArrowException, OSError, ValueError, OverflowError):
        if not number:
            raise ListRefused("not readable as Parquet; write the list again") from None
        yield Row(number, problem=f"not readable as Parquet from row {number} on; write the list again")
