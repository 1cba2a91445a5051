"""What a change of the dbt project, or of the code around it, means for what is built: behaviour, not text.

SQL counts without comments and layout, YAML as what it says without descriptions, a Python model by its syntax tree and
those of the modules that it imports (`winnow.core.fingerprint`), a seed by its bytes.
"""

from __future__ import annotations

import pkgutil
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from winnow import exports
from winnow.core.fingerprint import code_digest, source_digest
from winnow.core.lake import digest, sha256_bytes
from winnow.release import dbt_run, inputs

#: Libraries that compute or write what a release holds.
LIBRARIES = ("dbt-core", "dbt-duckdb", "duckdb", "pyarrow", "numpy", "scipy", "krippendorff", "h5py")
_SQL = re.compile(
    r"(?P<comment>\{#.*?#\}|/\*.*?\*/|--[^\n]*)|(?P<text>'(?:[^']|'')*'|\"[^\"]*\")|(?P<space>\s+)", re.DOTALL
)


def sql_behaviour(text: str) -> str:
    """SQL (with Jinja) without comments, its layout folded. A comment of SQL that holds Jinja stays: dbt runs it."""

    out: list[str] = []
    at = 0
    for found in _SQL.finditer(text):
        out.append(text[at : found.start()])
        at, part = found.end(), found[0]
        dbt_runs_it = found["comment"] and not part.startswith("{#") and re.search(r"\{[{%]", part)
        if found["text"] or dbt_runs_it:
            out.append(part)
        elif not out[-1] and len(out) > 1 and out[-2] == " ":
            out.pop()
        else:
            out.append(" ")
    return "".join([*out, text[at:]]).strip()


def file_behaviour(path: Path) -> str:
    """Digest of what a file of a dbt project does."""
    if path.suffix == ".py":
        return source_digest(path)
    if path.suffix == ".sql":
        return sha256_bytes(sql_behaviour(path.read_text(encoding="utf-8")).encode())
    if path.suffix in (".yml", ".yaml"):
        import yaml

        Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times faster

        try:
            return digest(_undescribed(yaml.load(path.read_text(encoding="utf-8"), Loader)), 64)
        except yaml.YAMLError:
            pass  # dbt will say what is wrong with it
    return sha256_bytes(path.read_bytes())


def _undescribed(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _undescribed(one) for key, one in value.items() if key != "description"}
    return [_undescribed(one) for one in value] if isinstance(value, list) else value


def project_behaviour(project: Path) -> str:
    """Digest of what a dbt project builds."""
    return digest([[path.relative_to(project).as_posix(), file_behaviour(path)] for path in dbt_run.files(project)])


def code_behaviour() -> str:
    """Digest of the code that makes a release's tables and exports out of what dbt reads, with the columns that it
    expects, and of the libraries that it uses."""
    code = [code_digest(module) for module in exported_by()]
    return digest([code, inputs.input_columns(), [_version(name) for name in LIBRARIES]])


def exported_by() -> list[str]:
    """Modules that make a release of what dbt built; exports are imported by their names, so each is named here."""
    found = pkgutil.iter_modules(exports.__path__, f"{exports.__name__}.")
    built = ["winnow.release.build", "winnow.release.dbt_program"]
    return [*built, exports.__name__, *sorted(module.name for module in found)]


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
