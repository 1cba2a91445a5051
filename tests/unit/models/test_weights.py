"""Checkpoints: what is loaded, what is refused, and that nothing is opened before its digest was compared."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from tests import needs
from tests.unit.torch_models import CNN14, convert, entry, sha256, weights_folder
from winnow.core.errors import ConfigError, ContractError
from winnow.models import weights
from winnow.models.weights import Weights, fill, find, load_state, verified_bytes

BASE = {"model": "Net", "preprocessing": {"mean": [0.5, 0.5, 0.5]}}
WRONG = "0" * 64


@pytest.fixture(scope="module", autouse=True)
def _packages() -> None:
    needs.package("torch", "safetensors")


def saved(folder: Path, name: str = "net.safetensors") -> dict:
    """A small checkpoint in a folder, and its entry in the catalogue there."""
    import safetensors.torch
    import torch

    state = {"layer.weight": torch.arange(6.0).reshape(2, 3), "layer.bias": torch.ones(2)}
    if name.endswith(".safetensors"):
        safetensors.torch.save_file(state, folder / name)
    else:
        torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, folder / name)
    entry(folder, "toy", "net", file=name, sha256=sha256(folder / name), **BASE)
    return state


@pytest.mark.parametrize("name", ["net.safetensors", "net.pt"])
def test_a_verified_checkpoint_becomes_its_tensors(tmp_path: Path, name: str) -> None:
    import torch

    state = saved(tmp_path, name)
    loaded = load_state(tmp_path, find(tmp_path, "toy", "net"))
    assert set(loaded) == set(state)
    assert all(torch.equal(loaded[k], state[k]) for k in state)


def test_the_catalogue_that_comes_along_gives_no_digest_that_nobody_verified(tmp_path: Path) -> None:
    known = weights.catalogue(tmp_path)
    assert {"vit-b-32"} <= set(known["open_clip"])
    assert {"cnn14"} <= set(known["panns"])
    for kind, names in known.items():
        for name, fields in names.items():
            assert fields["licence"], (kind, name)
            Weights.model_validate({**fields, "kind": kind, "name": name})
            if "sha256" in fields:
                continue
            with pytest.raises(ConfigError) as refused:
                find(tmp_path, kind, name)
            for part in ("no verified SHA-256", fields["file"], str(tmp_path / "weights.toml"), f"[{kind}.{name}]"):
                assert part in str(refused.value)


def test_the_users_catalogue_is_merged_over_it(tmp_path: Path) -> None:
    entry(tmp_path, "open_clip", "vit-b-32", sha256=WRONG.upper().replace("0", "A"), preprocessing={"resize": "squash"})
    found = find(tmp_path, "open_clip", "vit-b-32")
    assert found.sha256 == "a" * 64
    assert found.model == "ViT-B-32"
    assert found.preprocessing["resize"] == "squash"
    assert len(found.preprocessing["mean"]) == 3
    assert found.label == "vit-b-32@aaaaaaaaaaaa"


def test_the_digest_covers_what_results_depend_on_and_nothing_else() -> None:
    one = Weights(kind="toy", name="net", model="Net", file="a.pt", sha256="a" * 64, preprocessing={"mean": [1]})
    same = one.model_copy(update={"file": "b.pt", "licence": "MIT", "source": "there", "revision": "2"})
    assert one.digest == same.digest
    for change in ({"sha256": "b" * 64}, {"model": "Other"}, {"preprocessing": {"mean": [2]}}):
        assert one.model_copy(update=change).digest != one.digest


def test_an_unknown_name_says_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no checkpoint 'b32' for open_clip; the catalogue has .*vit-b-32"):
        find(tmp_path, "open_clip", "b32")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[toy.net", "not TOML"),
        ("toy = 3", "toy stands where a table"),
        ("[toy]\nnet = 3", "toy.net stands where a table"),
        ('[toy.net]\nfile = "a.pt"', "model: Field required"),
        ('[toy.net]\nmodel = "N"\nfile = "a.pt"\nsha256 = "abc"', "64 hex"),
        ('[toy.net]\nmodel = "N"\nfile = "a.pt"\ncolour = 1', "colour"),
        ('[toy.net]\nmodel = "N"\nfile = "../a.pt"', "inside WINNOW_WEIGHTS"),
        ('[toy.net]\nmodel = "N"\nfile = "/a.pt"', "inside WINNOW_WEIGHTS"),
        ('[toy.net]\nmodel = "N"\nfile = "a.pkl"', "is wanted"),
        ("x" * (weights.CATALOGUE_MAX_BYTES + 1), "larger than"),
    ],
)
def test_a_wrong_catalogue_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "weights.toml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        find(tmp_path, "toy", "net")


def test_a_missing_file_says_where_it_should_be(tmp_path: Path) -> None:
    entry(tmp_path, "toy", "net", file="none.pt", sha256=WRONG, source="the publisher", **BASE)
    with pytest.raises(ConfigError) as refused:
        load_state(tmp_path, find(tmp_path, "toy", "net"))
    for part in (str(tmp_path / "none.pt"), "Nothing is downloaded", "the publisher", "WINNOW_WEIGHTS"):
        assert part in str(refused.value)


@pytest.mark.parametrize("name", ["net.safetensors", "net.pt"])
def test_nothing_is_parsed_before_its_digest_was_compared(tmp_path: Path, name: str, monkeypatch) -> None:
    saved(tmp_path, name)
    found = find(tmp_path, "toy", "net")
    data = (tmp_path / name).read_bytes()
    for parser in ("_pickled", "_safetensors"):
        monkeypatch.setattr(weights, parser, lambda *a: pytest.fail("it was parsed"))
    for other in (data[:-1], data + b"\0", data[:100], b"", bytes([data[0] ^ 1]) + data[1:]):
        (tmp_path / name).write_bytes(other)
        with pytest.raises(ContractError) as refused:
            load_state(tmp_path, found)
        for part in (str(tmp_path / name), f"{len(other)} bytes", str(found.sha256), "not opened"):
            assert part in str(refused.value)
    (tmp_path / name).write_bytes(data)
    assert verified_bytes(tmp_path, found) == data


class Harmful:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_pickle_that_runs_code_is_refused_even_when_its_digest_is_right(tmp_path: Path) -> None:
    import torch

    trace = tmp_path / "trace"
    torch.save({"model": {"a": torch.ones(1)}, "more": Harmful(trace)}, tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Harmful(trace), protocol=2))
    for name in ("a", "b"):
        entry(tmp_path, "toy", name, file=f"{name}.pt", sha256=sha256(tmp_path / f"{name}.pt"), **BASE)
        with pytest.raises(ContractError, match=r"[ab]\.pt (holds more than tensors|has the right digest and cannot)"):
            load_state(tmp_path, find(tmp_path, "toy", name))
    assert not trace.exists()
    pickle.loads((tmp_path / "b.pt").read_bytes())
    assert trace.exists(), "the pickle is harmful indeed"


def test_panns_published_checkpoint_is_refused_with_the_recipe_that_converts_it(tmp_path: Path) -> None:
    import torch

    needs.package("panns_inference", "open_clip", "onnxruntime")
    published = weights_folder() / f"{CNN14}.pth"
    entry(tmp_path, "panns", "cnn14", file=published.name, sha256=sha256(published))
    (tmp_path / published.name).symlink_to(published)
    with pytest.raises(ContractError, match=r"holds more than tensors.*images/model/README\.md has the recipe"):
        load_state(tmp_path, find(tmp_path, "panns", "cnn14"))
    assert Path(weights.catalogue(tmp_path / "none")["panns"]["cnn14"]["file"]).name == f"{CNN14}.safetensors"
    converted = load_state(weights_folder(), find(weights_folder(), "panns", "cnn14"))
    model = torch.load(published, weights_only=False)["model"]
    assert set(converted) == set(model)
    assert all(torch.equal(converted[name], model[name]) for name in model)


def test_demucs_published_checkpoint_is_converted_as_the_recipe_says(tmp_path: Path, capsys) -> None:
    import safetensors.torch
    import torch

    file = weights.catalogue(tmp_path)["separate"]["cdx23"]["file"]
    state = {"layer.weight": torch.arange(6.0).reshape(2, 3).half().T}
    torch.save({"klass": Harmless, "kwargs": {"channels": 48}, "state": state}, tmp_path / f"{Path(file).stem}.th")
    convert(Path(file).stem, tmp_path)
    assert "{'channels': 48}" in capsys.readouterr().out
    made = safetensors.torch.load_file(tmp_path / Path(file).name)
    assert made["layer.weight"].dtype == torch.float32
    assert torch.equal(made["layer.weight"], state["layer.weight"].float())


class Harmless:
    """A class that a published pickle names."""


@pytest.mark.parametrize("name", ["net.safetensors", "net.pt"])
def test_a_file_that_was_damaged_before_its_digest_was_taken(tmp_path: Path, name: str) -> None:
    saved(tmp_path, name)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-20])
    (tmp_path / "weights.toml").unlink()
    entry(tmp_path, "toy", "net", file=name, sha256=sha256(tmp_path / name), **BASE)
    with pytest.raises(ContractError, match="right digest"):
        load_state(tmp_path, find(tmp_path, "toy", "net"))


def test_a_file_without_a_table_of_tensors(tmp_path: Path) -> None:
    import torch

    for content in ([1, 2], {"model": {"epoch": 3}}, {}):
        torch.save(content, tmp_path / "net.pt")
        made = Weights(kind="toy", name="net", model="Net", file="net.pt", sha256=sha256(tmp_path / "net.pt"))
        with pytest.raises(ContractError, match="no table of tensors"):
            load_state(tmp_path, made)


def test_tensors_of_another_network_are_named(tmp_path: Path) -> None:
    import torch

    state = saved(tmp_path)
    found = find(tmp_path, "toy", "net")
    layer = torch.nn.ModuleDict({"layer": torch.nn.Linear(3, 2)})
    fill(layer, state, found)
    assert torch.equal(layer["layer"].weight, state["layer.weight"])
    for change, said in (
        ({"layer.bias": torch.ones(3)}, r"of another shape: layer.bias \[3\] for \[2\]"),
        ({"more": torch.ones(1)}, "not of it: more"),
    ):
        with pytest.raises(ContractError, match=said):
            fill(layer, {**state, **change}, found)
    with pytest.raises(ContractError, match=r"missing: layer.bias"):
        fill(layer, {"layer.weight": state["layer.weight"]}, found)
