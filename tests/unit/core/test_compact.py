"""One table of a stage's shards: the same bytes however they were cut, made once, and nothing of a row is lost."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit import killed
from tests.unit.manifests import manifest_of
from winnow.core import compact, table
from winnow.core.admitted import batch_head, head_pointer, shards_of
from winnow.core.errors import ContractError
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.manifest import Manifest

DAY, V = "2026-11-01", "0" * 12
COLUMNS = {"candidate_id": "string", "z": "double", "v": "float32[4]", "times": "float16[]"}
SCHEMA = table.arrow_schema(COLUMNS)


def rows_of(count: int) -> list[dict]:
    """Rows in the order in which their shards are cut; the last two candidates lead to one clip."""
    ids = [hashlib.sha256(str(i).encode()).hexdigest()[:20] for i in range(count)]
    ids[-1] = ids[-2]
    return [
        {
            "sample_id": one,
            "outcome": "failed" if i % 7 == 0 else "ok",
            "reason": "gone" if i % 7 == 0 else None,
            "candidate_id": f"{i:05d}",
            "z": float(i),
            "v": None if i % 7 == 0 else [float(i)] * 4,
            "times": [0.5] * (i % 3),
        }
        for i, one in enumerate(ids)
    ]


def commit(lake: Lake, stage: str, rows: Sequence[dict], size: int) -> list[Manifest]:
    """The rows' shards, of so many rows each."""
    made = []
    for number, first in enumerate(range(0, len(rows), size)):
        part = sorted(rows[first : first + size], key=lambda row: row["sample_id"])
        data = table.to_bytes(pa.Table.from_pylist(part, schema=SCHEMA))
        sha256, failed = sha256_bytes(data), sum(row["outcome"] == "failed" for row in part)
        shard = f"{number:05d}-{sha256[8:16]}"
        manifest = manifest_of(
            data, stage, DAY, shard, len(part), failed=failed, fingerprint=V, params={"small": 1e-05, "said": "é"}
        )
        made.append(lake.commit(manifest, data))
    return made


def read(lake: Lake, files: Sequence[dict]) -> pa.Table:
    return pa.concat_tables(pq.read_table(io.BytesIO(lake.read(file["path"]))) for file in files)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_three_shards_and_many_give_the_same_bytes(lake: Lake) -> None:
    """In a folder, and in a store, where several are read at a time."""
    rows, other = rows_of(60), Lake("memory://compact")
    made = [
        compact.compacted(at, DAY, {"probe": (V, commit(at, "probe", rows, size))}, None)["probe"]
        for at, size in ((lake, 20), (other, 1))
    ]
    (few,), (many,) = (entry["files"] for entry in made)
    assert (few["path"], few["sha256"]) == (many["path"], many["sha256"])
    assert lake.read(few["path"]) == other.read(many["path"])
    assert [entry["shards"]["rows"] for entry in made] == [3, 60]
    found = read(lake, [few])
    assert found.schema == SCHEMA
    wanted = sorted(rows, key=lambda row: (row["sample_id"], row["candidate_id"]))
    assert found.to_pylist() == pa.Table.from_pylist(wanted, schema=SCHEMA).to_pylist()


def test_beside_it_stands_where_each_row_came_from_and_what_its_shards_were(lake: Lake) -> None:
    rows = rows_of(20)
    manifests = commit(lake, "probe", rows, 3)
    entry = compact.compacted(lake, DAY, {"probe": (V, manifests)}, None)["probe"]
    (file,) = entry["files"]
    shards = pq.read_table(io.BytesIO(lake.read(file["places"]["path"])))["shard"].to_pylist()
    found = read(lake, [file]).select(["candidate_id"]).to_pylist()
    assert [shard[:5] for shard in shards] == [f"{int(row['candidate_id']) // 3:05d}" for row in found]
    assert shards_of(lake, DAY, entry) == [
        {"shard": m.shard, "path": lake.table_key(m), "sha256": m.sha256, "rows": m.rows} for m in manifests
    ]
    kept = pq.read_table(io.BytesIO(lake.read(entry["shards"]["path"]))).to_pylist()[0]
    assert kept["params"] == '{"said": "é", "small": 1e-05}'
    lake.remove(entry["shards"]["path"])
    with pytest.raises(ContractError, match=f"is missing: run `winnow verify --batch {DAY}`"):
        shards_of(lake, DAY, entry)


