"""separate: what is left of a flagged clip's sound when the dialogue is taken out of it: mixture − dialogue estimate.

Only speech is removed, music is kept, as AVSET-10M's released script does. Which clips are flagged is dbt's choice
(`winnow decide --point separate`, table `flag`). Separators stand behind one interface (`models.separators`): a
built-in one that needs no weights, and a demucs-style network from a local checkpoint. A shard's residuals are one
WebDataset tar of `<sample_id>.flac`, mono, 24 bits, each as long as the sound that was decoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from winnow.core import own_fault
from winnow.core.lake import sha256_bytes
from winnow.core.sample import Outcome, Reason, SampleFailed
from winnow.core.stage import Batch, Resources, Sample, Stage, StageParams


class Separate(Stage):
    """One row per flagged clip.

    start_s: when its first sample is heard on the clip's clock; duration_s: of the clip; rate_hz, n_samples: of the
    residual; speech_s: how long somebody speaks; mixture_rms_dbfs, residual_rms_dbfs: levels (null for digital
    silence), removed_db: how much lower the residual is; separator: which one, and its digest; residual_sha256,
    residual_bytes: of the FLAC file.
    """

    name, image, needs, sidecar = "separate", "media", ("flag", "clip", "tags"), "tar"
    schema = {
        "video_id": "string",
        "start_s": "double",
        "duration_s": "double",
        "rate_hz": "int64",
        "n_samples": "int64",
        "speech_s": "double",
        "mixture_rms_dbfs": "double",
        "residual_rms_dbfs": "double",
        "removed_db": "double",
        "separator": "string",
        "residual_sha256": "string",
        "residual_bytes": "int64",
    }
    resources = Resources(cpu=1, memory_mb=2048)

    class Params(StageParams):
        """`separator`: `builtin`, or the name of a checkpoint of the weights' catalogue under [separate.NAME]."""

        separator: str = "builtin"

    @classmethod
    def pod(cls, params: Mapping[str, object]) -> tuple[str, Resources]:
        """A checkpoint needs torch, and is worth a GPU."""
        if params.get("separator", "builtin") == "builtin":
            return cls.image, cls.resources
        return "model", Resources(cpu=8, memory_mb=8192, gpu=1)

    def model_digest(self) -> str | None:
        """Of the checkpoint; None for the built-in separator, whose code is in the stage's digest."""
        from winnow.models.separators import model_digest

        return model_digest(self.params.separator, self.settings.weights)

    def setup(self) -> None:
        """Load the separator."""
        from winnow.media.ffmpeg import av
        from winnow.models import single_threaded
        from winnow.models.separators import load

        av.logging.set_level(None)
        self.separator = load(self.params.separator, self.settings)
        self.device = self.separator.device
        single_threaded()

    def process(self, batch: Batch) -> Iterator[Outcome]:
        """Clips one after the other."""
        for sample in batch:
            try:
                values, data = self._separate(sample, batch)
                yield Outcome.ok(sample.id, values, files={"flac": data})
            except SampleFailed as failure:
                yield Outcome.failed(sample.id, failure.reason, failure.detail)
            except Exception as error:
                found = own_fault.internal_error(error)
                yield Outcome.failed(sample.id, found.reason, found.detail)

    def _separate(self, sample: Sample, batch: Batch) -> tuple[dict[str, object], bytes]:
        """One clip: what was measured, and its residual as FLAC."""
        import numpy as np

        from winnow.media import decode, downmix, mixture_render

        with decode.opened(sample.media()) as clip:
            frames = list(clip.frames(clip.require_audio()))
            if not frames:
                raise SampleFailed(Reason.undecodable, "no sound could be decoded")
            start_s, duration_s = clip.time_s(frames[0]), clip.duration_s
        wave = downmix.heard(decode.waveform(frames, rate_hz=self.separator.rate_hz))
        spoken = np.array(sample.needs["tags"]["speech_spans"], float).reshape(-1, 2)
        dialogue = self.separator.dialogue(wave, spoken - start_s)
        mixture = wave.mean(axis=0)
        residual = mixture - dialogue.mean(axis=0)
        before, after = mixture_render.Level.of(mixture).rms_dbfs, mixture_render.Level.of(residual).rms_dbfs
        data = mixture_render.flac(
            mixture_render.scaled([residual], guard=True).signals[0],
            self.separator.rate_hz,
            batch.work / "residual.flac",
        )
        values = {
            "video_id": sample.needs["clip"]["video_id"],
            "start_s": round(start_s, 6),
            "duration_s": round(duration_s, 6),
            "rate_hz": self.separator.rate_hz,
            "n_samples": len(residual),
            "speech_s": round(float((spoken[:, 1] - spoken[:, 0]).sum()), 3),
            "mixture_rms_dbfs": before,
            "residual_rms_dbfs": after,
            "removed_db": None if before is None or after is None else round(before - after, 6),
            "separator": self.separator.label,
            "residual_sha256": sha256_bytes(data),
            "residual_bytes": len(data),
        }
        return values, data
