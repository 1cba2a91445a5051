"""What a spreadsheet would compute is shown by it instead; ids, handles and numbers stay what they are."""

from __future__ import annotations

import pytest

from winnow.core.spreadsheet import as_written, harmless

COMPUTED = ["=1+1", "=cmd|'/c calc'!A1", "+SUM(A1)", "-2+3", "@SUM(A1)", "\t=1", "-A Title", '=HYPERLINK("x")', "="]
PLAIN = ["-dQw4w9WgXc", "@some.handle", "-3.5", "+49", "a=1", "'quoted", "", " =x", "'", None, 3, -2.5]


@pytest.mark.parametrize("cell", COMPUTED)
def test_a_formula_is_shown_and_read_back(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"
    assert as_written(harmless(cell)) == cell


@pytest.mark.parametrize("cell", PLAIN)
def test_anything_else_stays(cell: object) -> None:
    assert harmless(cell) == cell
    if isinstance(cell, str):
        assert as_written(cell) == cell
