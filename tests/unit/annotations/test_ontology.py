"""AudioSet's ontology and class list: read, checked, kept byte for byte; dbt's seed is made of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import needs
from winnow.annotations import ontology
from winnow.cli.main import cli
from winnow.core import corpus_table
from winnow.core.errors import ContractError
from winnow.core.lake import Lake
from winnow.fitting.calibration import classes

ROOT = Path(__file__).resolve().parents[3]
SEED = ROOT / "dbt" / "seeds" / "audioset_classes.csv"


@pytest.fixture
def published() -> Path:
    """The folder of AudioSet's own files."""
    return needs.data("audioset")


def item(mid: str, *children: str, **values: object) -> dict[str, object]:
    return {"id": mid, "name": mid[3:], "child_ids": list(children), "restrictions": [], **values}


def rows(tmp_path: Path, text: str | bytes) -> list[dict]:
    path = tmp_path / "ontology.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [dict(row.values) for row in ontology.read_ontology(path)]


def test_the_seed_is_made_of_the_real_files(published: Path) -> None:
    made = ontology.seed(published / "class_labels_indices.csv", published / "ontology.json")
    assert made == SEED.read_text(encoding="utf-8")


def test_what_lies_under_what_is_made_of_the_real_ontology(published: Path) -> None:
    assert ontology.parents(published / "ontology.json") == classes.FILE.read_text(encoding="utf-8")


def test_the_real_ontology(published: Path) -> None:
    found = [row.values for row in ontology.read_ontology(published / "ontology.json")]
    assert len(found) == 632
    assert "".join(row["json"] for row in found).encode() == (published / "ontology.json").read_bytes()
    restricted = [row["restrictions"] for row in found]
    assert (sum("blacklist" in r for r in restricted), sum("abstract" in r for r in restricted)) == (67, 23)
    children = {row["mid"]: row["child_mids"] for row in found}
    assert len(set(children) - {child for below in children.values() for child in below}) == 7
    assert {"/m/05zppz", "/m/09x0r"} <= ontology.below(children, ontology.SPEECH)
    assert "/m/0342h" in ontology.below(children, ontology.MUSIC)
    assert not ontology.below(children, ontology.SPEECH) & ontology.below(children, ontology.MUSIC)


def test_the_command_loads_it_and_loads_it_once(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINNOW_LAKE", str(tmp_path / "lake"))
    shutil.copy(published / "ontology.json", tmp_path / "ontology.json")
    for command, computed in (("import-ontology", True), ("import", False)):
        line = ["annotate", command, str(tmp_path / "ontology.json")]
        done = CliRunner().invoke(cli, line, catch_exceptions=False)
        said = json.loads(done.stdout.splitlines()[-1])
        assert (done.exit_code, said["rows"], said["computed"]) == (0, 632, computed)
    table = corpus_table.read(Lake(tmp_path / "lake"), "ontology")
    assert "".join(table["json"].to_pylist()).encode() == (published / "ontology.json").read_bytes()


def test_what_lies_under_a_class_of_several_parents() -> None:
    graph = {"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": [], "e": ["a"]}
    assert ontology.below(graph, "a") == {"a", "b", "c", "d"}
    assert ontology.below(graph, "d") == {"d"}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(max_size=20), min_size=1, max_size=6),
    st.sampled_from([None, 0, 2, "\t"]),
    st.booleans(),
    st.text(alphabet=" \n\r\t", max_size=4),
    st.booleans(),
)
def test_the_pieces_are_the_file_however_it_is_laid_out(tmp_path_factory, names, indent, ascii_, space, bom) -> None:
    items = [item(f"/m/{n:x}", description=text) for n, text in enumerate(names)]
    text = ("\ufeff" if bom else "") + space + json.dumps(items, indent=indent, ensure_ascii=ascii_) + space
    data = text.encode("utf-8", "replace")
    found = rows(tmp_path_factory.getbasetemp(), data)
    assert "".join(row["json"] for row in found).encode() == data
    assert [row["mid"] for row in found] == [one["id"] for one in items]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not a JSON list"),
        ("{}", "not a JSON list"),
        ("[]", "has no class"),
        (b"\xff", "not UTF-8"),
        (json.dumps([item("/m/a")])[:-1], "does not go on"),
        (json.dumps([item("/m/a")])[:-2], "not JSON"),
        ("[" * 50_000, "not JSON"),
        (json.dumps([item("/m/a")]).replace("}]", "} 3]"), "does not go on"),
        (json.dumps([3]), "has no id"),
        (json.dumps([{"id": "/m/a b", "name": "x"}]), "has no id"),
        (json.dumps([item("/m/a", name="")]), "has no name"),
        (json.dumps([item("/m/a", child_ids="x")]), "no list of texts"),
        (json.dumps([item("/m/a"), item("/m/a")]), "more than once"),
        (json.dumps([item("/m/a", "/m/b")]), "not there"),
        (json.dumps([item("/m/a", "/m/b"), item("/m/b", "/m/a")]), "under itself"),
        (json.dumps([item("/m/a", "/m/a")]), "under itself"),
    ],
)
def test_what_is_no_ontology_is_refused(tmp_path: Path, text: str | bytes, why: str) -> None:
    with pytest.raises(ContractError, match=why):
        rows(tmp_path, text)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ontology, "MAX_BYTES", 10)
    with pytest.raises(ContractError, match="larger than"):
        rows(tmp_path, json.dumps([item("/m/a")]))
