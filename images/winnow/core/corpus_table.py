"""Tables of the whole corpus: what belongs to no batch, because people or a corpus-wide computation made it.

    <root>/corpus/<name>/<sha16>.parquet    rows, by content
    <root>/corpus/<name>/<sha16>.json       where they come from: file, command, parameters
    <root>/corpus/<name>/current            for a table that is replaced: the file that counts

A table either grows (every file counts: ratings, labels) or is replaced (one file counts: a selection). Files are
immutable and named by their bytes, so adding the same rows twice adds nothing, and two people who answer at a time
write two files. dbt reads these tables as it reads stages' (macro `stage_table`), and they are inputs of a release.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.pointer import Pointer

if TYPE_CHECKING:
    import pyarrow as pa

DIGEST_CHARS = 16


@dataclass(frozen=True)
class CorpusTable:
    """A table's columns (aliases as in a Stage's schema), whether it grows or is replaced, and what a row is."""

    columns: Mapping[str, str]
    grows: bool
    description: str


#: Every table of the corpus.
TABLES: dict[str, CorpusTable] = {
    "selection": CorpusTable(
        {
            "sample_id": "string",
            "position": "int64",
            "round": "int64",
            "round_position": "int64",
            "round_candidates": "int64",
            "gain": "double",
            "among": "string",
            "pairing": "string",
            "method": "string",
            "model": "string",
        },
        grows=False,
        description="One row per clip that stood for selection: where it came in the order, or null where it did not",
    ),
    "given_split": CorpusTable(
        {"family": "string", "key": "string", "split": "string", "source": "string"},
        grows=True,
        description="One row per sample whose split a published edition of a dataset family gives",
    ),
    "rating": CorpusTable(
        {
            "sample_id": "string",
            "video": "string",
            "start_s": "double",
            "end_s": "double",
            "rater_id": "string",
            "onscreen_present": "bool",
            "offscreen_present": "bool",
            "created_at": "string",
        },
        grows=True,
        description="One row per answer of a rater about a clip: is there sound of what is seen, and of what is not",
    ),
    "audit_sample": CorpusTable(
        {
            "audit": "string",
            "release": "string",
            "sample_id": "string",
            "stratum": "string",
            "status": "string",
            "rule": "string",
            "position": "int64",
            "population": "int64",
            "drawn": "int64",
            "seed": "int64",
        },
        grows=True,
        description="One row per clip that an audit drew from a release: its stratum, and how many clips that holds",
    ),
    "verdict": CorpusTable(
        {
            "sample_id": "string",
            "release": "string",
            "stratum": "string",
            "verdict": "string",
            "reviewer": "string",
            "created_at": "string",
        },
        grows=True,
        description="One row per answer of a reviewer about a drawn clip: corresponds, does_not or unsure",
    ),
    "calibration": CorpusTable(
        {
            "scorer": "string",
            "model": "string",
            "kind": "string",
            "basis": "string",
            "n": "int64",
            "mean": "double",
            "std": "double",
            "minimum": "double",
            "maximum": "double",
            "skewness": "double",
            "kurtosis": "double",
            "above_3std": "double",
            "hist_start": "double",
            "hist_width": "double",
            "hist_counts": "int64[]",
            "clips": "int64",
            "folds": "int64",
            "seed": "int64",
            "batches": "string[]",
        },
        grows=False,
        description="One row per scorer, model and kind of pairs: the distribution of their scores (winnow calibrate)",
    ),
    "calibration_pair": CorpusTable(
        {
            "scorer_a": "string",
            "model_a": "string",
            "scorer_b": "string",
            "model_b": "string",
            "basis": "string",
            "n": "int64",
            "correlation": "double",
            "seed": "int64",
            "batches": "string[]",
        },
        grows=False,
        description="One row per two scorers: correlation of their scores over the same non-corresponding pairs",
    ),
    "run_metrics": CorpusTable(
        {
            "release": "string",
            "task": "string",
            "model": "string",
            "set": "string",
            "seed": "int64",
            "split": "string",
            "metric": "string",
            "group_id": "string",
            "examples": "int64",
            "value": "double",
            "chance": "double",
            "ceiling": "double",
            "clips": "int64",
            "preset": "string",
            "run": "string",
        },
        grows=False,
        description="One row per run of a benchmark and group of clips that it was tried on (winnow benchmark collect)",
    ),
    "takedown": CorpusTable(
        {"kind": "string", "value": "string", "why": "string", "created_at": "string"},
        grows=True,
        description="One row per id, uploader, address or file that was taken down: never published or fetched again",
    ),
    "ontology": CorpusTable(
        {
            "position": "int64",
            "mid": "string",
            "name": "string",
            "child_mids": "string[]",
            "restrictions": "string[]",
            "json": "string",
        },
        grows=False,
        description="One row per class of AudioSet's ontology, with its piece of the file",
    ),
    "segment_label": CorpusTable(
        {
            "sample_id": "string",
            "family": "string",
            "video_id": "string",
            "video": "string",
            "start_s": "double",
            "end_s": "double",
            "category": "string",
            "annotator_id": "string",
            "created_at": "string",
            "labels": "int32[]",
            "audible": "int32[]",
            "visible": "int32[]",
            "source": "string",
        },
        grows=True,
        description="One row per answer about one category of a clip: in which of its ten seconds the event is there",
    ),
}


def add(
    lake: Lake, name: str, rows: Iterable[Mapping[str, object]] | pa.Table, *, provenance: Mapping[str, object]
) -> dict[str, object]:
    """Add rows to a table that grows. Returns {"table", "file", "rows", "computed"}: `computed` is False when exactly
    these rows were added before. ConfigError for an unknown table, ContractError for rows that do not fit it."""
    if not _table(name).grows:
        raise ConfigError(f"corpus table {name} is replaced, not added to")
    return _write(lake, name, rows, provenance)


def pointer(lake: Lake, name: str) -> Pointer:
    """Which file is a replaced table's, to move it from there; to be taken before anything else is read."""
    return Pointer(lake, f"corpus/{name}/current")


