"""A day of lists, ingested, and what came of it: for tests of lists as they are written."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from winnow.batch.ingest import ingest
from winnow.core.errors import PartlyDone
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.core.shard import Lineage

DAY = "2026-11-01"
URL = "https://videos.example/a.mp4"
ID, OTHER = "a1b2c3d4e5f", "Zz_-9yX8w7V"


@dataclass
class Day:
    """What ingest answered, or why it refused, and the table's rows in the order of their lists."""

    done: dict = field(default_factory=dict)
    refused: str = ""
    rows: list[dict] = field(default_factory=list)

    @property
    def windows(self) -> list[tuple]:
        """(last part of the address, start, end) of every candidate."""
        ok = [row for row in self.rows if row["outcome"] == "ok"]
        return [
            (row["url"].removeprefix("https://www.youtube.com/watch?v="), row["start_s"], row["end_s"]) for row in ok
        ]

    def list(self, name: str) -> dict:
        """What the answer says of a list."""
        return next(found for found in self.done["lists"] if found["list"] == name)


def ingested(folder: Path, files: Mapping[str, object], **options: int) -> Day:
    """Ingest files by their names: text, bytes, what is written as JSON, or a pyarrow table."""
    inbox = folder / "inbox"
    for name, content in files.items():
        path = inbox / DAY / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if hasattr(content, "schema"):
            pq.write_table(content, path)
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    lake, day = Lake(folder / "lake"), Day()
    try:
        day.done = ingest(DAY, Settings(inbox=inbox), lake, **options)
    except PartlyDone as error:
        day.refused, day.done = str(error), error.answer
    if lake.head("ingest", DAY):
        lineage = Lineage(lake, DAY, {})
        for number in lineage.numbers("ingest"):
            day.rows += pq.read_table(io.BytesIO(lake.read_table(lineage.committed("ingest", number)))).to_pylist()
    day.rows.sort(key=lambda row: (row["list_path"], row["list_row"]))
    return day
