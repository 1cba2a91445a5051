"""docs/questions.md: each of its ten questions is answered by a release."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.journey.helpers import Deployment

PAGE = Path(__file__).resolve().parents[2] / "docs" / "questions.md"
ASKED = re.compile(r"^## (.+?)\n\n```sql\n(.*?)```", re.DOTALL | re.MULTILINE)
QUESTIONS = dict(ASKED.findall(PAGE.read_text(encoding="utf-8")))


def test_there_are_ten() -> None:
    assert [title.split(".")[0] for title in QUESTIONS] == [str(number) for number in range(1, 11)]


@pytest.mark.parametrize("title", QUESTIONS)
def test_a_question_has_an_answer(journey: Deployment, title: str) -> None:
    assert journey.rows(QUESTIONS[title]), f"{title}: no row"
