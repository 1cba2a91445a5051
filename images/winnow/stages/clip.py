"""Clip: source videos become clips, the samples that everything after this measures. The one fan-out stage.

A candidate with times becomes the clip that its list asks for. Any other is cut into windows: fixed ones, one after the
other, or one in the middle of each shot. A clip's id is made of its video and its times, so two candidates that ask for
the same seconds make one clip, and the second of them says so.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from winnow.core.lake import sha256_bytes
from winnow.core.sample import Outcome, Reason, SampleFailed, clip_id
from winnow.core.stage import Batch, Resources, Sample, Stage, StageParams

if TYPE_CHECKING:
    from winnow.media.clip_cutter import Piece
    from winnow.media.video_index import Footage


@dataclass(frozen=True)
class Window:
    """A stretch of a video to cut, s; how it was found, and in which shot."""

    start_s: float
    end_s: float
    kind: str
    shot: int | None = None


class Clip(Stage):
    """Cuts clips; a shard's clips are one WebDataset tar of `<sample_id>.mp4` and `<sample_id>.json`."""

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
    }
    resources = Resources(cpu=1, memory_mb=2048)

    class Params(StageParams):
        """`window` says how videos without listed times are cut, `window_s` how long a clip is.

        fixed: windows one after the other, what is left at the end from `tail_s` on; with `hop_s`, a whole window
        every `hop_s` (AudioScope: 5 s every second). shot: the middle of each shot (`winnow.media.shots`). diverse: the
        middle of up to `max_clips` shots of at least that length that look different (`winnow.media.diverse_shots`,
        ACAV100M), shots found at `scene_threshold`, percent of change; `seed` draws the first. Encoding: libx264's
        preset and crf."""

        window: Literal["fixed", "shot", "diverse"] = "fixed"
        window_s: float = Field(10.0, gt=0, le=600)
        hop_s: float | None = Field(None, gt=0)
        tail_s: float = Field(2.0, ge=0)
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
        from winnow.media.video_index import scan

        av.logging.set_level(None)
        self._scan, self._cut = scan, cut
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
                traceback.print_exc(file=sys.stderr)
                failure = SampleFailed(Reason.internal_error, type(error).__name__)
                yield from (_failed(sample, failure) for sample in samples)

    def _video(self, footage: Footage, samples: list[Sample], batch: Batch, done: dict[str, str]) -> list[Outcome]:
        """All outcomes of one video's candidates. `done` names, for every clip of the shard, the candidate it is of."""
        outcomes: list[Outcome] = []
        wanted: list[tuple[Sample, Window, str]] = []
        cut_windows: list[Window] | None = None
        claimed: dict[str, str] = {}
        for sample in samples:
            try:
                if sample.row["start_s"] is not None or sample.row["end_s"] is not None:
                    windows = [self._listed(footage, sample)]
                else:
                    windows = cut_windows = cut_windows or self._windows(footage, str(sample.row["video_id"]))
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
        for number, result in self._cut(footage, stretches, batch.work, self._encoding):
            sample, window, clip = wanted[number]
            if isinstance(result, SampleFailed):
                lost[sample.id].append(result)
            else:
                outcomes.append(_made(sample, window, clip, result))
        for sample in samples:
            if failures := lost.get(sample.id):
                first = failures[0]
                count = sum(owner.id == sample.id for owner, _, _ in wanted)
                some = f"{len(failures)} of its {count} clips: " if count > 1 else ""
                outcomes.append(_failed(sample, SampleFailed(first.reason, some + first.detail)))
        return outcomes

    def _listed(self, footage: Footage, sample: Sample) -> Window:
        """The stretch that a list asks for, as far as the video goes: a missing start is the video's, a missing end is
        `window_s` later."""
        start_s = float(sample.row["start_s"] or 0.0)
        end_s = sample.row["end_s"]
        end_s = start_s + self.params.window_s if end_s is None else float(end_s)
        if start_s >= footage.end_s - footage.half_s:
            raise SampleFailed(
                Reason.outside_media, f"asks for {start_s:.3f} to {end_s:.3f} s of a video of {footage.end_s:.3f} s"
            )
        return Window(max(start_s, round(footage.first_s, 3)), min(end_s, round(footage.end_s, 3)), "times")

    def _windows(self, footage: Footage, video_id: str) -> list[Window]:
        """Windows of a video without listed times; at least one, however short the video is."""
        length_s, first_s, end_s = self.params.window_s, footage.first_s, footage.end_s
        if self.params.window == "shot":
            from winnow.media.diverse_shots import middle
            from winnow.media.shots import shots

            found = enumerate(shots(footage, self.params.shot_threshold, self.params.shot_min_s))
            return [Window(*middle(start, end, length_s), "shot", shot) for shot, (start, end) in found]
        if self.params.window == "diverse":
            from winnow.media.diverse_shots import scan_scenes, windows

            limits = {"count": self.params.max_clips, "threshold": self.params.scene_threshold}
            seed = (
                self.params.seed,
                int(video_id, 16),
            )  # of the video, so it does not matter what else is in the shard
            chosen = windows(scan_scenes(footage), length_s=length_s, seed=seed, **limits)
            return [Window(found.start_s, found.end_s, "diverse", found.shot) for found in chosen]
        if self.params.hop_s:
            starts = int((end_s - first_s - length_s + footage.half_s) / self.params.hop_s) + 1
            edges = [first_s + i * self.params.hop_s for i in range(max(0, starts))] or [first_s]
            return [Window(round(a, 3), round(min(a + length_s, end_s), 3), "fixed") for a in edges]
        count = int((end_s - first_s + footage.half_s) / length_s)
        edges = [first_s + i * length_s for i in range(count + 1)]
        if not count or end_s - edges[-1] >= max(self.params.tail_s, 2 * footage.half_s):
            edges.append(end_s)
        return [Window(round(a, 3), round(min(b, end_s), 3), "fixed") for a, b in pairwise(edges)]


def _failed(sample: Sample, failure: SampleFailed) -> Outcome:
    """A candidate without a clip, or with fewer than it should have."""
    kept = {"candidate_id": sample.id, "video_id": sample.row["video_id"]}
    return Outcome.failed(sample.id, failure.reason, failure.detail, parent=sample.id, values=kept)


def _made(sample: Sample, window: Window, clip: str, piece: Piece) -> Outcome:
    """A clip: its row, its file, and a small record beside it for readers of the tar alone."""
    row = sample.row
    times = {"start_s": window.start_s, "end_s": window.end_s}
    record = {"sample_id": clip, "candidate_id": sample.id, "video_id": row["video_id"], "url": row["url"], **times}
    values = {
        "candidate_id": sample.id,
        "video_id": row["video_id"],
        **times,
        "duration_s": piece.duration_s,
        "window": window.kind,
        "shot_index": window.shot,
        "cut": "copy" if piece.copied else "encode",
        "media_sha256": sha256_bytes(piece.data),
        "media_bytes": len(piece.data),
        "width": piece.width,
        "height": piece.height,
        "fps": piece.fps,
        "has_audio": piece.has_audio,
        "av_offset_s": piece.av_offset_s,
    }
    files = {"mp4": piece.data, "json": json.dumps(record, sort_keys=True, ensure_ascii=False).encode()}
    return Outcome.ok(clip, values, parent=sample.id, files=files)
