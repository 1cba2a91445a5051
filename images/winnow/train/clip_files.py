"""Clip files: where in which tar the file of each clip lies, and its bytes.

A tar is indexed by its headers alone, in the lake or an export, on a disk or in a bucket: there each is a small range
read, and so is a clip afterwards. Nothing is copied. Places are arrays, with no object of Python for each clip; every
file is compared with the digest that release or export says.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from winnow.core import own_fault, shard_tar
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake, digest, sha256_bytes
from winnow.release import publish

if TYPE_CHECKING:
    import pyarrow as pa

CLIPS, FILES = "tables/fct_clips.parquet", "ops/fct_clip_files.parquet"
#: Tars that are indexed at a time in a bucket, and bytes that one of its reads brings, so that small files need none.
AT_A_TIME, READ_BYTES = 8, 16 << 10
_MEND = "run `winnow verify --all`, which names what mends it"


@dataclass(frozen=True)
class ClipFiles:
    """Files of clips in the order of `ids`, (n,) str. places: extension → (n, 3) int64: tar (a number into `tars`, −1
    for a clip without this file), offset, size. sha256: extension → (n,) hex, "" where it is not known."""

    lake: Lake
    ids: np.ndarray
    tars: tuple[str, ...]
    places: Mapping[str, np.ndarray]
    sha256: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of_release(
        cls, lake: Lake, release: str | None = None, splits: Sequence[str] = (), ids: Iterable[str] | None = None
    ) -> ClipFiles:
        """The clips that a release keeps (of these splits), by id; or those of `ids`, kept or dropped, in their order.
        ConfigError for a split that there is not, ContractError for a clip or a tar that is not there."""
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        folder = publish.folder(lake, release, (CLIPS, FILES))
        for name in (CLIPS, FILES):
            if not (folder / name).is_file():
                raise ContractError(f"{folder / name} is not there: this release lists no clips' files")
        columns = ["sample_id", "media_sha256"] + (["status", "split"] if ids is None else [])
        table = pq.read_table(folder / CLIPS, columns=columns)
        if ids is None:
            table = table.filter(pc.equal(table["status"], "kept"))
            there = sorted({str(s) for s in pc.unique(table["split"]).to_pylist()})
            if unknown := sorted(set(splits) - set(there)):
                raise ConfigError(
                    f"release {folder.name} has no split {', '.join(unknown)}; there are: {', '.join(there)}"
                )
            if splits:
                table = table.filter(pc.is_in(table["split"], value_set=_strings(splits)))
            table = table.sort_by("sample_id")
        else:
            table = table.take(_found(table["sample_id"], list(ids), f"release {folder.name}"))
        files = pq.read_table(folder / FILES, columns=["sample_id", "tar"])
        wanted = table["sample_id"].to_pylist()
        tars = files["tar"].take(_found(files["sample_id"], wanted, str(folder / FILES))).to_pylist()
        return cls.of_tars(lake, wanted, tars, {"mp4": table["media_sha256"].to_pylist()})

    @classmethod
    def of_export(cls, to: str, splits: Sequence[str] = (), ids: Iterable[str] | None = None) -> ClipFiles:
        """The clips of an export by `winnow export clips` (format webdataset), a folder or a bucket, whose files came
        along; or those of `ids`. ConfigError for a place without one or a split that there is not."""
        import io

        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        lake = Lake(to if "://" in to else str(Path(to).absolute()))
        said = lake.read_json("index.json", "remove the folder and export again") or {}
        names = [name for name in said.get("files", {}) if name.startswith("tables/") and name.endswith(".parquet")]
        there = {Path(name).stem: name for name in names}
        if not any(name.endswith(".tar") for name in said.get("files", {})):
            raise ConfigError(f"{to} is no export of tars: run `winnow export clips --to {to} --format webdataset`")
        if unknown := sorted(set(splits) - set(there)):
            raise ConfigError(f"{to} has no split {', '.join(unknown)}; there are: {', '.join(sorted(there))}")
        columns = ["id", "shard", "has_file", "media_sha256"]
        tables = [pq.read_table(io.BytesIO(lake.read(there[s])), columns=columns) for s in splits or sorted(there)]
        table = pa.concat_tables(tables)
        table = table.filter(table["has_file"])
        if ids is None:
            table = table.sort_by("id")
        else:
            table = table.take(_found(table["id"], list(ids), f"export {to} (with a file)"))
        shards = pc.cast(table["shard"], pa.string()).to_pylist()
        return cls.of_tars(lake, table["id"].to_pylist(), shards, {"mp4": table["media_sha256"].to_pylist()})

    @classmethod
    def of_tars(
        cls, lake: Lake, ids: Sequence[str], tars: Sequence[str], sha256: Mapping[str, Sequence[str | None]]
    ) -> ClipFiles:
        """Files `<id>.<extension>` of these clips, each in its tar, with their digests by extension. ContractError for
        a tar that is not there or whole, and for a file that its tar does not have."""
        if not len(ids):
            raise ContractError(f"{lake.root} has no clip's file to read: the set is empty")
        if len(set(ids)) < len(ids):
            raise ContractError(f"clip {next(i for i in ids if list(ids).count(i) > 1)} stands twice in the set")
        names = sorted(set(tars))
        number = {tar: k for k, tar in enumerate(names)}
        rows: list[dict[str, int]] = [{} for _ in names]
        for row, (clip, tar) in enumerate(zip(ids, tars, strict=True)):
            rows[number[tar]][clip] = row
        places = {ext: np.full((len(ids), 3), -1, np.int64) for ext in sha256}
        with ThreadPoolExecutor(1 if lake.is_local else AT_A_TIME) as pool:
            for k, members in enumerate(pool.map(lambda tar: _members(lake, tar), names)):
                for name, offset, size in members:
                    clip, _, ext = name.rpartition("/")[2].partition(".")
                    row = rows[k].get(clip)
                    if row is not None and ext in places:
                        places[ext][row] = k, offset, size
        digests = {ext: np.array([value or "" for value in said]) for ext, said in sha256.items()}
        for ext, found in places.items():
            lost = np.flatnonzero(found[:, 0] < 0)
            if len(lost):
                raise ContractError(f"{lake.full(tars[lost[0]])} has no {ids[lost[0]]}.{ext}: {_MEND}")
        return cls(lake, np.array(ids, object), tuple(names), places, digests)

    def take(self, rows: np.ndarray) -> ClipFiles:
        """Some of them, in this order."""
        places = {ext: found[rows] for ext, found in self.places.items()}
        return ClipFiles(self.lake, self.ids[rows], self.tars, places, {e: s[rows] for e, s in self.sha256.items()})

    def read(self, row: int) -> dict[str, bytes]:
        """A clip's files by extension. ContractError for bytes that are not what was released."""
        found = {}
        for ext, places in self.places.items():
            tar, offset, size = (int(value) for value in places[row])
            data, wanted = _read(self.lake, self.tars[tar], offset, size), self.sha256[ext][row]
            if len(data) != size or (wanted and sha256_bytes(data) != wanted):
                where = f"{self.lake.full(self.tars[tar])} {self.ids[row]}.{ext}"
                raise ContractError(f"{where} is not the file that was released: {_MEND}")
            found[ext] = data
        return found

    def digest(self) -> str:
        """Short digest of ids and files, whichever tars they lie in."""
        return digest([self.ids.tolist(), {ext: said.tolist() for ext, said in self.sha256.items()}])


