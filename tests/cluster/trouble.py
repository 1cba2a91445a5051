"""What goes wrong on clusters, done to a demo that runs: each once, in the background, and what was done noted."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.cluster.house import NAMESPACE, get, kubectl


class Troublemaker:
    """Waits for its moments and acts; `done` names what it did, `failed` what it could not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.done: list[str] = []
        self.failed: dict[str, str] = {}
        self._over = threading.Event()
        wanted = [self.delete_a_pod, self.exhaust_a_pod, self.kill_the_triggerer]
        if "WINNOW_TEST_OUTAGE" in os.environ:
            wanted.append(self.stop_the_api)
        self._thread = threading.Thread(target=self._run, args=(wanted,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more trouble."""
        self._over.set()
        self._thread.join(120)

    def _run(self, wanted: list[Callable[[], None]]) -> None:
        for act in wanted:
            try:
                act()
                self.done.append(act.__name__)
            except Exception as error:
                self.failed[act.__name__] = f"{type(error).__name__}: {error}"

    def _running(self, *stages: str) -> dict:
        """A pod of one of these stages that runs now."""
        while not self._over.is_set():
            for pod in get("pods"):
                if pod["status"].get("phase") == "Running" and pod["metadata"]["labels"].get("winnow/stage") in stages:
                    return pod
            time.sleep(0.2)
        raise TimeoutError(f"no pod of {', '.join(stages)} was seen running")

    def delete_a_pod(self) -> None:
        """As a node that is drained without ceremony."""
        pod = self._running("fetch", "screen")
        name = pod["metadata"]["name"]
        kubectl("-n", NAMESPACE, "delete", "pod", name, "--grace-period=0", "--force", "--wait=false")

    def exhaust_a_pod(self) -> None:
        """The kernel kills its process for want of memory: its limit is lowered under it, on this machine's node."""
        pod = self._running("clip", "visual", "audio", "probe")
        uid = pod["metadata"]["uid"]
        found = [
            path / name
            for top in (Path("/sys/fs/cgroup/memory/kubepods"), Path("/sys/fs/cgroup/kubepods"))
            for path in (top.rglob(f"pod{uid}") if top.is_dir() else [])
            for name in ("memory.limit_in_bytes", "memory.max")
            if (path / name).exists()
        ]
        if not found:
            raise FileNotFoundError("the node's cgroups are not on this machine")
        for limit in found:
            for inner in sorted(limit.parent.glob(f"*/{limit.name}")):
                with contextlib.suppress(OSError):
                    inner.write_text(str(8 << 20))
            with contextlib.suppress(OSError):
                limit.write_text(str(8 << 20))

    def kill_the_triggerer(self) -> None:
        """KILL, while Jobs run; the demo's `airflow standalone` does not start it again, so this does."""
        self._running("clip", "visual", "audio", "probe", "correspond")
        for process in psutil.process_iter(["cmdline", "environ"]):
            line = process.info["cmdline"] or []
            mine = (process.info["environ"] or {}).get("AIRFLOW_HOME") == str(self.folder / "airflow")
            if mine and line[-2:] and line[-1] == "triggerer" and "airflow" in " ".join(line):
                environment, command = dict(process.info["environ"]), list(line)
                for child in process.children(recursive=True):
                    child.send_signal(signal.SIGKILL)
                process.send_signal(signal.SIGKILL)
                time.sleep(5)
                log = (self.folder / "logs" / "triggerer.log").open("ab")
                subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
                return
        raise ProcessLookupError("no triggerer of this demo runs")

    def stop_the_api(self) -> None:
        """The API server is away for 20 s; kubelet and pods go on."""
        self._running("clip", "visual", "audio", "probe", "correspond", "release", "gate", "fit", "build")
        subprocess.run(shlex.split(os.environ["WINNOW_TEST_OUTAGE"]), check=True, timeout=60, capture_output=True)
        time.sleep(20)
        subprocess.run(shlex.split(os.environ["WINNOW_TEST_RETURN"]), check=True, timeout=180, capture_output=True)
