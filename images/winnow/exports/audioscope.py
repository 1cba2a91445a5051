"""AudioScope's lists from a release: clips and mixtures in the files that users of YFCC100M's clip lists know.

Names and columns: `read_audioscope`. The unlabelled lists hold every clip of their split, labelled ones too; a list
without rows is an empty file, and a version (v2, v1, MixIT) without clips has no files. Rows are ordered by path and
time, those of mixtures by their clips.
"""

from __future__ import annotations

from pathlib import Path

from winnow.exports.read_audioscope import FILES, ListFile

#: Which clips of the published table stand in a version's lists.
_MEMBERS = {"v2": "in_v2", "v1": "in_v1", "mixit": "in_mixit"}


def write(tables: Path, out: Path) -> dict[str, int]:
    """Write the lists from `tables/audioscope_{clips,mixtures}.parquet`; files, relative to `out`, and their rows."""
    import duckdb

    written: dict[str, int] = {}
    if not all((tables / f"audioscope_{name}.parquet").is_file() for name in ("clips", "mixtures")):
        return written
    with duckdb.connect() as con:
        for name in ("clips", "mixtures"):
            path = str(tables / f"audioscope_{name}.parquet").replace("'", "''")
            con.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{path}')")
        for file in FILES:
            member = _MEMBERS[file.version]
            if not con.execute(f"SELECT 1 FROM clips WHERE {member} AND split IS NOT NULL LIMIT 1").fetchall():
                continue
            target = out / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            query = _mixtures(file) if file.mixtures else _clips(file, member)
            quoted = str(target).replace("'", "''")
            [(rows,)] = con.execute(f"COPY ({query}) TO '{quoted}' (FORMAT csv, HEADER false)").fetchall()
            written[file.name] = rows
    return written


def _clips(file: ListFile, member: str) -> str:
    label = "" if file.label == "any" else f" AND label = '{file.label}'"
    return (
        f"SELECT {', '.join(file.columns)} FROM clips WHERE {member} AND split = '{file.split}'{label}"
        " ORDER BY video, start_ms, end_ms"
    )


def _mixtures(file: ListFile) -> str:
    columns = [f"clip{column[-1]}_{column[:-2]}" for column in file.columns]
    return (
        f"SELECT {', '.join(columns)} FROM mixtures WHERE list_version = '{file.version}' AND split = '{file.split}'"
        f" AND label = '{file.label}' ORDER BY clip1_video, clip1_start_s, clip1_end_s, position"
    )