def _strings(values: Sequence[str]) -> pa.Array:
    import pyarrow as pa

    return pa.array(list(values), pa.string())


def _found(column: pa.ChunkedArray, ids: list[str], where: str) -> pa.Array:
    """Rows of these ids; ContractError for one that is not there."""
    import pyarrow.compute as pc

    rows = pc.index_in(_strings(ids), value_set=column.combine_chunks())
    if rows.null_count:
        lost = ids[rows.is_null().to_pylist().index(True)]
        raise ContractError(f"{where} has no clip {lost} ({rows.null_count} of {len(ids)} are not there)")
    return rows


def _members(lake: Lake, tar: str) -> list[tuple[str, int, int]]:
    try:
        size = os.path.getsize(lake.full(tar)) if lake.is_local else lake.fs.size(lake.full(tar))
        found = shard_tar.headers(_Ahead(lake, tar, size).read, size)
        if found is None:
            with lake.fs.open(lake.full(tar), "rb") as file, tarfile.open(fileobj=file, mode="r:") as inside:
                found = [(m.name, m.offset_data, m.size) for m in inside if m.isfile()]
    except FileNotFoundError:
        raise ContractError(f"{lake.full(tar)} is not there: {_MEND}") from None
    except (tarfile.TarError, ValueError) as error:
        raise ContractError(f"{lake.full(tar)} is no whole tar ({error}): {_MEND}") from error
    except Exception as error:
        raise own_fault.of(error) or error from error
    return found


class _Ahead:
    """Small reads of one tar, answered from the last larger one where they lie in it."""

    def __init__(self, lake: Lake, tar: str, size: int) -> None:
        self.lake, self.tar, self.size, self._at, self._held = lake, tar, size, 0, b""

    def read(self, at: int, length: int) -> bytes:
        if not self._at <= at <= at + length <= self._at + len(self._held):
            more = length if self.lake.is_local else min(max(length, READ_BYTES), self.size - at)
            self._at, self._held = at, _read(self.lake, self.tar, at, more)
        return self._held[at - self._at :][:length]


def _read(lake: Lake, tar: str, at: int, length: int) -> bytes:
    path = lake.full(tar)
    try:
        if not lake.is_local:
            return lake.fs.cat_file(path, start=at, end=at + length)
        with open(path, "rb", buffering=0) as file:
            return os.pread(file.fileno(), length, at)
    except FileNotFoundError:
        raise ContractError(f"{path} is not there: {_MEND}") from None
    except Exception as error:
        raise own_fault.of(error) or error from error
