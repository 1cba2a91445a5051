"""Groups: of clips that are copies of each other, which one is kept.

The best clip of all is the head of a group, and its members are the clips that have a verified pair with that very
head; then the best of those that are left, and so on. So a group never grows by chains: what a member shares with a
third clip brings that one into no group that its head shares nothing with. Best: what is published already, then the
larger picture, then the earlier admitted. dbt calls `keep_best` from the model `int_near_duplicates`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

RESULT = {"sample_id": "string", "duplicate_of": "string", "duplicate_rank": "int64"}


def keep_best(clips: pa.Table, pairs: pa.Table) -> pa.Table:
    """The group of every clip that has one, ordered by sample_id.

    clips: sample_id, is_published (bool), pixels (int64, null for unknown), seq (int64, order of admission), of clips
    that no other rule drops. pairs: first_id, second_id of copies; those of other clips are passed over. Returns
    sample_id, duplicate_of (the group's head; its own for the head) and duplicate_rank (1 for the head, then its
    members, the best first).
    """
    import pyarrow as pa

    def quality(row: dict) -> tuple:
        return (not row["is_published"], -(row["pixels"] or 0), row["seq"], row["sample_id"])

    best = [row["sample_id"] for row in sorted(clips.to_pylist(), key=quality)]
    beside: dict[str, set[str]] = {sample_id: set() for sample_id in best}
    for first, second in zip(pairs["first_id"].to_pylist(), pairs["second_id"].to_pylist(), strict=True):
        if first in beside and second in beside:
            beside[first].add(second)
            beside[second].add(first)
    place = {sample_id: number for number, sample_id in enumerate(best)}
    rows: list[dict[str, object]] = []
    grouped: set[str] = set()
    for head in best:
        members = sorted(beside[head] - grouped, key=place.__getitem__)
        if head in grouped or not members:
            continue
        for rank, sample_id in enumerate([head, *members], 1):
            rows.append({"sample_id": sample_id, "duplicate_of": head, "duplicate_rank": rank})
        grouped |= {head, *members}
    schema = pa.schema([(name, pa.type_for_alias(alias)) for name, alias in RESULT.items()])
    return pa.Table.from_pylist(sorted(rows, key=lambda row: str(row["sample_id"])), schema=schema)
