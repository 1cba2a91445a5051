"""`kill -9` at every write boundary: how many there are, an end at one of them, and what a lake then holds.

A boundary stands before each thing that a step does to files beneath a folder: opening one to write, renaming,
linking, removing, making a folder. Python reports them (PEP 578), so none is forgotten. A step runs in a fork of this
process, which ends itself there as `kill -9` does.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

#: What says when and where something was made, or follows from that.
CLOCKS = frozenset(
    {"at", "host", "seconds", "cpu_seconds", "published_at", "admitted_at", "created_at", "since", "seal"}
)
_CHANGES = frozenset({"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.truncate"})
_WRITES = os.O_WRONLY | os.O_RDWR

Step = Callable[[Path], object]


def changed(event: str, arguments: tuple) -> str:
    """The path of what is about to change on a disk, by an audit event; "" where nothing is."""
    if event == "open":
        path, _, flags = arguments
        if not isinstance(flags, int) or not flags & _WRITES:
            return ""
    elif event in _CHANGES:
        path = arguments[0]
    else:
        return ""
    return os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else ""


def boundaries(step: Step, root: Path) -> int:
    """How many there are in a step that nobody disturbs."""
    read, write = os.pipe()
    code = _fork(step, root, None, write)
    os.close(write)
    with os.fdopen(read) as said:
        count = said.read()
    assert code == 0, "the step fails undisturbed"
    return int(count)


def kill_at(step: Step, root: Path, boundary: int) -> None:
    """Begin a step and end it before what it does at this boundary."""
    assert _fork(step, root, boundary, None) == -signal.SIGKILL, f"it never came to boundary {boundary}"


def in_a_fork(step: Step, root: Path) -> int:
    """Run a step to its end in a fork of this process; its exit code."""
    return _fork(step, root, None, None)


def after_every_kill(
    step: Step, start: Path, work: Path, most: int | None = None, chance: random.Random | None = None
) -> int:
    """From copies of `start` (a folder): kill the step at each of its boundaries (or at so many at most, drawn by
    `chance`), do it again, and compare what there is with what a step leaves that nobody disturbed. How many boundaries
    there are."""
    step(shutil.copytree(start, work / "imports", symlinks=True))  # what it imports, its forks have
    whole = shutil.copytree(start, work / "whole", symlinks=True)
    count = boundaries(step, whole)
    wanted = state(whole)
    drawn = range(count) if chance is None else sorted(chance.sample(range(count), min(most or count, count)))
    for boundary in drawn:
        root = shutil.copytree(start, work / f"killed-{boundary}", symlinks=True)
        kill_at(step, root, boundary)
        assert in_a_fork(step, root) == 0, f"after a kill at boundary {boundary} the step fails"
        found = state(root)
        apart = sorted(key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key))
        assert apart == [], f"after a kill at boundary {boundary} the step leaves other files"
        shutil.rmtree(root)
    return count


def state(root: Path) -> dict[str, bytes]:
    """What a folder holds, by path, without what is hidden and without clocks."""
    return {
        path.relative_to(root).as_posix(): _timeless(path)
        for path in sorted(root.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts)
    }


def _timeless(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix != ".json":
        return data
    return json.dumps(_without_clocks(json.loads(data)), sort_keys=True).encode()


def _without_clocks(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_clocks(inner) for key, inner in value.items() if key not in CLOCKS}
    return [_without_clocks(inner) for inner in value] if isinstance(value, list) else value


def _fork(step: Step, root: Path, boundary: int | None, told: int | None) -> int:
    """Run a step in a fork, killed at a boundary or to its end; its exit code, negative for a signal."""
    sys.stdout.flush()
    sys.stderr.flush()
    if (pid := os.fork()) == 0:
        count, home, own = 0, str(root) + os.sep, os.getpid()

        def hook(event: str, arguments: tuple) -> None:
            nonlocal count
            if changed(event, arguments).startswith(home) and os.getpid() == own:
                if count == boundary:
                    os.kill(own, signal.SIGKILL)
                count += 1

        code = 70
        try:
            sys.addaudithook(hook)
            step(root)
            if told is not None:
                os.write(told, str(count).encode())
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
