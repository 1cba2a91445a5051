"""One video, measured without a lake of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

import winnow
from tests.unit import synthetic
from tests.unit.measured import write_batch
from winnow.batch import command
from winnow.core.errors import ConfigError, ContractError, GateFailed, TransientError
from winnow.core.lake import Lake


def test_a_video_is_measured_and_scored_by_the_lakes_scorer(tmp_path: Path) -> None:
    from winnow.fitting.fit import fit

    lake = Lake(tmp_path / "lake")
    write_batch(lake, "day", range(24))
    model = fit(lake, ["day"])["model"]
    lake.write("winnow.toml", b"[stages.clip]\nwindow_s = 2\ntail_s = 1\n")
    before = sorted(path for path in Path(lake.root).rglob("*") if path.is_file())
    (tmp_path / "film.mp4").write_bytes(synthetic.mp4(3, 3))
    found = winnow.measure(tmp_path / "film.mp4", lake)
    assert list(found.tables) == ["clip", "probe", "visual", "audio", "tags", "correspond"]
    assert found["clip"]["duration_s"].to_pylist() == pytest.approx([2, 1], abs=0.1)
    ids = [table["sample_id"].to_pylist() for table in found.tables.values()]
    assert all(one == ids[0] for one in ids)
    assert set(found["correspond"]["model"].to_pylist()) == {model}
    assert found.failed == []
    assert sorted(path for path in Path(lake.root).rglob("*") if path.is_file()) == before, "the lake is only read"
    with pytest.raises(KeyError, match="panns was not measured"):
        found["panns"]


def test_what_cannot_be_measured_is_said(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"this is no film, whatever its name says")
    with pytest.raises(ContractError, match=r"film\.mp4"):
        winnow.measure(tmp_path / "film.mp4", stages=["probe"])
    (tmp_path / "text.txt").write_text("nothing")
    for name in ("none.mp4", "."):
        with pytest.raises(ConfigError, match="is no file"):
            winnow.measure(tmp_path / name)
    with pytest.raises(ConfigError, match="separate needs flag, which a batch decides"):
        winnow.measure(tmp_path / "film.mp4", stages=["separate"])
    with pytest.raises(ConfigError, match="params has tags, which is not measured here; there are fetch, clip, probe"):
        winnow.measure(tmp_path / "film.mp4", stages=["probe"], params={"tags": {}})
    with pytest.raises(ConfigError, match="window_s"):
        winnow.measure(tmp_path / "film.mp4", params={"clip": {"window_s": -1}})


def test_a_command_raises_what_it_ends_with(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    with pytest.raises(ConfigError, match="is no folder"):
        winnow.curate(tmp_path / "none", lake)
    with pytest.raises(ContractError):
        winnow.fit(lake, ["day"])
    for said, code, kind in (
        ("note\nwinnow: GateFailed: rows\nof two lines\n", 65, GateFailed),
        ("winnow: StaleWriter: another was there\n", 75, TransientError),
        ("Killed\n", -9, winnow.WinnowError),
    ):
        error = command.failure_of(code, said, ("run",))
        assert type(error) is kind
    assert (
        str(command.failure_of(65, "a: 1 failed\nwinnow: GateFailed: rows\nof two lines\n", ())) == "rows\nof two lines"
    )
