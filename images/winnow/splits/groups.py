"""Splits: train, val and test, such that nothing leaks. Groups are connected components over what clips share: a source
video, an uploader, a file's bytes, a stretch of picture or sound (near-duplicates). A group is never divided.

Two policies:

`hash`, for a dataset that grows. Batches are taken in the order of their admission; a group gets its split from the
hash of its smallest video id when it first appears and keeps it. A later clip that would tie groups of two splits
together is dropped (rule `joins_two_splits`), and the groups stay apart. What is published already is an input and
wins. So a split never changes, and, as every batch is decided from itself and the batches before it, the last of
several releases holds the same whichever of them ran.

`quota`, for a frozen edition: exact shares per category (largest remainder), counted in videos. Groups of several
videos or categories are placed first, largest first, where they fit best; single videos then fill each category's quota
exactly.

Plain arrays in, plain arrays out: dbt calls `assign` from the model `int_splits`.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

from winnow.core.errors import ConfigError, ContractError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

#: Order of rows: within a batch it says which of two clips that exclude each other stays.
ROW_COLUMNS = ("seq", "video_id", "uploader_key", "source_sha256", "label")
#: What else may tie rows, where a column of that name is there: those of one value.
TIE_COLUMN = "tie_key"
_NONE = -1


def assign(rows: pa.Table, published: pa.Table, shares: Mapping[str, float], policy: str) -> pa.Table:
    """Group and split of every row.

    rows: columns seq (int64, order of admission), video_id, uploader_key (null for unknown), source_sha256 (null for
    unknown), label; each row ties its video, uploader and file together, and what its tie_key stands for where there is
    such a column (a pair of near-duplicates: a row of either clip has it). published: video_id, uploader_key,
    source_sha256, split of what is released already (used by `hash`). shares: split → share, in order; they sum to 1.
    Returns the rows, ordered, with group_id (the group's smallest video_id), split and joins_two_splits (then the other
    two are null). ConfigError for shares that do not sum to 1 or an unknown policy.
    """
    import numpy as np
    import pyarrow as pa

    names = list(shares)
    exact = [Fraction(str(share)) for share in shares.values()]
    if sum(exact) != 1 or min(exact) < 0:
        raise ConfigError(f"split shares {dict(shares)} do not sum to 1")
    names_of_rows = [*ROW_COLUMNS, *(name for name in rows.column_names if name == TIE_COLUMN)]
    rows = rows.select(names_of_rows).sort_by([(name, "ascending") for name in names_of_rows])
    graph = _Graph(rows, published)
    if policy == "hash":
        dropped = graph.grow(published, names, exact)
    elif policy == "quota":
        graph.tie(np.arange(rows.num_rows))
        graph.split[:] = _NONE
        dropped = np.zeros(rows.num_rows, dtype=bool)
        _fill(graph, rows, exact)
    else:
        raise ConfigError(f"split policy {policy!r}: there are 'hash' and 'quota'")
    roots = graph.find(graph.ends[0])
    codes = pa.array(graph.split[roots], mask=dropped)
    return (
        rows.append_column("group_id", pa.array(graph.videos, pa.string()).take(pa.array(roots, mask=dropped)))
        .append_column("split", pa.array(names, pa.string()).take(codes))
        .append_column("joins_two_splits", pa.array(dropped))
    )


def bucket(key: str, shares: list[Fraction]) -> int:
    """Which share a key falls to: the first 64 bits of its SHA-256 as a fraction of 1."""
    at = Fraction(int.from_bytes(hashlib.sha256(f"winnow-split:{key}".encode()).digest()[:8], "big"), 1 << 64)
    for index, share in enumerate(shares):
        at -= share
        if at < 0:
            return index
    raise AssertionError("shares sum to 1 and a bucket is below 1")


def apportion(total: int, shares: list[Fraction]) -> list[int]:
    """Whole numbers that sum to `total`, as close to the shares as can be (largest remainder, then the earlier one)."""
    exact = [total * share for share in shares]
    counts = [int(e) for e in exact]
    by_remainder = sorted(range(len(shares)), key=lambda i: (counts[i] - exact[i], i))
    for index in by_remainder[: total - sum(counts)]:
        counts[index] += 1
    return counts


class _Graph:
    """Nodes are videos (first, in order of their ids, so that a group's smallest node is its smallest video),
    uploaders, files and pairs of near-duplicates; `parent` is a union-find forest whose roots are the smallest nodes;
    `split` counts at the roots."""

    def __init__(self, rows: pa.Table, published: pa.Table) -> None:
        import numpy as np
        import pyarrow as pa

        columns = ("video_id", "uploader_key", "source_sha256", TIE_COLUMN)
        unknown = pa.chunked_array([pa.nulls(published.num_rows, pa.string())])
        untied = pa.chunked_array([pa.nulls(rows.num_rows, pa.string())])
        self.ends: list[np.ndarray] = []
        self.published_ends: list[np.ndarray] = []
        self.videos: list[str] = []
        size = 0
        for name in columns:
            values, code, published_code = _encode(
                rows[name] if name in rows.column_names else untied,
                published[name] if name in published.column_names else unknown,
            )
            self.ends.append(np.where(code < 0, _NONE, code + size))
            self.published_ends.append(np.where(published_code < 0, _NONE, published_code + size))
            self.videos = self.videos or values
            size += len(values)
        self.seq = rows["seq"].to_numpy()
        self.parent = np.arange(size)
        self.split = np.full(size, _NONE)

    def find(self, nodes: np.ndarray) -> np.ndarray:
        """Roots of nodes; the paths to them are shortened."""
        roots = self.parent[nodes]
        while (self.parent[roots] != roots).any():
            roots = self.parent[roots]
        self.parent[nodes] = roots
        return roots

    def grow(self, published: pa.Table, names: list[str], shares: list[Fraction]) -> np.ndarray:
        """Policy `hash`. Returns which rows would join groups of two splits."""
        import numpy as np

        if published.num_rows:
            code = np.array([names.index(s) if s in names else _NONE for s in published["split"].to_pylist()])
            for ends in self.published_ends:
                there = ends >= 0
                self.split[ends[there]] = code[there]
                if (self.split[ends[there]] != code[there]).any():
                    raise ContractError("the current release has one video, uploader or file in two splits")
        dropped = np.zeros(len(self.seq), dtype=bool)
        starts = np.unique(self.seq, return_index=True)[1].tolist()
        for start, stop in pairwise([*starts, len(self.seq)]):
            batch = np.arange(start, stop)
            dropped[self.tie(batch)] = True
            roots = np.unique(self.find(self.ends[0][batch[~dropped[batch]]]))
            for root in roots[self.split[roots] == _NONE]:
                self.split[root] = bucket(self.videos[root], shares)
        return dropped

    def tie(self, batch: np.ndarray) -> list[int]:
        """Join what the rows of a batch tie together. Returns the rows that would have joined two splits: only in a
        component where two splits meet are rows taken one by one."""
        import numpy as np
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        ends = [column[batch] for column in self.ends]
        known = [column >= 0 for column in ends]
        touched = np.unique(np.concatenate([self.find(c[k]) for c, k in zip(ends, known, strict=True)]))
        here = [np.searchsorted(touched, self.find(np.where(k, c, ends[0]))) for c, k in zip(ends, known, strict=True)]
        edges = (np.concatenate([here[0]] * (len(here) - 1)), np.concatenate(here[1:]))
        matrix = coo_array((np.ones(len(edges[0]), dtype=np.int8), edges), shape=(len(touched), len(touched)))
        count, component = connected_components(matrix, directed=False)

        split = self.split[touched]
        low, high = np.full(count, len(self.split)), np.full(count, _NONE)
        np.minimum.at(low, component[split >= 0], split[split >= 0])
        np.maximum.at(high, component[split >= 0], split[split >= 0])
        clash = (low < high) & (high >= 0)
        root = np.full(count, len(self.parent))
        np.minimum.at(root, component, touched)
        quiet = ~clash[component]
        self.parent[touched[quiet]] = root[component[quiet]]
        self.split[root[~clash]] = high[~clash]
        return [int(row) for row in batch[clash[component[here[0]]]] if not self._tie_one(int(row))]

    def _tie_one(self, row: int) -> bool:
        """Join one row's nodes unless they stand in two splits; whether it was done."""
        import numpy as np

        nodes = self.find(np.array([column[row] for column in self.ends if column[row] >= 0]))
        splits = {int(s) for s in self.split[nodes] if s >= 0}
        if len(splits) > 1:
            return False
        root = nodes.min()
        self.parent[nodes] = root
        self.split[root] = splits.pop() if splits else _NONE
        return True


def _encode(column: pa.ChunkedArray, published: pa.ChunkedArray) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Sorted distinct values, and each row's index among them (-1 for null)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column, published = column.cast(pa.string()), published.cast(pa.string())
    values = pc.unique(pa.chunked_array(column.chunks + published.chunks, pa.string())).drop_null()
    values = values.take(pc.sort_indices(values))
    codes = [pc.fill_null(pc.index_in(c, values), _NONE).to_numpy().astype("int64") for c in (column, published)]
    return values.to_pylist(), codes[0], codes[1]


def _fill(graph: _Graph, rows: pa.Table, shares: list[Fraction]) -> None:
    """Policy `quota`: set the split of every group's root."""
    import numpy as np

    labels, label = np.unique(np.asarray(rows["label"].to_pylist(), dtype=str), return_inverse=True)
    units = np.unique(np.stack([graph.ends[0], label]), axis=1)
    roots = graph.find(units[0])
    per_label = np.bincount(units[1], minlength=len(labels))
    room = np.array([apportion(int(n), shares) for n in per_label], dtype=np.int64).reshape(len(labels), len(shares))

    group_units = np.bincount(roots, minlength=len(graph.parent))
    single = group_units[roots] == 1
    groups: dict[int, Counter[int]] = defaultdict(Counter)
    for root, category in zip(roots[~single].tolist(), units[1][~single].tolist(), strict=True):
        groups[root][category] += 1
    order = {root: _order(graph.videos[root]) for root in [*groups, *roots[single].tolist()]}
    for root, wanted in sorted(groups.items(), key=lambda g: (-sum(g[1].values()), order[g[0]])):
        fits = [sum(min(n, max(int(room[c, s]), 0)) for c, n in wanted.items()) for s in range(len(shares))]
        left = [sum(int(room[c, s]) for c in wanted) for s in range(len(shares))]
        best = max(range(len(shares)), key=lambda s: (fits[s], left[s], -s))
        graph.split[root] = best
        for category, n in wanted.items():
            room[category, best] -= n

    alone: dict[int, list[int]] = defaultdict(list)
    for root, category in zip(roots[single].tolist(), units[1][single].tolist(), strict=True):
        alone[category].append(root)
    for category, members in alone.items():
        members.sort(key=order.__getitem__)
        free = [max(int(n), 0) for n in room[category]]
        counts = free if sum(free) == len(members) else apportion(len(members), [Fraction(n, sum(free)) for n in free])
        start = 0
        for split, n in enumerate(counts):
            graph.split[members[start : start + n]] = split
            start += n


def _order(key: str) -> bytes:
    """A fixed order that has nothing to do with where an id comes from."""
    return hashlib.sha256(f"winnow-quota:{key}".encode()).digest()
