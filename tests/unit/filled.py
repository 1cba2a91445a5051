"""Tables with the columns that their contracts in the dbt project give them."""

from __future__ import annotations

from pathlib import Path

import duckdb
import yaml

ROOT = Path(__file__).resolve().parents[2]


def empty(con: duckdb.DuckDBPyConnection, table: str, contract: str) -> None:
    """A table without rows."""
    (model,) = yaml.safe_load((ROOT / "dbt" / "models" / contract).read_text())["models"]
    columns = ", ".join(f"{column['name']} {column['data_type']}" for column in model["columns"])
    con.execute(f"create table {table} ({columns})")


def fill(con: duckdb.DuckDBPyConnection, table: str, contract: str, rows: list[dict[str, object]]) -> None:
    """A table with these rows."""
    empty(con, table, contract)
    for given in rows:
        names = ", ".join(given)
        con.execute(f"insert into {table} ({names}) values ({', '.join('?' * len(given))})", list(given.values()))
