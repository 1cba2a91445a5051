"""The batch gate: what stands between a batch's stage tables and every release.

It checks that the batch is whole (every shard of every stage committed, every input with an outcome) and that its
values are possible, makes one table of each stage's shards (`winnow.core.compact`), then writes the batch's head,
`batches/<key>.json`: the list of tables that a release reads, and which rows are set aside (`winnow.gates.quarantine`).
A batch without a head is in no release. Batches are numbered (`seq`) in the order in which they were first admitted;
splits that were published earlier are kept by that order.

Nothing is checked again for a batch whose tables were admitted before under the same suites, and nothing is read of one
whose compact tables are all there: what is missing of them is made again, and those of a batch that was admitted
before there were any are made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from winnow.core import compact
from winnow.core.admitted import batch_head, head_pointer, tables_digest
from winnow.core.errors import GateFailed
from winnow.core.lake import Lake, digest
from winnow.core.planned_table import DECIDE
from winnow.core.sample import Reason, check_batch
from winnow.core.settings import Settings
from winnow.core.stage import stage_columns
from winnow.core.thresholds import threshold_rows
from winnow.gates import quarantine
from winnow.gates.results import GateResult
from winnow.gates.suites import load_suites, suites_digest
from winnow.gates.tables import Table, batch_tables, views

BOUNDARY = "batch"


def gate_batch(batches: Sequence[str], settings: Settings, lake: Lake) -> dict[str, object]:
    """Gate batches and admit them, in the order of their keys; GateFailed, and none of them admitted, when one fails.

    Returns {"batches": [{"batch", "seq", "computed", "rules", "quarantined", "page"}], "computed"}: `computed` counts
    the batches that were checked, the others' very tables were admitted before under the same suites; `quarantined`
    counts the samples that are set aside.
    """
    keys = sorted({check_batch(b) for b in batches})
    since = {key: head_pointer(lake, key) for key in keys}
    suites = suites_digest(settings.dbt_dir, BOUNDARY)
    found = {key: batch_tables(lake, key) for key in keys}
    heads = {key: _head(lake, key, tables, suites) for key, tables in found.items()}
    fresh = [key for key, head in heads.items() if not _admitted(lake, head)]
    results = {key: check_tables(lake, settings, key, found[key]) for key in fresh}
    pages = {key: _write(lake, result) for key, result in results.items()}
    if failed := [result.message(pages[key]) for key, result in results.items() if not result.passed]:
        raise GateFailed("\n".join([*failed, f"  admitted now: none of {', '.join(heads)}"]))
    for key in heads:
        known = batch_head(lake, key)
        tables = _compacted(lake, key, found[key], known)
        head = {**(known or {}), **tables}
        if key in fresh:
            head = {**heads[key], **tables, "seq": admission_number(lake, key)}
            if aside := quarantine.set_aside(results[key]):
                head["quarantined"] = aside
        data = (json.dumps(head, indent=1, sort_keys=True) + "\n").encode()
        since[key].move(data, f"winnow gate --batch {key}")
    batches_done = [
        {
            "batch": key,
            "seq": admitted["seq"],
            "computed": key in results,
            "rules": results[key].counts[1] if key in results else None,
            "quarantined": len({row["sample_id"] for row in quarantine.quarantined_rows([admitted])}),
            "page": lake.full(f"gates/{key}/index.html"),
        }
        for key in heads
        if (admitted := batch_head(lake, key))
    ]
    return {"batches": batches_done, "computed": len(fresh)}


def is_admitted(lake: Lake, settings: Settings, batch: str) -> bool:
    """Whether the tables that a batch stands on now are admitted, under the suites of now."""
    return _admitted(lake, _head(lake, batch, batch_tables(lake, batch), suites_digest(settings.dbt_dir, BOUNDARY)))


def check_tables(lake: Lake, settings: Settings, batch: str, tables: Mapping[str, Table]) -> GateResult:
    """Run the batch suites over a batch's tables. Imports Great Expectations (seconds)."""
    from winnow.gates.validate import validate

    loaded, rules = load_suites(settings.dbt_dir, BOUNDARY), fetch_rules(settings)
    absent = set(stage_columns()) - set(tables)
    suites = [suite for suite in loaded if not suite.each_stage and suite.table not in absent]
    suites += [suite.for_stage(stage) for suite in loaded if suite.each_stage for stage in tables]
    order = [*(s.table for s in suites if s.table not in tables), *tables]
    aside = quarantine.Quarantine(frozenset(quarantine.released(lake, batch)))
    results = []
    with views(lake, tables) as con:
        for suite in sorted(suites, key=lambda s: order.index(s.table)):
            reasons = [reason.value for reason in Reason] + (rules if suite.table == "decide" else [])
            results.append(validate(suite, con.sql(suite.frame).df(), {"reasons": reasons}, aside))
    return GateResult(BOUNDARY, batch, suites_digest(settings.dbt_dir, BOUNDARY), tuple(results))


