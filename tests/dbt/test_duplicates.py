"""Near-duplicates in a release: the best of a group is kept, what is tied stands in one split, beds tie nothing."""

from __future__ import annotations

from collections.abc import Callable

from tests.dbt.conftest import Built
from tests.dbt.lake import Candidate, Clip, write_batch
from winnow.core.lake import Lake


def film(name: str, seen: int, heard: int, width: int = 320, z: float = 5.0) -> Candidate:
    return Candidate(name, uploader=name, clips=(Clip(0, 6, z=z, sketches=(seen, heard), probe={"width": width}),))


FIRST = [
    film("small", 1, 1),
    film("large", 1, 1, width=640),
    film("best_but_mismatched", 1, 1, width=1280, z=0.1),
    film("other", 2, 2),
    film("third", 9, 9),
    *(film(f"bed{n}", 60 + n, 50) for n in range(4)),
]
SECOND = [
    film("dubbed", 2, 12),
    film("late", 1, 1),
    *(film(f"bed{n}", 60 + n, 50) for n in range(4, 11)),
    film("same_sound", 40, 9),
]


def test_the_best_of_a_group_is_kept_and_ties_hold(build: Callable[..., Built], lake: Lake) -> None:
    for seq, films in enumerate((FIRST, SECOND)):
        write_batch(lake, f"2026-11-0{seq + 1}", seq, films)
    built = build(lake)
    query = "select title, status, first_failed_rule, split, detail from fct_clips"
    found = {title: row for title, *row in built.rows(query)}
    assert found["large"][0] == found["other"][0] == "kept"
    assert found["best_but_mismatched"][1] == "low_correspondence"
    assert {found[name][1] for name in ("small", "late", "dubbed")} == {"near_duplicate"}
    assert "(picture_other_sound, share 0.9" in found["dubbed"][3]
    # The same sound under another picture is no copy and ties; under many pictures it is a music bed and does not.
    assert found["same_sound"][0] == "kept"
    assert found["same_sound"][2] == found["third"][2]
    beds = [found[f"bed{n}"] for n in range(11)]
    assert {bed[0] for bed in beds} == {"kept"}, beds
    assert len({bed[2] for bed in beds}) > 1
    report = built.rows("select kind, clips, by_both, by_picture from rpt_duplicates order by kind, clips desc")
    assert report[:3] == [("copies", 3, 3, 0), ("copies", 2, 0, 1), ("music_bed", 11, 0, 0)]
    removed = built.rows("select measured, op, threshold from fct_removed where reason = 'near_duplicate' and is_first")
    assert sorted(removed) == [(2, ">", 1), (2, ">", 1), (3, ">", 1)]
