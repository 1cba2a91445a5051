"""The voice-over policy and what becomes of flagged clips: published flags reproduced, decisions committed once,
residuals judged, thresholds changed without measuring anything again."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.dbt.conftest import DAYS, Built
from tests.dbt.fates import FLAGGED, HEARD, MUSIC, QUIET, SPEECH
from tests.dbt.lake import Candidate, Clip, write_batch
from winnow.batch import decide
from winnow.core.errors import ContractError
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.release import build as warehouse

#: Labels and flags of the sixteen rows of AVSET-700K that its data viewer shows: all that is published of the policy.
PUBLISHED = [
    ("/m/01g50p,/m/0284vy3,/m/06d_3,/m/07jdr,/m/07rwm0c", 0),
    ("/m/09x0r", 0),
    ("/m/04rlf,/m/0c1dj", 1),
    ("/m/012f08,/m/07yv9,/m/0k4j,/t/dd00134", 0),
    ("/m/09x0r", 0),
    ("/m/04rlf", 0),
    ("/m/09x0r", 0),
    ("/m/09x0r", 0),
    ("/m/09x0r", 0),
    ("/m/018vs,/m/0342h,/m/04rlf,/m/04szw", 1),
    ("/m/09x0r", 0),
    ("/m/0342h,/m/04rlf,/m/04szw,/m/0fx80y", 1),
    ("/m/04rlf,/m/0ggx5q", 1),
    ("/m/09x0r", 0),
    ("/m/04rlf,/m/07s8j8t", 1),
    ("/m/01bjv,/m/07yv9,/m/09x0r", 1),
]


def flagged(lake: Lake) -> dict[str, str]:
    """Why each clip of the first day was flagged, by clip, over all shards of the table `flag`."""
    head = lake.head("flag", DAYS[0])
    assert head is not None
    out = {}
    for shard in head["shards"]:
        manifest = lake.manifest("flag", head["v"], DAYS[0], shard)
        rows = pq.read_table(io.BytesIO(lake.read_table(manifest))).to_pylist()
        assert all(row["outcome"] == "ok" and row["batch"] == DAYS[0] for row in rows)
        out |= {row["sample_id"]: row["why"] for row in rows}
    return out


def clip_of(candidate: Candidate) -> str:
    from winnow.core.sample import clip_id

    return clip_id(candidate.video_id, 0.0, 10.0)


def test_the_policy_reproduces_the_published_flags(lake: Lake) -> None:
    """Where a tagger hears what is listed, too: that adds nothing."""
    heard = [SPEECH if "/m/09x0r" in labels else MUSIC if "/m/04rlf" in labels else QUIET for labels, _ in PUBLISHED]
    rows = [
        Candidate(f"p{i}", labels=tuple(labels.split(",")), clips=(Clip(tags=tags),))
        for i, ((labels, _), tags) in enumerate(zip(PUBLISHED, heard, strict=True))
    ]
    write_batch(lake, DAYS[0], 0, rows)
    done = decide.decide_separate(DAYS[0], Settings(lake=lake.root), lake)
    found = flagged(lake)
    assert [int(clip_of(row) in found) for row in rows] == [flag for _, flag in PUBLISHED]
    assert set(found.values()) == {"Speech listed beside another class", "Music listed beside another class"}
    assert done["flagged"] == len(found) == 6


def test_flags_are_decided_once_and_shard_by_shard(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty clips in three shards of the plan; a lower threshold moves one shard's flags and no other's name."""
    rows = [
        Candidate(f"v{i}", labels=("Dog",), clips=(Clip(tags={"speech": 0.9 if i == 0 else 0.2 if i == 9 else 0.0}),))
        for i in range(20)
    ]
    write_batch(lake, DAYS[0], 0, rows)
    settings = Settings(lake=lake.root)
    first = decide.decide_separate(DAYS[0], settings, lake)
    assert (first["computed"], first["reasons"]) == (True, {"speech heard, not listed": 1})
    assert list(flagged(lake)) == [clip_of(rows[0])]
    head = lake.head("flag", DAYS[0])
    assert [name[:5] for name in head["shards"]] == ["00000", "00001", "00002"]

    with monkeypatch.context() as patch:
        patch.setattr(warehouse, "run_dbt", lambda *a, **k: pytest.fail("dbt ran again"))
        assert decide.decide_separate(DAYS[0], settings, lake) == first | {"computed": False}

    project = lower(tmp_path, "separate,1,speech_heard,speech,>=,0.3", "separate,1,speech_heard,speech,>=,0.2")
    again = decide.decide_separate(DAYS[0], Settings(lake=lake.root, dbt_dir=project), lake)
    assert (again["computed"], again["flagged"]) == (True, 2)
    now = lake.head("flag", DAYS[0])
    assert now["v"] != head["v"]
    assert [a == b for a, b in zip(head["shards"], now["shards"], strict=True)] == [True, False, True]


def test_a_batch_that_is_not_tagged_cannot_be_flagged(lake: Lake) -> None:
    write_batch(lake, DAYS[0], 0, [Candidate("a")])
    lake.remove(f"tags/batch={DAYS[0]}.json")
    with pytest.raises(ContractError, match="winnow run tags"):
        decide.decide_separate(DAYS[0], Settings(lake=lake.root), lake)


def ends(built: Built) -> dict[str, list]:
    """What became of each clip that the policy looks at, by title."""
    query = "select title, status, first_failed_rule, flag, flag_why, is_recycled from fct_clips"
    found = [(title, rest) for title, *rest in built.rows(query) if title in FLAGGED]
    assert len(found) == len(FLAGGED)
    return dict(found)


def test_flagged_clips_are_judged_by_what_is_left(fated: Built) -> None:
    assert ends(fated) == {name: end for name, (_, end) in FLAGGED.items()}


def test_another_threshold_rebuilds_dbt_alone(build: Callable[..., Built], fated: Built, tmp_path: Path) -> None:
    """A voice at 0.25 is flagged; no table is written again, so what is newly flagged waits for its separation."""
    stored = files(fated.lake)
    project = lower(tmp_path, "separate,1,speech_heard,speech,>=,0.3", "separate,1,speech_heard,speech,>=,0.25")
    found = ends(build(fated.lake, dbt_dir=project))
    expected = {name: end for name, (_, end) in FLAGGED.items()}
    assert found == expected | {"quiet voice": ["dropped", "covered", 1, HEARD, False]}
    assert files(fated.lake) == stored, "another threshold measured something again"


def files(lake: Lake) -> dict[str, tuple[int, bytes]]:
    """Every file of the stage tables and their manifests: when it was written, and what it holds."""
    root, made = Path(lake.root), {"cache", "parts"}
    found = [p for p in sorted(root.rglob("*")) if p.is_file() and made.isdisjoint(p.relative_to(root).parts)]
    assert len(found) > 20
    return {str(p.relative_to(root)): (p.stat().st_mtime_ns, p.read_bytes()) for p in found}


def lower(folder: Path, old: str, new: str) -> Path:
    """A copy of the dbt project with one threshold changed."""
    project = folder / "dbt"
    shutil.copytree(Settings().dbt_dir, project)
    seed = project / "seeds/thresholds.csv"
    text = seed.read_text(encoding="utf-8")
    assert old in text
    seed.write_text(text.replace(old, new), encoding="utf-8")
    return project