def fetch_rules(settings: Settings) -> list[str]:
    """Names of the rules that may reject a candidate before it is fetched: the reasons of the table `decide`."""
    return [row["rule"] for row in threshold_rows(Path(settings.dbt_dir), DECIDE.rule_points)]


def _head(lake: Lake, batch: str, tables: Mapping[str, Table], suites: str) -> dict[str, object]:
    stages = {
        stage: {
            "v": table.fingerprint,
            "files": [
                {"shard": m.shard, "path": lake.table_key(m), "sha256": m.sha256, "rows": m.rows}
                for _, m in sorted(table.shards.items())
                if m is not None
            ],
        }
        for stage, table in tables.items()
    }
    whole = all(m is not None for table in tables.values() for m in table.shards.values())
    gate: dict[str, object] = {"suites": suites, "tables": digest(stages), "whole": whole}
    if released := quarantine.released(lake, batch):
        gate["released"] = sorted(released)
    return {"batch": batch, "gate": gate}


def _compacted(lake: Lake, batch: str, tables: Mapping[str, Table], known: dict | None) -> dict[str, object]:
    """What a whole batch's head says of its tables, made where it is not there."""
    shards = {
        stage: (table.fingerprint, [m for _, m in sorted(table.shards.items()) if m is not None])
        for stage, table in tables.items()
    }
    return {
        "stages": compact.compacted(lake, batch, shards, known),
        "tables": tables_digest(m.sha256 for _, manifests in shards.values() for m in manifests),
    }


def _admitted(lake: Lake, head: dict) -> bool:
    """Whether exactly these tables were admitted under exactly these suites."""
    known = batch_head(lake, head["batch"])
    return known is not None and head["gate"]["whole"] and known.get("gate") == head["gate"]


def admission_number(lake: Lake, batch: str) -> int:
    """The batch's number in the order of admission, from 1. Each number is a file created exclusively, so two gates at
    a time take different ones; which one a gate is about to take is noted before, so one that died after taking it, or
    never heard that it had, finds it again. One that is admitted keeps its own."""
    if seq := (batch_head(lake, batch) or {}).get("seq"):
        return int(seq)
    note = f"batches/numbers/{batch}"
    noted = (lake.read_or_none(note) or b"").decode(errors="replace").strip()
    if noted.isdecimal() and _has_number(lake, int(noted), batch):
        return int(noted)
    taken = lake.list("batches/seq")
    seq = int(taken[-1]) + 1 if taken else 1
    while True:
        lake.write(note, f"{seq}\n".encode())
        if lake.create(f"batches/seq/{seq:08d}", batch.encode()) or _has_number(lake, seq, batch):
            return seq
        seq += 1


def _has_number(lake: Lake, seq: int, batch: str) -> bool:
    return (lake.read_or_none(f"batches/seq/{seq:08d}") or b"").decode(errors="replace").strip() == batch


def _write(lake: Lake, result: GateResult) -> str:
    from winnow.report.gate_page import gate_page

    folder = f"gates/{result.subject}"
    lake.write(f"{folder}/result.json", (json.dumps(result.to_json(), indent=1, sort_keys=True) + "\n").encode())
    lake.write(f"{folder}/index.html", gate_page([result.to_json()]).encode())
    return lake.full(f"{folder}/index.html")
