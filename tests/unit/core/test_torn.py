"""Small files that are empty, cut short or something else are named, with what mends them; never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.house import Count, cut, runtime
from winnow.core.admitted import batch_heads
from winnow.core.errors import ContractError
from winnow.core.frozen_model import FrozenModel
from winnow.core.lake import Lake
from winnow.release import publish

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


@pytest.mark.parametrize(
    ("text", "what"), [(b"", "is empty"), (b"\n", "is empty"), (b"0123abcd\n", "names '0123abcd'")]
)
def test_a_pointer_to_no_release_says_what_there_is(lake: Lake, text: bytes, what: str) -> None:
    lake.write("releases/abcabcabcabc/manifest.json", b"{}")
    lake.write("releases/current", text)
    with pytest.raises(ContractError, match=f"releases/current {what}.*there are: abcabcabcabc"):
        publish.resolve(lake)


def test_a_model_in_use_without_its_card_says_so(lake: Lake) -> None:
    lake.remove(lake.model_key("toy", lake.model_current("toy"), "json"))
    with pytest.raises(ContractError, match="is not there, and `current` beside it names its model"):
        MODEL.current_card(lake)
