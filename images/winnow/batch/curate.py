"""One batch from its lists to the gate in this process, without Airflow: for a first look, a laptop, a test.

The order is not written down here: it follows from what each stage needs, as it does in the DAG `curate`, which starts
the same commands as processes or pods and adds schedules, parts, retries, pools and a UI.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from graphlib import TopologicalSorter
from typing import Any

from winnow.core.lake import Lake
from winnow.core.runtime import run_stage
from winnow.core.sample import check_batch
from winnow.core.settings import Settings
from winnow.core.stage import is_ready, stage_class, stage_needs


def stages_after(cut: str) -> list[str]:
    """Stages of `curate` whose shards are those of a cut table, in an order in which each finds what it needs."""
    needs = {name: found for name, found in stage_needs().items() if stage_class(name).flow == "curate"}

    def origin(stage: str) -> str:
        return origin(needs[stage][0]) if stage in needs else stage

    order = TopologicalSorter({s: [n for n in sorted(needs[s]) if n in needs] for s in sorted(needs)}).static_order()
    return [s for s in order if origin(s) == cut]


def curate(
    batch: str,
    settings: Settings,
    lake: Lake,
    *,
    params: dict[str, dict[str, Any]] | None = None,
    shard_size: int = 16,
    retry: tuple[str, ...] = (),
    run: Callable[..., dict[str, Any]] = run_stage,
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
) -> dict[str, Any]:
    """Ingest, screen, decide, plan, measure, separate and gate one batch. `params` holds stage parameters by stage;
    `run` runs a stage, as `run_stage` does in this process.

    Returns what each step returned, by step. An empty partition ends after `ingest`; without a fitted scorer the batch
    is measured as far as it can be and waits for `winnow fit`. Clips that are cut shorter than a release keeps them are
    warned of before they are.
    """
    from winnow.batch.decide import decide_fetch, decide_separate
    from winnow.batch.ingest import ingest
    from winnow.batch.keys import nearest
    from winnow.batch.plan import plan
    from winnow.batch.windows import dropped_by_length
    from winnow.fitting.calibrate import calibrate_once
    from winnow.gates import gate_batch

    check_batch(batch)
    done: dict[str, dict[str, Any]] = {"ingest": ingest(batch, settings, lake)}
    if done["ingest"].get("empty"):
        near = nearest(settings.inbox, batch)
        there = f"; there are {', '.join(near)}" if near else ""
        say(f"{batch}: nothing lies in {settings.inbox / batch}, nothing to do{there}")
        return done

    for line in dropped_by_length(lake, settings, batch, params or {}):
        say(line)

    def measure(stage: str) -> None:
        retried = retry if stage == "fetch" else ()
        done[stage] = run(lake, stage, batch, (params or {}).get(stage, {}), settings, retry=retried)

    def measure_all(cut: str) -> list[str]:
        """Measure what follows a cut table; the stages that wait for a fitted scorer."""
        waiting = []
        for stage in stages_after(cut):
            if is_ready(stage, lake):
                measure(stage)
            else:
                waiting.append(stage)
        return waiting

    measure_all("ingest")
    done["decide"] = decide_fetch(batch, settings, lake)
    done["plan"] = plan(lake, batch, shard_size)
    waiting = measure_all("plan")
    done["flag"] = decide_separate(batch, settings, lake)
    if waiting := waiting + measure_all("flag"):
        say(
            f"{batch}: {' and '.join(waiting)} wait for a fitted scorer: run `winnow fit --batches {batch}`, then this "
            "again"
        )
        return done
    if (calibrated := calibrate_once(lake)) is not None:
        done["calibrate"] = calibrated
    done["gate"] = gate_batch([batch], settings, lake)
    return done
