"""What happens to a shard: accounting, resume, retry, the commit, the failure budget."""

from __future__ import annotations

import os
import threading
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.helpers import Both, Capitals, Count, Join, Letters, Odd, cut, read, runtime
from winnow.core import runtime as runtime_module
from winnow.core import table
from winnow.core.errors import ConfigError, ContractError, FailureBudgetExceeded
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.rows import Rows
from winnow.core.sample import Outcome, Reason
from winnow.core.shard_tar import ShardTar
from winnow.core.stage import Batch


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    Count.calls, Count.cured = [], set()
    made = Lake(tmp_path / "lake")
    cut(made, "words", "day", [[("b", "bee"), ("a", "!gone"), ("c", "!timeout")], [("d", "deer")]])
    return made


def files(lake: Lake) -> dict[str, bytes]:
    root = Path(lake.base)
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*.parquet"))}


def test_every_sample_becomes_a_row_and_the_manifest_counts_them(lake: Lake) -> None:
    run = runtime(lake, Count)
    summary = run.run()
    assert (summary.shards, summary.computed, summary.rows, summary.ok, summary.failed) == (2, 2, 4, 2, 2)
    assert summary.reasons == {"gone": 1, "timeout": 1}
    manifest, rows = read(lake, run)
    assert [r["sample_id"] for r in rows] == ["a", "b", "c"]
    assert [(r["outcome"], r["reason"], r["chars"]) for r in rows] == [
        ("failed", "gone", None),
        ("ok", None, 3),
        ("failed", "timeout", None),
    ]
    assert manifest.rows_in == manifest.ok + manifest.failed == 3


def test_a_second_run_computes_nothing(lake: Lake) -> None:
    runtime(lake, Count).run()
    before, calls = files(lake), list(Count.calls)
    summary = runtime(lake, Count).run()
    assert (summary.computed, summary.skipped) == (0, 2)
    assert Count.calls == calls
    assert files(lake) == before


