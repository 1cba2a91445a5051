"""Windows: how long clips are cut, beside what a release keeps, before any are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from winnow.core.config import stage_params
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.core.stage import parse_params, stage_class
from winnow.core.thresholds import threshold_rows

#: A clip that is cut to a length may measure so much less: one picture at 10 per second, s.
_A_PICTURE_S = 0.1


def dropped_by_length(lake: Lake, settings: Settings, batch: str, params: Mapping[str, dict[str, Any]]) -> list[str]:
    """For each of a release's rules that drops clips because they are as short as a run with these parameters by stage
    cuts them, a line that says so."""
    try:
        rules = threshold_rows(Path(settings.dbt_dir), ("release",))
    except FileNotFoundError:
        return []
    cls = stage_class("clip")
    values = parse_params(cls, stage_params(lake, "clip", batch, params.get("clip", {})))
    window_s = float(values.model_dump()["window_s"])
    found = []
    for row in rules:
        if row["measure"] != "duration_s" or row["op"] not in ("<", "<="):
            continue
        least_s = float(row["value"])
        if window_s >= least_s + _A_PICTURE_S:
            continue
        how_many = "all" if window_s < least_s else "those that measure a picture less"
        found.append(
            f"{batch}: clips are cut to {window_s:g} s, and rule {row['rule']} drops what has {row['op']} {least_s:g} "
            f"s: {how_many} of them. Take a longer window_s of stage clip, or another value of the rule in "
            f"{settings.dbt_dir}/seeds/thresholds.csv"
        )
    return found
