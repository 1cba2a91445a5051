"""Manifest: the JSON beside a shard's table. It is written last, once, exclusively; a shard without one does not exist.

It names the table's file and digest, what went in (digests of the input tables), what measured it (code, parameters,
model), and what came out (rows, counts by reason). Clocks and hosts stand here and nowhere in a table.

Its table never changes afterwards. What `winnow clean` takes away of the files that its rows name, because it was taken
down, is noted in it (`removed`), before they go.
"""

from __future__ import annotations

import builtins
import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Manifest:
    """One committed shard of one stage table."""

    stage: str
    fingerprint: str
    batch: str
    shard: str
    file: str
    sha256: str
    bytes: int
    rows: int
    rows_in: int
    ok: int
    failed: int
    reasons: dict[str, int] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    code: str = ""
    params: dict[str, object] = field(default_factory=dict)
    model: str | None = None
    sidecar: str | None = None
    sidecar_bytes: int = 0
    retry_of: str | None = None
    at: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    device: str = "cpu"
    host: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    conditions: dict[str, str] = field(default_factory=dict)
    #: Files that its rows name and that were taken down since: members of its tar, source videos; and on which day.
    removed: dict[str, str] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """The shard's number in its batch."""
        return int(self.shard[:5])

    def dumps(self) -> builtins.bytes:
        """The file's bytes."""
        return (json.dumps(self.record(), indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()

    def record(self) -> dict[str, Any]:
        """The file's JSON object: its fields, of which the fingerprint is called v, as in paths."""
        value = asdict(self)
        return {"v": value.pop("fingerprint"), **value}

    @classmethod
    def loads(cls, data: builtins.bytes) -> Manifest:
        """Read one; fields of later versions are ignored."""
        return cls.of(json.loads(data))

    @classmethod
    def of(cls, value: dict[str, Any]) -> Manifest:
        """The manifest that a file's JSON object is; TypeError for one that lacks fields."""
        known = {f.name for f in fields(cls)} - {"fingerprint"}
        named = {"fingerprint": value["v"]} if "v" in value else {}
        return cls(**named, **{name: one for name, one in value.items() if name in known})
