"""`winnow.toml` at the lake's root: parameters that a lake, or one of its batches, is measured with, whoever starts it.

    [stages.clip]
    window = "shot"

    [batches."2026-11-20".stages.clip]
    window_s = 5

A batch's own stand over the lake's, and a run's `--params` (Airflow's Param `stages`) over both.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from winnow.core.errors import ConfigError
from winnow.core.lake import Lake
from winnow.core.stage import parse_params, stage_class

NAME = "winnow.toml"


def stage_params(lake: Lake, stage: str, batch: str, given: Mapping[str, object]) -> dict[str, object]:
    """A stage's parameters for a batch: those of the lake's file, and over them those that are given. ConfigError that
    names the file for what it may not hold."""
    data = lake.read_or_none(NAME)
    if data is None:
        return dict(given)
    where = lake.full(NAME)
    try:
        held = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where} is no TOML: {error}") from error
    batches = _table(held.pop("batches", {}), f"{where}: [batches]")
    own = _table(batches.get(batch, {}), f"{where}: [batches.{batch}]")
    found: dict[str, object] = {}
    for level, place in ((held, where), (own, f'{where}: [batches."{batch}"]')):
        stages = _table(level.get("stages", {}), f"{place}: [stages]")
        if unknown := set(level) - {"stages"}:
            raise ConfigError(f"{place} holds {', '.join(sorted(unknown))}: it may hold `stages` and `batches`")
        for name, values in stages.items():
            try:
                parse_params(stage_class(name), _table(values, f"{place}: [stages.{name}]"))
            except ConfigError as error:
                raise ConfigError(f"{place}: {error}") from error
        found |= stages.get(stage, {})
    return found | dict(given)


def _table(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where} is no table")
    return value
