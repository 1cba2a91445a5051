"""Kept clips as a torch dataset. This module imports torch; `winnow.torch_clips` imports it when it is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.data import Dataset

from winnow.delivery.kept import KeptClip, KeptClips


class Tensors:
    """Turns a clip into tensors: `pictures` uint8 (n, 3, height, width), `sound` float32 (1, samples), and `id`,
    `split`, `z` (float, NaN where the clip has no score), `label`. `n` and the number of samples are the same for every
    clip: what is shorter ends in its last picture and in silence."""

    def __init__(self, seconds: float, per_s: float, size: int, rate_hz: int) -> None:
        self.seconds, self.per_s, self.size, self.rate_hz = seconds, per_s, size, rate_hz

    def __call__(self, clip: KeptClip) -> dict[str, Any]:
        """One clip's."""
        count, samples = max(round(self.seconds * self.per_s), 1), round(self.seconds * self.rate_hz)
        seen = torch.from_numpy(clip.pictures(self.size, self.size, self.per_s)[:count]).permute(0, 3, 1, 2)
        heard = torch.from_numpy(clip.sound(self.rate_hz)[:, :samples])
        z = clip.row["z"]
        return {
            "pictures": torch.cat([seen, seen[-1:].expand(count - len(seen), -1, -1, -1)]).contiguous(),
            "sound": torch.nn.functional.pad(heard, (0, samples - heard.shape[1])),
            "id": clip.id,
            "split": clip.split,
            "label": clip.row["label"] or "",
            "z": float("nan") if z is None else float(str(z)),
        }


class TorchClips(Dataset):
    """A map-style dataset over kept clips, each through `transform` (Tensors, or any function of a KeptClip). Any
    number of DataLoader workers may share it."""

    def __init__(self, clips: KeptClips, transform: Callable[[KeptClip], Any]) -> None:
        self.clips, self.transform = clips, transform

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Any:
        return self.transform(self.clips[index])
