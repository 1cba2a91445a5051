"""Takedown: somebody asks for a clip, an uploader or a source to be taken down.

What is taken down is recorded with date and reason, and is gone from the next release (rule `taken_down`), with its
copies: of both their ids, the day and why remain. It is never fetched again, whatever list names it, nor are the same
bytes under another address, nor videos of which every clip is a copy of it. Releases that are published stay as they
are: the answer names those that still hold it. Its files go with the first `winnow clean` after the last release that
names them (`winnow.release.taking`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from winnow.core import corpus_table
from winnow.core.errors import ConfigError
from winnow.core.lake import Lake
from winnow.core.takedown import KINDS, TABLE, Tombstones, named
from winnow.release import publish

#: Names without a match that an answer lists.
SHOWN = 20
_MATCH = {
    "id": "sample_id = name OR video_id = name OR source_id = name",
    "uploader": "lower(trim(uploader)) = name",
    "source": "url = name",
    "file": "source_sha256 = name",
    "copy": "sample_id = name OR video_id = name OR source_sha256 = name",
}


def takedown(lake: Lake, kind: str, names: Iterable[str], why: str) -> dict[str, object]:
    """Record names of one kind (`core.takedown.KINDS`) as taken down. Returns {"kind", "names", "recorded": new
    tombstones, "releases": {id: clips that it keeps of them}, "files": {id: clips of them whose files it names},
    "unmatched": names that no release knows}. With a video, an uploader or a source go the digests of its files; with
    each clip its copies. ConfigError without names or a reason."""
    wanted = sorted({named(kind, name) for name in names if str(name).strip()})
    if kind not in KINDS:
        raise ConfigError(f"there is no takedown by {kind}; there are {', '.join(KINDS)}")
    if not wanted:
        raise ConfigError(f"there are no {KINDS[kind]} to take down: the file has one a line")
    if not why.strip():
        raise ConfigError("say why this is taken down: --why TEXT")
    found = _Found()
    for release in publish.releases(lake):
        found.read(lake, release, kind, wanted)
    known = Tombstones.of(lake).why
    rows = {(kind, name): why.strip() for name in wanted} | {("file", digest): why.strip() for digest in found.digests}
    rows |= {("copy", value): because for value, because in found.copies.items()}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    new = [
        {"kind": one, "value": value, "why": because, "created_at": now}
        for (one, value), because in rows.items()
        if (one, value) not in known
    ]
    if new:
        corpus_table.add(lake, TABLE, new, provenance={"command": f"winnow takedown --{KINDS[kind]} … --why …"})
    unmatched = [name for name in wanted if name not in found.matched]
    return {
        "kind": kind,
        "names": len(wanted),
        "recorded": len(new),
        "copies": len(found.copied),
        "releases": found.kept,
        "files": found.files,
        "unmatched": unmatched[:SHOWN],
        "more_unmatched": max(0, len(unmatched) - SHOWN),
    }


def taken(lake: Lake) -> list[dict[str, object]]:
    """Every tombstone, in the order of its date."""
    rows = corpus_table.read(lake, TABLE).to_pylist()
    return sorted(rows, key=lambda row: (row["created_at"], row["kind"], row["value"]))


def held(lake: Lake, release: str) -> int:
    """How many clips that were taken down a release still keeps."""
    rows = taken(lake)
    path = _table(lake, release, "tables/fct_clips.parquet")
    if not rows or path is None:
        return 0
    clips: set[str] = set()
    for kind in _MATCH:
        names = [row["value"] for row in rows if row["kind"] == kind]
        query = f"""SELECT DISTINCT sample_id FROM read_parquet(?)
            JOIN (SELECT unnest(?::VARCHAR[]) AS name) ON {_MATCH[kind]} WHERE status = 'kept'"""
        clips |= {clip for (clip,) in _rows(query, [path, names])} if names else set()
    return len(clips)


def note_copies(lake: Lake, release: str) -> int:
    """Record what a release found to be a copy of something that was taken down, so that it is never fetched again
    either; how many names are new."""
    path = _table(lake, release, "tables/fct_clips.parquet")
    if path is None:
        return 0
    query = """
        WITH clips AS (SELECT * FROM read_parquet(?)),
        copies AS (
            SELECT sample_id, video_id, detail FROM clips
            WHERE first_failed_rule = 'taken_down' AND starts_with(detail, 'a copy of ')
        )
        SELECT sample_id, detail FROM copies
        UNION ALL
        SELECT video_id, min(copies.detail) FROM clips LEFT JOIN copies USING (sample_id, video_id)
        GROUP BY video_id HAVING count(*) = count(copies.sample_id)"""
    known = Tombstones.of(lake).why
    now = datetime.now(UTC).isoformat(timespec="seconds")
    new = [
        {"kind": "copy", "value": value, "why": why, "created_at": now}
        for value, why in sorted(_rows(query, [path]))
        if ("copy", value) not in known
    ]
    if new:
        corpus_table.add(lake, TABLE, new, provenance={"command": "winnow clean"})
    return len(new)


class _Found:
    """What the releases know of the names that are taken down."""

    def __init__(self) -> None:
        #: Clips that each release keeps of them; those of them whose files it names.
        self.kept: dict[str, int] = {}
        self.files: dict[str, int] = {}
        self.matched: set[str] = set()
        #: Digests of the files of whole videos (the file of one clip's video is others' too).
        self.digests: list[str] = []
        #: Clips that are copies; and why each of their names, and of the videos that hold nothing else, is noted.
        self.copied: set[str] = set()
        self.copies: dict[str, str] = {}

    def read(self, lake: Lake, release: str, kind: str, names: Sequence[str]) -> None:
        """Ask one release."""
        clips, files, pairs = (
            _table(lake, release, f"{name}.parquet")
            for name in ("tables/fct_clips", "ops/fct_clip_files", "tables/fct_duplicates")
        )
        if clips is None:
            return
        whole = "sample_id != name" if kind == "id" else "true"
        found = _rows(
            f"""SELECT DISTINCT sample_id, name, status = 'kept', if({whole}, source_sha256, NULL)
            FROM read_parquet(?) JOIN (SELECT unnest(?::VARCHAR[]) AS name) ON {_MATCH[kind]}""",
            [clips, list(names)],
        )
        ids = sorted({clip for clip, *_ in found})
        if kept := len({clip for clip, _, is_kept, _ in found if is_kept}):
            self.kept[release] = kept
        self.matched |= {name for _, name, _, _ in found}
        self.digests = sorted({*self.digests, *(digest for *_, digest in found if digest)})
        if files is not None and ids:
            query = "SELECT count(*) FROM read_parquet(?) WHERE sample_id IN (SELECT unnest(?::VARCHAR[]))"
            [(count,)] = _rows(query, [files, ids])
            if count:
                self.files[release] = count
        if pairs is not None and ids:
            self._copies(clips, pairs, ids)

    def _copies(self, clips: str, pairs: str, ids: Sequence[str]) -> None:
        """Copies of these clips, and the videos and files that hold nothing else."""
        query = """
            WITH asked AS (SELECT unnest(?::VARCHAR[]) AS sample_id),
            pairs AS (SELECT first_id, second_id FROM read_parquet(?) WHERE is_copy),
            either AS (
                SELECT first_id AS sample_id, second_id AS other_id FROM pairs
                UNION ALL SELECT second_id, first_id FROM pairs
            ),
            copies AS (
                SELECT sample_id, min('a copy of ' || other_id || ', which was taken down') AS why FROM either
                WHERE other_id IN (FROM asked) AND sample_id NOT IN (FROM asked) GROUP BY sample_id
            ),
            whole AS (
                SELECT video_id, source_sha256, copies.why FROM read_parquet(?) LEFT JOIN copies USING (sample_id)
            )
            SELECT true, sample_id, why FROM copies
            UNION ALL SELECT false, video_id, min(why) FROM whole GROUP BY ALL HAVING count(*) = count(why)
            UNION ALL SELECT false, source_sha256, min(why) FROM whole WHERE source_sha256 IS NOT NULL
            GROUP BY ALL HAVING count(*) = count(why)"""
        for is_clip, value, because in _rows(query, [list(ids), pairs, clips]):
            self.copies.setdefault(value, because)
            if is_clip:
                self.copied.add(value)


def _table(lake: Lake, release: str, name: str) -> str | None:
    path = publish.file(lake, release, name)
    return None if path is None else str(path)


def _rows(query: str, values: list[object]) -> list[tuple[Any, ...]]:
    import duckdb

    with duckdb.connect() as con:
        return con.execute(query, values).fetchall()
