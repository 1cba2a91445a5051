"""Rows: what an export says of a clip, the same in every format: columns, their types, and the order of the clips.

Every column has its type before a row is written, and every number with a fraction is written with one: a loader that
takes types from the first rows that it meets meets the right ones. Clips are in the order of their ids, which are
digests: neighbours in a shard are of different videos.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from winnow.core.errors import ConfigError, ContractError
from winnow.delivery.licences import rights

if TYPE_CHECKING:
    import duckdb

#: Column of the export → its SQL type and what it holds. Columns of fct_clips have their names there but for `id`.
COLUMNS: Mapping[str, tuple[str, str]] = {
    "id": ("VARCHAR", "Id of the clip, derived from its video and times"),
    "split": ("VARCHAR", "train, val or test"),
    "shard": ("VARCHAR", "File or folder of this export that holds the clip's file; null where only this reference is"),
    "has_file": ("BOOLEAN", "Whether this export holds the clip's file"),
    "has_residual": ("BOOLEAN", "Whether it holds what is left of its sound after separation"),
    "video_id": ("VARCHAR", "Id of the source video"),
    "source_id": ("VARCHAR", "The list's own id, as YouTube's"),
    "url": ("VARCHAR", "Logical address of the source"),
    "title": ("VARCHAR", "Title, from the list"),
    "uploader": ("VARCHAR", "Uploader, from the list"),
    "license": ("VARCHAR", "Licence, as the list words it"),
    "rights": ("VARCHAR", "That licence by its SPDX name; `own file`, `none known`, or the list's words"),
    "may_share": ("BOOLEAN", "Whether that licence lets the clip be passed on"),
    "start_s": ("DOUBLE", "Start on the video's clock, s"),
    "end_s": ("DOUBLE", "End on the video's clock, s"),
    "duration_s": ("DOUBLE", "Duration, s"),
    "label": ("VARCHAR", "First label; 'unlabelled' without any"),
    "labels": ("VARCHAR[]", "All labels of the list row"),
    "caption": ("VARCHAR", "Caption of this stretch, from the list"),
    "score": ("DOUBLE", "Correspondence of sound and picture, as the scorer gives it"),
    "z": ("DOUBLE", "Score in standard deviations above the null of mismatched pairs"),
    "z_error": ("DOUBLE", "Standard error of z, of residual_z where recycled"),
    "effective_z": ("DOUBLE", "What the rule of correspondence compares"),
    "semantic": ("DOUBLE", "The part of the score that compares what is there"),
    "sync": ("DOUBLE", "The part of the score that compares when it happens"),
    "model": ("VARCHAR", "Digest of the scorer"),
    "flag": ("INTEGER", "1 where its sound is to be separated before use, else 0"),
    "flag_why": ("VARCHAR", "Why it is flagged"),
    "is_recycled": ("BOOLEAN", "Flagged, separated, and what is left was scored again"),
    "residual_score": ("DOUBLE", "Correspondence of what is left, as the scorer gives it"),
    "residual_z": ("DOUBLE", "The same in standard deviations above the null"),
    "residual_start_s": ("DOUBLE", "When the residual sound begins on the clip's clock, s"),
    "speech": ("DOUBLE", "Score of Speech, 0 to 1"),
    "music": ("DOUBLE", "Score of Music, 0 to 1"),
    "tag_mids": ("VARCHAR[]", "AudioSet's ids of the tagger's best classes, best first"),
    "tag_scores": ("DOUBLE[]", "Their scores, 0 to 1"),
    "width": ("BIGINT", "Width, px"),
    "height": ("BIGINT", "Height, px"),
    "fps": ("DOUBLE", "Frames per second"),
    "rate_hz": ("BIGINT", "Audio sample rate, Hz"),
    "channels": ("BIGINT", "Audio channels"),
    "video_codec": ("VARCHAR", "Video codec"),
    "audio_codec": ("VARCHAR", "Audio codec"),
    "media_sha256": ("VARCHAR", "SHA-256 of the clip's file"),
    "media_bytes": ("BIGINT", "Its size, bytes"),
    "residual_sha256": ("VARCHAR", "SHA-256 of the residual's file"),
    "source_sha256": ("VARCHAR", "SHA-256 of the source video's file"),
    "group_id": ("VARCHAR", "Group that splits keep together"),
    "batch": ("VARCHAR", "Key of the batch that brought it"),
    "release": ("VARCHAR", "Id of the release"),
}
#: What a clip takes in a shard beside its file: its JSON and headers, bytes.
BESIDE_BYTES = 4096
#: Where the bytes lie in the lake; not part of what is exported.
_PLACES = ("tar", "residual_tar", "residual_bytes")
_OWN = "coalesce(url, '') LIKE 'inbox:%'"


@dataclass(frozen=True)
class Shard:
    """One shard to write: its split, its number within it, its clips and their bytes."""

    split: str
    number: int
    clips: int
    bytes: int

    @property
    def name(self) -> str:
        """Its file's or folder's place without an extension."""
        return f"data/{self.split}/{self.split}-{self.number:05d}"


def connect(path: Path, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """The private database of an export's rows, with bounded memory."""
    import duckdb

    con = duckdb.connect(str(path), read_only=read_only)
    con.execute("SET threads = 2; SET memory_limit = '256MB'; SET preserve_insertion_order = true")
    return con


