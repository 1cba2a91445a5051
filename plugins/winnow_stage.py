"""How a DAG starts work: `stage()` for one part of a stage, `command()` for everything else the `winnow` program does.

The seam between Airflow and the work is a command line and lake paths; nothing else crosses. A task runs
`winnow …` in a process group of its own, copies its output to the task's log, and reads two things back: the exit code,
which decides between retry and failure, and the summary, one JSON object on the last line, which goes to XCom under
`summary` for people and the demo to read. No data passes through XCom, only the numbers of parts to map over.

    exit code           Airflow
    0                   success, or skipped when the summary has the key named by `skip_on`
    75                  retry: something outside was not there
    64-78 otherwise     fail at once: a retry repeats the same result
    anything else       retry: the process was killed or the machine is at fault

With `WINNOW_RUNTIME=local` (the default) the process runs on the Airflow worker; with `kubernetes` the same command
runs as a Job, from the image that it needs, while the task is deferred (winnow_pod.py, winnow_job.py). The exit codes
mean the same.

Tasks name one of three pools: `fetch`, `decode`, `warehouse`. They are Airflow's, described in pools.json beside this
file, and must exist, because a task of a missing pool is never scheduled: `airflow pools import plugins/pools.json`.
A slot of `fetch` is held while a Job runs too; the others stand for this machine, and bound no Jobs: a quota does.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from winnow_pod import DEADLINE_S, PERMANENT_EXIT_CODES

if TYPE_CHECKING:
    from airflow.sdk import Context

#: One event per admitted batch, its partition key the batch key. `release` listens to it.
BATCHES = Asset(name="winnow_batches", uri="winnow://batches")
#: The batch of a run of `curate`: its partition's key, or, of a run that was triggered without one, its Param `batch`.
BATCH = "{{ partition_key or params.get('batch') or '' }}"

#: What a task of Winnow gets unless its DAG says otherwise.
DEFAULT_ARGS: dict[str, Any] = {
    "owner": "winnow",
    # Two more attempts: what a worker's restart or a remote host's bad minute needs. Manifests make a retry cheap.
    "retries": 2,
    # The first retry soon (a killed process), the second later (a host that throttles).
    "retry_delay": timedelta(seconds=15),
    "retry_exponential_backoff": 4,
    # Finish what is begun: of two tasks that want a slot, the one further down its DAG goes first.
    "weight_rule": "upstream",
    # A stage that hangs must not hold its pool slot over the weekend; hours, because real shards are large. A Job has
    # the same as a deadline of its own.
    "execution_timeout": timedelta(seconds=DEADLINE_S),
}

#: Time between TERM and KILL, s: under the 5 s after which Airflow itself kills the task's process.
TERM_GRACE_S = 3.0


class WinnowOperator(BaseOperator):
    """Run `winnow <arguments>` and map its exit code to Airflow's states.

    :param arguments: the command line after `winnow`; templated, elements may be other tasks' results.
    :param skip_on: key of the summary that, when true, makes the task and what follows it skipped.
    :param needs_model: whether the stage needs a fitted model; without one in the lake the task is skipped with a hint.
    :param admits: batch keys (comma-separated, templated) for each of which every outlet gets an event.
    """

    template_fields: Sequence[str] = ("arguments", "admits")

    def __init__(
        self,
        *,
        arguments: Sequence[Any],
        skip_on: str | None = None,
        needs_model: bool = False,
        admits: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.arguments = list(arguments)
        self.skip_on = skip_on
        self.needs_model = needs_model
        self.admits = admits
        self._process: subprocess.Popen[str] | None = None

    def execute(self, context: Context) -> Any:
        """Run the command; the return value is what mapped tasks expand over, None for most commands."""
        arguments = [str(argument) for argument in self.arguments]
        if self.needs_model:
            arguments.append("--if-fitted")
        if on_kubernetes():
            self._defer(arguments, context)
        return self._finish(self._run(arguments), context)

    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        """Its Job has ended: what became of it, as `execute` gives it."""
        from winnow_job import outcome

        return self._finish(outcome(event, f"`winnow {shlex.join(map(str, self.arguments))}`"), context)

    def _finish(self, summary: dict[str, Any], context: Context) -> Any:
        context["ti"].xcom_push(key="summary", value=summary)
        if summary.get("unfitted"):
            raise AirflowSkipException(
                f"no {summary['unfitted']!r} model is fitted yet: trigger the DAG that fits it (`fit`, `select`) with "
                "the batches to fit it on; it measures and admits them, and later batches use the model on their own"
            )
        if self.skip_on and summary.get(self.skip_on):
            raise AirflowSkipException(f"{self.skip_on}: nothing to do for what follows")
        for outlet in self.outlets if self.admits else ():
            context["outlet_events"][outlet].add_partitions(self.admits.split(","))
        return self.units(summary, context)

    def units(self, summary: dict[str, Any], context: Context) -> list[Any] | None:
        """What a task group maps over after this command; nothing by default."""
        return None

    def _defer(self, arguments: list[str], context: Context) -> None:
        """Hand the command to the triggerer, as a Job. Never returns."""
        from winnow_job import JobTrigger
        from winnow_pod import Attempt, Cluster, job

        try:
            cluster = Cluster.from_environment()
        except ValueError as error:
            raise AirflowFailException(str(error)) from error
        ti = context["ti"]
        index = ti.map_index if ti.map_index is not None else -1
        attempt = Attempt(ti.dag_id, ti.run_id, ti.task_id, index, ti.try_number, str(ti.id))
        trigger = JobTrigger(job(arguments, attempt, cluster), cluster.connection, cluster.pending_s)
        self.defer(trigger=trigger, method_name="resume", timeout=timedelta(seconds=cluster.timeout_s))

    def _run(self, arguments: list[str]) -> dict[str, Any]:
        command = [*winnow_command(), *arguments]
        self.log.info("%s", shlex.join(["winnow", *arguments]))
        last = ""
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
            start_new_session=True,  # its own group, so that on_kill reaches whatever the stage has started
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.log.info("%s", line.rstrip())
            last = line if line.startswith("{") else last
        code = self._process.wait()
        if code == 0:
            return json.loads(last) if last else {}
        raise failure(code, f"`winnow {shlex.join(arguments)}`")

    def on_kill(self) -> None:
        """Cleared, timed out or stopped: end the whole process group. A half-written shard has no manifest."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        _signal_group(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + TERM_GRACE_S
        while time.monotonic() < deadline and not _has_exited(process.pid):
            time.sleep(0.05)
        _signal_group(process.pid, signal.SIGKILL)


