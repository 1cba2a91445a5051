"""Copies of a bucket's files: each is what its digest says, all of them take no more than they may."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from winnow.core.errors import ConfigError, ContractError, TransientError
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.nearby import Nearby, Wanted, scratch, work_folder

KIB = bytes(1024)


@pytest.fixture
def lake(request: pytest.FixtureRequest) -> Lake:
    lake = Lake(f"memory://nearby-{request.node.name}")
    for name in "abcd":
        lake.write(f"x/{name}", name.encode() + KIB)
    return lake


def there(near: Nearby) -> set[str]:
    return {path.name for path in near.root.rglob("*") if path.is_file()}


def test_a_copy_is_made_once_and_is_what_its_digest_says(lake: Lake, tmp_path: Path) -> None:
    near, sha256 = Nearby(lake, tmp_path), sha256_bytes(b"a" + KIB)
    assert near.one("x/a", sha256).read_bytes() == b"a" + KIB
    lake.write("x/a", b"other")
    assert near.one("x/a", sha256).read_bytes() == b"a" + KIB, "it is not asked for again"
    near.path(Wanted("x/a")).write_bytes(b"torn")
    with pytest.raises(ContractError, match=r"x/a changed: run `winnow verify --all`"):
        near.one("x/a", sha256)
    with pytest.raises(FileNotFoundError):
        near.one("x/z")
    assert near.bring([Wanted("x/b"), Wanted("x/z"), Wanted("x/c", "0" * 64)]) == {
        Wanted("x/z"): "missing",
        Wanted("x/c", "0" * 64): "changed",
    }
    assert there(near) == {"b"}, "nothing half-made, nothing wrong"


def test_copies_take_no_more_than_they_may(lake: Lake, tmp_path: Path) -> None:
    near = Nearby(lake, tmp_path, most_bytes=2200)
    for place, name in enumerate("abac"):
        os.utime(near.one(f"x/{name}"), (place, place))
    assert there(near) == {"a", "c"}, "b was used longest ago"
    with pytest.raises(ConfigError, match=r"WINNOW_SCRATCH_MB=0 is what they may take: raise it, or let"):
        near.bring([Wanted(f"x/{name}") for name in "abcd"])


def test_what_another_process_uses_stays(lake: Lake, tmp_path: Path) -> None:
    near = Nearby(lake, tmp_path, most_bytes=2200)
    near.one("x/a")
    program = """
        import sys
        from pathlib import Path
        from winnow.core import nearby
        nearby.hold(Path(sys.argv[1]))
        print("holds", flush=True)
        sys.stdin.readline()
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "holds\n"
        near.one("x/b")
        with pytest.raises(TransientError, match="other commands use them: run this one again when they are done"):
            near.one("x/c")
        other.communicate("done\n")
    near.one("x/d")
    assert "a" not in there(near)


def test_a_work_folder_goes_with_its_command_or_with_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINNOW_SCRATCH", str(tmp_path / "s"))
    program = """
        import os
        from winnow.core.nearby import work_folder
        with work_folder("release") as folder:
            print(folder, flush=True)
            (folder / "half").touch()
            os._exit(1)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False)
    left = Path(done.stdout.strip())
    assert (left / "half").exists()
    with work_folder("release") as one, work_folder("release") as other:
        assert not left.exists()
        assert one.exists()
    assert not one.exists()
    assert not other.exists()


def test_a_scratch_folder_that_cannot_be_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("WINNOW_SCRATCH", str(tmp_path / "file" / "below"))
    with pytest.raises(ConfigError, match=r"WINNOW_SCRATCH=.*below"):
        scratch()
