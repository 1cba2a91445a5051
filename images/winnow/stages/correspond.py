"""correspond: does what you hear belong to what you see? A score for every clip, and how far it is from chance.

The scorer is fitted on the corpus (`winnow fit`), cross-fitted by source video and frozen by its digest: a clip is
always scored by the model of its video's fold, which was fitted without that fold, and later batches are scored by
the same frozen models until someone refits. `models.correspondence` says how, and why a later video was not seen
either.
"""

from __future__ import annotations

from collections.abc import Iterator

from winnow.core.sample import Outcome
from winnow.core.stage import Batch, Resources, Sample, Stage
from winnow.models.layers import AUDIO_LAYERS, VISUAL_LAYERS
from winnow.models.scorers import BUILTIN_COLUMNS


class Correspond(Stage):
    """One row per clip with picture and sound: the columns of the built-in scorer (`models.scorers`)."""

    name = "correspond"
    image = "media"
    needs = ("clip", "visual", "audio")
    schema = BUILTIN_COLUMNS
    resources = Resources(cpu=1, memory_mb=1024)
    fitted = "correspond"
    fitted_by = "winnow fit --batches <batches that visual and audio have measured>"

    def setup(self) -> None:
        """Load the scorer; ConfigError when none was fitted."""
        from winnow.models import single_threaded
        from winnow.models.correspondence import Scorer

        single_threaded()
        self.digest, data = self.fitted_model()
        self.scorer = Scorer.loads(data)

    def process(self, batch: Batch) -> Iterator[Outcome]:
        """An outcome for each clip; clips are scored one by one, so a score does not depend on a shard's other
        clips."""
        yield from batch.map(self.measure)

    def measure(self, sample: Sample) -> dict[str, object]:
        """A clip's values."""
        from winnow.models.correspondence import joined

        video_id = str(sample.row["video_id"])
        visual, audio = sample.needs["visual"], sample.needs["audio"]
        picture = joined(visual, [layer.column for layer in VISUAL_LAYERS])
        sound = joined(audio, [layer.column for layer in AUDIO_LAYERS])
        values = self.scorer.score(video_id, picture, sound, visual["motion"], audio["onset"])
        return {"video_id": video_id, **values, "model": self.digest}
