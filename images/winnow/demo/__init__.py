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


def main(arguments: list[str]) -> int:
    """`winnow demo …`; returns the exit code."""
    from winnow.demo.cli import run_cli

    return run_cli(arguments)
