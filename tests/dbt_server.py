"""dbt for the tests of one run: the program of `winnow.release.dbt_program`, imported once and forked for each call.

Importing dbt takes a third of a small build, and the tests build some seventy times; what it compiles at the first
parse (schemas of its own classes) takes another sixth. Each call still is a process of its own with its own folder,
arguments and environment; it begins where the import and one parse of this project end. A copy of the project in which
a test changed a file begins with the parse of this one, of which dbt itself finds out what still holds. What is tested
about the process itself (`tests/unit/release/test_dbt_run.py`) and all that the demo, the DAGs and the images run
starts dbt anew.

    python tests/dbt_server.py SOCKET           serve, until SOCKET, or the process that owns the tests, is gone
    python tests/dbt_server.py SOCKET dbt …     what `winnow.release.dbt_run` calls instead of an interpreter
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import hashlib
import importlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = str(Path(__file__).resolve())
PROJECT = str(Path(HERE).parents[1] / "dbt")
#: Names the process that owns the tests to the server.
OWNER = "TESTS_OWNER"
#: Names a file to which a call's CPU time is added, a line in s.
CPU = "TESTS_CPU"


def program(folder: str) -> tuple[str, ...]:
    """What calls the server of a folder, for `winnow.release.dbt_run.PROGRAM`."""
    return (sys.executable, "-I", "-S", HERE, f"{folder}/dbt.sock")


def call(address: str, arguments: list[str]) -> int:
    """Run dbt with these arguments, and with this process's environment, folder and output; its exit status. It ends
    with this process."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, as the program itself does
    connection = socket.socket(socket.AF_UNIX)
    with open(f"{address}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            connection.connect(address)
        except OSError:
            _start(address)
            connection.connect(address)
    asked = json.dumps({"arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd()}).encode()
    socket.send_fds(connection, [struct.pack("!I", len(asked))], [1, 2])
    connection.sendall(asked)
    status = int(connection.makefile("rb").read() or b"1")
    if status < 0:
        os.kill(os.getpid(), -status)
    return status


def _start(address: str) -> None:
    """Start the server and wait until it listens."""
    subprocess.Popen(
        [sys.executable, "-P", HERE, address],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not os.path.exists(address):
        if time.monotonic() > deadline:
            raise TimeoutError("the server of dbt did not start")
        time.sleep(0.05)


def serve(address: str) -> None:
    """Import dbt and what its Python models import, then fork for each caller until the folder is gone."""
    from winnow.release import dbt_program

    dbt_program.prepare()
    _remember_templates()
    for used in ("dbt.adapters.duckdb.impl", "dbt.task.build", "pandas", "pyarrow", "scipy.special"):
        importlib.import_module(used)
    _rehearse()
    gc.freeze()
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"{address}.new")
    server.listen(16)
    server.settimeout(1.0)
    os.rename(f"{address}.new", address)
    while os.path.exists(address) and os.path.exists(f"/proc/{os.environ[OWNER]}"):
        try:
            connection, _ = server.accept()
        except TimeoutError:
            continue
        if os.fork() == 0:
            server.close()
            os._exit(_answer(connection, Path(address).parent))
        connection.close()
        _reap()


def _rehearse() -> None:
    """Parse the project in this process, and keep nothing but what dbt compiled for it. Its parser in Rust starts
    threads, which no fork has: it is left out here."""
    from dbt_common.clients.jinja import get_environment

    from winnow.release import dbt_program

    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        sys.argv = ["dbt", "--no-static-parser", "--no-version-check", "--log-level", "none"]
        sys.argv += ["--log-level-file", "none", "parse", "--project-dir", PROJECT, "--profiles-dir", PROJECT]
        sys.argv += ["--target-path", f"{folder}/target", "--log-path", f"{folder}/logs"]
        with contextlib.suppress(SystemExit):
            dbt_program.main()
        with contextlib.suppress(OSError):  # a project that does not parse is said where it is used
            for macro in json.loads(Path(folder, "target/manifest.json").read_text())["macros"].values():
                get_environment().compile(macro["macro_sql"])
    gc.collect()


def _remember_templates() -> None:
    """A template is compiled once: those of the parse serve every fork."""
    from dbt_common.clients.jinja import MacroFuzzEnvironment

    known: dict = {}
    anew = MacroFuzzEnvironment.compile

    def compile_once(self, source, name=None, filename=None, raw=False, defer_init=False):
        key = (self.code_generator_class, *self.extensions, str(source), name, filename, raw, defer_init)
        if key not in known:
            known[key] = anew(self, source, name, filename, raw, defer_init)
        return known[key]

    MacroFuzzEnvironment.compile = compile_once


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _answer(connection: socket.socket, folder: Path) -> int:
    """One call: dbt in a child, killed when the caller is gone before it ended."""
    head, outputs, _, _ = socket.recv_fds(connection, 4, 2)
    asked = json.loads(connection.makefile("rb").read(struct.unpack("!I", head)[0]))
    kept, parse = _parses(asked["arguments"], folder)
    if kept.exists() and "--partial-parse-file-path" not in asked["arguments"] and not parse.exists():
        parse.parent.mkdir(exist_ok=True)
        shutil.copyfile(kept, parse)
    child = os.fork()
    if child == 0:
        _run(asked, outputs, connection)
    gone = threading.Thread(target=_kill_when_gone, args=(connection, child), daemon=True)
    gone.start()
    _, ended, used = os.wait4(child, 0)
    status = os.waitstatus_to_exitcode(ended)
    if wanted := asked["environment"].get(CPU):
        with open(wanted, "a") as file:
            file.write(f"{used.ru_utime + used.ru_stime}\n")
    if status == 0 and _after("--project-dir", asked["arguments"]) == PROJECT and parse.exists() and not kept.exists():
        new = kept.with_suffix(f".{child}")
        shutil.copyfile(parse, new)
        new.replace(kept)
    connection.sendall(str(status).encode())
    return 0


def _parses(arguments: list[str], folder: Path) -> tuple[Path, Path]:
    """Where the parse of this project with a call's variables is kept, and where dbt looks for and leaves the call's
    own. A copied project's is not kept: its test may still change it, and a parse names the folder of the seeds."""
    variables = hashlib.sha256(_after("--vars", arguments).encode()).hexdigest()[:12]
    return folder / f"{variables}.msgpack", Path(_after("--target-path", arguments)) / "partial_parse.msgpack"


def _after(option: str, arguments: list[str]) -> str:
    return arguments[arguments.index(option) + 1] if option in arguments else ""


def _kill_when_gone(connection: socket.socket, child: int) -> None:
    if not connection.recv(1):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def _run(asked: dict, outputs: list[int], connection: socket.socket) -> None:
    """dbt itself; does not return."""
    from winnow.release import dbt_program

    status = 1
    try:
        connection.close()
        os.dup2(outputs[0], 1)
        os.dup2(outputs[1], 2)
        os.environ.clear()
        os.environ.update(asked["environment"])
        os.chdir(asked["folder"])
        sys.argv = ["dbt", *asked["arguments"]]
        dbt_program.main()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(call(sys.argv[1], sys.argv[2:]))
    serve(sys.argv[1])
