"""Rows of one list that name the same clip: what they say of it is joined, never dropped.

AudioCaps gives five captions a clip in five rows, VGGSounder a label a row. Such rows become one candidate: its
`labels` are those of all rows, and a column in which they differ holds a list in `extra`, one value a row, in the order
of the rows. Rows that say the same of a clip are a `duplicate_row`; so is a row of another list, which keeps its own
labels and columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

#: Columns that are joined into `extra` where rows differ in them; the candidate keeps the first row's.
_TEXTS = ("title", "description")
#: What a row says of its clip.
SAID = (*_TEXTS, "labels", "extra", "source_id")


@dataclass
class _Group:
    """Rows of one clip: `said` digests of what they say, `rows` what later ones say (all where `whole`)."""

    said: set[int]
    rows: list[dict[str, object]] = field(default_factory=list)
    whole: bool = False


#: Rows to join into one that is written already: sample id → (whether its own is the first of them, rows).
Late = dict[str, tuple[bool, list[dict[str, object]]]]


class Joiner:
    """Joins the rows of one list. A row is changed in place while its block is open; what comes later is in `late`, by
    the block that holds the first row."""

    def __init__(self) -> None:
        self.late: dict[int, Late] = {}
        self._open: dict[int, dict[str, object]] = {}
        self._groups: dict[int, _Group] = {}

    def close_block(self) -> None:
        """The rows so far can be changed no more."""
        self._open.clear()

    def first(self, key: int, record: dict[str, object]) -> None:
        """A clip's first row."""
        self._open[key] = record

    def join(self, key: int, first_said: int, record: Mapping[str, object], said: int, block: int, sample: str) -> bool:
        """Join a later row of a clip; False where it says what one before it has said. `block` and `sample` say where
        the first row stands."""
        group = self._groups.get(key) or _Group({first_said})
        if said in group.said:
            return False
        first = self._open.get(key)
        if not group.rows and first is not None:
            group.rows.append({name: first[name] for name in SAID})
            group.whole = True
        group.said.add(said)
        group.rows.append({name: record[name] for name in SAID})
        self._groups[key] = group
        if first is not None:
            first |= joined(group.rows)
        else:
            self.late.setdefault(block, {})[sample] = (group.whole, group.rows)
        return True


def said_of(record: Mapping[str, object], captions: Iterable[object]) -> int:
    """A digest of what a row says of its clip: its labels, its texts and its captions."""
    said = repr((record["labels"], record["title"], record["description"], *captions))
    return int.from_bytes(blake2b(said.encode("utf-8", "replace"), digest_size=8).digest())


def patched(record: dict[str, object], late: Late) -> dict[str, object]:
    """A written row with what later rows said of its clip."""
    if (found := late.get(str(record["sample_id"]))) is None:
        return record
    whole, rows = found
    return record | joined(rows if whole else [{name: record[name] for name in SAID}, *rows])


def joined(rows: list[dict[str, object]]) -> dict[str, object]:
    """`labels` and `extra` of a clip from its rows: all labels, each once, and a list for each column that differs."""
    labels = dict.fromkeys(label for row in rows for label in row["labels"] or ())  # type: ignore[attr-defined]
    extras = [json.loads(str(row["extra"])) if row["extra"] else {} for row in rows]
    for name in (*_TEXTS, "source_id"):
        if any(row[name] != rows[0][name] for row in rows):
            for row, extra in zip(rows, extras, strict=True):
                extra[name] = row[name]
    kept: dict[str, object] = {}
    for name in dict.fromkeys(name for extra in extras for name in extra):
        values = [extra.get(name) for extra in extras]
        kept[name] = values[0] if all(value == values[0] for value in values) else values
    text = json.dumps(kept, ensure_ascii=False, sort_keys=True, separators=(",", ":")) if kept else None
    return {"labels": list(labels) or None, "extra": text}
