"""Groups: the best is kept, whatever came first, and no group grows by chains."""

from __future__ import annotations

import pyarrow as pa

from winnow.duplicates.groups import keep_best

CLIPS = pa.schema(
    [("sample_id", pa.string()), ("is_published", pa.bool_()), ("pixels", pa.int64()), ("seq", pa.int64())]
)
PAIRS = pa.schema([("first_id", pa.string()), ("second_id", pa.string())])


def kept(clips: list[tuple], pairs: list[str]) -> dict[str, tuple[str, int]]:
    rows = pa.Table.from_pylist([dict(zip(CLIPS.names, one, strict=True)) for one in clips], schema=CLIPS)
    both = pa.Table.from_pylist([{"first_id": p[0], "second_id": p[1]} for p in pairs], schema=PAIRS)
    return {row["sample_id"]: (row["duplicate_of"], row["duplicate_rank"]) for row in keep_best(rows, both).to_pylist()}


def test_published_then_larger_then_earlier() -> None:
    clips = [("a", False, 10, 0), ("b", False, 99, 1), ("c", True, 5, 2), ("d", False, 99, 0), ("e", False, None, 0)]
    every = ["ab", "ac", "ad", "ae", "bc", "bd", "be", "cd", "ce", "de"]
    assert kept(clips, every) == {"c": ("c", 1), "d": ("c", 2), "b": ("c", 3), "a": ("c", 4), "e": ("c", 5)}


def test_a_chain_is_no_group() -> None:
    """b shares something with a and with c, which share nothing: c is in no group with a."""
    clips = [(name, False, 10, number) for number, name in enumerate("abcd")]
    assert kept(clips, ["ab", "bc", "cd"]) == {"a": ("a", 1), "b": ("a", 2), "c": ("c", 1), "d": ("c", 2)}


def test_clips_that_other_rules_drop_head_no_group() -> None:
    clips = [("a", False, 10, 0), ("b", False, 10, 1)]
    assert kept(clips, ["xa", "xb"]) == {}
    assert kept([], []) == {}
