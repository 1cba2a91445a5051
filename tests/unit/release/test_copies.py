"""A copy of a release or of an export: a byte that changed in any kind of file is found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.unit import exported, published
from winnow.cli.main import cli
from winnow.core.errors import ConfigError
from winnow.core.lake import Lake
from winnow.delivery.options import Options
from winnow.delivery.run import export
from winnow.release import copies, publish


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of a release and of an export in each format."""
    root = tmp_path_factory.mktemp("copies")
    lake = exported.build(root / "lake")
    for form in ("webdataset", "folder", "parquet"):
        export(lake, str(root / form), Options(format=form))
    published.put(other := Lake(root / "other"), 1)
    shutil.copytree(publish.folder(other), root / "release")
    return root


#: One of each kind of file.
KINDS = [
    ("release", "manifest.json"),
    ("release", "winnow.duckdb"),
    ("release", "tables/splits.parquet"),
    ("release", "report.html"),
    ("release", "gates/release.json"),
    ("release", "ops/fct_shards.parquet"),
    ("webdataset", "index.json"),
    ("webdataset", "data/train/train-00000.tar"),
    ("webdataset", "tables/val.parquet"),
    ("webdataset", "README.md"),
    ("webdataset", "croissant.json"),
    ("webdataset", "CITATION.cff"),
    ("folder", f"data/train/train-00000/{exported.clip_id(0)}.mp4"),
    ("folder", f"data/train/train-00000/{exported.clip_id(0)}.flac"),
    ("folder", f"data/train/train-00000/{exported.clip_id(0)}.json"),
    ("folder", "data/train/train-00000/metadata.parquet"),
    ("parquet", "data/train/train-00000.parquet"),
]


@pytest.mark.fault("changed, cut or missing files", "a copy of a release or an export", "`winnow verify DIR` names it")
@pytest.mark.parametrize(("copy", "name"), KINDS)
def test_a_flipped_byte_is_found_wherever_it_is(whole: Path, copy: str, name: str) -> None:
    assert copies.verify(whole / copy)["ok"]
    path = whole / copy / name
    mode, data = path.stat().st_mode, path.read_bytes()
    path.chmod(0o644)
    for at in sorted({0, len(data) // 3, len(data) // 2, len(data) - 1}):
        changed = bytearray(data)
        changed[at] ^= 1
        path.write_bytes(changed)
        found = copies.verify(whole / copy)
        assert not found["ok"], f"byte {at}"
        assert found["faults"][0]["where"] == name
    path.write_bytes(data[:-3])
    assert copies.verify(whole / copy)["faults"][0]["what"] in ("cut short", "changed", "damaged")
    path.write_bytes(data)
    path.chmod(mode)


def test_every_byte_of_a_list_is_under_its_seal(whole: Path) -> None:
    data = (whole / "release" / "manifest.json").read_bytes()
    assert copies.broken(data) is None
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1
        assert copies.broken(bytes(changed)), f"byte {at}: {data[at : at + 20]!r}"


def test_a_release_that_was_published_before_there_were_seals_is_read(whole: Path) -> None:
    value = json.loads((whole / "release" / "manifest.json").read_bytes())
    del value["seal"]
    old = (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()
    assert copies.broken(old) is None
    assert copies.broken(old.replace(b'"policy"', b'"pomicy"')) == "changed"


def test_missing_and_foreign_files_are_named(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole / "webdataset", tmp_path / "copy")
    (tmp_path / "copy" / "README.md").unlink()
    (tmp_path / "copy" / "data" / "train" / "train-00009.tar").write_bytes(b"not ours")
    (tmp_path / "copy" / ".DS_Store").write_bytes(b"a file system's own")
    found = copies.verify(tmp_path / "copy")["faults"]
    assert {(fault["what"], fault["where"]) for fault in found} == {
        ("missing", "README.md"),
        ("not listed", "data/train/train-00009.tar"),
    }


def test_the_command_takes_a_folder_or_a_release(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINNOW_LAKE", str(whole / "other"))
    release = publish.current(Lake(whole / "other"))
    for what in (str(whole / "release"), str(whole / "parquet"), release[:6]):
        done = CliRunner().invoke(cli, ["verify", what])
        assert (done.exit_code, done.stdout) == (0, ""), done.output
    manifest = whole / "other" / "releases" / release / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_bytes(manifest.read_bytes().replace(b'"hash"', b'"hasi"'))
    done = CliRunner().invoke(cli, ["verify", release, "--json"])
    assert done.exit_code == 1
    assert [fault["where"] for fault in json.loads(done.stdout)["faults"]] == [f"releases/{release}/manifest.json"]
    for wrong in ([str(whole)], [release, "--all"], ["ffff"]):
        with pytest.raises(ConfigError):
            cli.main(["verify", *wrong], standalone_mode=False)
