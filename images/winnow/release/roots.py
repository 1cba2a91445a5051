"""Roots: what names the files of a lake, so that what nothing names can be told: heads of batches and of stages, the
releases that are kept, and releases that are being made.

A head that moved less than a while ago names what it named before too: whoever read it then may still be reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from winnow.core import compact
from winnow.core.admitted import batch_heads, shards_of
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake
from winnow.core.nearby import Nearby, Wanted
from winnow.core.planned_table import PLANNED_TABLES
from winnow.core.shard import Lineage
from winnow.core.stage import stage_columns, stage_needs, stage_optional_needs
from winnow.release import in_bucket, publish

DAY_S = 86400.0
#: Columns of a build's list of inputs that name compact files.
_LISTED = ("path", "places", "shards")
#: Files of a release that name tables and tars.
_NAMING = ("ops/fct_shards.parquet", "ops/fct_clip_files.parquet")


def family(key: str) -> str:
    """What the files of one shard and of its later attempts have in common: their folder, number and inputs."""
    folder, _, name = key.rpartition("/")
    return f"{folder}/{name.partition('.')[0].partition('-r')[0]}"


def kept_releases(lake: Lake, keep: int | None, days: float | None, now: datetime | None = None) -> list[str]:
    """Releases that stay: the one in use, the `keep` newest, and those younger than so many days; all of them where
    neither is said. ConfigError for a number that keeps none."""
    if (keep is not None and keep < 1) or (days is not None and days < 0):
        raise ConfigError("keep at least one release, and no negative number of days")
    there = publish.releases(lake)
    if keep is None and days is None:
        return there
    now, current = now or datetime.now(UTC), publish.current(lake)
    if there and current not in there:
        raise ContractError(f"{lake.full('releases/current')} names no release: run `winnow verify --all` first")
    told = {release: str(publish.manifest(lake, release).get("published_at") or "") for release in there}
    newest = sorted(there, key=lambda one: (told[one], one == current, one), reverse=True)[: keep or 0]
    oldest = (now - timedelta(days=days)).isoformat(timespec="seconds") if days is not None else None
    young = [release for release in there if oldest is not None and told[release] >= oldest]
    return [release for release in there if release in {current, *newest, *young}]


@dataclass
class Roots:
    """Everything that names a table or a tar of a lake, as families of shards' files."""

    lake: Lake
    releases: list[str]

    def __post_init__(self) -> None:
        #: Heads of the admitted batches.
        self.heads = batch_heads(self.lake)
        self.named = {family(path) for path in self._paths()}
        #: Compact files that heads of batches, and releases that are being made, name.
        self.compact = {
            path for head in self.heads.values() for at in head["stages"].values() for path, _ in compact.paths(at)
        }
        #: Files by content, in a bucket, that kept releases, and the steps of one that is being made, name.
        self.published = {
            entry["key"]
            for release in self.releases
            for entry in publish.manifest(self.lake, release).get("files", {}).values()
            if "key" in entry
        } | {in_bucket.by_content(name, sha) for files in self._handed() for name, sha in files.items()}
        for work in self._work():
            self.compact |= set(column(work / "dbt" / "inputs.parquet", *_LISTED, below=self.lake.full("")))
        #: Files of parts that releases that are being made read.
        self.parts = {
            path
            for work in self._work()
            for path in column(work / "dbt" / "parts.parquet", "path", below=self.lake.full(""))
        }

    def _paths(self) -> Iterator[str]:
        for head in self.heads.values():
            for at in head["stages"].values():
                yield from (shard["path"] for shard in shards_of(self.lake, head["batch"], at))
        for release in self.releases:
            root = publish.folder(self.lake, release, _NAMING)
            yield from column(root / "ops" / "fct_shards.parquet", "path")
            yield from column(root / "ops" / "fct_clip_files.parquet", "tar", "residual_tar")
        for files in self._handed():
            yield from column(self._step(files, "ops/fct_shards.parquet"), "path")
            yield from column(self._step(files, "ops/fct_clip_files.parquet"), "tar", "residual_tar")
        for work in self._work():
            listed = work / "dbt" / "inputs.parquet"
            yield from column(listed, "path", below=self.lake.full(""))
            for path in column(listed, "shards"):
                yield from _shards(Path(path))
            yield from column(work / "ops" / "fct_clip_files.parquet", "tar", "residual_tar")

    def _handed(self) -> list[dict[str, str]]:
        """Of releases that are being made in a bucket, what each step left to the next: digests of files by name."""
        if self.lake.is_local:
            return []
        keys = [f"releases/.work/{name}" for name in self.lake.list("releases/.work") if name.startswith("steps-")]
        left = [self.lake.read_json(key, "remove it, then run `winnow release build`") or {} for key in keys]
        return [dict(one.get("files", {})) for one in left]

    def _step(self, files: dict[str, str], name: str) -> Path:
        """A copy of a file that a step left; a path where nothing is, where it left none."""
        near = Nearby(self.lake)
        for one, sha256 in files.items():
            if one.endswith(f"/{name}"):
                return near.one(in_bucket.by_content(one, sha256), sha256)
        return near.path(Wanted(f"none/{name}"))

    def _work(self) -> list[Path]:
        """Folders of releases that are being made, step by step, on a disk."""
        return sorted(Path(self.lake.full("releases/.work")).glob("steps-*"))

    def clips(self) -> set[str]:
        """Clips whose files the kept releases, and those that are being made, name."""
        folders = [publish.folder(self.lake, release, _NAMING) for release in self.releases]
        files = [root / "ops" / "fct_clip_files.parquet" for root in (*folders, *self._work())]
        files += [self._step(left, "ops/fct_clip_files.parquet") for left in self._handed()]
        return {clip for path in files for clip in column(path, "sample_id")}

    def head(self, stage: str, batch: str) -> dict[str, Any] | None:
        """Where a stage stands for a batch."""
        return self.lake.head(stage, batch)

    def superseded(self, stage: str, batch: str, fingerprint: str, families: Iterable[str]) -> set[str]:
        """Which of these shards of one version count no more: neither where the stage stands, nor for a release or an
        admitted batch. Of the version at which it stands these are only shards in whose place another is committed."""
        stage_head = self.head(stage, batch)
        if stage_head is None:
            return set()
        loose = {one for one in families if one not in self.named}
        if not loose:
            return loose
        if stage_head.get("v") != fingerprint:
            return loose
        folder = self.lake.folder(stage, fingerprint, batch)
        if stage in PLANNED_TABLES:
            return loose - {f"{folder}/{shard}" for shard in stage_head.get("shards", [])}
        lineage, gone = Lineage(self.lake, batch, stage_needs(), stage_optional_needs()), set()
        for one in loose:
            done = lineage.committed(stage, int(one.rpartition("/")[2][:5]))
            if done is not None and family(f"{folder}/{done.shard}") != one:
                gone.add(one)
        return gone


