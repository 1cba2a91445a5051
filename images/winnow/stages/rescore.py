"""rescore: does what is left of a flagged clip's sound belong to what you see?

The residual of `separate` is described as `audio` describes a clip's sound, scored by the scorer that `correspond`
uses, and tagged again: a clip that the dialogue covered comes back when its own sound matches.
"""

from __future__ import annotations

from collections.abc import Iterator

from winnow.core.sample import Outcome
from winnow.core.stage import Batch, Resources, Sample, Stage
from winnow.models.layers import AUDIO_LAYERS, VISUAL_LAYERS
from winnow.models.scorers import BUILTIN_COLUMNS


class Rescore(Stage):
    """One row per separated clip: the columns of the built-in scorer (`models.scorers`), of the residual; and speech,
    music: what the built-in tagger still hears in it, 0 to 1."""

    name = "rescore"
    image = "media"
    needs = ("separate", "visual")
    schema = {**BUILTIN_COLUMNS, "speech": "double", "music": "double"}
    resources = Resources(cpu=1, memory_mb=1024)
    fitted = "correspond"
    fitted_by = "winnow fit --batches <batches that visual and audio have measured>"

    def setup(self) -> None:
        """Load the scorer and the tagger; ConfigError when no scorer was fitted."""
        from winnow.models import single_threaded
        from winnow.models.correspondence import Scorer
        from winnow.models.tagger import Tagger

        self.digest, data = self.fitted_model()
        self.scorer = Scorer.loads(data)
        self.tagger = Tagger()
        single_threaded()

    def process(self, batch: Batch) -> Iterator[Outcome]:
        """An outcome for each clip."""
        yield from batch.map(self.measure)

    def measure(self, sample: Sample) -> dict[str, object]:
        """A clip's values; fails as undecodable."""
        from winnow.models import builtin_audio, residual
        from winnow.models.correspondence import joined

        row, visual = sample.row, sample.needs["visual"]
        wave = residual.waveform(sample.media("flac"), builtin_audio.RATE_HZ)
        sound = residual.described(wave, row)
        tags = self.tagger(wave, float(row["start_s"]))
        values = self.scorer.score(
            str(row["video_id"]),
            joined(visual, [layer.column for layer in VISUAL_LAYERS]),
            joined(sound, [layer.column for layer in AUDIO_LAYERS]),
            visual["motion"],
            sound["onset"],
        )
        about = {"video_id": row["video_id"], "model": self.digest, "speech": tags["speech"], "music": tags["music"]}
        return {**about, **values}
