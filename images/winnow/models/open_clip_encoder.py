"""open_clip's towers as encoders: of pictures, the embedding and five layers from inside the network; of texts, the
embedding.

A layer is the output of one block, averaged over the picture's positions (the class token is left out), as ACAV100M
pools its video layers over space (ACAV100M, feature extraction). `forward_intermediates` is open_clip's own and serves
its ViTs, ResNets and timm towers alike. Only the tower that is asked for is built and loaded.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, PositiveFloat

from winnow.core.errors import ConfigError
from winnow.models.torch_batches import DTYPES, Precision, evenly
from winnow.models.weights import Weights, fill

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np

    class ImageTower(torch.nn.Module):
        """What open_clip, which has no types, says of its image towers."""

        image_size: int | tuple[int, int]

        def forward_intermediates(self, pictures: torch.Tensor, indices: list[int] | None = None) -> dict[str, Any]:
            """`image_intermediates`: a list of (n, channels, height, width); `image_features`: (n, d)."""


LAYERS = 5
#: Operators that torchvision describes to torch at import and that exist only in a build made for this very torch.
COMPILED_OPERATORS = ("nms", "qnms")


class Preprocessing(BaseModel):
    """What a picture becomes before the network: its short side scaled to the network's size and the centre cut out
    (`shortest`), or stretched to it (`squash`); then (x / 255 − mean) / std by channel, RGB."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    resize: Literal["shortest", "squash"] = "shortest"
    mean: tuple[float, float, float]
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat]


def import_open_clip() -> ModuleType:
    """open_clip, offline. It imports torchvision, whose import fails beside a torch that it was not compiled for (a
    CPU-only torch, say) although nothing compiled is used here: then the missing operators are declared first."""
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1")
    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        for operator in COMPILED_OPERATORS:
            torch.library.define(
                f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            )
    return importlib.import_module("open_clip")


