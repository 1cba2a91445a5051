"""Splits: nothing leaks, nothing moves, quotas are exact; by property, and against a plain implementation."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from fractions import Fraction

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.core.errors import ConfigError, ContractError
from winnow.splits.groups import ROW_COLUMNS, apportion, assign, bucket

SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
EXACT = [Fraction(3, 5), Fraction(1, 5), Fraction(1, 5)]
#: The same examples on every run, and no deadline: the first one pays for an import.
repeatable = settings(deadline=None, derandomize=True, max_examples=200)
SCHEMA = pa.schema([("seq", pa.int64()), *((name, pa.string()) for name in ROW_COLUMNS[1:])])
PUBLISHED = pa.schema([(name, pa.string()) for name in ("video_id", "uploader_key", "source_sha256", "split")])

rows = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(0, 14).map(lambda n: f"v{n:02d}"),
        st.one_of(st.none(), st.integers(0, 4).map(lambda n: f"u{n}")),
        st.one_of(st.none(), st.integers(0, 6).map(lambda n: f"m{n}")),
        st.sampled_from(["dog", "bell"]),
    ),
    unique=True,
    max_size=40,
)


def table(values: list[tuple]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(ROW_COLUMNS, v, strict=True)) for v in values], schema=SCHEMA)


def run(values: list[tuple], published: pa.Table | None = None, policy: str = "hash") -> list[dict]:
    return assign(table(values), published or PUBLISHED.empty_table(), SHARES, policy).to_pylist()


def publish(result: list[dict]) -> pa.Table:
    """What the next release reads of this one."""
    kept = [{name: r[name] for name in PUBLISHED.names} for r in result if r["split"]]
    return pa.Table.from_pylist(kept, schema=PUBLISHED)


def nodes(row: dict) -> list[tuple[str, str]]:
    return [(kind, row[kind]) for kind in ROW_COLUMNS[1:4] if row[kind] is not None]


def plain_hash(values: list[tuple]) -> list[dict]:
    """The policy in sets and loops: batch by batch, whole components first, row by row where two splits meet."""
    group: dict[tuple, set] = {}
    split: dict[tuple, str] = {}
    out = []

    def join(members: set) -> None:
        for node in members:
            group[node] = members

    ordered = sorted(values, key=lambda v: tuple("" if x is None else str(x) for x in v))
    ordered.sort(key=lambda v: (v[0], v[1], v[2] is None, v[2] or "", v[3] is None, v[3] or "", v[4]))
    for seq in sorted({v[0] for v in values}):
        batch = [dict(zip(ROW_COLUMNS, v, strict=True)) for v in ordered if v[0] == seq]
        components: list[tuple[set, list[dict]]] = []
        for row in batch:
            touched = set().union(*(group.get(n, {n}) for n in nodes(row)))
            mine = [c for c in components if c[0] & touched]
            components = [c for c in components if c not in mine]
            components.append((touched.union(*(c[0] for c in mine)), [r for c in mine for r in c[1]] + [row]))
        for members, its_rows in components:
            splits = {split[n] for n in members if n in split}
            if len(splits) <= 1:
                join(members)
                split.update({n: s for s in splits for n in members})
                out += [{**row, "joins_two_splits": False} for row in its_rows]
                continue
            for row in sorted(its_rows, key=batch.index):
                together = set().union(*(group.get(n, {n}) for n in nodes(row)))
                splits = {split[n] for n in together if n in split}
                out.append({**row, "joins_two_splits": len(splits) > 1})
                if len(splits) <= 1:
                    join(together)
                    split.update({n: s for s in splits for n in together})
        for row in out:
            if not row["joins_two_splits"]:
                members = group["video_id", row["video_id"]]
                name = min(value for kind, value in members if kind == "video_id")
                for node in members:
                    split.setdefault(node, list(SHARES)[bucket(name, EXACT)])
    for row in out:
        members = group.get(("video_id", row["video_id"]), set())
        dropped = row["joins_two_splits"]
        row["group_id"] = None if dropped else min(value for kind, value in members if kind == "video_id")
        row["split"] = None if dropped else split["video_id", row["video_id"]]
    return out


def comparable(result: list[dict]) -> list[str]:
    return sorted(str(sorted(row.items(), key=lambda item: item[0])) for row in result)


@repeatable
@given(rows)
def test_hash_is_what_a_plain_implementation_gives(values: list[tuple]) -> None:
    assert comparable(run(values)) == comparable(plain_hash(values))


@repeatable
@given(rows, st.sampled_from(["hash", "quota"]))
def test_nothing_stands_in_two_splits(values: list[tuple], policy: str) -> None:
    seen: dict[tuple, set] = defaultdict(set)
    for row in run(values, policy=policy):
        assert (row["split"] is None) == row["joins_two_splits"] == (row["group_id"] is None)
        if row["split"]:
            for node in [*nodes(row), ("group", row["group_id"])]:
                seen[node].add(row["split"])
    assert all(len(splits) == 1 for splits in seen.values())


@repeatable
@given(rows, st.lists(st.booleans(), min_size=4, max_size=4))
def test_the_last_release_does_not_depend_on_which_ran_before(values: list[tuple], ran: list[bool]) -> None:
    only_last = run(values)
    published = None
    for seq, this_ran in enumerate(ran):
        if this_ran:
            published = publish(run([v for v in values if v[0] <= seq], published))
    assert run(values, published) == only_last


@repeatable
@given(rows)
def test_a_later_batch_moves_no_clip(values: list[tuple]) -> None:
    before = {tuple(r[c] for c in ROW_COLUMNS): r["split"] for r in run([v for v in values if v[0] <= 1])}
    after = {tuple(r[c] for c in ROW_COLUMNS): r["split"] for r in run(values)}
    assert {key: after[key] for key in before} == before


@repeatable
@given(rows, st.randoms(use_true_random=False), st.sampled_from(["hash", "quota"]))
def test_the_order_of_rows_does_not_matter(values: list[tuple], rng: random.Random, policy: str) -> None:
    shuffled = list(values)
    rng.shuffle(shuffled)
    assert run(shuffled, policy=policy) == run(values, policy=policy)


def test_a_clip_that_would_join_two_splits_is_dropped_and_the_groups_stay_apart() -> None:
    ids = {
        split: next(v for v in (f"v{n}" for n in range(99)) if bucket(v, EXACT) == i) for i, split in enumerate(SHARES)
    }
    first = [(0, ids["train"], "ann", None, "dog"), (0, ids["test"], "bob", "file", "dog")]
    torn = (1, "w", "ann", "file", "dog")
    result = {(r["video_id"], r["seq"]): r for r in run([*first, torn, (1, "x", "ann", None, "dog")])}
    assert result["w", 1]["joins_two_splits"]
    assert result["w", 1]["split"] is None
    assert result[ids["train"], 0]["split"] == "train"
    assert result[ids["test"], 0]["split"] == "test"
    assert result["x", 1]["split"] == "train"
    assert result["x", 1]["group_id"] == min(ids["train"], "x")


def test_what_is_published_wins_over_the_hash() -> None:
    video = next(v for v in (f"v{n}" for n in range(99)) if bucket(v, EXACT) == 0)
    published = pa.Table.from_pylist([{"video_id": video, "split": "test"}], schema=PUBLISHED)
    assert [r["split"] for r in run([(0, video, None, None, "dog")])] == ["train"]
    assert [r["split"] for r in run([(0, video, None, None, "dog")], published)] == ["test"]


def test_a_published_leak_is_refused() -> None:
    leak = [
        {"video_id": "a", "uploader_key": "u", "split": "test"},
        {"video_id": "b", "uploader_key": "u", "split": "train"},
    ]
    with pytest.raises(ContractError, match="two splits"):
        run([(0, "a", None, None, "dog")], pa.Table.from_pylist(leak, schema=PUBLISHED))


def test_the_hash_gives_about_its_shares() -> None:
    counts = Counter(bucket(f"video-{n}", EXACT) for n in range(20_000))
    assert [round(counts[i] / 20_000, 2) for i in range(3)] == pytest.approx([0.6, 0.2, 0.2], abs=0.011)


@repeatable
@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 60), min_size=1))
def test_quota_is_exact_per_category_for_single_videos(sizes: dict[str, int]) -> None:
    values = [(0, f"{label}{n}", None, None, label) for label, size in sizes.items() for n in range(size)]
    counts = Counter((r["label"], r["split"]) for r in run(values, policy="quota"))
    for label, size in sizes.items():
        assert [counts[label, split] for split in SHARES] == apportion(size, EXACT)


@repeatable
@given(rows)
def test_quota_drops_nothing_and_divides_no_group(values: list[tuple]) -> None:
    result = run(values, policy="quota")
    assert len(result) == len(values)
    assert all(r["split"] and r["group_id"] for r in result)
    assert all(len({r["split"] for r in result if r["group_id"] == g}) == 1 for g in {r["group_id"] for r in result})


@pytest.mark.parametrize("size", [12, 50])
def test_quota_stays_exact_beside_groups_that_fit(size: int) -> None:
    """A group of 12 of 100 fits every split, one of 50 only the training split."""
    crowd = [(0, f"g{n}", "ann", None, "dog") for n in range(size)]
    alone = [(0, f"s{n}", None, None, "dog") for n in range(100 - size)]
    result = run(crowd + alone, policy="quota")
    assert Counter(r["split"] for r in result) == {"train": 60, "val": 20, "test": 20}
    assert len({r["split"] for r in result if r["uploader_key"] == "ann"}) == 1


@pytest.mark.parametrize(
    ("total", "counts"), [(0, [0, 0, 0]), (1, [1, 0, 0]), (3, [2, 1, 0]), (4, [2, 1, 1]), (7, [4, 2, 1])]
)
def test_apportion_gives_to_the_largest_remainder(total: int, counts: list[int]) -> None:
    assert apportion(total, EXACT) == counts


@repeatable
@given(st.integers(0, 500))
def test_apportion_sums_and_is_never_off_by_one_whole(total: int) -> None:
    counts = apportion(total, EXACT)
    assert sum(counts) == total
    assert all(abs(count - total * share) < 1 for count, share in zip(counts, EXACT, strict=True))


def test_wrong_choices_are_refused() -> None:
    with pytest.raises(ConfigError, match="sum to 1"):
        assign(table([]), PUBLISHED.empty_table(), {"train": 0.6, "test": 0.3}, "hash")
    with pytest.raises(ConfigError, match="'hash' and 'quota'"):
        run([], policy="random")


def test_no_rows_keep_their_types() -> None:
    result = assign(table([]), PUBLISHED.empty_table(), SHARES, "hash")
    assert result.num_rows == 0
    assert [str(result.schema.field(n).type) for n in ("group_id", "split", "joins_two_splits")] == [
        "string",
        "string",
        "bool",
    ]


TIED = pa.schema([*SCHEMA, ("tie_key", pa.string())])


def tied(values: list[tuple], policy: str) -> list[dict]:
    names = [*ROW_COLUMNS, "tie_key"]
    rows = pa.Table.from_pylist([dict(zip(names, v, strict=True)) for v in values], schema=TIED)
    return assign(rows, PUBLISHED.empty_table(), SHARES, policy).to_pylist()


@pytest.mark.parametrize("policy", ["hash", "quota"])
def test_near_duplicates_are_in_one_split(policy: str) -> None:
    """Any two videos that a pair ties, and chains of pairs; whatever batch brought them."""
    chain = [(n // 4, f"v{n:02d}", None, None, "dog", f"p{k}") for n in range(12) for k in (n - 1, n) if 0 <= k < 11]
    alone = [(0, f"w{n:02d}", None, None, "dog", None) for n in range(30)]
    result = tied([*chain, *alone], policy)
    assert len({row["split"] for row in result if row["video_id"] < "w"}) == 1
    assert {row["group_id"] for row in result if row["video_id"] < "w"} == {"v00"}
    assert len({row["split"] for row in result}) == 3


def test_a_clip_between_two_splits_joins_neither() -> None:
    """One that is like clips of two splits: one of its rows says so, and what stood there before does not move."""
    before = [(0, f"w{n:02d}", None, None, "dog", None) for n in range(30)]
    split = {row["video_id"]: row["split"] for row in tied(before, "hash")}
    one, other = "w00", next(video for video in split if split[video] != split["w00"])
    pairs = [(0, one, None, None, "dog", "p"), (0, other, None, None, "dog", "q")]
    between = [(1, "x", None, None, "dog", "p"), (1, "x", None, None, "dog", "q")]
    result = tied([*before, *pairs, *between], "hash")
    assert sorted(row["joins_two_splits"] for row in result if row["video_id"] == "x") == [False, True]
    assert {row["video_id"]: row["split"] for row in result if row["video_id"] != "x"} == split
