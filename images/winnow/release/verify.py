"""Verify: walks what is committed and reads all of it: manifests, tables, tars and their members, source videos,
models, tables of the corpus, heads of batches, releases. Every fault is a line: what it is (missing, changed, cut
short, damaged), where, and the command that mends it. Nothing is written.

A digest says whether bytes are those that were committed; a size alone says "cut short" before anything is hashed.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from winnow.core import compact, corpus_table
from winnow.core.admitted import admitted_keys, batch_head, shards_of
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.manifest import Manifest
from winnow.core.planned_table import PLANNED_TABLES
from winnow.core.sample import check_batch
from winnow.core.shard_tar import DIGESTS, ShardTar
from winnow.core.stage import stage_class, stage_columns
from winnow.release import publish
from winnow.release.holdings import Holdings, torn
from winnow.release.mending import Fault, removing, running, writing


class Verify(Holdings):
    """One walk over batches, or over all of a lake."""

    def everything(self) -> None:
        """All of the lake: also versions that no batch stands at any more, and media that nothing names."""
        for batch in self.batches():
            self.batch(batch)
        for folder in self.lake.list("media"):
            for name in self.lake.list(f"media/{folder}"):
                self.media(f"media/{folder}/{name}", [f"media/{folder}/{name}"], "winnow verify --all")
        for name in self.lake.list("models"):
            self.model_in_use(name)
            for file in self.lake.list(f"models/{name}"):
                if file.endswith(".json"):
                    self.model(name, file.removesuffix(".json"))
        for table in sorted(corpus_table.TABLES):
            self.corpus(table)
        self.release_in_use()
        for name in self.lake.list("releases"):
            if name not in ("current", "inputs"):
                self.release(name)

    def batches(self) -> list[str]:
        """Keys of all batches that have a stage's table or a head."""
        keys = set(admitted_keys(self.lake))
        for stage in stage_columns():
            for name in self.lake.list(stage):
                if name.startswith("batch=") and name.endswith(".json"):
                    keys.add(name.removeprefix("batch=").removesuffix(".json"))
                elif name.startswith("v="):
                    inside = self.lake.list(f"{stage}/{name}")
                    keys |= {one.removeprefix("batch=") for one in inside if one.startswith("batch=")}
        return sorted(keys)

    # -- batches -------------------------------------------------------------------------------------------------------
    def batch(self, batch: str) -> None:
        """Everything that was committed of one batch, whatever version, and its head."""
        known: dict[str, Manifest] = {}
        for stage in stage_columns():
            stage_head = self._stage_head(stage, batch)
            for fingerprint in [name[2:] for name in self.lake.list(stage) if name.startswith("v=")]:
                current = stage_head is not None and stage_head.get("v") == fingerprint
                for manifest in self._manifests(stage, fingerprint, batch, current):
                    known[self.lake.table_key(manifest)] = manifest
                    self.table(manifest, current)
            if stage_head is not None and stage in PLANNED_TABLES:
                for shard in stage_head.get("shards", []):
                    key = f"{self.lake.folder(stage, stage_head['v'], batch)}/{shard}.json"
                    if not self.lake.exists(key):
                        head = f"{stage}/batch={batch}.json"
                        self.found("missing", key, removing(self.lake, [head], self._running(stage, batch)))
        self._head(batch, known)

    def _running(self, stage: str, batch: str) -> str:
        """What makes a table again, in shards as large as they were: others would be computed anew."""
        size = self._shard_size(batch) if stage == "plan" else None
        return running(stage, batch) + (f" --shard-size {size}" if size else "")

    def _shard_size(self, batch: str) -> object:
        for fingerprint in self.lake.list("plan"):
            folder = f"plan/{fingerprint}/batch={batch}"
            for name in self.lake.list(folder):
                if name.endswith(".json"):
                    with suppress(ContractError):  # another one says it too
                        manifest = self.lake.manifest(
                            "plan", fingerprint.removeprefix("v="), batch, name.removesuffix(".json")
                        )
                        if manifest and manifest.params.get("shard_size"):
                            return manifest.params["shard_size"]
        return None

    def _stage_head(self, stage: str, batch: str) -> dict[str, Any] | None:
        key = f"{stage}/batch={batch}.json"
        try:
            stage_head = self.lake.head(stage, batch)
        except ContractError as error:
            self.found(torn(error), key, removing(self.lake, [key], self._running(stage, batch)))
            return None
        self.seen["heads"] += stage_head is not None
        return stage_head

    def _manifests(self, stage: str, fingerprint: str, batch: str, current: bool) -> Iterator[Manifest]:
        folder = self.lake.folder(stage, fingerprint, batch)
        for name in self.lake.list(folder):
            if not name.endswith(".json"):
                continue
            try:
                manifest = self.lake.manifest(stage, fingerprint, batch, name.removesuffix(".json"))
            except ContractError as error:
                files = [f"{folder}/{name}", *self._attempts(folder, name.removesuffix(".json"))]
                mend = removing(self.lake, files, self._running(stage, batch) if current else "")
                self.found(torn(error), f"{folder}/{name}", mend)
                continue
            if manifest is not None:
                self.seen["manifests"] += 1
                yield manifest

    def table(self, manifest: Manifest, current: bool) -> None:
        """A shard's table, its tar, and what its rows name: members, source videos; and the model that measured it."""
        lake, key = self.lake, self.lake.table_key(manifest)
        folder = lake.folder(manifest.stage, manifest.fingerprint, manifest.batch)
        files = [f"{folder}/{manifest.shard}.json", key, *([lake.tar_key(manifest)] if manifest.sidecar else [])]
        files += self._attempts(folder, manifest.shard)
        mend = removing(self.lake, files, self._running(manifest.stage, manifest.batch) if current else "")
        data = lake.read_or_none(key)
        self.seen["tables"] += data is not None
        if data is None:
            self.found("missing", key, mend)
        elif sha256_bytes(data) != manifest.sha256:
            self.found("cut short" if len(data) < manifest.bytes else "changed", key, mend)
            data = None
        if manifest.sidecar:
            self._tar(manifest, data, mend)
        if data is not None and manifest.stage == "fetch":
            for row in _rows(data, ["media_sha256", "media_ext"]):
                media = lake.media_key(row["media_sha256"], row["media_ext"])
                if media.rpartition("/")[2] in manifest.removed:
                    continue
                self.media(media, [media, *files], f"winnow run fetch --batch {manifest.batch}")
        fitted = stage_class(manifest.stage).fitted if manifest.stage not in PLANNED_TABLES else None
        if fitted and manifest.model:
            self.model(fitted, manifest.model)

    def _attempts(self, folder: str, shard: str) -> list[str]:
        """All files of a shard whose failed rows were tried again: without one of them, an earlier attempt would count
        once more, and what was fetched since would be lost. [] where nothing was."""
        first = shard.partition("-r")[0]
        there = [name for name in self.lake.list(folder) if name.startswith((f"{first}.", f"{first}-r"))]
        return [f"{folder}/{name}" for name in there] if any(name.startswith(f"{first}-r") for name in there) else []

    def _tar(self, manifest: Manifest, table: bytes | None, mend: str) -> None:
        key = self.lake.tar_key(manifest)
        try:
            with self.lake.local(key) as path:
                size = path.stat().st_size
                self.seen["tars"] += 1
                if manifest.removed and set(manifest.removed) & set(_names(path)):
                    self.found("not removed", f"{key}: what was taken down of it", "winnow clean")
                elif size != manifest.sidecar_bytes:
                    self.found("cut short" if size < manifest.sidecar_bytes else "changed", key, mend)
                elif table is not None:
                    self._members(path, key, table, mend, manifest.removed)
        except FileNotFoundError:
            self.found("missing", key, mend)

    def _members(self, path: Path, key: str, table: bytes, mend: str, removed: Mapping[str, str]) -> None:
        import tarfile

        try:
            members = ShardTar(path)
        except tarfile.TarError:
            self.found("damaged", key, mend)
            return
        try:
            names = set(members.names())
            for row in _rows(table, list(DIGESTS.values())):
                for ext, column in DIGESTS.items():
                    name = f"{row['sample_id']}.{ext}"
                    if not row.get(column) or name in removed:
                        continue
                    self.seen["members"] += 1
                    if name not in names:
                        self.found("missing", f"{key} {name}", mend)
                    elif sha256_bytes(members.read(name)) != row[column]:
                        self.found("changed", f"{key} {name}", mend)
        finally:
            members.close()

    def _head(self, batch: str, known: dict[str, Manifest]) -> None:
        key, gate = f"batches/{batch}.json", f"winnow gate --batch {batch}"
        try:
            head = batch_head(self.lake, batch)
        except ContractError as error:
            self.found(torn(error), key, removing(self.lake, [key], gate))
            return
        if head is None:
            return
        self.seen["heads"] += 1
        self._number(batch, int(head.get("seq") or 0))
        named: dict[str, str] = {}
        for stage, at in head.get("stages", {}).items():
            named |= dict(compact.paths(at))
            try:
                shards = shards_of(self.lake, batch, at)
            except ContractError:  # a fault of its own
                continue
            for file in shards:
                manifest = known.get(file["path"])
                if manifest is None and not self.lake.exists(file["path"]):
                    self.found("missing", file["path"], f"{self._running(stage, batch)} && {gate}")
                elif manifest is None:  # its manifest is gone or torn (a fault of its own), or it has none
                    self._admitted(file, f"{self._running(stage, batch)} && {gate}")
                elif manifest.sha256 != file["sha256"]:
                    self.found("changed", f"{file['path']} after it was admitted", gate)

        self._compact(batch, named, gate)

    def _compact(self, batch: str, named: Mapping[str, str], gate: str) -> None:
        """The compact tables of a batch: those that its head names, and others by what their names say. Who removes
        one and gates the batch has it again."""
        folder = compact.folder(batch)
        for key in sorted({*named, *(f"{folder}/{name}" for name in self.lake.list(folder))}):
            data = self.lake.read_or_none(key)
            self.seen["compact tables"] += data is not None
            mend = removing(self.lake, [key], gate if key in named else "")
            if data is None:
                self.found("missing", key, mend)
            elif not compact.holds(key, sha256_bytes(data)) or named.get(key, sha256_bytes(data)) != sha256_bytes(data):
                self.found("changed", key, mend)

    def _number(self, batch: str, seq: int) -> None:
        """The batch's number in the order of admission, which no other batch may take."""
        key = f"batches/seq/{seq:08d}"
        taken = self.lake.read_or_none(key)
        if taken is None or taken.decode(errors="replace").strip() != batch:
            self.found("missing" if taken is None else "changed", key, writing(self.lake, key, batch))

    def _admitted(self, file: dict[str, Any], mend: str) -> None:
        if sha256_bytes(self.lake.read(file["path"])) != file["sha256"]:
            self.found("changed", file["path"], mend)


