"""A release's mixtures cut into shards: what stays, what is appended, what cannot be rendered; and `winnow mix`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.unit.mixed import Mixed, mixture, publish
from tests.unit.signals import moving_square, mp4, sine
from winnow.batch import mixture_plan
from winnow.cli.main import cli
from winnow.core.errors import ConfigError, ContractError, GateFailed
from winnow.core.lake import Lake
from winnow.core.runtime import run_stage
from winnow.core.settings import Settings
from winnow.core.shard import Lineage
from winnow.core.stage import stage_needs
from winnow.gates import gate_batch
from winnow.media.mixture_render import Level


def tone(hz: float, seconds: float) -> bytes:
    """A clip of a moving square and a sine."""
    return mp4(moving_square(seconds), sine(seconds, hz, -12))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_cutting_again_changes_nothing_and_more_mixtures_are_appended(lake: Lake) -> None:
    clips = {name: tone(300 + 50 * i, seconds=0.5) for i, name in enumerate("abcdef")}
    rows = [mixture("a", other) for other in "bcdef"] + [mixture("b", "late")]
    publish(lake, "aaaa", clips, rows)
    first = mixture_plan.cut(lake, batch="mix", shard_size=2)
    assert (first["shards"], first["rows"], first["ok"], first["failed"]) == (4, 6, 5, 1)
    assert mixture_plan.cut(lake, batch="mix", shard_size=2) == {**first, "computed": False}
    before = lake.head("mixtures", "mix")["shards"]

    publish(lake, "bbbb", {**clips, "late": tone(950, seconds=0.5)}, [*rows, mixture("c", "a")])
    again = mixture_plan.cut(lake, batch="mix", shard_size=2)
    after = lake.head("mixtures", "mix")["shards"]
    assert (again["release"], again["rows"], again["ok"], again["failed"]) == ("bbbb", 7, 7, 0)
    assert [name[:5] for name in after] == ["00000", "00001", "00002", "00003", "00004"]
    lineage = Lineage(lake, "mix", stage_needs())
    assert lineage.committed("mixtures", 0).rows == 0
    assert lineage.committed("mixtures", 4).rows == 2
    assert {name[:5] for name in before} <= {name[:5] for name in after}


def test_what_is_rendered_is_not_rendered_again(lake: Lake) -> None:
    clips = {name: tone(300 + 50 * i, seconds=0.5) for i, name in enumerate("abc")}
    publish(lake, "aaaa", clips, [mixture("a", "b"), mixture("b", "c")])
    assert Mixed(lake).summary["computed"] == 2
    assert Mixed(lake).summary["computed"] == 0
    assert Mixed(lake, rate_hz=8000).summary["computed"] == 2


def test_cutting_says_what_is_missing(lake: Lake) -> None:
    with pytest.raises(ConfigError, match="nothing is published"):
        mixture_plan.cut(lake)
    publish(lake, "aaaa", {"one": tone(400, seconds=0.5)}, [])
    assert mixture_plan.cut(lake)["rows"] == 0
    with pytest.raises(ConfigError, match="at least one mixture"):
        mixture_plan.cut(lake, shard_size=0)
    lake.set_head("ingest", "2026-11-01", {"v": "0", "shards": []})
    with pytest.raises(ConfigError, match="need a batch of their own, as in mix-aaaa"):
        mixture_plan.cut(lake, batch="2026-11-01")
    path = Path(lake.full("releases/aaaa/tables/fct_clips.parquet"))
    path.write_bytes(Path(lake.full("releases/aaaa/ops/fct_clip_files.parquet")).read_bytes())
    with pytest.raises(ContractError, match=r"fct_clips\.parquet has no media_sha256"):
        mixture_plan.cut(lake)
    path.unlink()
    with pytest.raises(ConfigError, match="has no fct_clips"):
        mixture_plan.cut(lake)


def test_one_command_renders_and_gates_and_the_gate_sees_a_wrong_level(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = {"one": tone(400, seconds=1.0), "two": tone(700, seconds=1.0)}
    publish(lake, "aaaa", clips, [mixture("one", "two"), mixture("one", "gone")])
    monkeypatch.setenv("WINNOW_LAKE", lake.root)
    command = ["mix", "--render", "--params", '{"rate_hz": 8000}']
    done = json.loads(
        CliRunner().invoke(cli, command, standalone_mode=False, catch_exceptions=False).stdout.splitlines()[-1]
    )
    assert (done["batch"], done["ok"], done["failed"], done["mix"]["ok"]) == ("mix-aaaa", 1, 1, 1)
    assert done["gate"]["computed"] == 1
    assert set(json.loads(lake.read("batches/mix-aaaa.json"))["stages"]) == {"mixtures", "mix"}

    right = Level.of

    def wrong(wave: np.ndarray) -> Level:
        """Quiet signals are said to be nearly silent: each part, but not their sum."""
        said = right(wave)
        return said if said.peak_dbfs > -8 else replace(said, rms_dbfs=-60.0, peak_dbfs=-60.0)

    monkeypatch.setattr(Level, "of", wrong)
    run_stage(lake, "mix", "mix-aaaa", {"rate_hz": 12_000}, Settings(lake=lake.root))
    with pytest.raises(GateFailed, match="a_sum_is_no_louder_than_its_parts"):
        gate_batch(["mix-aaaa"], Settings(lake=lake.root), lake)
