"""Snapshot: what leaves the warehouse. Every published table as Parquet, ordered by its key, so that the bytes depend
on the rows alone and not on threads or on the order of files; and all of them as one DuckDB file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class PublishedTable:
    """A table that users see: `main` holds what the inputs alone determine, `ops` what clocks, hosts and history do."""

    schema: str
    name: str
    key: tuple[str, ...]
    description: str
    columns: Mapping[str, str]

    @property
    def file(self) -> str:
        """Its place in a release."""
        return f"{'tables' if self.schema == 'main' else 'ops'}/{self.name}.parquet"


def published_tables(out: Path) -> list[PublishedTable]:
    """The models and seeds tagged `published`, from the manifest that dbt wrote; each names its key (`meta.key`)."""
    nodes = json.loads((out / "target" / "manifest.json").read_text())["nodes"].values()
    found = [
        PublishedTable(
            node["schema"],
            node["alias"],
            tuple(node["config"]["meta"]["key"]),
            node["description"],
            {name: column["description"] for name, column in node["columns"].items()},
        )
        for node in nodes
        if "published" in node["tags"] and node["resource_type"] in ("model", "seed")
    ]
    return sorted(found, key=lambda t: (t.schema, t.name))


def kept_models(out: Path) -> dict[str, tuple[str, list[str]]]:
    """Schema and key, by name, of the models by batch whose rows are kept (`winnow.release.parts`)."""
    nodes = json.loads((out / "target" / "manifest.json").read_text())["nodes"].values()
    return {
        node["name"]: (node["schema"], node["config"]["meta"]["key"])
        for node in nodes
        if node["config"]["materialized"] == "by_batch" and node["config"]["meta"].get("kept")
    }


def export(database: Path, tables: Iterable[PublishedTable], work: Path) -> None:
    """Write every published table as Parquet, ordered by its key."""
    import duckdb

    with duckdb.connect(str(database), read_only=True) as con:
        for table in tables:
            target = work / table.file
            target.parent.mkdir(parents=True, exist_ok=True)
            copy_rows(con, f"{table.schema}.{table.name}", table.key, target)


def copy_table(database: Path, name: str, key: Iterable[str], target: Path) -> None:
    """Write one table of a private DuckDB file as Parquet, ordered by its key: equal rows, equal bytes."""
    import duckdb

    with duckdb.connect(str(database), read_only=True) as con:
        copy_rows(con, name, key, target)


def copy_rows(con: duckdb.DuckDBPyConnection, name: str, key: Iterable[str], target: Path) -> None:
    """Write a table, or what follows FROM, as Parquet, ordered by its key."""
    order = ", ".join(f'"{column}"' for column in key)
    rows = f"SELECT * FROM {name} ORDER BY {order}"
    con.execute(f"COPY ({rows}) TO {_quoted(str(target))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)")


def count_by(path: Path, column: str) -> dict[str | None, int]:
    """Rows of a Parquet file by a column's value."""
    import duckdb

    with duckdb.connect() as con:
        return dict(
            con.execute(f"SELECT {column}, count(*) FROM read_parquet({_quoted(str(path))}) GROUP BY 1").fetchall()
        )


def write(tables: Iterable[PublishedTable], work: Path) -> Path:
    """Write `<work>/winnow.duckdb`: the published tables, as tables, with their descriptions as comments. Nothing in it
    points to a file, so it can be copied anywhere."""
    import duckdb

    target = work / "winnow.duckdb"
    target.unlink(missing_ok=True)
    with duckdb.connect(str(target)) as con:
        con.execute("CREATE SCHEMA ops")
        for table in tables:
            name = f'{table.schema}."{table.name}"'
            con.execute(f"CREATE TABLE {name} AS SELECT * FROM read_parquet({_quoted(str(work / table.file))})")
            con.execute(f"COMMENT ON TABLE {name} IS {_quoted(table.description)}")
            for column, description in table.columns.items():
                con.execute(f'COMMENT ON COLUMN {name}."{column}" IS {_quoted(description)}')
    return target


def _quoted(text: str) -> str:
    """An SQL string."""
    return "'" + text.replace("'", "''") + "'"
