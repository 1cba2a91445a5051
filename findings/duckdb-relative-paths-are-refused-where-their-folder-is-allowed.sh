#!/usr/bin/env bash
# One would guess: a database of views over relative paths is read safely with `file_search_path` at its folder, that folder among
# `allowed_directories`, and `enable_external_access` off: DuckDB resolves the path, and where it leads is allowed.
# What happens (DuckDB 2.0.0): with access left on the search path works; with it off the relative path is refused as it stands,
# before it is resolved. An absolute path to the same file is read, so such views work only for who may read everything. And
# `allowed_directories` cannot be given to `connect` together with `enable_external_access`: it has to be set before, by SET.
# Source: tried.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q duckdb==2.0.0
cat >"$work/run.py" <<'P'
import sys
import duckdb

at = sys.argv[1]
with duckdb.connect() as con:
    con.execute(f"COPY (SELECT 1 AS i) TO '{at}/t.parquet'")
with duckdb.connect(f"{at}/views.duckdb", config={"file_search_path": at}) as con:
    con.execute("CREATE VIEW t AS FROM read_parquet('t.parquet')")

def outcome(query, shut):
    with duckdb.connect(f"{at}/views.duckdb", read_only=True) as con:
        con.execute(f"SET file_search_path = '{at}'")
        con.execute(f"SET allowed_directories = ['{at}/']")
        if shut:
            con.execute("SET enable_external_access = false")
        try:
            return con.execute(query).fetchone()[0]
        except duckdb.Error as error:
            return type(error).__name__

found = [outcome("FROM t", False), outcome("FROM t", True), outcome(f"FROM read_parquet('{at}/t.parquet')", True)]
try:
    duckdb.connect(config={"enable_external_access": "false", "allowed_directories": [at]})
    found.append("opened")
except duckdb.Error as error:
    found.append(type(error).__name__)
print("duckdb", duckdb.__version__, found)
sys.exit(found != [1, "PermissionException", 1, "InvalidInputException"])
P
"$work/venv/bin/python" "$work/run.py" "$work"
