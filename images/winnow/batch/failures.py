"""Failures: which samples of a batch came to nothing in which step, each with the name that its user knows."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from winnow.core.lake import Lake
from winnow.core.manifest import Manifest
from winnow.core.sample import Reason
from winnow.core.shard import Lineage
from winnow.core.stage import stage_needs, stage_optional_needs

#: Steps at which a candidate ends before it is a clip, in their order.
STEPS = ("ingest", "fetch", "clip")
#: Reasons by which nothing is lost: another row says the same, or another step has said it.
NO_LOSS = (Reason.duplicate_row.value, Reason.no_input.value)


@dataclass(frozen=True)
class Failure:
    """One sample that failed in a step; `name` is the list, row and address, or the file, and of a clip its times."""

    step: str
    sample_id: str
    name: str
    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.name}: {self.step}: {self.reason}: {self.detail}"


def failures(lake: Lake, batch: str, steps: Sequence[str] = STEPS) -> list[Failure]:
    """What failed in some steps of a batch, in their order."""
    lineage = Lineage(lake, batch, stage_needs(), stage_optional_needs())
    found = [failure for step in steps for failure in _failed(lake, lineage, step)]
    if not found:
        return []
    names = _names(lake, lineage)
    return [
        Failure(step, row["sample_id"], names.get(row["sample_id"]) or row["sample_id"], row["reason"], row["detail"])
        for step, row in found
    ]


def _failed(lake: Lake, lineage: Lineage, step: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number in lineage.numbers(step):
        manifest = lineage.committed(step, number)
        if manifest is None or not set(manifest.reasons) - set(NO_LOSS):
            continue
        for row in _rows(lake, manifest, ["sample_id", "outcome", "reason", "detail"]):
            if row["outcome"] != "ok" and row["reason"] not in NO_LOSS:
                yield step, row


def _names(lake: Lake, lineage: Lineage) -> dict[str, str]:
    """What users call the batch's candidates and clips, by id."""
    names: dict[str, str] = {}
    for number in lineage.numbers("ingest"):
        if (manifest := lineage.committed("ingest", number)) is not None:
            for row in _rows(lake, manifest, ["sample_id", "list_path", "list_row", "url"]):
                places = (row["list_path"], f"row {row['list_row']}" if row["list_row"] is not None else None)
                names[row["sample_id"]] = ", ".join(part for part in (*places, row["url"]) if part)
    for number in lineage.numbers("clip"):
        if (manifest := lineage.committed("clip", number)) is not None:
            for row in _rows(lake, manifest, ["sample_id", "outcome", "candidate_id", "start_s", "end_s"]):
                if row["outcome"] == "ok":
                    source = names.get(row["candidate_id"], row["candidate_id"])
                    names[row["sample_id"]] = f"{source}, {row['start_s']:.3f} to {row['end_s']:.3f} s"
    return names


def _rows(lake: Lake, manifest: Manifest, columns: list[str]) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(io.BytesIO(lake.read_table(manifest)))
    rows: list[dict[str, Any]] = file.read(columns=columns).to_pylist()
    return rows
