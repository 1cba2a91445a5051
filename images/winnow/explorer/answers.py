"""Answers: a corpus table that grows by one small file an answer, each file read once.

A process keeps what it has read and asks only for the list of files, so that thousands of answers cost one listing a
page. Files of other processes (another explorer, an import) appear with the next listing. Of one person's answers about
one clip the last counts, by `created_at`; equal times are ordered by content, so that the order of files never matters.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

from winnow import __version__
from winnow.core import corpus_table
from winnow.core.lake import Lake

#: From this many unread files on, DuckDB reads them all at once.
MANY = 32
TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
Row = Mapping[str, Any]


class Answers:
    """The last answers of everybody in one corpus table. `person` names the column that says who; rows that `proposed`
    is true of are no person's and stand apart, in `proposals` (of several about a clip the one of the last name:
    `published:…` comes after `proposal:…`). `about` says of a row what it is about: the clip, by its id, unless a clip
    can be asked about in several places."""

    def __init__(
        self,
        lake: Lake,
        table: str,
        person: str,
        proposed: Callable[[Row], bool] = lambda row: False,
        about: Callable[[Row], str | None] = lambda row: row["sample_id"],
    ) -> None:
        self.lake, self.table, self.person, self._proposed, self._about = lake, table, person, proposed, about
        self.proposals: dict[str, Row] = {}
        self._read: set[str] = set()
        self._by_clip: dict[str, dict[str, Row]] = {}
        self._by_person: dict[str, dict[str, Row]] = {}
        self._lock = Lock()

    def refresh(self) -> None:
        """Read the files that appeared since."""
        with self._lock:
            new = [key for key in corpus_table.files(self.lake, self.table) if key not in self._read]
            for row in _rows(self.lake, new):
                self._take(row)
            self._read.update(new)

    def add(self, *rows: Mapping[str, object]) -> None:
        """Write one person's answer about one clip, a row or several, stamped with times in their order; it is on disk
        before this returns."""
        before = self.of_clip(str(self._about(rows[0]))).get(str(rows[0][self.person]))
        first = _later(before["created_at"] if before else None)
        stamped = [
            {**row, "created_at": (first + timedelta(microseconds=i)).strftime(TIME)} for i, row in enumerate(rows)
        ]
        corpus_table.add(self.lake, self.table, stamped, provenance={"by": "winnow explore", "winnow": __version__})
        self.refresh()

    def of_clip(self, sample_id: str) -> dict[str, Row]:
        """The last answer about a clip by everyone who gave one."""
        with self._lock:
            return dict(self._by_clip.get(sample_id, {}))

    def of_person(self, person: str) -> dict[str, Row]:
        """A person's last answer about every clip that it answered."""
        with self._lock:
            return dict(self._by_person.get(person, {}))

    def last_of(self, person: str) -> Row | None:
        """The answer that a person gave last, whatever clip it is about."""
        return max(self.of_person(person).values(), key=_order, default=None)

    def clips(self) -> dict[str, int]:
        """How many people have answered, by clip."""
        with self._lock:
            return {sample_id: len(by) for sample_id, by in self._by_clip.items()}

    def people(self) -> dict[str, int]:
        """How many clips each person has answered."""
        with self._lock:
            return {person: len(by) for person, by in sorted(self._by_person.items())}

    def _take(self, row: Row) -> None:
        person, sample_id = row[self.person], self._about(row)
        if person is None or sample_id is None:
            return
        if self._proposed(row):
            before = self.proposals.get(sample_id, row)
            self.proposals[sample_id] = max(row, before, key=lambda one: (one[self.person], _order(one)))
            return
        mine = self._by_clip.setdefault(sample_id, {})
        if person not in mine or _order(row) > _order(mine[person]):
            mine[person] = row
            self._by_person.setdefault(person, {})[sample_id] = row


def _order(row: Row) -> tuple[str, str]:
    """Later answers are larger; one without a time is older than any."""
    return str(row.get("created_at") or ""), json.dumps(row, sort_keys=True, default=str)


def _later(before: str | None) -> datetime:
    """Now, but later than an earlier answer even if the clock went back."""
    now = datetime.now(UTC)
    with suppress(ValueError):
        if before:
            now = max(now, datetime.fromisoformat(before).astimezone(UTC) + timedelta(microseconds=1))
    return now


def _rows(lake: Lake, keys: list[str]) -> list[Row]:
    """Rows of some files, in their order."""
    if lake.is_local and len(keys) >= MANY:
        import duckdb

        with duckdb.connect() as con:
            con.execute("set threads = 2")
            return con.read_parquet([lake.full(key) for key in keys]).to_arrow_table().to_pylist()
    import pyarrow.parquet as pq

    return [row for key in keys for row in pq.ParquetFile(io.BytesIO(lake.read(key))).read().to_pylist()]
