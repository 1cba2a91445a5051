"""Mending: the command that makes a damaged file of a lake again. Files are immutable and follow from others, so most
are mended by removing them and running what made them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from winnow.core.lake import Lake
from winnow.core.planned_table import PLANNED_TABLES, again
from winnow.release.current import CURRENT, naming

_FITTING = {
    "cluster": "winnow cluster",
    "two_tower": "winnow fit --scorer two_tower",
    "ridge": "winnow fit --scorer ridge",
}


@dataclass(frozen=True)
class Fault:
    """What is wrong with one file, where it lies, and the command that mends it."""

    what: str
    where: str
    mend: str

    def __str__(self) -> str:
        return f"{self.what}: {self.where}: {self.mend}"


def running(stage: str, batch: str) -> str:
    """What makes a stage's or a planned table of a batch."""
    return again(stage, batch) if stage in PLANNED_TABLES else f"winnow run {stage} --batch {batch}"


def fitting(name: str, card: Mapping[str, Any] | None = None) -> str:
    """What fits a model again, on the batches that its card names."""
    return f"{_FITTING.get(name, 'winnow fit')} --batches {','.join((card or {}).get('batches', [])) or 'KEYS'}"


def adding(table: str, card: Mapping[str, Any]) -> str:
    """What made a corpus table's rows, as its card says."""
    return str(card.get("provenance", {}).get("command") or f"the command that made these rows of {table}")


def removing(lake: Lake, keys: Sequence[str], then: str) -> str:
    """Remove those of these files that are there, then run a command."""
    there = list(dict.fromkeys(key for key in keys if lake.exists(key)))
    if lake.is_local:
        gone = [f"rm {' '.join(shlex.quote(lake.full(key)) for key in there)}"] if there else []
    elif lake.root.startswith("s3://"):
        gone = [f"aws s3 rm {shlex.quote(f's3://{lake.full(key)}')}" for key in there]
    else:
        gone = [f"(remove {' and '.join(map(lake.full, there))})"] if there else []
    return " && ".join([*gone, *([then] if then else [])])


def writing(lake: Lake, key: str, text: str) -> str:
    """Write a line into a small file."""
    if lake.is_local:
        return f"echo {shlex.quote(text)} > {shlex.quote(lake.full(key))}"
    if lake.root.startswith("s3://"):
        return f"echo {shlex.quote(text)} | aws s3 cp - {shlex.quote(f's3://{lake.full(key)}')}"
    return f"(write {text} into {lake.full(key)})"


def republishing(lake: Lake, release: str, before: str | None, damaged: str | None = None) -> str:
    """A release follows from its inputs and from the one before it: that one is made current, and it is built again.
    `damaged`: the key of a file that lies by content, and is put up again when it is gone."""
    before = before if before and lake.exists(f"releases/{before}/manifest.json") else None
    if lake.is_local:
        folder = shlex.quote(lake.full(f"releases/{release}"))
        gone = f"rm -rf {folder}"  # its files may be those of other releases: no chmod
    else:
        gone = removing(lake, [f"releases/{release}/manifest.json", *([damaged] if damaged else [])], "")
    if naming(lake.read_or_none(CURRENT))[0] != release:
        return gone
    current = writing(lake, CURRENT, before) if before else removing(lake, [CURRENT], "")
    return " && ".join(part for part in (gone, current, "winnow release") if part)
