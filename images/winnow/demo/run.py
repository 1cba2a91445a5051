"""The order of the demo: world and Airflow, backfill, fit, release; then planted against found."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from winnow.core.errors import ContractError
from winnow.core.lake import Lake
from winnow.demo import processes, truth
from winnow.demo.airflow_local import LocalAirflow
from winnow.demo.folder import DemoFolder, State
from winnow.demo.progress import FIRST, Printer, Watch
from winnow.demo.world_process import WorldHost, WorldMaker

FIRST_DAY = date(2026, 11, 1)
#: The scorer is fitted on these first days; later ones use it as it is.
FITTED_DAYS = 3
#: Minutes for a new video on two cores; what Airflow's start, a look at finished work and its end take is one minute.
MINUTES_VIDEO = 0.035
DAGS = ["curate", "fit", "release"]
STATISTICS = """
    select split, clips, videos, round(clip_hours, 4) as clip_hours, round(unique_hours, 4) as unique_hours,
           round(mean_duration_s, 2) as mean_duration_s
    from rpt_statistics where scope in ('total', 'split') order by scope desc, split
"""


@dataclass(frozen=True)
class Options:
    """What a user may choose. `videos` counts for three days; a fourth adds a third of it."""

    folder: Path
    seed: int = 0
    videos: int = 96
    batches: int = FITTED_DAYS
    keep: bool = False
    kinds: bool = True


def run(options: Options) -> None:
    """One run of the demo; a WinnowError says what failed and where its log lies. Leaves no process unless `keep`."""
    folder, say = DemoFolder(options.folder), Printer()
    with folder.claim():
        left = folder.stop()
        state = folder.open(options.seed, options.videos, options.kinds)
        days = day_keys(max(options.batches, len(state.days)))
        fresh = len(set(days) - set(state.days)) * options.videos // FITTED_DAYS
        need_mb, minutes = folder.check_space(fresh), round(1 + MINUTES_VIDEO * fresh)
        say(
            f"{len(days)} days in {folder.root}, {f'{fresh} videos of them new' if fresh else 'all done before'}: "
            f"about {minutes} {'minute' if minutes == 1 else 'minutes'} on two idle cores and {need_mb} MB of disk."
        )
        if left:
            say(f"ended {left} processes that an earlier run had left open")
        keep = False
        try:
            with _unfinished(folder, state):
                airflow = _work(folder, state, days, options, say)
            _show(folder, state, options, say)
            keep = options.keep
        finally:
            if not keep:
                folder.stop()
        if keep:
            say(f"Airflow: {airflow.api.url} (and the world's server) stay open")
            say(f"end them with `make stop DIR={options.folder}`")
        say("done" if keep else "done; nothing is left running")


def day_keys(count: int) -> list[str]:
    """Keys of the first days of the world."""
    return [(FIRST_DAY + timedelta(days=day)).isoformat() for day in range(count)]


@contextmanager
def _unfinished(folder: DemoFolder, state: State) -> Iterator[None]:
    """While this runs, the folder says that Airflow's history may name tasks that are gone."""
    state.clean_end = False
    folder.write_state(state)
    yield
    state.clean_end = True
    folder.write_state(state)


def _work(folder: DemoFolder, state: State, days: list[str], options: Options, say: Printer) -> LocalAirflow:
    before, splits = folder.manifests(), _splits(folder)
    mark = processes.marked_environment(folder.root)
    environment = {**os.environ, **mark}
    world = WorldMaker(
        folder.world,
        seed=options.seed,
        videos=options.videos,
        batches=len(days),
        kinds=options.kinds,
        environment=environment,
        say=say,
    )
    world.wait_prepared()
    host = WorldHost(
        folder.world, host=demo_host(), keep=options.keep, environment=environment, log=folder.logs / "world.log"
    )
    airflow = LocalAirflow(
        folder.airflow,
        {**mark, **deployment(folder, host.rewrites)},
        folder.logs / "airflow.log",
    )
    say(f"making the world and starting Airflow, at {airflow.api.url}")
    airflow.start()
    airflow.wait_ready(DAGS)
    airflow.set_pools()
    say("Airflow is ready")
    made = world.wait()
    say(f"the world is ready: {made['videos']} videos on {len(days)} days, {made['made']} of them made now")
    watch = Watch(airflow.api, now(), folder.airflow / "logs", say)
    for dag in DAGS:
        airflow.api.unpause(dag)
    if Lake(folder.lake).model_current("correspond") is None:
        _curate(airflow, watch, days[:FITTED_DAYS])
        say(f"no scorer is fitted yet: trigger `fit` over {', '.join(days[:FITTED_DAYS])}")
        airflow.api.trigger("fit", batches=days[:FITTED_DAYS])
        watch.until("fit", _all_over)
        rest = days[FITTED_DAYS:]
    else:
        rest = days
    if rest:
        _curate(airflow, watch, rest)
    _release(airflow, watch)
    _check(folder, state, watch, before, splits, say)
    state.days = sorted({*state.days, *days})
    return airflow


