"""Every file of examples/, run as its first line says, on a small release and video; and what the site shows."""

from __future__ import annotations

import ast
import re
import runpy
import sys
from pathlib import Path

import pytest

from tests import needs
from tests.unit import exported, seen, synthetic
from winnow import api
from winnow.batch import command
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.core.stage import Batch, Sample

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("seen")
    seen.build(root)
    return root


def run(name: str, *arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    return capsys.readouterr().out


def test_each_says_how_it_is_run() -> None:
    found = sorted(EXAMPLES.glob("*.py"))
    assert len(found) == 5
    for path in found:
        assert f"`python examples/{path.name} " in (ast.get_docstring(ast.parse(path.read_text())) or "")
        assert f"def test_{path.stem}(" in Path(__file__).read_text(), f"no test runs {path.name}"


def test_measure_one_video(tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "a film.mp4").write_bytes(synthetic.mp4(0, 7))
    said = run("measure_one_video", str(tmp_path / "a film.mp4"), monkeypatch=monkeypatch, capsys=capsys)
    assert [line.partition(":")[0] for line in said.splitlines()] == ["0.0 to 5.0 s", "5.0 to 7.0 s"]
    assert "LUFS, speech 0" in said


def test_look_at_a_release(lake: Path, monkeypatch, capsys) -> None:
    said = run("look_at_a_release", str(lake), monkeypatch=monkeypatch, capsys=capsys)
    assert f"releases: {exported.RELEASE}; tables: fct_clips, ops.dim_batches" in said
    assert "silent" in said


def test_iterate_clips(lake: Path, monkeypatch, capsys) -> None:
    said = run("iterate_clips", str(lake), "train", monkeypatch=monkeypatch, capsys=capsys)
    assert said.startswith(f"3 clips of release {exported.RELEASE}\n")
    assert said.count("(4, 64, 64, 3)") == 3


def test_train_with_torch(lake: Path, monkeypatch, capsys) -> None:
    needs.package("torch")
    said = run("train_with_torch", str(lake), monkeypatch=monkeypatch, capsys=capsys)
    assert [line.partition(":")[0] for line in said.splitlines()] == ["epoch 0", "epoch 1"]


def test_curate_a_folder(tmp_path: Path, monkeypatch, capsys) -> None:
    """Its order of commands; that they do what they say is the walkthrough's to show (tests/journey)."""
    folder, asked = tmp_path / "holidays", []
    folder.mkdir()

    def answered(lake: Lake, *arguments: str, inbox: Path | None = None) -> dict:
        asked.append((arguments[0], inbox))
        fitted = "fit" in [command for command, _ in asked]
        return {"clips": 9, "quality": {"auc": 0.9}, "release": "r", **({"correspond": {}} if fitted else {})}

    monkeypatch.setattr(command, "run", answered)
    said = run("curate_a_folder", str(folder), str(tmp_path / "lake"), monkeypatch=monkeypatch, capsys=capsys)
    assert asked == [("curate", tmp_path), ("fit", None), ("curate", tmp_path), ("release", None)]
    assert said.startswith("fitted on 9 clips: AUC 0.9\n")


def test_the_stage_that_the_site_shows_measures(tmp_path: Path) -> None:
    page = (EXAMPLES.parent / "docs/how-to/own-stage.md").read_text()
    shown = page.partition("```python\n")[2].partition("```")[0]
    made: dict = {"__name__": "winnow.stages.brightness"}
    exec(compile(shown, "own-stage.md", "exec"), made)
    cls = made["Brightness"]
    stage = cls(cls.Params(), Lake(tmp_path), Settings())
    stage.setup()
    sample = Sample("a", {})
    sample.media = lambda ext="mp4": synthetic.mp4(0)
    (outcome,) = stage.process(Batch([sample], tmp_path))
    assert 10 < outcome.values["luma"] < 200
    assert set(outcome.values) == set(cls.schema)


def test_the_site_names_what_there_is() -> None:
    pages = [(EXAMPLES.parent / name).read_text() for name in ("README.md", "docs/get-started.md", "docs/index.md")]
    named = {name for page in pages for name in re.findall(r"\bwinnow\.([a-z_]+)\b(?!\.)(?=[(`])", page)}
    assert len(named) > 8
    assert named - {"toml"} <= set(api.__all__)
