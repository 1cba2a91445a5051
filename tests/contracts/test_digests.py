"""A change that makes anybody's tables anew is told: the committed list of digests, and the changelog that names it."""

from __future__ import annotations

import pytest

from winnow.cli import digests
from winnow.core.stage import stage_names

CHANGELOG = digests.CHANGELOG.read_text(encoding="utf-8")


def test_the_committed_digests_are_the_codes() -> None:
    assert digests.FILE.read_text(encoding="utf-8") == digests.written(), "run `make digests`, see what recomputes"


def test_the_changelog_names_what_recomputes() -> None:
    missing = digests.unnamed(CHANGELOG)
    assert not missing, f"CHANGELOG.md's newest version needs a line 'recomputes: {', '.join(missing)}'"


def test_every_stage_has_a_digest() -> None:
    assert set(stage_names()) < set(digests.digests())
    assert {"ingest", "plan", "mixture_plan", "calibrate", "select", "fit", "cluster_fit"} <= set(digests.digests())


def test_a_changed_digest_is_missing_until_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    true = digests.digests()
    monkeypatch.setattr(digests, "digests", lambda: {**true, "probe": "0" * 12})
    assert digests.unnamed(CHANGELOG) == ["probe@000000000000"]
    assert digests.unnamed(f"recomputes: probe@{'1' * 12}\n{CHANGELOG}") == ["probe@000000000000"]
    assert digests.unnamed(f"recomputes: visual@{true['visual']}, probe@{'0' * 12}\n{CHANGELOG}") == []
    assert "probe,000000000000\n" in digests.written()