def demo_host() -> str:
    """The address that the world is served on: loopback, or what WINNOW_DEMO_HOST says that pods of a cluster on this
    machine reach it by."""
    return os.environ.get("WINNOW_DEMO_HOST", "127.0.0.1")


def deployment(folder: DemoFolder, rewrites: dict[str, str]) -> dict[str, str]:
    """The environment of Winnow's tasks: the lake, the inbox, and the world's server for the hosts that lists name."""
    return {
        "WINNOW_LAKE": str(folder.lake),
        "WINNOW_INBOX": str(folder.inbox),
        "WINNOW_FETCH_ALLOW_NETWORKS": f"{demo_host()}/32",
        "WINNOW_FETCH_REWRITES": json.dumps(rewrites),
        "WINNOW_FETCH_TIMEOUT_S": "3",  # a link that hangs is planted; a real host deserves the default
        "WINNOW_FETCH_DEADLINE_S": "60",
    }


def _curate(airflow: LocalAirflow, watch: Watch, days: list[str]) -> None:
    watch.say(f"backfill of `curate` over {days[0]} to {days[-1]}")
    airflow.api.backfill("curate", days[0], days[-1])

    def done(runs: list[dict]) -> bool:
        over = {run["partition_key"] for run in runs if run["state"] == "success"}
        return set(days) <= over and _all_over(runs)

    watch.until("curate", done)


def _all_over(runs: list[dict]) -> bool:
    return bool(runs) and all(run["state"] in ("success", "failed") for run in runs)


def _release(airflow: LocalAirflow, watch: Watch) -> None:
    """Wait until every event that admitted a batch has led to a release run that ended."""

    def done(runs: list[dict]) -> bool:
        events = airflow.api.asset_events(watch.since)
        if events == []:
            raise ContractError("no batch was admitted, so nothing triggers `release`; see the `gate` tasks' logs")
        return _all_over(runs) and events is not None and all(event["created_dagruns"] for event in events)

    watch.until("release", done)


def _check(
    folder: DemoFolder, state: State, watch: Watch, before: set[str], splits: dict[str, str], say: Callable[[str], None]
) -> None:
    """Finished work stays finished: nothing is computed twice without a cause, no clip changes its split."""
    watched = {answer["batch"] for _, _, _, answer in watch.summaries if "stage" in answer}
    stages = [(key, answer) for _, key, _, answer in watch.summaries if "stage" in answer and key in state.days]
    causes = {why for _, answer in stages for why in answer["why"]}
    if FIRST in causes:
        again = [f"{answer['stage']} {key}" for key, answer in stages if FIRST in answer["why"]]
        raise ContractError(f"computed again although it was done: {', '.join(again)}")
    names = {answer["stage"] for _, answer in stages}
    computed = sum(path.split("/")[0] in names for path in folder.manifests() - before)
    if state.days:
        because = f" ({'; '.join(sorted(causes))})" if causes else ""
        shards = sum(answer["shards"] for _, answer in stages)
        say(f"of {shards} shards of finished days {sum(a['computed'] for _, a in stages)} were computed again{because}")
        if computed and watched <= set(state.days) and not causes:
            raise ContractError(f"{computed} shards were committed although every stage found its work done")
    after = _splits(folder)
    if moved := sorted(clip for clip in splits.keys() & after.keys() if splits[clip] != after[clip]):
        raise ContractError(f"{len(moved)} published clips changed their split, {moved[0]} the first of them")
    if splits:
        say(f"none of the {len(splits.keys() & after.keys())} clips published before changed its split")


def _splits(folder: DemoFolder) -> dict[str, str]:
    """Split of every published clip; {} before the first release."""
    from winnow.release import publish, query

    lake = Lake(folder.lake)
    if publish.current(lake) is None:
        return {}
    rows = json.loads(query.run(lake, "select sample_id, split from fct_clips where status = 'kept'", "json"))
    return {row["sample_id"]: row["split"] for row in rows}


def _show(folder: DemoFolder, state: State, options: Options, say: Printer) -> None:
    from winnow.release import publish, query

    lake = Lake(folder.lake)
    about = {"seed": options.seed, "videos": options.videos, "days": state.days}
    found = {**about, **truth.compare(folder.world, folder.lake)}
    folder.truth.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"\nThe published dataset, release {publish.current(lake)}:\n{query.run(lake, STATISTICS, 'table')}")
    print(f"Planted against found:\n{truth.table(found)}\n")
    print(f"report      {publish.report_path(lake)}")
    print(f"truth       {folder.truth}; compared again by .venv/bin/winnow demo truth --dir {options.folder}")
    print(f'query       WINNOW_LAKE={folder.lake} .venv/bin/winnow sql "from rpt_funnel"\n', flush=True)


def now() -> str:
    """This moment, as Airflow's API writes it."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
