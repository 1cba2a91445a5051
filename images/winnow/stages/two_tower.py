"""two_tower: correspondence by a contrastive model that was trained on the corpus, cross-fitted by source video.

`winnow fit --scorer two_tower` trains it with torch and freezes it as safetensors by its digest; this stage only
multiplies (`models.two_tower` says why), so it needs neither torch nor its image.
"""

from __future__ import annotations

from collections.abc import Iterator

from winnow.core.sample import Outcome
from winnow.core.stage import Batch, Resources, Sample, Stage
from winnow.models.layers import AUDIO_LAYERS, VISUAL_LAYERS
from winnow.models.scorers import COLUMNS


class TwoTower(Stage):
    """One row per clip with picture and sound: the columns of every scorer (`models.scorers`). One picture vector a
    clip, for the layers that it reads describe clips and not seconds: frame_times is the clip's middle. A residual is
    described as `audio` describes a clip's sound."""

    name = "two_tower"
    image = "media"
    needs = ("clip", "visual", "audio")
    optional_needs = ("separate",)
    schema = COLUMNS
    resources = Resources(cpu=1, memory_mb=1024)
    fitted = "two_tower"
    fitted_by = "winnow fit --scorer two_tower --batches <batches that visual and audio have measured>"
    flow = "score"

    def setup(self) -> None:
        """Load the model; ConfigError when none was fitted."""
        from winnow.models import single_threaded
        from winnow.models.two_tower import TwoTowerModel

        single_threaded()
        self.digest, data = self.fitted_model("safetensors")
        self.model = TwoTowerModel.loads(data)

    def process(self, batch: Batch) -> Iterator[Outcome]:
        """An outcome for each clip, scored one by one: a score does not depend on a shard's other clips."""
        yield from batch.map(self.measure)

    def measure(self, sample: Sample) -> dict[str, object]:
        """A clip's values; fails as undecodable."""
        from winnow.models import builtin_audio, residual
        from winnow.models.correspondence import joined

        heard = [layer.column for layer in AUDIO_LAYERS]
        picture = joined(sample.needs["visual"], [layer.column for layer in VISUAL_LAYERS])
        sound, left = joined(sample.needs["audio"], heard), None
        if separated := sample.needs.get("separate"):
            wave = residual.waveform(sample.media("flac"), builtin_audio.RATE_HZ)
            left = joined(residual.described(wave, separated), heard)
        middle_s = float(sample.row["duration_s"] or 0) / 2
        return self.model.score(
            str(sample.row["video_id"]), picture, sound, middle_s=middle_s, model=self.digest, residual=left
        )
