"""The kept clips of a release as a sequence, with and without torch."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

import winnow
from tests import needs
from tests.unit import exported, seen, synthetic
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return seen.build(tmp_path_factory.mktemp("seen"))


def test_every_kept_clip_and_no_other_in_order(lake: Lake) -> None:
    clips = winnow.clips(lake)
    kept = sorted((exported.split(p), exported.clip_id(p)) for p in seen.PLACES if exported.is_kept(p))
    assert [(clip.split, clip.id) for clip in clips] == kept
    places = {exported.clip_id(place): place for place in seen.PLACES}
    for clip in clips:
        place = places[clip.id]
        assert clip.video == synthetic.mp4(place)
        assert clip.residual == (exported.residual(place) if place in exported.RECYCLED else None)
        assert clip.row["z"] == exported.row(place)["z"]
        assert clip.row["release"] == exported.RELEASE
    assert len(winnow.clips(lake, splits=["val"])) == 1
    assert clips[-1].id == clips[len(clips) - 1].id
    assert [clip.id for clip in clips[1:3]] == [clips[1].id, clips[2].id]
    with pytest.raises(IndexError, match="clip 9 of 4"):
        clips[9]


def test_pictures_and_sound_have_the_shapes_that_are_asked_for(lake: Lake) -> None:
    clip = winnow.clips(lake)[0]
    assert clip.pictures(32, 16).shape == (24, 16, 32, 3)
    few = clip.pictures(32, 16, per_s=3)
    assert (few.shape, few.dtype.name) == ((6, 16, 32, 3), "uint8")
    assert (few[1] == clip.pictures(32, 16)[4]).all()
    sound = clip.sound(8000)
    assert (sound.dtype.name, len(sound)) == ("float32", 1)
    assert abs(sound.shape[1] - 16_000) < 400
    assert 0.1 < abs(sound).max() <= 1


def test_another_process_reads_the_same(lake: Lake) -> None:
    clips = winnow.clips(lake, splits=["val"])
    assert clips[0] == pickle.loads(pickle.dumps(clips))[0]
    clips.close()
    assert clips[0].split == "val"


def test_what_is_not_there_and_what_changed_is_said(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no split dev; there are: train, val"):
        winnow.clips(lake, splits=["dev"])
    with pytest.raises(ConfigError, match="nothing is published"):
        winnow.clips(winnow.open_lake(tmp_path / "empty"))
    other = seen.build(tmp_path / "other")
    for tar in Path(other.root).rglob("*.tar"):
        tar.write_bytes(tar.read_bytes().replace(b"moov", b"MOOV"))
    with pytest.raises(ContractError, match="is not what the release says"):
        winnow.clips(other)[0]


def test_torch_takes_them_in_workers(lake: Lake) -> None:
    needs.package("torch")
    from torch.utils.data import DataLoader

    clips = winnow.torch_clips(lake, seconds=3, per_s=2, size=24, rate_hz=8000)
    (batch,) = DataLoader(clips, batch_size=4, num_workers=2, prefetch_factor=1)
    assert batch["pictures"].shape == (4, 6, 3, 24, 24)
    assert batch["sound"].shape == (4, 1, 24_000)
    assert (batch["pictures"][:, -1] == batch["pictures"][:, -2]).all(), "what is shorter ends in its last picture"
    assert set(batch["id"]) == {clip.id for clip in winnow.clips(lake)}
    ids = winnow.torch_clips(lake, transform=lambda clip: clip.id)
    assert ids[0] == winnow.clips(lake)[0].id