def test_a_large_table_is_several_files_cut_where_its_rows_say(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, other = rows_of(90), Lake(tmp_path / "other")
    (whole,) = compact.compacted(lake, DAY, {"probe": (V, commit(lake, "probe", rows, 40))}, None)["probe"]["files"]
    monkeypatch.setattr(compact, "MOST_BYTES", 2_000)
    made = [
        compact.compacted(at, DAY, {"probe": (V, commit(at, "probe", rows, size))}, None)["probe"]["files"]
        for at, size in ((lake, 40), (other, 7))
    ]
    first, second = ([file["sha256"] for file in files] for files in made)
    assert first == second
    assert len(made[0]) > 2
    assert read(lake, made[0]) == read(lake, [whole])
    for at, files in zip((lake, other), made, strict=True):
        for file in files:
            assert len(read(at, [file])) == len(pq.read_table(io.BytesIO(at.read(file["places"]["path"]))))


def test_what_is_there_is_neither_read_nor_written_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that is gone is made again, to the byte."""
    shards = {stage: (V, commit(lake, stage, rows_of(12), 4)) for stage in ("probe", "visual")}
    head = {"stages": compact.compacted(lake, DAY, shards, None)}
    asked, read_table = [], Lake.read_table
    monkeypatch.setattr(Lake, "read_table", lambda self, m: asked.append(m.stage) or read_table(self, m))
    assert compact.compacted(lake, DAY, shards, head) == head["stages"]
    assert asked == []
    for path, sha256 in dict(compact.paths(head["stages"]["probe"])).items():
        lake.remove(path)
        assert compact.compacted(lake, DAY, shards, head) == head["stages"]
        assert sha256_bytes(lake.read(path)) == sha256
    assert set(asked) == {"probe"}
    shards["visual"] = (V, commit(lake, "visual", rows_of(13), 4))
    assert compact.compacted(lake, DAY, shards, head)["probe"] == head["stages"]["probe"]


def test_a_stage_without_rows_or_without_shards_has_a_table_or_none(lake: Lake) -> None:
    empty = [lake.commit(*_nothing())]
    made = compact.compacted(lake, DAY, {"rescore": (V, empty), "ingest": (V, [])}, None)
    assert made["ingest"] == {"v": V, "files": []}
    (file,) = made["rescore"]["files"]
    assert (file["rows"], file["shard"], file["places"]) == (0, empty[0].shard, None)
    assert read(lake, [file]).schema == SCHEMA


def _nothing() -> tuple[Manifest, bytes]:
    data = table.to_bytes(SCHEMA.empty_table())
    return (
        manifest_of(data, "rescore", DAY, "00000-empty", 0, fingerprint=V),
        data,
    )


def shards_committed(root: Path) -> None:
    commit(Lake(root / "lake"), "probe", rows_of(4), 2)


def admit(root: Path) -> None:
    """What the gate does once a batch has passed."""
    lake = Lake(root / "lake")
    folder = lake.folder("probe", V, DAY)
    names = [name.removesuffix(".json") for name in lake.list(folder) if name.endswith(".json")]
    shards = {"probe": (V, [lake.manifest("probe", V, DAY, name) for name in names])}
    since, known = head_pointer(lake, DAY), batch_head(lake, DAY)
    head = {"batch": DAY, "stages": compact.compacted(lake, DAY, shards, known)}
    since.move(json.dumps(head).encode(), "this")


@pytest.mark.fault("kill -9", "one table of a batch's shards: before every write", "done again, the same bytes")
def test_killed_at_any_write_and_done_again_it_leaves_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of about thirty boundaries a few are drawn; `WINNOW_KILLS=all` takes all."""
    monkeypatch.setattr(compact, "MOST_BYTES", 200)
    shards_committed(start := tmp_path / "start")
    few = None if os.environ.get("WINNOW_KILLS") == "all" else random.Random("kills of compact")
    assert killed.after_every_kill(admit, start, tmp_path, 4 if few else None, few) > 20
