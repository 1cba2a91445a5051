"""Exports: a release in the files that each dataset family's users know.

One module per family (readers lie beside them as `read_<family>`), with `write(tables, out)`: it reads the published
tables of a release and nothing else, and writes the family's files under `out`, the same bytes for the same tables. A
family that the corpus has no rows of writes nothing.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from winnow.core.errors import ConfigError


def families() -> list[str]:
    """Names of the dataset families that have a writer."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    return sorted(name for name in names if not name.startswith("read_"))


def write(family: str, tables: Path, out: Path) -> dict[str, int]:
    """Write one family's files from `tables/*.parquet` into `out`; files, relative to it, and their rows."""
    if family not in families():
        raise ConfigError(f"there is no dataset family {family!r}; there are {', '.join(families())}")
    return importlib.import_module(f"winnow.exports.{family}").write(tables, out)


def write_all(tables: Path, out: Path) -> dict[str, dict[str, int]]:
    """Write every family's files into `out/<family>`; what was written, by family."""
    written = {family: write(family, tables, out / family) for family in families()}
    return {family: files for family, files in written.items() if files}