def replace(
    lake: Lake,
    name: str,
    rows: Iterable[Mapping[str, object]] | pa.Table,
    *,
    provenance: Mapping[str, object],
    since: Pointer | None = None,
) -> dict[str, object]:
    """Make these rows the whole of a table that is replaced; earlier files stay. Returns what `add` does. StaleWriter
    when the table was replaced after `since` (`pointer`) was taken."""
    if _table(name).grows:
        raise ConfigError(f"corpus table {name} grows: rows are added to it, none is taken away")
    since = since or pointer(lake, name)
    done = _write(lake, name, rows, provenance)
    since.move(f"{done['file']}\n".encode(), f"the command that makes {name}")
    return done


def read(lake: Lake, name: str) -> pa.Table:
    """All rows that count, in the order of their files' digests and of rows within them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(_table(name))
    parts = [pq.read_table(io.BytesIO(_checked(lake, key)), schema=schema) for key in files(lake, name)]
    return pa.concat_tables(parts) if parts else schema.empty_table()


def _checked(lake: Lake, key: str) -> bytes:
    """A file's bytes; ContractError when they are not those that it is named by."""
    data = lake.read_or_none(key)
    if data is None or not holds(key, sha256_bytes(data)):
        what = "is not there" if data is None else "changed after it was written (its name is no longer its digest)"
        raise ContractError(f"{lake.full(key)} {what}: run `winnow verify --all`, which says how to mend it")
    return data


def holds(key: str, sha256: str) -> bool:
    """Whether a file of a corpus table is what its name says."""
    return key.rpartition("/")[2].removesuffix(".parquet") == sha256[:DIGEST_CHARS]


def files(lake: Lake, name: str) -> list[str]:
    """Keys of the files that count, ordered."""
    if _table(name).grows:
        return [f"corpus/{name}/{file}" for file in lake.list(f"corpus/{name}") if file.endswith(".parquet")]
    mend = f"remove it, then run the command that makes {name} again"
    current = lake.read_name(f"corpus/{name}/current", mend)
    return [] if current is None else [f"corpus/{name}/{current}.parquet"]


def provenance(lake: Lake, key: str) -> dict[str, object]:
    """Where the rows of a file come from."""
    card = key.removesuffix(".parquet") + ".json"
    value = lake.read_json(card, f"remove it and {key}, then add its rows again")
    if value is None:
        raise ContractError(f"{lake.full(card)} is not there: remove {key} too, then add its rows again")
    return value


def _table(name: str) -> CorpusTable:
    try:
        return TABLES[name]
    except KeyError:
        raise ConfigError(f"there is no corpus table {name!r}; there are {', '.join(sorted(TABLES))}") from None


def _schema(table: CorpusTable) -> pa.Schema:
    from winnow.core.table import plain_schema

    return plain_schema(table.columns)


def _write(
    lake: Lake, name: str, rows: Iterable[Mapping[str, object]] | pa.Table, provenance: Mapping[str, object]
) -> dict[str, object]:
    import pyarrow as pa

    from winnow.core import table

    schema = _schema(TABLES[name])
    try:
        if not isinstance(rows, pa.Table):
            rows = list(rows)
            if unknown := {key for row in rows for key in row} - set(schema.names):
                raise ContractError(f"corpus table {name} has no columns {sorted(unknown)}; it has {schema.names}")
            rows = pa.Table.from_pylist(rows, schema=schema)
        data = table.to_bytes(rows.select(schema.names), schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError, KeyError) as error:
        raise ContractError(f"rows do not fit corpus table {name}: {error}") from error
    file = sha256_bytes(data)[:DIGEST_CHARS]
    card = {"table": name, "rows": rows.num_rows, "provenance": dict(provenance)}
    lake.create(f"corpus/{name}/{file}.json", (json.dumps(card, indent=1, sort_keys=True) + "\n").encode())
    computed = lake.create(f"corpus/{name}/{file}.parquet", data)
    return {"table": name, "file": file, "rows": rows.num_rows, "computed": computed}
