"""What follows from one batch alone is decided once: a build that goes on from kept parts publishes what one from
scratch does, and a part is made anew when, and only when, something that it follows from changed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests import parsed
from tests.dbt.conftest import DAYS, Built, three_days
from tests.dbt.lake import Candidate, random_candidates, write_batch
from winnow.core.admitted import batch_heads
from winnow.core.errors import ContractError
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.release.inputs import check, head_files
from winnow.release.parts import Parts, folder

PROJECT = Path(Settings().dbt_dir)
LATER = "2026-11-04"
THRESHOLDS = "seeds/thresholds.csv"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A dbt project of one's own."""
    return Path(shutil.copytree(PROJECT, tmp_path / "dbt"))


@pytest.fixture
def decided(release: Built, tmp_path: Path) -> Lake:
    """A lake of three days of which a release was built."""
    shutil.copytree(release.lake.root, tmp_path / "decided")
    parsed.share(tmp_path / "decided")
    return Lake(tmp_path / "decided")


def edit(path: Path, old: str, new: str) -> None:
    """Change a file in one place."""
    text = path.read_text()
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new))


def why(lake: Lake, project: Path = PROJECT, aside: tuple[dict, ...] = ()) -> dict[str, str]:
    """Which batches a build would decide, and why."""
    return Parts(lake, project, batch_heads(lake), aside).why


def rescored(candidate: Candidate) -> Candidate:
    """The same, as another fit of the scorer sees it."""
    clips = tuple(replace(clip, z=None if clip.z is None else 6.5 - clip.z, model="m2") for clip in candidate.clips)
    return replace(candidate, clips=clips)


def test_a_build_that_goes_on_publishes_what_one_from_scratch_does(
    build: Callable[..., Built], decided: Lake, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After three days: one scored again by another fit, one withdrawn, one added, and a threshold that is another."""
    write_batch(decided, DAYS[1], 1, [rescored(c) for c in three_days()[1]], compacted=True)
    decided.remove(f"batches/{DAYS[0]}.json")
    write_batch(decided, LATER, 3, random_candidates(30, seed=1, day=3))
    edit(project / THRESHOLDS, "effective_z,<,1.645", "effective_z,<,2.5")
    scratch = Lake(shutil.copytree(decided.root, f"{decided.root}-scratch"))
    shutil.rmtree(scratch.full("parts"))
    parsed.share(scratch.root)
    going_on = build(decided, dbt_dir=project)
    assert capsys.readouterr().err.splitlines() == [
        f"decided anew, its tables changed: {DAYS[1]}",
        f"decided anew, new: {LATER}",
    ]
    from_scratch = build(scratch, dbt_dir=project, threads=1)
    assert capsys.readouterr().err == f"decided anew, new: {DAYS[1]}, {DAYS[2]}, {LATER}\n"
    assert going_on.tables() == from_scratch.tables()
    for path in sorted((from_scratch.work / "ops").iterdir()):
        assert (going_on.work / "ops" / path.name).read_bytes() == path.read_bytes(), path.name
    kept = {path.name for path in Path(scratch.full("parts")).rglob("*")}
    assert kept <= {path.name for path in Path(decided.full("parts")).rglob("*")}, "the same parts, by their names"
    assert why(decided, project) == {}


@pytest.mark.parametrize(
    ("file", "old", "new", "is_anew"),
    [
        (THRESHOLDS, "effective_z,<,1.645", "effective_z,<,2.5", False),
        (THRESHOLDS, "music,>=,0.3", "music,>=,0.4", True),
        ("seeds/split_shares.csv", "0.6", "0.5", False),
        ("models/intermediate/int_flags.sql", "-- A clip that no tagger", "-- A clip which no tagger", False),
        ("models/intermediate/int_flags.sql", "'no tags'", "'not heard'", True),
        ("models/intermediate/int_clip_decisions.sql", "'kept'", "'taken'", False),
        ("macros/measures.sql", "isfinite(", "not isnan(", True),
    ],
)
def test_a_part_is_made_anew_where_what_it_follows_from_changed(
    decided: Lake, project: Path, file: str, old: str, new: str, is_anew: bool
) -> None:
    """Of thresholds.csv the rules before separation count: all others are asked across batches."""
    text = (project / file).read_text()
    assert old in text
    (project / file).write_text(text.replace(old, new))
    assert why(decided, project) == (dict.fromkeys(DAYS, "the SQL or the rules changed") if is_anew else {})


def test_a_part_is_made_anew_where_its_batch_changed_or_a_file_of_it(decided: Lake) -> None:
    aside = {"stage": "probe", "batch": DAYS[0], "sample_id": "a", "rules": "r"}
    assert why(decided, aside=(aside,)) == {DAYS[0]: "its gate set other rows aside"}
    first, second, third = (sorted(Path(decided.full(folder(day))).glob("int_clip_rows-*")) for day in DAYS)
    first[0].unlink()
    second[0].write_bytes(second[0].read_bytes()[:-9])
    wrong = "a file of its part is missing or damaged"
    assert why(decided) == {DAYS[0]: wrong, DAYS[1]: wrong}
    next(Path(decided.full(folder(DAYS[2]))).glob("*.json")).write_text("{")
    assert why(decided) == {DAYS[0]: wrong, DAYS[1]: wrong, DAYS[2]: "new"}
    write_batch(decided, DAYS[2], 2, three_days()[2], shard_size=3)
    assert third[0].exists()
    assert why(decided)[DAYS[2]] == "new"


def test_a_table_that_is_gone_is_named_also_where_nothing_reads_it(decided: Lake) -> None:
    heads = batch_heads(decided)
    listed = Parts(decided, PROJECT, heads, ()).listed(head_files(decided, heads))
    assert any(file.is_decided for file in listed)
    check(decided, listed)
    gone = next(Path(file.path) for file in listed if file.is_decided and file.stage == "probe")
    gone.unlink()
    with pytest.raises(ContractError, match=re.escape(f"{gone} is missing")):
        check(decided, listed)
