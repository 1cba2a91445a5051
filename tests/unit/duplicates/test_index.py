"""Candidates: copies are among them, others hardly; what is found does not depend on how the index grew."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.sketched import known, levels, pictures
from winnow.core.errors import ContractError
from winnow.duplicates import index, words
from winnow.duplicates.index import Segment, candidates

CLIPS = [known(f"{seed:03}", pictures(seed, 6), levels(seed, 6)) for seed in range(40)]


def copy(name: str, seed: int, picture: bool = True, sound: bool = True):
    rng = np.random.default_rng(seed)
    one = CLIPS[seed]
    seen = one.picture[6:] if picture else pictures(seed + 1000, 4)
    heard = (
        np.clip(one.sound[19:] + rng.normal(0, 3, one.sound[19:].shape), 0, 120) if sound else levels(seed + 1000, 4)
    )
    return known(name, seen, heard.astype(np.uint8))


def test_copies_by_either_side_are_candidates_and_others_are_not() -> None:
    asked = [copy("b0", 3), copy("b1", 17, sound=False), copy("b2", 29, picture=False)]
    mirrored = known("b3", CLIPS[5].picture[:, :, ::-1], levels(2005, 6))
    cropped = known("b4", np.rint(words.window(CLIPS[6].picture, 0.85)).astype(np.uint8), levels(2006, 6))
    found = candidates([Segment.of(CLIPS)], [*asked, mirrored, cropped, known("b5", pictures(900), levels(900))])
    assert {(clip, there) for clip, _, there in found} >= {(0, 3), (1, 17), (2, 29), (3, 5), (4, 6)}
    assert len(found) <= 8


def test_a_clip_meets_only_those_before_it() -> None:
    batch = [copy("a", 1), copy("b", 1), copy("c", 1)]
    own = Segment.of(batch)
    assert candidates([own], batch, own=0) == [(1, 0, 0), (2, 0, 0), (2, 0, 1)]
    earlier = Segment.of(CLIPS)
    assert candidates([earlier, own], batch[:1], own=1) == [(0, 0, 1)]


def test_segments_do_not_depend_on_the_order_of_rows_or_on_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = Segment.of(CLIPS), Segment.of(CLIPS[::-1])
    assert one.ids == other.ids
    assert all(np.array_equal(a, b) for a, b in zip(one.word + one.clip, other.word + other.clip, strict=True))
    asked = [copy(f"b{seed}", seed) for seed in range(9)]
    whole = candidates([one], asked)
    monkeypatch.setattr(index, "GROUP", 2)
    assert candidates([one], asked[::-1]) == whole


def test_what_says_nothing_is_no_candidate_of_anything() -> None:
    still = known("a", np.repeat(CLIPS[1].picture[:1], 24, axis=0), np.zeros_like(CLIPS[1].sound))
    assert (still.picture_void, still.sound_void) == ("still", "silent")
    other = known("b", still.picture, still.sound)
    assert candidates([Segment.of([still])], [other]) == []


def test_two_versions_never_meet() -> None:
    asked = [known("b", CLIPS[3].picture, CLIPS[3].sound, version="another")]
    assert candidates([Segment.of(CLIPS)], asked) == []
    with pytest.raises(ContractError, match="several versions"):
        Segment.of([*CLIPS[:2], *asked])


def test_of_a_word_that_many_have_the_first_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A music bed under thousands of clips is compared with those that came first, whatever was added since."""
    monkeypatch.setattr(index, "MOST_OCCURRENCES", 6)
    bed = levels(7, 6)
    with_bed = [known(f"{n:03}", pictures(3000 + n, 6), bed) for n in range(30)]
    first, rest = Segment.of(with_bed[:10]), Segment.of(with_bed[10:])
    asked = [known("x", pictures(4000, 6), bed)]
    alone = candidates([first], asked)
    assert 0 < len(alone) <= 6
    assert candidates([first, rest], asked) == alone
