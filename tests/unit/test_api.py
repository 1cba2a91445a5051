"""What `import winnow` gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import winnow
from tests.unit import seen
from tests.unit.measured import write_batch
from winnow import api
from winnow.core.errors import ConfigError, ContractError


def test_a_stages_table_is_one_arrow_table_ordered_by_its_key(tmp_path: Path) -> None:
    lake = winnow.open_lake(str(tmp_path / "lake"))
    write_batch(lake, "2026-11-01", range(9))
    table = winnow.read_stage(lake, "visual", "2026-11-01")
    ids = table["sample_id"].to_pylist()
    assert ids == sorted(ids)
    assert len(ids) > 0
    assert {"outcome", "reason", "detail"} <= set(table.column_names)
    assert winnow.read_stage(lake, "visual", "2026-11-01", "pandas")["sample_id"].tolist() == ids
    assert winnow.read_stage(lake, "visual", "2026-11-01", "duckdb").aggregate("count(*)").fetchall() == [(len(ids),)]
    with pytest.raises(ConfigError, match="form 'polars': there are arrow, pandas, duckdb"):
        winnow.read_stage(lake, "visual", "2026-11-01", "polars")


def test_a_published_table_in_three_forms(tmp_path: Path) -> None:
    lake = seen.build(tmp_path)
    assert winnow.tables(lake) == ["fct_clips", "ops.dim_batches"]
    assert winnow.read_table(lake, "fct_clips").num_rows == len(seen.PLACES)
    assert len(winnow.read_table(lake, "fct_clips", "pandas", winnow.releases(lake)[0])) == len(seen.PLACES)
    relation = winnow.read_table(lake, "dim_batches", "duckdb")
    assert relation.fetchall() == [("b",)]
    with pytest.raises(ConfigError, match=r"no table 'nonesuch'; there are fct_clips, ops\.dim_batches"):
        winnow.read_table(lake, "nonesuch")


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


def test_no_name_is_a_rooms() -> None:
    """A room that was imported would stand in its place."""
    rooms = {path.stem for path in Path(winnow.__file__).parent.iterdir()}
    assert rooms & set(api.__all__) == set()


def test_importing_it_imports_nothing_else() -> None:
    code = "import sys, winnow; print([m for m in sys.modules if m.startswith('winnow.') or m == 'numpy'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
