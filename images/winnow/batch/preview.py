"""Preview: what the next `winnow curate` of a batch would compute, and what of it is finished work done again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from winnow.batch.curate import stages_after
from winnow.core.config import stage_params
from winnow.core.lake import Lake
from winnow.core.runtime import Runtime
from winnow.core.sample import check_batch
from winnow.core.settings import Settings
from winnow.core.shard import Lineage
from winnow.core.stage import is_ready, parse_params, stage_class, stage_needs, stage_optional_needs

FIRST = "first run"


@dataclass(frozen=True)
class Work:
    """What a stage would do: shards that are known now, why, and, where a parameter changed, which ("window 'shot' →
    'fixed'")."""

    stage: str
    shards: int
    why: str
    params: str = ""

    @property
    def is_again(self) -> bool:
        """Whether something finished would be computed again."""
        return self.why != FIRST


def preview(lake: Lake, settings: Settings, batch: str, params: Mapping[str, dict[str, Any]]) -> list[Work]:
    """What a run with these parameters by stage would compute, stage by stage; nothing is changed. What `ingest`,
    `decide` and `plan` would cut anew, and what follows from it, is seen when they run."""
    lineage = Lineage(lake, check_batch(batch), stage_needs(), stage_optional_needs())
    found: dict[str, Work] = {}
    for name in [stage for cut in ("ingest", "plan", "flag") for stage in stages_after(cut)]:
        if not is_ready(name, lake):
            continue
        cls = stage_class(name)
        values = parse_params(cls, stage_params(lake, name, batch, params.get(name, {})))
        runtime, numbers = Runtime(cls(values, lake, settings), lake, batch), lineage.numbers(name)
        done = {number: m for number in numbers if (m := lineage.committed(name, number)) is not None}
        before = lineage.head(name)
        upstream = [need for need in (*cls.needs, *cls.optional_needs) if need in found and found[need].is_again]
        if before is None:
            found[name] = Work(name, len(numbers), FIRST)
        elif before["v"] != runtime.fingerprint:
            last = next(iter(done.values()), None)
            changed = _changed(last.params, values.model_dump(mode="json")) if last else ""
            found[name] = Work(name, len(numbers), runtime.why(numbers[0], before) if numbers else FIRST, changed)
        elif upstream:
            found[name] = Work(name, len(numbers), f"follows from {upstream[0]}")
        elif left := [number for number in numbers if number not in done]:
            found[name] = Work(name, len(left), runtime.why(left[0], before))
    return list(found.values())


def _changed(before: Mapping[str, object], now: Mapping[str, object]) -> str:
    names = [name for name in now if before.get(name) != now[name]]
    return ", ".join(f"{name} {before.get(name)!r} → {now[name]!r}" for name in names)


def lines(found: list[Work]) -> list[str]:
    """A preview as lines for a person."""
    return [
        f"{one.stage}: {one.shards} shards: {one.why}" + (f" ({one.params})" if one.params else "") for one in found
    ] or ["nothing is left to compute"]
