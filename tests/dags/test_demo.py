"""The demo's harness, part by part; the whole of it is a journey."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from winnow.core.errors import ConfigError, TransientError
from winnow.demo import airflow_local, main, processes, truth
from winnow.demo.folder import DemoFolder, State
from winnow.demo.progress import describe

#: A process that ignores TERM and has a child in another session, as Airflow's and Winnow's do.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print("up", flush=True)
time.sleep(600)
"""


def test_all_of_the_demos_processes_end_and_no_others(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    started = {}
    for folder in (mine, other):
        environment = {**os.environ, **processes.marked_environment(folder)}
        started[folder] = subprocess.Popen([sys.executable, "-c", STUBBORN], env=environment, stdout=subprocess.PIPE)
        started[folder].stdout.readline()
    try:
        assert len(processes.running(mine)) == 2
        assert processes.end(mine, grace_s=0.5) == 2
        assert processes.running(mine) == []
        assert len(processes.running(other)) == 2
    finally:
        processes.end(other, grace_s=0.1)
        for process in started.values():
            process.wait()
            process.stdout.close()


def test_a_folder_belongs_to_one_world(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path / "demo")
    with folder.claim():
        assert folder.open(seed=0, videos=24) == State(0, 24)
        with pytest.raises(ConfigError, match="SEED=0 VIDEOS=24"):
            folder.open(seed=1, videos=24)
        with pytest.raises(ConfigError, match="with real-world kinds: run it without --no-kinds"):
            folder.open(0, 24, kinds=False)
        with pytest.raises(ConfigError, match="another demo is at work"), DemoFolder(tmp_path / "demo").claim():
            pass
    assert folder.state() == State(0, 24)
    folder.clean()
    assert not folder.root.exists()
    folder.clean()


def test_airflows_history_is_dropped_after_a_run_that_did_not_end(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path)
    folder.open(0, 24)
    folder.airflow.mkdir()
    folder.open(0, 24)
    assert folder.airflow.exists()
    folder.write_state(State(0, 24, clean_end=False))
    folder.open(0, 24)
    assert not folder.airflow.exists()


def test_a_folder_of_someone_else_is_neither_used_nor_removed(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="not empty"):
        DemoFolder(tmp_path).open(0, 24)
    assert main(["clean", "--dir", str(tmp_path)]) == 78
    assert (tmp_path / "thesis.txt").exists()


def test_space_is_checked_before_it_is_taken(tmp_path: Path) -> None:
    assert 100 < DemoFolder(tmp_path).check_space(84) < 5000
    with pytest.raises(ConfigError, match="MB are free"):
        DemoFolder(tmp_path).check_space(10**9)


def test_wrong_choices_end_with_the_code_of_a_wrong_configuration(tmp_path: Path) -> None:
    assert main(["run", "--dir", str(tmp_path / "d"), "--batches", "2"]) == 78
    assert main(["nonsense"]) == 78
    assert main(["truth", "--dir", str(tmp_path / "d")]) == 78
    assert main(["--help"]) == 0
    assert not (tmp_path / "d").exists()


def test_area_under_curve_counts_pairs() -> None:
    assert truth.area_under_curve([3.0, 2.0], [1.0, 0.0]) == 1.0
    assert truth.area_under_curve([1.0], [1.0]) == 0.5
    assert truth.area_under_curve([2.0, 0.0], [1.0]) == 0.5


@pytest.mark.parametrize(
    ("task", "answer", "said"),
    [
        ("probe", {"computed": 0, "shards": 2}, "skip, 2 shards done before"),
        ("decide", {"computed": False, "accepted": 9}, "skip, done before"),
        ("plan", {"computed": True, "shards": 2, "rows": 30}, "30 candidates in 2 shards"),
        (
            "fetch",
            {"computed": 1, "rows": 9, "ok": 7, "failed": 2, "reasons": {"gone": 2}, "why": ["params changed"]},
            "9 rows, 7 ok, 2 failed, of them 2 gone, because params changed",
        ),
    ],
)
def test_what_a_task_reports_in_words(task: str, answer: dict, said: str) -> None:
    assert describe(task, answer) == said


def test_pools_are_in_airflows_own_format() -> None:
    from winnow.demo.airflow_local import PLUGINS

    pools = json.loads((PLUGINS / "pools.json").read_text())
    assert set(pools) == {"fetch", "decode", "warehouse"}
    assert all(pool["slots"] >= 1 and pool["description"] for pool in pools.values())
    assert [name for name, pool in pools.items() if pool["include_deferred"]] == [
        "fetch"
    ]  # its hosts are outside of all


@pytest.fixture
def answers():
    """A server on the loopback interface that gives one answer a request, (status, body); and its address."""
    given: list[tuple[int, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PATCH(self) -> None:
            status, body = given.pop(0)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield given, f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_what_airflows_database_refuses_is_asked_again(answers, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite takes one writer: Airflow answers 500 when the scheduler was faster."""
    monkeypatch.setattr(airflow_local, "PAUSE_S", 0)
    given, url = answers
    api, locked = airflow_local.AirflowApi(url), (500, b'{"detail": {"reason": "Database error"}}')
    given += [locked, locked, (200, b'{"name": "decode"}')]
    assert api.send("PATCH", "pools/decode", {"slots": 2}) == {"name": "decode"}
    given += [locked] * airflow_local.TRIES
    with pytest.raises(TransientError, match="Database error"):
        api.send("PATCH", "pools/decode", {"slots": 2})
    assert given == []
    given += [(500, b"a bug"), (422, b"no such pool")]
    with pytest.raises(TransientError, match="a bug"):
        api.send("PATCH", "pools/decode", {"slots": 2})
    with pytest.raises(ConfigError, match="no such pool"):
        api.send("PATCH", "pools/decode", {"slots": 2})
