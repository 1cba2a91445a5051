"""A folder of media is a list of its files: each file is one row, and the file itself is the candidate.

Only the extension is looked at here; what a file really holds is for `fetch` and `clip` to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from winnow.sources.row import Row

EXTENSIONS = frozenset(
    ".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .webm .wmv".split()  # noqa: SIM905
)


def read(path: Path) -> Iterator[Row]:
    """The one row of a media file. Its address and content digest are added by `ingest`, which knows the partition."""
    yield Row(0, {"id": path.name, "title": path.stem})
