"""Which batches are admitted: each has a head, `batches/<key>.json`, that names the tables a release reads of it: one a
stage (`winnow.core.compact`), or, of a batch that was admitted before there were these, one a shard."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any

from winnow.core.errors import ContractError
from winnow.core.lake import Lake, digest, sha256_bytes
from winnow.core.pointer import Pointer


def admitted_keys(lake: Lake) -> list[str]:
    """Keys of the admitted batches, sorted."""
    return sorted(name.removesuffix(".json") for name in lake.list("batches") if name.endswith(".json"))


def batch_heads(lake: Lake) -> dict[str, dict[str, Any]]:
    """Heads of the admitted batches, by key: {"batch", "seq", "stages": {stage: {"v", "files"}}, "tables", "gate"}."""
    heads = ((key, batch_head(lake, key)) for key in admitted_keys(lake))
    return {key: head for key, head in heads if head is not None}  # one may be gone since


def batch_head(lake: Lake, key: str) -> dict[str, Any] | None:
    """Head of a batch; None for one that is not admitted, ContractError for a damaged one."""
    return lake.read_json(f"batches/{key}.json", f"remove it, then run `winnow gate --batch {key}` again")


def head_pointer(lake: Lake, key: str) -> Pointer:
    """A batch's head, to move it from what it is now; to be taken before the batch's tables are read."""
    return Pointer(lake, f"batches/{key}.json")


def tables_digest(shards: Iterable[str]) -> str:
    """What tables a batch has, in short: digest over the digests of its stages' shards."""
    return digest(sorted(shards))


def tables_of(head: Mapping[str, Any]) -> str:
    """`tables_digest` of an admitted batch."""
    return head.get("tables") or tables_digest(f["sha256"] for at in head["stages"].values() for f in at["files"])


def shards_of(lake: Lake, batch: str, at: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The shards that a stage's entry in a batch's head stands for: [{"shard", "path", "sha256", "rows"}], in order.
    ContractError where the file that names them is not there or changed."""
    if "shards" not in at:
        return list(at["files"])
    import pyarrow.parquet as pq

    path, wanted = at["shards"]["path"], at["shards"]["sha256"]
    data = lake.read_or_none(path)
    if data is None or sha256_bytes(data) != wanted:
        what = "is missing" if data is None else "changed after the batch was admitted"
        raise ContractError(f"{lake.full(path)} {what}: run `winnow verify --batch {batch}`, which says how to mend it")
    rows = pq.read_table(io.BytesIO(data), columns=["stage", "v", "shard", "file", "sha256", "rows"]).to_pylist()
    return [
        {
            "shard": r["shard"],
            "path": f"{lake.folder(r['stage'], r['v'], batch)}/{r['file']}",
            "sha256": r["sha256"],
            "rows": r["rows"],
        }
        for r in rows
    ]


def admitted_with(lake: Lake, stage: str, *, or_none: bool = False) -> list[str]:
    """Keys of the admitted batches that have a stage's table; ContractError when there is none, unless `or_none`."""
    keys = [key for key, head in batch_heads(lake).items() if stage in head["stages"]]
    if not keys and not or_none:
        raise ContractError("no batch is admitted: name batches, or run `winnow gate --batch KEY` on one first")
    return keys
