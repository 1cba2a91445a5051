"""The contrastive baseline: two small towers trained on the pairs themselves to tell a pair from its neighbours, then
every pair's cosine. It needs torch; without it the table says so.

Source: released code of ACAV100M (contrastive selector): two linear layers to 128, symmetric InfoNCE of temperature
0.1, AdamW, the last layer's features. A rectifier stands between the two layers, and features are standardised.
"""

from __future__ import annotations

import numpy as np

WIDTH, TEMPERATURE, LEARNING_RATE = 128, 0.1, 2e-4
#: Share of the pairs that the towers are trained on.
TRAIN_SHARE = 0.5


def available() -> bool:
    """Whether torch is installed."""
    from importlib.util import find_spec

    return find_spec("torch") is not None


def scores(first: np.ndarray, second: np.ndarray, seed: int, epochs: int, batch: int) -> np.ndarray:
    """Cosine of the two sides of every pair after training: float64 (n,).

    first, second: (n, dim), features of the two sides of every pair, true and false ones. One thread; the same seed,
    the same scores on one type of CPU.
    """
    import torch
    from torch.nn.functional import cross_entropy, normalize

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        generator = torch.Generator().manual_seed(seed)
        sides = [torch.from_numpy(_standard(side)) for side in (first, second)]
        towers = [_tower(side.shape[1], generator) for side in sides]
        rows = torch.randperm(len(first), generator=generator)[: max(int(len(first) * TRAIN_SHARE), 2)]
        weights = [p for tower in towers for p in tower.parameters()]
        optimiser = torch.optim.AdamW(weights, lr=LEARNING_RATE, amsgrad=True, eps=1e-6)
        for _ in range(epochs):
            for part in rows[torch.randperm(len(rows), generator=generator)].split(batch):
                if len(part) < 2:
                    continue
                a, b = (normalize(tower(side[part])) for tower, side in zip(towers, sides, strict=True))
                logits, own = a @ b.T / TEMPERATURE, torch.arange(len(part))
                loss = (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
        with torch.no_grad():
            a, b = (normalize(tower(side)) for tower, side in zip(towers, sides, strict=True))
            return (a * b).sum(dim=1).numpy().astype(np.float64)
    finally:
        torch.set_num_threads(threads)


def _tower(inputs: int, generator):  # type: ignore[no-untyped-def]
    """Two linear layers, weights drawn from the generator alone."""
    import torch

    tower = torch.nn.Sequential(torch.nn.Linear(inputs, WIDTH), torch.nn.ReLU(), torch.nn.Linear(WIDTH, WIDTH))
    with torch.no_grad():
        for layer in (tower[0], tower[2]):
            bound = layer.in_features**-0.5
            layer.weight.uniform_(-bound, bound, generator=generator)
            layer.bias.uniform_(-bound, bound, generator=generator)
    return tower


def _standard(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float64)
    spread = values.std(axis=0)
    return ((values - values.mean(axis=0)) / np.where(spread > 1e-9, spread, 1)).astype(np.float32)
