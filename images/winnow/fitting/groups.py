"""Which videos of several batches belong together, so that no fold and no pair of calibration divides them: those that
have a clip of the same bytes, and those that have near-duplicates beyond doubt, where a batch has fingerprints.

A tie that is false costs a fit more than one that is missing: what looks and sounds alike within a kind of event would
fall into one fold, whose model then knows nothing of that kind. So a pair ties videos where picture and sound agree and
both by CERTAIN; splits, which lose nothing by it, are tied by every pair. On the demo's 108 videos all pairs left 53
groups, and 64 % of the own pairs above the rule; these leave 95 groups and 73 %, as many as without any tie.

The same measured picture or sound ties videos too; who reads features finds that (`winnow.models.copies.same`).
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Mapping, Sequence

from winnow.core.admitted import batch_heads
from winnow.core.lake import Lake
from winnow.core.shard import Lineage
from winnow.core.stage import stage_needs
from winnow.core.table import ok_rows

#: Least agreement of picture and of sound, each 0 … 1, by which a pair of clips is one event beyond doubt.
CERTAIN = 0.8


def ties(lake: Lake, batches: Sequence[str]) -> list[list[str]]:
    """Sets of ids of videos, each with a clip in these batches, that belong together."""
    video_of: dict[str, str] = {}
    same_bytes: dict[str, set[str]] = defaultdict(set)
    files: dict[str, list[dict]] = {}
    for batch in batches:
        lineage = Lineage(lake, batch, stage_needs())
        for number in lineage.numbers("clip"):
            if manifest := lineage.committed("clip", number):
                for row in ok_rows(lake.read_table(manifest), ["video_id", "media_sha256"]).to_pylist():
                    video_of[row["sample_id"]] = row["video_id"]
                    if row["media_sha256"]:
                        same_bytes[row["media_sha256"]].add(row["video_id"])
            if manifest := lineage.committed("fingerprint", number):
                file = {"path": lake.table_key(manifest), "sha256": manifest.sha256}
                files.setdefault(batch, []).append(file)
    found = [sorted(videos) for videos in same_bytes.values() if len(videos) > 1]
    return found + [
        sorted({video_of[first], video_of[second]})
        for first, second in _near(lake, files)
        if first in video_of and second in video_of
    ]


def _near(lake: Lake, files: Mapping[str, list[dict]]) -> list[tuple[str, str]]:
    """Pairs of clips that are copies of each other beyond doubt. Batches are taken as a release takes them, so that it
    finds kept what a fit has found."""
    import pyarrow.parquet as pq

    from winnow.duplicates.batches import pairs_of

    if not files:
        return []
    admitted = batch_heads(lake)
    last = 1 + max((head["seq"] for head in admitted.values()), default=0)
    heads = {
        batch: {
            "batch": batch,
            "seq": admitted[batch]["seq"] if batch in admitted else last,
            "stages": {"fingerprint": {"files": of}},
        }
        for batch, of in files.items()
    }
    columns = ["first_id", "second_id", "kind", "picture_score", "sound_score"]
    tables = [pq.read_table(io.BytesIO(lake.read(pairs.key)), columns=columns) for pairs in pairs_of(lake, heads)]
    return [
        (row["first_id"], row["second_id"])
        for table in tables
        for row in table.to_pylist()
        if row["kind"] == "both" and min(row["picture_score"], row["sound_score"]) >= CERTAIN
    ]
