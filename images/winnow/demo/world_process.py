"""The world's maker and its server, as processes of the checkout's `tests.world`."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from winnow.core.errors import ConfigError, TransientError
from winnow.demo.airflow_local import ROOT

#: What the media of the inbox's first minute must wait for, s: the maker's stamp and folder appear at once.
PREPARE_TIMEOUT_S = 60.0


class WorldMaker:
    """`python -m tests.world make` in the background, beside Airflow's start."""

    def __init__(
        self,
        root: Path,
        *,
        seed: int,
        videos: int,
        batches: int,
        kinds: bool,
        environment: Mapping[str, str],
        say: Callable[[str], None],
    ) -> None:
        self.root, self._say = root, say
        self._last: deque[str] = deque(maxlen=20)
        choice = ["--seed", str(seed), "--videos", str(videos), "--batches", str(batches)]
        choice += [] if kinds else ["--no-kinds"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.world", "make", "--dir", str(root), *choice],
            cwd=ROOT,
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._last.append(line.rstrip())
            if line.startswith("world:"):
                self._say(line.strip())

    def wait_prepared(self) -> None:
        """Wait until its folder can be served; the videos follow."""
        deadline = time.monotonic() + PREPARE_TIMEOUT_S
        while not (self.root / "media").is_dir():
            if self._process.poll() not in (None, 0) or time.monotonic() > deadline:
                self._fail()
            time.sleep(0.05)

    def wait(self) -> dict:
        """Wait for the last video: {"videos", "made", "seconds"}."""
        self._process.wait()
        self._reader.join()
        if self._process.returncode:
            self._fail()
        return json.loads(self._last[-1])

    def _fail(self) -> None:
        said = "\n".join(f"    {line}" for line in self._last)
        raise ConfigError(f"the world in {self.root} could not be made:\n{said}")


class WorldHost:
    """`python -m tests.world serve`: the world's media over HTTP, for tasks on this machine or in its cluster's pods.

    host: where it serves; keep: go on after this process has ended (otherwise the server ends with its parent, however
    that ends).
    """

    def __init__(self, root: Path, *, host: str, keep: bool, environment: Mapping[str, str], log: Path) -> None:
        command = [sys.executable, "-m", "tests.world", "serve", "--dir", str(root), "--host", host]
        if keep:  # started by a shell that ends at once, so that its parent is nobody
            command = ["/bin/sh", "-c", '"$@" &', "serve", *command]
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=dict(environment), stdout=subprocess.PIPE, stderr=errors, start_new_session=True
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise TransientError(f"the world's server did not start; see {log}")
        answer = json.loads(line)
        #: Logical URL prefix → where it is served: WINNOW_FETCH_REWRITES.
        self.rewrites: dict[str, str] = answer["rewrites"]
        self.port: int = answer["port"]
