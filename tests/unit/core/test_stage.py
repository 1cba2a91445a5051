"""What a stage's digest covers, and how parameters, schemas and settings answer to wrong values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.unit.house import Count
from winnow.core import settings, stage, table
from winnow.core.errors import ConfigError, ContractError
from winnow.core.sample import Outcome, Reason, check_batch, sid


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in {
        "stages/loud.py": "from winnow.models import (\n    tone,\n)\nfrom winnow.core.lake import Lake\nx = 1\n",
        "models/__init__.py": "",
        "models/tone.py": "def f():\n    from winnow.signal import g  # inside a function\n    return g\n",
        "signal.py": "g = 2\n",
        "lake.py": "Lake = 1\n",
        "other.py": "unused = 1\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(stage, "PACKAGE", tmp_path)
    stage.code_digest.cache_clear()
    yield tmp_path
    stage.code_digest.cache_clear()


def _digest() -> str:
    stage.code_digest.cache_clear()
    return stage.code_digest("stages.loud")


def test_the_digest_covers_what_a_stage_imports_and_not_the_kernel(package: Path) -> None:
    names = {p.relative_to(package).as_posix() for p in stage.module_closure("stages.loud")}
    assert names == {"stages/loud.py", "models/__init__.py", "models/tone.py", "signal.py"}


@pytest.mark.parametrize(
    ("file", "text", "changes"),
    [
        (
            "stages/loud.py",
            "# said otherwise\nfrom winnow.models import (\n    tone,\n)\nfrom winnow.core.lake import Lake\n\nx = 1\n",
            False,
        ),
        (
            "stages/loud.py",
            "from winnow.models import (\n    tone,\n)\nfrom winnow.core.lake import Lake\nx = 2\n",
            True,
        ),
        ("signal.py", "g = 3\n", True),
        ("lake.py", "Lake = 2\n", False),
        ("other.py", "unused = 2\n", False),
    ],
)
def test_the_digest_changes_with_behaviour_only(package: Path, file: str, text: str, changes: bool) -> None:
    before = _digest()
    (package / file).write_text(text)
    assert (_digest() != before) is changes


def test_an_unknown_parameter_is_named_with_the_ones_there_are() -> None:
    with pytest.raises(ConfigError, match=r"parameters of count:\n  bogus: .*\nIt has: extra=0"):
        stage.parse_params(Count, {"bogus": 1})


def test_an_unknown_stage_is_told_the_stages_there_are() -> None:
    with pytest.raises(ConfigError, match="there is no stage 'nonesuch'; the stages are"):
        stage.stage_class("nonesuch")


@pytest.mark.parametrize("key", ["../up", "", "A", "a/b", "-a", "a\n"])
def test_what_cannot_be_a_folder_cannot_be_a_batch(key: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a batch"):
        check_batch(key)
    assert check_batch("2026-11-01") == "2026-11-01"


def test_ids_are_stable() -> None:
    assert sid("clip", "x", 0, 10000) == "fec79b44c622805c538d"
    assert len({sid("a", "b"), sid("ab", ""), sid("a", "b", ""), sid("b", "a")}) == 4


def test_tables_are_ordered_typed_and_the_same_whatever_the_order() -> None:
    columns = {"v": "float32[2]", "w": "float32[]", "labels": "string[]"}
    rows = [
        Outcome.ok("b", {"v": np.array([1.0, 2.0]), "w": [0.5], "labels": ["x"]}),
        Outcome.failed("a", Reason.gone, "404"),
    ]
    one, two = (table.to_bytes(table.from_outcomes(r, columns, "s")) for r in (rows, rows[::-1]))
    assert one == two
    made = table.from_outcomes(rows, columns, "s")
    assert made["sample_id"].to_pylist() == ["a", "b"]
    assert made.schema.field("v").type == pa.list_(pa.float32(), 2)
    assert made["v"].to_pylist() == [None, [1.0, 2.0]]


@pytest.mark.parametrize(
    ("outcomes", "message"),
    [
        ([Outcome.ok("a", {"n": 1}), Outcome.ok("a", {"n": 2})], "two outcomes for sample a"),
        ([Outcome.ok("a", {"m": 1})], r"columns \['m'\] are not in its schema"),
        ([Outcome.ok("a", {"n": "many"})], "column n .int64. cannot hold"),
    ],
)
def test_a_table_that_breaks_its_schema_is_refused(outcomes: list[Outcome], message: str) -> None:
    with pytest.raises(ContractError, match=message):
        table.from_outcomes(outcomes, {"n": "int64"}, "s")


def test_settings_name_the_variable_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    settings.load.cache_clear()
    monkeypatch.setenv("WINNOW_FETCH_ALLOW_NETWORKS", "127.0.0.0/8, 10.0.0.0/40")
    with pytest.raises(ConfigError, match="WINNOW_FETCH_ALLOW_NETWORKS"):
        settings.load()
    monkeypatch.setenv("WINNOW_FETCH_ALLOW_NETWORKS", "127.0.0.0/8, ::1/128")
    assert [str(n) for n in settings.load().fetch_allow_networks] == ["127.0.0.0/8", "::1/128"]
    settings.load.cache_clear()
