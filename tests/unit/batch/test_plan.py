"""The plan: numbered shards of what was accepted, append-only, a video never across two new shards."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from winnow.batch.plan import plan
from winnow.core import table
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.manifest import Manifest
from winnow.core.planned_table import PLAN
from winnow.core.shard import Lineage, shard_name


def decide(lake: Lake, rows: list[tuple[str, str, bool]], shards: int = 1) -> None:
    """Commit decisions: (sample_id, video_id, accepted)."""
    columns = {
        **{k: [None] * len(rows) for k in PLAN.columns},
        "video_id": [r[1] for r in rows],
        "url": [f"http://x/{r[1]}" for r in rows],
    }
    keys = {
        "sample_id": [r[0] for r in rows],
        "outcome": ["ok" if r[2] else "failed" for r in rows],
        "reason": [None if r[2] else "declared_too_long" for r in rows],
        "detail": [None] * len(rows),
    }
    whole, names = pa.Table.from_pydict({**keys, **columns}, schema=table.arrow_schema(PLAN.columns)), []
    for number in range(shards):
        own = whole.take(list(range(number, len(rows), shards)))
        data, count = table.to_bytes(own), len(own)
        sha256 = sha256_bytes(data)
        names.append(shard_name(number, {"rows": sha256}))
        file = f"{names[-1]}.parquet"
        lake.commit(
            Manifest("decide", "d" * 12, "day", names[-1], file, sha256, len(data), count, count, count, 0), data
        )
    lake.set_head("decide", "day", {"v": "d" * 12, "shards": names})


def members(lake: Lake) -> dict[int, list[tuple[str, str]]]:
    lineage = Lineage(lake, "day", {})
    out = {}
    for number in lineage.numbers("plan"):
        rows = pq.read_table(io.BytesIO(lake.read_table(lineage.committed("plan", number)))).to_pylist()
        out[number] = [(r["sample_id"], r["video_id"]) for r in rows]
    return out


def test_what_was_accepted_is_cut_and_videos_stay_whole(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    decide(lake, [(f"{i:02}", f"v{i // 3}", i != 4) for i in range(12)])
    assert plan(lake, "day", shard_size=4) == {"batch": "day", "computed": True, "rows": 11, "shards": 2}
    cut = members(lake)
    assert sorted(s for rows in cut.values() for s, _ in rows) == [f"{i:02}" for i in range(12) if i != 4]
    videos = [{v for _, v in rows} for rows in cut.values()]
    assert not videos[0] & videos[1]


def test_an_unchanged_decision_cuts_nothing(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    decide(lake, [("a", "v", True)])
    plan(lake, "day")
    assert plan(lake, "day") == {"batch": "day", "computed": False, "rows": 1, "shards": 1}


def test_a_list_that_grows_leaves_old_shards_as_they_are(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    old = [(f"m{i}", f"v{i}", True) for i in range(4)]
    decide(lake, old)
    plan(lake, "day", shard_size=2)
    before = {n: (lake.head("plan", "day")["shards"][n], rows) for n, rows in members(lake).items()}
    decide(lake, [("a0", "u", True), *old, ("z9", "w", True)])
    plan(lake, "day", shard_size=2)
    after = members(lake)
    names = lake.head("plan", "day")["shards"]
    assert {n: (names[n], after[n]) for n in before} == before
    assert [s for s, _ in after[2]] == ["a0", "z9"]


def test_a_candidate_that_is_no_longer_accepted_leaves_its_shard(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    decide(lake, [("a", "v1", True), ("b", "v2", True)])
    plan(lake, "day")
    decide(lake, [("a", "v1", True), ("b", "v2", False)])
    plan(lake, "day")
    assert members(lake) == {0: [("a", "v1")]}


def test_a_plan_without_decisions_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="winnow decide --point fetch --batch day"):
        plan(Lake(tmp_path), "day")
    with pytest.raises(ConfigError, match="at least one sample"):
        plan(Lake(tmp_path), "day", shard_size=0)


@pytest.mark.parametrize("most", [1, 5, 100])
def test_rows_are_read_in_parts_and_each_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("winnow.batch.plan.PASS_ROWS", most)
    lake = Lake(tmp_path)
    decide(lake, [(f"{i:02}", f"v{(i * 7 % 20) // 3}", i % 6 != 4) for i in range(20)], shards=3)
    wanted = sorted((f"v{(i * 7 % 20) // 3}", f"{i:02}") for i in range(20) if i % 6 != 4)
    plan(lake, "day", shard_size=4)
    cut = members(lake)
    assert sorted((video, sample) for rows in cut.values() for sample, video in rows) == wanted
    assert [{video for _, video in rows} for _, rows in sorted(cut.items())] == [
        {"v0", "v1"},
        {"v2", "v3"},
        {"v4", "v5"},
        {"v6"},
    ]
