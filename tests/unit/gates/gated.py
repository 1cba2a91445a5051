"""One batch of the synthetic lake, to be spoiled and gated."""

from __future__ import annotations

import json

from tests.unit import synthetic
from winnow.core.lake import Lake

DAY = "2026-11-01"


def commit(lake: Lake, batch: str = DAY, day: int = 0, change=lambda rows: None, **kwargs) -> dict[str, list[dict]]:
    rows = synthetic.rows(synthetic.candidates(day, 12))
    change(rows)
    synthetic.commit(lake, batch, rows, **kwargs)
    return rows


def head(lake: Lake, batch: str = DAY) -> dict:
    return json.loads(lake.read(f"batches/{batch}.json"))
