#!/usr/bin/env bash
# One would guess: what DuckDB copies to Parquet is read by every reader of Parquet, a null ARRAY (FLOAT[64]) like a null LIST.
# What happens (DuckDB 2.0.0, pyarrow 26.0.1): of a null array DuckDB writes the levels of as many elements as the array
# has, and none of their values. COPY says nothing, DuckDB itself reads the file back (as a list), and pyarrow refuses it:
# "Length spanned by list offsets larger than values array". Lists are right, and so is an array without nulls.
# Source: duckdb/duckdb issue 24731 (open); the mend is pull request 24899. Written through Arrow it is right (pyarrow 26).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q duckdb==2.0.0 pyarrow==26.0.1
"$work/venv/bin/python" - "$work" <<'P'
import sys
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

print("duckdb", duckdb.__version__, "pyarrow", pa.__version__)


def reads(values, how=duckdb.sql):
    path = f"{sys.argv[1]}/a.parquet"
    query = f"SELECT unnest({values}) AS v"
    if how is duckdb.sql:
        duckdb.sql(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    else:
        pq.write_table(duckdb.sql(query).to_arrow_table(), path)
    try:
        found = pq.read_table(path)["v"].to_pylist()
    except pa.ArrowInvalid as error:
        found = str(error)
    print(f"  {values:40} {found}   DuckDB: {[v for v, in duckdb.sql(f'FROM {chr(39)}{path}{chr(39)}').fetchall()]}")
    return not isinstance(found, str)


found = [
    reads("[[1, 2]::FLOAT[2], [3, 4]]"),
    reads("[[1, 2]::FLOAT[], NULL]"),
    reads("[[1, 2]::FLOAT[2], NULL]"),
    reads("[[1, 2]::FLOAT[2], NULL]", how="through Arrow"),
]
sys.exit(found != [True, True, False, True])
P
