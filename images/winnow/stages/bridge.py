"""bridge: correspondence by way of words. What PANNs heard, said to open_clip, against every picture it sees.

The clip's highest PANNs tags become texts ("a photo of Dog"), their embeddings are added up, each weighing as much as
its tag scores, and the sum is the sound's vector: neither network was trained on sound and picture together, and
neither on this corpus, so what the bridge says is independent of the fitted scorers. It hears only what AudioSet has a
class for. A voice over the scene becomes the tag Speech, which no picture of the scene agrees with. What separation
left of a sound is tagged here, by the network that tagged the clip: the stage `panns` cannot do it, because what is
separated is flagged by its tags.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from winnow.core.errors import ContractError
from winnow.core.lake import digest
from winnow.core.sample import Outcome, Reason, SampleFailed
from winnow.models.pictures import PictureParams, pictures
from winnow.models.pretrained import Pretrained, PretrainedParams
from winnow.models.scorers import COLUMNS
from winnow.models.weights import Weights, find, load_state
from winnow.models.windows import WindowParams, windows

if TYPE_CHECKING:
    import numpy as np
    import torch

    from winnow.core.stage import Batch, Sample
    from winnow.models.open_clip_encoder import PictureTower
    from winnow.models.panns_encoder import PannsEncoder
    from winnow.models.torch_batches import Answered, Decoded


class Bridge(Pretrained):
    """One row per clip with picture and sound: the columns of every scorer (`models.scorers`), one picture vector for
    each picture. model: the image network's name, and a digest of it, of the tagger, and of the parameters."""

    name = "bridge"
    needs = ("clip", "panns")
    optional_needs = ("separate",)
    flow = "score"
    schema = COLUMNS
    counted = "n_frames"
    encoder: Towers
    #: The network that tags residuals, once there are any, and its label.
    tagger: PannsEncoder
    tagged_by = ""

    class Params(PretrainedParams, PictureParams, WindowParams):
        """model: of open_clip's; pictures (`PictureParams`): one a second by default; windows (`WindowParams`): of a
        residual, as `panns` had them of the clip; top: how many tags are put into words; prompt: what they are put
        into, at {}."""

        model: str = "vit-b-32"
        top: int = Field(10, ge=1, le=527)
        prompt: str = "a photo of {}"

        @field_validator("prompt")
        @classmethod
        def _has_a_place(cls, value: str) -> str:
            if value.count("{}") != 1:
                raise ValueError("{} is wanted once, where the tag's name goes")
            return value

    @property
    def weights(self) -> Weights:
        """The open_clip checkpoint in the catalogue; ConfigError for an unknown one or one without a digest."""
        return find(self.settings.weights, "open_clip", self.params.model)

    def columns(self) -> Mapping[str, str]:
        """The schema: vectors as long as they are."""
        return self.schema

    def load(self, weights: Weights, state: Mapping[str, torch.Tensor], device: torch.device) -> Towers:
        """Both towers of a checkpoint."""
        from winnow.models.open_clip_encoder import PictureTower, TextTower

        self.checkpoint, self.place = weights.digest, device
        self.text = TextTower(weights, state, device, self.params.precision)
        return Towers(PictureTower(weights, state, device, self.params.precision))

    def process(self, batch: Batch) -> Iterator[Outcome]:
        """An outcome for each clip. ContractError where residuals are to be tagged and the network that tagged the
        clips is no longer the catalogue's."""
        for label in sorted({str(sample.needs["panns"]["tagger"]) for sample in batch if "separate" in sample.needs}):
            if self.tagged_by != label:
                self.tagged_by, self.tagger = label, self.network(label)
        yield from super().process(batch)

    def network(self, label: str) -> PannsEncoder:
        """The network of a label in `panns`' table."""
        from winnow.models.panns_encoder import PannsEncoder

        weights = find(self.settings.weights, "panns", label.partition("@")[0])
        if weights.label != label:
            raise ContractError(
                f"the clips were tagged by {label}, and {self.settings.weights} has {weights.label}, which would tag "
                "what separation left of them: run `winnow run panns` on this batch first"
            )
        return PannsEncoder(weights, load_state(self.settings.weights, weights), self.place, self.params.precision)

    def rows(self, data: bytes) -> Decoded:
        """A clip's pictures at the network's size, uint8, (n, height, width, 3), and when they are shown."""
        from winnow.models.torch_batches import Decoded

        tower = self.encoder.tower
        return Decoded(*pictures(data, self.params, tower.height, tower.width, tower.preprocessing.resize))

    def finish(self, clip: Answered) -> dict[str, object]:
        """The columns of one clip from its pictures' embeddings."""
        from winnow.models import scorers

        heard = clip.sample.needs["panns"]
        told = digest([self.checkpoint, heard["model"], self.params.model_dump(mode="json")])
        return scorers.columns(
            self.said(heard["scores"]),
            clip.values,
            clip.aside,
            video_id=str(clip.sample.row["video_id"]),
            model=f"{self.params.model}@{told}",
            residual=self.left(clip.sample),
        )

    def left(self, sample: Sample) -> np.ndarray | None:
        """The vector of what separation left of a clip's sound, (d,); None where nothing was taken out of it."""
        if "separate" not in sample.needs:
            return None
        import numpy as np
        import torch

        from winnow.models import residual

        wave = residual.waveform(sample.media("flac"), self.tagger.rate_hz)
        sounds = windows(wave, round(self.params.window_s * self.tagger.rate_hz), self.params.max_windows)
        with torch.inference_mode():
            values = self.tagger.encode(torch.from_numpy(sounds).to(self.place)).cpu().numpy()
        return self.said(values[:, -self.tagger.widths["scores"] :].max(axis=0).astype(np.float16))

    def said(self, scores: object) -> np.ndarray:
        """The vector of what was heard: the highest tags' text embeddings, each times its score, added: float64, (d,).
        scores: of all classes, 0 … 1, (527,). SampleFailed where nothing was heard at all."""
        import numpy as np

        from winnow.models.audioset import classes

        weight = np.asarray(scores, np.float64)
        best = [k for k in np.argsort(-weight, kind="stable")[: self.params.top] if weight[k] > 0]
        if not best:
            raise SampleFailed(Reason.no_input, "panns: no class scores above 0")
        texts = [self.text.embed(self.params.prompt.replace("{}", classes()[k].name)) for k in best]
        return np.sum([weight[k] * text.astype(np.float64) for k, text in zip(best, texts, strict=True)], axis=0)


class Towers:
    """The image tower as an encoder whose only values are its embedding's, none of them a column by itself."""

    def __init__(self, tower: PictureTower) -> None:
        self.tower, self.encode = tower, tower.embed
        self.widths: Mapping[str, int] = {}
