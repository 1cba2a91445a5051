"""The demo's truth table counts copies by how they were made, and pairs of videos that have nothing in common."""

from __future__ import annotations

from winnow.demo import truth


def test_found_copies_are_counted_by_way_and_other_pairs_apart() -> None:
    videos = [
        {"video": "a", "url": "u/a", "of": None, "copied": None},
        {"video": "b", "url": "u/b", "of": "a", "copied": "mirrored"},
        {"video": "c", "url": "u/c", "of": "a", "copied": "mirrored"},
        {"video": "d", "url": "u/d", "of": "a", "copied": "plain"},
        {"video": "e", "url": "u/e", "of": None, "copied": None},
    ]
    pairs = [
        {"first_url": "u/a", "second_url": "u/b", "kind": "both"},
        {"first_url": "u/b", "second_url": "u/a", "kind": "sound"},  # two clips of the same videos: one find
        {"first_url": "u/b", "second_url": "u/c", "kind": "both"},  # copies of one video: no find, and no fault
        {"first_url": "u/a", "second_url": "u/a", "kind": "both"},
        {"first_url": "u/e", "second_url": "u/d", "kind": "picture"},
    ]
    assert truth.copies_found(videos, pairs) == {
        "by_way": {"mirrored": {"planted": 2, "found": 1}, "plain": {"planted": 1, "found": 0}},
        "other_videos": 1,
    }
