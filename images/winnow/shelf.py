"""Shelf: the files beside a table, members of its shard's tar (WebDataset), read by name."""

from __future__ import annotations

import tarfile
from pathlib import Path

from winnow.errors import ContractError


class Shelf:
    """The files beside a table: members of its tar, by name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with tarfile.open(path, "r:") as tar:
            self._members = {m.name: (m.offset_data, m.size) for m in tar if m.isfile()}
        self._file = path.open("rb")

    def names(self) -> list[str]:
        """Names of the members."""
        return list(self._members)

    def read(self, name: str) -> bytes:
        """One member's bytes; ContractError when the table speaks of it and the tar does not have it."""
        try:
            offset, size = self._members[name]
        except KeyError:
            raise ContractError(
                f"{self.path} has no {name}; the shard is damaged: remove its manifest and run it again"
            ) from None
        self._file.seek(offset)
        return self._file.read(size)

    def close(self) -> None:
        """Close the tar."""
        self._file.close()
