"""A stage in a process of its own, which what it opens cannot take with it.

A decoder that a broken file makes write where it must not, take all memory or go round in a circle ends its process.
So `winnow` itself opens no media: it forks a child that runs the stage's shards, without network where it needs none
(`confine`), and looks at its memory. Where the child ends by a signal or for want of memory, the next one goes on from
there at once, with each sample of that shard alone (`attempt`), until the sample that did it is known.

A process can be forked as long as it has started no thread and opened no connection. `winnow run` forks before it
looks into the lake; a command of many steps forks a Keeper first, whose children run its stages.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any

from winnow.core import confine, extras, own_fault
from winnow.core.attempt import out_of_memory, terminated_by_an_exception
from winnow.core.config import stage_params
from winnow.core.errors import EXIT_FAIL, TransientError, WinnowError
from winnow.core.lake import Lake
from winnow.core.no_pandas import without_pandas
from winnow.core.runtime import Runtime, reasons_of
from winnow.core.sample import check_batch
from winnow.core.settings import Settings
from winnow.core.stage import is_ready, parse_params, stage_class
from winnow.core.summary import Going

#: How often a child's memory is looked at, s: it writes to some tens of MB meanwhile.
WATCH_S = 0.02
#: What ends a process that was asked to end.
_ASKED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_CONTEXT = multiprocessing.get_context("fork")
_DONE, _FAILED = "done", "failed"

#: What a child does with a task that went so far: settings, task, how far, who hears how far it comes; its answer.
Work = Callable[[Settings, "Task", Going | None, Callable[[str, object], None]], dict[str, Any]]


@dataclass(frozen=True)
class Task:
    """A stage to run over a part of a batch, as `runtime.run_stage`; `if_fitted`: only once its model is fitted;
    `again`: only rows of committed shards that failed for one of `retry`."""

    stage: str
    batch: str
    params: dict[str, Any] = field(default_factory=dict)
    part: int = 0
    parts: int = 1
    retry: tuple[str, ...] = ()
    if_fitted: bool = False
    again: bool = False

    @property
    def is_online(self) -> bool:
        """Whether it may use the network beside the lake's."""
        return stage_class(self.stage).pod(self.params)[0] == "fetch"


class Children:
    """Runs tasks in children of this process; one lives on for the tasks that may run in it, as long as it lives."""

    def __init__(self, settings: Settings, work: Work | None = None) -> None:
        self.settings, self.work = settings, work or run_task
        self.most = confine.limit_bytes(settings.memory_mb)
        self._child: _Child | None = None

    def __enter__(self) -> Children:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._end(asked=kind is not None)

    def run(self, task: Task) -> dict[str, Any]:
        """The answer of a task. Raises what it raises; TransientError when its process was ended and the next one could
        not come further."""
        restore = terminated_by_an_exception()
        went: Going | None = None
        reached: tuple[Any, ...] | None = None
        try:
            while True:
                end = self._ask(task, went)
                if end.answer is not None:
                    return end.answer
                came_further = end.working is not None and (reached is None or end.working > reached)
                if not (end.is_odd and came_further):
                    raise end.error or TransientError(self._stuck(task, end))
                print(
                    f"winnow: {task.stage} of batch {task.batch}: its process {end.how}. The next one goes on from "
                    "there, with each sample of that shard alone",
                    file=sys.stderr,
                    flush=True,
                )
                went, reached = end.went, end.working
                self._end()
        except BaseException as error:
            self._end(asked=not isinstance(error, Exception))
            raise
        finally:
            restore()

    def _ask(self, task: Task, went: Going | None) -> _End:
        online = task.is_online or "://" in self.settings.lake
        if self._child is not None and (self._child.online != online or self._child.is_spent):
            self._end()
        if self._child is None:
            self._child = _Child(self.work, self.settings, online)
        return self._child.ask(task, went, self.most)

    def _end(self, asked: bool = False) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end(asked)

    def _stuck(self, task: Task, end: _End) -> str:
        return (
            f"{task.stage} of batch {task.batch}: its process {end.how} while it worked on no sample that could be "
            "told, so nothing more was committed. Give it more memory (its pod's; WINNOW_MEMORY_MB, MiB), then run the "
            "same command again"
        )


@dataclass
class _End:
    """How a task ended in a child: its answer, or what it raised, or neither where the process was ended; how far it
    had come, and what it was working on."""

    answer: dict[str, Any] | None = None
    error: Exception | None = None
    is_odd: bool = False
    how: str = ""
    went: Going | None = None
    working: tuple[Any, ...] | None = None


