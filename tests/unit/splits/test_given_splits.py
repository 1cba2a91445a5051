"""Splits of which some are given: nothing leaks, what is given stays, the rest fills its quotas; by property."""

from __future__ import annotations

from collections import Counter, defaultdict

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.splits.families import assign_families

SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
SPLITS = list(SHARES)
COLUMNS = ("family", "video_id", "uploader_key", "source_sha256", "label", "given_split")
SCHEMA = pa.schema([(name, pa.string()) for name in COLUMNS])

rows = st.lists(
    st.tuples(
        st.sampled_from(["ave", "avel"]),
        st.integers(0, 14).map(lambda n: f"v{n:02d}"),
        st.one_of(st.none(), st.integers(0, 4).map(lambda n: f"u{n}")),
        st.one_of(st.none(), st.integers(0, 6).map(lambda n: f"m{n}")),
        st.sampled_from(["dog", "bell"]),
        st.one_of(st.none(), st.none(), st.sampled_from(SPLITS)),
    ),
    unique=True,
    max_size=30,
)


def run(values: list[tuple]) -> dict[tuple[str, str], dict]:
    table = pa.Table.from_pylist([dict(zip(COLUMNS, v, strict=True)) for v in values], schema=SCHEMA)
    return {(row["family"], row["video_id"]): row for row in assign_families(table, SHARES).to_pylist()}


@settings(deadline=None, derandomize=True, max_examples=40)
@given(rows)
def test_nothing_leaks_and_what_is_given_stays(values: list[tuple]) -> None:
    found = run(values)
    assert set(found) == {value[:2] for value in values}
    things, named = defaultdict(set), defaultdict(set)
    for value in values:
        family, video, uploader, media, _, split = value
        row = found[family, video]
        for thing in (("uploader", uploader), ("media", media), ("group", row["group_id"])):
            if thing[1] is not None:
                things[family, *thing].add(row["split"])
        if split:
            named[family, row["group_id"]].add(split)
    assert all(len(splits) == 1 for splits in things.values())
    for (family, _), row in found.items():
        given_ = named.get((family, row["group_id"]), set())
        assert row["is_given"] == bool(given_)
        assert not given_ or row["split"] == max(given_, key=SPLITS.index)


@settings(deadline=None, derandomize=True, max_examples=15)
@given(rows)
def test_a_family_does_not_depend_on_another(values: list[tuple]) -> None:
    ave = [value for value in values if value[0] == "ave"]
    assert run(ave) == {key: row for key, row in run(values).items() if key[0] == "ave"}
    assert run(list(reversed(values))) == run(values)


def test_what_nobody_gives_fills_its_quotas() -> None:
    """100 dogs and 27 bells, of which 50 dogs are given to test: 50 and 27 are left to divide."""
    values = [("avel", f"d{n:03d}", None, None, "dog", "test" if n < 50 else None) for n in range(100)]
    values += [("avel", f"b{n:03d}", None, None, "bell", None) for n in range(27)]
    counts = Counter((key[1][0], row["split"], row["is_given"]) for key, row in run(values).items())
    assert counts == {
        ("d", "test", True): 50,
        ("d", "train", False): 30,
        ("d", "val", False): 10,
        ("d", "test", False): 10,
        ("b", "train", False): 16,
        ("b", "val", False): 6,
        ("b", "test", False): 5,
    }
