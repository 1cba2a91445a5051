"""`winnow clean`: what nothing names any more goes, and nothing else. What `verify` and the next release read stays,
and so do the files of a writer at work, and what was taken down until no release that is kept names it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from tests.unit.release.cleaned import CLIPS, OLD, files, make, manifest, members, release, take, video
from tests.unit.release.committed import DAY, V, commit
from winnow.cli.main import cli
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.runtime import Runtime
from winnow.core.sample import Reason
from winnow.core.settings import Settings
from winnow.core.stage import stage_class
from winnow.release import clean as cleaning
from winnow.release import publish, taking
from winnow.release.clean import clean
from winnow.release.inputs import head_files
from winnow.release.takedown import takedown
from winnow.release.verify import verify


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return make(tmp_path_factory.mktemp("made") / "lake")


@pytest.fixture
def lake(made: Lake, tmp_path: Path) -> Lake:
    shutil.copytree(made.root, tmp_path / "lake")
    return Lake(tmp_path / "lake")


def test_what_nothing_names_goes_and_all_that_is_read_stays(lake: Lake) -> None:
    before, was = files(lake), verify(lake, everything=True)
    told = clean(lake, older_than_s=0, dry=True)
    assert files(lake) == before
    done = clean(lake, older_than_s=0)
    assert done == {**told, "dry_run": False}
    frees = {kind: freed["files"] for kind, freed in done["frees"].items()}
    assert frees == {"releases": 0, "tables": 5, "scratch": 3, "media": 1, "taken_down": 0}
    gone = before - files(lake)
    assert len(gone) == 9
    known = (f"v={OLD}", "dead", "killed", "media", f"compact/batch={DAY}/clip-")
    assert all(any(part in name for part in known) for name in gone), gone
    there = verify(lake, everything=True)
    assert there["ok"], there
    assert was["read"]["tables"] - there["read"]["tables"] == 1
    heads = {DAY: json.loads(lake.read(f"batches/{DAY}.json"))}
    assert all(Path(file.path).is_file() for file in head_files(lake, heads))
    assert clean(lake, older_than_s=0)["bytes"] == 0


def test_of_a_batchs_parts_the_newest_stays_and_of_one_that_is_gone_none(lake: Lake) -> None:
    for batch, name, rows in ((DAY, "a", ("both", "old")), (DAY, "b", ("both", "new")), ("gone", "a", ("other",))):
        where = f"parts/batch={batch}"
        for one in rows:
            lake.write(f"{where}/{one}.parquet", one.encode())
        said = {one: {"path": f"{where}/{one}.parquet"} for one in rows}
        lake.write(f"{where}/{name}.json", json.dumps({"rows": said}).encode())
    before = files(lake)
    clean(lake)
    assert {name for name in before if name.startswith("parts/")} <= files(lake), "young: a release may be reading them"
    clean(lake, older_than_s=0)
    assert {name for name in files(lake) if name.startswith("parts/")} == {
        f"parts/batch={DAY}/{name}" for name in ("b.json", "both.parquet", "new.parquet")
    }


def test_where_a_list_of_shards_is_damaged_nothing_is_certain_and_nothing_goes(lake: Lake) -> None:
    (listed,) = (
        at["shards"]["path"] for at in json.loads(lake.read(f"batches/{DAY}.json"))["stages"].values() if "shards" in at
    )
    lake.write(listed, b"cut short")
    before = files(lake)
    with pytest.raises(ContractError, match=f"changed after the batch was admitted: run `winnow verify --batch {DAY}`"):
        clean(lake, older_than_s=0)
    assert files(lake) == before


def test_what_is_young_stays_and_so_does_what_was_superseded_lately(lake: Lake) -> None:
    (folder,) = (Path(lake.root) / "releases" / ".work").glob("run-*")
    shutil.rmtree(folder)  # the lock says that no release is being made
    before = files(lake)
    assert clean(lake)["bytes"] == 0
    assert files(lake) == before
    for path in Path(lake.root).rglob("*"):
        if path.name != f"batch={DAY}.json":
            os.utime(path, (0, 0))
    clean(lake)
    assert lake.list(lake.folder("clip", OLD, DAY)), "the stage left this version only now: somebody may be reading it"
    gone = before - files(lake)
    assert len(gone) == 5, "no table without a manifest, no half of a tar, no video without a name, no compact table"
    assert sum(name.startswith("compact/") for name in gone) == 2, "the batch's head left it long ago"


def test_the_files_of_a_writer_that_came_meanwhile_stay(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run with the parameters of before begins while a clean is under way, and finds its shards; another brings a
    video that the lake has and nothing names yet."""
    for path in Path(lake.root).rglob("*"):
        os.utime(path, (0, 0))
    kept = lake.list(lake.folder("clip", OLD, DAY))
    hold, came = cleaning.locked, []

    @contextmanager
    def locked(of: Lake) -> Iterator[None]:
        if not came:
            came.append(video(lake, b"a video that nothing names"))
            lake.set_head("clip", DAY, {"v": OLD, "shards": ["00000-clip0000"]})
            os.utime(lake.full(f"clip/batch={DAY}.json"), (0, 0))
        with hold(of):
            yield

    monkeypatch.setattr(cleaning, "locked", locked)
    clean(lake)
    assert lake.list(lake.folder("clip", OLD, DAY)) == kept
    assert lake.exists(lake.media_key(came[0], "mp4"))
    assert lake.list(lake.folder("clip", V, DAY)), "the admitted batch stands on this one"


