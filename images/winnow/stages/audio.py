"""audio: five built-in layers of what a clip sounds like, when something begins, and a sketch to know copies by.

The first audio stream is decoded once, to 16 kHz mono, and one short-time spectrum of it serves every layer. Layers are
float32 for the reason that `visual` gives.
"""

from __future__ import annotations

from collections.abc import Iterator

from winnow.core.sample import Outcome, Reason, SampleFailed
from winnow.core.stage import Batch, Resources, Sample, Stage
from winnow.models.layers import AUDIO_LAYERS, GRID_HZ


class Audio(Stage):
    """One row per clip: layers a0 … a4, the onset envelope on the common grid, how many samples they come from, and
    the sound's sketch (`duplicates.sketch`), which stage `fingerprint` reads."""

    name = "audio"
    image = "media"
    needs = ("clip",)
    schema = {
        **{layer.column: f"float32[{layer.dim}]" for layer in AUDIO_LAYERS},
        "onset": "float32[]",
        "grid_hz": "double",
        "n_samples": "int64",
        "sketch": "uint8[]",
    }
    resources = Resources(cpu=1, memory_mb=1024)

    def setup(self) -> None:
        """Hold linear algebra to one thread."""
        from winnow.models import single_threaded

        single_threaded()

    def process(self, batch: Batch) -> Iterator[Outcome]:
        """An outcome for each clip."""
        yield from batch.map(self.measure)

    def measure(self, sample: Sample) -> dict[str, object]:
        """A clip's values; fails as no_audio_stream or undecodable."""
        return measure(sample.media())


def measure(data: bytes) -> dict[str, object]:
    """All columns of one clip's file; fails as no_audio_stream or undecodable."""
    from winnow.duplicates import sketch
    from winnow.media import decode
    from winnow.models import builtin_audio

    with decode.opened(data) as clip:
        sound, start_s, duration_s = decode.Sound(), 0.0, clip.duration_s
        for frame in clip.frames(clip.require_audio()):
            start_s = start_s if sound else clip.time_s(frame)
            sound.add(frame)
    if not sound:
        raise SampleFailed(Reason.undecodable, "no sound could be decoded")
    wave = sound.waveform(rate_hz=builtin_audio.RATE_HZ, mono=True)[0]
    spectrum = builtin_audio.analyse(wave)
    return {
        **builtin_audio.layers(spectrum, start_s, duration_s),
        "grid_hz": GRID_HZ,
        "n_samples": len(wave),
        "sketch": sketch.sound(spectrum.mel, start_s, builtin_audio.FRAME_HZ, duration_s).ravel(),
    }
