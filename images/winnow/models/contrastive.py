"""Two towers trained together: each turns one side of a pair into a vector, and a pair's own two vectors are to be more
alike than those of its neighbours in the batch (symmetric InfoNCE: Oord et al., Representation learning with
contrastive predictive coding, 2018; Radford et al., CLIP, 2021). Needs torch; inference may do without it.

Shared by the scorer `two_tower` (`models.two_tower_fit`) and by the baseline of `winnow benchmark retrieval`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn.functional import cross_entropy, normalize

__all__ = ["info_nce", "linear", "normalize", "one_thread"]


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold torch to one thread and to deterministic algorithms: the same seed gives the same weights on one type of
    CPU."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)


def linear(inputs: int, outputs: int, generator: torch.Generator) -> torch.nn.Linear:
    """A linear layer whose weights come from the generator alone, uniform within 1 / √inputs."""
    layer = torch.nn.utils.skip_init(torch.nn.Linear, inputs, outputs)
    bound = inputs**-0.5
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


def info_nce(
    first: torch.Tensor, second: torch.Tensor, temperature: float, never: torch.Tensor | None = None
) -> torch.Tensor:
    """Symmetric cross-entropy of a batch's pairs, a scalar.

    first, second: (n, d), of any length; temperature divides the cosines; never: bool (n, n), pairs that are neither
    true nor a neighbour to be told apart (of one source video).
    """
    logits = normalize(first) @ normalize(second).T / temperature
    if never is not None:
        logits = logits.masked_fill(never, -torch.inf)
    own = torch.arange(len(first))
    return (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2
