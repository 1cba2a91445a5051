"""Small files that are empty, cut short or something else are named, with what mends them; never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit import published
from tests.unit.helpers import Count, cut, runtime
from winnow.batch.ingest import ingest
from winnow.batch.mixture_plan import cut as cut_mixtures
from winnow.batch.plan import plan
from winnow.core import corpus_table
from winnow.core.admitted import admitted_with, batch_heads
from winnow.core.errors import ContractError, TransientError, WinnowError
from winnow.core.frozen_model import FrozenModel
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.gates.batch import admission_number
from winnow.release import build, publish, query
from winnow.release.inputs import published_files
from winnow.release.verify import lines, verify

TORN = {"empty": b"", "cut short": b'{"stage": "count", "v"', "a list": b"[]", "bytes": b"\xff\x00"}
MODEL = FrozenModel("toy")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    cut(lake, "words", "day", [[("a", "one")]])
    runtime(lake, Count).run()
    lake.write("batches/day.json", json.dumps({"batch": "day", "stages": {}}).encode())
    MODEL.freeze(lake, MODEL.reuse(lake, {"x": 1})[0], {"x": 1}, b"model", {})
    return lake


def _manifest(lake: Lake) -> str:
    (path,) = Path(lake.root).glob("count/v=*/batch=day/*.json")
    return path.relative_to(lake.root).as_posix()


READ: dict[str, tuple[Callable[[Lake], str], Callable[[Lake], object], str]] = {
    "manifest": (_manifest, lambda lake: runtime(lake, Count).run(), "what commits count of batch day"),
    "head of a stage": (lambda lake: "words/batch=day.json", lambda lake: runtime(lake, Count).run(), "makes words"),
    "head of a batch": (lambda lake: "batches/day.json", batch_heads, "winnow gate --batch day"),
    "card of a model": (
        lambda lake: lake.model_key("toy", lake.model_current("toy"), "json"),
        MODEL.current_card,
        "fit it again",
    ),
}


@pytest.mark.fault("a torn or empty file", "heads, manifests, cards, pointers", "named, with the command that mends it")
@pytest.mark.parametrize("torn", TORN.values(), ids=TORN)
@pytest.mark.parametrize("which", READ)
def test_a_torn_file_is_named_with_what_mends_it(lake: Lake, which: str, torn: bytes) -> None:
    key, read, mend = READ[which]
    path = key(lake)
    lake.write(path, torn)
    with pytest.raises(ContractError) as told:
        read(lake)
    assert lake.full(path) in str(told.value)
    assert mend in str(told.value)


def test_a_manifest_that_lacks_a_field_is_named(lake: Lake) -> None:
    key = _manifest(lake)
    value = json.loads(lake.read(key))
    del value["sha256"]
    lake.write(key, json.dumps(value).encode())
    with pytest.raises(ContractError, match="is no manifest"):
        runtime(lake, Count).run()


@pytest.mark.fault("a torn or empty file", "`releases/current`", "what releases there are")
@pytest.mark.parametrize(
    ("text", "what"), [(b"", "is empty"), (b"\n", "is empty"), (b"0123abcd\n", "names '0123abcd'")]
)
def test_a_pointer_to_no_release_says_what_there_is(lake: Lake, text: bytes, what: str) -> None:
    lake.write("releases/abcabcabcabc/manifest.json", b"{}")
    lake.write("releases/current", text)
    with pytest.raises(ContractError, match=f"releases/current {what}.*there are: abcabcabcabc"):
        publish.resolve(lake)


@pytest.mark.parametrize("torn", [b"", b"\n", b"\xff\x00"], ids=["empty", "blank", "bytes"])
def test_a_pointer_that_holds_no_name_is_named(lake: Lake, torn: bytes) -> None:
    for key in ("models/toy/current", "corpus/ontology/current"):
        lake.write(key, torn)
    with pytest.raises(
        ContractError, match=r"models/toy/current .*remove it, then run the command that fits toy again"
    ):
        lake.model_current("toy")
    with pytest.raises(ContractError, match=r"corpus/ontology/current .*the command that makes ontology again"):
        corpus_table.read(lake, "ontology")


@pytest.mark.fault("a missing file", "a model's card", "named, with the command that mends it")
def test_a_model_in_use_without_its_card_says_so(lake: Lake) -> None:
    lake.remove(lake.model_key("toy", lake.model_current("toy"), "json"))
    with pytest.raises(ContractError, match="is not there, and `current` beside it names its model"):
        MODEL.current_card(lake)


# -- every small file of a lake, whatever reads it ---------------------------------------------------------------------
def _small(lake: Lake) -> list[str]:
    kinds = (".json", "/current")
    root = Path(lake.root)
    found = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    found = [name for name in found if "/.work/" not in name]
    return [name for name in found if f"/{name}".endswith(kinds) or "/seq/" in name or "/inputs/" in name]


def _commands(lake: Lake, tmp_path: Path) -> list[Callable[[], object]]:
    settings = Settings(lake=lake.root)
    work = tmp_path / "work"
    return [
        lambda: runtime(lake, Count).run(),
        lambda: ingest("day", Settings(inbox=tmp_path / "inbox"), lake),
        lambda: plan(lake, "day"),
        lambda: batch_heads(lake),
        lambda: admitted_with(lake, "count"),
        lambda: admission_number(lake, "day"),
        lambda: MODEL.current_card(lake),
        lambda: corpus_table.read(lake, "ontology"),
        lambda: corpus_table.provenance(lake, corpus_table.files(lake, "ontology")[0]),
        lambda: publish.current(lake),
        lambda: query.run(lake, "select 1"),
        lambda: published_files(lake),
        lambda: build.build_release(work, lake, settings),
        lambda: cut_mixtures(lake),
        lambda: verify(lake, everything=True),
    ]


def test_no_small_file_that_is_cut_gives_an_error_without_a_name(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut in turn, empty and in half, and read by all that reads: a WinnowError that names the file, or nothing."""
    monkeypatch.setattr(build, "run_dbt", lambda *a, **k: pytest.fail("dbt was started"))
    monkeypatch.setattr(build, "write_inputs", lambda *a, **k: (_ for _ in ()).throw(TransientError("as far as that")))
    (tmp_path / "inbox" / "day").mkdir(parents=True)
    corpus_table.replace(lake, "ontology", [{"mid": "/m/1", "name": "Speech", "position": 0}], provenance={})
    lake.create("batches/seq/00000001", b"day")
    published.put(lake, 1)
    names = _small(lake)
    assert len(names) >= 10
    silent = {}
    for name in names:
        path = Path(lake.full(name))
        whole = path.read_bytes()
        path.chmod(0o644)
        for torn in (b"", whole[: len(whole) // 2]):
            path.write_bytes(torn)
            named = 0
            for read in _commands(lake, tmp_path):
                try:
                    found = read()
                except WinnowError as error:
                    named += name in str(error)
                else:
                    named += isinstance(found, dict) and any(name in line for line in lines({"faults": [], **found}))
            path.write_bytes(whole)
            silent[name] = silent.get(name, 0) + (named == 0)
    unread = {name for name, count in silent.items() if count == 2}
    assert {name for name in unread if "/seq/" not in name and "/inputs/" not in name} == set()
