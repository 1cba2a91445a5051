"""Publish: a release appears whole or not at all, and readers never see a mix."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import duckdb
import pytest

from tests.unit.published import fill, put
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake, sha256_file
from winnow.release import publish


@pytest.fixture
def lake(tmp_path) -> Lake:
    return Lake(tmp_path / "lake")


def test_a_release_holds_everything_and_says_what_it_is(lake):
    done = put(lake, 1)
    folder = Path(done["folder"])
    assert publish.current(lake) == done["release"]
    assert publish.folder(lake) == folder
    assert publish.report_path(lake).read_text() == "<p>1"
    manifest = json.loads((folder / "manifest.json").read_text())
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {"manifest.json"}
    assert set(manifest["files"]) == there
    for name, file in manifest["files"].items():
        assert file["sha256"] == sha256_file(folder / name)
        assert file["bytes"] == (folder / name).stat().st_size
    assert manifest["files"]["tables/splits.parquet"]["rows"] == 2000
    assert manifest["batches"]["b1"]["seq"] == 1
    assert manifest["stages"] == {"probe": {"v0": {"params": {}, "model": "m0"}}}
    assert manifest["models"] == ["m0"]
    assert manifest["thresholds"] == manifest["files"]["tables/thresholds.parquet"]["sha256"]
    assert {oct(p.stat().st_mode & 0o777) for p in folder.rglob("*") if p.is_file()} == {"0o444"}


def test_the_same_content_has_the_same_id_and_is_published_once(lake, tmp_path):
    first = put(lake, 1)
    elsewhere = put(Lake(tmp_path / "other"), 1)
    assert elsewhere["release"] == first["release"]
    before = sha256_file(Path(first["folder"]) / "manifest.json")
    again = put(lake, 1)
    assert (again["release"], again["already"]) == (first["release"], True)
    assert sha256_file(Path(first["folder"]) / "manifest.json") == before
    assert put(lake, 2)["release"] != first["release"]
    assert publish.content_id(Path(lake.full("releases/.work/test-1")), "quota") != first["release"]


def test_old_releases_stay_and_can_be_current_again(lake):
    first, second = put(lake, 1), put(lake, 2)
    assert publish.releases(lake) == sorted([first["release"], second["release"]])
    assert publish.resolve(lake, first["release"][:6]) == first["release"]
    back = put(lake, 1)
    assert (back["already"], publish.current(lake)) == (False, first["release"])


def test_files_that_did_not_change_are_those_of_the_release_before(lake):
    """One that was damaged there since is not taken over."""
    first = Path(put(lake, 1)["folder"])
    second = Path(put(lake, 2)["folder"])
    files = [p.relative_to(first).as_posix() for p in first.rglob("*") if p.is_file()]
    same = {name for name in files if (first / name).stat().st_ino == (second / name).stat().st_ino}
    assert same == {"gates/release.json"} == {n for n in files if (first / n).read_bytes() == (second / n).read_bytes()}
    (second / "gates" / "release.json").unlink()
    (second / "gates" / "release.json").write_text('{"passed": TRUE}')
    third = Path(put(lake, 3)["folder"])
    assert json.loads((third / "gates" / "release.json").read_text()) == {"passed": True}
    assert [p.name for p in third.rglob(".*")] == []


def test_what_is_not_ready_is_not_published(lake):
    work = fill(Path(lake.full("releases/.work/x")), 1)
    given = {"release": publish.content_id(work, "hash"), "key": "k", "base": None, "policy": "hash"}
    (work / "gates" / "release.json").write_text('{"passed": false}')
    with pytest.raises(ContractError, match="did not pass"):
        publish.publish(work, lake, **given)
    fill(work, 1)
    (work / "report.html").unlink()
    with pytest.raises(ContractError, match="winnow release report"):
        publish.publish(work, lake, **given)
    fill(work, 2)
    with pytest.raises(ContractError, match="changed after they were built"):
        publish.publish(work, lake, **given)
    assert publish.current(lake) is None
    assert publish.releases(lake) == []


@pytest.mark.fault("a late writer", "publish", "refused: it was built on what is no longer current")
def test_a_release_built_on_another_current_one_is_refused(lake):
    first = put(lake, 1)
    second = put(lake, 2)
    with pytest.raises(ContractError, match=f"release {second['release']} was published while"):
        put(lake, 3, base=first["release"])
    assert publish.current(lake) == second["release"]


def test_names_that_name_nothing(lake):
    with pytest.raises(ConfigError, match="nothing is published"):
        publish.folder(lake)
    done = put(lake, 1)
    with pytest.raises(ConfigError, match=f"there are: {done['release']}"):
        publish.folder(lake, "zzz")
    with pytest.raises(ConfigError, match="no release"):
        publish.folder(lake, "")


READER = """
    import sys, time, duckdb, json
    from pathlib import Path
    from winnow.release.steps import publish
    from winnow.core.lake import Lake
    lake, stop = Lake(sys.argv[1]), Path(sys.argv[2])
    seen, reads = [], 0
    print("ready", flush=True)
    while not stop.exists():
        folder = publish.folder(lake)
        with duckdb.connect(str(folder / "winnow.duckdb"), read_only=True) as con:
            sides = con.execute(f'''
                SELECT min(generation), max(generation), count(*) FROM splits UNION ALL
                SELECT min(generation), max(generation), 2000 FROM ops.fct_shards UNION ALL
                SELECT min(generation), max(generation), count(*) FROM read_parquet('{folder}/tables/splits.parquet')
            ''').fetchall()
        generations = {g for low, high, _ in sides for g in (low, high)}
        generations.add(int((folder / "report.html").read_text()[3:]))
        assert len(generations) == 1, generations
        assert {count for *_, count in sides} == {2000}
        seen += [g for g in generations if not seen or seen[-1] != g]
        reads += 1
        time.sleep(0.03)
    print(json.dumps({"seen": seen, "reads": reads}))
