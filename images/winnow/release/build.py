"""Warehouse: how dbt is run, and what leaves it.

dbt is a program here, never a library: each call is a process with a private folder (its DuckDB file, its target path,
its logs), because DuckDB allows one writer and one open reader blocks it. What a call reads is one Parquet, `inputs`,
that names every file; what users see leaves it afterwards (`winnow.release.snapshot`).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING

from winnow import exports
from winnow.core import corpus_table
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake, digest, sha256_bytes
from winnow.release import snapshot

if TYPE_CHECKING:
    from winnow.core.settings import Settings

#: Tables that the release now current hands to the next one.
PUBLISHED_COLUMNS = {
    "published_splits": {
        "sample_id": "string", "video_id": "string", "uploader_key": "string", "source_sha256": "string",
        "split": "string",
    },
    "published_clips": {
        "sample_id": "string", "status": "string", "first_failed_rule": "string", "detail": "string", "split": "string",
    },
    "published_thresholds": {
        "point": "string", "position": "int64", "rule": "string", "measure": "string", "op": "string",
        "value": "double", "unit": "string",
    },
}  # fmt: skip
PUBLISHED_FILES = {
    "published_splits": "splits", "published_clips": "fct_clips", "published_thresholds": "thresholds",
}  # fmt: skip
#: Modules of the package that dbt's Python models import: tables depend on them too.
_IMPORTED = re.compile(r"^\s*from winnow\.([\w.]+) import", re.MULTILINE)
_INPUT_FIELDS = ("stage", "batch", "seq", "v", "shard", "path", "sha256")


@dataclass(frozen=True)
class InputFile:
    """One file that a dbt call reads; `path` is absolute, `batch` None for what belongs to none."""

    stage: str
    path: str
    batch: str | None = None
    seq: int | None = None
    v: str | None = None
    shard: str | None = None
    sha256: str | None = None


def stage_columns() -> dict[str, Mapping[str, str]]:
    """Columns of every batch's tables that dbt may read, by stage, in the aliases of a Stage's schema."""
    from winnow.batch import decide, ingest, mixture_plan, plan
    from winnow.core.stage import stage_class, stage_names

    cut = {
        "ingest": ingest.COLUMNS, "decide": decide.COLUMNS, "plan": plan.COLUMNS, "flag": decide.FLAG_COLUMNS,
        "mixtures": mixture_plan.COLUMNS,
    }  # fmt: skip
    return {**cut, **{name: stage_class(name).schema for name in stage_names()}}


def input_columns() -> dict[str, Mapping[str, str]]:
    """Columns of everything that a release reads: stage tables, the corpus's tables, and the release before it."""
    return {**stage_columns(), **{name: t.columns for name, t in corpus_table.TABLES.items()}, **PUBLISHED_COLUMNS}


def write_inputs(files: Iterable[InputFile], out: Path, columns: Mapping[str, Mapping[str, str]]) -> Path:
    """Write `<out>/inputs.parquet`, with a typed empty file for every stage of `columns` that has none; its path."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from winnow.core import table

    listed = sorted(files, key=lambda f: (f.stage, f.seq or 0, f.batch or "", f.shard or "", f.path))
    empty = out / "empty"
    empty.mkdir(parents=True, exist_ok=True)
    (empty / "none.json").write_text("{}")
    for stage in sorted(set(columns) - {f.stage for f in listed}):
        keyed = stage not in corpus_table.TABLES
        (empty / f"{stage}.parquet").write_bytes(table.empty(columns[stage], keyed=keyed))
        listed.append(InputFile(stage, str(empty / f"{stage}.parquet")))
    kinds = {"seq": pa.int64()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in _INPUT_FIELDS])
    path = out / "inputs.parquet"
    pq.write_table(
        pa.Table.from_pylist([{n: getattr(f, n) for n in _INPUT_FIELDS} for f in listed], schema=schema), path
    )
    return path


def run_dbt(
    arguments: list[str], out: Path, settings: Settings, *, threads: int | None = None, cache: Lake | None = None
) -> None:
    """Run one dbt command in the private folder `out`, where `inputs.parquet` lies; ContractError with every failing
    node and its message. What dbt parsed is kept in the `cache` under a digest of all that it parsed, which saves the
    next call a third of its time; each call works on a copy, so concurrent ones share it safely."""
    project = Path(settings.dbt_dir).resolve()
    if not (project / "dbt_project.yml").is_file():
        raise ConfigError(f"WINNOW_DBT_DIR={project}: no dbt_project.yml there")
    beside = Path(sys.executable).parent / "dbt"
    program = str(beside) if beside.exists() else shutil.which("dbt")
    if program is None:
        raise ConfigError(
            "dbt is not installed here: decisions run in the warehouse image, or `pip install 'winnow[warehouse]'`"
        )
    threads = threads or settings.threads
    environment = {
        **os.environ,
        "WINNOW_THREADS": str(threads),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
    }
    command = [program, "--no-version-check", "--no-use-colors", "--log-level", "warn", "--log-level-file", "none"]
    variables = arguments[arguments.index("--vars") + 1] if "--vars" in arguments else ""
    versions = [d.version for name in ("dbt-core", "dbt-duckdb") for d in distributions(name=name)]
    parsed = f"cache/dbt/{digest([str(project), project_digest(project), versions, variables, threads])}.msgpack"
    known = cache.read_or_none(parsed) if cache else None
    if known is not None:
        (out / "parsed.msgpack").write_bytes(known)
        command += ["--partial-parse-file-path", str(out / "parsed.msgpack")]
    command += [
        *arguments, "--project-dir", str(project), "--profiles-dir", str(project),
        "--target-path", str(out / "target"), "--log-path", str(out / "logs"),
    ]  # fmt: skip
    done = subprocess.run(command, env=environment, cwd=out, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ContractError(
            f"dbt {arguments[0]} failed:\n{_failures(out) or (done.stdout + done.stderr).strip()[-4000:]}"
        )
    if cache and known is None:
        cache.write(parsed, (out / "target" / "partial_parse.msgpack").read_bytes())


def project_digest(project: Path) -> str:
    """Digest of the dbt project: all that dbt parses, without the gates' suites that lie beside it."""
    wanted = (".sql", ".py", ".csv", ".yml")
    files = sorted(
        p for p in project.rglob("*") if p.suffix in wanted and p.relative_to(project).parts[0] not in ("gx", "target")
    )
    return digest([[p.relative_to(project).as_posix(), sha256_bytes(p.read_bytes())] for p in files])


