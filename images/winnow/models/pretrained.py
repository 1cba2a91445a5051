"""Pretrained: what stages have in common that put clips through a network with a checkpoint.

A subclass says how a clip becomes rows (pictures, windows of sound) and which encoder reads them. Its table's vectors
are the rows' mean, in half precision, in lists as long as the network is wide there.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from winnow.core.sample import Outcome
from winnow.core.stage import Batch, Resources, Stage, StageParams
from winnow.models.weights import Weights, find, load_state

if TYPE_CHECKING:
    import numpy as np
    import torch

    from winnow.models.torch_batches import Answered, Decoded


class Encoder(Protocol):
    """A network: `encode` turns a batch of rows into float32 (n, values); `widths` names the values' columns in order
    and says how many each has."""

    @property
    def widths(self) -> Mapping[str, int]:
        """Columns and how long each vector is."""

    def encode(self, rows: torch.Tensor) -> torch.Tensor:
        """One batch, on the network's device."""


class PretrainedParams(StageParams):
    """model: name in the weights' catalogue; precision: of the forward pass, part of what tables depend on. Where it
    runs and how many rows at a time are settings, since tables do not depend on them (`models.torch_batches`)."""

    model: str
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"


class Pretrained(Stage):
    """A stage over clips whose columns are an encoder's vectors, `counted` (how many rows they come from), and `model`
    (which checkpoint)."""

    image = "model"
    needs: ClassVar[tuple[str, ...]] = ("clip",)
    flow = "select"
    resources = Resources(cpu=8, memory_mb=8192, gpu=1)
    counted: ClassVar[str]
    #: The network, from `setup` on.
    encoder: Encoder

    class Params(PretrainedParams):
        """`PretrainedParams`."""

    @abstractmethod
    def rows(self, data: bytes) -> np.ndarray | Decoded:
        """A clip's file as rows of equal shape; SampleFailed where it has none. Called by several threads."""

    @abstractmethod
    def load(self, weights: Weights, state: Mapping[str, torch.Tensor], device: torch.device) -> Encoder:
        """The encoder of a checkpoint."""

    @property
    def weights(self) -> Weights:
        """The checkpoint in the catalogue; ConfigError for an unknown one or one without a digest."""
        return find(self.settings.weights, self.name, self.params.model)

    def model_digest(self) -> str:
        """Digest of the checkpoint's content, architecture and preprocessing."""
        return self.weights.digest

    def columns(self) -> Mapping[str, str]:
        """The schema, vectors at the network's widths once it is loaded."""
        widths = self.encoder.widths if hasattr(self, "encoder") else {}
        return {**self.schema, **{name: f"float16[{width}]" for name, width in widths.items()}}

    def setup(self) -> None:
        """Check and load the checkpoint, and put the network on its device."""
        from winnow.models import torch_batches

        weights = self.weights
        device = torch_batches.choose_device(self.settings.device)
        torch_batches.deterministic(device)
        self.encoder = self.load(weights, load_state(self.settings.weights, weights), device)
        self.label, self.device = weights.label, torch_batches.device_name(device)
        self.pipeline = torch_batches.EncodePipeline(
            self.rows,
            self.encoder.encode,
            device,
            rows=self.settings.model_batch,
            threads=torch_batches.decoders(self.resources, device),
        )

    def process(self, batch: Batch) -> Iterator[Outcome]:
        """An outcome for each clip."""
        yield from self.pipeline.run(batch, self.finish)

    def finish(self, clip: Answered) -> dict[str, object]:
        """The columns of one clip from its rows' values, (n, sum of widths)."""
        from winnow.models.torch_batches import half, split_mean

        vectors = half(split_mean(clip.values, self.encoder.widths))
        return {**vectors, self.counted: len(clip.values), "model": self.label}
