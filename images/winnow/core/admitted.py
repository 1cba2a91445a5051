"""Which batches are admitted: each has a head, `batches/<key>.json`, that names the tables a release reads of it."""

from __future__ import annotations

from winnow.core.errors import ContractError
from winnow.core.lake import Lake
from winnow.core.pointer import Pointer


def admitted_keys(lake: Lake) -> list[str]:
    """Keys of the admitted batches, sorted."""
    return sorted(name.removesuffix(".json") for name in lake.list("batches") if name.endswith(".json"))


def batch_heads(lake: Lake) -> dict[str, dict]:
    """Heads of the admitted batches, by key: {"batch", "seq", "stages": {stage: {"v", "files"}}, "gate"}."""
    return {key: batch_head(lake, key) for key in admitted_keys(lake)}


def batch_head(lake: Lake, key: str) -> dict | None:
    """Head of a batch; None for one that is not admitted, ContractError for a damaged one."""
    return lake.read_json(f"batches/{key}.json", f"remove it, then run `winnow gate --batch {key}` again")


def head_pointer(lake: Lake, key: str) -> Pointer:
    """A batch's head, to move it from what it is now; to be taken before the batch's tables are read."""
    return Pointer(lake, f"batches/{key}.json")


def admitted_with(lake: Lake, stage: str, *, or_none: bool = False) -> list[str]:
    """Keys of the admitted batches that have a stage's table; ContractError when there is none, unless `or_none`."""
    keys = [key for key, head in batch_heads(lake).items() if stage in head["stages"]]
    if not keys and not or_none:
        raise ContractError("no batch is admitted: name batches, or run `winnow gate --batch KEY` on one first")
    return keys
