"""Zip archives that somebody else made: none is extracted, and one whose names lead out of a folder is not read."""

from __future__ import annotations

import zipfile
from pathlib import PurePosixPath
from typing import IO

from winnow.core.errors import ContractError

#: All that an archive may come to: far above any checkpoint that is known, far below a pod's memory.
MOST_BYTES = 256 << 20


def members(file: IO[bytes], where: str) -> zipfile.ZipFile:
    """An archive whose names are all plain paths inside it. ContractError, with `where`, for any other file."""
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise ContractError(f"{where} is no zip archive: {error}") from error
    for info in archive.infolist():
        path = PurePosixPath(info.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in info.filename or ":" in info.filename:
            raise ContractError(f"{where} holds {info.filename!r}, which leads out of it: nothing was taken")
    if (total := sum(info.file_size for info in archive.infolist())) > MOST_BYTES:
        raise ContractError(f"{where} comes to {total} bytes, more than the {MOST_BYTES} of any checkpoint")
    return archive
