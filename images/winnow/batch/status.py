"""Status: where a batch stands, at any time: what each step has done, what failed, what waits, what comes next.

It reads what is committed and computes nothing, so it can be asked while the batch runs.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from winnow.batch.advice import advice
from winnow.batch.curate import stages_after
from winnow.batch.failures import STEPS, failures
from winnow.batch.keys import folders, nearest
from winnow.core.admitted import admitted_keys, batch_head, tables_of
from winnow.core.errors import ConfigError
from winnow.core.lake import Lake
from winnow.core.sample import check_batch
from winnow.core.settings import Settings
from winnow.core.shard import Lineage
from winnow.core.stage import is_ready, stage_class, stage_names, stage_needs, stage_optional_needs
from winnow.gates import is_admitted
from winnow.release import publish


@dataclass(frozen=True)
class Step:
    """What a step of a batch has done: shards committed of those that there are (0 before they are cut), rows by
    outcome, failed ones by reason; and what it waits for, '' for nothing."""

    name: str
    shards: int
    done: int
    rows: int = 0
    ok: int = 0
    failed: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    waits_for: str = ""

    @property
    def is_done(self) -> bool:
        """Whether every shard is committed."""
        return self.shards > 0 and self.done == self.shards


def keys(lake: Lake, settings: Settings) -> list[str]:
    """Batches that there are: ingested ones, admitted ones, and folders of the inbox; sorted."""
    heads = {name[len("batch=") : -len(".json")] for name in lake.list("ingest") if name.startswith("batch=")}
    return sorted({*heads, *folders(settings.inbox), *admitted_keys(lake)})


def status(lake: Lake, settings: Settings, batch: str) -> dict[str, object]:
    """Where a batch stands: {"batch", "state" (a sentence), "steps": [Step's fields], "failed": [{"step", "sample_id",
    "name", "reason", "detail", "do"}], "seq" (of its admission), "release" (the current one, where it holds what is
    admitted now), "next": the command that goes on, None where nothing is left to do}. ConfigError, with the places
    looked at and the nearest keys, for a batch that there is not."""
    known = keys(lake, settings)
    if check_batch(batch) not in known:
        near = nearest(settings.inbox, batch, known)
        there = f"; there are {', '.join(near)}" if near else ""
        raise ConfigError(f"no batch {batch}: neither in {lake.root} nor as a folder {settings.inbox / batch}{there}")
    steps = _steps(lake, batch)
    state, following = _state(lake, settings, batch, steps)
    found = failures(lake, batch, [step.name for step in steps if step.failed and step.name not in ("decide", "flag")])
    head = batch_head(lake, batch)
    return {
        "batch": batch,
        "state": state,
        "steps": [asdict(step) for step in steps],
        "failed": [{**asdict(one), "do": advice(one.reason, batch)} for one in found],
        "seq": head["seq"] if head else None,
        "release": _holds(lake, batch, head),
        "next": following,
    }


def overview(lake: Lake, settings: Settings) -> dict[str, object]:
    """Where each batch stands: {"batches": [{"batch", "state", "rows" listed, "clips", "failed" rows of lists,
    downloads and cutting, "next"}], "release": the current one}."""
    batches = []
    for key in keys(lake, settings):
        steps = _steps(lake, key)
        state, following = _state(lake, settings, key, steps)
        by_name = {step.name: step for step in steps}
        batches.append(
            {
                "batch": key,
                "state": state,
                "rows": by_name["ingest"].rows,
                "clips": by_name["clip"].ok,
                "failed": sum(by_name[step].failed for step in STEPS),
                "next": following,
            }
        )
    return {"batches": batches, "release": publish.current(lake)}


def _steps(lake: Lake, batch: str) -> list[Step]:
    lineage = Lineage(lake, batch, stage_needs(), stage_optional_needs())
    order = ["ingest", *stages_after("ingest"), "decide", "plan", *stages_after("plan"), "flag", *stages_after("flag")]
    optional = [name for name in stage_names() if name not in order and lineage.head(name) is not None]
    cut_after = {"decide": "screen", "plan": "decide", "flag": "correspond"}
    made: dict[str, Step] = {}
    for name in [*order, *optional]:
        numbers = lineage.numbers(name)
        done = [m for n in numbers if (m := lineage.committed(name, n)) is not None]
        reasons = sum((Counter(m.reasons) for m in done), Counter())
        before = [n for n in lineage.needs.get(name, (cut_after.get(name, ""),)) if n in made and not made[n].is_done]
        waits = before[0] if before else ""
        if not waits and name in lineage.needs and not is_ready(name, lake):
            waits = stage_class(name).fitted_by
        made[name] = Step(
            name,
            len(numbers),
            len(done),
            sum(m.rows for m in done),
            sum(m.ok for m in done),
            sum(m.failed for m in done),
            dict(sorted(reasons.items())),
            "" if numbers and len(done) == len(numbers) else waits,
        )
    return list(made.values())


def _state(lake: Lake, settings: Settings, batch: str, steps: list[Step]) -> tuple[str, str | None]:
    """A sentence, and the command that goes on."""
    again = f"winnow curate --batch {batch}"
    if not steps[0].shards:
        return "not ingested", again
    if not steps[0].rows:
        return "nothing lay in its inbox", again
    wanted = [step for step in steps if step.name not in stage_names() or stage_class(step.name).flow == "curate"]
    if unfitted := [step for step in wanted if step.waits_for.startswith("winnow ")]:
        undone = [step for step in wanted if not step.is_done and not step.waits_for]
        if not undone:
            return f"measured; {unfitted[0].name} waits for a fitted scorer", f"winnow fit --batches {batch}"
    if undone := [step for step in wanted if not step.is_done]:
        step = next((one for one in undone if not one.waits_for), undone[0])
        return f"not whole: {step.name} has {step.done} of {step.shards or '?'} shards", again
    head = batch_head(lake, batch)
    result = lake.read_json(f"gates/{batch}/result.json", f"run `winnow gate --batch {batch}` again")
    if not is_admitted(lake, settings, batch):
        if result is not None and not result["passed"]:
            return f"stopped by its gate: {lake.full(f'gates/{batch}/index.html')}", f"winnow gate --batch {batch}"
        state = "measured anew since it was admitted" if head else "measured, not admitted"
        return state, f"winnow gate --batch {batch}"
    if _holds(lake, batch, head) is None:
        return "admitted, in no current release", "winnow release"
    return "released", None


def _holds(lake: Lake, batch: str, head: dict[str, Any] | None) -> str | None:
    """The current release, where it holds what is admitted of a batch now."""
    current = publish.current(lake)
    if current is None or head is None:
        return None
    held = publish.manifest(lake, current)["batches"].get(batch)
    return current if held and held["tables"] == tables_of(head) else None


def lines(found: dict[str, Any], most: int) -> list[str]:
    """A status as lines for a person; at most so many failures."""
    told = [f"{found['batch']}: {found['state']}", ""]
    told.append(f"  {'step':<12} {'shards':>9} {'rows':>7} {'ok':>7} {'failed':>7}  ")
    for step in found["steps"]:
        reasons = ", ".join(f"{reason} {count}" for reason, count in step["reasons"].items())
        why = "; ".join(part for part in (reasons, step["waits_for"] and f"waits for {step['waits_for']}") if part)
        shards = f"{step['done']}/{step['shards']}" if step["shards"] else "-"
        counts = (step["rows"], step["ok"], step["failed"]) if step["done"] else ("", "", "")
        told.append(f"  {step['name']:<12} {shards:>9} {counts[0]:>7} {counts[1]:>7} {counts[2]:>7}  {why}".rstrip())
    if failed := found["failed"]:
        told += ["", f"failed ({len(failed)}):"]
        for one in failed[:most]:
            told.append(f"  {one['name']}: {one['step']}: {one['reason']}: {one['detail']}")
            if one["do"]:
                told.append(f"    {one['do']}")
        if len(failed) > most:
            told.append(f"  … and {len(failed) - most} more: --failed {len(failed)}, or --json for all")
    told += ["", f"next: {found['next']}" if found["next"] else "nothing is left to do"]
    return told


def overview_lines(found: dict[str, Any], lake: Lake, settings: Settings) -> list[str]:
    """An overview as lines for a person."""
    if not found["batches"]:
        return [f"no batch: neither in {lake.root} nor a folder in {settings.inbox}; README.md says how to begin"]
    width = max(len("batch"), *(len(one["batch"]) for one in found["batches"]))
    told = [f"{'batch':<{width}} {'rows':>7} {'clips':>7} {'failed':>7}  state"]
    for one in found["batches"]:
        following = f"; next: {one['next']}" if one["next"] else ""
        counts = f"{one['rows']:>7} {one['clips']:>7} {one['failed']:>7}"
        told.append(f"{one['batch']:<{width}} {counts}  {one['state']}{following}")
    return [*told, "", f"current release: {found['release'] or 'none'}"]
