"""Verdicts: do the sound and the picture of a clip belong together? One answer of one reviewer about one drawn clip.

Read from the CSV that `winnow audit` writes, filled in: columns `sample_id`, `verdict`, `reviewer` and, where they are
known, `release` and `created_at`. A line without a verdict is not answered yet and passed over. A verdict counts only
for a clip that an audit drew (corpus table `audit_sample`): shares are of that sample, so any other clip is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from winnow.annotations import values
from winnow.core.lake import Lake
from winnow.sources.cells import records
from winnow.sources.columns import plain
from winnow.sources.row import Row
from winnow.sources.urls import shown

VERDICTS = ("corresponds", "does_not", "unsure")
#: What people write → the verdict.
ANSWERS: Mapping[str, str] = {
    **dict.fromkeys(("corresponds", "yes", "y", "1", "1.0", "true", "match"), "corresponds"),
    **dict.fromkeys(("does_not", "does not", "does not correspond", "no", "n", "0", "0.0", "false"), "does_not"),
    **dict.fromkeys(("unsure", "unknown", "not sure", "cannot tell", "?"), "unsure"),
}
#: Column of the table → names that it goes by, as `columns.plain` writes them.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "sample_id": ("sample_id", "clip_id"),
    "release": ("release",),
    "verdict": ("verdict", "corresponds"),
    "reviewer": ("reviewer", "reviewer_id", "rater", "annotator"),
    "created_at": ("created_at", "timestamp", "time"),
}
_COLUMNS = {alias: column for column, names in ALIASES.items() for alias in names}


@dataclass(frozen=True)
class Drawn:
    """What audits drew: clip → release → stratum."""

    clips: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, lake: Lake) -> Drawn:
        """Everything that was drawn in a lake."""
        from winnow.core import corpus_table

        clips: dict[str, dict[str, str]] = {}
        for row in corpus_table.read(lake, "audit_sample").select(["sample_id", "release", "stratum"]).to_pylist():
            clips.setdefault(row["sample_id"], {})[row["release"]] = row["stratum"]
        return cls(clips)


def looks_like(head: str) -> bool:
    """Whether a file's first line is the header of such a CSV."""
    names = {_COLUMNS.get(plain(name.strip(' "'))) for name in head.splitlines()[0].split(",")} if head else set()
    return {"sample_id", "verdict"} <= names


def verdict(given: Mapping[str, object], drawn: Drawn) -> dict[str, object]:
    """One row of the table from values by its columns' names, checked; ValueError that says what is wrong. Without a
    release the clip must have been drawn from one only."""
    sample_id = values.sample_id(given.get("sample_id"))
    if sample_id is None:
        raise ValueError("sample_id is missing: it says which clip the verdict is about")
    said = (values.text(given.get("verdict"), "verdict") or "").lower()
    if said not in ANSWERS:
        raise ValueError(f"verdict is {shown(said)}: {', '.join(VERDICTS)} are answers")
    there = drawn.clips.get(sample_id, {})
    if not there:
        raise ValueError(f"clip {sample_id} is in no sample: `winnow audit` draws the clips that are asked about")
    release = values.text(given.get("release"), "release")
    if release is None and len(there) > 1:
        raise ValueError(f"clip {sample_id} was drawn from several releases, {', '.join(sorted(there))}: say which")
    release = release or next(iter(there))
    if release not in there:
        raise ValueError(f"clip {sample_id} is in no sample of release {shown(release)}")
    return {
        "sample_id": sample_id,
        "release": release,
        "stratum": there[release],
        "verdict": ANSWERS[said],
        "reviewer": values.identifier(given.get("reviewer"), "reviewer"),
        "created_at": values.instant(given.get("created_at")),
    }


def read_verdicts(path: Path, drawn: Drawn, reviewer: str | None = None) -> Iterator[Row]:
    """Rows of the table `verdict`, in the order of the file; what cannot be used is a Row with a `problem`. `reviewer`
    is who answered where the file does not say. Of two answers of one reviewer about one clip without times only the
    first is taken: which one counts nobody could tell."""
    header: list[str | None] | None = None
    number = 0
    timeless: dict[tuple[object, ...], object] = {}
    for line, cells, problem in records(path):
        if cells is None:
            yield Row(number, problem=problem)
        elif header is None:
            header = [_COLUMNS.get(plain(name)) for name in cells]
            if lacking := [name for name in ("sample_id", "verdict") if name not in header]:
                what = f"its header has no column {' and '.join(lacking)}; the columns are {', '.join(ALIASES)}"
                yield Row(0, problem=f"line {line}: {what}")
                return
            continue
        elif len(cells) != len(header):
            yield Row(number, problem=f"line {line}: {len(cells)} cells under {len(header)} columns")
        else:
            given = {name: cell for name, cell in zip(header, cells, strict=True) if name}
            if not given["verdict"].strip():
                continue
            try:
                row = verdict({**given, "reviewer": given.get("reviewer", "").strip() or reviewer}, drawn)
                key = (row["sample_id"], row["release"], row["reviewer"])
                if row["created_at"] is None and timeless.setdefault(key, row["verdict"]) != row["verdict"]:
                    raise ValueError(f"{row['reviewer']} says two things of clip {row['sample_id']} and not when")
            except ValueError as error:
                yield Row(number, problem=f"line {line}: {error}")
            else:
                yield Row(number, row)
        number += 1
