"""joint: correspondence by a model that was trained to put pictures and sound into one space (AVSET-10M: ImageBind).

Two exported graphs from WINNOW_WEIGHTS, checked by their digest, with their preprocessing in weights.toml
(`models.joint`). The score is AVSET-10M's: the mean over the pictures of the cosine with the sound (specification §4,
released code); how many pictures a second is a parameter, because the original's number is not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from winnow.core.lake import digest
from winnow.core.sample import Outcome, Reason, SampleFailed
from winnow.core.stage import Batch, Resources, Sample, Stage
from winnow.models.pictures import PictureParams, pictures
from winnow.models.scorers import COLUMNS
from winnow.models.weights import Weights, find

if TYPE_CHECKING:
    import numpy as np

#: The two sides' kinds in the catalogue of weights.
SIDES = ("joint_picture", "joint_sound")


class Joint(Stage):
    """One row per clip with picture and sound: the columns of every scorer (`models.scorers`), one picture vector for
    each picture. model: its name in the catalogue, and a digest of both graphs, their preprocessing and the
    parameters."""

    name = "joint"
    image = "model"
    needs = ("clip",)
    optional_needs = ("separate",)
    flow = "score"
    schema = COLUMNS
    resources = Resources(cpu=8, memory_mb=16384, gpu=1)

    class Params(PictureParams):
        """model: name of both graphs in the catalogue, under [joint_picture.NAME] and [joint_sound.NAME]; pictures
        (`PictureParams`): one a second by default."""

        model: str = "imagebind"

    @property
    def weights(self) -> tuple[Weights, Weights]:
        """Both graphs in the catalogue; ConfigError for an unknown one or one without a digest."""
        seen, heard = (find(self.settings.weights, side, self.params.model) for side in SIDES)
        return seen, heard

    def model_digest(self) -> str:
        """Digest of both graphs' content and preprocessing."""
        return digest([one.digest for one in self.weights])

    def setup(self) -> None:
        """Check and load both graphs."""
        from winnow.models import joint

        folder, device = self.settings.weights, self.settings.device
        seen, heard = self.weights
        self.look, self.hear = seen.options(joint.PicturePreprocessing), heard.options(joint.SoundPreprocessing)
        self.seen = joint.Graph(folder, seen, (3, self.look.size, self.look.size), device)
        self.heard = joint.Graph(folder, heard, (1, self.hear.mel_bins, self.hear.frames), device)
        self.device = self.seen.session.get_providers()[0]
        told = digest([self.model_digest(), self.params.model_dump(mode="json")])
        self.label = f"{self.params.model}@{told}"

    def process(self, batch: Batch) -> Iterator[Outcome]:
        """An outcome for each clip."""
        yield from batch.map(self.measure)

    def measure(self, sample: Sample) -> dict[str, object]:
        """A clip's values; fails as no_video_stream, no_audio_stream or undecodable."""
        from winnow.models import residual, scorers

        data = sample.media()
        found, times_s = pictures(data, self.params, self.look.size, self.look.size, self.look.resize)
        sound, left = self.vector(self.wave(data)), None
        if "separate" in sample.needs:
            left = self.vector(residual.waveform(sample.media("flac"), self.hear.rate_hz))
        return scorers.columns(
            sound,
            self.seen(self.look(found)),
            times_s,
            video_id=str(sample.row["video_id"]),
            model=self.label,
            residual=left,
        )

    def vector(self, wave: np.ndarray) -> np.ndarray:
        """The vector of a sound at the model's rate, (samples,): (d,). SampleFailed as undecodable for one that is
        shorter than a window."""
        from winnow.models import joint

        try:
            pieces = self.hear(wave)
        except ValueError as error:
            raise SampleFailed(Reason.undecodable, str(error)) from error
        return joint.sound_vector(self.heard(pieces))

    def wave(self, data: bytes) -> np.ndarray:
        """A clip's sound, mono, at the model's rate: float32, (samples,)."""
        from winnow.media import decode

        with decode.opened(data) as clip:
            frames = list(clip.frames(clip.require_audio()))
        return decode.waveform(frames, rate_hz=self.hear.rate_hz, mono=True)[0]
