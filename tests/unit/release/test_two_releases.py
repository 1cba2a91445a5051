"""Two `winnow release` at a time on one lake, as processes: one builds, the other waits, and there is never half of
one or a mixture."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from winnow.core.lake import Lake
from winnow.release import publish
from winnow.release.verify import verify


def begin(lake: Lake, generation: int) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.unit.release.releasing", lake.root, str(generation)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    ending = threading.Timer(60, process.kill)  # or who waits for its word would wait for ever
    ending.daemon = True
    ending.start()
    return process


@pytest.mark.fault(
    "two at once",
    "`winnow release`",
    "the second says that it waits; then it finds its content published, or publishes on top of it",
)
@pytest.mark.parametrize("second", [1, 2], ids=["of the same inputs", "of inputs that changed in between"])
def test_of_two_releases_one_waits_for_the_other(tmp_path: Path, second: int) -> None:
    lake = Lake(tmp_path / "lake")
    with begin(lake, 1) as one:
        assert one.stdout.readline() == "building\n"
        with begin(lake, second) as other:
            assert other.stderr.readline() == "another release is being made; waiting for it\n"
            assert publish.current(lake) is None
            done = json.loads(one.communicate("go on\n", timeout=60)[0])
            after = json.loads(other.communicate("go on\n", timeout=60)[0].splitlines()[-1])
    assert (one.returncode, other.returncode, done["already"]) == (0, 0, False)
    if second == 1:
        assert (after["already"], after["release"]) == (True, done["release"])
    else:
        assert (after["already"], after["before"]) == (False, done["release"])
    assert publish.releases(lake) == sorted({done["release"], after["release"]})
    assert publish.current(lake) == after["release"]
    assert verify(lake, everything=True)["faults"] == []
    assert not list(Path(lake.full("releases/.work")).glob("run-*"))