def test_it_says_why_it_computes(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    assert runtime(lake, Count).run().why == ["first run"]
    assert runtime(lake, Count, extra=1).run().why == ["params changed"]
    real = runtime_module.identity
    monkeypatch.setattr(runtime_module, "identity", lambda stage: {**real(stage), "code": "other"})
    assert runtime(lake, Count, extra=1).run().why == ["module changed"]
    cut(lake, "words", "day", [[("b", "bees")], [("d", "deer")]])
    again = runtime(lake, Count, extra=1).run()
    assert (again.why, again.computed, again.skipped) == (["inputs changed"], 1, 1)


def test_an_upstream_computed_again_to_the_same_bytes_changes_nothing_downstream(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime(lake, Letters).run()
    runtime(lake, Odd).run()
    real = runtime_module.identity
    monkeypatch.setattr(
        runtime_module, "identity", lambda s: {**real(s), "code": "new" if s.name == "letters" else "x"}
    )
    assert runtime(lake, Letters).run().computed == 2
    monkeypatch.setattr(runtime_module, "identity", real)
    assert runtime(lake, Odd).run().skipped == 2


def test_transient_rows_are_tried_again_and_only_they(lake: Lake) -> None:
    runtime(lake, Count).run()
    Count.calls, Count.cured = [], {"c"}
    run = runtime(lake, Count)
    summary = run.run(retry=frozenset({Reason.timeout}))
    assert Count.calls == ["c"]
    assert (summary.retried, summary.skipped, summary.reasons) == (1, 1, {"gone": 1})
    manifest, rows = read(lake, run)
    assert manifest.shard.endswith("-r1")
    assert manifest.retry_of == manifest.shard.removesuffix("-r1")
    assert {r["sample_id"]: r["outcome"] for r in rows} == {"a": "failed", "b": "ok", "c": "ok"}
    assert runtime(lake, Count).run(retry=frozenset({Reason.timeout})).computed == 0


def test_a_retry_that_fails_again_leaves_the_row_and_counts_its_attempt(lake: Lake) -> None:
    run = runtime(lake, Count)
    run.run()
    for attempt in (1, 2):
        runtime(lake, Count).run(retry=frozenset({Reason.timeout}))
        manifest, rows = read(lake, run)
        assert manifest.shard.endswith(f"-r{attempt}")
        assert manifest.reasons == {"gone": 1, "timeout": 1}
        assert len(rows) == 3


def test_a_permanent_reason_cannot_be_retried(lake: Lake) -> None:
    with pytest.raises(ConfigError, match="cannot retry gone"):
        runtime(lake, Count).run(retry=frozenset({Reason.gone}))


def test_parts_cover_every_shard_once_and_give_the_same_bytes(tmp_path: Path) -> None:
    whole, parted = Lake(tmp_path / "whole"), Lake(tmp_path / "parted")
    shards = [[(f"s{n}{i}", "x" * n) for i in range(3)] for n in range(7)]
    for lake in (whole, parted):
        cut(lake, "words", "day", shards)
    runtime(whole, Count).run()
    counts = [runtime(parted, Count).run(part, 3).shards for part in (2, 0, 1)]
    assert sorted(counts) == [2, 2, 3]
    assert files(whole) == files(parted)


@pytest.mark.fault("a program's error", "a stage that loses a sample", "nothing is committed")
def test_a_sample_without_an_outcome_fails_the_shard(lake: Lake) -> None:
    cut(lake, "words", "day", [[("a", "ok"), ("b", "!lose")]])
    with pytest.raises(ContractError, match=r"1 samples without an outcome \['b'\]"):
        runtime(lake, Count).run()
    assert not [f for f in files(lake) if f.startswith("count/")]


@pytest.mark.fault("a system that fails", "a shard, through the network or the host", "not committed, exit code 70")
def test_the_failure_budget_counts_what_is_the_systems_fault(lake: Lake) -> None:
    cut(lake, "words", "day", [[(f"{i:02}", "!gone") for i in range(40)]])
    assert runtime(lake, Count).run().failed == 40
    cut(lake, "words", "day", [[(f"{i:02}", "!refused" if i < 30 else "fine") for i in range(40)]])
    with pytest.raises(FailureBudgetExceeded, match="30 of 40"):
        runtime(lake, Count).run()


@pytest.mark.fault(
    "a program's error",
    "few samples of a shard",
    "`internal_error`, the others have their rows; many stop the shard",
)
@pytest.mark.parametrize(("broken", "rows", "stops"), [(3, 16, False), (4, 16, True), (4, 40, False), (5, 40, True)])
def test_few_samples_may_fail_through_our_own_fault(lake: Lake, broken: int, rows: int, stops: bool) -> None:
    shard = [(f"{i:02}", "!internal_error" if i < broken else "fine") for i in range(rows)]
    cut(lake, "words", "day", [shard])
    if not stops:
        assert runtime(lake, Count).run().reasons == {"internal_error": broken}
        return
    with pytest.raises(FailureBudgetExceeded, match=rf"{broken} of {rows} samples .*\(internal_error {broken}\)"):
        runtime(lake, Count).run()


@pytest.mark.fault("two writers", "a shard", "the first one counts, the late one changes nothing")
def test_the_first_of_two_attempts_wins_and_the_late_one_changes_nothing(lake: Lake) -> None:
    run = runtime(lake, Count)
    run.run()
    manifest, _ = read(lake, run)
    table = lake.read_table(manifest)
    late = replace(manifest, file="late.parquet", sha256="f" * 64, rows=99)
    assert lake.commit(late, b"other bytes") == manifest
    assert lake.read_table(manifest) == table
    assert not lake.exists(lake.table_key(late))


@pytest.mark.fault("two writers", "a shard, by many processes at once", "one commit")
def test_many_attempts_at_once_commit_once(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    start, wins = threading.Barrier(8), []

    def attempt(i: int) -> None:
        start.wait()
        if lake.create("x/y.json", str(i).encode()):
            wins.append(i)

    threads = [threading.Thread(target=attempt, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(wins) == 1
    assert lake.read("x/y.json") == str(wins[0]).encode()
    assert lake.list("x") == ["y.json"]


def test_what_a_killed_writer_left_is_swept_away_later(lake: Lake) -> None:
    run = runtime(lake, Count)
    run.run()
    folder = Path(lake.full(lake.folder("count", run.fingerprint, "day")))
    old, new = folder / ".00000-x.parquet.0123abcd", folder / ".00001-x.parquet.4567cdef"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    runtime(lake, Count).run()
    assert not old.exists()
    assert new.exists(), "it may belong to a writer at work"


@pytest.mark.fault("changed bytes", "a stage's table", "refused before it is read")
def test_bytes_that_changed_under_a_commit_are_noticed(lake: Lake) -> None:
    run = runtime(lake, Letters)
    run.run()
    manifest, _ = read(lake, run)
    Path(lake.full(lake.table_key(manifest))).write_bytes(b"PAR1 something else")
    with pytest.raises(ContractError, match="changed after it was committed"):
        runtime(lake, Odd).run()


def test_a_fan_out_keeps_its_files_and_a_join_says_what_was_missing(lake: Lake) -> None:
    cut(lake, "words", "day", [[("a", "xyz")]])
    letters = runtime(lake, Letters)
    letters.run()
    manifest, rows = read(lake, letters)
    assert (manifest.rows_in, manifest.rows, manifest.sidecar) == (1, 3, "tar")
    assert [r["letter"] for r in rows] == ["x", "y", "z"]
    runtime(lake, Odd).run()
    join = runtime(lake, Join)
    assert join.run().reasons == {"no_input": 1}
    assert [(r["both"], r["detail"]) for r in read(lake, join)[1]] == [
        ("xX", None),
        (None, "odd: undecodable"),
        ("zZ", None),
    ]


def test_files_of_every_input_are_found(lake: Lake) -> None:
    """Those of a table that is only wanted too, once it is there; the shard is then computed again."""
    cut(lake, "words", "day", [[("a", "xyz")]])
    for stage in (Letters, Odd, Both, Capitals):
        runtime(lake, stage).run()
    both = runtime(lake, Both)
    assert both.run().why == ["inputs changed"]
    assert [r["both"] for r in read(lake, both)[1]] == ["xX", "y", "zZ"]


def test_a_stage_before_its_inputs_says_which_command_to_run(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="winnow ingest --batch day"):
        runtime(Lake(tmp_path), Count).run()


def test_the_whole_lake_works_on_another_file_system() -> None:
    lake = Lake("memory://winnow-test")
    Count.calls, Count.cured = [], set()
    cut(lake, "words", "day", [[("a", "bee")]])
    assert runtime(lake, Letters).run().computed == 1
    assert runtime(lake, Odd).run().computed == 1
    joined = runtime(lake, Join)
    assert joined.run().computed == 1
    assert runtime(lake, Join).run().skipped == 1
    assert not lake.create("words/batch=day.json", b"")


@pytest.mark.fault("changed bytes", "a member of a tar", "refused before it is read")
def test_files_beside_tables_are_compared_with_what_their_rows_say(tmp_path: Path, monkeypatch) -> None:
    """A tar whose member changed ends the shard: it is no fault of a sample."""
    lake = Lake(tmp_path)
    monkeypatch.setattr(Letters, "schema", {"letter": "string", "media_sha256": "string"})
    monkeypatch.setattr(runtime_module, "DIGESTS", {"txt": "media_sha256"})

    def process(self, batch):
        for sample in batch:
            data = sample.row["text"].encode()
            row = {"letter": sample.row["text"], "media_sha256": sha256_bytes(data)}
            yield Outcome.ok(sample.id, row, files={"txt": data})

    monkeypatch.setattr(Letters, "process", process)
    cut(lake, "words", "day", [[("a", "xyz"), ("b", "uvw")]])
    for stage in (Letters, Odd):
        runtime(lake, stage).run()
    (tar,) = tmp_path.glob("letters/v=*/batch=day/*.tar")
    tar.write_bytes(tar.read_bytes().replace(b"xyz", b"xyZ"))
    with pytest.raises(ContractError, match=r"a\.txt changed after it was committed"):
        runtime(lake, Join).run()


def test_files_of_a_shard_are_never_in_memory_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = 4 << 20

    def process(self: Letters, batch: Batch):
        for sample in batch:
            yield from (
                Outcome.ok(f"{sample.id}{n}", {"letter": "x"}, parent=sample.id, files={"txt": bytes([n]) * large})
                for n in reversed(range(8))
            )

    monkeypatch.setattr(Letters, "process", process)
    lake = Lake(tmp_path / "lake")
    cut(lake, "words", "day", [[("a", "-")]])
    tracemalloc.start()
    runtime(lake, Letters).run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * large
    manifest, _ = read(lake, runtime(lake, Letters))
    members = ShardTar(Path(lake.full(lake.tar_key(manifest))))
    assert [members.read(name) for name in members.names()] == [bytes([n]) * large for n in range(8)]


def test_a_row_becomes_values_when_it_is_asked_for() -> None:
    columns = {"text": "string", "numbers": "float32[]", "sketch": "uint8[]"}
    made = [
        Outcome.ok("b", {"text": "bee", "numbers": [0.5, 1.0], "sketch": [1, 2]}),
        Outcome.failed("a", Reason.gone, "no more"),
        Outcome.ok("c", {}),
    ]
    table_ = table.from_outcomes(made, columns, "toy")
    rows = Rows(table.to_bytes(table_))
    assert rows.ok == ["b", "c"]
    assert [dict(rows.get(row["sample_id"])) for row in table_.to_pylist()] == table_.to_pylist()
    assert rows.get("d") is None
    assert rows.get("b").get("nothing") is None
