"""PANNs' Cnn14 as an encoder: four layers from its convolution blocks, its embedding, and its 527 class scores.

A block's layer is its output after pooling, averaged over time and frequency, as ACAV100M pools VGGish (ACAV100M,
feature extraction). The network is panns_inference's (Kong et al., PANNs, 2020). Its package is not imported, only the
module that defines the network: importing the package downloads a class list.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from types import ModuleType

import torch
from pydantic import BaseModel, ConfigDict, Field

from winnow.core.errors import ConfigError
from winnow.models.torch_batches import DTYPES, Precision
from winnow.models.weights import Weights, fill

BLOCKS = 6
#: Spread over the network's depth; the sixth block is left to the embedding, which is computed from nothing else.
DEFAULT_BLOCKS = (1, 2, 4, 5)
_ALIAS = "_winnow_panns_inference"


class Preprocessing(BaseModel):
    """What a sound becomes before the network: rate, and the log-mel spectrum's window and hop (samples), bands and
    range."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rate_hz: int = Field(gt=0)
    window: int = Field(gt=0)
    hop: int = Field(gt=0)
    mel_bins: int = Field(64, ge=64, le=64, description="the network's first normalisation has 64")
    fmin_hz: float = Field(ge=0)
    fmax_hz: float = Field(gt=0)


def network() -> ModuleType:
    """panns_inference.models without panns_inference: its `__init__` would download and write into the home folder."""
    if _ALIAS not in sys.modules:
        found = importlib.util.find_spec("panns_inference")
        if found is None or not found.submodule_search_locations:
            raise ConfigError("panns_inference is not installed: it is part of the extra `model`")
        package = ModuleType(_ALIAS)
        package.__path__ = list(found.submodule_search_locations)
        sys.modules[_ALIAS] = package
    return importlib.import_module(f"{_ALIAS}.models")


class PannsEncoder:
    """Cnn14 with its checkpoint. `widths` of the layers, in the order of `encode`; `rate_hz` of the sound it takes."""

    def __init__(
        self,
        weights: Weights,
        state: Mapping[str, torch.Tensor],
        device: torch.device,
        precision: Precision = "fp32",
        blocks: tuple[int, ...] = DEFAULT_BLOCKS,
    ) -> None:
        if len(blocks) != len(DEFAULT_BLOCKS) or not all(1 <= b <= BLOCKS for b in blocks):
            raise ConfigError(f"blocks={list(blocks)}: {len(DEFAULT_BLOCKS)} numbers from 1 to {BLOCKS} are wanted")
        if weights.model != "Cnn14":
            raise ConfigError(f"[panns.{weights.name}] model = {weights.model!r}: only Cnn14 is known")
        options = weights.options(Preprocessing)
        self.rate_hz, self.blocks, self.dtype = options.rate_hz, tuple(blocks), DTYPES[precision]
        classes = state["fc_audioset.weight"].shape[0] if "fc_audioset.weight" in state else 527
        cnn = network().Cnn14(
            options.rate_hz, options.window, options.hop, options.mel_bins, options.fmin_hz, options.fmax_hz, classes
        )
        fill(cnn, state, weights)
        self.network = cnn.eval().requires_grad_(False).to(device)
        if self.dtype != torch.float32:  # the spectrum keeps fp32: its powers leave half precision's range
            for name, module in self.network.named_children():
                if not name.endswith("_extractor"):
                    module.to(self.dtype)
            self.network.bn0.register_forward_pre_hook(lambda _, given: (given[0].to(self.dtype),))
        self._seen: dict[int, torch.Tensor] = {}
        for block in set(self.blocks):
            getattr(self.network, f"conv_block{block}").register_forward_hook(self._keep(block))
        self.widths = {
            f"layer_{i}": getattr(cnn, f"conv_block{b}").conv2.out_channels for i, b in enumerate(self.blocks)
        }
        self.widths[f"layer_{len(self.blocks)}"] = cnn.fc1.out_features
        self.widths["scores"] = cnn.fc_audioset.out_features

    def _keep(self, block: int):
        def hook(_module: object, _given: object, output: torch.Tensor) -> None:
            self._seen[block] = output.mean(dim=(2, 3), dtype=torch.float32)

        return hook

    def encode(self, sounds: torch.Tensor) -> torch.Tensor:
        """float32, (n, samples), full scale 1, on the device → float32, (n, sum of widths), from one forward pass:
        blocks, the embedding, and the scores of the classes, each 0 … 1."""
        out = self.network(sounds)
        layers = [self._seen[block] for block in self.blocks]
        self._seen.clear()
        return torch.cat([*layers, out["embedding"].float(), out["clipwise_output"].float()], dim=1)
