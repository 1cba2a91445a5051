"""Screen publishes a language where its model knows one, and none where any text would get the same answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.core.stage import Sample
from winnow.stages.screen import Screen


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Screen:
    made = Screen(Screen.Params(), Lake(tmp_path_factory.mktemp("lake")), Settings())
    made.setup()
    return made


@pytest.mark.parametrize(
    ("text", "language"),
    [("xqzk", None), ("ŧŋŧ", None), ("A dog barks at the postman in the garden", "en"), ("Der Hund bellt laut", "de")],
)
def test_a_language_is_what_the_model_knows(stage: Screen, text: str, language: str | None, tmp_path: Path) -> None:
    row = {"url": "http://media.test/a.mp4", "title": text, "description": None, "extra": None}
    row |= {"start_s": None, "end_s": None, "duration_s": None}
    found = stage.measure(Sample("a", row))
    assert found["language"] == language
    assert (found["language_p"] is None) == (language is None)
