"""A clip's pictures as networks take them: at chosen times, scaled by swscale, so that Python sees no full frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from winnow.core.sample import Reason, SampleFailed
from winnow.core.stage import StageParams

if TYPE_CHECKING:
    import numpy as np


class PictureParams(StageParams):
    """Pictures: `frames` of them evenly over the clip, or `frames_hz` a second when it is None, `max_frames` at most;
    each is what is shown in the middle of its part of the clip. decode: `nonref` leaves pictures undecoded that no
    other refers to, and deblocking, and takes two thirds of the time."""

    frames: int | None = Field(None, ge=1, le=256)
    frames_hz: float = Field(1.0, gt=0)
    max_frames: int = Field(32, ge=1, le=256)
    decode: Literal["all", "nonref"] = "nonref"


def shown_at(duration_s: float, params: PictureParams) -> list[float]:
    """Times of the pictures that are taken from a clip, s on its clock."""
    count = params.frames or min(max(round(duration_s * params.frames_hz), 1), params.max_frames)
    return [(k + 0.5) * duration_s / count for k in range(count)]


def pictures(
    data: bytes, params: PictureParams, height: int, width: int, resize: str = "shortest"
) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of a clip's file, scaled (bicubic) and cut to size: uint8, (n, height, width, 3), RGB; and when each is
    shown, s, (n,). SampleFailed with no_video_stream or undecodable where it has none."""
    return at_times(data, lambda duration_s: shown_at(duration_s, params), params.decode, height, width, resize)


def at_times(
    data: bytes, times: Callable[[float], list[float]], decode: str, height: int, width: int, resize: str
) -> tuple[np.ndarray, np.ndarray]:
    """Pictures at the times, s on its clock, that `times` names of a clip's duration: as `pictures` gives them."""
    import numpy as np

    from winnow.media import decode as media

    out: list[np.ndarray] = []
    with media.opened(data, skip="NONREF" if decode == "nonref" else None) as clip:
        times_s = times(clip.duration_s)
        scale, shown = Scaler(height, width, resize), None
        for frame in clip.frames(clip.require_video()):
            at_s = clip.time_s(frame)
            while shown is not None and len(out) < len(times_s) and at_s > times_s[len(out)] + 1e-3:
                out.append(scale(shown))
            if len(out) == len(times_s):
                break
            shown = frame
        if shown is None:
            raise SampleFailed(Reason.undecodable, "no picture could be decoded")
        out += [scale(shown)] * (len(times_s) - len(out))
    return np.stack(out), np.array(times_s)


class Scaler:
    """Scales frames to a size: so that the short side fits and the centre is cut out, or stretched (`squash`). A side
    above `LONGEST` times the other is stretched down to that."""

    LONGEST = 8

    def __init__(self, height: int, width: int, resize: str) -> None:
        from winnow.media.ffmpeg import av

        how = av.video.reformatter.Interpolation
        self.height, self.width, self.resize = height, width, resize
        self._scale = av.video.reformatter.VideoReformatter()
        # Without these flags swscale's shortcuts darken colours by up to two levels, at some widths and not others.
        exact = how.ACCURATE_RND | how.FULL_CHR_H_INT | how.BITEXACT
        self._how = how.BICUBIC | exact

    def __call__(self, frame) -> np.ndarray:
        """One picture: uint8, (height, width, 3); of high dynamic range as an ordinary screen shows it."""
        from winnow.media import tone

        height, width = self.height, self.width
        if self.resize == "shortest":
            by = max(height / frame.height, width / frame.width)
            high, wide = int(frame.height * by + 1e-6), int(frame.width * by + 1e-6)
            height = min(max(height, high), self.LONGEST * height)
            width = min(max(width, wide), self.LONGEST * width)
        small = self._scale.reformat(frame, width, height, "rgb24", interpolation=self._how, threads=1)
        top, left = round((height - self.height) / 2), round((width - self.width) / 2)
        return tone.shown(small.to_ndarray()[top : top + self.height, left : left + self.width], frame)
