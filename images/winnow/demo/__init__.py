"""The demo: the main job, end to end, on a small world whose truth is known, through a real Airflow.

It is a harness around the house and no part of it: it makes and serves the world, starts Airflow in a folder, asks for
a backfill as any user would, waits, and compares what was published with what was planted. Nothing in `dags/`,
`plugins/` or the stages knows about it.

    airflow_local.py   Airflow standalone in a folder, and its REST API: start, wait, stop
    world_process.py   the world's maker and server as processes
    processes.py       which processes are the demo's, and their end
    folder.py          DIR: what lies where, the lock, what earlier runs left
    progress.py        lines while Airflow works; what each task reported
    truth.py           planted against found, AUC, DIR/truth.json
    run.py             the order of it all
    cli.py             winnow demo run | stop | clean
"""

from __future__ import annotations

from pathlib import Path

from winnow.core.errors import ConfigError

#: The checkout that this package lies in, if it lies in one.
CHECKOUT = Path(__file__).resolve().parents[3]
#: What the demo takes from it.
PARTS = ("dags", "plugins", "tests/world")


def main(arguments: list[str]) -> int:
    """`winnow demo …`; returns the exit code. ConfigError where the package was installed without its checkout."""
    if not all((CHECKOUT / part).is_dir() for part in PARTS):
        raise ConfigError(
            "the demo needs a checkout, with its DAGs and the world of its tests: clone the repository, then `make "
            "demo`. Your own videos need none: `winnow curate`"
        )
    from winnow.demo.cli import run_cli

    return run_cli(arguments)
