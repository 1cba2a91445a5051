"""Tables of the whole corpus: they grow or are replaced, by content, and nothing that fits badly gets in."""

from __future__ import annotations

from pathlib import Path

import pytest

from winnow.core import corpus_table
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake

ROW = {"family": "avel", "key": "a", "split": "train", "source": "list.csv"}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(
        corpus_table.TABLES, "chosen", corpus_table.CorpusTable({"key": "string"}, grows=False, description="One")
    )
    return "chosen"


def test_rows_are_added_once_and_read_back(lake: Lake) -> None:
    first = corpus_table.add(lake, "given_split", [ROW], provenance={"file": "list.csv"})
    again = corpus_table.add(lake, "given_split", [ROW], provenance={"file": "a copy of it"})
    corpus_table.add(lake, "given_split", [{**ROW, "key": "b"}], provenance={"file": "other.csv"})
    assert (first["computed"], again["computed"], first["rows"]) == (True, False, 1)
    assert sorted(corpus_table.read(lake, "given_split")["key"].to_pylist()) == ["a", "b"]
    assert len(corpus_table.files(lake, "given_split")) == 2
    assert corpus_table.provenance(lake, f"corpus/given_split/{first['file']}.parquet")["provenance"] == {
        "file": "list.csv"
    }


def test_a_replaced_table_is_its_last_rows_and_keeps_the_earlier_files(lake: Lake, replaced: str) -> None:
    corpus_table.replace(lake, replaced, [{"key": "a"}, {"key": "b"}], provenance={})
    corpus_table.replace(lake, replaced, [{"key": "c"}], provenance={})
    assert corpus_table.read(lake, replaced)["key"].to_pylist() == ["c"]
    assert len([name for name in lake.list(f"corpus/{replaced}") if name.endswith(".parquet")]) == 2


def test_a_table_without_rows_has_its_columns(lake: Lake) -> None:
    assert corpus_table.read(lake, "given_split").column_names == ["family", "key", "split", "source"]
    assert corpus_table.files(lake, "given_split") == []


def test_what_does_not_fit_is_refused_and_leaves_nothing(lake: Lake, replaced: str) -> None:
    with pytest.raises(ContractError, match=r"no columns \['colour'\]"):
        corpus_table.add(lake, "given_split", [{**ROW, "colour": "red"}], provenance={})
    with pytest.raises(ContractError, match="do not fit corpus table given_split"):
        corpus_table.add(lake, "given_split", [{**ROW, "key": 3.5}], provenance={})
    with pytest.raises(ConfigError, match="no corpus table 'nothing'"):
        corpus_table.add(lake, "nothing", [], provenance={})
    with pytest.raises(ConfigError, match="is replaced, not added to"):
        corpus_table.add(lake, replaced, [], provenance={})
    with pytest.raises(ConfigError, match="grows"):
        corpus_table.replace(lake, "given_split", [], provenance={})
    assert lake.list("corpus") == []


def test_a_release_reads_them_and_its_key_follows_them(lake: Lake) -> None:
    from winnow.core.settings import Settings
    from winnow.release.build import release_key
    from winnow.release.inputs import corpus_files

    before = release_key(lake, Settings())
    corpus_table.add(lake, "given_split", [ROW], provenance={})
    (file,) = corpus_files(lake)
    assert (file.stage, Path(file.path).is_file()) == ("given_split", True)
    assert release_key(lake, Settings()) != before