def _shards(listed: Path) -> Iterator[str]:
    """Keys of the tables of the shards that a compact table stands for."""
    import pyarrow.parquet as pq

    if listed.is_file():
        for row in pq.read_table(listed, columns=["stage", "v", "batch", "file"]).to_pylist():
            yield f"{Lake.folder(row['stage'], row['v'], row['batch'])}/{row['file']}"


def tables(lake: Lake) -> Iterator[tuple[str, str, str]]:
    """Stage, version and batch of every folder of shards."""
    for stage in sorted(stage_columns()):
        for fingerprint in (name[2:] for name in lake.list(stage) if name.startswith("v=")):
            for name in lake.list(f"{stage}/v={fingerprint}"):
                if name.startswith("batch="):
                    yield stage, fingerprint, name.removeprefix("batch=")


def column(path: Path, *names: str, below: str = "") -> list[str]:
    """Distinct texts of some columns of a Parquet file, those that there are; [] where it is not there. `below`: only
    paths that begin so, without it."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    if not path.is_file():
        return []
    there = [name for name in names if name in pq.read_schema(path).names]
    table = pq.read_table(path, columns=there)
    found = [value for name in there for value in pc.unique(table[name]).to_pylist() if value is not None]
    return [value.removeprefix(below) for value in found if value.startswith(below)]
