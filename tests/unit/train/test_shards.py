"""The loader of shards: each clip once an epoch, in an order that seed and epoch fix, from any step; what is decoded is
what the clip shows and sounds like then; what cannot be decoded is counted."""

from __future__ import annotations

import io
import tarfile
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit import exported, seen, synthetic
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.sample import Reason, SampleFailed
from winnow.delivery.options import Options
from winnow.delivery.run import export
from winnow.media import moments
from winnow.media.decode import opened
from winnow.train.shards import ClipFiles, ClipLoader, Window


class Text:
    """Stands for a decoder: the number that a file holds, and one that is drawn."""

    key = "text"

    def whole(self, files):
        if b"broken" in files["mp4"]:
            raise SampleFailed(Reason.undecodable, "it says so")
        return {"number": np.int64(files["mp4"])}

    def cut(self, whole, rng):
        return {"number": np.int64(whole["number"]), "drawn": rng.integers(1 << 40)}

    def read(self, files, rng):
        return self.cut(self.whole(files), rng)


def _tars(root: Path, contents: list[bytes], shards: int) -> ClipFiles:
    """Clip k, whose file holds these bytes, in one of several tars."""
    lake, ids = Lake(root), [f"{sha256_bytes(str(k).encode())[:20]}" for k in range(len(contents))]
    tars = [f"t/{k % shards}.tar" for k in range(len(ids))]
    (root / "t").mkdir(parents=True)
    for name in sorted(set(tars)):
        with tarfile.open(root / name, "w") as tar:
            for clip, data, where in zip(ids, contents, tars, strict=True):
                if where == name:
                    member = tarfile.TarInfo(f"{clip}.mp4")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
    return ClipFiles.of_tars(lake, ids, tars, {"mp4": [sha256_bytes(data) for data in contents]})


