"""A model that tells a clip's score from its pictures: `python examples/train_with_torch.py LAKE`. Needs torch
(`pip install 'winnow[model]'`). It shows the loop; `winnow train` trains real ones."""

from __future__ import annotations

import sys

import torch
from torch.utils.data import DataLoader

import winnow


def main(root: str) -> None:
    torch.manual_seed(0)
    clips = winnow.torch_clips(winnow.open_lake(root), splits=["train"], seconds=2, per_s=2, size=32)
    loader = DataLoader(clips, batch_size=4, shuffle=True, num_workers=0)
    model = torch.nn.Linear(3 * 32 * 32, 1)
    optimiser = torch.optim.Adam(model.parameters())
    for epoch in range(2):
        losses = []
        for batch in loader:
            seen = batch["pictures"].float().mean(1).flatten(1) / 255
            loss = (model(seen)[:, 0] - batch["z"].float()).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        print(f"epoch {epoch}: loss {sum(losses) / len(losses):.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
