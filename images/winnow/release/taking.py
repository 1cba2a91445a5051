"""Taking: what was taken down leaves the lake: members of tars (clips, what was left of their sound, mixtures of them)
and source videos, once no release that is kept, and none that is being made, names the clip's file.

A tar is written again without them, in its place: releases name it. The manifest is first: it says what is no longer
there (`Manifest.removed`), so that `verify` and stages agree with the tar whenever this is killed, and the next
`winnow clean` goes on. Tables stay as they are: a fingerprint of what was taken down is what its copies are known by.

A source video goes once every clip of it is taken down; until then the whole stays, since its other clips are cut from
it. One of which a clip alone was asked for therefore stays with the others.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from winnow.core import shard_tar
from winnow.core.lake import Lake
from winnow.core.manifest import Manifest
from winnow.core.nearby import Nearby
from winnow.core.pointer import Pointer
from winnow.core.shard_tar import ShardTar
from winnow.core.takedown import Tombstones
from winnow.release import publish
from winnow.release.roots import Roots, column
from winnow.release.takedown import note_copies

CLIPS, FILES = "tables/fct_clips.parquet", "ops/fct_clip_files.parquet"
#: Columns that name the clips that a row of a stage's table is, or is made of.
_CLIPS = ("sample_id", "clip1_sample_id", "clip2_sample_id")


@dataclass
class Taking:
    """One pass over the commits that stay. `videos`: keys of source videos that may go; `files` and `freed` (bytes)
    count members of tars."""

    lake: Lake
    roots: Roots
    manifests: list[Manifest]
    dry: bool
    files: int = 0
    freed: int = 0
    videos: set[str] = field(default_factory=set)

    def run(self) -> dict[str, int]:
        """Remove members, note what is removed; how many clips that were taken down each kept release still names."""
        self.day = datetime.now(UTC).date().isoformat()
        taken, waits = self._taken()
        self.gone = taken - self.roots.clips()
        self.known = Tombstones.of(self.lake)
        self.manifests = [self._tar(manifest) if manifest.sidecar else manifest for manifest in self.manifests]
        if self.known.why:
            self._sources()
        for manifest in self.manifests:
            if manifest.stage == "fetch":
                self.videos |= {f"media/{name[:2]}/{name}" for name in manifest.removed}
        return waits

    def _taken(self) -> tuple[set[str], dict[str, int]]:
        """Clips that the release in use says were taken down; how many of them each kept release has a file of."""
        current = publish.current(self.lake)
        if current is None:
            return set(), {}
        if not self.dry:
            note_copies(self.lake, current)
        import duckdb

        path = publish.folder(self.lake, current, (CLIPS,)) / CLIPS
        if not path.is_file():
            return set(), {}
        with duckdb.connect() as con:
            query = "SELECT sample_id FROM read_parquet(?) WHERE first_failed_rule = 'taken_down'"
            taken = {clip for (clip,) in con.execute(query, [str(path)]).fetchall()}
        waits = {}
        for release in self.roots.releases if taken else []:
            files = publish.folder(self.lake, release, (FILES,)) / FILES
            if held := taken & set(column(files, "sample_id")):
                waits[release] = len(held)
        return taken, waits

    # -- tars ----------------------------------------------------------------------------------------------------------
    def _tar(self, manifest: Manifest) -> Manifest:
        """A shard's tar without what was taken down; what its manifest then is."""
        key, out = self.lake.tar_key(manifest), set()
        if self.gone:
            rows = rows_of(self.lake, manifest, list(_CLIPS[1:]))
            out = {row["sample_id"] for row in rows if self.gone & {row.get(name) for name in _CLIPS}}
        if not out and not manifest.removed:  # one that was noted may still lie there: killed between note and tar
            return manifest
        if not self.lake.exists(key):
            return manifest  # `winnow verify` names it
        with self.lake.local(key) as path:
            return self._without(manifest, key, path, out)

    def _without(self, manifest: Manifest, key: str, path: Path, out: set[str]) -> Manifest:
        """A tar, of which `path` is a copy or the file itself, without these samples; what its manifest then is."""
        members, made = ShardTar(path), path.with_name(f".{path.name}.taking")
        try:
            gone = {name for name in members.names() if name.partition(".")[0] in out} | (
                set(manifest.removed) & set(members.names())
            )
            if not gone:
                return manifest
            self.files += len(gone)
            if self.dry:
                self.freed += sum(len(members.read(name)) for name in gone)
                return manifest
            shard_tar.write(made, ((name, members.read(name)) for name in members.names() if name not in gone))
            self.freed += path.stat().st_size - made.stat().st_size
            noted = {**dict.fromkeys(gone, self.day), **manifest.removed}
            manifest = self._note(manifest, noted, made.stat().st_size)
            self.lake.put_file(made, key, move=True)
            self.lake.sync_folder(key)
            if not self.lake.is_local:
                Nearby(self.lake).forget(key)
        finally:
            members.close()
            made.unlink(missing_ok=True)
        return manifest

    def _note(self, manifest: Manifest, removed: dict[str, str], size: int) -> Manifest:
        """Say in a manifest what is no longer there; nothing else of it changes."""
        key = f"{self.lake.folder(manifest.stage, manifest.fingerprint, manifest.batch)}/{manifest.shard}.json"
        since = Pointer(self.lake, key)
        noted = replace(manifest, removed=dict(sorted(removed.items())), sidecar_bytes=size)
        since.move(noted.dumps(), "winnow clean")
        return noted

    # -- source videos -------------------------------------------------------------------------------------------------
    def _sources(self) -> None:
        """Note in fetch's manifests the source videos of which nothing stays."""
        stays: set[str] = set()
        goes: set[str] = set()
        batches: dict[str, list[Manifest]] = defaultdict(list)
        for manifest in self.manifests:
            if manifest.stage in ("fetch", "clip"):
                batches[manifest.batch].append(manifest)
        for manifests in batches.values():
            clips: dict[str, set[str]] = defaultdict(set)
            for manifest in (one for one in manifests if one.stage == "clip"):
                for row in rows_of(self.lake, manifest, ["candidate_id"]):
                    clips[str(row["candidate_id"])].add(row["sample_id"])
            for row in (row for one in manifests if one.stage == "fetch" for row in self._fetched(one)):
                of_it = clips[row["sample_id"]]
                gone = of_it <= self.gone if of_it else self._is_named(row)
                (goes if gone else stays).add(_file(row))
        goes -= stays
        for place, manifest in enumerate(self.manifests if goes else []):
            if manifest.stage != "fetch":
                continue
            new = {_file(row) for row in self._fetched(manifest)} & goes - set(manifest.removed)
            if new and self.dry:
                self.videos |= {f"media/{name[:2]}/{name}" for name in new}
            elif new:
                noted = {**manifest.removed, **dict.fromkeys(new, self.day)}
                self.manifests[place] = self._note(manifest, noted, manifest.sidecar_bytes)

    def _fetched(self, manifest: Manifest) -> list[dict[str, Any]]:
        return rows_of(self.lake, manifest, ["media_sha256", "media_ext", "video_id", "url", "fetched_uploader"])

    def _is_named(self, row: dict[str, Any]) -> bool:
        """Whether a candidate that gave no clip was taken down by one of its names."""
        names = {
            "id": [row.get("video_id"), row["sample_id"]],
            "uploader": row.get("fetched_uploader"),
            "source": row.get("url"),
            "file": row["media_sha256"],
        }
        return self.known.over(names) is not None

    def is_refused(self, file: str) -> bool:
        """Whether fetch refuses these bytes, so that no download that is under way brings this source video again."""
        return self.known.over({"file": file.partition(".")[0]}) is not None


def rows_of(lake: Lake, manifest: Manifest, columns: Sequence[str]) -> list[dict[str, Any]]:
    """`sample_id` and these columns, those that there are, of a commit's measured rows; [] where its table is gone."""
    return list(_rows(lake.read_or_none(lake.table_key(manifest)), columns))


def _rows(data: bytes | None, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    if data is None:
        return
    there = [name for name in columns if name in pq.read_schema(io.BytesIO(data)).names]
    for row in pq.read_table(io.BytesIO(data), columns=["sample_id", "outcome", *there]).to_pylist():
        if row["outcome"] == "ok":
            yield row


def _file(row: dict[str, Any]) -> str:
    return f"{row['media_sha256']}.{row['media_ext']}"
