"""What goes wrong on clusters, done to a demo that runs: each once, in the background, and what was done noted."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.cluster.helpers import NAMESPACE, get, kubectl
from winnow.demo.processes import running

#: Takes memory that belongs to no process, and points the kernel at the pod's first one.
HOG = """
import os
open("/proc/1/oom_score_adj", "w").write("1000")
file = os.memfd_create("hog")
for _ in range(1 << 14):
    os.write(file, bytes(1 << 20))
"""


def ended(pod: dict) -> str | None:
    """Why a pod's container ended."""
    states = [status["state"] for status in pod["status"].get("containerStatuses", [])]
    return next((state["terminated"].get("reason") for state in states if "terminated" in state), None)


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
        began = time.monotonic()
        for act in wanted:
            try:
                act()
                self.done.append(act.__name__)
                print(f"{time.monotonic() - began:.0f} s: {act.__name__}", flush=True)
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
        name = self._running("fetch", "screen")["metadata"]["name"]
        kubectl("-n", NAMESPACE, "delete", "pod", name, "--grace-period=0", "--force", "--wait=false")

    def exhaust_a_pod(self) -> None:
        """The kernel kills a pod's process for want of memory: another one in it takes all that the limit allows."""
        while True:  # until one was not quicker
            name = self._running("clip", "visual", "audio", "probe")["metadata"]["name"]
            kubectl("-n", NAMESPACE, "exec", name, "--", "python", "-c", HOG, check=False)
            time.sleep(2)
            if any(ended(pod) == "OOMKilled" for pod in get("pods")):
                return

    def kill_the_triggerer(self) -> None:
        """KILL, while Jobs run; the demo's `airflow standalone` does not start it again, so this does."""
        self._running("clip", "visual", "audio", "probe", "correspond")
        found = [one for one in running(self.folder) if "triggerer" in " ".join(one.cmdline())]
        environment = found[0].environ()
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(5)
        with (self.folder / "logs" / "triggerer.log").open("ab") as log:
            subprocess.Popen(
                [sys.executable, "-m", "airflow", "triggerer"],
                env=environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def stop_the_api(self) -> None:
        """The API server is away for 20 s; kubelet and pods go on."""
        self._running("clip", "visual", "audio", "probe", "correspond", "release", "gate", "fit", "build")
        subprocess.run(shlex.split(os.environ["WINNOW_TEST_OUTAGE"]), check=True, timeout=60, capture_output=True)
        time.sleep(20)
        subprocess.run(shlex.split(os.environ["WINNOW_TEST_RETURN"]), check=True, timeout=180, capture_output=True)
