"""What a run would compute is said before it runs: by its first stage's shards, its parameters, and what follows."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from tests.unit.batch.lists import DAY, URL, ingested
from winnow.batch.preview import preview
from winnow.batch.windows import dropped_by_length
from winnow.cli.main import cli
from winnow.core.lake import Lake
from winnow.core.runtime import run_stage
from winnow.core.settings import Settings


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    ingested(tmp_path, {"a.csv": f"url,start,end\n{URL},3,8\n"})
    monkeypatch.setenv("WINNOW_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("WINNOW_INBOX", str(tmp_path / "inbox"))
    return Lake(tmp_path / "lake")


def test_a_changed_parameter_is_named_with_what_it_was(lake: Lake) -> None:
    (first, *_) = preview(lake, Settings(), DAY, {})
    assert (first.stage, first.shards, first.why, first.is_again) == ("screen", 1, "first run", False)
    run_stage(lake, "screen", DAY, {}, Settings())
    assert [one.stage for one in preview(lake, Settings(), DAY, {}) if one.shards] == []
    (again, *_) = preview(lake, Settings(), DAY, {"screen": {"stemmed": []}})
    assert (again.stage, again.shards, again.why) == ("screen", 1, "params changed")
    assert again.params == "stemmed ['tutorial'] → []"
    lake.write("winnow.toml", b"[stages.screen]\nstemmed = []\n")
    assert preview(lake, Settings(), DAY, {})[0] == again, "from the lake's file as well"


def test_the_command_changes_nothing_and_asks_on_a_terminal(lake: Lake, capsys, monkeypatch) -> None:
    run_stage(lake, "screen", DAY, {}, Settings())
    before = sorted(Path(lake.root).rglob("*"))
    options = ["curate", "--batch", DAY, "--params", '{"screen": {"stemmed": []}}']
    cli.main([*options, "--dry-run"], standalone_mode=False)
    said = capsys.readouterr()
    assert json.loads(said.out)["would"][0]["why"] == "params changed"
    assert "screen: 1 shards: params changed (stemmed" in said.err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    asked = []
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda text: asked.append(text) or "n")
    with pytest.raises(click.Abort):
        cli.main(options, standalone_mode=False)
    assert "screen had other parameters" in "".join(asked) + capsys.readouterr().err
    assert sorted(Path(lake.root).rglob("*")) == before


@pytest.mark.parametrize(("window_s", "says"), [(2.5, "all of them"), (3, "measure a picture less"), (3.5, None)])
def test_windows_that_a_rule_drops_are_warned_of_before_they_are_cut(
    lake: Lake, window_s: float, says: str | None, capsys: pytest.CaptureFixture
) -> None:
    lake.write("winnow.toml", f"[stages.clip]\nwindow_s = {window_s}\n".encode())
    found = dropped_by_length(lake, Settings(), DAY, {})
    assert [says in line and "rule too_short" in line for line in found] == ([True] if says else [])
    assert dropped_by_length(lake, Settings(), DAY, {"clip": {"window_s": 10}}) == [], (
        "a run's own go before the lake's"
    )
    cli.main(["curate", "--batch", DAY, "--dry-run"], standalone_mode=False)
    assert ("rule too_short" in capsys.readouterr().err) == bool(says)
