"""yamnet: what YAMNet hears in a clip: its vector, and its scores of 521 of AudioSet's classes.

Small enough for a CPU (a second of sound takes some 10 ms) and run by onnxruntime, so it needs neither torch nor its
image. The first audio stream is decoded once, to mono at 16 kHz, and cut into overlapping patches of a second. The
vector is the patches' mean; a class's score is one that two patches reach, a second and a half: its mean would miss a
bark in ten seconds, its maximum takes every patch that is misheard.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from winnow.core.sample import Outcome, Reason, SampleFailed
from winnow.core.stage import Batch, Resources, Sample, Stage, StageParams
from winnow.models.weights import Weights, find

if TYPE_CHECKING:
    from winnow.models.sound_classes import SoundClasses


class Yamnet(Stage):
    """One row per clip with sound. embedding: half precision, as long as the network is wide before its classifier;
    scores: of all its classes, in the order of `models.sound_classes`; speech, music: of those two; other: the highest
    outside both of their subtrees; tag_mids, tag_scores: the highest ones, best first (0 … 1, AudioSet's ids);
    n_patches, how many patches they come from; model and tagger, which checkpoint."""

    name = "yamnet"
    image = "media"
    needs = ("clip",)
    flow = "score"
    schema = {
        "embedding": "float16[]",
        "scores": "float16[]",
        "speech": "double",
        "music": "double",
        "other": "double",
        "tag_mids": "string[]",
        "tag_scores": "double[]",
        "tagger": "string",
        "n_patches": "int64",
        "model": "string",
    }
    resources = Resources(cpu=1, memory_mb=1024)

    class Params(StageParams):
        """model: name in the weights' catalogue; top: how many tags are kept beside the scores."""

        model: str = "w8a8"
        top: int = Field(10, ge=1, le=521)

    network: SoundClasses

    @property
    def weights(self) -> Weights:
        """The checkpoint in the catalogue; ConfigError for an unknown one or one without a digest."""
        return find(self.settings.weights, self.name, self.params.model)

    def model_digest(self) -> str:
        """Digest of the checkpoint's content, architecture and preprocessing."""
        return self.weights.digest

    def columns(self) -> Mapping[str, str]:
        """The schema, vectors at the network's widths once it is loaded."""
        if not hasattr(self, "network"):
            return self.schema
        from winnow.models.sound_classes import known

        return {**self.schema, "embedding": f"float16[{self.network.width}]", "scores": f"float16[{len(known())}]"}

    def setup(self) -> None:
        """Check and load the checkpoint, linear algebra held to one thread."""
        from winnow.models import single_threaded
        from winnow.models.sound_classes import SoundClasses

        single_threaded()
        self.label = self.weights.label
        self.network = SoundClasses(self.settings.weights, self.weights)

    def process(self, batch: Batch) -> Iterator[Outcome]:
        """An outcome for each clip."""
        yield from batch.map(self.measure)

    def measure(self, sample: Sample) -> dict[str, object]:
        """A clip's values; fails as no_audio_stream or undecodable."""
        import numpy as np

        from winnow.media import decode
        from winnow.models.audioset import tags
        from winnow.models.sound_classes import heard, known

        with decode.opened(sample.media()) as clip:
            frames = list(clip.frames(clip.require_audio()))
        wave = decode.waveform(frames, rate_hz=self.network.preprocessing.rate_hz, mono=True)[0]
        if not len(wave):
            raise SampleFailed(Reason.undecodable, "no sound could be decoded")
        vectors, scores = self.network(wave)
        return {
            "embedding": vectors.mean(axis=0, dtype=np.float64).astype(np.float16),
            **tags(heard(scores), self.params.top, known()),
            "n_patches": len(vectors),
            "model": self.label,
            "tagger": self.label,
        }
