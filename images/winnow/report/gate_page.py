"""The page of a gate: which rules hold, why each is there, and the rows that break one. Readable without a network,
which Great Expectations' own Data Docs are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from winnow.report.render import render


def gate_page(results: Sequence[Mapping]) -> str:
    """HTML of one or several gates (`GateResult.to_json`), failed ones first in their tables and open."""
    return render("gates.html.j2", results=results, passed=all(result["passed"] for result in results))
