"""Pairs over a lake: incremental is from scratch to the byte, and what is kept is used only while it is whole."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.sketched import levels, pictures
from winnow.core import table
from winnow.core.lake import Lake, sha256_bytes
from winnow.duplicates import verify
from winnow.duplicates.batches import pairs_of
from winnow.stages.fingerprint import Fingerprint


def clip(name: str, seed: int, sound: int | None = None, *, video: str = "", at_s: float = 0.0, version: str = "v1"):
    """A row of a clip whose picture and sound are those of a seed."""
    return {
        "sample_id": name,
        "outcome": "ok",
        "video_id": video or name,
        "start_s": at_s,
        "end_s": at_s + 6,
        "version": version,
        "picture_moments": 9,
        "sound_moments": 9,
        "picture": pictures(seed, 6).ravel().tolist(),
        "sound": levels(seed if sound is None else sound, 6).ravel().tolist(),
    }


def admit(lake: Lake, batch: str, seq: int, rows: list[dict]) -> dict:
    schema = table.arrow_schema(Fingerprint.schema)
    data = table.to_bytes(pa.Table.from_pylist([{n: row.get(n) for n in schema.names} for row in rows], schema=schema))
    key = f"fingerprint/{batch}.parquet"
    lake.write(key, data)
    return {
        "batch": batch,
        "seq": seq,
        "stages": {"fingerprint": {"files": [{"path": key, "sha256": sha256_bytes(data)}]}},
    }


def found(lake: Lake, heads: dict) -> list[tuple]:
    rows = [row for one in pairs_of(lake, heads) for row in pq.read_table(io.BytesIO(lake.read(one.key))).to_pylist()]
    return [(row["first_id"], row["second_id"], row["kind"]) for row in rows]


DAYS = [
    [clip("a", 1), clip("b", 2), clip("c", 3, video="V"), clip("d", 3, video="V", at_s=20)],
    [clip("e", 1, sound=7), clip("f", 8, sound=2), clip("g", 9)],
    [clip("h", 1), clip("i", 9), clip("j", 2, version="v2"), clip("k", 3, video="V", at_s=3)],
]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def test_pairs_are_of_earlier_clips_and_told_by_kind(lake: Lake) -> None:
    """Seconds of one video that do not overlap are no copies; another version is never compared."""
    heads = {str(n): admit(lake, str(n), n, rows) for n, rows in enumerate(DAYS)}
    assert found(lake, heads) == [
        ("a", "e", "picture_other_sound"),
        ("b", "f", "sound_other_picture"),
        ("a", "h", "both"),
        ("c", "k", "both"),
        ("e", "h", "picture_other_sound"),
        ("g", "i", "both"),
    ]


def test_incremental_is_from_scratch_to_the_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grown, whole = Lake(tmp_path / "grown"), Lake(tmp_path / "whole")
    heads: dict = {}
    for n, rows in enumerate(DAYS):
        heads[str(n)] = admit(grown, str(n), n, rows)
        last = pairs_of(grown, heads)
    scratch = pairs_of(whole, {str(n): admit(whole, str(n), n, rows) for n, rows in enumerate(DAYS)})
    assert [one.sha256 for one in last] == [one.sha256 for one in scratch]
    files = {p.relative_to(tmp_path / "grown"): p.read_bytes() for p in (tmp_path / "grown/cache").rglob("*.*")}
    assert files == {p.relative_to(tmp_path / "whole"): p.read_bytes() for p in (tmp_path / "whole/cache").rglob("*.*")}
    monkeypatch.setattr(verify, "verify", lambda *_: pytest.fail("what is kept is computed again"))
    assert pairs_of(grown, heads) == last


def test_what_was_cut_short_is_made_again(lake: Lake) -> None:
    heads = {str(n): admit(lake, str(n), n, rows) for n, rows in enumerate(DAYS[:2])}
    first = pairs_of(lake, heads)
    lake.write(first[1].key, lake.read(first[1].key)[:-9])
    lake.write(first[0].key.replace("pairs.parquet", "done.json"), b"{")
    assert pairs_of(lake, heads) == first
    assert sha256_bytes(lake.read(first[1].key)) == first[1].sha256


def test_without_fingerprints_there_is_nothing_to_do(lake: Lake) -> None:
    assert pairs_of(lake, {"old": {"batch": "old", "seq": 0, "stages": {}}}) == []
