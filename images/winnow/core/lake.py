"""Lake: every path and every atomic write, once.

    <root>/<stage>/v=<digest>/batch=<key>/<shard>.json              the manifest: the commit
    <root>/<stage>/v=<digest>/batch=<key>/<shard>.<sha8>.parquet    its table (and .tar, a shard's clips)
    <root>/<stage>/batch=<key>.json                                 which v the batch stands at
    <root>/media/<2 hex>/<sha256>.<ext>                             source videos, by content
    <root>/models/<name>/<digest>.npz, .json, current               fitted models, frozen by digest
    <root>/batches/<key>.json                                       admitted batches (written by the batch gate)
    <root>/compact/batch=<key>/                                     their tables, one a stage (`winnow.core.compact`)
    <root>/parts/batch=<key>/                                       what follows from one alone (`winnow.release.parts`)
    <root>/releases/…                                               published releases
    <root>/runs/<task>/<run>/                                       trained models, with what they answered
    <root>/vectors/<digest>/                                        what they are trained on, mapped (may be removed)

Files are immutable. A table's name holds a digest of its bytes, so of two attempts at one shard each writes its own
file, and the manifest, created exclusively, says which one counts: the late attempt changes nothing.

The files that say which of these counts (heads, `current`) are moved by compare-and-swap: `winnow.core.pointer`.

A root is a local or mounted folder, or an fsspec URL of a store that creates files exclusively. Exclusive creation is a
hard link on a local file system and the store's conditional write elsewhere (`mode="create"` of fsspec: s3fs, gcsfs and
adlfs send it). Replacing conditionally is done through s3fs alone; elsewhere a pointer is compared before the write.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

from winnow.core import store_fault
from winnow.core.errors import ConfigError, ContractError, TransientError
from winnow.core.manifest import Manifest
from winnow.core.pointer import Pointer

MODEL_DIGEST_CHARS = 12
#: Stores that create a file only where there is none, whoever else writes.
EXCLUSIVE = frozenset({"file", "local", "memory", "s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"})
#: What a store's client is told. No listing is remembered: other processes write. A store that throttles is asked
#: again, ever more slowly.
OPTIONS: dict[str, dict[str, object]] = {
    "s3": {"use_listings_cache": False, "config_kwargs": {"retries": {"max_attempts": 10, "mode": "adaptive"}}},
    "gs": {"use_listings_cache": False},
}
#: A small file is one request. To read in pieces, S3's client would first ask for its size, and list what is missing.
READ_OPTIONS: dict[str, dict[str, object]] = {"s3": {"max_concurrency": 1}}
#: How long to wait after each refusal of an exclusive write because another write to the same key is under way, s.
CONFLICT_WAITS_S = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)


#: What a pointer may hold: a digest, a release's id.
NAME = re.compile(r"[\w.-]+")


def sha256_bytes(data: bytes) -> str:
    """Hex SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a local file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: object, chars: int = 12) -> str:
    """Short hex digest of a JSON-able value, independent of key order."""
    return sha256_bytes(json.dumps(value, sort_keys=True, separators=(",", ":"), default=str).encode())[:chars]


