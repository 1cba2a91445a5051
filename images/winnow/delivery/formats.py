"""Formats: how a shard of clips is written, the same bytes for the same clips.

webdataset   data/train/train-00000.tar        <id>.flac where its sound was separated, <id>.json, <id>.mp4
folder       data/train/train-00000/           the same as files, and metadata.parquet, which names them
parquet      data/train/train-00000.parquet    a row a clip, `video` and `residual` as {bytes, path}
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from winnow.core.errors import ContractError
from winnow.delivery.rows import COLUMNS, Shard

if TYPE_CHECKING:
    import pyarrow as pa

#: A clip's row, its bytes, and those of its residual, where it has one.
Clip = tuple[Mapping[str, object], bytes, bytes | None]
#: The extension of a shard's name, by format.
EXTENSIONS = {"webdataset": ".tar", "folder": "", "parquet": ".parquet"}
#: Bytes of media, and rows, of a Parquet row group: what a reader holds at a time.
GROUP_BYTES, GROUP_ROWS = 32 << 20, 256
_BUFFER, _PARTS = 1 << 20, 1000
#: Shorter parts are joined before they are hashed and written: a call each costs more than their bytes.
_SHORT = 8192
_TAR_BLOCK, _TAR_RECORD = 512, 10240
_LARGEST = 8**11 - 1


class _Hashed:
    """A file that is written in large pieces, hashed as it is written; no media are copied."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.sha256, self.bytes = file, hashlib.sha256(), 0
        self._parts: list[bytes] = []
        self._short: list[bytes] = []
        self._held = 0

    def write(self, *parts: bytes) -> None:
        for part in parts:
            if len(part) < _SHORT:
                self._short.append(part)
            else:
                self._join()
                self._take(part)
        if self._held >= _BUFFER or len(self._parts) + len(self._short) > _PARTS:
            self.flush()

    def _join(self) -> None:
        if self._short:
            self._take(b"".join(self._short))
            self._short = []

    def _take(self, part: bytes) -> None:
        self.sha256.update(part)
        self._held += len(part)
        self._parts.append(part)

    def flush(self) -> None:
        self._join()
        written = os.writev(self.file.fileno(), self._parts) if self._parts else 0
        if written != self._held:  # a disk that fills up takes a part, and says why at the next
            left = memoryview(b"".join(self._parts))[written:]
            while left:
                left = left[os.write(self.file.fileno(), left) :]
        self.bytes += self._held
        self._parts, self._held = [], 0


def webdataset(path: Path, shard: Shard, clips: Iterable[Clip]) -> dict[str, dict]:
    """Write a shard as a tar without clocks or owners."""
    with path.open("wb", buffering=0) as file:
        out, count = _Hashed(file), 0
        for row, clip, residual in clips:
            name, count = str(row["id"]), count + 1
            if residual is not None:
                _member(out, f"{name}.flac", residual)
            _member(out, f"{name}.json", str(row["json"]).encode())
            _member(out, f"{name}.mp4", clip)
        out.flush()
        end = out.bytes + 2 * _TAR_BLOCK
        out.write(bytes(2 * _TAR_BLOCK + -end % _TAR_RECORD))
        out.flush()
    return {f"{shard.name}.tar": {"bytes": out.bytes, "sha256": out.sha256.hexdigest(), "clips": count}}