class PlanOperator(WinnowOperator):
    """`winnow plan`; the tasks after it map over its parts: as many as asked for, no more than there are shards."""

    def units(self, summary: dict[str, Any], context: Context) -> list[int]:
        """[0, …]: at least one part, so that a batch without accepted candidates still leaves its empty tables."""
        return list(range(max(1, min(int(context["params"]["parts"]), int(summary["shards"])))))


class FitOperator(WinnowOperator):
    """`winnow fit`; the tasks after it map over its batches."""

    def units(self, summary: dict[str, Any], context: Context) -> list[str]:
        """The batch keys, sorted, so that the order of the Param changes nothing."""
        return sorted(context["params"]["batches"])


class BatchesOperator(WinnowOperator):
    """A command whose summary names batches; the tasks after it map over those."""

    def units(self, summary: dict[str, Any], context: Context) -> list[str]:
        """The batch keys of the summary, as the command ordered them."""
        return list(summary["batches"])


class CellsOperator(WinnowOperator):
    """`winnow benchmark sets`; the tasks after it map over its cells: model × set × seed."""

    def units(self, summary: dict[str, Any], context: Context) -> list[str]:
        """The cells, as the command ordered them."""
        return list(summary["cells"])


def command(
    name: str, *arguments: Any, operator: type[WinnowOperator] = WinnowOperator, pool: str = "warehouse", **kwargs: Any
) -> WinnowOperator:
    """A task `name` that runs `winnow name arguments…`; give `task_id` where the two differ."""
    kwargs.setdefault("task_id", name)
    return operator(arguments=[*name.split(), *arguments], pool=pool, **kwargs)


def chosen(*params: str) -> list[str]:
    """Options of a command that a run's Params give as they are: `--name` and its value."""
    return [part for name in params for part in (f"--{name}", f"{{{{ params.{name} }}}}")]


def stage(
    name: str, *, batch: Any = BATCH, part: Any = 0, parts: Any = 1, pool: str = "decode", **kwargs: Any
) -> WinnowOperator:
    """The task `name`: part `part` of `parts` of one stage over one batch.

    The stage's parameters and the reasons to try again come from the DAG's Params `stages` and `retry_reasons`,
    where it has them.
    """
    arguments = ["run", name, "--batch", batch, "--part", part, "--parts", parts]
    arguments += ["--params", f"{{{{ params.get('stages', {{}}).get('{name}', {{}}) | tojson }}}}"]
    arguments += ["--retry-reasons", "{{ params.get('retry_reasons', []) | join(',') }}"]
    return WinnowOperator(task_id=name, arguments=arguments, pool=pool, **kwargs)


def unless_asked(param: str) -> Callable[[Context], None]:
    """A `pre_execute` hook: the task is skipped unless the run's boolean Param asks for it."""

    def skip(context: Context) -> None:
        if not context["params"][param]:
            raise AirflowSkipException(f"the Param {param!r} is off")

    return skip


def unless_chosen(param: str, *names: str) -> Callable[[Context], None]:
    """A `pre_execute` hook: the task is skipped unless the run's list Param names one of these."""

    def skip(context: Context) -> None:
        if not set(names) & set(context["params"][param]):
            raise AirflowSkipException(f"the Param {param!r} names none of {', '.join(names)}")

    return skip


def unless_deployed(setting: str) -> Callable[[Context], None]:
    """A `pre_execute` hook: the task is skipped unless the environment of this deployment gives the setting a value."""

    def skip(context: Context) -> None:
        if not os.environ.get(setting, "").strip():
            raise AirflowSkipException(f"{setting} is empty")

    return skip


def on_kubernetes() -> bool:
    """Whether commands run as Jobs: the one place that asks."""
    runtime = os.environ.get("WINNOW_RUNTIME", "local")
    if runtime not in ("local", "kubernetes"):
        raise AirflowFailException(f"WINNOW_RUNTIME={runtime}: it is local or kubernetes")
    return runtime == "kubernetes"


def winnow_command() -> list[str]:
    """The `winnow` program of this environment, or `WINNOW_COMMAND` where Winnow has an environment of its own."""
    return shlex.split(os.environ.get("WINNOW_COMMAND", "")) or [sys.executable, "-m", "winnow.cli"]


def failure(code: int, what: str) -> AirflowException:
    """The exception that makes Airflow do what an exit status (negative: a signal) asks for."""
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    if code in PERMANENT_EXIT_CODES:
        return AirflowFailException(f"{what} {how}; a retry would repeat it, the reason is above")
    return AirflowException(f"{what} {how}; a retry may help")


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _has_exited(pid: int) -> bool:
    """Whether a child has ended, without reaping it: the interrupted `wait` of `execute` still wants its status."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