class Lake:
    """Paths and atomic writes under one root. Keys are relative, '/'-separated."""

    def __init__(self, root: str | Path) -> None:
        self.root = str(root)
        try:
            kind = self.root.partition("://")[0]
            self.fs, self.base = fsspec.core.url_to_fs(self.root, **OPTIONS.get(kind, {}))
            self._reading = READ_OPTIONS.get(kind, {})
        except (ImportError, ValueError) as error:
            raise ConfigError(f"WINNOW_LAKE={self.root!r}: {error}") from error
        protocols = {self.fs.protocol} if isinstance(self.fs.protocol, str) else {*self.fs.protocol}
        if not protocols & EXCLUSIVE:
            raise ConfigError(
                f"WINNOW_LAKE={self.root!r}: nothing says that this kind of store creates a file only where there is "
                "none, so of two writers both could count. Use a local or mounted folder, s3://, gs:// or abfs://"
            )
        self.is_local = "file" in self.fs.protocol
        #: Whether the store itself can replace a file only if it is the one that was seen.
        self.compares = "s3" in self.fs.protocol

    def __repr__(self) -> str:
        return f"Lake({self.root!r})"

    # -- bytes ---------------------------------------------------------------------------------------------------------
    def full(self, key: str) -> str:
        """The file system's own path of a key."""
        return f"{self.base.rstrip('/')}/{key}"

    def exists(self, key: str) -> bool:
        """Whether a file is there."""
        return os.path.exists(self.full(key)) if self.is_local else self.fs.exists(self.full(key))

    def read(self, key: str) -> bytes:
        """A whole file; FileNotFoundError when it is not there."""
        if self.is_local:
            return Path(self.full(key)).read_bytes()
        try:
            data: bytes = self.fs.cat_file(self.full(key), **self._reading)
            return data
        except FileNotFoundError as error:
            raise store_fault.no_bucket(error) or error from error.__cause__

    def read_or_none(self, key: str) -> bytes | None:
        """A whole file, or None when it is not there."""
        try:
            return self.read(key)
        except FileNotFoundError:
            return None

    def read_json(self, key: str, mend: str) -> dict[str, Any] | None:
        """A small file that holds a JSON object, or None when it is not there; ContractError, which says what to do
        (`mend`), for one that is empty, cut short or something else."""
        data = self.read_or_none(key)
        if data is None:
            return None
        try:
            value = json.loads(data)
            if not isinstance(value, dict):
                raise ValueError(f"it holds a {type(value).__name__}")
        except ValueError as error:
            what = "is empty" if not data.strip() else f"is cut short or damaged ({error})"
            raise ContractError(f"{self.full(key)} {what}: {mend}") from error
        return value

    def read_name(self, key: str, mend: str) -> str | None:
        """The name that a pointer holds, or None when there is no pointer; ContractError, which says what to do
        (`mend`), for one that is empty or no name."""
        data = self.read_or_none(key)
        if data is None:
            return None
        name = data.decode(errors="replace").strip()
        if not NAME.fullmatch(name):
            raise ContractError(f"{self.full(key)} {'holds no name' if name else 'is empty'}: {mend}")
        return name

    def list(self, folder: str) -> list[str]:
        """Names of what lies in a folder, sorted; [] when there is none. What is hidden is a writer's own, at work or
        killed, and no part of the lake."""
        try:
            if self.is_local:
                names = os.listdir(self.full(folder))
            else:
                names = [PurePosixPath(path).name for path in self.fs.ls(self.full(folder), detail=False)]
        except (FileNotFoundError, NotADirectoryError) as error:
            if fault := store_fault.no_bucket(error):
                raise fault from error
            return []
        return sorted(name for name in names if not name.startswith("."))

    def tags(self, folder: str) -> dict[str, str]:
        """What lies in a folder of a store: the store's own name of each file's content, "" where it has none."""
        try:
            found = self.fs.ls(self.full(folder), detail=True)
        except FileNotFoundError as error:
            if fault := store_fault.no_bucket(error):
                raise fault from error
            return {}
        tags = {PurePosixPath(one["name"]).name: one.get("ETag") or one.get("etag") or "" for one in found}
        return {name: tag.strip('"') for name, tag in tags.items() if not name.startswith(".")}

    def write(self, key: str, data: bytes) -> None:
        """Write or replace a file; a reader sees the old bytes or the new ones."""
        if not self.is_local:
            self.fs.pipe_file(self.full(key), data)
            return
        with self._scratch(key) as (scratch, target):
            _write_through(scratch, data)
            os.replace(scratch, target)

    def create(self, key: str, data: bytes) -> bool:
        """Write a file that must not be there yet; False, and nothing changed, when it is. TransientError when a store
        cannot say which, because other writes to it go on."""
        if not self.is_local:
            return self._create_in_store(key, data)
        with self._scratch(key) as (scratch, target):
            _write_through(scratch, data)
            try:
                os.link(scratch, target)
            except FileExistsError:
                return False
            sync(target.parent)  # with it, what was moved into this folder before
        return True

    def _create_in_store(self, key: str, data: bytes, **condition: str) -> bool:
        for wait_s in CONFLICT_WAITS_S:
            try:
                self.fs.pipe_file(self.full(key), data, **(condition or {"mode": "create"}))
            except FileExistsError:
                return False
            except OSError as error:
                status = _http_status(error)
                if status == 412:  # the only condition failed; s3fs knows it by its name alone, which few stores say
                    return False
                if status != 409:
                    raise
                time.sleep(wait_s)
            else:
                return True
        raise TransientError(f"{self.full(key)}: its store goes on saying that another write to it is under way (409)")

    def etag(self, key: str) -> str:
        """The store's own name of a file's content (of stores that `compares`); "" when it is not there."""
        bucket, name, _ = self.fs.split_path(self.full(key))
        try:
            return str(self.fs.call_s3("head_object", Bucket=bucket, Key=name)["ETag"])
        except FileNotFoundError:
            return ""

    def replace_in_store(self, key: str, data: bytes, etag: str) -> bool:
        """Replace a file where the store `compares`; False, and nothing changed, when it is another one, or gone. Ceph
        knows an ETag only without the quotes that S3 says it with."""
        try:
            if self._create_in_store(key, data, IfMatch=etag):
                return True
            return self.etag(key) == etag and self._create_in_store(key, data, IfMatch=etag.strip('"'))
        except FileNotFoundError:
            return False

    def sync_folder(self, key: str) -> None:
        """Bring the names in a file's folder to the disk: what was moved there stays there."""
        if self.is_local:
            sync(Path(self.full(key)).parent)

    def remove(self, key: str) -> None:
        """Remove a file if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self.fs.rm_file(self.full(key))

    def put_file(self, source: Path, key: str, *, move: bool = False) -> None:
        """Copy a local file in atomically; `move` may take the source itself (never one that a user still owns)."""
        if not self.is_local:
            self.fs.put_file(str(source), self.full(key))
            return
        with self._scratch(key) as (scratch, target):
            (shutil.move if move else shutil.copyfile)(source, scratch)
            sync(scratch)
            os.replace(scratch, target)

    def fetch(self, key: str, target: Path) -> None:
        """Copy a file out; FileNotFoundError when it is not there. A local one is linked where that is possible."""
        if not self.is_local:
            self.fs.get_file(self.full(key), str(target))
            return
        try:
            os.link(self.full(key), target)
        except FileNotFoundError:
            raise
        except OSError:
            shutil.copyfile(self.full(key), target)

    @contextlib.contextmanager
    def _scratch(self, key: str) -> Iterator[tuple[Path, Path]]:
        target = Path(self.full(key))
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}"
        try:
            yield scratch, target
        finally:
            scratch.unlink(missing_ok=True)

    def sweep(self, folder: str, older_than_s: float = 86400.0) -> None:
        """Remove what killed writers left half-written in a folder, once it is older than any writer can be. The clock
        is that of the file system, which dates the others' files too: one that is set ahead here removes nothing."""
        if not self.is_local or not (left := list(Path(self.full(folder)).glob(".*"))):
            return
        with contextlib.suppress(OSError), self._scratch(f"{folder}/now") as (scratch, _):
            scratch.touch()
            now = scratch.stat().st_mtime
            for path in left:
                with contextlib.suppress(FileNotFoundError):
                    if now - path.stat().st_mtime > older_than_s:
                        path.unlink()

    @contextlib.contextmanager
    def local(self, key: str) -> Iterator[Path]:
        """A local path with a file's bytes, for libraries that want one; a passing copy where the lake is remote."""
        if self.is_local:
            yield Path(self.full(key))
            return
        with tempfile.TemporaryDirectory(prefix="winnow-") as folder:
            path = Path(folder) / PurePosixPath(key).name
            self.fs.get_file(self.full(key), str(path))
            yield path

    # -- stage tables --------------------------------------------------------------------------------------------------
    @staticmethod
    def folder(stage: str, fingerprint: str, batch: str) -> str:
        """Where a stage's shards of a batch lie."""
        return f"{stage}/v={fingerprint}/batch={batch}"

    def manifest(self, stage: str, fingerprint: str, batch: str, shard: str) -> Manifest | None:
        """The commit of one shard, or None."""
        key = f"{self.folder(stage, fingerprint, batch)}/{shard}.json"
        value = self.read_json(key, f"remove it, then run what commits {stage} of batch {batch} again")
        try:
            return None if value is None else Manifest.of(value)
        except TypeError as error:
            raise ContractError(
                f"{self.full(key)} is no manifest ({error}): remove it, then run what commits {stage} of batch {batch} "
                "again"
            ) from error

    def table_key(self, manifest: Manifest) -> str:
        """Key of the table that a manifest commits."""
        return f"{self.folder(manifest.stage, manifest.fingerprint, manifest.batch)}/{manifest.file}"

    def tar_key(self, manifest: Manifest) -> str:
        """Key of the tar beside a table, of a manifest with a sidecar."""
        return self.table_key(manifest).removesuffix(".parquet") + ".tar"

    def read_table(self, manifest: Manifest) -> bytes:
        """The committed bytes; ContractError when they are not the ones that were committed."""
        key = self.table_key(manifest)
        data = self.read(key)
        if sha256_bytes(data) != manifest.sha256:
            raise ContractError(
                f"{self.full(key)} changed after it was committed (its manifest says sha256 {manifest.sha256[:12]}…). "
                f"Nothing may write into the lake but Winnow: remove this file and its manifest, then run "
                f"`winnow run {manifest.stage} --batch {manifest.batch}` again."
            )
        return data

    def commit(self, manifest: Manifest, table: bytes, sidecar: Path | None = None) -> Manifest:
        """Commit a shard: its sidecar, its table, its manifest last. Returns the manifest that counts: of two attempts
        the first one's, and then what the late one wrote is removed."""
        if sidecar is not None:
            self.put_file(sidecar, self.tar_key(manifest), move=True)
        key = self.table_key(manifest)
        self.write(key, table)
        folder = self.folder(manifest.stage, manifest.fingerprint, manifest.batch)
        if self.create(f"{folder}/{manifest.shard}.json", manifest.dumps()):
            return manifest
        winner = self.manifest(manifest.stage, manifest.fingerprint, manifest.batch, manifest.shard)
        assert winner is not None
        if winner.file != manifest.file:
            self.remove(key)
            if sidecar is not None:
                self.remove(self.tar_key(manifest))
        return winner

    def head(self, stage: str, batch: str) -> dict[str, Any] | None:
        """Which v (and, for tables that are cut into shards, which shards) a stage stands at for a batch."""
        mend = f"remove it, then run what makes {stage} of batch {batch} again; its shards are kept"
        return self.read_json(f"{stage}/batch={batch}.json", mend)

    def head_pointer(self, stage: str, batch: str) -> Pointer:
        """Where a stage stands for a batch, to move it from there; to be taken before anything else is read."""
        return Pointer(self, f"{stage}/batch={batch}.json")

    def set_head(
        self, stage: str, batch: str, value: dict[str, Any], since: Pointer | None = None, again: str = ""
    ) -> None:
        """Move a stage to another v for a batch; untouched when it stands there already. StaleWriter when it was moved
        after `since` was taken; `again` is the command to run then."""
        if self.head(stage, batch) != value:
            since = since or self.head_pointer(stage, batch)
            since.move(json.dumps(value, sort_keys=True).encode(), again or f"winnow run {stage} --batch {batch}")

    # -- source videos -------------------------------------------------------------------------------------------------
    @staticmethod
    def media_key(sha256: str, ext: str) -> str:
        """Key of a source video."""
        return f"media/{sha256[:2]}/{sha256}.{ext.lstrip('.').lower()}"

    def put_media(self, path: Path, ext: str, *, move: bool = False) -> str:
        """Store a source video under its content's digest, which is returned; `move` may take the file itself."""
        sha256 = sha256_file(path)
        key = self.media_key(sha256, ext)
        if not self.exists(key):
            self.put_file(path, key, move=move)
            self.sync_folder(key)
        elif self.is_local:
            os.utime(self.full(key))  # as new: nothing may name it yet, and `winnow clean` leaves what is new
        else:
            self.put_file(path, key)
        return sha256

    @contextlib.contextmanager
    def open_media(self, sha256: str, ext: str) -> Iterator[Path]:
        """A local path of a stored source video; ContractError when it is not there, or not what its name says."""
        key = self.media_key(sha256, ext)
        with contextlib.ExitStack() as stack:
            try:
                path = stack.enter_context(self.local(key))
                there = sha256_file(path)
            except FileNotFoundError:
                there = None
            if there != sha256:
                what = "changed after it was stored" if there else "is not there"
                raise ContractError(
                    f"{self.full(key)} {what}: run `winnow verify --all`, which names the batch to fetch it again for"
                )
            yield path

    def media_path(self, sha256: str, ext: str) -> Path:
        """Path of a stored source video in a local lake."""
        return self._local_path(self.media_key(sha256, ext))

    # -- models --------------------------------------------------------------------------------------------------------
    def model_current(self, name: str) -> str | None:
        """Digest of the fitted model in use, or None before the first fit."""
        return self.read_name(f"models/{name}/current", f"remove it, then run the command that fits {name} again")

    def model_pointer(self, name: str) -> Pointer:
        """Which fitted model is in use, to move it from there; to be taken before anything else is read."""
        return Pointer(self, f"models/{name}/current")

    def set_model_current(
        self, name: str, model: str, since: Pointer | None = None, again: str = "the command that fitted it"
    ) -> None:
        """Use this fitted model from now on; StaleWriter, which names the command to run `again`, when another was put
        in use after `since` was taken."""
        if self.model_current(name) != model:
            since = since or self.model_pointer(name)
            since.move(f"{model}\n".encode(), again)

    @staticmethod
    def model_key(name: str, model: str, ext: str = "npz") -> str:
        """Key of a fitted model's file (or, with ext "json", of its card)."""
        return f"models/{name}/{model}.{ext}"

    def model_path(self, name: str, model: str, ext: str = "npz") -> Path:
        """Path of a fitted model in a local lake."""
        return self._local_path(self.model_key(name, model, ext))

    def _local_path(self, key: str) -> Path:
        if not self.is_local:
            raise ConfigError(f"{self.root}: {key} has a path only in a lake on a local or mounted file system")
        return Path(self.full(key))


def _write_through(path: Path, data: bytes) -> None:
    """Write a file whose bytes are on the disk before anything names it: a manifest must not outlive its table."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Bring a file's bytes, or a folder's names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _http_status(error: OSError) -> int | None:
    """The status of the HTTP answer that s3fs made this error of (botocore's ClientError is its cause)."""
    response = getattr(error.__cause__, "response", None) or {}
    status: int | None = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status
