"""What came to nothing is named as its user knows it."""

from __future__ import annotations

from pathlib import Path

from tests.unit.batch.lists import DAY, URL, ingested
from winnow.batch.failures import failures
from winnow.core.lake import Lake


def test_each_failure_names_its_list_row_address_step_and_reason(tmp_path: Path) -> None:
    ingested(tmp_path, {"a.csv": f"url,start,end\n{URL},3,8\n{URL},soon,8\n{URL},3,8\n"})
    (line,) = failures(Lake(tmp_path / "lake"), DAY)
    assert str(line).startswith(f"a.csv, row 1, {URL}: ingest: bad_time: ")
    assert "soon" in line.detail, "the row that says once more what another says is no failure"


def test_a_batch_of_nothing_has_no_failures(tmp_path: Path) -> None:
    assert failures(Lake(tmp_path / "lake"), DAY) == []
