"""How dbt is run: as a program, never as a library. Each call is a process with a private folder (its DuckDB file, its
target path, its logs), because DuckDB allows one writer and one open reader blocks it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING

from winnow.core import cpu
from winnow.core.errors import ConfigError, ContractError, TransientError
from winnow.core.lake import Lake, digest, sha256_bytes
from winnow.release.inputs import input_columns, write_inputs

if TYPE_CHECKING:
    from winnow.core.settings import Settings

#: What a call runs (`winnow.release.dbt_program`): an interpreter with options and a script.
PROGRAM: tuple[str, ...] = (sys.executable, "-P", str(Path(__file__).with_name("dbt_program.py")))
MEMORY = ", as the kernel does where memory runs out (give it more, or fewer WINNOW_THREADS)"


def run_dbt(
    arguments: list[str], out: Path, settings: Settings, *, threads: int | None = None, cache: Lake | None = None
) -> None:
    """Run one dbt command in the private folder `out`, where `inputs.parquet` lies; ContractError with every failing
    node and its message, TransientError when dbt was killed. What dbt parsed is kept in the `cache` under a digest of
    all that it parsed, which saves the next call a third of its time; each call works on a copy, so concurrent ones
    share it safely."""
    project = Path(settings.dbt_dir).resolve()
    if not (project / "dbt_project.yml").is_file():
        raise ConfigError(f"WINNOW_DBT_DIR={project}: no dbt_project.yml there")
    if (Path(sys.executable).parent / "dbt").exists():
        program = PROGRAM
    elif found := shutil.which("dbt"):
        program = (found,)
    else:
        raise ConfigError(
            "dbt is not installed here: decisions run in the warehouse image, or `pip install 'winnow[warehouse]'`"
        )
    threads = threads or settings.threads
    environment = {
        **cpu.pinned(os.environ),  # its Python models compute too
        "WINNOW_THREADS": str(threads),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
        "WINNOW_PARENT": str(os.getpid()),
    }
    command = [*program, "--no-version-check", "--no-use-colors", "--log-level", "warn", "--log-level-file", "none"]
    variables = arguments[arguments.index("--vars") + 1] if "--vars" in arguments else ""
    versions = [d.version for name in ("dbt-core", "dbt-duckdb") for d in distributions(name=name)]
    parsed = f"cache/dbt/{digest([str(project), project_digest(project), versions, variables, threads])}.msgpack"
    known = cache.read_or_none(parsed) if cache else None
    if known is not None:
        (out / "parsed.msgpack").write_bytes(known)
        command += ["--partial-parse-file-path", str(out / "parsed.msgpack")]
    command += [
        *arguments,
        "--project-dir",
        str(project),
        "--profiles-dir",
        str(project),
        "--target-path",
        str(out / "target"),
        "--log-path",
        str(out / "logs"),
    ]
    done = subprocess.run(command, env=environment, cwd=out, capture_output=True, text=True, check=False)
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise TransientError(
            f"dbt {arguments[0]} was ended by signal {name}{MEMORY if name == 'SIGKILL' else ''}. Nothing was "
            "committed: run the same command again"
        )
    if done.returncode:
        raise ContractError(
            f"dbt {arguments[0]} failed:\n{_failures(out) or (done.stdout + done.stderr).strip()[-4000:]}"
        )
    if cache and known is None:
        cache.write(parsed, (out / "target" / "partial_parse.msgpack").read_bytes())


def files(project: Path) -> list[Path]:
    """All that dbt parses of a project, ordered, without the gates' suites that lie beside it."""
    wanted = (".sql", ".py", ".csv", ".yml")
    apart = ("gx", "target")
    return sorted(p for p in project.rglob("*") if p.suffix in wanted and p.relative_to(project).parts[0] not in apart)


def project_digest(project: Path) -> str:
    """Digest of the dbt project's files as they are: what a parse of it can be kept under."""
    return digest([[p.relative_to(project).as_posix(), sha256_bytes(p.read_bytes())] for p in files(project)])


def _failures(out: Path) -> str:
    """One paragraph per node that dbt says failed."""
    try:
        results = json.loads((out / "target" / "run_results.json").read_text())["results"]
    except (FileNotFoundError, ValueError, KeyError):  # it died before, or while, writing it
        return ""
    bad = [r for r in results if r["status"] in ("error", "fail", "runtime error")]
    return "\n".join(
        f"  {r['unique_id'].split('.', 1)[0]} {r['unique_id'].split('.')[2]}: {(r['message'] or '').strip()}"
        for r in bad
    )


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