class PictureTower:
    """An image tower with its checkpoint. height, width: of the pictures it takes, pixels."""

    def __init__(
        self,
        weights: Weights,
        state: Mapping[str, torch.Tensor],
        device: torch.device,
        precision: Precision = "fp32",
    ) -> None:
        self.preprocessing = weights.options(Preprocessing)
        self.device, self.dtype = device, DTYPES[precision]
        visual = image_tower(weights.model)
        prefix = "visual."
        fill(visual, {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}, weights)
        self.visual = visual.eval().requires_grad_(False).to(device, self.dtype)
        size = visual.image_size
        self.height, self.width = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
        self._scale = torch.tensor([1 / (255 * s) for s in self.preprocessing.std], device=device).view(1, 3, 1, 1)
        ratio = [-m / s for m, s in zip(self.preprocessing.mean, self.preprocessing.std, strict=True)]
        self._shift = torch.tensor(ratio, device=device).view(1, 3, 1, 1)

    def normalised(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures as the network takes them: uint8, (n, height, width, 3) → (n, 3, height, width)."""
        return pictures.permute(0, 3, 1, 2).float().mul_(self._scale).add_(self._shift).to(self.dtype)

    def embed(self, pictures: torch.Tensor) -> torch.Tensor:
        """uint8, (n, height, width, 3), on the device → float32, (n, d): embeddings at length 1."""
        return torch.nn.functional.normalize(self.visual(self.normalised(pictures)).float(), dim=-1)


class OpenClipEncoder(PictureTower):
    """An image tower whose layers are looked at. widths: of the layers and the embedding, in the order of `encode`."""

    def __init__(
        self,
        weights: Weights,
        state: Mapping[str, torch.Tensor],
        device: torch.device,
        precision: Precision = "fp32",
        blocks: tuple[int, ...] = (),
    ) -> None:
        """`blocks` counts from 1; five evenly spread ones, the last among them, when empty. A network of four (many
        convolutional ones) has its embedding for a fifth."""
        super().__init__(weights, state, device, precision)
        with torch.inference_mode():
            picture = torch.zeros((1, self.height, self.width, 3), dtype=torch.uint8, device=device)
            seen = self.visual.forward_intermediates(self.normalised(picture))
        widths = [output.shape[1] for output in seen["image_intermediates"]]
        self.count, last = len(widths), max(len(widths), LAYERS)
        self.blocks = blocks or evenly(LAYERS, last)
        if len(self.blocks) != LAYERS or not all(1 <= b <= last for b in self.blocks) or last > self.count + 1:
            raise ConfigError(f"{weights.model}, blocks={[*self.blocks]}: {LAYERS} numbers from 1 to {last} are wanted")
        widths.append(seen["image_features"].shape[-1])
        self.widths = {f"layer_{i}": widths[b - 1] for i, b in enumerate(self.blocks)} | {"embedding": widths[-1]}

    def encode(self, pictures: torch.Tensor) -> torch.Tensor:
        """uint8, (n, height, width, 3), on the device → float32, (n, sum of widths): layers, then the embedding at
        length 1."""
        wanted = sorted({block for block in self.blocks if block <= self.count})
        seen = self.visual.forward_intermediates(self.normalised(pictures), indices=[b - 1 for b in wanted])
        found = dict(zip(wanted, seen["image_intermediates"], strict=True))
        embedding = torch.nn.functional.normalize(seen["image_features"].float(), dim=-1)
        pooled = {block: output.mean(dim=(2, 3), dtype=torch.float32) for block, output in found.items()}
        return torch.cat([*(pooled.get(block, embedding) for block in self.blocks), embedding], dim=1)


def image_tower(name: str) -> ImageTower:
    """The image tower of an architecture that open_clip knows, untrained; ConfigError for an unknown one."""
    open_clip, config = _configured(name)
    picture = dict(config["vision_cfg"])
    if "timm_model_name" in picture:
        picture["timm_model_pretrained"] = False
    text = {"context_length": 8, "vocab_size": 8, "width": 8, "heads": 1, "layers": 1}  # built by CLIP, thrown away
    return open_clip.CLIP(config["embed_dim"], picture, text, quick_gelu=config.get("quick_gelu", False)).visual


def _configured(name: str) -> tuple[ModuleType, dict[str, Any]]:
    open_clip = import_open_clip()
    if "/" in name or ":" in name:
        raise ConfigError(f"open_clip model {name!r}: a name from open_clip.list_models() is wanted, not a hub address")
    config = open_clip.get_model_config(name)
    if config is None:
        raise ConfigError(f"open_clip {open_clip.__version__} has no model {name!r}: see open_clip.list_models()")
    return open_clip, config


class TextTower:
    """A text tower with its checkpoint: texts to embeddings at length 1. Each text goes through alone and is
    remembered, so that its bytes depend on no other and only those that are asked for cost anything."""

    def __init__(
        self,
        weights: Weights,
        state: Mapping[str, torch.Tensor],
        device: torch.device,
        precision: Precision = "fp32",
    ) -> None:
        self.device = device
        tower, self.tokens = text_tower(weights.model)
        mine = {k: v for k, v in state.items() if not k.startswith(("visual.", "logit_", "attn_mask"))}
        fill(tower, {k.removeprefix("text."): v for k, v in mine.items()}, weights)
        self.tower = tower.eval().requires_grad_(False).to(device, DTYPES[precision])
        self._known: dict[str, np.ndarray] = {}

    def embed(self, text: str) -> np.ndarray:
        """The embedding of a text: float32, (d,)."""
        if text not in self._known:
            with torch.inference_mode():
                found = self.tower(self.tokens([text]).to(self.device)).float()
                self._known[text] = torch.nn.functional.normalize(found, dim=-1)[0].cpu().numpy()
        return self._known[text]


def text_tower(name: str) -> tuple[torch.nn.Module, Callable[[list[str]], torch.Tensor]]:
    """The text tower of an architecture that open_clip knows, untrained, and its tokenizer; ConfigError for an unknown
    one, and for one whose tokenizer does not come with open_clip."""
    open_clip, config = _configured(name)
    text = dict(config["text_cfg"])
    if text.get("hf_model_name") or text.get("hf_tokenizer_name") or "siglip" in name.lower():
        raise ConfigError(
            f"open_clip model {name!r} splits texts by rules that it would download: choose one with CLIP's own"
        )
    vision = {"image_size": 8, "layers": 1, "width": 64, "patch_size": 8}  # built by CLIP, thrown away
    whole = open_clip.CustomTextCLIP(config["embed_dim"], vision, text, quick_gelu=config.get("quick_gelu", False))
    return whole.text, open_clip.get_tokenizer(name)
