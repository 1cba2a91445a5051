"""Rows that failed for what a deployment allows are tried again when it allows something else, and only then."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from tests.unit.helpers import Count, cut, read, runtime
from winnow.core.lake import Lake
from winnow.core.sample import Reason
from winnow.core.settings import Settings
from winnow.stages.fetch import Fetch


class Lifted(Count):
    """As Count; what is too large depends on a limit."""

    lifted_by = {Reason.too_large: ("LIMIT", "OTHER")}
    now: ClassVar[dict[str, str]] = {}

    def conditions(self) -> dict[str, str]:
        return dict(self.now)


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    lake = Lake(tmp_path / "lake")
    cut(lake, "words", "day", [[("a", "one"), ("b", "!too_large"), ("c", "!gone")]])
    for name, value in {"calls": [], "cured": set(), "now": {"LIMIT": "1", "OTHER": "x", "UNNAMED": "u"}}.items():
        monkeypatch.setattr(Lifted, name, value)
    return lake


def test_a_changed_condition_tries_its_rows_again_and_no_others(lake: Lake) -> None:
    assert runtime(lake, Lifted).run().computed == 1
    Lifted.now["LIMIT"] = "2"
    Lifted.cured.add("b")
    Lifted.calls.clear()
    summary = runtime(lake, Lifted).run()
    assert Lifted.calls == ["b"]
    assert summary.why == ["trying again: too_large 1 (LIMIT changed)"]
    manifest, rows = read(lake, runtime(lake, Lifted))
    assert {row["sample_id"]: row["outcome"] for row in rows} == {"a": "ok", "b": "ok", "c": "failed"}
    assert manifest.conditions == Lifted.now


def test_unchanged_or_unnamed_conditions_try_nothing_again(lake: Lake) -> None:
    runtime(lake, Lifted).run()
    Lifted.calls.clear()
    assert runtime(lake, Lifted).run().skipped == 1
    Lifted.now["UNNAMED"] = "v"
    assert runtime(lake, Lifted).run().skipped == 1
    assert Lifted.calls == []


def test_rows_that_fail_again_wait_for_the_next_change(lake: Lake) -> None:
    runtime(lake, Lifted).run()
    Lifted.now["OTHER"] = "y"
    assert runtime(lake, Lifted).run().retried == 1
    assert runtime(lake, Lifted).run().skipped == 1


def test_fetch_names_the_settings_that_refuse(lake: Lake) -> None:
    fetch = Fetch(Fetch.Params(), lake, Settings(fetch_max_bytes=7, fetch_allow_networks="10.0.0.0/8"))
    assert set(Fetch.lifted_by) == {Reason.blocked_address, Reason.too_large, Reason.unsupported_site}
    assert {name for names in Fetch.lifted_by.values() for name in names} == set(fetch.conditions())
    assert fetch.conditions()["WINNOW_FETCH_MAX_BYTES"] == "7"
    assert fetch.conditions()["WINNOW_FETCH_ALLOW_NETWORKS"] == "10.0.0.0/8"
