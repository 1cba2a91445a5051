"""Airflow in a folder: `airflow standalone` on SQLite and a free port, and its REST API.

Everything that Airflow keeps lies in its home folder; the checkout's `dags/` and `plugins/` are read in place. Nothing
here imports Airflow: it is a program to start and an API to ask.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlencode

from winnow.core.errors import ConfigError, TransientError

ROOT = Path(__file__).resolve().parents[3]
DAGS, PLUGINS = ROOT / "dags", ROOT / "plugins"
#: Seconds for all components to come up; about 12 s on two idle cores.
START_TIMEOUT_S = 180.0
#: How often, and how many seconds apart, a request is repeated that Airflow answers with a database error: on SQLite a
#: request that reads before it writes loses to another writer at once, and has changed nothing.
TRIES, PAUSE_S = 10, 0.5


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody holds now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def settings(home: Path, port: int) -> dict[str, str]:
    """Airflow's configuration as environment: what a small machine needs to differ from its defaults."""
    url = f"http://127.0.0.1:{port}"
    chosen: dict[str, dict[str, object]] = {
        "CORE": {
            "DAGS_FOLDER": DAGS,
            "PLUGINS_FOLDER": PLUGINS,
            "LOAD_EXAMPLES": False,
            "EXECUTOR": "LocalExecutor",
            "PARALLELISM": 4,  # on two cores: two tasks that compute, and two that wait for the network or a lock
            "EXECUTION_API_SERVER_URL": f"{url}/execution/",  # does not follow the port by itself: tasks would fail
            "SIMPLE_AUTH_MANAGER_ALL_ADMINS": True,  # a server on the loopback interface, for one person
        },
        "API": {"HOST": "127.0.0.1", "PORT": port, "BASE_URL": url, "WORKERS": 1},
        "API_AUTH": {"JWT_SECRET": secrets.token_hex(32)},
        # Log servers of workers and triggerer: fixed ports by default, so a second Airflow would find them taken.
        "LOGGING": {"WORKER_LOG_SERVER_PORT": free_port(), "TRIGGER_LOG_SERVER_PORT": free_port()},
        # A task's supervisor may notice its end only at the next beat; 5 s of it by default, on every third task.
        "WORKERS": {"MIN_HEARTBEAT_INTERVAL": 1},
        "SCHEDULER": {"SCHEDULER_IDLE_SLEEP_TIME": 0.5},
        # DAGs do not change while it runs; parsing them every 30 s only takes cores away.
        "DAG_PROCESSOR": {"MIN_FILE_PROCESS_INTERVAL": 600, "REFRESH_INTERVAL": 600, "PARSING_PROCESSES": 1},
        "USAGE_DATA_COLLECTION": {"ENABLED": False},
    }
    environment = {"AIRFLOW_HOME": str(home)}
    for section, values in chosen.items():
        for key, value in values.items():
            environment[f"AIRFLOW__{section}__{key}"] = str(value)
    return environment


class LocalAirflow:
    """One Airflow: `start`, `wait_ready`, use `api`, `stop`.

    home: AIRFLOW_HOME; environment: what tasks see on top of this process's environment; log: where its output goes.
    """

    def __init__(self, home: Path, environment: Mapping[str, str], log: Path) -> None:
        self.home, self.log = home, log
        self.port = free_port()
        self.api = AirflowApi(f"http://127.0.0.1:{self.port}")
        # The `airflow` that standalone starts by name must be this environment's.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        self.environment = {**os.environ, "PATH": path, **settings(home, self.port), **environment}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start all components in a session of their own; they make the database when there is none."""
        self.home.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "airflow", "standalone"],
                env=self.environment,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_ready(self, dags: list[str], timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until the components are healthy and the DAGs are parsed; TransientError, with the log's end, if not."""
        deadline = time.monotonic() + timeout_s
        missing = "the API server"
        while time.monotonic() < deadline:
            if self.process is not None and self.process.poll() is not None:
                raise TransientError(f"Airflow ended by itself (exit {self.process.returncode}):\n{self.tail()}")
            with contextlib.suppress(TransientError):
                missing = self._missing(dags)
            if not missing:
                return
            time.sleep(0.5)
        raise TransientError(f"Airflow was not ready after {timeout_s:.0f} s, {missing} is missing:\n{self.tail()}")

    def _missing(self, dags: list[str]) -> str:
        health = self.api.get("monitor/health")
        for component in ("scheduler", "dag_processor"):
            if health[component]["status"] != "healthy":
                return f"the {component}"
        known = {dag["dag_id"] for dag in self.api.get("dags")["dags"]}
        if left := sorted(set(dags) - known):
            if errors := self.api.get("importErrors")["import_errors"]:
                raise ConfigError(f"{errors[0]['filename']} does not parse:\n{errors[0]['stack_trace']}")
            return f"the DAG {', '.join(left)}"
        return ""

    def set_pools(self, path: Path = PLUGINS / "pools.json") -> None:
        """Make the pools of a file in Airflow's own format (`airflow pools import`)."""
        known = {pool["name"] for pool in self.api.get("pools")["pools"]}
        for name, pool in json.loads(path.read_text(encoding="utf-8")).items():
            body = {"name": name, **pool}
            if name in known:
                self.api.send("PATCH", f"pools/{quote(name)}", body)
            else:
                self.api.send("POST", "pools", body)

    def tail(self, lines: int = 20) -> str:
        """The end of the log, and where it lies."""
        text = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:] if self.log.exists() else []
        return "\n".join([*(f"    {line}" for line in text), f"  the whole log: {self.log}"])


