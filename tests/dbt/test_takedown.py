"""What was taken down is gone from the next release, with its copies and whatever of it comes later; rows add up."""

from __future__ import annotations

from collections.abc import Callable

from tests.dbt.conftest import Built
from tests.dbt.lake import Candidate, Clip, write_batch
from winnow.core.lake import Lake
from winnow.release.takedown import takedown


def film(name: str, seen: int, uploader: str | None = None) -> Candidate:
    return Candidate(name, uploader=uploader or name, clips=(Clip(0, 6, sketches=(seen, seen)),))


def test_what_was_taken_down_is_gone_with_its_copies_and_what_comes_later(
    build: Callable[..., Built], lake: Lake
) -> None:
    write_batch(lake, "2026-11-01", 0, [film("wanted", 1), film("hers", 2, "Ann"), film("stays", 3)])
    takedown(lake, "source", ["http://media.world.test/wanted.mp4"], "asked")
    takedown(lake, "uploader", ["ANN"], "asked too")
    write_batch(lake, "2026-11-02", 1, [film("copy", 1, "Eve"), film("later_hers", 5, " ann "), film("fine", 6)])
    built = build(lake)
    rows = built.rows("select title, status, first_failed_rule, detail from fct_clips")
    found = {title: row for title, *row in rows}
    assert {title for title, row in found.items() if row[0] == "kept"} == {"stays", "fine"}
    gone = {title: row for title, row in found.items() if title not in ("stays", "fine")}
    assert {tuple(row[:2]) for row in gone.values()} == {("dropped", "taken_down")}
    assert "source http://media.world.test/wanted.mp4 was taken down on 20" in gone["wanted"][2]
    assert "uploader ann was taken down on 20" in gone["later_hers"][2]
    assert "a copy of " in gone["copy"][2]
    assert built.rows("select count(*) from fct_removed where reason = 'taken_down' and is_first") == [(4,)]
    query = "select items_in, dropped, unexplained from rpt_funnel where step = 'release' order by batch"
    assert built.rows(query) == [(3, 2, 0), (3, 2, 0)]
