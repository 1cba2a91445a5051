"""Commands of `winnow` without their start: each is a fork of one process that has imported what they import, with an
environment, a folder and an output of its own, and may meet a fault there. Most of a small command is its imports, so
many small days cost a third.

    python tests/winnow_server.py SOCKET           serve, until the process that started this is gone
    python tests/winnow_server.py SOCKET ARGS …    what `winnow ARGS …` is in a shell (`Commands.shell`)

The server runs no thread when it forks. What a command itself starts, it starts as ever: processes of downloads, dbt.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Rooms that none of these commands enters, and libraries that are better left out of a process that forks.
OTHER_ROOMS = frozenset({"train", "benchmark", "demo", "explorer"})
OTHER_LIBRARIES = frozenset({"torch", "torchvision", "open_clip", "onnxruntime", "onnx", "yt_dlp", "airflow"})
#: What the command line sets as it is imported.
QUIET = ("GX_ANALYTICS_ENABLED", "DBT_SEND_ANONYMOUS_USAGE_STATS", "DO_NOT_TRACK")
#: What a fault raises, from the chosen change of the lake on or, a failing read, at the chosen one.
ERRORS = {"full": errno.ENOSPC, "read_only": errno.EROFS, "failing_read": errno.EIO}


@dataclass(frozen=True)
class Done:
    """How a command ended: its exit code (negative: a signal), what it said on stdout and stderr, its CPU time in s,
    without that of processes which it did not wait for."""

    code: int
    out: str
    err: str
    seconds: float


class Commands:
    """The server, for a `with` block; called with a command it runs it and waits. Threads may share it."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "commands.sock")
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}/images"}
        self._server = subprocess.Popen(
            [sys.executable, "-P", __file__, self.address], env=environment, cwd=ROOT, stdin=subprocess.DEVNULL
        )
        while not os.path.exists(self.address):
            if self._server.poll() is not None:
                raise SystemExit("the server of commands did not start")
            time.sleep(0.05)

    def __enter__(self) -> Commands:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.kill()
        self._server.wait()

    def __call__(
        self, arguments: tuple[str, ...], environment: dict[str, str], fault: tuple[str, float] = ("none", 0)
    ) -> Done:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            code, seconds = _ask(self.address, arguments, environment, fault, (out.fileno(), err.fileno()))
            out.seek(0), err.seek(0)
            return Done(code, out.read().decode(errors="replace"), err.read().decode(errors="replace"), seconds)

    def shell(self, folder: Path) -> Path:
        """A folder with `winnow` in it, for a PATH: such a command in a shell."""
        folder.mkdir(parents=True, exist_ok=True)
        script = folder / "winnow"
        script.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {__file__} {self.address} "$@"\n')
        script.chmod(0o755)
        return folder


def _ask(
    address: str, arguments: tuple[str, ...], environment: dict[str, str], fault: tuple[str, float], outputs: tuple
) -> tuple[int, float]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        asked = {"arguments": arguments, "environment": environment, "folder": os.getcwd(), "fault": fault}
        data = json.dumps(asked).encode()
        socket.send_fds(connection, [struct.pack("!I", len(data))], [*outputs])
        connection.sendall(data)
        answer = connection.makefile("rb").read()
    code, seconds = json.loads(answer)
    return code, seconds


def serve(address: str) -> None:
    """Import, then fork for each caller."""
    import gc

    _import()
    gc.collect()
    gc.freeze()
    owner = os.getppid()
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"{address}.new")
    server.listen(16)
    server.settimeout(1.0)
    os.rename(f"{address}.new", address)
    while os.getppid() == owner:
        try:
            connection, _ = server.accept()
        except TimeoutError:
            continue
        if os.fork() == 0:
            server.close()
            os._exit(_answer(connection))
        connection.close()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _import() -> None:
    """All modules of the rooms that are entered, and the libraries that these import, at the top or in a function."""
    import ast
    import importlib

    sys.path.insert(0, str(ROOT))  # behind it lies `tests`
    from winnow.core import cpu

    cpu.pin()
    import winnow.cli.main  # noqa: F401
    from tests import parsed
    from tests.unit import clock, killed  # noqa: F401  what breaks a command

    parsed.keep()  # dbt of the server that the owner's environment names
    names, libraries = ["winnow.media.ffmpeg"], dict[str, None]()  # which FFmpeg asks for before `av` is loaded
    package = ROOT / "images" / "winnow"
    for path in sorted(package.rglob("*.py")):
        room = path.relative_to(package).parts[0]
        if room in OTHER_ROOMS or path.name == "__main__.py":
            continue
        names.append(".".join(("winnow", *path.relative_to(package).with_suffix("").parts)).removesuffix(".__init__"))
        for node in ast.walk(ast.parse(path.read_bytes())):
            found = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                found = [node.module]
            libraries.update(dict.fromkeys(found))
    for name in [*names, *libraries]:
        if name.partition(".")[0] not in OTHER_LIBRARIES:
            with contextlib.suppress(ImportError, SystemExit):
                importlib.import_module(name)


def _answer(connection: socket.socket) -> int:
    """One command in a child; how it ended."""
    head, outputs, _, _ = socket.recv_fds(connection, 4, 2)
    asked = json.loads(connection.makefile("rb").read(struct.unpack("!I", head)[0]))
    child = os.fork()
    if child == 0:
        connection.close()
        _run(asked, outputs)
    _, status, used = os.wait4(child, 0)
    connection.sendall(json.dumps([os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime]).encode())
    return 0


def _run(asked: dict, outputs: list[int]) -> None:
    """The command itself; does not return."""
    import atexit
    import threading
    import traceback

    from winnow.cli.main import main

    code: object = 1
    try:
        for descriptor, output in zip((1, 2), outputs, strict=True):
            os.dup2(output, descriptor)
            os.close(output)
        quiet = {name: os.environ[name] for name in QUIET}
        os.environ.clear()
        os.environ.update(asked["environment"] | quiet)
        os.chdir(asked["folder"])
        tempfile.tempdir = None
        _disturb(*asked["fault"])
        sys.argv = ["winnow", *asked["arguments"]]
        main()
        code = 0
    except SystemExit as ended:
        code = 0 if ended.code is None else ended.code
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            threading._shutdown()
            atexit._run_exitfuncs()
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


def _disturb(fault: str, at: float) -> None:
    """From here on: `kill -9` before change number `at` beneath the lake; or a full or read-only disk there from that
    change on; or a read number `at` there that fails; or a clock that is set by `at` s."""
    from tests.unit.clock import set_clock
    from tests.unit.killed import changed

    home, own, count = os.environ["WINNOW_LAKE"] + os.sep, os.getpid(), 0
    if fault == "clock":
        set_clock(at)
    if fault in ("killed", *ERRORS):

        def hook(event: str, given: tuple) -> None:
            nonlocal count
            if os.getpid() != own or event == "os.remove":
                return
            path = changed(event, given)
            if fault == "failing_read":
                reads = event == "open" and not path and isinstance(given[0], (str, bytes, os.PathLike))
                path = os.fsdecode(given[0]) if reads else ""
            if not path.startswith(home):
                return
            count += 1
            if fault == "failing_read" and count != at + 1:
                return
            if count > at and fault == "killed":
                os.kill(own, signal.SIGKILL)
            if count > at:
                raise OSError(ERRORS[fault], os.strerror(ERRORS[fault]), path)

        sys.addaudithook(hook)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        ended, _ = _ask(sys.argv[1], tuple(sys.argv[2:]), dict(os.environ), ("none", 0), (1, 2))
        sys.exit(ended if ended >= 0 else 128 - ended)
    serve(sys.argv[1])