class AirflowApi:
    """Airflow's REST API, version 2, with JSON in and out."""

    def __init__(self, url: str, timeout_s: float = 90.0) -> None:
        self.url, self.timeout_s = url, timeout_s

    def get(self, path: str, **query: object) -> dict:
        """GET /api/v2/<path>?<query>."""
        return self._call("GET", f"{path}?{urlencode(query, doseq=True)}" if query else path, None)

    def pages(self, path: str, key: str, **query: object) -> list[dict]:
        """All items of a list, page by page."""
        items: list[dict] = []
        while True:
            page = self.get(path, limit=100, offset=len(items), **query)
            items += page[key]
            if not page[key] or len(items) >= page["total_entries"]:
                return items

    def send(self, method: str, path: str, body: Mapping[str, object]) -> dict:
        """POST, PUT or PATCH a JSON body. A refusal is a ConfigError, silence a TransientError."""
        return self._call(method, path, json.dumps(body).encode())

    def _call(self, method: str, path: str, data: bytes | None) -> dict:
        for _ in range(TRIES - 1):
            try:
                return self._try(method, path, data)
            except TransientError as error:
                if "Database error" not in str(error):
                    raise
            time.sleep(PAUSE_S)
        return self._try(method, path, data)

    def _try(self, method: str, path: str, data: bytes | None) -> dict:
        request = urllib.request.Request(
            f"{self.url}/api/v2/{path}", data=data, method=method, headers={"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as response:
                return json.loads(response.read() or b"{}")
        except urllib.error.HTTPError as error:
            said = f"{method} {path} ({error.code}): {error.read().decode(errors='replace')[:500]}"
            if error.code >= 500:
                raise TransientError(f"Airflow failed at {said}") from error
            raise ConfigError(f"Airflow refused {said}") from error
        except (OSError, TimeoutError) as error:
            raise TransientError(f"Airflow's API at {self.url} does not answer: {error}") from error

    # -- what the demo asks for -------------------------------------------------------------------------------------
    def unpause(self, dag: str) -> None:
        """Let a DAG run."""
        self.send("PATCH", f"dags/{dag}", {"is_paused": False})

    def backfill(self, dag: str, first: str, last: str, **conf: object) -> int:
        """Ask for a backfill of daily partitions, finished ones too; returns its id.

        Airflow takes one backfill of a DAG at a time and looks only every 30 s whether the last one is over, so it is
        closed here: call this when the runs of earlier backfills have ended.
        """
        for earlier in self.get("backfills", dag_id=dag)["backfills"]:
            if not earlier["completed_at"]:
                self.send("PUT", f"backfills/{earlier['id']}/cancel", {})
        body = {
            "dag_id": dag,
            "from_date": f"{first}T00:00:00Z",
            "to_date": f"{last}T00:00:00Z",
            "reprocess_behavior": "completed",
            "max_active_runs": 4,
            "dag_run_conf": conf,
        }
        return int(self.send("POST", "backfills", body)["id"])

    def trigger(self, dag: str, **conf: object) -> str:
        """Start a run by hand; returns its id."""
        return self.send("POST", f"dags/{dag}/dagRuns", {"logical_date": None, "conf": conf})["dag_run_id"]

    def runs(self, dag: str, since: str) -> list[dict]:
        """Runs of a DAG that were queued at or after a moment (ISO 8601), oldest first."""
        found = self.pages(f"dags/{dag}/dagRuns", "dag_runs", order_by="id")
        return [run for run in found if run["queued_at"] and run["queued_at"] >= since]

    def asset_events(self, since: str) -> list[dict] | None:
        """Asset events at or after a moment, oldest first.

        None while Airflow cannot say: 3.3 answers 500 as long as a run that an event led to is queued.
        """
        try:
            events = self.pages("assets/events", "asset_events", timestamp_gte=since)
        except TransientError:
            return None
        return sorted(events, key=lambda event: (event["timestamp"], event["id"]))

    def tasks(self, run: Mapping[str, str]) -> list[dict]:
        """Task instances of a run."""
        return self.pages(f"dags/{run['dag_id']}/dagRuns/{quote(run['dag_run_id'])}/taskInstances", "task_instances")

    def summary(self, task: Mapping[str, object]) -> dict:
        """What the task's command answered, {} when it has not."""
        path = (
            f"dags/{task['dag_id']}/dagRuns/{quote(str(task['dag_run_id']))}/taskInstances/{task['task_id']}/xcomEntries"
            f"/summary?map_index={task['map_index']}"
        )
        try:
            value = self.get(path)["value"]
        except ConfigError:
            return {}
        return json.loads(value) if isinstance(value, str) else value
