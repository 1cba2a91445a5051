"""Mixtures of real clips: a release whose clips were fetched and cut by the journey, rendered and gated by one
command."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.journey.helpers import Deployment
from tests.unit.mixed import MIXTURES, packets, pictures, samples
from tests.world import WorldServer
from winnow.core.lake import Lake
from winnow.core.sample import sid
from winnow.core.shard_tar import ShardTar
from winnow.core.stage import stage_names


@pytest.fixture
def mixing(journey: Deployment, server: WorldServer, tmp_path: Path) -> Deployment:
    """A deployment that sees the journey's clips and its release, with two mixtures written into a copy of it; what it
    makes lies in a lake of its own."""
    deployment = Deployment(tmp_path, journey.world, server)
    lake = tmp_path / "lake"
    (lake / "releases").mkdir(parents=True)
    (lake / "clip").symlink_to(journey.root / "lake/clip")
    release = lake / "releases" / journey.release.name
    for folder in ("tables", "ops"):
        (release / folder).mkdir(parents=True)
        for path in (journey.release / folder).glob("*.parquet"):
            (release / folder / path.name).symlink_to(path)
    (release / "manifest.json").write_text("{}")  # of the real one's files some are not here, and one is another
    (lake / "releases/current").write_text(release.name)
    clips = [r["sample_id"] for r in journey.rows("select sample_id from fct_clips where has_audio order by 1 limit 3")]
    pairs = [(clips[0], clips[1]), (clips[1], clips[2]), (clips[2], "f" * 20)]
    rows = [
        {
            "mixture_id": sid("mixture", *pair),
            "list_version": "v2",
            "split": "test",
            "label": "onscreen_only",
            "position": 1,
            "clip1_sample_id": pair[0],
            "clip2_sample_id": pair[1],
        }
        for pair in pairs
    ]
    table = release / "tables/audioscope_mixtures.parquet"
    table.unlink()
    pq.write_table(pa.Table.from_pylist(rows, schema=MIXTURES), table)
    return deployment


def test_mixtures_of_a_release_are_rendered_by_one_command(journey: Deployment, mixing: Deployment) -> None:
    done = mixing("mix", "--render")
    assert (done["rows"], done["ok"], done["failed"]) == (3, 2, 1)
    assert (done["mix"]["ok"], done["mix"]["failed"], done["gate"]["computed"]) == (2, 0, 1)
    lake = Lake(mixing.root / "lake")
    (tar,) = (p for p in (mixing.root / "lake/mix").rglob("00001-*.tar"))
    members = ShardTar(tar)
    files = {row["sample_id"]: row["tar"] for row in journey.rows("select sample_id, tar from fct_clip_files")}
    for name in [n for n in members.names() if n.endswith(".json")]:
        record = json.loads(members.read(name))
        mixed = members.read(f"{record['mixture_id']}.mp4")
        with lake.local(files[record["clip1_sample_id"]]) as path:
            source = ShardTar(path)
            one = source.read(f"{record['clip1_sample_id']}.mp4")
            source.close()
        assert packets(mixed) == packets(one)
        assert pictures(mixed) == pictures(one)
        parts = [samples(members.read(f"{record['mixture_id']}.clip{i}.flac"))[0] for i in (1, 2)]
        assert abs(samples(mixed)[0] - parts[0] - parts[1]).max() <= 1
    members.close()
    again = mixing("mix", "--render")
    assert (again["computed"], again["mix"]["computed"], again["gate"]["computed"]) == (False, 0, 0)


def test_a_stage_of_another_flow_is_no_part_of_curate(journey: Deployment) -> None:
    assert "mix" in stage_names()
    assert not (journey.root / "lake/mix").exists()
    assert journey.rows("select count(*) as mixtures from audioscope_mixtures") == [{"mixtures": 0}]
