"""What a stage's digest covers, and how parameters, schemas and settings answer to wrong values."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tests.unit.helpers import Count
from winnow.core import settings, stage, table
from winnow.core.errors import ConfigError, ContractError
from winnow.core.sample import Outcome, Reason, check_batch, sid


def test_an_unknown_parameter_is_named_with_the_ones_there_are() -> None:
    with pytest.raises(ConfigError, match=r"parameters of count:\n  bogus: .*\nIt has: extra=0"):
        stage.parse_params(Count, {"bogus": 1})


def test_an_unknown_stage_is_told_the_stages_there_are() -> None:
    with pytest.raises(ConfigError, match="there is no stage 'nonesuch'; the stages are"):
        stage.stage_class("nonesuch")


@pytest.mark.parametrize("key", ["../up", "", "A", "a/b", "-a", "a\n"])
def test_what_cannot_be_a_folder_cannot_be_a_batch(key: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a batch" if key else "no batch is named"):
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
