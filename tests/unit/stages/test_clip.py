"""Clip: which windows a candidate becomes, what its rows and files say, and what becomes of the rest."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import av
import pytest

from tests.unit.flashes import Recipe, make
from tests.unit.media.test_cut import scenes
from winnow.core import table
from winnow.core.errors import ContractError
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.sample import Outcome, Reason, candidate_id, clip_id, sid
from winnow.core.settings import Settings
from winnow.core.shard_tar import Kept, Spool
from winnow.core.stage import Batch, Sample, parse_params
from winnow.stages.clip import Clip

BASE = Recipe("base", seconds=23.52, gop=50, width=64, height=48)


class Clipper:
    """A clip stage over one lake, with videos put into it."""

    def __init__(self, tmp_path: Path, **params: object) -> None:
        self.tmp_path, self.lake = tmp_path, Lake(tmp_path / "lake")
        self.stage = Clip(parse_params(Clip, {"preset": "ultrafast", **params}), self.lake, Settings())
        self.stage.setup()

    def put(self, source: Recipe | Path | bytes) -> str:
        """A video in the lake; its digest."""
        path = self.tmp_path / "source.mp4"
        if isinstance(source, Recipe):
            make(source, path)
        elif isinstance(source, bytes):
            path.write_bytes(source)
        else:
            path = source
        return self.lake.put_media(path, "mp4")

    def __call__(self, *wanted: tuple[str, float | None, float | None]) -> list[Outcome]:
        """Outcomes for candidates given as (digest, start, end)."""
        samples = []
        for sha256, start_s, end_s in wanted:
            video = sid("video", sha256)
            row = {
                "video_id": video,
                "url": f"http://a.test/{sha256[:4]}.mp4",
                "start_s": start_s,
                "end_s": end_s,
                "media_sha256": sha256,
                "media_ext": "mp4",
            }
            samples.append(Sample(candidate_id(video, start_s, end_s), row))
        samples.sort(key=lambda s: s.id)
        work = self.tmp_path / "work"
        work.mkdir(exist_ok=True)
        spool = Spool(self.tmp_path / "spool")
        found = list(self.stage.process(Batch(samples, work, spool=spool)))
        assert all(isinstance(file, Kept) for o in found for file in o.files.values()), "clips wait on the disk"
        found = [replace(o, files={ext: file.read() for ext, file in o.files.items()}) for o in found]
        spool.close()
        assert {o.parent for o in found} == {s.id for s in samples}
        assert list(work.iterdir()) == []
        table.from_outcomes(found, Clip.schema, "clip")
        return found


def times(outcomes: list[Outcome]) -> list[tuple[float, float]]:
    return sorted((o.values["start_s"], o.values["end_s"]) for o in outcomes if o.reason is None)


def test_fixed_windows_and_their_tail(tmp_path: Path) -> None:
    clip = Clipper(tmp_path)
    video = clip.put(BASE)
    found = clip((video, None, None))
    assert times(found) == [(0.0, 10.0), (10.0, 20.0), (20.0, 23.52)]
    assert {o.values["window"] for o in found} == {"fixed"}
    assert {o.values["cut"] for o in found} == {"copy"}
    assert {o.values["shot_index"] for o in found} == {None}
    first = min(found, key=lambda o: o.values["start_s"])
    video_id = sid("video", video)
    assert first.sample_id == clip_id(video_id, 0.0, 10.0)
    assert first.parent == first.values["candidate_id"] == candidate_id(video_id, None, None)
    assert set(first.values) == set(Clip.schema)
    assert (first.values["duration_s"], first.values["fps"], first.values["has_audio"]) == (10.0, 25.0, True)
    assert (first.values["width"], first.values["height"], first.values["av_offset_s"]) == (64, 48, 0.0)
    assert set(first.files) == {"mp4", "json"}
    assert first.values["media_sha256"] == sha256_bytes(first.files["mp4"])
    assert first.values["media_bytes"] == len(first.files["mp4"])
    assert json.loads(first.files["json"]) == {
        "sample_id": first.sample_id,
        "candidate_id": first.parent,
        "video_id": video_id,
        "url": f"http://a.test/{video[:4]}.mp4",
        "start_s": 0.0,
        "end_s": 10.0,
    }
    with av.open(io.BytesIO(first.files["mp4"])) as container:
        assert container.duration == pytest.approx(10e6, abs=50_000)


@pytest.mark.parametrize(
    ("seconds", "params", "wanted"),
    [
        (21.52, {}, [(0.0, 10.0), (10.0, 20.0)]),
        (21.52, {"tail_s": 1.0}, [(0.0, 10.0), (10.0, 20.0), (20.0, 21.52)]),
        (20.0, {"tail_s": 0.0}, [(0.0, 10.0), (10.0, 20.0)]),
        (19.96, {}, [(0.0, 10.0), (10.0, 19.96)]),
        (1.2, {}, [(0.0, 1.2)]),
        (9.0, {"window_s": 4.0}, [(0.0, 4.0), (4.0, 8.0)]),
        (10.0, {"window_s": 10.0}, [(0.0, 10.0)]),
    ],
)
def test_tails(tmp_path: Path, seconds: float, params: dict, wanted: list[tuple[float, float]]) -> None:
    clip = Clipper(tmp_path, **params)
    assert times(clip((clip.put(replace(BASE, seconds=seconds)), None, None))) == wanted


def test_listed_times(tmp_path: Path) -> None:
    clip = Clipper(tmp_path, window_s=5.0)
    video = clip.put(BASE)
    found = clip((video, 2.5, 7.0), (video, 20.0, None), (video, None, 3.0), (video, 22.0, 40.0))
    assert times(found) == [(0.0, 3.0), (2.5, 7.0), (20.0, 23.52), (22.0, 23.52)]
    assert {o.values["window"] for o in found} == {"times"}


def test_times_outside_and_between_pictures(tmp_path: Path) -> None:
    clip = Clipper(tmp_path)
    video = clip.put(BASE)
    outside, empty, kept = (
        next(o for o in clip((video, start, end), (video, 0.0, 2.0)) if (o.values.get("start_s") == 0.0) is ok)
        for start, end, ok in ((4000.0, 4010.0, False), (1.021, 1.03, False), (5.0, 6.0, True))
    )
    assert outside.reason is Reason.outside_media
    assert outside.detail == "asks for 4000.000 to 4010.000 s of a video of 23.520 s"
    assert outside.sample_id == outside.parent == outside.values["candidate_id"]
    assert empty.reason is Reason.empty_clip
    assert kept.reason is None


def test_one_window_in_the_middle_of_each_shot(tmp_path: Path) -> None:
    clip = Clipper(tmp_path, window="shot", window_s=3.0)
    found = clip((clip.put(scenes(tmp_path / "s.mp4", [5.0, 2.0, 4.0])), None, None))
    assert times(found) == [(1.0, 4.0), (5.0, 7.0), (7.5, 10.5)]
    assert sorted((o.values["start_s"], o.values["shot_index"]) for o in found) == [(1.0, 0), (5.0, 1), (7.5, 2)]
    assert {o.values["window"] for o in found} == {"shot"}


def test_two_candidates_that_ask_for_the_same_seconds_make_one_clip(tmp_path: Path) -> None:
    clip = Clipper(tmp_path)
    video = clip.put(replace(BASE, seconds=8.0))
    found = clip((video, None, None), (video, 0.0, 8.0), (video, 1.0, 3.0))
    assert times(found) == [(0.0, 8.0), (1.0, 3.0)]
    (again,) = (o for o in found if o.reason)
    owner = next(o for o in found if o.reason is None and o.values["end_s"] == 8.0)
    assert (again.reason, again.detail) == (Reason.duplicate_row, f"asks for the clips of candidate {owner.parent}")


def test_the_same_bytes_under_two_addresses_are_two_videos(tmp_path: Path) -> None:
    clip = Clipper(tmp_path)
    sha256 = clip.put(replace(BASE, seconds=4.0))
    rows = [
        Sample(
            letter * 20,
            {
                "video_id": letter * 20,
                "url": "u",
                "start_s": None,
                "end_s": None,
                "media_sha256": sha256,
                "media_ext": "mp4",
            },
        )
        for letter in "ab"
    ]
    found = list(clip.stage.process(Batch(rows, tmp_path)))
    assert [o.reason for o in found] == [None, None]
    assert len({o.sample_id for o in found}) == 2
    assert len({o.values["media_sha256"] for o in found}) == 1


def test_a_bad_video_fails_its_own_candidates_only(tmp_path: Path) -> None:
    clip = Clipper(tmp_path)
    good, bad = clip.put(replace(BASE, seconds=4.0)), clip.put(b"no video " * 100)
    found = clip((good, None, None), (bad, None, None), (bad, 1.0, 2.0))
    assert times(found) == [(0.0, 4.0)]
    failed = [o for o in found if o.reason]
    assert {o.reason for o in failed} == {Reason.undecodable}
    assert len(failed) == 2


def test_a_video_that_is_not_there_ends_the_shard(tmp_path: Path) -> None:
    """The lake lost it: no fault of a sample."""
    with pytest.raises(ContractError, match=r"media/00/0000.* is not there: run `winnow verify --all`"):
        Clipper(tmp_path)(("0" * 64, None, None))


def test_a_partly_damaged_video_gives_its_good_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from winnow.core.sample import SampleFailed
    from winnow.media.clip_writer import ClipFile

    inner = ClipFile.finish

    def finish(self):
        encoded = inner(self)
        if self.start > 9:
            raise SampleFailed(Reason.undecodable, "9 of 10 pictures are damaged")
        return encoded

    monkeypatch.setattr(ClipFile, "finish", finish)
    clip = Clipper(tmp_path)
    found = clip((clip.put(BASE), None, None))
    assert times(found) == [(0.0, 10.0)]
    (failed,) = (o for o in found if o.reason)
    assert failed.detail == (
        "2 of its 3 clips: 10.000 to 20.000 s: 9 of 10 pictures are damaged; "
        "20.000 to 23.520 s: 9 of 10 pictures are damaged"
    )


def test_a_video_without_sound_says_so(tmp_path: Path) -> None:
    clip = Clipper(tmp_path)
    (found,) = clip((clip.put(replace(BASE, audio=None, seconds=4.0)), None, None))
    assert (found.values["has_audio"], found.values["av_offset_s"]) == (False, None)


def test_the_same_bytes_from_any_lake(tmp_path: Path) -> None:
    digests = []
    for name in ("one", "two"):
        clip = Clipper(tmp_path / name) if (tmp_path / name).mkdir() is None else None
        video = clip.put(BASE)
        found = clip((video, None, None), (video, 1.3, 4.7))
        digests.append(sorted((o.sample_id, o.values["media_sha256"]) for o in found))
    assert digests[0] == digests[1]