@pytest.fixture(scope="module")
def by_shards(tmp_path_factory: pytest.TempPathFactory):
    @lru_cache
    def made(shards: int) -> ClipFiles:
        return _tars(tmp_path_factory.mktemp("shards") / "lake", [str(k).encode() for k in range(23)], shards)

    return made


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 6), st.integers(1, 4), st.integers(1, 4), st.integers(1, 9), st.integers(0, 5), st.data())
def test_each_clip_once_an_epoch_for_any_shards_workers_ranks_and_kills(
    by_shards, shards: int, workers: int, ranks: int, size: int, seed: int, data
) -> None:
    """Killed anywhere and gone on with, with other workers, the steps are those of one tar, one worker, one rank."""
    shared = {"size": size, "seed": seed, "epochs": 2}
    alone = [
        (batch.epoch, batch.rows.tolist(), batch.inputs["drawn"].tolist())
        for batch in ClipLoader(by_shards(1), Text(), workers=1, **shared).steps()
    ]
    ranks = min(ranks, -(-23 // size))
    clips, found, by_epoch = by_shards(shards), [[] for _ in range(ranks)], {0: [], 1: []}
    for rank in range(ranks):
        more = {"workers": workers, "rank": rank, "ranks": ranks, **shared}
        kill = data.draw(st.integers(0, len(ClipLoader(clips, Text(), **more))))
        coming = ClipLoader(clips, Text(), **more).steps()
        before = [next(coming) for _ in range(kill)]
        coming.close()
        rest = list(ClipLoader(clips, Text(), **more | {"workers": 1}).steps(kill))
        assert [batch.step for batch in [*before, *rest]] == list(range(kill + len(rest)))
        for batch in [*before, *rest]:
            assert batch.inputs["number"].tolist() == batch.rows.tolist(), "joined by id"
            assert batch.ids == tuple(clips.ids[batch.rows])
            by_epoch[batch.epoch] += batch.rows.tolist()
            found[rank].append((batch.epoch, batch.rows.tolist(), batch.inputs["drawn"].tolist()))
    assert all(sorted(rows) == list(range(23)) for rows in by_epoch.values())
    for epoch in (0, 1):
        dealt = [[one for one in of_rank if one[0] == epoch] for of_rank in found]
        wanted = [one for one in alone if one[0] == epoch]
        assert [dealt[k % ranks][k // ranks] for k in range(len(wanted))] == wanted


def test_what_cannot_be_decoded_is_left_out_counted_and_too_much_of_it_stops(tmp_path: Path) -> None:
    contents = [str(k).encode() for k in range(20)]
    contents[7] = b"broken"
    clips = _tars(tmp_path / "a", contents, 3)
    loader = ClipLoader(clips, Text(), size=6, seed=1, epochs=2, most_failed=0.05)
    rows = [int(row) for batch in loader.steps() for row in batch.rows]
    assert sorted(rows) == sorted([*range(7), *range(8, 20)] * 2), "nothing stands in its place"
    assert loader.failed == {clips.ids[7]: "undecodable: it says so"}
    with pytest.raises(ContractError, match=f"1 of 20 clips cannot be decoded, more than 1%; .* clip {clips.ids[7]}:"):
        list(ClipLoader(clips, Text(), size=6, seed=1, epochs=1).steps())
    one = ClipLoader(clips.take(np.array([7, 3])), Text(), size=1, seed=0, epochs=1, most_failed=0.5)
    assert sorted(len(batch.rows) for batch in one.steps()) == [0, 1]


def test_a_file_that_changed_or_is_gone_stops_with_its_name(tmp_path: Path) -> None:
    clips = _tars(tmp_path, [b"10", b"20"], 2)
    path = tmp_path / "t/0.tar"
    path.write_bytes(path.read_bytes()[:512] + b"11" + path.read_bytes()[514:])
    with pytest.raises(ContractError, match=rf"{clips.ids[0]}\.mp4 is not the file that was released"):
        list(ClipLoader(clips, Text(), size=2, seed=0, epochs=1).steps())
    path.unlink()
    with pytest.raises(ContractError, match=r"0\.tar is not there"):
        list(ClipLoader(clips, Text(), size=2, seed=0, epochs=1).steps())
    with pytest.raises(ContractError, match=r"t/1\.tar has no other\.mp4"):
        ClipFiles.of_tars(Lake(tmp_path), ["other"], ["t/1.tar"], {"mp4": [None]})
    (tmp_path / "t/1.tar").write_bytes(b"no tar" * 200)
    with pytest.raises(ContractError, match=r"1\.tar is no whole tar"):
        ClipFiles.of_tars(Lake(tmp_path), ["other"], ["t/1.tar"], {"mp4": [None]})


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return seen.build(tmp_path_factory.mktemp("seen"))


SMALL = Window(0.5, per_s=4, width=32, height=18, rate_hz=8_000)


def test_lake_and_export_give_the_same_batches_with_and_without_a_cache(lake: Lake, tmp_path: Path) -> None:
    export(lake, str(tmp_path / "out"), Options(format="webdataset", media="all"))
    found = []
    for clips in (ClipFiles.of_release(lake), ClipFiles.of_export(str(tmp_path / "out"))):
        for cache in (None, tmp_path / "cache", tmp_path / "cache"):
            loader = ClipLoader(clips, SMALL, size=3, seed=2, epochs=2, cache=cache)
            found.append([(b.ids, {n: a.tobytes() for n, a in b.inputs.items()}) for b in loader.steps()])
            assert not loader.failed
    assert all(one == found[0] for one in found)
    kept = {exported.clip_id(place) for place in seen.PLACES if exported.is_kept(place)}
    assert {clip for ids, _ in found[0] for clip in ids} == kept
    train = ClipFiles.of_release(lake, splits=["train"])
    assert (
        set(train.ids)
        == {exported.clip_id(p) for p in (0, 1, 2)}
        == set(ClipFiles.of_export(str(tmp_path / "out"), ["train"]).ids)
    )
    dropped = exported.clip_id(3)
    assert list(ClipFiles.of_release(lake, ids=[dropped]).ids) == [dropped], "a set may hold what was dropped"
    with pytest.raises(ContractError, match=f"has no clip {dropped}"):
        ClipFiles.of_export(str(tmp_path / "out"), ids=[dropped])
    with pytest.raises(ConfigError, match="has no split dev; there are: train, val"):
        ClipFiles.of_release(lake, splits=["dev"])
    with pytest.raises(ConfigError, match="has no split dev; there are: train, val"):
        ClipFiles.of_export(str(tmp_path / "out"), ["dev"])
    with pytest.raises(ConfigError, match="is no export of tars"):
        ClipFiles.of_export(str(tmp_path))


def test_of_a_bucket_the_same_by_range_reads_alone(lake: Lake, tmp_path: Path, bucket: str, monkeypatch) -> None:
    export(lake, bucket, Options(format="webdataset", media="all", shard_bytes=60_000))
    clips = ClipFiles.of_export(bucket)
    fs, lengths = clips.lake.fs, []
    real = fs.cat_file

    def counted(path, start=None, end=None, **more):
        lengths.append(end - start)
        return real(path, start=start, end=end, **more)

    monkeypatch.setattr(fs, "cat_file", counted)
    shared = {"size": 3, "seed": 2, "epochs": 1}
    found = [{n: a.tobytes() for n, a in b.inputs.items()} for b in ClipLoader(clips, SMALL, **shared).steps()]
    here = ClipLoader(ClipFiles.of_release(lake), SMALL, **shared).steps()
    assert found == [{n: a.tobytes() for n, a in b.inputs.items()} for b in here]
    assert sorted(lengths) == sorted(clips.places["mp4"][:, 2].tolist()), "a read a clip, of its bytes alone"


@lru_cache(maxsize=1)
def _ticking() -> bytes:
    """Four seconds whose picture k is of grey 5·k, with a long stretch between keyframes and pictures that refer to
    both sides; a click of one picture's length goes with every tenth picture; the sound begins half a second late."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as file:
        video = file.add_stream("libx264", rate=12)
        video.width, video.height, video.pix_fmt = 64, 32, "yuv420p"
        video.options = {"crf": "0", "g": "16", "bf": "3", "preset": "medium", "x264-params": "b-adapt=0:scenecut=0"}
        sound = file.add_stream("flac", rate=12_000, layout="mono")
        for k in range(48):
            file.mux(video.encode(av.VideoFrame.from_ndarray(np.full((32, 64, 3), 5 * k, np.uint8), "rgb24")))
        wave = np.zeros(48_000, np.int16)
        for k in range(0, 48, 10):
            wave[k * 1000 : k * 1000 + 1000] = 16_000
        frame = av.AudioFrame.from_ndarray(wave[None, 6_000:], "s16", "mono")
        frame.sample_rate, frame.pts = 12_000, 6_000
        file.mux(sound.encode(frame))
        for stream in (video, sound):
            file.mux(stream.encode())
    return buffer.getvalue()


def test_pictures_and_sound_of_a_window_are_of_the_same_moment() -> None:
    """Wherever the window begins, a picture of a click has a click's sound, though the sound begins late."""
    window = Window(1.0, per_s=12, width=8, height=8, rate_hz=12_000)
    files, starts = {"mp4": _ticking()}, set()
    for k in range(12):
        found = window.read(files, np.random.default_rng(k))
        again = window.cut(window.whole(files), np.random.default_rng(k))
        assert all((found[name] == again[name]).all() for name in ("pictures", "sound", "start_s"))
        shown = np.rint(found["pictures"].mean((1, 2, 3)) / 5).astype(int)
        first = round(float(found["start_s"]) * 12)
        assert shown.tolist() == list(range(first, first + 12))
        loud = np.abs(found["sound"].reshape(12, 1000)).mean(1) > 0.25
        assert loud.tolist() == [k % 10 == 0 and k >= 6 for k in shown]
        starts.add(first)
    assert len(starts) > 5
    whole = window.whole(files)
    assert window.starts(float(whole["length_s"])) == 37


def test_a_short_clip_ends_in_its_last_picture_and_in_silence() -> None:
    window = Window(6.0, per_s=2, width=8, height=8, rate_hz=1_000, place="centre")
    found = window.read({"mp4": _ticking()}, np.random.default_rng(0))
    assert found["start_s"] == 0
    assert np.rint(found["pictures"].mean((1, 2, 3)) / 5).tolist() == [0, 6, 12, 18, 24, 30, 36, 42, *[47] * 4]
    assert found["sound"].shape == (6_000,)
    assert np.abs(found["sound"][:4_000]).max() > 0.25
    assert (found["sound"][4_000:] == 0).all()


@pytest.mark.parametrize("data", [_ticking(), synthetic.mp4(0)], ids=["both sides", "one side"])
def test_pictures_that_are_not_decoded_change_none_that_are(data: bytes) -> None:
    with opened(data) as clip:
        every = moments.pictures(data, [clip.time_s(f) for f in clip.frames(clip.require_video())], 16, 16)
    for times in ([0.0], [1.3], [0.1, 1.9, 1.0], [9.0], [0.5, 0.5]):
        wanted = [min(int(t * 12 + 1e-6), len(every) - 1) for t in times]
        assert (moments.pictures(data, times, 16, 16) == every[wanted]).all()
    cut = moments.pictures(data, [0.0], 16, 16, crop=True)
    assert cut.shape == (1, 16, 16, 3)


def test_a_clip_without_sound_or_pictures_is_none() -> None:
    with pytest.raises(SampleFailed, match="not a media file"):
        SMALL.read({"mp4": b"nothing" * 100}, np.random.default_rng(0))
    with pytest.raises(ConfigError, match="pictures or sound"):
        Window(1.0, per_s=0, rate_hz=0)