def _failures(out: Path) -> str:
    """One paragraph per node that dbt says failed."""
    try:
        results = json.loads((out / "target" / "run_results.json").read_text())["results"]
    except FileNotFoundError:
        return ""
    bad = [r for r in results if r["status"] in ("error", "fail", "runtime error")]
    return "\n".join(
        f"  {r['unique_id'].split('.', 1)[0]} {r['unique_id'].split('.')[2]}: {(r['message'] or '').strip()}"
        for r in bad
    )


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
    files = [*head_files(lake, heads), *corpus_files(lake), *published_files(lake)]
    write_inputs(files, out, input_columns())
    variables = json.dumps({"split_policy": policy})
    selection = ["--exclude", "tag:decide_fetch", "tag:decide_separate", "--exclude-resource-type", "unit_test"]
    run_dbt(["build", "--vars", variables, *selection], out, settings, threads=threads, cache=lake)
    tables = snapshot.published_tables(out)
    snapshot.export(out / "warehouse.duckdb", tables, work)
    snapshot.write(tables, work)
    exports.write_all(work / "tables", work / "exports")
    return {"batches": sorted(heads), "policy": policy, "tables": sorted(t.name for t in tables)}


def release_key(lake: Lake, settings: Settings, policy: str = "hash") -> str:
    """Digest of what a release's tables depend on beside the release before it: the admitted tables, the dbt project,
    the policy and its code. While it stands, there is nothing new to release."""
    heads = [
        [h["batch"], h["seq"], stage, sorted(f["sha256"] for f in at["files"])]
        for _, h in sorted(batch_heads(lake).items())
        for stage, at in sorted(h["stages"].items())
    ]
    package, project = Path(__file__).resolve().parents[1], Path(settings.dbt_dir)
    called = {name for path in project.rglob("models/**/*.py") for name in _IMPORTED.findall(path.read_text())}
    modules = [
        Path(__file__),
        Path(__file__).with_name("snapshot.py"),
        *(package / f"{name.replace('.', '/')}.py" for name in sorted(called)),
        *sorted((package / "exports").glob("*.py")),
    ]
    code = [[path.name, sha256_bytes(path.read_bytes())] for path in modules]
    annotated = [file.path.rpartition("/corpus/")[2] for file in corpus_files(lake)]
    return digest([policy, heads, annotated, project_digest(project), code])


def batch_heads(lake: Lake) -> dict[str, dict]:
    """The admitted batches, by key."""
    names = [name for name in lake.list("batches") if name.endswith(".json")]
    return {name.removesuffix(".json"): json.loads(lake.read(f"batches/{name}")) for name in names}


def head_files(lake: Lake, heads: Mapping[str, dict]) -> list[InputFile]:
    """Every file that the admitted batches stand on."""
    return [
        InputFile(stage, lake.full(f["path"]), head["batch"], head["seq"], at["v"], f["shard"], f["sha256"])
        for head in heads.values()
        for stage, at in head["stages"].items()
        for f in at["files"]
    ]


def corpus_files(lake: Lake) -> list[InputFile]:
    """Every file of the corpus's tables that counts."""
    return [
        InputFile(name, lake.full(key))
        for name in sorted(corpus_table.TABLES)
        for key in corpus_table.files(lake, name)
    ]


def published_files(lake: Lake) -> list[InputFile]:
    """What the current release hands to the next one; [] before the first."""
    current = lake.read_or_none("releases/current")
    if current is None:
        return []
    tables = f"releases/{current.decode().strip()}/tables"
    files = {stage: f"{tables}/{name}.parquet" for stage, name in PUBLISHED_FILES.items()}
    return [InputFile(stage, lake.full(key)) for stage, key in files.items() if lake.exists(key)]


def docs(settings: Settings, out: Path) -> Path:
    """Write the project's documentation as one HTML file, `<out>/index.html`, over typed empty tables; its path. The
    page holds everything it shows and loads nothing: dbt's page tracker only starts where anonymous statistics are
    allowed."""
    write_inputs([], out, input_columns())
    run_dbt(["build", "--exclude-resource-type", "unit_test"], out, settings)
    run_dbt(["docs", "generate", "--static"], out, settings)
    page = out / "index.html"
    text = (out / "target" / "static_index.html").read_text(encoding="utf-8")
    page.write_text(text.replace(str(out), "").replace(str(Path(settings.dbt_dir).resolve()), "dbt"), encoding="utf-8")
    return page
