"""An export under webdataset and torch: every clip once, with its JSON. Other loaders: tests/bench/loaders.py."""

from __future__ import annotations

from pathlib import Path

from tests import needs
from tests.unit import exported
from tests.unit.exported import COUNT, carried, carried_residual, clip_id, content, residual, split
from winnow.delivery.options import Options
from winnow.delivery.run import export


def test_webdataset_in_two_workers_reads_every_clip_once(tmp_path: Path) -> None:
    needs.package("torch", "webdataset")
    import torch
    import webdataset as wds

    export(exported.build(tmp_path / "lake"), str(tmp_path / "out"), Options(shard_bytes=12_000))
    shards = sorted(map(str, (tmp_path / "out").glob("data/train/*.tar")))
    assert len(shards) > 2
    data = wds.WebDataset(shards, shardshuffle=False).decode()
    read = list(torch.utils.data.DataLoader(data, batch_size=None, num_workers=2))
    train = [place for place in range(COUNT) if carried(place) and split(place) == "train"]
    assert sorted(one["__key__"] for one in read) == sorted(map(clip_id, train))
    found = {one["__key__"]: one for one in read}
    for place in train:
        one = found[clip_id(place)]
        assert one["mp4"] == content(place)
        assert one.get("flac") == (residual(place) if carried_residual(place) else None)
        assert (one["json"]["z"], one["json"]["split"]) == (exported.row(place)["z"], "train")
