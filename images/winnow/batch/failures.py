"""Failures: which rows of a batch came to nothing before there was a clip, each with the name that its user knows."""

from __future__ import annotations

import io

from winnow.core.lake import Lake
from winnow.core.sample import Reason
from winnow.core.shard import Chain
from winnow.core.stage import stage_needs

#: Steps at which a candidate ends, in their order.
STEPS = ("ingest", "fetch", "clip")
#: Reasons by which nothing is lost: another row says the same.
NO_LOSS = (Reason.duplicate_row.value,)


def failures(lake: Lake, batch: str) -> list[str]:
    """A line for each candidate that failed: list, row and address (or file), step, reason, what was said of it."""
    import pyarrow.parquet as pq

    chain, names, found = Chain(lake, batch, stage_needs()), {}, []
    for step in STEPS:
        for number in chain.numbers(step):
            manifest = chain.committed(step, number)
            if manifest is None:
                continue
            table = pq.ParquetFile(io.BytesIO(lake.read_table(manifest)))
            about = ["list_path", "list_row", "url"] if step == "ingest" else []
            for row in table.read(columns=["sample_id", "outcome", "reason", "detail", *about]).to_pylist():
                if about:
                    places = (row["list_path"], f"row {row['list_row']}" if row["list_row"] is not None else None)
                    said = [part for part in (*places, row["url"]) if part]
                    names[row["sample_id"]] = ", ".join(said)
                if row["outcome"] != "ok" and row["reason"] not in NO_LOSS:
                    name = names.get(row["sample_id"], row["sample_id"])
                    found.append(f"{name}: {step}: {row['reason']}: {row['detail']}")
    return found
