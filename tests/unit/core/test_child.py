"""A stage in a process of its own: what ends it costs one sample its row, and nothing else."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from winnow.core import confine

#: Runs a toy stage in children over texts that say what their sample does to its process.
RUN = """
import ctypes, json, os, signal, socket, sys, threading, time
from pathlib import Path
from tests.unit.helpers import Count, cut, read, runtime
from winnow.core import table
from winnow.core.child import Children, Keeper, Task
from winnow.core.errors import ConfigError, TransientError
from winnow.core.lake import Lake
from winnow.core.settings import Settings

def eat():
    held = []
    for _ in range(64):
        held.append(b"x" * (16 << 20))
        time.sleep(0.005)

def slow():
    print("working", flush=True)
    time.sleep(10)
    print("outlived", flush=True)

def greedy():
    try:
        raise MemoryError
    except MemoryError as error:
        raise TransientError("there is no memory left") from error

def reach():
    with socket.create_server(("127.0.0.1", 0)) as here:
        socket.create_connection(here.getsockname(), 1).close()

DOES = {
    "bomb": lambda: os.kill(os.getpid(), signal.SIGKILL), "segv": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "exit": lambda: os._exit(3), "slow": slow,
    "stall": lambda: time.sleep(60), "eat": eat, "greedy": greedy, "reach": reach, "odd": lambda: [][0],
    "wrong": lambda: (_ for _ in ()).throw(ConfigError("not so")),
}
real = Count.process

def process(self, batch):
    for sample in batch:
        DOES.get(sample.row["text"], lambda: None)()
        yield from real(self, type(batch)([sample], batch.work))

Count.process = process

class Toy(Task):
    is_online = False

def work(settings, task, went, tell):
    with open(settings.lake + ".pids", "a") as file:
        print(os.getpid(), file=file)
    made = runtime(Lake(settings.lake), Count)
    made.stage.settings, made._tell = settings, tell
    if task.params.get("torn"):
        table.to_bytes = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    if task.params.get("setup"):
        made.stage.setup = lambda: os.kill(os.getpid(), signal.SIGKILL)
    return made.run(went=went).__dict__

def main(root, shards, params={}, memory_mb=256, stall_s=60.0, keeper=False):
    settings = Settings(lake=root, memory_mb=memory_mb, stall_s=stall_s)
    cut(Lake(root), "words", "day", [[(f"{n}{i}", t) for i, t in enumerate(texts)] for n, texts in enumerate(shards)])
    task, said = Toy("count", "day", params), {}
    try:
        if keeper:
            with Keeper(settings, work) as kept:
                threading.Thread(target=time.sleep, args=(0.1,), daemon=True).start()
                said["answer"] = kept.ask(task)
        else:
            with Children(settings, work) as children:
                said["answer"] = children.run(task)
    except Exception as error:
        said["error"], said["words"], said["cause"] = type(error).__name__, str(error), str(error.__cause__)
    said["children"] = len(Path(root + ".pids").read_text().split())
    said["left"] = [path.name for path in Path(root).rglob(".*.attempt")]
    said["rows"] = []
    for number in range(len(shards)):
        if runtime(Lake(root), Count).lineage.committed("count", number) is not None:
            rows = read(Lake(root), runtime(Lake(root), Count), number)[1]
            said["rows"] += [[row["sample_id"], row["reason"]] for row in rows]
    print(json.dumps(said), flush=True)

for given in json.loads(sys.argv[1]):
    main(**given)
