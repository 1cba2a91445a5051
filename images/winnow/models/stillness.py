"""How much of a clip stands still or is black, without decoding what is known to move.

A clip falls into stretches from one keyframe to the next. A stretch is still when none of its pictures, the next
keyframe among them, differs from its first; as soon as one does, the rest of the stretch need not be decoded. So a
clip that moves costs little more than its keyframes, and one that stands still is decoded whole, which costs
little because there is nothing in it.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING

import numpy as np

from winnow.media.decode import Clip, Shrinker

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame

#: A stretch between keyframes that is longer than this is cut into shorter ones, s, each with a verdict of its
#: own.
STRETCH_S = 2.0
#: A picture is black when at least BLACK_SHARE of its pixels are at most BLACK_LUMA of full scale: the defaults of
#: FFmpeg's blackdetect (picture_black_ratio_th, pixel_black_th).
BLACK_LUMA, BLACK_SHARE = 0.1, 0.98


class FreezeDetector:
    """Looks at a clip's pictures as they are decoded, and says which packets need no decoding.

    packets: all of the video stream's, in file order. Two small pictures (64 × 48) are the same when at most
    `still_share` of their pixels differ by more than `still_luma` of full scale: an encoder's refinement of a still
    picture changes many pixels by little, what moves changes some by much.
    """

    def __init__(self, clip: Clip, packets: list[Packet], still_luma: float, still_share: float) -> None:
        self._clip, self._still_luma, self._still_share = clip, 255 * still_luma, still_share
        self._shrink = Shrinker("gray", 64, 48)
        self._times_s: list[float] = []
        self._black: list[bool] = []
        self._first: tuple[int, np.ndarray] | None = None
        self._base, self._start_s = float(packets[0].time_base) if packets else 1.0, clip.start_s
        timed = [(p.pts * self._base - clip.start_s, p.is_keyframe) for p in packets if p.pts is not None]
        end_s = max(clip.duration_s, max((t for t, _ in timed), default=0.0))
        keys = sorted(t for t, is_key in timed if is_key) or [0.0]
        edges: list[float] = []
        self._whole: list[bool] = []
        for first_s, next_s in zip(keys, [*keys[1:], end_s], strict=True):
            pieces = max(math.ceil((next_s - first_s) / STRETCH_S - 0.05), 1)
            edges += [first_s + (next_s - first_s) * i / pieces for i in range(pieces)]
            self._whole += [pieces == 1] * pieces
        self._edges_s = [*edges, end_s]
        self._moved = [False] * len(edges)

    def needs(self, packet: Packet) -> bool:
        """Whether a packet must be decoded: a keyframe, or part of a stretch of which nothing moved yet."""
        if packet.is_keyframe or packet.pts is None:
            return True
        place = self._stretch(packet.pts * self._base - self._start_s)
        return not (self._whole[place] and self._moved[place])

    def see(self, frame: VideoFrame) -> None:
        """Look at a decoded picture. The first of a stretch also counts for the stretch before, whose end it is."""
        picture, time_s = self._shrink(frame), self._clip.time_s(frame)
        place = self._stretch(time_s)
        if self._first is not None:
            before, first = self._first
            if not self._moved[before]:
                differ = np.count_nonzero(np.abs(picture.astype(np.int16) - first) > self._still_luma)
                self._moved[before] = bool(differ > self._still_share * picture.size)
        if self._first is None or place != self._first[0]:
            self._first = place, picture.astype(np.int16)
        self._times_s.append(time_s)
        self._black.append(int(np.count_nonzero(picture <= 255 * BLACK_LUMA)) >= BLACK_SHARE * picture.size)

    def _stretch(self, time_s: float) -> int:
        return min(max(bisect_right(self._edges_s, time_s + 1e-6) - 1, 0), len(self._moved) - 1)

    def measures(self) -> dict[str, float]:
        """stillness: share of the time in still stretches; black_ratio: share of the time from a black picture to the
        next decoded one. Both 0 … 1; {} when no picture was seen."""
        if not self._times_s:
            return {}
        shown_s = np.diff(np.append(self._times_s, max(self._edges_s[-1], self._times_s[-1])))
        return {
            "stillness": round(1 - _share(np.array(self._moved), np.diff(self._edges_s)), 6),
            "black_ratio": round(_share(np.array(self._black), np.maximum(shown_s, 0)), 6),
        }


def _share(chosen: np.ndarray, length_s: np.ndarray) -> float:
    """Share of time in the chosen pieces; of pieces, where no time passes."""
    total_s = float(length_s.sum())
    return float(length_s[chosen].sum()) / total_s if total_s > 0 else float(chosen.mean())
