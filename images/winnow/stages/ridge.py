"""ridge: correspondence as agreement of what YAMNet hears with what EfficientNet's view lets expect, cross-fitted.

`winnow fit --scorer ridge` fits the map between the two networks' vectors on the corpus (`models.ridge`); this stage
multiplies, and hears what separation left of a sound, so it needs neither torch nor its image.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from winnow.core.errors import ContractError
from winnow.core.sample import Outcome
from winnow.core.stage import Batch, Resources, Sample, Stage
from winnow.models.scorers import COLUMNS
from winnow.models.weights import find

if TYPE_CHECKING:
    import numpy as np

    from winnow.models.sound_classes import SoundClasses


class Ridge(Stage):
    """One row per clip with picture and sound: the columns of every scorer (`models.scorers`). One picture vector a
    clip, for its vectors describe clips and not seconds: frame_times is the clip's middle. A residual is heard as
    `yamnet` hears a clip's sound, by the same network."""

    name = "ridge"
    image = "media"
    needs = ("clip", "efficientnet", "yamnet")
    optional_needs = ("separate",)
    schema = COLUMNS
    resources = Resources(cpu=1, memory_mb=1024)
    fitted = "ridge"
    fitted_by = "winnow fit --scorer ridge --batches <batches that efficientnet and yamnet have measured>"
    flow = "score"
    #: The network that hears residuals, once there are any.
    network: SoundClasses

    def setup(self) -> None:
        """Load the model; ConfigError when none was fitted."""
        from winnow.models import single_threaded
        from winnow.models.ridge import RidgeModel

        single_threaded()
        self.digest, data = self.fitted_model()
        self.model = RidgeModel.loads(data)

    def process(self, batch: Batch) -> Iterator[Outcome]:
        """An outcome for each clip, scored one by one. ContractError where vectors are of other networks than those
        that the model was fitted on, or residuals are to be heard by one that is no longer the catalogue's."""
        for stage, fitted in zip(("efficientnet", "yamnet"), self.model.networks, strict=True):
            for label in sorted({str(sample.needs[stage]["model"]) for sample in batch} - {fitted}):
                raise ContractError(
                    f"{stage} measured this batch by {label}, and the model {self.digest} was fitted on {fitted}; "
                    f"their vectors cannot be compared: run `winnow run {stage}` with the model of then, or fit anew "
                    "(`winnow fit --scorer ridge`)"
                )
        if not hasattr(self, "network") and any("separate" in sample.needs for sample in batch):
            self.network = self.hearing(self.model.networks[1])
        yield from batch.map(self.measure)

    def hearing(self, label: str) -> SoundClasses:
        """The network of a label in `yamnet`'s table."""
        from winnow.models.sound_classes import SoundClasses

        weights = find(self.settings.weights, "yamnet", label.partition("@")[0])
        if weights.label != label:
            raise ContractError(
                f"the clips were heard by {label}, and {self.settings.weights} has {weights.label}, which would hear "
                "what separation left of them: run `winnow run yamnet` on this batch first, and fit anew"
            )
        return SoundClasses(self.settings.weights, weights)

    def measure(self, sample: Sample) -> dict[str, object]:
        """A clip's values; fails as undecodable."""
        import numpy as np

        seen, heard = (np.asarray(sample.needs[side]["embedding"], np.float32) for side in ("efficientnet", "yamnet"))
        middle_s = float(sample.row["duration_s"] or 0) / 2
        return self.model.score(
            str(sample.row["video_id"]), seen, heard, middle_s=middle_s, model=self.digest, residual=self.left(sample)
        )

    def left(self, sample: Sample) -> np.ndarray | None:
        """The vector of what separation left of a clip's sound, rounded as `yamnet`'s table rounds; None where nothing
        was taken out of it."""
        if "separate" not in sample.needs:
            return None
        import numpy as np

        from winnow.models import residual

        wave = residual.waveform(sample.media("flac"), self.network.preprocessing.rate_hz)
        vectors, _ = self.network(wave)
        return vectors.mean(axis=0, dtype=np.float64).astype(np.float16).astype(np.float32)
