"""Groups of videos that no fold divides: files of the same bytes, near-duplicates; never by what many share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.unit.measured import clip, commit, write_batch
from tests.unit.sketched import levels, pictures
from winnow.core.lake import Lake
from winnow.core.sample import Outcome, sid
from winnow.core.shard import Lineage
from winnow.core.stage import stage_class, stage_needs
from winnow.fitting import groups
from winnow.fitting.groups import ties
from winnow.models.copies import MOST_SHARERS, UNKNOWN, Known, groups_of, same

BATCH = "2026-11-01"
#: The seed of each video's picture and sound: two that share both, and four that share a sound alone.
SHOWS = {0: 0, 1: 1, 2: 2, 3: 0, **{video: video for video in range(4, 8)}}
PLAYS = {**SHOWS, **dict.fromkeys(range(4, 8), 99)}


def fingerprints(lake: Lake) -> None:
    lineage = Lineage(lake, BATCH, stage_needs())
    inputs = {stage: lineage.committed(stage, 0) for stage in ("clip", "visual", "audio")}
    rows = []
    for video, seed in SHOWS.items():
        about = clip(video, 0)[0]
        row = {name: about[name] for name in ("video_id", "start_s", "end_s")} | {"version": "v1"}
        row |= {"picture_moments": 9, "sound_moments": 9, "picture": pictures(seed, 6).ravel()}
        rows.append(Outcome.ok(about["sample_id"], row | {"sound": levels(PLAYS[video], 6).ravel()}))
    commit(lake, "fingerprint", BATCH, 0, rows, stage_class("fingerprint").schema, inputs)
    lake.set_head("fingerprint", BATCH, {"v": "0" * 12})


def test_near_duplicates_beyond_doubt_tie_their_videos_and_a_shared_sound_ties_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(tmp_path)
    write_batch(lake, BATCH, range(8), clips=1)
    assert ties(lake, [BATCH]) == [], "without fingerprints and digests nothing is known"
    fingerprints(lake)
    assert ties(lake, [BATCH]) == [sorted([sid("video", 0), sid("video", 3)])]
    monkeypatch.setattr(groups, "CERTAIN", 1.01)
    assert ties(lake, [BATCH]) == [], "splits are tied by a doubtful pair, folds are not"


def test_groups_are_what_ties_hold_together() -> None:
    assert groups_of("abcdef", [["b", "c"], ["e", "d"], ["c", "d"]]) == dict(zip("abcdef", "abbbbf", strict=True))


def test_what_says_nothing_or_is_had_by_many_ties_nothing() -> None:
    many = MOST_SHARERS + 1
    videos = [*"aabc", *(f"bed {n}" for n in range(many))]
    features = np.array([[1.0]] * 3 + [[2.0]] + [[3.0]] * many, np.float32)
    assert same(videos, features, np.ones(len(videos), bool)) == [["a", "b"]]
    assert same(videos, features, features[:, 0] > 1) == []
    assert len(same(videos, features, features[:, 0] > 1, most=None)) == 1


def test_a_clip_is_known_by_any_of_its_keys() -> None:
    picture, sound = np.arange(6, dtype=np.float32).reshape(3, 2), np.arange(3, dtype=np.float32)[:, None]
    known = Known.of(np.array(["a", "b", "c"]), picture, sound, {"a": "a", "a2": "a", "b": "b", "c": "c"}, 5)
    new = np.array([9.0, 9.0]), np.array([9.0])
    assert known.find("a2", *new) == known.find("x", picture[0], new[1]) == known.find("x", new[0], sound[0])
    assert known.find("b", picture[0], sound[0]) == known.find("a", *new), "the whole clip counts first"
    assert known.find("x", *new)[0] == UNKNOWN
    assert known.find("x", *new) == known.find("y", *new), "what nobody knows has a fold by its picture"
    shared = Known.of(np.array(["a", "b"]), picture[[0, 0]], sound[:2], {"a": "a", "b": "b"}, 5)
    assert shared.find("x", picture[0], new[1])[0] == UNKNOWN
