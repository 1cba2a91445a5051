"""AVSET-10M's files from a release: names, keys, types and order as published (`read_avset`), and the same as Parquet.

A row says what AVSET-10M's says: Label, flag, YouTube id, AVC as the text of a float, times as texts with three
decimals; a captioned row the tagger's classes too. Rows of a part are sorted by id, then time. A video that is not
YouTube's has its address for an id, and a clip that the scorer did not score an empty AVC: no row is lost.

Which part a row is in, the table says (column `part`; dbt var avset_ids_per_part). A part none of whose clips is kept
has no file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from winnow.exports.read_avset import CARD, KEYS, ONTOLOGY, PSEUDO, SCHEMA, SCHEMA_FILE, SUBSETS, part_name

#: Rows that are held at a time, and of a Parquet row group.
BLOCK = 10_000
_QUERY = """SELECT subset, part, label, flag, video, avc, start_ms, end_ms, pseudo_label FROM read_parquet(?)
ORDER BY subset, part, video, start_ms, end_ms, sample_id"""


def write(tables: Path, out: Path) -> dict[str, int]:
    """Write the files from `tables/{avset_clips,audioset_ontology}.parquet`; files, relative to `out`, and rows."""
    import duckdb

    written: dict[str, int] = {}
    if not (tables / "avset_clips.parquet").is_file():
        return written
    with duckdb.connect() as con:
        con.execute("SET threads = 2")
        found = con.execute(_QUERY, [str(tables / "avset_clips.parquet")])
        for (subset, part), rows in groupby(_stream(found), key=itemgetter(0, 1)):
            name = part_name(subset, part)
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            count = _write_part(out / name, (published(row, subset) for row in rows), subset)
            written |= {f"{name}.json": count, f"{name}.parquet": count}
        if not written:
            return written
        (out / SCHEMA_FILE).write_text(json.dumps(schema(), indent=1) + "\n", encoding="utf-8")
        (out / CARD).write_text(card(written), encoding="utf-8")
        written |= {SCHEMA_FILE: 1, CARD: 1}
        if (tables / "audioset_ontology.parquet").is_file():
            query = "SELECT file_text FROM read_parquet(?) ORDER BY position"
            texts = con.execute(query, [str(tables / "audioset_ontology.parquet")]).fetchall()
            if texts:
                (out / ONTOLOGY).write_bytes("".join(text for (text,) in texts).encode())
                written[ONTOLOGY] = len(texts)
    return written


def card(written: Mapping[str, int]) -> str:
    """README.md, whose head names the Parquet files of each subset for Hugging Face's loader. Without it the loader
    takes the files whose names hold a split's word, and says nothing of the others: a subset would be missing."""
    tables = {name: count for name, count in written.items() if name.endswith(".parquet")}
    rows = {
        folder: sum(count for name, count in tables.items() if name.startswith(f"{folder}/"))
        for folder, _ in SUBSETS.values()
    }
    there = {folder: count for folder, count in rows.items() if count}
    lines = ["---", "configs:"]
    for folder in there:
        lines += [f"- config_name: {_config(folder)}", "  data_files:", "  - split: train"]
        lines.append(f'    path: "{folder}/*.parquet"')
    lines += ["---", "", "# AVSET-10M's rows", "", "| config | folder | rows |", "|---|---|---|"]
    lines += [f"| {_config(folder)} | `{folder}` | {count} |" for folder, count in there.items()]
    return (
        "\n".join([*lines, "", "Columns: `schema.json`. The JSON files hold the same rows as the Parquet files."])
        + "\n"
    )


def _config(folder: str) -> str:
    return folder.partition("(")[0]


def published(row: Sequence, subset: str) -> dict[str, object]:
    """A row of the query as AVSET-10M writes it; its keys are in order."""
    _, _, label, flag, video, avc, start_ms, end_ms, pseudo_label = row
    values = (label, int(flag), video, "" if avc is None else repr(float(avc)), _seconds(start_ms), _seconds(end_ms))
    out: dict[str, object] = dict(zip(KEYS, values, strict=True))
    if subset == "captioned":
        out[PSEUDO] = [{"mid": one["mid"], "name": one["name"], "score": one["score"]} for one in pseudo_label or ()]
    return out


def schema() -> dict[str, object]:
    """JSON Schema of a row: what is published, and, versioned by its `$id`, what `pseudo-label` holds here."""
    seconds = {"type": "string", "pattern": r"^\d+\.\d{3}$", "description": "s on the video's clock"}
    texts = {
        "Label": "ids of AudioSet's classes, joined by commas; of captioned clips a text",
        "Youtube ID": "11 characters; the address of a video that is not YouTube's",
        "AVC": "correspondence of sound and picture, a float; empty where the scorer has none",
    }
    score = {"type": "number", "minimum": 0, "maximum": 1}
    said = {
        "type": "object",
        "required": ["mid", "name", "score"],
        "additionalProperties": False,
        "properties": {"mid": {"type": "string"}, "name": {"type": ["string", "null"]}, "score": score},
    }
    properties: dict[str, object] = dict.fromkeys(KEYS, seconds)
    properties |= {key: {"type": "string", "description": text} for key, text in texts.items()}
    properties[KEYS[1]] = {"type": "integer", "enum": [0, 1], "description": "1: separate the sound before use"}
    properties[PSEUDO] = {"type": "array", "items": said, "description": "captioned clips: classes, best first"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA,
        "type": "object",
        "properties": properties,
        "required": list(KEYS),
        "additionalProperties": False,
    }


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d}"


def _stream(found) -> Iterator[Sequence]:
    while block := found.fetchmany(BLOCK):
        yield from block


def _write_part(path: Path, rows: Iterator[dict[str, object]], subset: str) -> int:
    """Write a part as JSON, one row a line, and as Parquet; how many rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = [(key, pa.int64() if key == KEYS[1] else pa.string()) for key in KEYS]
    if subset == "captioned":
        said = pa.struct([("mid", pa.string()), ("name", pa.string()), ("score", pa.float64())])
        fields.append((PSEUDO, pa.list_(said)))
    kinds = pa.schema(fields, metadata={"schema": SCHEMA})
    count = 0
    with (
        Path(f"{path}.json").open("w", encoding="utf-8") as file,
        pq.ParquetWriter(f"{path}.parquet", kinds, compression="zstd") as table,
    ):
        block: list[dict[str, object]] = []
        for row in rows:
            file.write(("[\n" if not count else ",\n") + json.dumps(row))
            count += 1
            block.append(row)
            if len(block) == BLOCK:
                table.write_table(pa.Table.from_pylist(block, schema=kinds))
                block = []
        if block:
            table.write_table(pa.Table.from_pylist(block, schema=kinds))
        file.write("\n]\n")
    return count
