"""Build: dbt over all admitted batches, in a private folder, and the key of what a release follows from.

What a call reads is named in one file (`winnow.release.inputs`); what users see leaves it afterwards
(`winnow.release.snapshot`).
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from winnow import exports
from winnow.core.admitted import batch_heads, tables_of
from winnow.core.errors import ContractError
from winnow.core.lake import Lake, digest
from winnow.gates.quarantine import quarantined_rows
from winnow.release import snapshot
from winnow.release.behaviour import code_behaviour, project_behaviour
from winnow.release.dbt_run import run_dbt
from winnow.release.inputs import (
    check,
    corpus_files,
    derived_files,
    head_files,
    input_columns,
    published_files,
    write_inputs,
)
from winnow.release.parts import Parts
from winnow.release.scorers import scorers, trusted

if TYPE_CHECKING:
    from winnow.core.settings import Settings


def build_release(
    work: Path, lake: Lake, settings: Settings, *, policy: str = "hash", threads: int | None = None
) -> dict[str, object]:
    """Run `dbt build` over all admitted batches into the private folder `work`; what a publish copies from there is
    `tables/*.parquet`, `ops/*.parquet` and `winnow.duckdb`. Unit tests (of the SQL) run in `make test`; here the data
    tests do. Returns counts; ContractError when no batch is admitted, or when dbt finds a broken promise."""
    heads = batch_heads(lake)
    if not heads:
        raise ContractError(
            "no batch is admitted, so there is nothing to release: run `winnow gate --batch KEY` on one first"
        )
    out = work / "dbt"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    aside = quarantined_rows(heads.values())
    parts = Parts(lake, Path(settings.dbt_dir), heads, aside)
    print(*parts.told(), sep="\n", end="\n" if parts.why else "", file=sys.stderr, flush=True)
    files = [*parts.listed(head_files(lake, heads)), *corpus_files(lake), *published_files(lake)]
    files = check(lake, files) + derived_files(lake, heads)
    write_inputs(files, out, input_columns(), aside, scorers(lake), parts.rows)
    variables = json.dumps({"split_policy": policy})
    selection = ["--exclude", "tag:decide_fetch", "tag:decide_separate", "--exclude-resource-type", "unit_test"]
    run_dbt(["build", "--vars", variables, *selection], out, settings, threads=threads, cache=lake)
    parts.keep(out / "warehouse.duckdb", snapshot.kept_models(out), out)
    tables = snapshot.published_tables(out)
    snapshot.export(out / "warehouse.duckdb", tables, work)
    snapshot.write(tables, work)
    exports.write_all(work / "tables", work / "exports")
    return {"batches": sorted(heads), "policy": policy, "tables": sorted(t.name for t in tables)}


def release_key(lake: Lake, settings: Settings, policy: str = "hash") -> str:
    """Digest of what a release's tables and exports follow from beside the release before it: the admitted tables, the
    corpus's, what the dbt project and the code around it do, the policy, which scorers somebody trusts. While it
    stands, there is nothing new to release."""
    admitted = batch_heads(lake)
    heads = [[key, h["seq"], sorted(h["stages"]), tables_of(h)] for key, h in sorted(admitted.items())]
    annotated = [file.path.rpartition("/corpus/")[2] for file in corpus_files(lake)]
    aside = [[row["stage"], row["batch"], row["sample_id"]] for row in quarantined_rows(admitted.values())]
    said = [policy, heads, annotated, project_behaviour(Path(settings.dbt_dir)), code_behaviour(), trusted(lake)]
    return digest([*said, aside] if aside else said)
