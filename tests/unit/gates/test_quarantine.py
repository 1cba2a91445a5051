"""Rows that a gate sets aside: few impossible values never stop a batch, many do, and people may let a row go on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.unit import synthetic
from tests.unit.gates.gated import DAY, commit, head
from winnow.cli.main import cli
from winnow.core.errors import ConfigError, ContractError, GateFailed
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.gates import gate_batch
from winnow.gates.quarantine import Quarantine, quarantine, quarantined_rows

Few = Callable[..., Settings]


def plant(count: int) -> tuple[list[str], object]:
    """Ids of `count` probed clips, and what makes their stillness impossible."""
    bad: list[str] = []

    def change(rows: dict) -> None:
        for row in [r for r in rows["probe"] if r["outcome"] == "ok"][:count]:
            row["stillness"] = 1.5
            bad.append(row["sample_id"])

    return bad, change


@pytest.mark.fault(
    "an impossible value",
    "gate, in a few rows",
    "set aside by name, the rest is admitted; a person may let them go on",
)
def test_one_impossible_value_sets_its_row_aside_and_admits_the_rest(lake: Lake, few: Few) -> None:
    bad, change = plant(1)
    commit(lake, change=change)
    (done,) = gate_batch([DAY], few("probe"), lake)["batches"]
    assert done["quarantined"] == 1
    assert head(lake)["quarantined"] == {"probe": {bad[0]: ["stillness_is_a_ratio"]}}
    assert quarantined_rows([head(lake)]) == [
        {"stage": "probe", "batch": DAY, "sample_id": bad[0], "rules": "stillness_is_a_ratio"}
    ]
    page = lake.read(f"gates/{DAY}/index.html").decode()
    assert "Passed, with rows set aside" in page
    assert "1 sample set aside" in page
    assert bad[0] in page
    result = json.loads(lake.read(f"gates/{DAY}/result.json"))
    assert (result["passed"], result["rules"] - result["rules_held"]) == (True, 1)


@pytest.mark.fault("an impossible value", "gate, in many rows", "the batch is not admitted")
def test_many_are_a_fault_of_the_system(lake: Lake, few: Few) -> None:
    bad, change = plant(1000)
    assert len(bad) == 0
    commit(lake, change=change)
    with pytest.raises(GateFailed, match=f"{len(bad)} of {len(bad)} rows"):
        gate_batch([DAY], few("probe"), lake)
    assert not lake.exists(f"batches/{DAY}.json")


@pytest.mark.parametrize(
    ("failed", "checked", "few_enough"),
    [(3, 4, True), (4, 4, False), (10, 100, True), (11, 100, False), (1, None, False)],
)
def test_how_many_are_few(failed: int, checked: int | None, few_enough: bool) -> None:
    assert Quarantine().takes(failed, checked) is few_enough


def test_a_rule_about_the_batch_stops_it_however_few_rows_break_it(lake: Lake, few: Few) -> None:
    def change(rows: dict) -> None:
        next(r for r in rows["correspond"] if r["outcome"] == "ok")["model"] = "another"

    commit(lake, change=change)
    with pytest.raises(GateFailed, match="one_model"):
        gate_batch([DAY], few("correspond"), lake)


def test_somebody_lets_a_row_go_on_and_says_why(lake: Lake, few: Few, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, change = plant(2)
    commit(lake, change=change)
    settings = few("probe")
    gate_batch([DAY], settings, lake)
    with pytest.raises(ConfigError, match="0123 is not set aside"):
        quarantine(lake, DAY, ["0123"], "seen")
    with pytest.raises(ConfigError, match="--why"):
        quarantine(lake, DAY, bad[:1])
    monkeypatch.setenv("WINNOW_LAKE", lake.root)
    monkeypatch.setenv("WINNOW_DBT_DIR", str(settings.dbt_dir))
    command = ["quarantine", "--batch", DAY, "--release", bad[0], "--why", "looked at it"]
    done = CliRunner().invoke(cli, command, standalone_mode=False, catch_exceptions=False)
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["released"] == {bad[0]: "looked at it"}
    assert [row["sample_id"] for row in said["quarantined"]] == bad[1:]
    assert head(lake)["gate"]["released"] == bad[:1]
    assert gate_batch([DAY], settings, lake)["computed"] == 0, "what was let go on stays so"
    assert "1 sample let go on" in lake.read(f"gates/{DAY}/index.html").decode()


def test_a_batch_that_is_not_admitted_has_no_quarantine(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=f"winnow gate --batch {synthetic.BATCHES[0]}"):
        quarantine(Lake(tmp_path), synthetic.BATCHES[0])
