"""`winnow export clips`: which clips, which files of them, the same bytes twice, whole or not there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import textwrap
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from tests.unit import exported
from tests.unit.exported import COUNT, carried, carried_residual, clip_id, content, is_kept, residual, split
from winnow.cli.main import cli
from winnow.core import shard_tar
from winnow.core.errors import ConfigError, ContractError, TransientError
from winnow.core.lake import Lake, sha256_file
from winnow.delivery.kept import KeptClips
from winnow.delivery.options import Options
from winnow.delivery.place import Place
from winnow.delivery.rows import COLUMNS
from winnow.delivery.run import export
from winnow.release import copies

SMALL = 12_000  # bytes a shard: several of them


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return exported.build(tmp_path_factory.mktemp("exported") / "lake")


def listed(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def in_tars(folder: Path) -> dict[str, bytes]:
    """Members of all tars, split/name → bytes, and in order within each tar."""
    found: dict[str, bytes] = {}
    for path in sorted(folder.glob("data/*/*.tar")):
        with tarfile.open(path, "r:") as tar:
            names = tar.getnames()
            assert names == sorted(names)
            found |= {f"{path.parent.name}/{name}": tar.extractfile(name).read() for name in names}
    return found


def expected_files() -> dict[str, bytes]:
    found = {}
    for place in filter(carried, range(COUNT)):
        found[f"{split(place)}/{clip_id(place)}.mp4"] = content(place)
        if carried_residual(place):
            found[f"{split(place)}/{clip_id(place)}.flac"] = residual(place)
    return found


def test_the_kept_clips_whose_licence_allows_it_come_along_with_their_json(lake: Lake, tmp_path: Path) -> None:
    done = export(lake, str(tmp_path / "out"), Options(shard_bytes=SMALL))
    kept = [place for place in range(COUNT) if is_kept(place)]
    with_file = [place for place in kept if carried(place)]
    assert (done["clips"], done["with_file"], done["references"]) == (15, len(with_file), 15 - len(with_file))
    assert len(with_file) not in (0, 15)
    found = in_tars(tmp_path / "out")
    said = {name: json.loads(data) for name, data in found.items() if name.endswith(".json")}
    assert {name: data for name, data in found.items() if not name.endswith(".json")} == expected_files()
    assert len(list((tmp_path / "out").glob("data/train/*.tar"))) > 1
    for place in with_file:
        one = said[f"{split(place)}/{clip_id(place)}.json"]
        row = exported.row(place)
        assert list(one) == list(COLUMNS)
        assert all(one[name] == row.get(name) for name in ("url", "title", "labels", "z", "start_s", "caption", "flag"))
        assert (one["id"], one["release"], one["has_residual"]) == (
            clip_id(place),
            exported.RELEASE,
            carried_residual(place),
        )
        assert isinstance(one["z"], float)
        with tarfile.open(tmp_path / "out" / one["shard"]) as tar:
            assert f"{clip_id(place)}.mp4" in tar.getnames()


def test_a_tar_is_what_tarfile_writes(lake: Lake, tmp_path: Path) -> None:
    export(lake, str(tmp_path / "out"), Options())
    for path in (tmp_path / "out").glob("data/*/*.tar"):
        with tarfile.open(path, "r:") as tar:
            files = [(member.name, tar.extractfile(member).read()) for member in tar]
        shard_tar.write(tmp_path / "same.tar", files)
        assert path.read_bytes() == (tmp_path / "same.tar").read_bytes()


def test_the_tables_name_every_kept_clip_and_say_why_a_file_is_not_here(lake: Lake, tmp_path: Path) -> None:
    export(lake, str(tmp_path / "out"), Options())
    with duckdb.connect() as con:
        rows = con.execute(
            f"select id, split, has_file, may_share, rights, shard from '{tmp_path}/out/tables/*.parquet'"
        ).fetchall()
        asked = f"select column_name, column_type from (describe from '{tmp_path}/out/tables/train.parquet')"
        kinds = dict(con.execute(asked).fetchall())
    assert kinds == {name: kind for name, (kind, _) in COLUMNS.items()}
    assert {row[:4] for row in rows} == {
        (clip_id(p), split(p), carried(p), carried(p)) for p in range(COUNT) if is_kept(p)
    }
    assert {row[4] for row in rows} == {"CC-BY-4.0", "own file", "CC-BY-ND-4.0", "unknown", "CC0-1.0"}
    assert all((row[5] is None) == (not row[2]) for row in rows)


@pytest.mark.parametrize("form", ["webdataset", "folder", "parquet"])
def test_twice_the_same_bytes_and_every_file_in_the_index(lake: Lake, tmp_path: Path, form: str) -> None:
    jobs = 2 if form == "webdataset" else 1  # processes take a while to start
    for name in ("one", "two"):
        export(lake, str(tmp_path / name), Options(format=form, shard_bytes=SMALL), jobs=jobs if name == "two" else 1)
    one, two = listed(tmp_path / "one"), listed(tmp_path / "two")
    assert one == two
    index = json.loads(one["index.json"])
    assert set(index["files"]) == set(one) - {"index.json"}
    for name, entry in index["files"].items():
        assert (entry["bytes"], entry["sha256"]) == (len(one[name]), sha256_file(tmp_path / "one" / name))
    assert sum(entry.get("clips", 0) for entry in index["files"].values()) == sum(map(carried, range(COUNT)))
    assert copies.verify(tmp_path / "one")["ok"]


def test_the_formats_hold_the_same(lake: Lake, tmp_path: Path) -> None:
    for form in ("folder", "parquet"):
        export(lake, str(tmp_path / form), Options(format=form, shard_bytes=SMALL))
    files = listed(tmp_path / "folder" / "data")
    clips = {f"{name.split('/')[0]}/{name.split('/')[-1]}": data for name, data in files.items()}
    assert {name: data for name, data in clips.items() if name.endswith(("mp4", "flac"))} == expected_files()
    with duckdb.connect() as con:
        shards = f"{tmp_path}/parquet/data/*/*.parquet"
        found = con.execute(f"""select split || '/' || video.path, video.bytes from '{shards}'
            union all select split || '/' || residual.path, residual.bytes from '{shards}'
            where residual is not null""").fetchall()
        assert dict(found) == expected_files()
        tables = f"{tmp_path}/folder/data/*/*/metadata.parquet"
        named = con.execute(f"select count(distinct file_name), count(residual_path) from '{tables}'")
        assert named.fetchone() == (sum(map(carried, range(COUNT))), sum(map(carried_residual, range(COUNT))))


def test_splits_references_only_and_everything(lake: Lake, tmp_path: Path) -> None:
    done = export(lake, str(tmp_path / "val"), Options(splits=("val",)))
    assert done["clips"] == sum(is_kept(p) and split(p) == "val" for p in range(COUNT))
    assert {path.split("/")[1] for path in listed(tmp_path / "val") if path.startswith("data/")} == {"val"}
    done = export(lake, str(tmp_path / "none"), Options(media="none"))
    assert (done["with_file"], done["references"]) == (0, 15)
    assert not (tmp_path / "none" / "data").exists()
    assert "config_name: table\n" in (tmp_path / "none" / "README.md").read_text()
    done = export(lake, str(tmp_path / "all"), Options(media="all"))
    assert (done["with_file"], done["references"]) == (15, 0)
    assert sum(name.endswith(".flac") for name in in_tars(tmp_path / "all")) == len(exported.RECYCLED)
    assert "keep this copy where it is" in (tmp_path / "all" / "README.md").read_text()
    with pytest.raises(ConfigError, match=r"no split dev; there are: test, train, val"):
        export(lake, str(tmp_path / "dev"), Options(splits=("dev",)))
    assert not (tmp_path / "dev" / "index.json").exists()
    assert export(lake, str(tmp_path / "dev"), Options(), None)["clips"] == 15, (
        "what a refused export left is no obstacle"
    )


def test_the_card_says_what_the_tables_say(lake: Lake, tmp_path: Path) -> None:
    export(lake, str(tmp_path / "out"), Options())
    text = (tmp_path / "out" / "README.md").read_text()
    _, head, body = text.split("---\n", 2)
    import yaml

    said = yaml.safe_load(head)
    with_file = {name: sum(carried(p) and split(p) == name for p in range(COUNT)) for name in ("train", "val", "test")}
    (clips,) = said["dataset_info"]
    (table,) = yaml.safe_load((tmp_path / "out" / "tables" / "README.md").read_text().split("---\n")[1])["dataset_info"]
    assert {one["name"]: one["num_examples"] for one in clips["splits"]} == with_file
    assert sum(one["num_examples"] for one in table["splits"]) == 15
    assert [config["config_name"] for config in said["configs"]] == ["clips"]
    assert said["license"] == "other"
    assert "| unknown | no | 3 | 0 |" in body
    assert "| silent | 5 | Why\\|so |" in body
    assert (tmp_path / "out" / "CITATION.cff").read_text().count(exported.RELEASE) == 2


def test_what_is_there_is_not_written_again_and_something_else_is_refused(lake: Lake, tmp_path: Path) -> None:
    first = export(lake, str(tmp_path / "out"), Options())
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*")}
    again = export(lake, str(tmp_path / "out"), Options())
    assert again == first | {"already": True}
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*")} == before
    with pytest.raises(ConfigError, match="holds another export, of release 0123456789ab"):
        export(lake, str(tmp_path / "out"), Options(media="none"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("…")
    with pytest.raises(ConfigError, match=r"is not empty \(thesis.tex"):
        export(lake, str(tmp_path / "mine"), Options())
    (tmp_path / "out" / "index.json").write_text("{")
    with pytest.raises(ContractError, match="remove the folder and export again"):
        export(lake, str(tmp_path / "out"), Options())
    with Place(str(tmp_path / "busy")).begun({"a": 1}):
        with pytest.raises(TransientError, match="another process exports to"):
            export(lake, str(tmp_path / "busy"), Options())
    with pytest.raises(ConfigError, match=r"was begun otherwise \(.*release: None, not 0123456789ab"):
        export(lake, str(tmp_path / "busy"), Options())


@pytest.mark.fault(
    "changed bytes", "a clip's file that is exported", "refused by name, nothing of its shard is written"
)
def test_a_clip_that_is_not_what_the_release_says_is_named(lake: Lake, tmp_path: Path) -> None:
    shutil.copytree(lake.root, tmp_path / "lake")
    broken = Lake(tmp_path / "lake")
    tar = Path(broken.full("clip/v=0/batch=b/00000-0000.1111.tar"))
    with tarfile.open(tar) as inside:
        at = inside.getmember(f"{clip_id(0)}.mp4").offset_data
    with tar.open("r+b") as file:
        file.seek(at)
        file.write(b"MP4")
    with pytest.raises(ContractError, match=rf"{clip_id(0)}.mp4 is not what the release says.*winnow verify --all"):
        export(broken, str(tmp_path / "out"), Options())
    tar.write_bytes(tar.read_bytes()[:700])
    with pytest.raises(ContractError, match="has no file of clip"):
        export(broken, str(tmp_path / "other"), Options())
    tar.unlink()
    with pytest.raises(ContractError, match="is not there: run `winnow verify --all`"):
        export(broken, str(tmp_path / "third"), Options())
    assert not list(tmp_path.glob("*/index.json"))


KILLED = """
    import os, signal, sys
    from winnow.core.lake import Lake
    from winnow.delivery import run
    from winnow.delivery.options import Options
    write, count = run.write_shard, 0
    def written(*given):
        global count
        count += 1
        if count == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return write(*given)
    run.write_shard = written
    run.export(Lake(sys.argv[1]), sys.argv[2], Options(shard_bytes=12000))
