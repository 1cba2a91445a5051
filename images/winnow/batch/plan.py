"""Plan: accepted candidates cut into numbered shards, the units of commit and resume for every later stage.

Append-only: a candidate keeps the shard it was first given, and new ones open new shards, so a list that grows by a few
rows fetches a few rows. Candidates of one video stay together (ordered by video), so a video is fetched once a shard.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime

from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake, digest, sha256_bytes
from winnow.core.manifest import Manifest
from winnow.core.sample import check_batch
from winnow.core.shard import Chain, shard_name
from winnow.core.stage import code_digest

COLUMNS = {
    "video_id": "string", "url": "string", "start_s": "double", "end_s": "double", "title": "string",
    "uploader": "string", "source_id": "string", "content_sha256": "string",
}  # fmt: skip
SHARD_SIZE = 16


def plan(lake: Lake, batch: str, shard_size: int = SHARD_SIZE) -> dict:
    """Cut what `decide` accepted of a batch; returns counts. Shards that hold the same rows as before stay."""
    check_batch(batch)
    if shard_size < 1:
        raise ConfigError(f"--shard-size {shard_size}: a shard holds at least one sample")
    chain = Chain(lake, batch, {})
    decided = [chain.committed("decide", n) for n in chain.numbers("decide")]
    if not decided or None in decided:
        raise ContractError(
            f"plan of batch {batch} needs its decisions: run `winnow decide --point fetch --batch {batch}` first"
        )
    inputs = {f"decide-{m.number:05d}": m.sha256 for m in decided}
    before = lake.stand("plan", batch)
    cut = digest([inputs, shard_size, code_digest("batch.plan"), COLUMNS])
    if before and before.get("cut") == cut:
        return {**before["counts"], "batch": batch, "computed": False}

    import pyarrow as pa
    import pyarrow.parquet as pq

    from winnow.core import table

    rows = pa.concat_tables([pq.read_table(io.BytesIO(lake.read_table(m))) for m in decided]).to_pylist()
    accepted = sorted((r for r in rows if r["outcome"] == "ok"), key=lambda r: (r["video_id"], r["sample_id"]))
    shards = _assign(lake, batch, before, accepted, shard_size)
    v, names, sizes = digest([code_digest("batch.plan"), COLUMNS]), [], []
    for number, members in sorted(shards.items()):
        members.sort(key=lambda r: r["sample_id"])
        columns = {k: [r.get(k) for r in members] for k in COLUMNS}
        count = len(members)
        data = table.to_bytes(
            pa.Table.from_pydict(
                {
                    "sample_id": [r["sample_id"] for r in members],
                    "outcome": ["ok"] * count,
                    "reason": [None] * count,
                    "detail": [None] * count,
                    **columns,
                },
                schema=table.arrow_schema(COLUMNS),
            )
        )
        sha256 = sha256_bytes(data)
        name = shard_name(number, {"rows": sha256})
        manifest = Manifest(
            stage="plan", v=v, batch=batch, shard=name, file=f"{name}.{sha256[:8]}.parquet", sha256=sha256,
            bytes=len(data), rows=count, rows_in=count, ok=count, failed=0, inputs=inputs,
            code=code_digest("batch.plan"), params={"shard_size": shard_size},
            at=datetime.now(UTC).isoformat(timespec="seconds"),
        )  # fmt: skip
        if lake.manifest("plan", v, batch, name) is None:
            lake.commit(manifest, data)
        names.append(name)
        sizes.append(count)
    counts = {"shards": len(names), "rows": sum(sizes)}
    lake.set_stand("plan", batch, {"v": v, "shards": names, "cut": cut, "counts": counts})
    return {**counts, "batch": batch, "computed": True}


def _assign(lake: Lake, batch: str, before: dict | None, accepted: list[dict], size: int) -> dict[int, list[dict]]:
    """Rows by shard number: old members where they were, the rest in new shards of about `size`, videos kept whole."""
    import pyarrow.parquet as pq

    home: dict[str, int] = {}
    for name in (before or {}).get("shards", []):
        manifest = lake.manifest("plan", before["v"], batch, name)
        if manifest is not None:
            for sample_id in pq.read_table(io.BytesIO(lake.read_table(manifest)), columns=["sample_id"])[
                "sample_id"
            ].to_pylist():
                home[sample_id] = manifest.number
    shards: dict[int, list[dict]] = {}
    number, last_video = max(home.values(), default=-1), None
    room = 0
    for row in accepted:
        if row["sample_id"] in home:
            shards.setdefault(home[row["sample_id"]], []).append(row)
            continue
        if room <= 0 and row["video_id"] != last_video:
            number, room = number + 1, size
        shards.setdefault(number, []).append(row)
        room, last_video = room - 1, row["video_id"]
    return shards
