"""What a release does not hold: the ids that were removed, one CSV for each step and reason.

`<step>/<reason>.csv`, as `release/low_correspondence.csv` and `fetch/gone.csv`. An id stands in the file of every rule
that fires for it and of every stage that failed on it; `is_first` is 1 in the one whose reason counts. Rows are ordered
by the lists' ids, so that two releases can be compared line by line. A text of others that a spreadsheet would compute
has a ' before it.
"""

from __future__ import annotations

import re
from pathlib import Path

from winnow.core.errors import ContractError
from winnow.core.spreadsheet import harmless

#: Columns of fct_removed that the files hold; step and reason are their names.
COLUMNS = (
    "source_id",
    "start_s",
    "end_s",
    "url",
    "batch",
    "candidate_id",
    "sample_id",
    "is_first",
    "measure",
    "measured",
    "op",
    "threshold",
    "unit",
    "score",
    "sound",
    "scorer",
    "model",
    "detail",
)
#: Those whose text comes from a list, or from what a site or a file answered.
_FOREIGN = frozenset({"source_id", "url", "detail"})
_ORDER = (
    "removed.source_id nulls last, start_s nulls last, end_s nulls last, batch, candidate_id, sample_id"  # as listed
)
#: What may be a file's name; rules and Reasons are words.
_NAME = re.compile(r"[A-Za-z0-9_.-]+\Z")


def write(tables: Path, out: Path) -> dict[str, int]:
    """Write the files from `tables/fct_removed.parquet`; files, relative to `out`, and their rows.
    ContractError, and no file, where a step or a reason cannot name one: no row is left out without a word."""
    import duckdb

    path = tables / "fct_removed.parquet"
    if not path.is_file():
        return {}
    shown = {"is_first": "cast(is_first as integer)"} | {name: f"harmless({name})" for name in _FOREIGN}
    columns = ", ".join(f"{shown.get(name, name)} as {name}" for name in COLUMNS)
    written: dict[str, int] = {}
    with duckdb.connect() as con:
        con.create_function("harmless", harmless, ["varchar"], "varchar")  # type: ignore[list-item, arg-type]
        quoted = str(path).replace("'", "''")
        con.execute(f"create view removed as select * from read_parquet('{quoted}')")
        found = con.execute("select step, reason, count(*) from removed group by all order by all").fetchall()
        for step, reason, _ in found:
            if not (_NAME.match(step) and _NAME.match(reason)):
                raise ContractError(
                    f"fct_removed: {step!r}, {reason!r} cannot name a file of ids; give the rule of thresholds.csv a "
                    "name of letters, digits, _ . and -"
                )
        for step, reason, count in found:
            name = f"{step}/{reason}.csv"
            (out / step).mkdir(parents=True, exist_ok=True)
            con.execute("set variable step = ?", [step])
            con.execute("set variable reason = ?", [reason])
            target = str(out / name).replace("'", "''")
            con.execute(
                f"copy (select {columns} from removed where step = getvariable('step')"
                f" and reason = getvariable('reason') order by {_ORDER}) to '{target}' (format csv, header)"
            )
            written[name] = count
    return written
