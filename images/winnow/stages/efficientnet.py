"""efficientnet: what EfficientNet-Lite0 sees in a clip: its vector, and the classes of ImageNet that it takes it for.

Small enough for a CPU (a picture takes some 10 ms) and run by onnxruntime, so it needs neither torch nor its image.
Pictures are taken evenly over the clip, as `open_clip` takes them; vector and probabilities are the pictures' mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from winnow.core.sample import Outcome
from winnow.core.stage import Batch, Resources, Sample, Stage
from winnow.models.pictures import PictureParams, pictures
from winnow.models.weights import Weights, find

if TYPE_CHECKING:
    from winnow.models.picture_classes import PictureClasses


class Efficientnet(Stage):
    """One row per clip. embedding: half precision, as long as the network is wide before its classifier; tag_names,
    tag_scores: ImageNet's likeliest classes, best first (0 … 1, 1 for all together); n_frames, how many pictures they
    come from; model, which checkpoint."""

    name = "efficientnet"
    image = "media"
    needs = ("clip",)
    flow = "score"
    schema = {
        "embedding": "float16[]",
        "tag_names": "string[]",
        "tag_scores": "double[]",
        "n_frames": "int64",
        "model": "string",
    }
    resources = Resources(cpu=1, memory_mb=1024)

    class Params(PictureParams):
        """model: name in the weights' catalogue; pictures (`PictureParams`): one a second by default; top: how many
        classes are kept."""

        model: str = "lite0"
        top: int = Field(10, ge=1, le=1000)

    network: PictureClasses

    @property
    def weights(self) -> Weights:
        """The checkpoint in the catalogue; ConfigError for an unknown one or one without a digest."""
        return find(self.settings.weights, self.name, self.params.model)

    def model_digest(self) -> str:
        """Digest of the checkpoint's content, architecture and preprocessing."""
        return self.weights.digest

    def columns(self) -> Mapping[str, str]:
        """The schema, the vector at the network's width once it is loaded."""
        if not hasattr(self, "network"):
            return self.schema
        return {**self.schema, "embedding": f"float16[{self.network.width}]"}

    def setup(self) -> None:
        """Check and load the checkpoint."""
        from winnow.models.picture_classes import PictureClasses

        self.label = self.weights.label
        self.network = PictureClasses(self.settings.weights, self.weights)

    def process(self, batch: Batch) -> Iterator[Outcome]:
        """An outcome for each clip."""
        yield from batch.map(self.measure)

    def measure(self, sample: Sample) -> dict[str, object]:
        """A clip's values; fails as no_video_stream or undecodable."""
        import numpy as np

        from winnow.models.imagenet import names

        how = self.network.preprocessing
        seen, _ = pictures(sample.media(), self.params, how.size, how.size, how.resize)
        vectors, chances = self.network(seen)
        mean = chances.mean(axis=0, dtype=np.float64)
        best = np.argsort(-mean, kind="stable")[: self.params.top]
        return {
            "embedding": vectors.mean(axis=0, dtype=np.float64).astype(np.float16),
            "tag_names": [names()[k] for k in best],
            "tag_scores": np.round(mean[best], 6),
            "n_frames": len(vectors),
            "model": self.label,
        }
