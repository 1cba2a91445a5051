"""Prints what Airflow makes of the DAG folder, as JSON: parsed in a process of its own, so that a test's process does
not import Airflow's half, and so that the time it takes is measured as Airflow sees it."""

from __future__ import annotations

import json
import logging
import sys
import time

from airflow.dag_processing.dagbag import DagBag


def main(folder: str) -> None:
    """Parse, describe, print."""
    logging.disable(logging.CRITICAL)
    before = set(sys.modules)
    clock = time.process_time()
    bag = DagBag(folder)
    seconds = time.process_time() - clock
    dags = {}
    for dag in bag.dags.values():
        tasks = {}
        for task in dag.tasks:
            tasks[task.task_id] = {
                "downstream": sorted(task.downstream_task_ids),
                "arguments": [str(argument) for argument in getattr(task, "arguments", [])],
                "outlets": [outlet.name for outlet in task.outlets],
                "pool": task.pool,
                "retries": task.retries,
                "trigger_rule": str(task.trigger_rule.value),
                "owner": task.owner,
                "mapped": any(True for _ in task.iter_mapped_task_groups()),
            }
        dags[dag.dag_id] = {
            "tasks": tasks,
            "doc_md": dag.doc_md,
            "tags": sorted(dag.tags),
            "timetable": type(dag.timetable).__name__,
            "max_active_runs": dag.max_active_runs,
            "catchup": dag.catchup,
            "params": {name: dag.params.get_param(name).schema for name in dag.params},
        }
    answer = {
        "dags": dags,
        "errors": bag.import_errors,
        "seconds": seconds,
        "modules": sorted({name.split(".")[0] for name in set(sys.modules) - before}),
    }
    print("\n" + json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1])