def test_releases_are_kept_by_count_and_age_with_what_they_name(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (row for row in sorted(publish.releases(lake), key=lambda r: publish.current(lake) == r))
    tables = Path(lake.full(f"releases/{first}/ops/fct_clip_files.parquet"))
    with duckdb.connect() as con:
        tar = next(f for f in lake.list(lake.folder("clip", OLD, DAY)) if f.endswith(".tar"))
        con.execute(f"copy (select 'a' as sample_id, '{lake.folder('clip', OLD, DAY)}/{tar}' as tar) to '{tables}'")
    kept = lake.list(lake.folder("clip", OLD, DAY))
    assert clean(lake, days=1, older_than_s=0)["releases"] == {"kept": sorted([first, second]), "removed": []}
    assert lake.list(lake.folder("clip", OLD, DAY)) == kept, "a release names its tar"
    monkeypatch.setenv("WINNOW_LAKE", lake.root)
    monkeypatch.setattr("winnow.cli.care.deployment", lambda: (lake, Settings(keep_releases=1)))
    told = CliRunner().invoke(cli, ["clean", "--older-than-hours", "0", "--dry-run"])
    assert f"release {first} would go" in told.stdout, told.output
    told = CliRunner().invoke(cli, ["clean", "--older-than-hours", "0"])
    assert f"release {first} is gone" in told.stdout
    assert (publish.releases(lake), lake.list(lake.folder("clip", OLD, DAY))) == ([second], [])
    assert lake.list("releases/inputs") == ["key2"]
    assert verify(lake, everything=True)["ok"]
    for wrong in ({"keep": 0}, {"days": -1}):
        with pytest.raises(ConfigError, match="at least one release"):
            clean(lake, **wrong)


# -- what was taken down -----------------------------------------------------------------------------------------------
@pytest.fixture
def taken(lake: Lake) -> Lake:
    """Clip b was taken down: release 1 names its file, release 2 says that it is gone."""
    take(lake)
    clean(lake, older_than_s=0)
    return lake


@pytest.mark.fault(
    "a killed process",
    "what was taken down leaves a tar",
    "its manifest says so first: stages and `verify` agree with it, and the next `winnow clean` goes on",
)
def test_what_was_taken_down_goes_with_the_last_release_that_names_it(
    taken: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert members(taken) == ["a.mp4", "b.mp4"]
    assert clean(taken, older_than_s=0)["taken_down"] == {"release1": 1}
    assert members(taken) == ["a.mp4", "b.mp4"]
    told = clean(taken, keep=1, older_than_s=0, dry=True)
    assert told["frees"]["taken_down"] == {"files": 1, "bytes": len(CLIPS["b"])}
    table = taken.read(taken.table_key(manifest(taken)))

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(taken, "put_file", killed)
        with pytest.raises(KeyboardInterrupt):
            clean(taken, keep=1, older_than_s=0)
    assert set(manifest(taken).removed) == {"b.mp4"}
    (fault,) = verify(taken, everything=True)["faults"]
    assert (fault["what"], fault["mend"]) == ("not removed", "winnow clean")
    read_by_a_stage(taken)

    done = clean(taken, keep=1, older_than_s=0)
    assert done["frees"]["taken_down"]["files"] == 1
    assert members(taken) == ["a.mp4"]
    assert taken.read(taken.table_key(manifest(taken))) == table, "what was measured stays, and no digest changes"
    assert verify(taken, everything=True)["faults"] == []
    read_by_a_stage(taken)
    assert [name for name in taken.list("media") if taken.list(f"media/{name}")], "clip a is cut from the same video"
    assert clean(taken, older_than_s=0)["bytes"] == 0


def read_by_a_stage(lake: Lake) -> None:
    """A stage that is run again has a row for it, and asks no tar."""
    runtime = Runtime(stage_class("probe")(stage_class("probe").Params(), lake, Settings(lake=lake.root)), lake, DAY)
    with ExitStack() as stack:
        samples, missing = runtime.read_samples({"clip": manifest(lake)}, stack)
    assert [sample.id for sample in samples] == ["a"]
    assert [(one.sample_id, one.reason) for one in missing] == [("b", Reason.taken_down)]
    assert missing[0].detail.startswith("its file was taken down on 20")


def test_what_is_left_of_its_sound_and_mixtures_of_it_go_too(taken: Lake) -> None:
    sounds = {"a": b"sound a", "b": b"sound b"}
    left = [{"sample_id": k, "residual_sha256": sha256_bytes(data)} for k, data in sounds.items()]
    commit(taken, "separate", left, ext="flac", **sounds)
    pairs = {"m1": ("a", "a"), "m2": ("a", "b"), "m3": ("b", "a")}
    rows = [{"sample_id": k, "clip1_sample_id": one, "clip2_sample_id": two} for k, (one, two) in pairs.items()]
    commit(taken, "mix", rows, **dict.fromkeys(pairs, b"mixture"))
    assert clean(taken, keep=1, older_than_s=0)["frees"]["taken_down"]["files"] == 4
    assert (members(taken, "separate"), members(taken, "mix")) == (["a.flac"], ["m1.mp4"])
    assert verify(taken, everything=True)["faults"] == []


def test_a_source_video_goes_when_no_clip_of_it_stays(taken: Lake) -> None:
    takedown(taken, "id", ["a"], "asked too")
    release(taken, "release3", {"a": "taken_down", "b": "taken_down"}, [])
    done = clean(taken, keep=1, older_than_s=0)
    assert done["frees"]["taken_down"]["files"] == 3
    assert (members(taken), [name for name in taken.list("media") if taken.list(f"media/{name}")]) == ([], [])
    assert verify(taken, everything=True)["faults"] == []
    (name,) = [n for n in taken.list(taken.folder("fetch", V, DAY)) if n.endswith(".json")]
    fetched = taken.manifest("fetch", V, DAY, name.removesuffix(".json"))
    clip = stage_class("clip")
    runtime = Runtime(clip(clip.Params(), taken, Settings(lake=taken.root)), taken, DAY)
    with ExitStack() as stack:
        samples, missing = runtime.read_samples({"fetch": fetched}, stack)
    assert (samples, [one.values for one in missing]) == ([], [{"candidate_id": "c", "video_id": None}])
    assert taking.rows_of(taken, fetched, ["url"]), "its row stays"