def folder(path: Path, shard: Shard, clips: Iterable[Clip]) -> dict[str, dict]:
    """Write a shard as a folder of files, and the table that Hugging Face's loader joins to them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.mkdir()
    files: dict[str, dict] = {}
    rows = []

    def put(name: str, data: bytes, digest: object = None) -> None:
        (path / name).write_bytes(data)
        files[f"{shard.name}/{name}"] = {"bytes": len(data), "sha256": digest or hashlib.sha256(data).hexdigest()}

    for row, clip, residual in clips:
        name = str(row["id"])
        if residual is not None:
            put(f"{name}.flac", residual, row["residual_sha256"])
        put(f"{name}.json", str(row["json"]).encode())
        put(f"{name}.mp4", clip, row["media_sha256"])  # which it was compared with
        residual_path = f"{name}.flac" if residual is not None else None
        rows.append({"file_name": f"{name}.mp4", "residual_path": residual_path, **json.loads(str(row["json"]))})
    kinds = pa.schema([("file_name", pa.string()), ("residual_path", pa.string()), *schema()])
    pq.write_table(pa.Table.from_pylist(rows, schema=kinds), path / "metadata.parquet", compression="zstd")
    put("metadata.parquet", (path / "metadata.parquet").read_bytes())
    files[f"{shard.name}/metadata.parquet"]["clips"] = len(rows)
    return files


def parquet(path: Path, shard: Shard, clips: Iterable[Clip]) -> dict[str, dict]:
    """Write a shard as Parquet, in row groups of bounded size; media are neither compressed nor counted."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds, media = parquet_schema(), ("video", "residual")
    leaves = [f"{name}.bytes" for name in media]
    others = [
        name if not isinstance(kinds.field(name).type, pa.ListType) else f"{name}.list.element"
        for name in kinds.names
        if name not in media
    ] + [f"{name}.path" for name in media]
    count, held, group = 0, 0, []
    with pq.ParquetWriter(
        path,
        kinds,
        compression=dict.fromkeys(others, "ZSTD") | dict.fromkeys(leaves, "NONE"),
        use_dictionary=others,
        write_statistics=others,
    ) as out:
        for row, clip, residual in clips:
            name = str(row["id"])
            video = {"bytes": clip, "path": f"{name}.mp4"}
            rest = None if residual is None else {"bytes": residual, "path": f"{name}.flac"}
            group.append({"video": video, "residual": rest, **json.loads(str(row["json"]))})
            count, held = count + 1, held + len(clip) + len(residual or b"")
            if held >= GROUP_BYTES or len(group) == GROUP_ROWS:
                out.write_table(pa.Table.from_pylist(group, schema=kinds))
                group, held = [], 0
        if group:
            out.write_table(pa.Table.from_pylist(group, schema=kinds))
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {f"{shard.name}.parquet": {"bytes": path.stat().st_size, "sha256": digest, "clips": count}}


WRITERS: Mapping[str, Callable[[Path, Shard, Iterable[Clip]], dict[str, dict]]] = {
    "webdataset": webdataset,
    "folder": folder,
    "parquet": parquet,
}


# -- types -------------------------------------------------------------------------------------------------------------
def schema() -> pa.Schema:
    """The columns of an export as Arrow has them."""
    import pyarrow as pa

    kinds = {
        "VARCHAR": pa.string(),
        "DOUBLE": pa.float64(),
        "BIGINT": pa.int64(),
        "INTEGER": pa.int32(),
        "BOOLEAN": pa.bool_(),
        "VARCHAR[]": pa.list_(pa.string()),
        "DOUBLE[]": pa.list_(pa.float64()),
    }
    return pa.schema([(name, kinds[kind]) for name, (kind, _) in COLUMNS.items()])


def parquet_schema() -> pa.Schema:
    """The same after `video` and `residual`, with what Hugging Face's loader reads of a file's types."""
    import pyarrow as pa

    file = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    info = {"info": {"features": {"video": {"_type": "Video"}, "residual": {"_type": "Audio"}, **features()}}}
    return pa.schema(
        [("video", file), ("residual", file), *schema()], metadata={"huggingface": json.dumps(info, sort_keys=True)}
    )


def features() -> dict[str, dict]:
    """The columns as Hugging Face's `Features` write themselves."""
    found: dict[str, dict] = {}
    for name, (kind, _) in COLUMNS.items():
        one = {"dtype": _DTYPES[kind.removesuffix("[]")], "_type": "Value"}
        found[name] = {"feature": one, "_type": "List"} if kind.endswith("[]") else one
    return found


_DTYPES = {"VARCHAR": "string", "DOUBLE": "float64", "BIGINT": "int64", "INTEGER": "int32", "BOOLEAN": "bool"}


# -- tar ---------------------------------------------------------------------------------------------------------------
def _header() -> tuple[bytes, bytes, int]:
    """What comes before and after a header's checksum, without name and size, and its sum."""
    before = b"0000644\0" + b"0000000\0" * 2  # mode, owner, group; name (100) stands before, size (12) after
    after = b"00000000000\0"  # time
    rest = b"0" + bytes(100) + b"ustar\x0000" + b"winnow".ljust(32, b"\0") * 2 + bytes(16 + 155 + 12)
    return before, after + b"%s" + rest, sum(before) + sum(after) + sum(rest) + 8 * 32


_BEFORE, _AFTER, _SUM = _header()
_TIME, _REST = _AFTER.split(b"%s")


def _member(out: _Hashed, name: str, data: bytes) -> None:
    """A member of a tar (ustar), as tarfile would write it, at a tenth of the time."""
    encoded, size = name.encode(), len(data)
    if len(encoded) > 99 or size > _LARGEST:
        raise ContractError(f"{name} of {size} bytes does not fit into a plain tar")
    length = b"%011o\0" % size
    total = _SUM + sum(encoded) + sum(length)
    header = b"".join((encoded.ljust(100, b"\0"), _BEFORE, length, _TIME, b"%06o\0 " % total, _REST))
    out.write(header, data, bytes(-size % _TAR_BLOCK))
