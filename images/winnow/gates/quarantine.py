"""Quarantine: rows that a gate sets aside, so that one impossible value never stops a batch.

A rule about single rows (a suite that says `sets_aside: true`) names its offenders. While they are few, their clips are
set aside: the batch's head lists them, a release drops them by the rule `quarantined` and reads nothing of the row
that broke the rule. When they are many it is the measuring that is wrong, and the batch stops as before.

Somebody who has looked at a clip may let it go on: `winnow quarantine --batch KEY --release ID --why TEXT` writes it
down in `quarantine/<batch>.json`, and the next gate of the batch admits the row as it is.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from winnow.core.admitted import batch_head
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake
from winnow.core.pointer import Pointer
from winnow.core.sample import check_batch
from winnow.gates.results import GateResult

#: Offenders against one rule up to which they are set aside: so many rows, or this share of the table's.
FEW_ROWS, FEW_SHARE = 3, 0.1


@dataclass(frozen=True)
class Quarantine:
    """What may be set aside of a batch; `released` are ids of samples that go on whatever a rule says of them."""

    released: frozenset[str] = frozenset()

    def takes(self, failed: int, checked: int | None) -> bool:
        """Whether so many offenders of so many rows are set aside; more are a fault of the system."""
        return checked is not None and failed <= max(FEW_ROWS, FEW_SHARE * checked)


def released_key(batch: str) -> str:
    """Where the lake keeps which rows of a batch somebody let go on."""
    return f"quarantine/{check_batch(batch)}.json"


def released(lake: Lake, batch: str) -> dict[str, str]:
    """Why each sample of a batch was let go on, by its id."""
    said = lake.read_json(released_key(batch), f"remove it, then run `winnow quarantine --batch {batch}` again")
    return dict(said["released"]) if said else {}


def set_aside(result: GateResult) -> dict[str, dict[str, list[str]]]:
    """What a gate sets aside: the rules that each sample broke, by table and id; {} where there is nothing."""
    found: dict[str, dict[str, list[str]]] = {}
    for table in result.tables:
        for rule in table.rules:
            for sample in rule.set_aside:
                found.setdefault(table.table, {}).setdefault(sample, []).append(rule.name)
    return {table: dict(sorted(samples.items())) for table, samples in sorted(found.items())}


def quarantined_rows(heads: Iterable[dict]) -> list[dict[str, str]]:
    """What the heads of batches set aside, a row a table and sample: {"stage", "batch", "sample_id", "rules"}."""
    return [
        {"stage": table, "batch": head["batch"], "sample_id": sample, "rules": ", ".join(rules)}
        for head in heads
        for table, samples in sorted(head.get("quarantined", {}).items())
        for sample, rules in sorted(samples.items())
    ]


def quarantine(lake: Lake, batch: str, release: Collection[str] = (), why: str = "") -> dict[str, object]:
    """What stands in a batch's quarantine, and let some of it go on: {"batch", "quarantined": rows of
    `quarantined_rows`, "released": {id: why}}. ContractError before the batch is admitted, ConfigError for an id that
    is not set aside, or without a reason."""
    since = Pointer(lake, released_key(batch))
    head = batch_head(lake, batch)
    if head is None:
        raise ContractError(f"batch {batch} is not admitted: run `winnow gate --batch {batch}` first")
    rows, known = quarantined_rows([head]), released(lake, batch)
    if unknown := sorted(set(release) - {row["sample_id"] for row in rows} - set(known)):
        raise ConfigError(
            f"{batch}: {', '.join(unknown)} is not set aside; `winnow quarantine --batch {batch}` lists what is"
        )
    if release and not why.strip():
        raise ConfigError("say why these rows may go on: --why TEXT")
    if release:
        known |= {sample: why.strip() for sample in release}
        text = json.dumps({"batch": batch, "released": dict(sorted(known.items()))}, indent=1, sort_keys=True)
        since.move(f"{text}\n".encode(), f"winnow quarantine --batch {batch} --release …")
    return {"batch": batch, "quarantined": rows, "released": known}
