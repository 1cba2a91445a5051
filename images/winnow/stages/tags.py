"""tags: which of its classes a tagger hears in a clip: Speech, Music, Silence, Noise, each scored from 0 to 1.

The built-in tagger needs no weights but those inside its library (`models.tagger` says how and what it cannot tell).
It fills the columns that a network with all of AudioSet's classes fills (stage `panns`), and says which it knows; dbt
takes the network's where there are any (`int_tags`). Nothing is decided here: the thresholds stand in thresholds.csv.
"""

from __future__ import annotations

from collections.abc import Iterator

from winnow.core.fingerprint import code_digest
from winnow.core.lake import digest
from winnow.core.sample import Outcome, Reason, SampleFailed
from winnow.core.stage import Batch, Resources, Sample, Stage


class Tags(Stage):
    """One row per clip with sound.

    speech, music, silence, noise: scores, 0 to 1. other: highest score of a class outside Speech and Music; null, for
    this tagger knows none. tag_mids, tag_scores: its classes by AudioSet's ids, best first. knows: the ids it can
    give. speech_spans: [start, end, start, end …] of speech on the clip's clock, s. outside_dbfs: level of the sound
    outside those spans, dB relative to full scale, null where there is none. tagger: which one, and its digest.
    """

    name = "tags"
    image = "media"
    needs = ("clip",)
    schema = {
        "speech": "double",
        "music": "double",
        "silence": "double",
        "noise": "double",
        "other": "double",
        "tag_mids": "string[]",
        "tag_scores": "double[]",
        "knows": "string[]",
        "speech_spans": "double[]",
        "outside_dbfs": "double",
        "tagger": "string",
    }
    resources = Resources(cpu=1, memory_mb=1024)

    def setup(self) -> None:
        """Load the tagger, linear algebra held to one thread."""
        from winnow.models import single_threaded
        from winnow.models.tagger import Tagger

        self.tagger = Tagger()
        self.label = f"builtin@{digest([code_digest(Tagger.__module__), self.model_digest()])}"
        single_threaded()

    def model_digest(self) -> str:
        """The network's weights inside the library: a release that brings others makes the tables anew."""
        from winnow.models.silero import weights_digest

        return weights_digest()

    def process(self, batch: Batch) -> Iterator[Outcome]:
        """An outcome for each clip."""
        yield from batch.map(self.measure)

    def measure(self, sample: Sample) -> dict[str, object]:
        """A clip's values; fails as no_audio_stream or undecodable."""
        from winnow.media import decode
        from winnow.models.tagger import RATE_HZ

        with decode.opened(sample.media()) as clip:
            frames = list(clip.frames(clip.require_audio()))
            if not frames:
                raise SampleFailed(Reason.undecodable, "no sound could be decoded")
            start_s = clip.time_s(frames[0])
        wave = decode.waveform(frames, rate_hz=RATE_HZ, mono=True)[0]
        return {**self.tagger(wave, start_s), "tagger": self.label}
