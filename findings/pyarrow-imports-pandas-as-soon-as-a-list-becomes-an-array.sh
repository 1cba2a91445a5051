#!/usr/bin/env bash
# One would guess: a Python list becomes an Arrow array without pandas, which is an optional dependency that one asks for
# (`to_pandas`, `from_pandas`).
# What happens (pyarrow 26.0.1, pandas 3.0): where pandas is installed, the first pa.array([1]), pa.table({...: [...]}) or
# Parquet read imports it, about half a CPU second and 30 MB, to ask whether the list is one of its series. A module that
# is None in sys.modules is no way out (AttributeError); an import that fails is: pyarrow asks once and then remembers.
# Source: pyarrow/pandas-shim.pxi (_have_pandas_internal), called by _is_array_like in array.pxi.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q "pyarrow==26.0.1" "pandas>=3.0,<3.1"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import pyarrow as pa

before = "pandas" in sys.modules
pa.array([1])
after = "pandas" in sys.modules
print(f"pyarrow {version('pyarrow')}, pandas {version('pandas')}: imported before pa.array([1]): {before}, after: {after}")
sys.exit(0 if (before, after) == (False, True) else 1)
PY
