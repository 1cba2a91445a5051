"""Splits of a frozen edition in which some samples have a split already, from a published list: these keep it.

Nothing leaks, whatever the lists say: a group (video, uploader, file: `winnow.splits.groups`) is in one split. Of a
group whose samples are given several splits the one that comes last in `shares` wins, so that what is validated or
tested on is as published, and what would leak is missing from training. Groups that no list names fill the quotas per
category.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

RESULT = {"family": "string", "video_id": "string", "group_id": "string", "split": "string", "is_given": "bool"}
_KEYS = ("video_id", "uploader_key", "source_sha256")


def assign_families(rows: pa.Table, shares: Mapping[str, float]) -> pa.Table:
    """Group and split of every video, by family.

    rows: family, video_id, uploader_key, source_sha256 (null for unknown), label, given_split (null for none). shares:
    split → share, in order. Returns family, video_id, group_id, split, is_given (the group's split comes from a list),
    ordered by the first two.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    schema = pa.schema([(name, pa.type_for_alias(alias)) for name, alias in RESULT.items()])
    parts = [
        _family(rows.filter(pc.equal(rows["family"], family)), shares, family).cast(schema)
        for family in sorted(pc.unique(rows["family"]).to_pylist())
    ]
    return pa.concat_tables(parts) if parts else schema.empty_table()


def _family(rows: pa.Table, shares: Mapping[str, float], family: str) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    group_of, split_of = _quota(rows, shares)
    order = list(shares)
    given: dict[str, int] = {}
    named = rows.filter(pc.is_valid(rows["given_split"]))
    for video, split in zip(named["video_id"].to_pylist(), named["given_split"].to_pylist(), strict=True):
        given[group_of[video]] = max(order.index(split), given.get(group_of[video], 0))
    if given:
        free = pa.array([group_of[video] not in given for video in rows["video_id"].to_pylist()], pa.bool_())
        split_of = _quota(rows.filter(free), shares)[1]
        split_of |= {video: order[given[group]] for video, group in group_of.items() if group in given}
    videos = sorted(group_of)
    return pa.table(
        {
            "family": pa.array([family] * len(videos), pa.string()),
            "video_id": pa.array(videos, pa.string()),
            "group_id": pa.array([group_of[video] for video in videos], pa.string()),
            "split": pa.array([split_of[video] for video in videos], pa.string()),
            "is_given": pa.array([group_of[video] in given for video in videos], pa.bool_()),
        }
    )


def _quota(rows: pa.Table, shares: Mapping[str, float]) -> tuple[dict[str, str], dict[str, str]]:
    """Group and split of each video when all quotas are to be filled."""
    import pyarrow as pa

    from winnow.splits.groups import assign

    if not rows.num_rows:
        return {}, {}
    published = pa.schema([(name, pa.string()) for name in (*_KEYS, "split")]).empty_table()
    rows = rows.append_column("seq", pa.array([0] * rows.num_rows, pa.int64()))
    done = assign(rows, published, shares, "quota")
    videos = done["video_id"].to_pylist()
    return (
        dict(zip(videos, done["group_id"].to_pylist(), strict=True)),
        dict(zip(videos, done["split"].to_pylist(), strict=True)),
    )
