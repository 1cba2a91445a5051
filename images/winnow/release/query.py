"""`winnow sql`: questions to the published snapshot, read-only.

The snapshot is opened read-only with DuckDB's access to files, networks and extensions switched off and its
configuration locked, so that a query, wherever it comes from, reads the published tables and nothing else:
`read_csv('/etc/passwd')` fails, and anything but a question is refused by its kind before it runs. Tables of the
schema `ops` need no prefix. In `--format csv` a text that a spreadsheet would compute has a ' before it
(`winnow.core.spreadsheet`); `--format json` gives every text as it is.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shutil
from contextlib import redirect_stdout
from decimal import Decimal
from typing import TYPE_CHECKING

from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake
from winnow.core.spreadsheet import harmless
from winnow.release import publish

if TYPE_CHECKING:
    import duckdb

FORMATS = ("table", "csv", "json")
#: Rows that `table` shows at most; csv and json give all.
TABLE_ROWS = 200
_OUTSIDE = re.compile(
    r"disabled (by|through) configuration|enable_external_access|configuration has been locked", re.IGNORECASE
)


def run(lake: Lake, query: str, form: str = "table", release: str | None = None) -> str:
    """The answer to one query, ready to print; ConfigError, naming what there is, for one that cannot be answered."""
    with open_snapshot(lake, release) as con:
        return answer(con, query, form)


def open_snapshot(lake: Lake, release: str | None = None) -> duckdb.DuckDBPyConnection:
    """A read-only connection to a published snapshot that can read nothing else. Connections of one process to one
    snapshot share an instance of DuckDB, and so a lock: the first one locks it."""
    import duckdb

    path = publish.folder(lake, release, ("winnow.duckdb",)) / "winnow.duckdb"
    try:
        con = duckdb.connect(str(path), read_only=True, config={"enable_external_access": "false"})
    except duckdb.IOException as error:
        raise ContractError(f"{path} cannot be opened: {error}") from error
    con.execute("SET search_path = 'main,ops'")
    if con.execute("SELECT NOT current_setting('lock_configuration')").fetchall() == [(True,)]:
        con.execute("SET lock_configuration = true")
    return con


def answer(con: duckdb.DuckDBPyConnection, query: str, form: str) -> str:
    """Run one query and format what it gives."""
    import duckdb

    if form not in FORMATS:
        raise ConfigError(f"--format {form}: there are {', '.join(FORMATS)}")
    try:
        statements = con.extract_statements(query)
        if len(statements) != 1:
            raise ConfigError(f"one query at a time, please: there are {len(statements)} here")
        if statements[0].type not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
            raise ConfigError(
                f"{statements[0].type.name} is refused: a published release is never changed, and `winnow sql` answers "
                "questions only (SELECT, FROM, WITH, DESCRIBE, SUMMARIZE, SHOW, EXPLAIN)"
            )
        relation = con.sql(statements[0].query)
        return {"table": _table, "csv": _csv, "json": _json}[form](relation)
    except duckdb.Error as error:
        raise ConfigError(_explain(con, error)) from error


def tables(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Names of the published tables, those of schema ops with their prefix."""
    rows = con.execute(
        "SELECT schema_name, table_name FROM (FROM duckdb_tables() UNION ALL BY NAME SELECT *, view_name AS table_name "
        "FROM duckdb_views()) WHERE NOT internal AND NOT temporary ORDER BY schema_name, table_name"
    ).fetchall()
    return [name if schema == "main" else f"{schema}.{name}" for schema, name in rows]


def _explain(con: duckdb.DuckDBPyConnection, error: duckdb.Error) -> str:
    message = str(error).strip()
    if _OUTSIDE.search(message):
        first = message.splitlines()[0]
        return f"queries read the published tables and nothing else (no files, no network, no settings): {first}"
    if "Table with name" in message or "does not exist" in message:
        return f"{message.splitlines()[0]}\n  tables: {', '.join(tables(con))}"
    return message


def _table(relation: duckdb.DuckDBPyRelation) -> str:
    """DuckDB's own box; of many rows the first and the last."""
    text = io.StringIO()
    with redirect_stdout(text):
        relation.show(max_rows=TABLE_ROWS, max_width=max(shutil.get_terminal_size((160, 50)).columns, 80))
    return text.getvalue().rstrip("\n") + "\n"


def _csv(relation: duckdb.DuckDBPyRelation) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(relation.columns)
    for row in relation.fetchall():
        writer.writerow([harmless(_dumps(value) if isinstance(value, list | dict) else value) for value in row])
    return text.getvalue()


def _json(relation: duckdb.DuckDBPyRelation) -> str:
    names = relation.columns
    return _dumps([dict(zip(names, map(_finite, row), strict=True)) for row in relation.fetchall()], indent=1) + "\n"


def _finite(value: object) -> object:
    """JSON has no NaN and no infinity: null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _dumps(value: object, indent: int | None = None) -> str:
    return json.dumps(value, default=_other, ensure_ascii=False, indent=indent)


def _other(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else str(value)
