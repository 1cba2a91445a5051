"""Moments: the pictures that are shown at given times, decoding no more of a clip than they need.

H.264 as MP4 has it tells without decoding which pictures others refer to (nal_ref_idc, 7.4.1) and where nothing refers
back (IDR). So what is decoded is, of each stretch between two IDR pictures, what comes before its last wanted picture
and is either wanted or referred to; stretches without one are passed over. The pictures are those that decoding all of
it would give, to the bit. Of any other stream all is decoded up to the last wanted picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from winnow.core.sample import Reason, SampleFailed
from winnow.media import h264, streams
from winnow.media.decode import Clip, Shrinker, decoded, opened
from winnow.media.ffmpeg import av

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


def pictures(data: bytes, times_s: Sequence[float], width: int, height: int, *, crop: bool = False) -> np.ndarray:
    """Pictures shown at these times, s after the clip's first picture: uint8, (times, height, width, 3), RGB. A time
    past the last picture shows the last one, as a screen does. Stretched to that shape, or with `crop` shrunk until one
    side fits and cut around the middle. SampleFailed for a clip without pictures, or where one cannot be decoded."""
    with opened(data) as clip:
        video = clip.require_video()
        tick_s = float(streams.clock(video))
        packets = [packet for packet in clip.packets(video) if packet.size]
        shown = np.unique([p.pts for p in packets if p.pts is not None and not p.is_discard]).astype(np.int64)
        if not len(shown):
            raise SampleFailed(Reason.undecodable, "no picture has a time")
        ticks = shown[0] + np.asarray(times_s, np.float64) / tick_s
        wanted = shown[np.clip(np.searchsorted(shown, ticks + 0.5, side="right") - 1, 0, len(shown) - 1)]
        found: dict[int, np.ndarray] = {}
        fit = _Fit(width, height, crop)
        for frame in _frames(clip, video, packets, {int(pts) for pts in wanted}):
            if frame.pts is not None:
                found[frame.pts] = fit(frame)
    lost = [int(pts) for pts in wanted if int(pts) not in found]
    if lost:
        at_s = (lost[0] - int(shown[0])) * tick_s
        raise SampleFailed(Reason.undecodable, f"its picture at {at_s:.3f} s cannot be decoded")
    return np.stack([found[int(pts)] for pts in wanted])


class _Fit:
    """A frame to an array of one shape."""

    def __init__(self, width: int, height: int, crop: bool) -> None:
        self.width, self.height, self.crop = width, height, crop
        self._shrink = None if crop else Shrinker("rgb24", width, height)

    def __call__(self, frame: VideoFrame) -> np.ndarray:
        if self._shrink is None or (
            self.crop and (self._shrink.width, self._shrink.height) != self._around(frame.width, frame.height)
        ):
            self._shrink = Shrinker("rgb24", *self._around(frame.width, frame.height))
        small = self._shrink(frame)
        if not self.crop:
            return small
        top, left = (small.shape[0] - self.height) // 2, (small.shape[1] - self.width) // 2
        return small[top : top + self.height, left : left + self.width]

    def _around(self, width: int, height: int) -> tuple[int, int]:
        """The smallest shape of these proportions that covers what is wanted."""
        share = max(self.width / width, self.height / height)
        return max(self.width, round(width * share)), max(self.height, round(height * share))


def _frames(clip: Clip, video: VideoStream, packets: list[Packet], wanted: set[int]) -> Iterator[VideoFrame]:
    """The wanted frames, each once."""
    for packet in _needed(packets, wanted, video.codec_context):
        yield from (frame for frame in decoded(packet) if frame.pts in wanted)
    try:
        rest = video.codec_context.decode(None)
    except av.error.FFmpegError:
        return
    yield from (frame for frame in rest if frame.pts in wanted)


def _needed(packets: list[Packet], wanted: set[int], codec: av.VideoCodecContext) -> Iterator[Packet]:
    units = h264.unit_bytes(codec.extradata) if codec.name == "h264" else 0
    if not units:
        last = max((k for k, packet in enumerate(packets) if packet.pts in wanted), default=-1)
        yield from packets[: last + 1]
        return
    starts = [k for k, packet in enumerate(packets) if packet.is_keyframe and h264.starts_afresh(bytes(packet), units)]
    bounds = [0, *(k for k in starts if k), len(packets)]
    for low, high in pairwise(bounds):
        stretch = packets[low:high]
        last = max((k for k, packet in enumerate(stretch) if packet.pts in wanted), default=-1)
        yield from (p for p in stretch[: last + 1] if p.pts in wanted or _is_referred_to(bytes(p), units))


def _is_referred_to(data: bytes, units: int) -> bool:
    """Whether other pictures refer to that of a packet (nal_ref_idc, 7.4.1); what holds no slice is needed too."""
    at, slices = 0, 0
    while at + units < len(data):
        head = data[at + units]
        if head & 31 in h264.SLICES:
            if head & 0x60:
                return True
            slices += 1
        at += units + int.from_bytes(data[at : at + units], "big")
    return not slices