class _Child:
    """A child process that takes one task after the other."""

    def __init__(self, work: Work, settings: Settings, online: bool) -> None:
        self.online, self.is_spent = online, False
        ours, theirs = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(target=_live, args=(ours, theirs, work, settings, online, os.getpid()))
        self.process.start()
        theirs.close()
        self.line = ours

    def ask(self, task: Task, went: Going | None, most: int) -> _End:
        """Let it run a task; kill it once it takes more than `most` bytes."""
        end = _End(went=went)
        try:
            self.line.send((task, went))
            while True:
                ready = wait([self.line, self.process.sentinel], WATCH_S)
                if not ready:
                    if not self.is_spent and confine.used_bytes(self.process.pid or 0) > most:
                        self.is_spent = True
                        self.process.kill()
                    continue
                if self.line not in ready and not self.line.poll():
                    raise EOFError
                kind, said = self.line.recv()
                if kind == _DONE:
                    end.answer = said
                    return end
                if kind == _FAILED:
                    error, trace, end.is_odd = said
                    end.error, end.how = _with_trace(error, trace), "had no memory left"
                    return end
                setattr(end, kind, said)
        except (EOFError, ConnectionError):
            self.process.join()
        code = self.process.exitcode or 0
        if -code in _ASKED or code - 128 in _ASKED:
            raise SystemExit(code if code > 0 else 128 - code)
        end.is_odd = True
        if self.is_spent:
            end.how = (
                f"took more than the {most >> 20} MiB of memory that it may (WINNOW_MEMORY_MB; nine tenths of the "
                "pod's by default) and was ended"
            )
        else:
            end.how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        return end

    def end(self, asked: bool) -> None:
        """End it; where it was `asked` to, in the middle of a task, as SIGTERM would end it."""
        self.line.close()
        try:
            if asked and self.process.is_alive():
                self.process.terminate()
            self.process.join()
        finally:
            self.process.kill()
            self.process.join()
            self.process.close()


class Keeper:
    """Children of a process that will soon start threads: made before that, it forks them in its stead."""

    def __init__(self, settings: Settings, work: Work | None = None) -> None:
        self.line, theirs = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(target=_keep, args=(self.line, theirs, settings, work, os.getpid()))
        self.process.start()
        theirs.close()

    def __enter__(self) -> Keeper:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.line.close()
        if kind is not None and not issubclass(kind, Exception):
            self.process.terminate()
        self.process.join()

    def run_stage(
        self,
        lake: Lake,
        name: str,
        batch: str,
        params: dict[str, Any],
        settings: Settings,
        part: int = 0,
        parts: int = 1,
        retry: tuple[str, ...] = (),
        again: bool = False,
    ) -> dict[str, Any]:
        """As `runtime.run_stage`, in a child that opens the settings' lake itself."""
        return self.ask(Task(name, batch, params, part, parts, tuple(retry), again=again))

    def ask(self, task: Task) -> dict[str, Any]:
        """As `Children.run`."""
        restore = terminated_by_an_exception()
        try:
            self.line.send(task)
            kind, said = self.line.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            code = self.process.exitcode or 0
            raise SystemExit(128 - code if code < 0 else code or EXIT_FAIL) from None
        finally:
            restore()
        if kind == _DONE:
            answer: dict[str, Any] = said
            return answer
        raise _with_trace(*said[:2])


def run_task(settings: Settings, task: Task, went: Going | None, tell: Callable[[str, object], None]) -> dict[str, Any]:
    """What a child does: as `runtime.run_stage`, telling how far it came."""
    lake, cls = Lake(settings.lake), stage_class(task.stage)
    if task.if_fitted and not is_ready(task.stage, lake):
        return {"stage": task.stage, "batch": task.batch, "unfitted": task.stage}
    values = parse_params(cls, stage_params(lake, task.stage, check_batch(task.batch), task.params))
    reasons, stage = reasons_of(task.retry), cls(values, lake, settings)
    runtime = Runtime(stage, lake, task.batch, tell=tell, prepare=without_pandas)
    return asdict(runtime.try_again(reasons, went) if task.again else runtime.run(task.part, task.parts, reasons, went))


def _live(theirs: Connection, line: Connection, work: Work, settings: Settings, online: bool, parent: int) -> None:
    """A child's life: one task after the other, until nobody asks."""
    theirs.close()
    _quiet()
    if not online:
        confine.leave_network()
    confine.end_with(parent)
    _serve(line, lambda asked: work(settings, asked[0], asked[1], lambda kind, said: line.send((kind, said))))


def _keep(theirs: Connection, line: Connection, settings: Settings, work: Work | None, parent: int) -> None:
    """A keeper's life: one task after the other, each in a child."""
    theirs.close()
    _quiet()
    confine.end_with(parent)
    with Children(settings, work) as children:
        _serve(line, children.run)


def _serve(line: Connection, work: Callable[..., dict[str, Any]]) -> None:
    while True:
        try:
            asked = line.recv()
        except (EOFError, ConnectionError):
            return
        try:
            said: tuple[str, object] = (_DONE, work(asked))
        except Exception as error:
            said = (_FAILED, _portable(error))
        line.send(said)


def _quiet() -> None:
    """Ctrl-C is for the process that a person started, which then ends this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


class _InChild(Exception):
    """Where in a child an exception was raised: its traceback there."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def _portable(error: Exception) -> tuple[Exception, str, bool]:
    """An exception as another process can raise it, its traceback in words (of what nobody foresaw only), and whether
    there was no memory. What it comes from stays behind, so a fault of our own side is told as what it stands for."""
    odd = out_of_memory(error)
    told = error if isinstance(error, WinnowError) else own_fault.of(error) or extras.missing(error) or error
    trace = "" if isinstance(told, WinnowError) else "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(told))
    except Exception:
        told = RuntimeError(f"{type(error).__name__}: {error}")
    return told, trace, odd


def _with_trace(error: Exception, trace: str) -> Exception:
    if trace:
        error.__cause__ = _InChild(trace)
    return error
