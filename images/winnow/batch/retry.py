"""Retry: rows of a batch that failed for a named reason are tried again, whatever the reason. What a run tries by
itself are new shards and what a changed deployment may have lifted; a row that failed because of us (`internal_error`,
a site that was down, a rule of a site that we read wrongly) stays failed until somebody names its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from graphlib import TopologicalSorter
from typing import Any

from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake
from winnow.core.manifest import Manifest
from winnow.core.runtime import Runtime, run_stage
from winnow.core.sample import Reason, check_batch
from winnow.core.settings import Settings
from winnow.core.shard import Lineage
from winnow.core.stage import parse_params, stage_class, stage_needs, stage_optional_needs


def retry(
    lake: Lake,
    settings: Settings,
    batch: str,
    reasons: Sequence[str],
    stage: str | None = None,
    run: Callable[..., dict[str, Any]] = run_stage,
) -> dict[str, object]:
    """Try the failed rows of a batch's committed shards again, of all stages or of one, with the parameters that they
    were measured with; `run` runs a stage, as `run_stage` does in this process.

    Returns {"batch", "reasons", "tried", "ok" (of them, now), "stages": {stage: {"tried", "ok"}}, "next": the command
    that measures what follows from them, None when nothing is ok now that was not}; where nothing was tried also
    "failed": {reason: rows} that there are. ConfigError for a reason that cannot be tried again, ContractError for a
    stage whose code or model changed since: running it computes all its rows again.
    """
    check_batch(batch)
    wanted = _reasons(reasons)
    needs, optional_needs = stage_needs(), stage_optional_needs()
    if stage is not None:
        stage_class(stage)
    order = TopologicalSorter({name: [n for n in needs[name] if n in needs] for name in sorted(needs)}).static_order()
    done: dict[str, dict[str, int]] = {}
    there: Counter[str] = Counter()
    for name in [one for one in order if stage in (None, one)]:
        lineage = Lineage(lake, batch, needs, optional_needs)  # anew: what was tried again before has other digests now
        shards = [m for n in lineage.numbers(name) if (m := lineage.committed(name, n)) is not None]
        for manifest in shards:
            there.update(manifest.reasons)
        before = _count(shards, wanted)
        if not before:
            continue
        _check_version(lake, settings, name, shards)
        run(lake, name, batch, shards[0].params, settings, retry=sorted(one.value for one in wanted), again=True)
        lineage = Lineage(lake, batch, needs, optional_needs)
        after = [m for n in lineage.numbers(name) if (m := lineage.committed(name, n)) is not None]
        ok = sum(m.ok for m in after) - sum(m.ok for m in shards)
        done[name] = {"tried": before, "ok": ok}
    tried, ok = (sum(one[key] for one in done.values()) for key in ("tried", "ok"))
    flows = {stage_class(name).flow for name in done}
    following = f"winnow curate --batch {batch}" if "curate" in flows else f"the DAG `{min(flows, default='')}`"
    answer: dict[str, object] = {
        "batch": batch,
        "reasons": sorted(reason.value for reason in wanted),
        "tried": tried,
        "ok": ok,
        "stages": done,
        "next": following if ok else None,
    }
    return answer if tried else answer | {"failed": dict(sorted(there.items()))}


def _reasons(names: Sequence[str]) -> frozenset[Reason]:
    if not names:
        raise ConfigError("name a reason, as in --reason internal_error")
    known = {reason.value for reason in Reason}
    if unknown := set(names) - known:
        raise ConfigError(f"there is no reason {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    if Reason.no_input.value in names:
        raise ConfigError(
            "rows with no_input wait for another stage's: try that one's reason again (`detail` of the row names both)"
        )
    return frozenset(Reason(name) for name in names)


def _count(shards: Sequence[Manifest], wanted: frozenset[Reason]) -> int:
    return sum(manifest.reasons.get(reason.value, 0) for manifest in shards for reason in wanted)


def _check_version(lake: Lake, settings: Settings, name: str, shards: Sequence[Manifest]) -> None:
    """ContractError when a stage would measure these shards otherwise today."""
    cls, params = stage_class(name), shards[0].params
    stage = cls(parse_params(cls, params), lake, settings)
    if (fingerprint := Runtime(stage, lake, shards[0].batch).fingerprint) != shards[0].fingerprint:
        raise ContractError(
            f"{name} of batch {shards[0].batch} was measured by another version of its code or model "
            f"(v={shards[0].fingerprint}, now {fingerprint}): `winnow run {name} --batch {shards[0].batch}` computes "
            "all its rows again"
        )
