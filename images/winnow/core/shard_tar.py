"""ShardTar: the files beside tables, members of their shards' tars (WebDataset), written once and read by name.

A WebDataset is a plain tar whose members' names group them. Its own writer makes the same bytes, but importing it takes
seconds where torch is installed.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from winnow.core.errors import ContractError

#: Columns that hold the SHA-256 of a row's file beside its table, by the file's extension.
DIGESTS = {"mp4": "media_sha256", "flac": "residual_sha256"}


_BLOCK = 512


def headers(read: Callable[[int, int], bytes], size: int) -> list[tuple[str, int, int]] | None:
    """Name, offset and size of each file of a plain tar of `size` bytes, as stages and exports write it: one read of
    (offset, length) a header, wherever the tar lies; tarfile takes ten times as long. None for another kind of tar
    (long names, links), which tarfile has to read; ValueError for no tar at all."""
    at, found = 0, []
    while at + _BLOCK <= size:
        header = read(at, _BLOCK)
        if header[0] == 0:
            break
        if header[156:157] not in (b"0", b"\0") or header[124] & 0x80:
            return None
        length = int(header[124:136].rstrip(b" \0") or b"0", 8)
        name = header[:100].rstrip(b"\0").decode()
        prefix = header[345:500].rstrip(b"\0").decode()
        found.append((f"{prefix}/{name}" if prefix else name, at + _BLOCK, length))
        at += _BLOCK + -(-length // _BLOCK) * _BLOCK
    return found


@dataclass(frozen=True)
class Kept:
    """Bytes that lie in a Spool."""

    spool: Spool
    offset: int
    size: int

    def read(self) -> bytes:
        """The bytes."""
        self.spool.file.seek(self.offset)
        return self.spool.file.read(self.size)


class Spool:
    """Files that wait for their tar on the disk, so that a shard's clips are never in memory together: members stand
    in order of their names, and are made in another."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("w+b")

    def keep(self, data: bytes) -> Kept:
        """Lay bytes aside."""
        offset = self.file.seek(0, io.SEEK_END)
        self.file.write(data)
        return Kept(self, offset, len(data))

    def close(self) -> None:
        """Close its file."""
        self.file.close()


def write(path: Path, files: Iterable[tuple[str, bytes | Kept]]) -> None:
    """A tar of these files, by name, in this order, without clocks or owners: equal files are equal bytes."""
    with path.open("wb") as out, tarfile.open(fileobj=out, mode="w|") as tar:
        for name, file in files:
            data = file.read() if isinstance(file, Kept) else file
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.uname, member.gname = len(data), 0o644, "winnow", "winnow"
            tar.addfile(member, io.BytesIO(data))


class ShardTar:
    """The files beside one table or several: members of their tars, by name. Two tables of one shard name their files
    by the same samples, so each has an extension of its own."""

    def __init__(self, *paths: Path) -> None:
        self.paths = paths
        self._members: dict[str, tuple[int, int, int]] = {}
        for place, path in enumerate(paths):
            with tarfile.open(path, "r:") as tar:
                self._members |= {m.name: (place, m.offset_data, m.size) for m in tar if m.isfile()}
        self._files = [path.open("rb") for path in paths]

    def names(self) -> list[str]:
        """Names of the members."""
        return list(self._members)

    def read(self, name: str, sha256: str | None = None) -> bytes:
        """One member's bytes; ContractError when the table speaks of it and no tar has it, or when it is no longer what
        was committed (`sha256`, hex, where the table says it)."""
        try:
            place, offset, size = self._members[name]
        except KeyError:
            raise ContractError(
                f"{', '.join(map(str, self.paths))} has no {name}; the shard is damaged: remove its manifest and run "
                "it again"
            ) from None
        self._files[place].seek(offset)
        data = self._files[place].read(size)
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            raise ContractError(
                f"{self.paths[place]}: {name} changed after it was committed (its table says sha256 {sha256[:12]}…): "
                "run `winnow verify --all`, which names what to remove and to run again"
            )
        return data

    def close(self) -> None:
        """Close the tars."""
        for file in self._files:
            file.close()
