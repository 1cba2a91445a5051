"""Plan: accepted candidates cut into numbered shards, the units of commit and resume for every later stage.

Append-only: a candidate keeps the shard it was first given, and new ones open new shards, so a list that grows by a few
rows fetches a few rows. Candidates of one video stay together (ordered by video), so a video is fetched once a shard.

Only keys are held of the whole batch; rows are read for at most PASS_ROWS at a time, all decisions anew for each.
"""

from __future__ import annotations

import io
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from winnow.core.errors import ConfigError, ContractError
from winnow.core.fingerprint import code_digest
from winnow.core.lake import Lake, digest
from winnow.core.manifest import Manifest
from winnow.core.planned_table import PLAN
from winnow.core.sample import check_batch
from winnow.core.shard import Lineage

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

SHARD_SIZE = 16
PASS_ROWS, PART_ROWS = 250_000, 50_000


def plan(lake: Lake, batch: str, shard_size: int = SHARD_SIZE) -> dict[str, Any]:
    """Cut what `decide` accepted of a batch; returns counts. Shards that hold the same rows as before stay."""
    check_batch(batch)
    if shard_size < 1:
        raise ConfigError(f"--shard-size {shard_size}: a shard holds at least one sample")
    since = lake.head_pointer("plan", batch)
    lineage = Lineage(lake, batch, {})
    there = [lineage.committed("decide", n) for n in lineage.numbers("decide")]
    decided = [manifest for manifest in there if manifest is not None]
    if not decided or len(decided) < len(there):
        raise ContractError(
            f"plan of batch {batch} needs its decisions: run `winnow decide --point fetch --batch {batch}` first"
        )
    inputs = {f"decide-{m.number:05d}": m.sha256 for m in decided}
    code = code_digest(__name__)
    made_from = digest([inputs, shard_size, code, PLAN.columns])
    if (known := PLAN.unchanged(lake, batch, made_from)) is not None:
        return {**known, "batch": batch, "computed": False}

    import numpy as np
    import pyarrow as pa

    keys = pa.concat_tables(_accepted(lake, decided, ["sample_id", "video_id"]))
    keys = keys.append_column("place", [np.arange(len(keys))])
    keys = keys.sort_by([("video_id", "ascending"), ("sample_id", "ascending")])
    members = _assign(lake, batch, lake.head("plan", batch), keys["sample_id"], keys["video_id"], shard_size)
    places = keys["place"].to_numpy()
    del keys
    shards, params = [], {"shard_size": shard_size}
    for number, own in _rows(lake, decided, {number: places[members[number]] for number in sorted(members)}):
        shards.append(PLAN.commit_table(lake, batch, number, own, inputs=inputs, code=code, params=params))
    counts = {"shards": len(shards), "rows": sum(m.rows for m in shards)}
    PLAN.set_head(lake, batch, PLAN.fingerprint(code), [m.shard for m in shards], made_from, counts, since)
    return {**counts, "batch": batch, "computed": True}


def _accepted(lake: Lake, decided: Sequence[Manifest], columns: list[str]) -> Iterator[pa.Table]:
    """These columns of all accepted candidates, in the order of the decisions, a part at a time."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    for manifest in decided:
        file = pq.ParquetFile(io.BytesIO(lake.read_table(manifest)))
        for read in file.iter_batches(PART_ROWS, columns=[*dict.fromkeys(["outcome", *columns])]):
            yield pa.table(read.filter(pc.equal(read["outcome"], "ok"))).select(columns)


def _rows(lake: Lake, decided: Sequence[Manifest], wanted: Mapping[int, np.ndarray]) -> Iterator[tuple[int, pa.Table]]:
    """The rows of each shard, given their places among all accepted candidates, in the order of `wanted`."""
    import numpy as np
    import pyarrow as pa

    from winnow.core import table

    names = table.arrow_schema(PLAN.columns).names
    left = list(wanted)
    while left:
        ends = np.cumsum([len(wanted[number]) for number in left])
        numbers = left[: max(1, int(np.searchsorted(ends, PASS_ROWS, "right")))]
        left = left[len(numbers) :]
        places, first, found = np.sort(np.concatenate([wanted[number] for number in numbers])), 0, []
        for rows in _accepted(lake, decided, names):
            begin, end = np.searchsorted(places, [first, first + len(rows)])
            found.append(rows.take(pa.array(places[begin:end] - first)))
            first += len(rows)
        read = pa.concat_tables(found)
        for number in numbers:
            yield number, read.take(pa.array(np.searchsorted(places, wanted[number])))


def _assign(
    lake: Lake, batch: str, before: dict[str, Any] | None, ids: pa.ChunkedArray, videos: pa.ChunkedArray, size: int
) -> dict[int, array[int]]:
    """Places of rows by shard number: old members where they were, the rest in new shards of about `size`, videos kept
    whole."""
    import pyarrow.parquet as pq

    home: dict[str, int] = {}
    before = before or {}
    for name in before.get("shards", []):
        manifest = lake.manifest("plan", before["v"], batch, name)
        if manifest is not None:
            known = pq.read_table(io.BytesIO(lake.read_table(manifest)), columns=["sample_id"])
            home.update(dict.fromkeys(known["sample_id"].to_pylist(), manifest.number))
    shards: dict[int, array[int]] = {}
    number, last_video = max(home.values(), default=-1), None
    room = 0
    for at, (sample_id, video_id) in enumerate(zip(ids, videos, strict=True)):
        if (old := home.get(sample_id.as_py()) if home else None) is not None:
            shards.setdefault(old, array("q")).append(at)
            continue
        video = video_id.as_py()
        if room <= 0 and video != last_video:
            number, room = number + 1, size
        shards.setdefault(number, array("q")).append(at)
        room, last_video = room - 1, video
    return shards
