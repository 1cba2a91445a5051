"""From lists to a published release, in one process: what was planted is found, every row is explained, and nothing is
computed twice."""

from __future__ import annotations

import hashlib
import json
from collections import Counter

import pytest

from tests.journey.conftest import DAYS, FITTED, PLANTS
from tests.journey.helpers import Deployment
from tests.world import World, WorldServer
from tests.world.video import EXPECTED
from winnow.core.stage import stage_class, stage_names
from winnow.demo import kinds
from winnow.fitting import groups

#: What each plant must come to without anyone looking at a score: its own Reason or rule.
CERTAIN = {planted: end for planted, end in EXPECTED.items() if end != "low_correspondence"}


def outcomes(deployment: Deployment) -> dict[str, Counter]:
    """Reasons (None for kept) by source URL, of rows that a list's reader could use."""
    found: dict[str, Counter] = {}
    for row in deployment.rows("select url, reason from fct_outcomes where step <> 'ingest'"):
        found.setdefault(row["url"], Counter())[row["reason"]] += 1
    return found


@pytest.mark.parametrize("planted", sorted(CERTAIN))
def test_each_kind_of_bad_input_reaches_its_own_reason(journey: Deployment, world: World, planted: str) -> None:
    found = outcomes(journey)
    videos = [row for row in world.truth() if row["planted"] == planted]
    assert len(videos) == PLANTS[planted]
    for video in videos:
        reasons = found[video["url"]]
        assert set(reasons) == {CERTAIN[planted]}, f"{video['video']}: {reasons}"


def test_bad_rows_of_lists_are_rows_with_a_reason(journey: Deployment, world: World) -> None:
    planted = Counter(row["expected"] for row in world.truth_rows())
    ends = journey.rows("select step, reason from fct_outcomes where status = 'failed'")
    assert planted
    assert Counter(r["reason"] for r in ends if r["step"] == "ingest" or r["reason"] == "outside_media") == planted


def test_every_real_world_kind_is_found(journey: Deployment, world: World) -> None:
    found = kinds.compare(world.root, journey.rows)
    assert len(found) == len(world.kinds) > 20
    assert kinds.lines([row for row in found if not row["found"]]) == []


def test_the_funnel_explains_every_row(journey: Deployment) -> None:
    funnel = journey.rows("select * from rpt_funnel")
    assert {row["batch"] for row in funnel} == set(DAYS)
    assert sum(row["items_in"] for row in funnel) > 100
    assert [row for row in funnel if row["unexplained"] != 0] == []
    for row in funnel:
        assert row["items_in"] == row["passed"] + row["failed"] + row["dropped"] + row["pending"]


def test_the_rules_that_decided_are_published_beside_todays(journey: Deployment) -> None:
    rows = journey.rows(
        "select batch, point, count(*) as rules, bool_or(is_older) as older from ops.fct_batch_rules group by all"
    )
    assert {(row["batch"], row["point"]) for row in rows} == {
        (d, p) for d in DAYS for p in ("fetch", "separate", "release")
    }
    assert all(row["rules"] > 2 and row["older"] is False for row in rows)


def test_statistics_follow_from_the_published_clips(journey: Deployment) -> None:
    whole = journey.rows("select * from rpt_statistics where scope = 'total'")[0]
    clips = journey.rows("select video_id, duration_s from fct_clips where status = 'kept'")
    assert whole["clips"] == len(clips) > 10
    assert whole["videos"] == len({c["video_id"] for c in clips})
    splits = journey.rows(
        "select sum(clips) as clips, sum(clip_ms) as clip_ms from rpt_statistics where scope = 'split'"
    )[0]
    assert (splits["clips"], splits["clip_ms"]) == (whole["clips"], whole["clip_ms"])


def test_no_video_and_no_uploader_in_two_splits(journey: Deployment) -> None:
    kept = "from fct_clips where status = 'kept'"
    query = f"select {{0}} {kept} and {{0}} is not null group by 1 having count(distinct split) > 1"
    assert journey.rows(query.format("video_id")) == []
    assert journey.rows(query.format("uploader")) == []
    assert len(journey.rows(f"select distinct split {kept}")) > 1


