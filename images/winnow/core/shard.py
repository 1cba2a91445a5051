"""Shards: which committed tables a stage of a batch stands on, and what each was made from.

Shards are numbered once, when a table is cut (`ingest` for candidates, `plan` for accepted ones); every later stage
maps them one to one. A shard's name is its number and a digest of its inputs' content (`00003-1a2b3c4d`), so unchanged
inputs find their commit even when an upstream was computed again to the same bytes, and changed inputs never hide
behind an old one. `-r1`, `-r2` … are later attempts at rows that failed for a transient reason.
"""

from __future__ import annotations

from typing import Any

from winnow.core.committed import Committed
from winnow.core.errors import ContractError
from winnow.core.lake import Lake, digest
from winnow.core.manifest import Manifest


def shard_name(number: int, inputs: dict[str, str]) -> str:
    """Name of a shard: its number, and 8 hex of what goes in."""
    return f"{number:05d}-{digest(inputs, 8)}"


def retry_name(shard: str, attempt: int) -> str:
    """Name of a later attempt at a shard's transient failures."""
    return f"{shard.partition('-r')[0]}-r{attempt}"


def latest(committed: Committed, shard: str) -> Manifest | None:
    """The commit that counts for a shard: its last retry, else its first attempt, else None."""
    found, attempt = committed.manifest(shard), 1
    while found is not None:
        later = committed.manifest(retry_name(shard, attempt))
        if later is None:
            return found
        found, attempt = later, attempt + 1
    return None


class Lineage:
    """Resolves, for one batch, every stage's committed shards from the tables that were cut down to the last stage.

    `needs` maps a stage to the stages it reads (the first gives the shards); stages that are not in it were cut.
    `optional_needs` maps it to those it reads where they are committed.
    """

    def __init__(
        self,
        lake: Lake,
        batch: str,
        needs: dict[str, tuple[str, ...]],
        optional_needs: dict[str, tuple[str, ...]] | None = None,
    ) -> None:
        self.lake, self.batch, self.needs, self.optional_needs = lake, batch, needs, optional_needs or {}
        self._known: dict[tuple[str, int], Manifest | None] = {}
        self._heads: dict[str, dict[str, Any] | None] = {}
        self._committed: dict[tuple[str, str], Committed] = {}

    def head(self, stage: str) -> dict[str, Any] | None:
        """Where a stage stands for the batch (read once)."""
        if stage not in self._heads:
            self._heads[stage] = self.lake.head(stage, self.batch)
        return self._heads[stage]

    def numbers(self, stage: str) -> list[int]:
        """Numbers of the shards that a stage has or will have; [] when nothing was cut for it yet."""
        while stage in self.needs:
            stage = self.needs[stage][0]
        return sorted(int(name[:5]) for name in (self.head(stage) or {}).get("shards", []))

    def committed(self, stage: str, number: int) -> Manifest | None:
        """The commit of a stage's shard that stands on what its inputs are now, or None."""
        at = (stage, number)
        if at not in self._known:
            self._known[at] = self._resolve(stage, number)
        return self._known[at]

    def _resolve(self, stage: str, number: int) -> Manifest | None:
        head = self.head(stage)
        if head is None:
            return None
        if stage not in self.needs:
            names = [name for name in head["shards"] if int(name[:5]) == number]
            return self._of(stage, head["v"]).manifest(names[0]) if names else None
        inputs = self.inputs(stage, number)
        if any(m is None for m in inputs.values()):
            return None
        name = shard_name(number, {k: m.sha256 for k, m in inputs.items() if m is not None})
        return latest(self._of(stage, head["v"]), name)

    def _of(self, stage: str, fingerprint: str) -> Committed:
        """What is committed of a stage's version (looked at once)."""
        if (stage, fingerprint) not in self._committed:
            self._committed[stage, fingerprint] = Committed(
                self.lake, stage, fingerprint, self.batch, len(self.numbers(stage))
            )
        return self._committed[stage, fingerprint]

    def add(self, manifest: Manifest) -> None:
        """Note a shard that was committed since."""
        self._of(manifest.stage, manifest.fingerprint).add(manifest)

    def keep(self) -> None:
        """Let the next one ask in few requests what this one asked for."""
        for committed in self._committed.values():
            committed.keep()

    def inputs(self, stage: str, number: int) -> dict[str, Manifest | None]:
        """The commits that a stage's shard reads, by stage; None for one that it needs and that is not there."""
        needed = {need: self.committed(need, number) for need in self.needs[stage]}
        optional = {need: self.committed(need, number) for need in self.optional_needs.get(stage, ())}
        return needed | {need: manifest for need, manifest in optional.items() if manifest is not None}

    def require_inputs(self, stage: str, number: int) -> dict[str, Manifest]:
        """The same, but a missing one is a ContractError that says which command makes it."""
        inputs = self.inputs(stage, number)
        for need, manifest in inputs.items():
            if manifest is None:
                command = need if need not in self.needs else f"run {need}"
                raise ContractError(
                    f"{stage} of batch {self.batch} needs shard {number} of {need}, which is not committed. "
                    f"Run `winnow {command} --batch {self.batch}` first."
                )
        return {need: m for need, m in inputs.items() if m is not None}
