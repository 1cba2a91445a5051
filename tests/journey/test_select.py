"""ACAV100M from end to end: the corpus of a release clustered, selected and released again, by the commands that the
DAG `select` runs, on real clips with real features."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from tests.journey.conftest import DAYS
from tests.journey.helpers import Deployment
from tests.world import WorldServer


@pytest.fixture
def curated(journey: Deployment, server: WorldServer, tmp_path: Path) -> Deployment:
    """The journey's lake with its release, to be changed."""
    shutil.copytree(journey.root / "lake", tmp_path / "lake", symlinks=True)
    return Deployment(tmp_path, journey.world, server)


def test_a_corpus_is_clustered_selected_and_published(curated: Deployment) -> None:
    kept = {row["sample_id"] for row in curated.rows("select sample_id from fct_clips where status = 'kept'")}
    model = curated("cluster", "--clusters", "4")["model"]
    for day in DAYS:
        assert curated("run", "cluster", "--batch", day)["ok"] > 0
    curated("gate", "--batch", ",".join(DAYS))
    answer = curated("select", "--share", "0.5")
    assert (answer["model"], answer["candidates"], answer["selected"]) == (model, len(kept), int(len(kept) / 2 + 0.5))
    assert 0 < answer["mi_all"] < 1.4  # ln 4 nats
    curated("release")
    clips = curated.rows("select * from acav_clips order by position, sample_id")
    assert {row["sample_id"] for row in clips} == kept
    assert {(row["model"], len(row["visual_clusters"]), len(row["audio_clusters"])) for row in clips} == {(model, 5, 5)}
    ordered = [row for row in clips if row["position"] is not None]
    assert sum(row["gain"] for row in ordered) == pytest.approx(answer["mi"], abs=1e-5)
    selected = [row for row in clips if row["is_selected"]]
    assert selected == ordered[: len(selected)]  # the share of thresholds.csv, cut by dbt
    exported = curated.release / "exports" / "acav"
    lines = list(csv.reader((exported / "output.csv").open(encoding="utf-8")))
    assert len(lines) == len(selected) > 0
    listed = {clip["filename"]: clip for clip in json.loads((exported / "shard-000000.json").read_text())}
    assert len(listed) == len(clips)
    for (shard, file, video, segment), row in zip(lines, selected, strict=True):
        assert shard == "shard-000000"
        assert (str(listed[file]["id"]), listed[file]["segment"]) == (video, json.loads(segment))
        known = [row["start_s"], row["end_s"]] if row["source_id"] is not None else [-1, -1]  # as the format says
        assert json.loads(segment) == pytest.approx(known)
    assert curated("cluster", "--clusters", "4")["computed"] is False
    assert curated("select", "--share", "0.5")["computed"] is False
