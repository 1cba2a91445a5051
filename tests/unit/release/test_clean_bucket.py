"""`winnow clean` of a lake in a bucket: what goes, what stays and what it says are those of that lake in a folder."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest

from tests import store
from tests.unit.release.cleaned import CLIPS, OLD, files, make, manifest, release, take
from tests.unit.release.committed import DAY, V
from winnow.core.lake import Lake
from winnow.core.nearby import Nearby
from winnow.core.shard_tar import ShardTar
from winnow.release import listing, publish
from winnow.release.clean import clean
from winnow.release.in_bucket import by_content
from winnow.release.takedown import takedown
from winnow.release.verify import verify

#: What lies in a folder alone: what killed writers left there, hidden or in the folder of a release.
ON_DISK = (".00001-dead.tar.12345678", "releases/.work/run-killed")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = make(tmp_path_factory.mktemp("made") / "lake")
    for name in files(lake):
        if any(part in name for part in ON_DISK):
            Path(lake.full(name)).unlink()
    return lake


@pytest.fixture(scope="module")
def empty(endpoint: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Lake]]:
    """What gives an empty lake in a bucket."""
    numbers = itertools.count()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WINNOW_SCRATCH", str(tmp_path_factory.mktemp("scratch")))
        for root in store.made(endpoint, patch):
            yield lambda root=root: Lake(f"{root}/{next(numbers)}")


def there(lake: Lake) -> set[str]:
    """Every file of a lake in a store but for a lease."""
    base = PurePosixPath(lake.base)
    names = {PurePosixPath(path).relative_to(base).as_posix() for path in lake.fs.find(lake.base)}
    return names - {"releases/.work/lease"}


def copied(local: Lake, lake: Lake) -> Lake:
    """The same lake in a store; what its releases have lies there by content where a bucket's own would."""
    for name in files(local):
        lake.put_file(Path(local.full(name)), name)
    return lake


def test_the_same_goes_and_stays_as_in_a_folder(made: Lake, empty: Callable[[], Lake], tmp_path: Path) -> None:
    local, lake = Lake(shutil.copytree(made.root, tmp_path / "lake")), copied(made, empty())
    assert (before := there(lake)) == files(local)
    wanted = clean(local, older_than_s=0)
    assert {**wanted, "dry_run": True} == clean(lake, older_than_s=0, dry=True)
    assert there(lake) == before
    assert clean(lake)["bytes"] == 0, "all of it is new"
    assert clean(lake, older_than_s=0) == wanted
    assert there(lake) == files(local)
    assert before - there(lake), "something went"
    assert verify(lake, everything=True)["ok"]
    assert clean(lake, older_than_s=0)["bytes"] == 0


def test_files_by_content_go_with_the_last_release_that_names_them(made: Lake, empty: Callable[[], Lake]) -> None:
    lake = copied(made, empty())
    first, second = sorted(publish.releases(lake), key=lambda one: publish.current(lake) == one)
    kept, gone, left, handed = (by_content("a.parquet", c * 64) for c in "abcd")
    for key in (kept, gone, left, handed):
        lake.write(key, b"rows")
    for name, keys in ((first, {"x": kept, "y": gone}), (second, {"x": kept})):
        listed = publish.manifest(lake, name)
        listed["files"] = {n: {"bytes": 4, "sha256": key[13:77], "key": key} for n, key in keys.items()}
        lake.write(f"releases/{name}/manifest.json", publish.sealed(listed))
    lake.write("releases/.work/steps-hash.json", b'{"files": {"steps-hash/a.parquet": "%s"}}' % (b"d" * 64))
    clean(lake)
    assert publish.releases(lake) == sorted([first, second])
    assert lake.exists(left), "whoever put it up may be about to name it"
    clean(lake, keep=1)
    assert (publish.releases(lake), lake.exists(kept), lake.exists(gone)) == ([second], True, False)
    assert lake.exists(left)
    clean(lake, older_than_s=0)
    assert (lake.exists(kept), lake.exists(left), lake.exists(handed)) == (True, False, True)


def test_what_was_taken_down_goes_and_is_never_kept_near(made: Lake, empty: Callable[[], Lake], tmp_path: Path) -> None:
    local = Lake(shutil.copytree(made.root, tmp_path / "lake"))
    take(local)
    lake = copied(local, empty())
    tar = lake.tar_key(manifest(lake))
    near = Nearby(lake).one(tar)
    assert clean(lake, older_than_s=0)["taken_down"] == {"release1": 1}
    assert not [name for name in there(lake) if name.startswith(f"clip/v={OLD}")]
    done = clean(lake, keep=1, older_than_s=0)
    assert (done["frees"]["taken_down"]["files"], done["taken_down"]) == (1, {})
    assert not near.exists()
    with lake.local(tar) as path:
        assert ShardTar(path).names() == ["a.mp4"]
    assert set(manifest(lake).removed) == {"b.mp4"}
    assert verify(lake, everything=True)["faults"] == []
    assert len([name for name in there(lake) if name.startswith("media/")]) == 1, "clip a is cut from the same video"

    takedown(lake, "id", ["a"], "asked too")
    release(local, "release3", dict.fromkeys(CLIPS, "taken_down"), [])
    for name in files(local):
        if name.startswith("releases/release3/"):
            lake.put_file(Path(local.full(name)), name)
    current, token = lake.read("releases/current").decode().split()
    lake.write("releases/current", f"release3\n{token}\n".encode())
    done = clean(lake, keep=1, older_than_s=0)
    assert current == "release2"
    assert done["releases"] == {"kept": ["release3"], "removed": ["release2"]}
    assert done["frees"]["taken_down"]["files"] == 2
    assert [name for name in there(lake) if name.startswith("media/")] == []
    assert verify(lake, everything=True)["faults"] == []
    assert lake.list(lake.folder("clip", V, DAY))


def test_a_video_that_comes_again_is_new(empty: Callable[[], Lake], tmp_path: Path) -> None:
    """Nothing may name it yet; who cleans before its fetch commits leaves it."""
    lake = empty()
    (path := tmp_path / "video.mp4").write_bytes(b"a video")
    key = lake.media_key(lake.put_media(path, "mp4"), "mp4")
    folder, _, name = key.rpartition("/")
    before = listing.listed(lake, folder)[name].written
    while listing.now(lake, "clock/now") <= before:  # a store's clock may have whole seconds
        pass
    lake.put_media(path, "mp4")
    assert listing.listed(lake, folder)[name].written > before


def test_a_writer_that_lost_its_lease_removes_nothing(
    made: Lake, empty: Callable[[], Lake], monkeypatch: pytest.MonkeyPatch
) -> None:
    from winnow.core.lease import Lease, LeaseLost

    lake = copied(made, empty())
    before = there(lake)

    def lost(self: Lease) -> None:
        raise self._lost()

    monkeypatch.setattr(Lease, "check", lost)
    with pytest.raises(LeaseLost):
        clean(lake, older_than_s=0)
    assert there(lake) == before
