"""Decide: a decision point inside a batch's flow. Before anything is fetched, dbt accepts or rejects each candidate.

The decision is one Parquet beside the stage tables, committed like them (`decide/v=…/batch=…/`). `plan` reads it, and
the release reads it again as a source: a rule that changes later does not rewrite what was decided then. Its `v` is the
digest of the SQL and the rules that it depends on, its shard's name that of the tables it read: while neither changes,
dbt is not even started.
"""

from __future__ import annotations

import csv
import io
import re
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from winnow.errors import ConfigError, ContractError
from winnow.lake import Lake, digest, sha256_bytes
from winnow.manifest import Manifest
from winnow.sample import check_batch
from winnow.shard import Chain, shard_name
from winnow.stage import stage_needs

if TYPE_CHECKING:
    from winnow.settings import Settings

#: Columns after the four that every stage table begins with; `failed` is rejected, `reason` the rule.
COLUMNS = {
    "batch": "string", "video_id": "string", "url": "string", "start_s": "double", "end_s": "double", "title": "string",
    "uploader": "string", "source_id": "string", "content_sha256": "string",
}  # fmt: skip
MODEL = "decide_fetch"
READS = ("ingest", "screen")
#: Whose rules of thresholds.csv it may take: the house's, and ACAV100M's where the dataset asks for them.
POINTS = ("fetch", "acav")
_REF = re.compile(r"""\bref\(\s*['"](\w+)['"]\s*\)""")


def decide_fetch(batch: str, settings: Settings, lake: Lake) -> dict:
    """Accept or reject every readable candidate of a batch; returns counts and whether dbt had to run."""
    check_batch(batch)
    chain = Chain(lake, batch, stage_needs())
    inputs = {(stage, n): chain.committed(stage, n) for stage in READS for n in chain.numbers(stage)}
    for (stage, number), manifest in inputs.items():
        if manifest is None:
            command = f"run {stage}" if stage in stage_needs() else stage
            raise ContractError(
                f"the decision before fetch of batch {batch} needs shard {number} of {stage}, which is not committed. "
                f"Run `winnow {command} --batch {batch}` first."
            )
    if not inputs:
        raise ContractError(f"batch {batch} has no candidates: run `winnow ingest --batch {batch}` first")
    digests = {f"{stage}-{n:05d}": m.sha256 for (stage, n), m in inputs.items()}
    v, name = rules_digest(Path(settings.dbt_dir)), shard_name(0, digests)
    manifest = lake.manifest("decide", v, batch, name)
    computed = manifest is None
    if manifest is None:
        manifest = _compute(lake, settings, batch, v, name, {k: m for k, m in inputs.items() if m}, digests)
    lake.set_stand("decide", batch, {"v": v, "shards": [name]})
    return {
        "batch": batch, "point": "fetch", "computed": computed, "v": v, "rows": manifest.rows,
        "accepted": manifest.ok, "rejected": manifest.failed, "reasons": manifest.reasons,
    }  # fmt: skip


def rules_digest(dbt_dir: Path, model: str = MODEL, points: Sequence[str] = POINTS) -> str:
    """Digest of everything in the dbt project that a decision depends on: the model, the models and seeds it refers to,
    the macros, the project file; of thresholds.csv only the rows of its own decision points."""
    known = {
        p.stem: p
        for folder in ("models", "seeds")
        for p in sorted((dbt_dir / folder).rglob("*"))
        if p.suffix in (".sql", ".csv", ".py")
    }
    if model not in known:
        raise ConfigError(f"WINNOW_DBT_DIR={dbt_dir}: there is no model {model}")
    macros = "\n".join(p.read_text() for p in sorted((dbt_dir / "macros").glob("*.sql")))
    parts = {
        "macros": sha256_bytes(macros.encode()),
        "project": sha256_bytes((dbt_dir / "dbt_project.yml").read_bytes()),
    }
    todo = [model, *_REF.findall(macros)]
    while todo:
        name = todo.pop()
        if name in parts or name not in known:
            continue
        text = known[name].read_text()
        if name == "thresholds":
            text = str([row for row in csv.DictReader(io.StringIO(text)) if row["point"] in points])
        else:
            todo += _REF.findall(text)
        parts[name] = sha256_bytes(text.encode())
    return digest(parts)


def _compute(
    lake: Lake,
    settings: Settings,
    batch: str,
    v: str,
    name: str,
    inputs: dict[tuple[str, int], Manifest],
    digests: dict[str, str],
) -> Manifest:
    """Run the dbt selection in a folder of its own and commit what it decided."""
    from winnow import warehouse

    clock, at = time.perf_counter(), datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="winnow-decide-") as folder:
        out = Path(folder)
        columns = warehouse.stage_columns()
        files = []
        for (stage, _), m in inputs.items():
            copy = out / f"{stage}-{m.shard}.parquet"
            copy.write_bytes(lake.read_table(m))
            files.append(warehouse.InputFile(stage, str(copy), batch, 0, m.v, m.shard, m.sha256))
        warehouse.write_inputs(files, out, {stage: columns[stage] for stage in READS})
        selection = ["--select", f"+{MODEL}", "--indirect-selection", "cautious"]
        selection += ["--exclude-resource-type", "unit_test"]
        warehouse.run_dbt(["build", *selection], out, settings, cache=lake)
        table = out / "decide.parquet"
        warehouse.copy_table(out / "warehouse.duckdb", f"intermediate.{MODEL}", ["sample_id"], table)
        data = table.read_bytes()
        reasons = warehouse.count_by(table, "reason")
    rows = sum(reasons.values())
    rejected = {reason: n for reason, n in sorted(reasons.items(), key=str) if reason is not None}
    sha256, failed = sha256_bytes(data), sum(rejected.values())
    manifest = Manifest(
        stage="decide", v=v, batch=batch, shard=name, file=f"{name}.{sha256[:8]}.parquet", sha256=sha256,
        bytes=len(data),
        rows=rows, rows_in=rows, ok=rows - failed, failed=failed, reasons=rejected, inputs=digests, code=v,
        at=at.isoformat(timespec="seconds"), seconds=round(time.perf_counter() - clock, 3),
    )  # fmt: skip
    return lake.commit(manifest, data)
