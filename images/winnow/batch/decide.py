"""Decide: a decision point inside a batch's flow, where dbt says what goes on.

Before anything is fetched, it accepts or rejects each candidate (`fetch`: table `decide`, which `plan` reads). After
the clips' sounds are tagged, it says which have to be separated (`separate`: table `flag`, one file for every shard
of the plan, which stage `separate` reads).

A decision is committed like a stage table (`decide/v=…/batch=…/`), and the release reads it again as a source: a rule
that changes later does not rewrite what was decided then. Its fingerprint is the digest of the SQL and the rules that
it depends on, and with it goes the digest of the tables it read: while neither changes, dbt is not even started.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake, digest, sha256_bytes
from winnow.core.manifest import Manifest
from winnow.core.planned_table import DECIDE, FLAG, Began, PlannedTable, again
from winnow.core.sample import check_batch
from winnow.core.shard import Lineage, shard_name
from winnow.core.stage import stage_columns, stage_needs, stage_optional_needs
from winnow.core.thresholds import rows_of, threshold_rows
from winnow.release.behaviour import file_behaviour, sql_behaviour

if TYPE_CHECKING:
    from winnow.core.settings import Settings

_REF = re.compile(r"""\bref\(\s*['"](\w+)['"]\s*\)""")
Inputs = dict[tuple[str, int], Manifest]


@dataclass(frozen=True)
class DecisionPoint:
    """A decision point: the table it commits, the model that decides, the stage tables it needs (and takes where the
    batch has them committed)."""

    name: str
    table: PlannedTable
    model: str
    reads: tuple[str, ...]
    takes: tuple[str, ...]


FETCH = DecisionPoint("fetch", DECIDE, "decide_fetch", ("ingest", "screen"), ())
SEPARATE = DecisionPoint("separate", FLAG, "decide_separate", ("ingest", "clip", "tags"), ("panns", "yamnet"))


def decide_fetch(batch: str, settings: Settings, lake: Lake) -> dict[str, Any]:
    """Accept or reject every readable candidate of a batch; returns counts and whether dbt had to run."""
    since = lake.head_pointer("decide", check_batch(batch))
    inputs, digests, fingerprint = _begin(FETCH, batch, settings, lake)
    name = shard_name(0, digests)
    manifest = lake.manifest("decide", fingerprint, batch, name)
    computed = manifest is None
    if manifest is None:
        began = Began()
        with _decided(FETCH, batch, settings, lake, inputs, ["sample_id"]) as path:
            from winnow.release import snapshot

            data, reasons = path.read_bytes(), snapshot.count_by(path, "reason")
        rejected = {reason: n for reason, n in sorted(reasons.items(), key=str) if reason is not None}
        rows = sum(reasons.values())
        manifest = DECIDE.commit(
            lake,
            batch,
            fingerprint,
            name,
            data,
            rows=rows,
            reasons=rejected,
            inputs=digests,
            code=fingerprint,
            began=began,
            params={"rules": deciding_rules(Path(settings.dbt_dir), FETCH)},
        )
    lake.set_head("decide", batch, {"v": fingerprint, "shards": [name]}, since, again("decide", batch))
    return {
        "batch": batch,
        "point": "fetch",
        "computed": computed,
        "v": fingerprint,
        "rows": manifest.rows,
        "accepted": manifest.ok,
        "rejected": manifest.failed,
        "reasons": manifest.reasons,
    }


def decide_separate(batch: str, settings: Settings, lake: Lake) -> dict[str, Any]:
    """Flag the clips of a batch whose sound has to be separated, shard by shard of its plan; returns counts, by why,
    and whether dbt had to run. A shard whose flags are what they were keeps its name, and so what was separated."""
    since = lake.head_pointer("flag", check_batch(batch))
    inputs, digests, fingerprint = _begin(SEPARATE, batch, settings, lake)
    made_from = digest([fingerprint, digests])
    if (known := FLAG.unchanged(lake, batch, made_from)) is not None:
        return {**known, "batch": batch, "point": "separate", "computed": False, "v": fingerprint}
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from winnow.core import table

    began = Began()
    with _decided(SEPARATE, batch, settings, lake, inputs, ["shard_number", "sample_id"]) as path:
        rows = pq.read_table(path)
    schema, names = table.arrow_schema(FLAG.columns), []
    params = {"rules": deciding_rules(Path(settings.dbt_dir), SEPARATE)}
    for number in sorted({n for stage, n in inputs if stage == "clip"}):
        own = rows.filter(pc.equal(rows["shard_number"], number))
        data = table.to_bytes(pa.Table.from_pydict({f.name: own[f.name] for f in schema}, schema=schema))
        name = shard_name(number, {"rows": sha256_bytes(data)})
        FLAG.commit(
            lake,
            batch,
            fingerprint,
            name,
            data,
            rows=own.num_rows,
            reasons={},
            inputs=digests,
            code=fingerprint,
            params=params,
            began=began,
        )
        names.append(name)
    reasons = pc.value_counts(rows["why"]).to_pylist()
    counts = {"flagged": rows.num_rows, "reasons": {r["values"]: r["counts"] for r in sorted(reasons, key=str)}}
    FLAG.set_head(lake, batch, fingerprint, names, made_from, counts, since)
    return {**counts, "batch": batch, "point": "separate", "computed": True, "v": fingerprint}


def _begin(point: DecisionPoint, batch: str, settings: Settings, lake: Lake) -> tuple[Inputs, dict[str, str], str]:
    """The tables that a decision reads, their digests, its fingerprint; ContractError for one that is not committed."""
    lineage = Lineage(lake, batch, stage_needs(), stage_optional_needs())
    inputs: Inputs = {}
    for stage in (*point.reads, *point.takes):
        for number in lineage.numbers(stage):
            manifest = lineage.committed(stage, number)
            if manifest is not None:
                inputs[stage, number] = manifest
            elif stage in point.reads:
                command = f"run {stage}" if stage in stage_needs() else stage
                raise ContractError(
                    f"the decision at point {point.name} of batch {batch} needs shard {number} of {stage}, which is "
                    f"not committed. Run `winnow {command} --batch {batch}` first."
                )
    if not inputs:
        raise ContractError(f"batch {batch} has no candidates: run `winnow ingest --batch {batch}` first")
    digests = {f"{stage}-{n:05d}": m.sha256 for (stage, n), m in inputs.items()}
    return inputs, digests, rules_digest(Path(settings.dbt_dir), point.model, point.table.rule_points)


def deciding_rules(dbt_dir: Path, point: DecisionPoint) -> list[dict[str, object]]:
    """The rules of thresholds.csv that decide at a point, as they are now: kept in the manifest of what they decided
    (table `fct_batch_rules`), since thresholds.csv may say otherwise by the next release."""
    import yaml

    asked = yaml.safe_load((dbt_dir / "dbt_project.yml").read_text())["vars"]["fetch_points"]
    points = asked if point is FETCH else point.table.rule_points
    rows = threshold_rows(dbt_dir, points)
    kinds = {"position": int, "value": float}
    fields = ("point", "position", "rule", "measure", "op", "value", "unit")
    return [{name: kinds.get(name, str)(row[name]) for name in fields} for row in rows]


def rules_digest(dbt_dir: Path, model: str = FETCH.model, points: Sequence[str] = DECIDE.rule_points) -> str:
    """Digest of all that the dbt project does for a decision: the model, the models and seeds it refers to,
    the macros, the project file; of thresholds.csv only the rows of its own decision points."""
    known = {
        p.stem: p
        for folder in ("models", "seeds")
        for p in sorted((dbt_dir / folder).rglob("*"))
        if p.suffix in (".sql", ".csv", ".py")
    }
    if model not in known:
        raise ConfigError(f"WINNOW_DBT_DIR={dbt_dir}: there is no model {model}")
    macros = "\n".join(sql_behaviour(p.read_text()) for p in sorted((dbt_dir / "macros").glob("*.sql")))
    parts = {"macros": sha256_bytes(macros.encode()), "project": file_behaviour(dbt_dir / "dbt_project.yml")}
    todo = [model, *_REF.findall(macros)]
    while todo:
        name = todo.pop()
        if name in parts or name not in known:
            continue
        text = known[name].read_text()
        if name == "thresholds":
            parts[name] = sha256_bytes(str(rows_of(text, points)).encode())
        else:
            todo += _REF.findall(text)
            parts[name] = file_behaviour(known[name])
    return digest(parts)


@contextmanager
def _decided(
    point: DecisionPoint, batch: str, settings: Settings, lake: Lake, inputs: Inputs, key: Sequence[str]
) -> Iterator[Path]:
    """Run the dbt selection in a folder of its own: the Parquet file of what it decided, ordered by its key."""
    from winnow.release import snapshot
    from winnow.release.dbt_run import run_dbt
    from winnow.release.inputs import InputFile, write_inputs

    with tempfile.TemporaryDirectory(prefix="winnow-decide-") as folder:
        out = Path(folder)
        columns = stage_columns()
        files = []
        for (stage, _), m in inputs.items():
            copy = out / f"{stage}-{m.shard}.parquet"
            copy.write_bytes(lake.read_table(m))
            files.append(InputFile(stage, str(copy), batch, 0, m.fingerprint, m.shard, m.sha256))
        write_inputs(files, out, {stage: columns[stage] for stage in (*point.reads, *point.takes)})
        selection = ["--select", f"+{point.model}", "--indirect-selection", "cautious"]
        selection += ["--exclude-resource-type", "unit_test"]
        selection += ["--vars", json.dumps({"split_policy": "hash"})]  # as a release, which then need not parse again
        run_dbt(["build", *selection], out, settings, cache=lake)
        decided = out / "decided.parquet"
        snapshot.copy_table(out / "warehouse.duckdb", f"intermediate.{point.model}", key, decided)
        yield decided
