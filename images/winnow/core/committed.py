"""Committed: the manifests of one stage's shards of a batch, in few requests where the lake is in a store.

    <stage>/v=<digest>/batch=<key>/.committed.json    {shard: {"tag": the store's name of its content, "manifest": …}}

One listing says which manifests there are, and by their tags which of them stand in that file as they are; only the
others are read. The file follows from manifests alone: who writes it last, or what it lacks, changes nothing but how
many are read.
"""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cached_property
from hashlib import md5
from typing import Any

from winnow.core.lake import Lake
from winnow.core.manifest import Manifest

NAME = ".committed.json"
#: Fewer shards than this are asked for one by one: that is as few requests.
FEWEST = 8


class Committed:
    """What is committed of a stage's version for a batch of `shards` shards; looked at once."""

    def __init__(self, lake: Lake, stage: str, fingerprint: str, batch: str, shards: int) -> None:
        self.lake, self.stage, self.fingerprint, self.batch = lake, stage, fingerprint, batch
        self._lists = not lake.is_local and shards >= FEWEST
        self._new: dict[str, tuple[str, Manifest]] = {}

    def manifest(self, shard: str) -> Manifest | None:
        """A shard's commit, or None."""
        if not self._lists:
            return self._read(shard)
        tag = self._tags.get(shard)
        if tag is None and "-r" in shard:  # another try, of which there is mostly none
            return None
        known = self._known.get(shard)
        if tag and known and known.get("tag") == tag:
            with suppress(TypeError, KeyError):
                return Manifest.of(known["manifest"])
        found = self._read(shard)
        if found is not None and tag:
            self._new[shard] = (tag, found)
        return found

    def add(self, manifest: Manifest) -> None:
        """A shard that was committed since. Stores tag small files with their MD5; of another tag, it is read once."""
        if self._lists:
            self._new[manifest.shard] = (md5(manifest.dumps(), usedforsecurity=False).hexdigest(), manifest)

    def keep(self) -> None:
        """Write down what was read or committed since."""
        if self._new:
            new = {shard: {"tag": tag, "manifest": one.record()} for shard, (tag, one) in self._new.items()}
            there = {shard: entry for shard, entry in self._known.items() if shard in self._tags} | new
            self.lake.write(f"{self._folder}/{NAME}", json.dumps(there, sort_keys=True).encode())
            self._new.clear()

    @property
    def _folder(self) -> str:
        return self.lake.folder(self.stage, self.fingerprint, self.batch)

    @cached_property
    def _tags(self) -> dict[str, str]:
        """Which manifests are there, by the tags of their content; "" where the store says none."""
        found = self.lake.tags(self._folder)
        return {name.removesuffix(".json"): tag for name, tag in found.items() if name.endswith(".json")}

    @cached_property
    def _known(self) -> dict[str, dict[str, Any]]:
        try:
            value = json.loads(self.lake.read_or_none(f"{self._folder}/{NAME}") or b"{}")
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    def _read(self, shard: str) -> Manifest | None:
        return self.lake.manifest(self.stage, self.fingerprint, self.batch, shard)
