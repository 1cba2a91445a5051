"""Source: the bytes of kept clips, out of the tars of a lake that hold kept and dropped ones alike.

Each tar is indexed once, before anything is written; what is read afterwards is the clip alone. Every file is compared
with the digest that the release says.
"""

from __future__ import annotations

import os
import tarfile
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from winnow.core import shard_tar
from winnow.core.errors import ContractError
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.nearby import Nearby

if TYPE_CHECKING:
    import duckdb

#: Tars that are open at a time.
OPEN_FILES = 64
#: Clips whose bytes the kernel is asked for before their turn: they lie all over the lake.
_AHEAD = 16


def index(lake: Lake, con: duckdb.DuckDBPyConnection, each: Callable[..., Iterable] = map) -> None:
    """Make the table `places`: where the file of each clip that comes along lies in its tar, and where its residual.
    `each` maps a function over the tars, as `map` does, in processes where there are some. ContractError for a tar, or
    a member, that is not there."""
    con.execute(
        "CREATE OR REPLACE TABLE members (tar VARCHAR, name VARCHAR, begins BIGINT, length BIGINT);"
        "CREATE OR REPLACE TABLE places (split VARCHAR, number INTEGER, id VARCHAR, begins BIGINT, length BIGINT,"
        " residual_begins BIGINT, residual_length BIGINT)"
    )
    asked = """SELECT DISTINCT tar FROM rows WHERE has_file
        UNION SELECT residual_tar FROM rows WHERE has_residual ORDER BY 1"""
    tars = [tar for (tar,) in con.execute(asked).fetchall()]
    found: tuple[list, list, list, list] = ([], [], [], [])

    def flush() -> None:
        # Lists as parameters: an Arrow table would import pyarrow and pandas, half a second.
        con.execute(
            "INSERT INTO members SELECT unnest($1::VARCHAR[]), unnest($2::VARCHAR[]), unnest($3::BIGINT[]),"
            " unnest($4::BIGINT[])",
            list(found),
        )
        for column in found:
            column.clear()

    for tar, inside in zip(tars, each(partial(members, lake), tars), strict=True):
        for member in inside:
            for column, value in zip(found, (tar, *member), strict=True):
                column.append(value)
        if len(found[0]) > 50_000:
            flush()
    flush()
    con.execute("""
        INSERT INTO places
        SELECT rows.split, rows.number, rows.id, clip.begins, clip.length, residual.begins, residual.length
        FROM rows
        LEFT JOIN members AS clip ON clip.tar = rows.tar AND clip.name = rows.id || '.mp4'
        LEFT JOIN members AS residual
            ON rows.has_residual AND residual.tar = rows.residual_tar AND residual.name = rows.id || '.flac'
        WHERE rows.has_file;
        DROP TABLE members""")
    lost = con.execute("""SELECT id, if(places.begins IS NULL, tar, residual_tar) FROM places JOIN rows USING (id)
        WHERE places.begins IS NULL OR (has_residual AND residual_begins IS NULL) ORDER BY id LIMIT 1""").fetchone()
    if lost:
        raise ContractError(f"{lake.full(lost[1])} has no file of clip {lost[0]}: {_MEND}")


def _local(lake: Lake, tar: str) -> str:
    """A path of a tar; of a lake in a bucket that of a copy, made once."""
    return lake.full(tar) if lake.is_local else str(Nearby(lake).one(tar))


def members(lake: Lake, tar: str) -> list[tuple[str, int, int]]:
    """Name, offset and size of each file in a tar of the lake, bytes."""
    try:
        with open(_local(lake, tar), "rb") as file:
            return _walk(file, os.fstat(file.fileno()).st_size)
    except FileNotFoundError:
        raise ContractError(f"{lake.full(tar)} is not there: {_MEND}") from None
    except (tarfile.TarError, ValueError) as error:
        raise ContractError(f"{lake.full(tar)} is no whole tar ({error}): {_MEND}") from error


_MEND = "run `winnow verify --all`, which names what mends it, or export references only (--media none)"


def _walk(file: BinaryIO, size: int) -> list[tuple[str, int, int]]:
    """What the headers of a tar say; of one that is not plain what tarfile says."""
    handle = file.fileno()
    found = shard_tar.headers(lambda at, length: os.pread(handle, length, at), size)
    if found is None:
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:") as inside:
            found = [(m.name, m.offset_data, m.size) for m in inside if m.isfile()]
    return found


class Clips:
    """Reads clips of a lake at their places."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._open: OrderedDict[str, int] = OrderedDict()

    def read(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], bytes, bytes | None]]:
        """Each row with its clip's bytes and its residual's, None where it has none. ContractError for bytes that are
        not what the release says."""
        for row in self._asked_for(rows):
            clip, residual = self._read(row["tar"], row["begins"], row["length"]), None
            self._check(row, "mp4", clip, row["media_sha256"], row["tar"])
            if row["has_residual"]:
                residual = self._read(row["residual_tar"], row["residual_begins"], row["residual_length"])
                self._check(row, "flac", residual, row["residual_sha256"], row["residual_tar"])
            yield row, clip, residual

    def close(self) -> None:
        """Close what is open."""
        for handle in self._open.values():
            os.close(handle)
        self._open.clear()

    def _check(self, row: Mapping[str, Any], ext: str, data: bytes, digest: object, tar: object) -> None:
        if digest is not None and sha256_bytes(data) != digest:
            raise ContractError(
                f"{self.lake.full(str(tar))} {row['id']}.{ext} is not what the release says "
                f"(sha256 {str(digest)[:12]}…): run `winnow verify --all`, which names what mends it"
            )

    def _asked_for(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """The rows, each some turns after the kernel was asked to read its clip."""
        waiting: deque[Mapping[str, Any]] = deque()
        for row in rows:
            self._ask(row["tar"], row["begins"], row["length"])
            if row["has_residual"]:
                self._ask(row["residual_tar"], row["residual_begins"], row["residual_length"])
            waiting.append(row)
            if len(waiting) > _AHEAD:
                yield waiting.popleft()
        yield from waiting

    def _ask(self, tar: str, at: int, length: int) -> None:
        os.posix_fadvise(self._handle(tar), at, length, os.POSIX_FADV_WILLNEED)

    def _read(self, tar: str, at: int, length: int) -> bytes:
        return os.pread(self._handle(tar), length, at)

    def _handle(self, tar: str) -> int:
        handle = self._open.pop(tar, None)
        if handle is None:
            handle = os.open(_local(self.lake, tar), os.O_RDONLY)
            if len(self._open) >= OPEN_FILES:
                os.close(self._open.popitem(last=False)[1])
        self._open[tar] = handle
        return handle
