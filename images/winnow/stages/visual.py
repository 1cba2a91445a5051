"""visual: five built-in layers of what a clip looks like, when its picture moves, and a sketch to know copies by.

Pictures that no other refers to are not decoded, and every decoded one is shrunk before it is looked at: the layers
see shapes, texture and movement at about half the frame rate, at a fraction of the cost of full frames.

Layers are float32, and not half precision as those of the pretrained stages: the built-in scorer is fitted on them in
float64, and at about 1 kB a clip and side there is little to save.
"""

from __future__ import annotations

from collections.abc import Iterator

from winnow.core.sample import Outcome, Reason, SampleFailed
from winnow.core.stage import Batch, Resources, Sample, Stage, StageParams
from winnow.models.layers import GRID_HZ, VISUAL_LAYERS


class Visual(Stage):
    """One row per clip: layers v0 … v4, the motion envelope on the common grid, how many pictures they come from, and
    the picture's sketch (`duplicates.sketch`), which stage `fingerprint` reads."""

    name = "visual"
    image = "media"
    needs = ("clip",)
    schema = {
        **{layer.column: f"float32[{layer.dim}]" for layer in VISUAL_LAYERS},
        "motion": "float32[]",
        "grid_hz": "double",
        "n_frames": "int64",
        "sketch": "uint8[]",
    }
    resources = Resources(cpu=1, memory_mb=1024)

    class Params(StageParams):
        """Pictures a second, at most, whatever the frame rate: that appearance (colour_hz) and movement (motion_hz,
        twice the grid's rate) are taken from."""

        colour_hz: float = 2.0
        motion_hz: float = 2 * GRID_HZ

    def setup(self) -> None:
        """Hold linear algebra to one thread."""
        from winnow.models import single_threaded

        single_threaded()

    def process(self, batch: Batch) -> Iterator[Outcome]:
        """An outcome for each clip."""
        yield from batch.map(self.measure)

    def measure(self, sample: Sample) -> dict[str, object]:
        """A clip's values; fails as no_video_stream or undecodable."""
        return measure(sample.media(), self.params)


def measure(data: bytes, params: Visual.Params | None = None) -> dict[str, object]:
    """All columns of one clip's file; fails as no_video_stream or undecodable."""
    import numpy as np

    from winnow.duplicates import sketch
    from winnow.media import decode
    from winnow.models import builtin_visual

    params = params or Visual.Params()
    large, small = decode.Shrinker("rgb24", 64, 48), decode.Shrinker("gray", 32, 24)
    colour, gray, times_s = [], [], []
    with decode.opened(data, skip="NONREF") as clip:
        duration_s = clip.duration_s
        last_s = -1.0
        for frame in clip.frames(clip.require_video()):
            time_s = clip.time_s(frame)
            if _next_slot(last_s, time_s, params.colour_hz):
                colour.append(large(frame))
            if _next_slot(last_s, time_s, params.motion_hz):
                gray.append(small(frame))
                times_s.append(time_s)
            last_s = max(last_s, time_s)
    if not gray:
        raise SampleFailed(Reason.undecodable, "no picture could be decoded")
    pictures = builtin_visual.Pictures(np.stack(colour), np.stack(gray), np.array(times_s), duration_s)
    return {
        **builtin_visual.describe(pictures),
        "grid_hz": GRID_HZ,
        "n_frames": len(gray),
        "sketch": sketch.picture(pictures.gray, pictures.times_s, duration_s).ravel(),
    }


def _next_slot(last_s: float, time_s: float, rate_hz: float) -> bool:
    """Whether a time falls into a later slot of a regular grid than the last picture's; the first picture always
    does."""
    return last_s < 0 or int(time_s * rate_hz + 1e-3) > int(last_s * rate_hz + 1e-3)
