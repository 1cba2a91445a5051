"""Clip: source videos become clips, the samples that everything after this measures. The one fan-out stage.

A candidate with times becomes the clip that its list asks for. Any other is cut into windows: fixed ones, one after the
other, or one in the middle of each shot. A clip's id is made of its video and its times, so two candidates that ask for
the same seconds make one clip, and the second of them says so.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from winnow.core import own_fault
from winnow.core.lake import sha256_bytes
from winnow.core.sample import Outcome, Reason, SampleFailed, clip_id
from winnow.core.stage import Batch, Resources, Sample, Stage, StageParams

if TYPE_CHECKING:
    from winnow.media.clip_cutter import EncodedClip
    from winnow.media.video_index import VideoIndex


#: What containers round times to, s: it does not decide whether a last window is long enough.
ROUNDING_S = 0.002
#: A clip is as long as its window to within this, or to within a picture.
LENGTH_S = 0.1
#: A picture that stands for longer without any sound, s, is a clock that nobody can believe: a file of a few packets
#: would give clips without end.
STANDS_S = 600.0
#: Clips that could not be made and that a row names one by one.
NAMED = 5


@dataclass(frozen=True)
class Window:
    """A stretch of a video to cut, s; how it was found, and in which shot."""

    start_s: float
    end_s: float
    kind: str
    shot: int | None = None


class Clip(Stage):
    """Cuts clips; a shard's clips are one WebDataset tar of `<sample_id>.mp4` and `<sample_id>.json`.

    Of the source's file a row says how many tracks of sound it has, in which languages ('und' where it does not say),
    and which of them, counted from 0, was taken (`winnow.media.streams`); by how many degrees, counter-clockwise, its
    pictures were turned, whether they were mirrored, and whether its time stamps had to be repaired.
    """

    name, image, needs, sidecar = "clip", "media", ("fetch",), "tar"
    schema = {
        "candidate_id": "string",
        "video_id": "string",
        "start_s": "double",
        "end_s": "double",
        "duration_s": "double",
        "window": "string",
        "shot_index": "int64",
        "cut": "string",
        "media_sha256": "string",
        "media_bytes": "int64",
        "width": "int64",
        "height": "int64",
        "fps": "double",
        "has_audio": "bool",
        "av_offset_s": "double",
        "sound_tracks": "int64",
        "sound_languages": "string[]",
        "sound_track": "int64",
        "rotation": "int64",
        "mirrored": "bool",
        "times_repaired": "bool",
    }
    resources = Resources(cpu=1, memory_mb=2048)

    class Params(StageParams):
        """`window` says how videos without listed times are cut, `window_s` how long a clip is.

        fixed: windows one after the other, what is left at the end from `tail_s` on; with `hop_s`, a whole window
        every `hop_s` (AudioScope: 5 s every second). shot: the middle of each shot (`winnow.media.shots`). diverse: the
        middle of up to `max_clips` shots of at least that length that look different (`winnow.media.diverse_shots`,
        ACAV100M), shots found at `scene_threshold`, percent of change; `seed` draws the first. A video that would give
        more than `max_windows` windows fails as too_large, as does one of fixed windows in which a picture stands for
        ten minutes without sound. Encoding: libx264's preset and crf."""

        window: Literal["fixed", "shot", "diverse"] = "fixed"
        window_s: float = Field(10.0, gt=0, le=600)
        hop_s: float | None = Field(None, gt=0)
        tail_s: float = Field(2.0, ge=0)
        max_windows: int = Field(20_000, ge=1)
        shot_threshold: float = Field(27.0, gt=0, le=255)
        shot_min_s: float = Field(1.0, gt=0)
        max_clips: int = Field(3, ge=1, le=1000)
        scene_threshold: float = Field(10.0, gt=0, le=100)
        seed: int = Field(98052, ge=0)
        preset: str = "veryfast"
        crf: int = Field(21, ge=0, le=51)

    def setup(self) -> None:
        """Import libav; its own messages go nowhere, what matters of them is in the rows."""
        from winnow.media.clip_cutter import Encoding, cut
        from winnow.media.ffmpeg import av
        from winnow.media.packets import said
        from winnow.media.video_index import scan

        av.logging.set_level(None)
        self._scan, self._cut, self._said = scan, cut, said
        self._encoding = Encoding(self.params.preset, self.params.crf)

    def process(self, batch: Batch) -> Iterator[Outcome]:
        """Videos one after the other; the candidates of one video are cut in one pass over it."""
        videos: dict[tuple[str, str], list[Sample]] = defaultdict(list)
        for sample in batch:
            videos[str(sample.row["media_sha256"]), str(sample.row["media_ext"])].append(sample)
        done: dict[str, str] = {}
        for (sha256, ext), samples in videos.items():
            try:
                with self.lake.open_media(sha256, ext) as path:
                    yield from self._video(self._scan(path), samples, batch, done)
            except SampleFailed as failure:
                yield from (_failed(sample, failure) for sample in samples)
            except Exception as error:
                found = self._said(error) or own_fault.internal_error(error)
                yield from (_failed(sample, found) for sample in samples)

    def _video(self, index: VideoIndex, samples: list[Sample], batch: Batch, done: dict[str, str]) -> list[Outcome]:
        """All outcomes of one video's candidates. `done` names, for every clip of the shard, the candidate it is of."""
        outcomes: list[Outcome] = []
        wanted: list[tuple[Sample, Window, str]] = []
        cut_windows: list[Window] | None = None
        claimed: dict[str, str] = {}
        for sample in samples:
            try:
                if sample.row["start_s"] is not None or sample.row["end_s"] is not None:
                    windows = [self._listed(index, sample)]
                else:
                    windows = cut_windows = cut_windows or self._windows(index, str(sample.row["video_id"]))
            except SampleFailed as failure:
                outcomes.append(_failed(sample, failure))
                continue
            new = []
            for window in windows:
                clip = clip_id(str(sample.row["video_id"]), window.start_s, window.end_s)
                if clip not in done and clip not in claimed:
                    claimed[clip] = sample.id
                    new.append((sample, window, clip))
            wanted += new
            if not new:
                other = done.get(clip) or claimed[clip]
                same = SampleFailed(Reason.duplicate_row, f"asks for the clips of candidate {other}")
                outcomes.append(_failed(sample, same))
        done |= claimed
        stretches = [(window.start_s, window.end_s) for _, window, _ in wanted]
        lost: dict[str, list[SampleFailed]] = defaultdict(list)
        for number, result in self._cut(index, stretches, batch.work, self._encoding):
            sample, window, clip = wanted[number]
            result = _as_long(window, result, index.half_s)
            if isinstance(result, SampleFailed):
                lost[sample.id].append(_of(window, result))
            else:
                outcomes.append(_made(sample, window, clip, result, index, batch))
        for sample in samples:
            if failures := lost.get(sample.id):
                failures.sort(key=lambda failure: failure.reason is Reason.empty_clip)
                count = sum(owner.id == sample.id for owner, _, _ in wanted)
                some = f"{len(failures)} of its {count} clips: " if count > 1 else ""
                told = "; ".join(failure.detail for failure in failures[:NAMED])
                more = f"; and {len(failures) - NAMED} more" if len(failures) > NAMED else ""
                outcomes.append(_failed(sample, SampleFailed(failures[0].reason, some + told + more)))
        return outcomes

    def _listed(self, index: VideoIndex, sample: Sample) -> Window:
        """The stretch that a list asks for, as far as the video goes: a missing start is the video's, a missing end is
        `window_s` later."""
        start_s = float(sample.row["start_s"] or 0.0)
        end_s = sample.row["end_s"]
        end_s = start_s + self.params.window_s if end_s is None else float(end_s)
        if start_s >= index.end_s - index.half_s:
            raise SampleFailed(
                Reason.outside_media, f"asks for {start_s:.3f} to {end_s:.3f} s of a video of {index.end_s:.3f} s"
            )
        return Window(max(start_s, round(index.first_s, 3)), min(end_s, round(index.end_s, 3)), "times")

    def _windows(self, index: VideoIndex, video_id: str) -> list[Window]:
        """Windows of a video without listed times; at least one, however short the video is."""
        length_s, first_s, end_s = self.params.window_s, index.first_s, index.end_s
        if self.params.window == "shot":
            from winnow.media.diverse_shots import middle
            from winnow.media.shots import shots

            found = shots(index, self.params.shot_threshold, self.params.shot_min_s)
            self._bound(len(found))
            return [Window(*middle(start, end, length_s), "shot", shot) for shot, (start, end) in enumerate(found)]
        if self.params.window == "diverse":
            from winnow.media.diverse_shots import scan_scenes, windows

            params = self.params
            seed = (params.seed, int(video_id, 16))  # of the video: what else is in the shard does not matter
            count, threshold = params.max_clips, params.scene_threshold
            chosen = windows(scan_scenes(index), length_s=length_s, count=count, threshold=threshold, seed=seed)
            return [Window(found.start_s, found.end_s, "diverse", found.shot) for found in chosen]
        half_s, params = index.half_s, self.params
        if index.silent_s > STANDS_S:
            what = f"a picture stands for {index.silent_s:.0f} s without sound, by the file's clock: list times"
            raise SampleFailed(Reason.too_large, what)
        if params.hop_s:
            count = int((end_s - first_s - length_s + half_s) / params.hop_s) + 1
            self._bound(count)
            edges = [first_s + i * params.hop_s for i in range(max(0, count))] or [first_s]
            return [Window(round(a, 3), round(min(a + length_s, end_s), 3), "fixed") for a in edges]
        count = int((end_s - first_s + half_s) / length_s)
        self._bound(count + 1)
        edges = [first_s + i * length_s for i in range(count + 1)]
        if not count or end_s - edges[-1] >= max(params.tail_s, 2 * half_s) - ROUNDING_S:
            edges.append(end_s)
        return [Window(round(a, 3), round(min(b, end_s), 3), "fixed") for a, b in pairwise(edges)]

    def _bound(self, count: int) -> None:
        """Fail a video that would give more windows than `max_windows`, by its clock."""
        if count > self.params.max_windows:
            what = f"{count} windows are more than max_windows ({self.params.max_windows}): raise it, or list times"
            raise SampleFailed(Reason.too_large, what)