"""


@pytest.mark.fault("kill -9", "export of clips, between two shards", "goes on where it was, to the same bytes")
def test_a_killed_export_goes_on_to_the_same_bytes(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    export(lake, str(whole), Options(shard_bytes=SMALL))
    command = [sys.executable, "-c", textwrap.dedent(KILLED), lake.root, str(out)]
    assert subprocess.run(command, capture_output=True, timeout=60).returncode == -9
    assert not (out / "index.json").exists()
    with pytest.raises(ConfigError, match="is no copy"):
        copies.verify(out)
    from winnow.delivery import run

    done = []
    write = run.write_shard
    monkeypatch.setattr(run, "write_shard", lambda *given: done.append(given[-1].name) or write(*given))
    export(lake, str(out), Options(shard_bytes=SMALL))
    shards = {path.name for path in whole.glob("data/*/*")}
    assert len(done) == len(shards) - 2
    assert listed(out) == listed(whole)


def test_a_bucket_gets_the_same_bytes_and_the_index_last(lake: Lake, tmp_path: Path, bucket: str) -> None:
    export(lake, str(tmp_path / "out"), Options(shard_bytes=SMALL))
    order: list[str] = []
    store = Lake(bucket)
    export(lake, bucket, Options(shard_bytes=SMALL))
    there = {path.removeprefix(store.base + "/"): store.fs.cat_file(path) for path in store.fs.find(store.base)}
    assert there == listed(tmp_path / "out")
    times = {path.removeprefix(store.base + "/"): store.fs.modified(path) for path in store.fs.find(store.base)}
    order = sorted(times, key=times.__getitem__)
    assert times["index.json"] == max(times.values()), order
    assert copies.verify(bucket)["ok"]
    assert export(lake, bucket, Options(shard_bytes=SMALL))["already"]
    store.fs.pipe_file(store.full("data/train/train-00000.tar"), b"other")
    assert [fault["where"] for fault in copies.verify(bucket)["faults"]] == ["data/train/train-00000.tar"]


def test_the_command(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINNOW_LAKE", lake.root)
    done = CliRunner().invoke(
        cli, ["export", "clips", "--to", str(tmp_path / "out"), "--split", "val", "--format", "folder"]
    )
    assert json.loads(done.stdout.splitlines()[-1])["release"] == exported.RELEASE, done.output
    for wrong, message in (
        (["clips", "--format", "zip"], "there are webdataset, folder, parquet"),
        (["clips", "--media", "some"], "there are shareable, all, none"),
        (["clips", "--shard-mb", "0"], "at least 1 MB"),
        (["acav", "--format", "folder"], "are of `winnow export clips`, not of acav"),
        (["clips", "--release", "ffff"], "names no release"),
    ):
        with pytest.raises(ConfigError, match=message):
            cli.main(["export", *wrong, "--to", str(tmp_path / "no")], standalone_mode=False)
    assert not (tmp_path / "no").exists()


def test_clips_of_a_lake_in_a_store_are_exported_to_the_same_bytes(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINNOW_SCRATCH", str(tmp_path / "scratch"))
    there = Lake(f"memory://{tmp_path.name}")
    for path in (path for path in Path(lake.root).rglob("*") if path.is_file()):
        there.put_file(path, path.relative_to(lake.root).as_posix())
    for one, to in ((lake, "here"), (there, "there")):
        export(one, str(tmp_path / to), Options(shard_bytes=SMALL))
    assert listed(tmp_path / "here") == listed(tmp_path / "there")
    assert expected_files().items() <= in_tars(tmp_path / "there").items()
    assert [(clip.id, clip.video) for clip in KeptClips(there)] == [(clip.id, clip.video) for clip in KeptClips(lake)]
