"""Exports: a release in the files that each dataset family's users know.

One module per family (readers lie beside them as `read_<family>`), with `write(tables, out)`: it reads the published
tables of a release and nothing else, and writes the family's files under `out`, the same bytes for the same tables. A
family that the corpus has no rows of writes nothing.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import tempfile
from pathlib import Path

from winnow.core.errors import ConfigError


def families() -> list[str]:
    """Names of the dataset families that have a writer."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    return sorted(name for name in names if not name.startswith("read_"))


def write(family: str, tables: Path, out: Path) -> dict[str, int]:
    """Write one family's files from `tables/*.parquet` into `out`; files, relative to it, and their rows. Each file
    comes to its place whole: a process that is killed leaves no half of one under its name."""
    if family not in families():
        raise ConfigError(f"there is no dataset family {family!r}; there are {', '.join(families())}")
    beside = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.is_dir())
    with tempfile.TemporaryDirectory(prefix=".winnow-", dir=beside) as scratch:
        written = importlib.import_module(f"winnow.exports.{family}").write(tables, Path(scratch))
        for path in sorted(path for path in Path(scratch).rglob("*") if path.is_file()):
            target = out / path.relative_to(scratch)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
    return written


def write_all(tables: Path, out: Path) -> dict[str, dict[str, int]]:
    """Write every family's files into `out/<family>`; what was written, by family."""
    written = {family: write(family, tables, out / family) for family in families()}
    return {family: files for family, files in written.items() if files}
