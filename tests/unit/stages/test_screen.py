"""Screen: metadata becomes numbers, and nothing is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.core.stage import Batch, Sample
from winnow.stages.screen import Screen


def screened(tmp_path: Path, **row: object) -> dict[str, object]:
    stage = Screen(Screen.Params(), Lake(tmp_path), Settings())
    stage.setup()
    whole = {"url": "https://a.example/x", "start_s": None, "end_s": None, "duration_s": None, "title": None}
    whole |= {"description": None, "extra": None, **row}
    (outcome,) = stage.process(Batch([Sample("a" * 20, whole)], tmp_path))
    assert outcome.reason is None
    assert set(outcome.values) == set(Screen.schema)
    return dict(outcome.values)


@pytest.mark.parametrize(
    ("url", "scheme", "host"),
    [
        ("HTTPS://Media.Example:8443/x", "https", "media.example"),
        ("inbox:2026-11-01/a.mp4", "inbox", None),
        ("ftp://a.example/x", "ftp", "a.example"),
    ],
)
def test_addresses(tmp_path: Path, url: str, scheme: str, host: str | None) -> None:
    found = screened(tmp_path, url=url)
    assert (found["url_scheme"], found["url_host"]) == (scheme, host)


def test_times_and_titles(tmp_path: Path) -> None:
    assert screened(tmp_path)["has_times"] is False
    found = screened(tmp_path, start_s=1.5, end_s=4.0, duration_s=60.0, title="Zwölf")
    assert found["segment_s"] == 2.5
    assert (found["has_times"], found["declared_duration_s"], found["title_chars"]) == (True, 60.0, 5)
    assert screened(tmp_path, end_s=3.0)["segment_s"] == 3.0
    found = screened(tmp_path, start_s=3.0)
    assert (found["segment_s"], found["has_times"]) == (None, True)


def test_language_category_and_keywords(tmp_path: Path) -> None:
    said = "Minecraft: a walkthrough of my new house and the garden behind it"
    found = screened(tmp_path, title=said, description="The official video", extra='{"category":" Gaming "}')
    assert (found["language"], found["category"]) == ("en", "gaming")
    assert 0.5 < found["language_p"] <= 1
    assert found["keyword_lists"] == ["gaming", "officialvideo"]
    assert found["keyword_matches"] == ["gaming: minecraft", "officialvideo: official video"]
    assert screened(tmp_path, title="Der Hund bellt den Briefträger an, weil er ihn nicht kennt")["language"] == "de"


def test_without_words_there_is_no_language(tmp_path: Path) -> None:
    found = screened(tmp_path, title="— !!! —", description=" https://a.example/minecraft ")
    assert (found["language"], found["language_p"], found["keyword_lists"]) == (None, None, [])
    assert screened(tmp_path, extra='{"category": 7}')["category"] is None


def test_another_list_is_another_measurement(tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "dogs.csv").write_text("keyword\nbarking dog\n")
    stage = Screen(Screen.Params(keywords=str(lists), stemmed=()), Lake(tmp_path), Settings())
    before = stage.model_digest()
    assert before != Screen(Screen.Params(), Lake(tmp_path), Settings()).model_digest()
    (lists / "dogs.csv").write_text("keyword\nbarking dog\nhowling dog\n")
    assert stage.model_digest() != before
