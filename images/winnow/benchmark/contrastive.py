"""The contrastive baseline: two small towers trained on the pairs themselves to tell a pair from its neighbours, then
every pair's cosine. It needs torch; without it the table says so.

Source: released code of ACAV100M (contrastive selector and retrieval baseline): two linear layers to 128, symmetric
InfoNCE of temperature 0.1, AdamW at 2e-4, the last layer's features, half of the pairs, 20 or 100 epochs in batches of
10. The learning rate rises over the first epoch and falls to nothing at the end, both linearly; the released selector's
fall ends after the three epochs that it trains for. Two departures: a rectifier between the two layers, and features
that are standardised.
"""

from __future__ import annotations

import numpy as np

WIDTH, TEMPERATURE, LEARNING_RATE = 128, 0.1, 2e-4
#: Share of the pairs that the towers are trained on.
TRAIN_SHARE = 0.5
SAYS = (
    "differs from the published baseline in a rectifier between its two layers and in standardised features; its "
    "learning rate rises over the first epoch and falls to nothing over all the others"
)


def available() -> bool:
    """Whether torch is installed."""
    from importlib.util import find_spec

    return find_spec("torch") is not None


def rate(step: int, each: int, steps: int) -> float:
    """Share of LEARNING_RATE that a step, from 0, is made with: linear up over the first `each` (those of an epoch),
    then linear down; the step after the last of `steps` would have 0."""
    return min((step + 1) / each, (steps - step) / max(steps - each, 1))


def scores(first: np.ndarray, second: np.ndarray, seed: int, epochs: int, batch: int) -> np.ndarray:
    """Cosine of the two sides of every pair after training: float64 (n,).

    first, second: (n, dim), features of the two sides of every pair, true and false ones. One thread; the same seed,
    the same scores on one type of CPU.
    """
    import torch

    from winnow.models.contrastive import info_nce, linear, normalize, one_thread

    with one_thread():
        generator = torch.Generator().manual_seed(seed)
        sides = [torch.from_numpy(_standard(side)) for side in (first, second)]
        towers = [
            torch.nn.Sequential(
                linear(side.shape[1], WIDTH, generator), torch.nn.ReLU(), linear(WIDTH, WIDTH, generator)
            )
            for side in sides
        ]
        rows = torch.randperm(len(first), generator=generator)[: max(int(len(first) * TRAIN_SHARE), 2)]
        weights = [p for tower in towers for p in tower.parameters()]
        optimiser = torch.optim.AdamW(weights, lr=LEARNING_RATE, amsgrad=True, eps=1e-6, fused=True)
        each = len(rows) // batch + (len(rows) % batch > 1)  # nothing can be told apart in a batch of one
        for epoch in range(epochs):
            parts = rows[torch.randperm(len(rows), generator=generator)].split(batch)[:each]
            for step, part in enumerate(parts, epoch * each):
                optimiser.param_groups[0]["lr"] = LEARNING_RATE * rate(step, each, epochs * each)
                one, other = (tower(side[part]) for tower, side in zip(towers, sides, strict=True))
                loss = info_nce(one, other, TEMPERATURE)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
        with torch.no_grad():
            a, b = (normalize(tower(side)) for tower, side in zip(towers, sides, strict=True))
            return (a * b).sum(dim=1).numpy().astype(np.float64)


def _standard(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float64)
    spread = values.std(axis=0)
    return ((values - values.mean(axis=0)) / np.where(spread > 1e-9, spread, 1)).astype(np.float32)