"""


def test_readers_see_one_release_or_the_next_and_never_fail(lake, tmp_path):
    put(lake, 1)
    stop = tmp_path / "stop"
    command = [sys.executable, "-c", textwrap.dedent(READER), lake.root, str(stop)]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        for reader in readers:
            assert reader.stdout.readline() == "ready\n", reader.stderr.read()
        held = duckdb.connect(str(publish.folder(lake) / "winnow.duckdb"), read_only=True)  # open all the while
        for generation in range(2, 14):
            put(lake, generation)
        assert held.execute("SELECT max(generation) FROM splits").fetchone() == (1,)
        held.close()
        stop.touch()
        for reader in readers:
            out, err = reader.communicate(timeout=60)
            assert reader.returncode == 0, err
            found = json.loads(out)
            assert found["seen"] == sorted(found["seen"])
            assert len(found["seen"]) > 1, "the readers were never there at a change"
            assert found["reads"] >= len(found["seen"])
    finally:
        for reader in readers:
            reader.kill()
            reader.wait()


KILLED = """
    import os, signal, sys
    sys.path.insert(0, sys.argv[2])
    from winnow.core import lake as lakes
    from winnow.release import publish
    from tests.unit.published import put
    point, calls = sys.argv[3], []
    def die(): os.kill(os.getpid(), signal.SIGKILL)
    rename, write, link = os.rename, lakes.Lake.write, os.link
    def renamed(*args):
        if point == "before the rename": die()
        rename(*args)
        if point == "after the rename": die()
    def written(self, key, data):
        if point == "before current" and key == "releases/current": die()
        if point == "inside current" and key == "releases/current":
            with self._scratch(key) as (scratch, target):
                scratch.write_bytes(data)
                die()
        write(self, key, data)
        if point == "after current" and key == "releases/current": die()
    def linked(source, target, **options):
        calls.append(source)
        if point == "while copying" and len(calls) == 3: die()
        return link(source, target, **options)
    os.rename, lakes.Lake.write, os.link = renamed, written, linked
    put(lakes.Lake(sys.argv[1]), 2)
"""

POINTS = ("while copying", "before the rename", "after the rename", "before current", "inside current", "after current")


@pytest.mark.fault(
    "kill -9",
    "publish, at any moment, with readers at work",
    "the old release or the new one is current, and whole",
)
@pytest.mark.parametrize("point", POINTS)
def test_a_killed_publish_leaves_a_whole_release_current(lake, point):
    first = put(lake, 1)
    checkout = str(Path(__file__).resolve().parents[3])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), lake.root, checkout, point],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    with duckdb.connect(str(publish.folder(lake) / "winnow.duckdb"), read_only=True) as con:
        generation = con.execute("SELECT DISTINCT generation FROM splits").fetchall()
    assert generation == ([(2,)] if point == "after current" else [(1,)])
    assert (publish.current(lake) == first["release"]) == (point != "after current")
    assert_whole(lake)
    after = put(lake, 2)
    assert publish.current(lake) == after["release"] != first["release"]
    assert_whole(lake)


def assert_whole(lake: Lake) -> None:
    """What `current` names and every other release is there to the last byte."""
    names = publish.releases(lake)
    assert publish.current(lake) in names
    for name in names:
        files = json.loads(lake.read(f"releases/{name}/manifest.json"))["files"]
        assert set(publish.REQUIRED) <= {file.split("/")[0] for file in files}
        assert all(sha256_file(Path(lake.full(f"releases/{name}/{f}"))) == at["sha256"] for f, at in files.items())


def test_published_files_are_the_built_ones_not_copies(lake):
    work = fill(Path(lake.full("releases/.work/x")), 5)
    identity = os.stat(work / "tables" / "splits.parquet").st_ino
    done = publish.publish(work, lake, release=publish.content_id(work, "hash"), key=None, base=None, policy="hash")
    assert os.stat(Path(done["folder"]) / "tables" / "splits.parquet").st_ino == identity
    assert lake.list("releases/inputs") == []
