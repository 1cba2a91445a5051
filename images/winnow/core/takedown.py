"""Takedown: what must never be published or fetched again, by the names that a source has: the corpus table `takedown`.

A tombstone is a row: `id` (of a clip, a video, or the list's own), `uploader`, `source` (a logical address), `file`
(the SHA-256 of a source video), or `copy`: a clip's or a video's id, or a file's SHA-256, of what was found to be a
copy of what was taken down (nobody asked for it, and what is a copy of it alone is not taken down). Rows are added and
never taken away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from winnow.core import corpus_table
from winnow.core.lake import Lake

TABLE = "takedown"
#: Kinds of names, with what a person calls them.
KINDS = {"id": "ids", "uploader": "uploaders", "source": "sources", "file": "files", "copy": "copies"}


def named(kind: str, value: object) -> str:
    """A name as tombstones hold it: uploaders without case, as splits know them."""
    text = str(value).strip()
    return text.lower() if kind in ("uploader", "file") else text


@dataclass(frozen=True)
class Tombstones:
    """Why each name was taken down, by kind and name."""

    why: Mapping[tuple[str, str], str]

    @classmethod
    def of(cls, lake: Lake) -> Tombstones:
        """Those of a lake."""
        rows = corpus_table.read(lake, TABLE).to_pylist() if corpus_table.files(lake, TABLE) else []
        return cls({(row["kind"], row["value"]): row["why"] for row in rows})

    def over(self, names: Mapping[str, object]) -> str | None:
        """What of these names (kind, or several values of it, by kind) was taken down, in words; None where nothing
        was. Ids and files may be those of a copy."""
        for kind, given in names.items():
            for value in given if isinstance(given, (list, tuple)) else (given,):
                for one in (kind, "copy") if kind in ("id", "file") else (kind,):
                    if value is not None and (one, named(kind, value)) in self.why:
                        why = self.why[one, named(kind, value)]
                        return why if one == "copy" else f"by its {kind}: {why}"
        return None