"""


def begin(*given: dict) -> subprocess.Popen[str]:
    # what a shell starts in the background ignores SIGINT, and hands that on
    listens = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    command = [sys.executable, "-c", listens + RUN, json.dumps(given)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


GIVEN: dict[str, dict] = {
    "crashes": {"shards": [["a", "b"], ["c", "segv", "d", "exit"], ["e"]]},
    "eats": {"shards": [["a", "eat", "b"]]},
    "greedy": {"shards": [["a", "greedy", "b"]]},
    "stalls": {"shards": [["a", "stall"]], "stall_s": 0.3},
    "bombs": {"shards": [["bomb"] * 12]},
    "setup": {"shards": [["a", "b"]], "params": {"setup": True}},
    "torn": {"shards": [["a", "b"]], "params": {"torn": True}},
    "wrong": {"shards": [["a", "wrong"]]},
    "odd": {"shards": [["a", "odd"]]},
    "kept": {"shards": [["a", "bomb"], ["b"]], "keeper": True},
    "reach": {"shards": [["a", "reach"]]},
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """What came of each of GIVEN, all by one process."""
    root = tmp_path_factory.mktemp("children")
    out, said = begin(*({"root": str(root / name), **given} for name, given in GIVEN.items())).communicate(timeout=120)
    lines = [json.loads(line) for line in out.splitlines()]
    assert len(lines) == len(GIVEN), said
    return {name: line | {"said": said} for name, line in zip(GIVEN, lines, strict=True)}


def ok(*ids: str) -> list[list[str | None]]:
    return [[one, None] for one in ids]


@pytest.mark.fault(
    "a decoder that crashes",
    "`winnow run`, curate, retry, mix: in one sample of a stage",
    "the next process goes on at once; that sample fails by name (`killed`), the same command commits the others",
)
def test_the_same_command_goes_on_without_the_sample_that_ends_its_process(found: dict[str, dict]) -> None:
    run = found["crashes"]
    assert run["rows"] == [*ok("00", "01", "10"), ["11", "killed"], *ok("12"), ["13", "killed"], *ok("20")]
    answer = run["answer"]
    assert [answer[key] for key in ("shards", "computed", "skipped", "ok", "failed")] == [3, 3, 0, 5, 2]
    assert (answer["reasons"], answer["why"]) == ({"killed": 2}, ["first run"])
    assert (run["children"], run["left"]) == (4, [])  # together, alone to the first, to the second, to the end
    assert "its process was ended by SIGSEGV" in run["said"]
    assert "its process ended with 3" in run["said"]


@pytest.mark.fault(
    "memory without end",
    "one sample of a stage",
    "its process is ended at `WINNOW_MEMORY_MB`, below the pod's limit; then as a decoder that crashes",
)
def test_a_sample_that_takes_all_memory_is_ended_before_the_kernel_ends_the_pod(found: dict[str, dict]) -> None:
    run = found["eats"]
    assert run["rows"] == [*ok("00"), ["01", "killed"], *ok("02")]
    assert run["said"].count("took more than the 256 MiB of memory that it may (WINNOW_MEMORY_MB") == 2


def test_no_memory_goes_on_with_each_sample_alone(found: dict[str, dict]) -> None:
    run = found["greedy"]
    assert run["rows"] == [*ok("00"), ["01", "killed"], *ok("02")]
    assert run["said"].count("its process had no memory left") == 2


def test_a_sample_that_stands_still_costs_no_attempt(found: dict[str, dict]) -> None:
    run = found["stalls"]
    assert run["rows"] == [*ok("00"), ["01", "killed"]]


@pytest.mark.fault(
    "a system that fails",
    "a stage whose every sample ends its process",
    "not committed, exit code 70, after as many processes as samples may fail",
)
def test_where_every_sample_is_killed_the_budget_ends_it(found: dict[str, dict]) -> None:
    run = found["bombs"]
    assert (run["error"], run["rows"], run["left"]) == ("FailureBudgetExceeded", [], [])
    assert "4 of 12 samples failed for reasons that are not the data's (killed 4)" in run["words"]
    assert run["children"] == 6  # together, four alone, and the one that says so


@pytest.mark.parametrize(("when", "children"), [("setup", 1), ("torn", 3)])
def test_a_process_that_ends_while_no_sample_can_be_blamed_is_not_tried_without_end(
    found: dict[str, dict], when: str, children: int
) -> None:
    run = found[when]
    assert (run["error"], run["children"], run["rows"]) == ("TransientError", children, [])
    assert "was ended by SIGKILL while it worked on no sample that could be told" in run["words"]
    assert "WINNOW_MEMORY_MB" in run["words"]


def test_what_a_child_raises_is_raised(found: dict[str, dict]) -> None:
    run = found["wrong"]
    assert (run["error"], run["words"], run["cause"]) == ("ConfigError", "not so", "None")


def test_what_nobody_foresaw_comes_with_where_it_was(found: dict[str, dict]) -> None:
    run = found["odd"]
    assert (run["error"], run["children"]) == ("IndexError", 1)
    assert "lambda: [][0]" in run["cause"] or 'File "<string>", line' in run["cause"]


def test_a_keeper_forks_for_a_process_that_has_threads(found: dict[str, dict]) -> None:
    run = found["kept"]
    assert run["rows"] == [*ok("00"), ["01", "killed"], *ok("10")]
    assert run["answer"]["computed"] == 2


@pytest.mark.fault("SIGTERM", "`winnow run`", "its child ends with it (143); nothing is held against its samples")
@pytest.mark.parametrize("keeper", [False, True])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_child_ends_as_its_parent_is_asked_to(tmp_path: Path, keeper: bool, number: int) -> None:
    running = begin({"root": str(tmp_path / "lake"), "shards": [["a", "slow"]], "keeper": keeper})
    assert running.stdout is not None
    assert running.stdout.readline() == "working\n"
    running.send_signal(number)
    assert running.wait(60) == (128 + signal.SIGTERM if number == signal.SIGTERM else -signal.SIGINT)
    assert running.stdout.read() == ""  # nobody is left who could write to it
    assert list((tmp_path / "lake").rglob(".*.attempt")) == []


@pytest.mark.fault("kill -9", "`winnow run`", "its child is killed by the kernel with it; the next run goes on")
@pytest.mark.parametrize("keeper", [False, True])
def test_a_child_does_not_outlive_its_parent(tmp_path: Path, keeper: bool) -> None:
    running = begin({"root": str(tmp_path / "lake"), "shards": [["a", "slow"]], "keeper": keeper})
    assert running.stdout is not None
    assert running.stdout.readline() == "working\n"
    running.kill()
    assert running.stdout.read() == ""
    assert len(list((tmp_path / "lake").rglob(".*.attempt"))) == 1


def test_it_has_no_network_where_the_kernel_lets_it(found: dict[str, dict]) -> None:
    probe = "from winnow.core import confine; print(confine.leave_network())"
    if subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True).stdout != "True\n":
        pytest.skip("this kernel lets this user leave no network")
    run = found["reach"]
    assert run["error"] == "OSError"
    assert "unreachable" in run["words"]


def test_the_limit_is_a_share_of_the_smallest_around(tmp_path: Path) -> None:
    said = tmp_path / "cgroup"
    for version, line, name in (
        ("", "0::/pod/winnow", "memory.max"),
        ("memory", "4:memory:/pod/winnow", "memory.limit_in_bytes"),
    ):
        root = tmp_path / f"v-{version}"
        folder = root / version / "pod" / "winnow"
        folder.mkdir(parents=True)
        (folder / name).write_text("max\n")
        (folder.parent / name).write_text("1073741824\n")
        said.write_text(f"1:cpu:/\n{line}\n")
        assert confine.cgroup_limits(root, said) == [1 << 30]
    assert confine.cgroup_limits(tmp_path, tmp_path / "none") == []
    assert confine.limit_bytes(512) == 512 << 20
