"""Scenes: up to n clips of one video, each from the middle of a shot, chosen to look different from one another.

After ACAV100M's clip segmentation (released code, `clip segmentation`; spec §4): FFmpeg's `scdet` scores every picture;
a score of `threshold` percent or more begins a shot; while fewer shots than wanted are long enough, the threshold is
raised by a fifth, up to 100; a shot gives the window in its middle; without any, the video's middle does. Among more
shots than wanted the first is drawn, and each next one is that which shares fewest pictures with those chosen.

Where this differs. The stretch after the last boundary is a shot here; the released code loses it. Where no threshold
gives enough shots, the lowest of those that give most counts; there the last one tried does, which joins what was
found. "Shares pictures" is measured with a perceptual hash (pHash of pictures taken twice a second, two of them the
same where at most `SAME_BITS` of 64 bits differ) and there with FFmpeg's MPEG-7 video `signature`, which is sensitive
to finer detail and compares runs of pictures rather than single ones; for telling apart shots of one video either does.
Scores are computed once: raising the threshold needs no second pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from winnow.media import streams
from winnow.media.ffmpeg import av
from winnow.media.shots import pictures
from winnow.media.video_index import VideoIndex, open_media

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Percent of the largest possible change; the threshold is raised by this factor and no further than to the last.
RAISE, HIGHEST = 1.2, 100.0
#: Pictures a second that are hashed; bits of 64 in which two hashes of one picture may differ.
HASH_HZ, SAME_BITS = 2.0, 8
_SIDE = 32  # pHash looks at 32×32 pixels


@dataclass(frozen=True)
class Scenes:
    """What one pass over a video says: when each picture is shown (s) and how much it differs from the one before it
    (scdet's score, percent); and, for pictures at HASH_HZ, when they are shown and their hashes (uint64)."""

    first_s: float
    end_s: float
    times_s: np.ndarray
    scores: np.ndarray
    hash_times_s: np.ndarray
    hashes: np.ndarray

    def shots(self, threshold: float) -> list[tuple[float, float]]:
        """Shots (start, end) in s, without gaps: a picture whose score reaches `threshold` begins one."""
        cuts = self.times_s[(self.scores >= threshold) & (self.times_s > self.first_s)]
        return [(a, b) for a, b in pairwise([self.first_s, *cuts.tolist(), self.end_s]) if b > a]

    def hashed(self, start_s: float, end_s: float) -> np.ndarray:
        """Hashes of the pictures of a stretch."""
        return self.hashes[(self.hash_times_s >= start_s) & (self.hash_times_s < end_s)]


def scan_scenes(index: VideoIndex) -> Scenes:
    """One pass over a video's pictures: every one is scored, some are hashed."""
    times: list[float] = []
    scores: list[float] = []
    hash_times: list[float] = []
    small: list[np.ndarray] = []
    with open_media(index.path) as container:
        stream = streams.pictures_of(container, index.video.index)
        stream.thread_type, stream.codec_context.thread_count = "NONE", 1
        graph, shape = None, None
        shrink = av.video.reformatter.VideoReformatter()
        for frame in pictures(index, container, stream):
            if frame.pts is None or not index.shown[0] <= frame.pts <= index.shown[-1]:
                continue
            seen = (frame.width, frame.height, frame.format.name)
            if graph is None or seen != shape:
                graph, shape = _scdet(frame, stream), seen
            time_s = index.time_s(frame.pts)
            if not hash_times or int(time_s * HASH_HZ + 1e-3) > int(hash_times[-1] * HASH_HZ + 1e-3):
                hash_times.append(time_s)
                small.append(shrink.reformat(frame, _SIDE, _SIDE, "gray", interpolation="AREA").to_ndarray())
            graph.push(frame)
            times.append(time_s)
            scores.append(float(graph.pull().metadata.get("lavfi.scd.score", 0.0)))
    return Scenes(index.first_s, index.end_s, np.array(times), np.array(scores), np.array(hash_times), _hashes(small))


def windows(scenes: Scenes, *, length_s: float, count: int, threshold: float, seed: Sequence[int]) -> list[Found]:
    """Up to `count` windows of `length_s`, in the order of time, each with the number of its shot among all shots at
    the threshold that was used; one window without a shot, the video's middle, when no shot is long enough."""
    able: list[Found] = []
    while len(able) < count and threshold <= HIGHEST:
        long = [(i, shot) for i, shot in enumerate(scenes.shots(threshold)) if shot[1] - shot[0] >= length_s - 1e-6]
        if len(long) > len(able):
            able = [Found(*middle(*shot, length_s), i) for i, shot in long]
        threshold = min(RAISE * threshold, HIGHEST) if threshold < HIGHEST else HIGHEST + 1
    if not able:
        return [Found(*middle(scenes.first_s, scenes.end_s, length_s), None)]
    if len(able) > count:
        able = diverse(able, [scenes.hashed(w.start_s, w.end_s) for w in able], count, seed)
    return sorted(able, key=lambda window: window.start_s)


@dataclass(frozen=True)
class Found:
    """A window, s, and the shot it is the middle of."""

    start_s: float
    end_s: float
    shot: int | None


def middle(start_s: float, end_s: float, length_s: float) -> tuple[float, float]:
    """The window in the middle of a stretch; the whole of one that is not longer than it. Times to the millisecond."""
    spare_s = max(0.0, end_s - start_s - length_s) / 2
    return round(start_s + spare_s, 3), round(end_s - spare_s, 3)


def diverse(able: list[Found], hashes: list[np.ndarray], count: int, seed: Sequence[int]) -> list[Found]:
    """`count` of the windows: the first by lot, each next one that whose pictures match fewest of those chosen (of
    equal ones the first by lot). Released code: `diversity_greedy`."""
    order = np.random.Generator(np.random.PCG64(list(seed))).permutation(len(able)).tolist()
    chosen, left = [order[0]], order[1:]
    matches = dict.fromkeys(left, 0)
    while len(chosen) < count:
        for i in left:
            matches[i] += same_pictures(hashes[i], hashes[chosen[-1]])
        best = min(left, key=lambda i: matches[i])  # the first of equals in the drawn order
        chosen.append(best)
        left.remove(best)
    return [able[i] for i in chosen]


def same_pictures(a: np.ndarray, b: np.ndarray) -> int:
    """How many pictures of `a` (hashes, uint64) have one in `b` that is the same to the eye."""
    if not len(a) or not len(b):
        return 0
    return int((np.bitwise_count(a[:, None] ^ b[None, :]) <= SAME_BITS).any(axis=1).sum())


def _scdet(frame: av.VideoFrame, stream: av.video.stream.VideoStream) -> av.filter.Graph:
    """A filter graph that scores pictures like this one. Its own threshold only marks boundaries; nobody reads them."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=stream.time_base, name="in"
    )
    detect, sink = graph.add("scdet"), graph.add("buffersink")
    source.link_to(detect)
    detect.link_to(sink)
    graph.configure()
    return graph


def _hashes(small: list[np.ndarray]) -> np.ndarray:
    """64-bit pHash of each picture, uint64."""
    import imagehash
    from PIL import Image

    bits = [imagehash.phash(Image.fromarray(picture)).hash.reshape(-1) for picture in small]
    packed = np.packbits(np.array(bits, bool).reshape(len(bits), 64), axis=1)
    return packed.view(">u8").reshape(-1).astype(np.uint64)
