"""Takedown: somebody asks for a clip, an uploader or a source to be taken down.

What is taken down is recorded with date and reason, and is gone from the next release (rule `taken_down`), with its
copies; it is never fetched again, whatever list names it, nor are the same bytes under another address. Releases that
are published stay as they are: the answer names those that still hold it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from winnow.core import corpus_table
from winnow.core.errors import ConfigError
from winnow.core.lake import Lake
from winnow.core.takedown import KINDS, TABLE, Tombstones, named
from winnow.release import publish

#: Names without a match that an answer lists.
SHOWN = 20
_MATCH = {
    "id": "sample_id = name OR video_id = name OR source_id = name",
    "uploader": "lower(trim(uploader)) = name",
    "source": "url = name",
    "file": "source_sha256 = name",
}


def takedown(lake: Lake, kind: str, names: Iterable[str], why: str) -> dict[str, object]:
    """Record names of one kind (`core.takedown.KINDS`) as taken down. Returns {"kind", "names", "recorded": new
    tombstones, "releases": {id: clips that it holds of them}, "unmatched": names that no release knows}. With a video,
    an uploader or a source go the digests of its files. ConfigError without names or a reason."""
    wanted = sorted({named(kind, name) for name in names if str(name).strip()})
    if kind not in KINDS:
        raise ConfigError(f"there is no takedown by {kind}; there are {', '.join(KINDS)}")
    if not wanted:
        raise ConfigError(f"there are no {KINDS[kind]} to take down: the file has one a line")
    if not why.strip():
        raise ConfigError("say why this is taken down: --why TEXT")
    holding, matched, digests = _holding(lake, kind, wanted)
    known = Tombstones.of(lake).why
    rows = [(kind, name) for name in wanted] + [("file", digest) for digest in digests]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    new = [
        {"kind": one, "value": value, "why": why.strip(), "created_at": now}
        for one, value in dict.fromkeys(rows)
        if (one, value) not in known
    ]
    if new:
        corpus_table.add(lake, TABLE, new, provenance={"command": f"winnow takedown --{KINDS[kind]} … --why …"})
    unmatched = [name for name in wanted if name not in matched]
    return {
        "kind": kind, "names": len(wanted), "recorded": len(new), "releases": holding,
        "unmatched": unmatched[:SHOWN], "more_unmatched": max(0, len(unmatched) - SHOWN),
    }  # fmt: skip


def taken(lake: Lake) -> list[dict[str, object]]:
    """Every tombstone, in the order of its date."""
    rows = corpus_table.read(lake, TABLE).to_pylist()
    return sorted(rows, key=lambda row: (row["created_at"], row["kind"], row["value"]))


def _holding(lake: Lake, kind: str, names: Sequence[str]) -> tuple[dict[str, int], set[str], list[str]]:
    """How many kept clips of these names each release holds; which names a release knows; digests of the source files
    of whole videos among them (the file of one clip's video is others' too)."""
    import duckdb

    holding: dict[str, int] = {}
    matched: set[str] = set()
    digests: set[str] = set()
    whole = "sample_id != name" if kind == "id" else "true"
    for release in publish.releases(lake):
        path = publish.file(lake, release, "tables/fct_clips.parquet")
        if path is None:
            continue
        with duckdb.connect() as con:
            found = con.execute(
                f"""SELECT DISTINCT sample_id, name, status = 'kept', if({whole}, source_sha256, NULL)
                FROM read_parquet(?) JOIN (SELECT unnest(?::VARCHAR[]) AS name) ON {_MATCH[kind]}""",
                [str(path), list(names)],
            ).fetchall()
        if kept := len({clip for clip, _, is_kept, _ in found if is_kept}):
            holding[release] = kept
        matched |= {name for _, name, _, _ in found}
        digests |= {digest for *_, digest in found if digest}
    return holding, matched, sorted(digests)