def test_every_clip_has_a_score_from_a_model_that_never_saw_its_video(journey: Deployment) -> None:
    rows = journey.rows("select video_id, score, z, fold, model from fct_clips where score is not null")
    assert len(rows) > 30
    assert all(row["z"] is not None for row in rows)
    model = journey.lake.model_current("correspond")
    assert {row["model"] for row in rows} == {model}
    card = json.loads(journey.lake.read(f"models/correspond/{model}.json"))
    assert {row["fold"] for row in rows} == set(range(card["folds"]))
    tied = journey.rows(
        "select one.fold, other.fold as other, one.batch, other.batch as other_batch from fct_duplicates as pairs "
        "join fct_clips as one on one.sample_id = first_id join fct_clips as other on other.sample_id = second_id "
        f"where kind = 'both' and least(picture_score, sound_score) >= {groups.CERTAIN} "
        "and one.fold is not null and other.fold is not null"
    )
    fitted = [row for row in tied if {row["batch"], row["other_batch"]} <= set(card["batches"])]
    assert fitted, "the world has near-duplicates beyond doubt"
    assert all(row["fold"] == row["other"] for row in fitted)


def test_the_release_names_the_digest_of_everything_in_it(journey: Deployment) -> None:
    manifest = json.loads((journey.release / "manifest.json").read_text())
    files = {str(p.relative_to(journey.release)): p for p in journey.release.rglob("*") if p.is_file()}
    listed = manifest["files"]
    assert set(files) - {"manifest.json"} == set(listed)
    for name, entry in listed.items():
        assert hashlib.sha256(files[name].read_bytes()).hexdigest() == entry["sha256"], name


def test_voice_overs_are_flagged_separated_and_scored_again(journey: Deployment, world: World) -> None:
    rows = journey.rows("select url, flag_why, is_recycled, removed_db, residual_z from fct_clips where flag = 1")
    spoken = [row for row in rows if row["flag_why"].startswith("speech")]
    assert {row["url"] for row in spoken} == {v["url"] for v in world.truth() if v["planted"] == "voice_over"}
    assert all(row["is_recycled"] and row["removed_db"] > 6 and row["residual_z"] is not None for row in spoken)
    kept = journey.rows("select flag, is_recycled from fct_clips where status = 'kept' and flag = 1")
    assert all(row["is_recycled"] for row in kept)


def test_a_second_journey_computes_nothing(journey: Deployment, server: WorldServer) -> None:
    requests = sum(server.requests.values())
    manifests = sorted(str(p) for p in (journey.root / "lake").rglob("*-*.json"))
    current = journey.release.name
    stages = {name for name in stage_names() if stage_class(name).flow == "curate"}
    for day in DAYS:
        done = journey("curate", "--batch", day)
        assert journey.code == 65, "rows of every day failed"
        assert stages <= set(done)
        assert all(done[stage]["computed"] == 0 for stage in stages), done
        assert not done["plan"]["computed"]
        assert not done["decide"]["computed"]
        assert not done["flag"]["computed"]
    assert journey("curate", "--batch", DAYS[0], "--allow-failed")
    assert journey.code == 0
    assert journey("fit", "--batches", ",".join(FITTED))["computed"] is False
    assert journey("release")["already"] is True
    assert sum(server.requests.values()) == requests
    assert sorted(str(p) for p in (journey.root / "lake").rglob("*-*.json")) == manifests
    assert journey.release.name == current


def test_rows_that_failed_for_a_passing_reason_are_tried_again_when_asked(
    fresh: Deployment, world: World, server: WorldServer
) -> None:
    video = next(row for row in world.truth() if row["planted"] == "refused")
    day = video["batch"]
    for step in (("ingest",), ("run", "screen"), ("decide",), ("plan",)):
        fresh(*step, "--batch", day)
    assert fresh("run", "fetch", "--batch", day)["reasons"]["refused"] == 1
    assert fresh("run", "fetch", "--batch", day)["computed"] == 0
    good = next(row for row in world.truth() if row["planted"] is None and row["url"].startswith("http"))
    name = video["url"].rsplit("/", 1)[1]
    rewrites = json.loads(fresh.environment["WINNOW_FETCH_REWRITES"])
    target = (
        next(value for key, value in rewrites.items() if good["url"].startswith(key)) + good["url"].rsplit("/", 1)[1]
    )
    fresh.environment["WINNOW_FETCH_REWRITES"] = json.dumps(
        {video["url"].removesuffix(name) + name: target, **rewrites}
    )
    again = fresh("run", "fetch", "--batch", day, "--retry-reasons", "refused")
    assert again["retried"] == 1
    assert "refused" not in again["reasons"]


def test_an_empty_partition_does_nothing(fresh: Deployment) -> None:
    assert fresh("curate", "--batch", "2026-12-24") == {"ingest": {"batch": "2026-12-24", "empty": True}}
    assert not (fresh.root / "lake").exists() or not list((fresh.root / "lake").rglob("*.parquet"))
