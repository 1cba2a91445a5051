"""Thresholds: the rules as they stand in the dbt project's seed, before any build."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path


def threshold_rows(dbt_dir: Path, points: Sequence[str]) -> list[dict[str, str]]:
    """The rows of thresholds.csv of these decision points, in its order."""
    return rows_of((dbt_dir / "seeds" / "thresholds.csv").read_text(encoding="utf-8"), points)


def rows_of(text: str, points: Sequence[str]) -> list[dict[str, str]]:
    """The same of the seed's text."""
    return [row for row in csv.DictReader(io.StringIO(text)) if row["point"] in points]