def _names(path: Path) -> list[str]:
    """Names of a tar's members; [] of what is none."""
    import tarfile

    try:
        members = ShardTar(path)
    except tarfile.TarError:
        return []
    try:
        return members.names()
    finally:
        members.close()


def verify(
    lake: Lake, *, batch: str | None = None, release: str | None = None, everything: bool = False
) -> dict[str, Any]:
    """Walk one batch, one release, or all of a lake; `Verify.answer`. ConfigError unless exactly one is asked for, and
    for a batch or a release that there is not."""
    if sum((batch is not None, release is not None, everything)) != 1:
        raise ConfigError("say what to verify: a folder, --batch KEY, --release ID or --all")
    walk = Verify(lake)
    if everything:
        walk.everything()
    elif batch is not None:
        if check_batch(batch) not in (there := walk.batches()):
            raise ConfigError(f"there is no batch {batch} in {lake.root}; there are: {', '.join(there) or 'none'}")
        walk.batch(batch)
    else:
        walk.release(publish.resolve(lake, release))
    return walk.answer()


def _rows(data: bytes, columns: list[str]) -> list[dict[str, Any]]:
    """These columns, those that there are, of a table's measured rows."""
    import pyarrow.parquet as pq

    there = [name for name in columns if name in pq.read_schema(io.BytesIO(data)).names]
    table = pq.read_table(io.BytesIO(data), columns=["sample_id", "outcome", *there])
    return [row for row in table.to_pylist() if row["outcome"] == "ok"]


def lines(answer: dict[str, Any]) -> list[str]:
    """A fault a line."""
    return [str(Fault(**fault)) for fault in answer["faults"]]
