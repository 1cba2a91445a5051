"""The rows of `ingest` in their order: those of every list, joined where they name one clip, then the media that no
list names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from winnow.batch.inbox import Inbox, beside
from winnow.batch.joining import Joiner, Late, said_of
from winnow.core.planned_table import INGEST
from winnow.core.sample import Reason, SampleFailed, candidate_id, sid
from winnow.sources import unread
from winnow.sources.reading import ListReport, read_list
from winnow.sources.row import ListRefused
from winnow.sources.urls import canonical

#: Characters of text that a block may hold: some blocks, and their tables, are in memory at a time.
BLOCK_CHARS = 8 << 20
#: Columns that may be long.
LONG = ("title", "description", "url", "extra")
#: Bits of a row's number in its place, of the digest of what it says, and of the number of its block.
_PLACE, _SAID, _BLOCK = 40, 64, 24


@dataclass
class Rows:
    """Iterates over the table's rows; afterwards `reports` says what came of every list, and `late` what later rows
    add to rows of blocks that were given out already, by the block's number. A block has `shard_rows` rows, or so many
    that they hold `BLOCK_CHARS`; `is_full` says of the row just given that it is the last of its block."""

    batch: str
    inbox: Inbox
    digests: dict[str, str]
    shard_rows: int
    reports: list[ListReport] = field(default_factory=list)
    late: dict[int, Late] = field(default_factory=dict)
    is_full: bool = False

    def __post_init__(self) -> None:
        from winnow.core.table import KEY_COLUMNS

        self._nothing = dict.fromkeys((*KEY_COLUMNS, *INGEST.columns))
        # candidate id → place of its first row and a digest of what it says, as integers: there may be millions
        self._seen: dict[int, int] = {}
        self._block = self._rows = self._chars = 0
        self._claimed: set[str] = set()
        self._names: list[str] = []
        self._first_bad = ""
        self._joiner = Joiner()

    def __iter__(self) -> Iterator[dict[str, object]]:
        """The rows in order, ids and outcomes included."""
        media: list[str] = []
        known: dict[Any, Any] = {}
        for name, path in self.inbox.files.items():
            report = ListReport(name, "")
            try:
                source, settings = self.inbox.source(name)
                if source is None:
                    raise ListRefused(unread(name) or "neither a list nor media: name its format in the settings")
                if source.name == "folder":
                    media.append(name)
                    continue
                report.format = source.name
                rows = read_list(
                    source.read, source.general, path, report, settings, beside(self.inbox.files, name, known)
                )
                yield from self._list(name, report, rows)
            except ListRefused as refused:
                report.refused = str(refused)
            if report.refused is None and report.listed and report.bad == report.rows and not report.joined:
                report.refused = f"none of its {report.listed} rows could be read; the first: {self._first_bad}"
            self.reports.append(report)
        for name in media:
            if name not in self._claimed:
                yield self._medium(name)

    def _list(self, name: str, report: ListReport, rows: Iterator[Any]) -> Iterator[dict[str, object]]:
        order = len(self._names)
        self._names.append(name)
        self._joiner, self._first_bad = Joiner(), ""
        for number, found, failure in rows:
            record = self._nothing | {
                "batch": self.batch,
                "source": report.format,
                "list_path": name,
                "list_row": number,
            }
            captions = found.pop("captions", ())
            file = found.pop("beside", None)
            record |= found
            if failure is None:
                if file is not None:
                    self._claimed.add(str(file))
                    record |= {"url": f"inbox:{self.batch}/{file}", "content_sha256": self.digests[str(file)]}
                sample = self._identify(record, str(file) if file is not None else None)
                key, said, place = int(sample, 16), said_of(record, captions), order << _PLACE | number
                mine = (place << _BLOCK | self._block) << _SAID | said
                first = self._seen.setdefault(key, mine)
                first_place, first_said = first >> _SAID + _BLOCK, first & (1 << _SAID) - 1
                block = first >> _SAID & (1 << _BLOCK) - 1
                if first == mine:
                    self._joiner.first(key, record)
                elif first_place >> _PLACE == order and self._joiner.join(key, first_said, record, said, block, sample):
                    report.joined += 1
                    continue
                else:
                    failure = self._duplicate(first_place)
            report.rows += 1
            _finish(record, failure, name, number)
            if record["reason"] == Reason.bad_row.value:
                report.bad += 1
                self._first_bad = self._first_bad or str(record["detail"])
            yield self._given_out(record)
        for block, late in self._joiner.late.items():
            self.late.setdefault(block, {}).update(late)

    def _given_out(self, record: dict[str, object]) -> dict[str, object]:
        """A row about to be given out: counted, and its block closed where it is the last of it."""
        self._rows += 1
        self._chars += sum(len(str(record[name] or "")) for name in LONG)
        self.is_full = self._rows >= self.shard_rows or self._chars >= BLOCK_CHARS
        if self.is_full:
            self._joiner.close_block()
            self._block, self._rows, self._chars = self._block + 1, 0, 0
        return record

    def _identify(self, record: dict[str, object], file: str | None) -> str:
        address = f"inbox:{self.digests[file]}" if file is not None else canonical(str(record["url"]))
        record["video_id"] = sid("video", address)
        record["sample_id"] = candidate_id(str(record["video_id"]), record["start_s"], record["end_s"])  # type: ignore[arg-type]
        return str(record["sample_id"])

    def _duplicate(self, place: int) -> SampleFailed:
        what = f"the same as row {place & (1 << _PLACE) - 1} of {self._names[place >> _PLACE]}"
        return SampleFailed(Reason.duplicate_row, what)

    def _medium(self, name: str) -> dict[str, object]:
        """The row of a file that no list names: the file itself is the candidate."""
        order, path = len(self._names), Path(name)
        self._names.append(name)
        record = self._nothing | {
            "batch": self.batch,
            "source": "folder",
            "list_path": name,
            "list_row": 0,
            "source_id": path.name,
            "title": path.stem,
            "url": f"inbox:{self.batch}/{name}",
            "content_sha256": self.digests[name],
        }
        mine = order << _PLACE + _BLOCK + _SAID
        first = self._seen.setdefault(int(self._identify(record, name), 16), mine)
        failure = None if first == mine else self._duplicate(first >> _SAID + _BLOCK)
        return self._given_out(_finish(record, failure, name, 0))


def _finish(record: dict[str, object], failure: SampleFailed | None, name: str, number: int) -> dict[str, object]:
    """The record itself, with its outcome."""
    record["outcome"] = "ok"
    if failure is not None:
        record |= {
            "sample_id": sid("row", name, number),
            "outcome": "failed",
            "reason": failure.reason.value,
            "detail": failure.detail[:500],
        }
    return record
