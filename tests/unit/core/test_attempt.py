"""An attempt that is killed is followed by one that works on each sample alone: the sample that it was fails by name,
and no other."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.helpers import Count, cut, read, runtime
from winnow.core.attempt import Attempt
from winnow.core.errors import TransientError
from winnow.core.lake import Lake
from winnow.core.sample import Reason
from winnow.core.stage import Batch, Sample

#: Counts, and is killed at texts that say so, as a process is that asked for too much.
ATTEMPT = """
import os, signal, sys, time
from tests.unit.helpers import Count, runtime
from winnow.core.lake import Lake
from winnow.core.settings import Settings
real = Count.process
def process(self, batch):
    for sample in batch:
        if sample.row["text"] == sys.argv[2]:
            print("working", flush=True)
            os.kill(os.getpid(), signal.SIGKILL) if sys.argv[2] == "bomb" else time.sleep(60)
    yield from real(self, batch)
Count.process = process
running = runtime(Lake(sys.argv[1]), Count)
running.stage.settings = Settings(stall_s=float(sys.argv[3]))
running.run()
"""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    Count.calls, Count.cured = [], set()
    made = Lake(tmp_path / "lake")
    cut(made, "words", "day", [[("a", "bee"), ("b", "bomb"), ("c", "deer"), ("d", "slow")]])
    return made


def attempt(lake: Lake, text: str, stall_s: float = 60) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", ATTEMPT, lake.root, text, str(stall_s)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def left(lake: Lake) -> list[str]:
    return [path.name for path in Path(lake.base).rglob(".*.attempt")]


@pytest.mark.fault(
    "kill -9",
    "a stage, twice, by one sample (mostly for want of memory)",
    "that sample fails by name (`killed`), the others have their rows",
)
def test_a_sample_that_kills_its_process_twice_fails_by_name(lake: Lake) -> None:
    for _ in range(2):
        assert attempt(lake, "bomb").wait(60) == -signal.SIGKILL
        assert len(left(lake)) == 1
    assert attempt(lake, "bomb").wait(60) == 0
    manifest, rows = read(lake, runtime(lake, Count))
    assert manifest.reasons == {"killed": 1}
    assert [(row["sample_id"], row["reason"], row["chars"]) for row in rows] == [
        ("a", None, 3),
        ("b", "killed", None),
        ("c", None, 4),
        ("d", None, 4),
    ]
    assert left(lake) == []
    assert runtime(lake, Count).run(retry=frozenset({Reason.killed})).retried == 1
    assert read(lake, runtime(lake, Count))[0].reasons == {}


def test_the_first_time_nothing_is_failed_for_it(lake: Lake) -> None:
    assert attempt(lake, "bomb").wait(60) == -signal.SIGKILL
    assert attempt(lake, "nothing").wait(60) == 0
    assert read(lake, runtime(lake, Count))[0].ok == 4


@pytest.mark.fault(
    "an endless computation",
    "a stage",
    "the attempt ends itself after `WINNOW_STALL_S`; the second time that sample fails by name",
)
def test_a_sample_that_stands_still_is_as_one_that_kills(lake: Lake) -> None:
    for _ in range(2):
        assert attempt(lake, "slow", 1.0).wait(60) == -signal.SIGKILL
        assert len(left(lake)) == 1
    assert attempt(lake, "slow", 1.0).wait(60) == 0
    assert read(lake, runtime(lake, Count))[0].reasons == {"killed": 1}


@pytest.mark.fault("SIGTERM", "a stage", "it ends with 143; nothing is held against its samples")
def test_an_evicted_process_leaves_nothing(lake: Lake) -> None:
    running = attempt(lake, "slow")
    assert running.stdout is not None
    assert running.stdout.readline() == "working\n"
    assert len(left(lake)) == 1
    running.terminate()
    assert running.wait(60) == 128 + signal.SIGTERM
    assert left(lake) == []


def test_the_signal_is_as_it_was_afterwards(lake: Lake) -> None:
    found = signal.getsignal(signal.SIGTERM)
    try:
        for before, replaced in ((signal.SIG_DFL, True), (signal.SIG_IGN, False)):
            signal.signal(signal.SIGTERM, before)
            with Attempt(lake, "count/v=1/batch=day", "00000-x", 60):
                assert (signal.getsignal(signal.SIGTERM) != before) is replaced
            assert signal.getsignal(signal.SIGTERM) == before
    finally:
        signal.signal(signal.SIGTERM, found)


@pytest.mark.fault(
    "no memory",
    "a stage",
    "exit code 75, nothing committed; then each sample alone, and that one fails by name",
)
def test_a_sample_for_which_there_is_no_memory_fails_by_name(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Count.process

    def process(self: Count, batch: Batch):
        try:
            if any(sample.id == "b" for sample in batch):
                raise MemoryError
        except MemoryError as error:
            raise TransientError("no memory") from error
        yield from real(self, batch)

    monkeypatch.setattr(Count, "process", process)
    for _ in range(2):
        with pytest.raises(TransientError):
            runtime(lake, Count).run()
    assert runtime(lake, Count).run().reasons == {"killed": 1}


@pytest.mark.fault("a torn or empty file", "an attempt's note", "taken for one of an attempt that was killed")
def test_a_torn_note_is_one_of_an_attempt_that_was_killed(lake: Lake) -> None:
    with Attempt(lake, "count/v=1/batch=day", "00000-x", 60) as first:
        assert not first.alone
    lake.write("count/v=1/batch=day/.00000-x.attempt", b'{"work')
    with Attempt(lake, "count/v=1/batch=day", "00000-x", 60) as second:
        assert (second.alone, second.killed) == (True, [])


@pytest.mark.fault("two at once", "a stage", "neither takes the other, which is alive, for one that was killed")
def test_an_attempt_beside_a_living_one_holds_nothing_against_its_samples(lake: Lake) -> None:
    samples = [Sample(name, {}) for name in "ab"]
    with Attempt(lake, "count", "0", 60) as first:
        (whole,) = first.groups(samples)
        note = lake.read(first.key)
        with Attempt(lake, "count", "0", 60) as second:
            assert list(second.groups(samples)) == [whole] == [samples]
            assert (second.alone, second.killed) == (False, [])
        assert lake.read(first.key) == note, "it is the first one's, until that ends"
    assert not list(Path(lake.full("count")).iterdir())
