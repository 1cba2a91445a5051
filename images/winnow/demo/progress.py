"""Lines while Airflow works: what each task reported when it ended, and a word when nothing ends for a while."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from winnow.core.errors import TransientError, WinnowError
from winnow.demo.airflow_local import AirflowApi

POLL_S = 2.0
#: Say what runs when nothing has ended for so long, s.
QUIET_S = 15.0
#: A phase that takes longer has gone wrong, s; the whole first run takes 300.
PHASE_TIMEOUT_S = 1800.0
#: What a stage answers of shards that nobody has computed before.
FIRST = "first run"
#: Beginnings of log lines that Airflow writes around a command's own.
AIRFLOWS_OWN = ("::", "DAG bundles loaded", "Filling up the DagBag", "Worker startup", "Task failed with exception")
OVER = ("success", "failed", "skipped", "upstream_failed", "removed")


class RunFailed(WinnowError):
    """A DAG run failed; the message holds the end of the failed task's log and its place."""


class Printer:
    """Lines with the time since the start before them."""

    def __init__(self) -> None:
        self.started = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Since the start, s."""
        return time.monotonic() - self.started

    def __call__(self, text: str) -> None:
        """Print a line with the time since the start before it."""
        seconds = round(self.elapsed_s)
        print(f"[{seconds // 60:2d}:{seconds % 60:02d}] {text}", flush=True)


class Watch:
    """Follows runs of DAGs that were queued since it was made.

    `summaries` keeps what the commands of ended tasks answered: (dag, partition or '', task, answer).
    """

    def __init__(self, api: AirflowApi, since: str, logs: Path, say: Callable[[str], None]) -> None:
        self.api, self.since, self.logs, self.say = api, since, logs, say
        self.summaries: list[tuple[str, str, str, dict]] = []
        self._told: set[tuple] = set()
        self._over: set[str] = set()
        self._last_word = time.monotonic()

    def until(self, dag: str, done: Callable[[list[dict]], bool]) -> list[dict]:
        """Wait until `done` says so of the DAG's runs. RunFailed as soon as one of them fails."""
        deadline = time.monotonic() + PHASE_TIMEOUT_S
        while True:
            runs = self.api.runs(dag, self.since)
            running = [line for run in runs for line in self._follow(run)]
            if done(runs):
                return runs
            if time.monotonic() - self._last_word > QUIET_S:
                self._tell(f"{dag}: at work on {', '.join(running)}" if running else f"{dag}: waiting for Airflow")
            if time.monotonic() > deadline:
                raise TransientError(f"{dag} has not ended within {PHASE_TIMEOUT_S / 60:.0f} minutes")
            time.sleep(POLL_S)

    def _tell(self, text: str) -> None:
        self.say(text)
        self._last_word = time.monotonic()

    def _follow(self, run: Mapping) -> list[str]:
        """Report what has ended in a run; returns what is running."""
        if run["dag_run_id"] in self._over:
            return []
        running, failed = [], None
        tasks = self.api.tasks(run)
        for task in sorted(tasks, key=lambda task: str(task["end_date"])):
            key = (run["dag_run_id"], task["task_id"], task["map_index"], task["try_number"], task["state"])
            if task["state"] == "running":
                running.append(name_of(run, task).removeprefix(f"{run['dag_id']} "))
            elif task["state"] in (*OVER, "up_for_retry") and key not in self._told:
                self._told.add(key)
                self._report(run, task)
            if task["state"] == "failed":
                failed = task
        if run["state"] == "failed":
            raise RunFailed(self._explain(run, failed or tasks[0]))
        if run["state"] == "success":
            self._over.add(run["dag_run_id"])
        return running

    def _report(self, run: Mapping, task: Mapping) -> None:
        if task["state"] == "up_for_retry":
            self._tell(f"{name_of(run, task)}: failed, will be tried again; log: {self.log_of(task)}")
        if task["state"] not in ("success", "skipped") or not task["try_number"]:
            return  # skipped before it began, because of what came before it
        answer = self.api.summary(task)
        self.summaries.append((run["dag_id"], run["partition_key"] or "", task["task_id"], answer))
        if text := describe(task["task_id"], answer, skipped=task["state"] == "skipped"):
            self._tell(f"{name_of(run, task)}: {text} ({task['duration'] or 0:.1f} s)")

    def log_of(self, task: Mapping) -> Path:
        """Where Airflow keeps the log of a task's last attempt."""
        folder = self.logs / f"dag_id={task['dag_id']}" / f"run_id={task['dag_run_id']}" / f"task_id={task['task_id']}"
        if task["map_index"] >= 0:
            folder /= f"map_index={task['map_index']}"
        return folder / f"attempt={task['try_number']}.log"

    def _explain(self, run: Mapping, task: Mapping) -> str:
        log = self.log_of(task)
        said = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
        events = [event for line in said if not (event := _event(line)).startswith(AIRFLOWS_OWN)]
        lines = [f"    {event}" for event in events[-15:]]
        return "\n".join([f"{name_of(run, task)} failed:", *lines, f"  the whole log: {log}"])


def _event(line: str) -> str:
    """The text of one line of a task's log, which Airflow keeps as JSON."""
    try:
        return str(json.loads(line)["event"])
    except (ValueError, KeyError, TypeError):
        return line


def name_of(run: Mapping, task: Mapping) -> str:
    """A task in words: which DAG, which batch, which part."""
    part = f"[{task['map_index']}]" if task["map_index"] > 0 else ""
    key = run["partition_key"] if run["dag_id"] == "curate" else None
    return " ".join(word for word in (run["dag_id"], key, f"{task['task_id']}{part}") if word)


def describe(task: str, answer: Mapping, *, skipped: bool = False) -> str:
    """What a command answered, in a few words; '' for what needs no line."""
    if skipped:
        if answer.get("empty"):
            return "no list lies in the inbox; nothing follows and nothing is triggered"
        if answer.get("already"):
            return f"this content is release {answer.get('release')} already; nothing to do"
        return "" if task == "approve" else "waits for a fitted scorer"
    if answer.get("computed") in (0, False) and "computed" in answer:
        return f"skip, {count(answer['shards'], 'shard')} done before" if answer.get("shards") else "skip, done before"
    counted = ("rows", "ok", "failed", "accepted", "rejected", "flagged")
    words = [f"{answer[key]} {key}" for key in counted if answer.get(key)]
    if reasons := answer.get("reasons"):
        words.append("of them " + ", ".join(f"{number} {reason}" for reason, number in sorted(reasons.items())))
    if task == "plan":
        words = [f"{count(answer['rows'], 'candidate')} in {count(answer['shards'], 'shard')}"]
    if "model" in answer and task == "fit":
        words = [f"scorer {answer['model']} frozen"]
    if "release" in answer:
        words = [f"release {answer['release']}"]
    if causes := [why for why in answer.get("why", ()) if why != FIRST]:
        words.append(f"because {'; '.join(causes)}")
    return ", ".join(words) or "done"


def count(number: int, noun: str) -> str:
    """'1 shard', '2 shards'."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