def _as_long(window: Window, made: EncodedClip | SampleFailed, half_s: float) -> EncodedClip | SampleFailed:
    """A clip that is as long as its window, or what is wrong with it."""
    if isinstance(made, SampleFailed):
        return made
    asked_s = window.end_s - window.start_s
    if abs(made.duration_s - asked_s) <= max(LENGTH_S, 2 * half_s):
        return made
    return SampleFailed(Reason.undecodable, f"its pictures last {made.duration_s:.3f} s, not {asked_s:.3f} s")


def _of(window: Window, failure: SampleFailed) -> SampleFailed:
    """A failure with its window's times before it."""
    if failure.reason is Reason.empty_clip:
        return failure
    return SampleFailed(failure.reason, f"{window.start_s:.3f} to {window.end_s:.3f} s: {failure.detail}")


def _failed(sample: Sample, failure: SampleFailed) -> Outcome:
    """A candidate without a clip, or with fewer than it should have."""
    kept = {"candidate_id": sample.id, "video_id": sample.row["video_id"]}
    return Outcome.failed(sample.id, failure.reason, failure.detail, parent=sample.id, values=kept)


def _made(sample: Sample, window: Window, clip: str, encoded: EncodedClip, index: VideoIndex, batch: Batch) -> Outcome:
    """A clip: its row, its file, and a small record beside it for readers of the tar alone."""
    row = sample.row
    times = {"start_s": window.start_s, "end_s": window.end_s}
    record = {"sample_id": clip, "candidate_id": sample.id, "video_id": row["video_id"], "url": row["url"], **times}
    values = {
        "candidate_id": sample.id,
        "video_id": row["video_id"],
        **times,
        "duration_s": encoded.duration_s,
        "window": window.kind,
        "shot_index": window.shot,
        "cut": "copy" if encoded.copied else "encode",
        "media_sha256": sha256_bytes(encoded.data),
        "media_bytes": len(encoded.data),
        "width": encoded.width,
        "height": encoded.height,
        "fps": encoded.fps,
        "has_audio": encoded.has_audio,
        "av_offset_s": encoded.av_offset_s,
        "sound_tracks": index.tracks.sounds,
        "sound_languages": list(index.tracks.languages),
        "sound_track": index.tracks.taken,
        "rotation": index.rotation,
        "mirrored": index.look.mirrored,
        "times_repaired": index.repaired,
    }
    text = json.dumps(record, sort_keys=True, ensure_ascii=False).encode()
    files = {"mp4": batch.keep(encoded.data), "json": batch.keep(text)}
    return Outcome.ok(clip, values, parent=sample.id, files=files)
