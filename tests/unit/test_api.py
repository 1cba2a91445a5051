"""What `import winnow` gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import winnow
from tests.unit.measured import write_batch
from winnow.core.errors import ConfigError, ContractError


def test_a_stages_table_is_one_arrow_table_ordered_by_its_key(tmp_path: Path) -> None:
    lake = winnow.open_lake(str(tmp_path / "lake"))
    write_batch(lake, "2026-11-01", range(9))
    table = winnow.read_stage(lake, "visual", "2026-11-01")
    ids = table["sample_id"].to_pylist()
    assert ids == sorted(ids)
    assert len(ids) > 0
    assert {"outcome", "reason", "detail"} <= set(table.column_names)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    lake = winnow.open_lake(str(tmp_path / "lake"))
    with pytest.raises(ConfigError, match="there is no stage 'nonesuch'; there are"):
        winnow.read_stage(lake, "nonesuch", "day")
    with pytest.raises(ContractError, match="batch day has nothing of probe"):
        winnow.read_stage(lake, "probe", "day")
    with pytest.raises(ConfigError, match="nothing is published"):
        winnow.open_release(lake)
    assert winnow.releases(lake) == []
    with pytest.raises(AttributeError, match="no attribute 'nonesuch'"):
        _ = winnow.nonesuch


def test_importing_it_imports_nothing_else() -> None:
    code = "import sys, winnow; print([m for m in sys.modules if m.startswith('winnow.') or m == 'numpy'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
