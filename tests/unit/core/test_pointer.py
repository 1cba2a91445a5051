"""A pointer moves only from the state that its writer began with: who is late is refused, and changes nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tests.unit.batch.test_plan import decide as decided
from tests.unit.helpers import Count, cut, runtime
from winnow.batch import decide, plan
from winnow.core import corpus_table
from winnow.core.errors import EXIT_TRANSIENT, ConfigError
from winnow.core.frozen_model import FrozenModel
from winnow.core.lake import Lake
from winnow.core.planned_table import PLAN
from winnow.core.pointer import Pointer, StaleWriter
from winnow.core.settings import Settings


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.mark.parametrize("before", [b"old", None])
@pytest.mark.parametrize("root", ["folder", "memory://pointers"])
def test_who_began_before_a_newer_one_wrote_is_refused(tmp_path: Path, root: str, before: bytes | None) -> None:
    lake = Lake(root if "://" in root else tmp_path / root)
    key = f"x/{before}"
    if before:
        lake.write(key, before)
    late, newer, same = Pointer(lake, key), Pointer(lake, key), Pointer(lake, key)
    newer.move(b"new", "winnow new")
    with pytest.raises(StaleWriter, match=r"by another process.*It now says new. Run `winnow late` again") as told:
        late.move(b"older", "winnow late")
    assert told.value.exit_code == EXIT_TRANSIENT, "run again, it reads what is there now"
    assert lake.read(key) == b"new"
    same.move(b"new", "winnow same")
    newer.move(b"newer", "winnow new")
    assert lake.read(key) == b"newer", "who moved it goes on from there"


@pytest.mark.fault(
    "two writers", "a store that cannot compare (GCS, Azure)", "compared just before the write, and the user is told"
)
def test_a_store_that_cannot_compare_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    class Store(Lake):
        def __init__(self) -> None:
            super().__init__("memory://azure")
            self.fs = SimpleNamespace(protocol=("abfs", "az"), pipe_file=self.fs.pipe_file, cat_file=self.fs.cat_file)

    lake = Store()
    lake.write("x", b"0")
    for data in (b"1", b"2"):
        Pointer(lake, "x").move(data, "")
    assert capsys.readouterr().err.count("a store of kind abfs does not compare before it replaces a file") == 1


def test_a_kind_of_store_that_nothing_is_known_of_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryFileSystem, "protocol", "odd")
    with pytest.raises(ConfigError, match=r"of two writers both could count\. Use a local or mounted folder, s3://"):
        Lake("memory://odd")


def test_a_pointer_that_came_back_is_another_one(lake: Lake) -> None:
    lake.write("x", b"a")
    late = Pointer(lake, "x")
    for text in (b"b", b"a"):
        Pointer(lake, "x").move(text, "")
    with pytest.raises(StaleWriter):
        late.move(b"c", "")


@pytest.mark.fault("two writers", "a pointer, by many processes at once", "one of them moves it")
def test_of_many_that_began_together_one_moves_it(lake: Lake) -> None:
    start, moved = threading.Barrier(8), []

    def attempt(i: int) -> None:
        pointer = Pointer(lake, "x")
        start.wait()
        try:
            pointer.move(str(i).encode(), "")
            moved.append(i)
        except StaleWriter:
            pass

    threads = [threading.Thread(target=attempt, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [str(i).encode() for i in moved] == [lake.read("x")]


@pytest.mark.fault("a late writer", "plan", "refused with words, exit code 75; the newer one stands")
def test_a_late_plan_is_refused(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    decided(lake, [(f"{i:02}", f"v{i}", True) for i in range(6)])
    assign = plan._assign

    def meanwhile(*arguments):
        monkeypatch.setattr(plan, "_assign", assign)
        assert plan.plan(lake, "day", 2)["shards"] == 3
        return assign(*arguments)

    monkeypatch.setattr(plan, "_assign", meanwhile)
    with pytest.raises(StaleWriter, match=r"plan/batch=day.json .*`winnow plan --batch day`"):
        plan.plan(lake, "day", 3)
    assert len(lake.head("plan", "day")["shards"]) == 3
    assert plan.plan(lake, "day", 3)["computed"], "run again, it stands on what is there"


@pytest.mark.fault("a late writer", "decide, flag", "refused with words; the newer one stands")
@pytest.mark.parametrize("point", ["fetch", "separate"])
def test_a_late_decision_is_refused(lake: Lake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, point: str) -> None:
    table = {"fetch": "decide", "separate": "flag"}[point]
    lake.set_head(table, "day", {"v": "1", "shards": []})
    rows = {"sample_id": ["a"], "outcome": ["ok"], "reason": pa.array([None], pa.string()), "why": ["speech"]}
    pq.write_table(pa.table({**rows, "shard_number": [0]}), tmp_path / "decided.parquet")

    @contextmanager
    def meanwhile(*arguments) -> Iterator[Path]:
        lake.set_head(table, "day", {"v": "2", "shards": []})
        yield tmp_path / "decided.parquet"

    monkeypatch.setattr(decide, "_begin", lambda *arguments: ({}, {"ingest-00000": "0"}, "v"))
    monkeypatch.setattr(decide, "_decided", meanwhile)
    with pytest.raises(StaleWriter, match=f"`winnow decide --point {point} --batch day`"):
        getattr(decide, f"decide_{point}")("day", Settings(), lake)
    assert lake.head(table, "day")["v"] == "2"


@pytest.mark.fault("a late writer", "a stage", "refused with words; the newer one stands")
def test_a_stage_that_began_before_another_version_of_it_is_refused(lake: Lake) -> None:
    cut(lake, "words", "day", [[("a", "one")]])
    late = runtime(lake, Count, extra=1)
    newer = runtime(lake, Count, extra=2)
    newer.run()
    with pytest.raises(StaleWriter, match="`winnow run count --batch day`"):
        late.run()
    assert lake.head("count", "day") == {"v": newer.fingerprint}
    assert not lake.list(lake.folder("count", late.fingerprint, "day")), "nothing was computed for it"


@pytest.mark.fault("a late writer", "fit, calibrate, select", "refused with words; the newer one stands")
def test_a_late_model_and_a_late_corpus_table_are_refused(lake: Lake) -> None:
    toy, fitting = FrozenModel("toy", command="winnow fit --toy"), lake.model_pointer("toy")
    row = {"mid": "/m/1", "name": "Speech", "position": 0}
    reading = corpus_table.pointer(lake, "ontology")
    toy.freeze(lake, "b" * 12, {"x": 2}, b"newer", {})
    newer = corpus_table.replace(lake, "ontology", [row], provenance={})
    with pytest.raises(StaleWriter, match="Run `winnow fit --toy` again"):
        toy.freeze(lake, "a" * 12, {"x": 1}, b"older", {}, fitting)
    with pytest.raises(StaleWriter, match="the command that makes ontology"):
        corpus_table.replace(lake, "ontology", [{**row, "name": "old"}], provenance={}, since=reading)
    assert lake.model_current("toy") == "b" * 12
    assert corpus_table.files(lake, "ontology") == [f"corpus/ontology/{newer['file']}.parquet"]


def test_a_head_of_before_goes_on_to_be_read_and_moved(lake: Lake) -> None:
    lake.write("plan/batch=day.json", b'{"counts": {"rows": 1}, "cut": "x", "shards": ["00000-0"], "v": "0"}')
    assert PLAN.unchanged(lake, "day", "x") == {"rows": 1}
    PLAN.set_head(lake, "day", "1", [], "y", {}, lake.head_pointer("plan", "day"))
    assert lake.head("plan", "day")["v"] == "1"
