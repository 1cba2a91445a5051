"""A separator from a local checkpoint: Hybrid Transformer Demucs, the network of `demucs` (Rouard, Massa & Défossez,
Hybrid transformers for music source separation, ICASSP 2023), as AVSET-10M uses it with weights trained on dialogue,
effects and music (MVSEP-CDX23, "Cinematic Sound Demixing").

Its published checkpoints are pickles that hold classes beside tensors, and are refused as such (`models.weights`):
convert the `state` of one to safetensors where it can do no harm, and write the constructor's arguments that stood
beside it into the catalogue's `preprocessing.network`. Only the network and the code that cuts, overlaps and joins are
taken from the library, whose downloads are never used. The library's random shifts are off: a table must not depend on
them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from winnow.core.errors import ConfigError
from winnow.core.settings import Settings
from winnow.models.weights import Weights, fill, load_state


class DemucsOptions(BaseModel):
    """What a checkpoint expects: rate_hz and channels of its input, its sources in order, the one (or ones) that is
    dialogue, the segment that it takes at a time, s, and the constructor's other arguments. overlap: share of a segment
    that the next one repeats (AVSET-10M's script: 0.8)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rate_hz: int = Field(44_100, ge=8_000, le=192_000)
    channels: int = Field(2, ge=1, le=2)
    sources: tuple[str, ...] = ("dialog", "effect", "music")
    dialogue: tuple[str, ...] = ("dialog",)
    segment_s: float = Field(11.0, gt=0, le=60)
    overlap: float = Field(0.8, ge=0, lt=1)
    network: dict[str, Any] = Field(default_factory=dict)


class Demucs:
    """The network with a checkpoint, on its device."""

    def __init__(self, settings: Settings, weights: Weights) -> None:
        """ConfigError where the library is not installed or the catalogue's options do not fit it; ContractError for a
        checkpoint that is not the one the catalogue names."""
        try:
            from demucs.htdemucs import HTDemucs
        except ImportError as error:
            raise ConfigError("demucs is not installed here: its checkpoints run in the model image") from error
        from winnow.models import torch_batches

        options = weights.options(DemucsOptions)
        if weights.model != "HTDemucs":
            raise ConfigError(f"{weights.kind}.{weights.name}: model is {weights.model!r}; HTDemucs is known")
        if not options.dialogue or set(options.dialogue) - set(options.sources):
            raise ConfigError(
                f"{weights.kind}.{weights.name}: dialogue is {options.dialogue}; it must be among the sources, "
                f"{', '.join(options.sources)}"
            )
        self._torch_device = torch_batches.choose_device(settings.device)
        torch_batches.deterministic(self._torch_device)
        try:
            network = HTDemucs(
                sources=list(options.sources),
                audio_channels=options.channels,
                samplerate=options.rate_hz,
                segment=options.segment_s,
                **options.network,
            )
        except TypeError as error:
            raise ConfigError(f"{weights.kind}.{weights.name}: preprocessing.network: {error}") from error
        fill(network, load_state(settings.weights, weights), weights)
        self._network = network.to(self._torch_device).eval()
        self._options = options
        self._at = [options.sources.index(name) for name in options.dialogue]
        self.rate_hz, self.label = options.rate_hz, weights.label
        self.device = torch_batches.device_name(self._torch_device)

    def dialogue(self, wave: np.ndarray, spoken: np.ndarray) -> np.ndarray:
        """The dialogue in a sound: float32 (channels, samples) to the same shape. Normalised by the mean and deviation
        of the channels' mean before the network and back after it, as the library does. Where nobody speaks is not
        asked: the network knows itself."""
        import torch
        from demucs.apply import apply_model

        channels = self._options.channels
        sound = np.repeat(wave, channels, axis=0) if len(wave) == 1 else wave
        sound = sound if len(sound) == channels else sound.mean(axis=0, keepdims=True)
        mono = sound.mean(axis=0, dtype=np.float64)
        mean, std = float(mono.mean()), float(mono.std()) + 1e-8
        mixture = torch.from_numpy(((sound - mean) / std).astype(np.float32))[None]
        with torch.inference_mode():
            found = apply_model(
                self._network,
                mixture,
                shifts=0,
                split=True,
                overlap=self._options.overlap,
                device=self._torch_device,
                progress=False,
            )[0]
        # The offset is the mixture's and goes to no source.
        return (sum((found[i] for i in self._at), torch.zeros(())) * std).cpu().numpy().astype(np.float32)