def prepare(
    con: duckdb.DuckDBPyConnection, release: Path, splits: Sequence[str], media: str, shard_bytes: int, ext: str
) -> list[Shard]:
    """Make the table `rows` from a release's `fct_clips` and `fct_clip_files`: every kept clip of these splits (of all,
    where none is named), whether its files come along, and in which shard. Returns the shards. ConfigError for a split
    that there is not, ContractError for a release without clips."""
    tables = {"clips": release / "tables" / "fct_clips.parquet", "files": release / "ops" / "fct_clip_files.parquet"}
    for name, path in tables.items():
        if not path.is_file():
            raise ContractError(f"{path} is not there: this release lists no clips that could be exported")
        con.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS SELECT * FROM read_parquet({quoted(path)})")
    there = [
        split
        for (split,) in con.execute("SELECT DISTINCT split FROM clips WHERE status = 'kept' ORDER BY 1").fetchall()
    ]
    if unknown := sorted(set(splits) - set(there)):
        raise ConfigError(
            f"release {release.name} has no split {', '.join(unknown)}; there are: {', '.join(map(str, there))}"
        )
    if not there:
        raise ContractError(f"release {release.name} keeps no clip, so there is nothing to export")
    _rights(con)
    wanted = ", ".join(quoted(split) for split in (splits or there))
    known = {name: set(_names(con, name)) for name in tables}
    picked = ", ".join(_column(name, known) for name in (*COLUMNS, *_PLACES) if name not in _COMPUTED)
    carried = {"shareable": "may_share", "all": "true", "none": "false"}[media]
    adapted = {"shareable": "may_share AND may_adapt", "all": "true", "none": "false"}[media]
    said = f"""
        SELECT *, {carried} AS has_file, {carried} AND {adapted} AND coalesce(is_recycled, false)
            AND residual_tar IS NOT NULL AS has_residual
        FROM (
            SELECT {picked}, rights.rights, rights.may_share, rights.may_adapt, {quoted(release.name)} AS release
            FROM clips
            LEFT JOIN files USING (sample_id)
            JOIN rights ON rights.license IS NOT DISTINCT FROM clips.license AND rights.own = ({_OWN})
            WHERE clips.status = 'kept' AND clips.split IN ({wanted})
        )"""
    # Shards are counted over three columns: windows over all of them would sort every title and label twice.
    con.execute(f"""
        CREATE OR REPLACE TABLE rows AS
        WITH sized AS (
            SELECT id, split, {BESIDE_BYTES} + coalesce(media_bytes, 0)
                + if(has_residual, coalesce(residual_bytes, 0), 0) AS size
            FROM ({said}) WHERE has_file
        ),
        placed AS (
            SELECT *, (sum(size) OVER (PARTITION BY split ORDER BY id ROWS UNBOUNDED PRECEDING) - size)
                // {int(shard_bytes)} AS raw
            FROM sized
        ),
        numbered AS (
            SELECT id, size, (dense_rank() OVER (PARTITION BY split ORDER BY raw) - 1)::INT AS number FROM placed
        )
        SELECT said.*, size, number,
            if(has_file, printf('data/%s/%s-%05d{ext}', split, split, number), null) AS shard
        FROM ({said}) AS said LEFT JOIN numbered USING (id) ORDER BY split, id
    """)
    lost = con.execute("SELECT id FROM rows WHERE has_file AND tar IS NULL ORDER BY id LIMIT 1").fetchone()
    if lost:
        raise ContractError(
            f"release {release.name}: fct_clip_files does not say where the file of clip {lost[0]} lies: build the "
            "release again, or export references only (--media none)"
        )
    found = con.execute(
        "SELECT split, number, count(*), sum(size) FROM rows WHERE has_file GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    return [Shard(split, number, clips, int(size)) for split, number, clips, size in found]


def of_shard(con: duckdb.DuckDBPyConnection, shard: Shard, block: int = 1000) -> Iterator[dict[str, object]]:
    """The clips of a shard in order: id, the JSON beside it, and where its bytes lie (`begins`, `length` …)."""
    found = con.execute(
        f"SELECT id, {as_json()} AS json, has_residual, media_sha256, residual_sha256, tar, residual_tar,"
        " places.* EXCLUDE (split, number, id) FROM rows JOIN places USING (split, number, id)"
        " WHERE rows.split = $1 AND rows.number = $2 AND places.split = $1 AND places.number = $2 ORDER BY id",
        [shard.split, shard.number],
    )
    names = [column[0] for column in found.description]
    while rows := found.fetchmany(block):
        for row in rows:
            yield dict(zip(names, row, strict=True))


def as_json() -> str:
    """SQL of a clip's JSON: every column, no number that is none. DuckDB writes it several times as fast as Python."""

    def finite(name: str, kind: str) -> str:
        if kind == "DOUBLE[]":
            return f"list_transform({name}, lambda x: CASE WHEN isfinite(x) THEN x END)"
        return f"CASE WHEN isfinite({name}) THEN {name} END" if kind == "DOUBLE" else name

    return (
        f"to_json(struct_pack({', '.join(f'{n} := {finite(n, kind)}' for n, (kind, _) in COLUMNS.items())}))::VARCHAR"
    )


def select(con: duckdb.DuckDBPyConnection, split: str) -> str:
    """A query of all rows of a split, references too, in order."""
    return f"SELECT {', '.join(COLUMNS)} FROM rows WHERE split = {quoted(split)} ORDER BY id"


def quoted(value: object) -> str:
    """An SQL string."""
    return "'" + str(value).replace("'", "''") + "'"


_COMPUTED = {"shard", "has_file", "has_residual", "rights", "may_share", "release"}


def _column(name: str, known: Mapping[str, set[str]]) -> str:
    """A column from the table that has it; null, typed, where the release is older than it."""
    kind = COLUMNS[name][0] if name in COLUMNS else "BIGINT" if name.endswith("_bytes") else "VARCHAR"
    if name == "id":
        return "sample_id AS id"
    at = next((table for table in ("clips", "files") if name in known[table]), None)
    return f"CAST({f'{at}.{name}' if at else 'NULL'} AS {kind}) AS {name}"


def _names(con: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    return [column[0] for column in con.execute(f"SELECT * FROM {table} LIMIT 0").description]


def _rights(con: duckdb.DuckDBPyConnection) -> None:
    """Table `rights`: what each wording of a licence, of own files and of others, allows."""
    con.execute(
        "CREATE OR REPLACE TABLE rights (license VARCHAR, own BOOLEAN, rights VARCHAR, may_share BOOLEAN,"
        " may_adapt BOOLEAN, address VARCHAR)"
    )
    for text, own in con.execute(f"SELECT DISTINCT license, {_OWN} FROM clips WHERE status = 'kept'").fetchall():
        found = rights(text, own)
        con.execute(
            "INSERT INTO rights VALUES (?, ?, ?, ?, ?, ?)",
            [text, own, found.licence, found.share, found.adapt, found.url],
        )
