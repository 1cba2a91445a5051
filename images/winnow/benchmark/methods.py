"""Every method of the benchmark under one signature: from a run to rows in the order in which they are chosen."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from winnow.benchmark import contrastive, scoring
from winnow.benchmark.datasets import Dataset
from winnow.benchmark.protocol import Draw
from winnow.core.errors import ConfigError
from winnow.selection import batch_greedy, exact_greedy, pair_weights, pairing
from winnow.selection.refine import PRIOR, refine

PAIRINGS = ("combination", "bipartite", "diagonal", "weighted", "layer_0", "layer_1", "layer_2", "layer_3", "layer_4")
#: Draws that batch greedy makes, (batch, take); "all" looks at every remaining clip.
DRAWS = {"20/4": (20, 4), "100/25": (100, 25), "20/1": (20, 1), "all": None}


@dataclass(frozen=True)
class Run:
    """One draw of a data set, and the clusterings of its pairs.

    assignments: int64 (n, layers of both views), one row a pair; empty for methods that use features.
    """

    data: Dataset
    draw: Draw
    seed: int
    assignments: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int64))

    @property
    def sides(self) -> tuple[int, int]:
        """Numbers of layers."""
        return len(self.data.first), len(self.data.second)


#: What a method makes of a run, pairs of clusterings, (P, 2), and their weights, (P,), both empty for one that uses
#: features: places of its pairs, the best first.
Order = Callable[[Run, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Method:
    """A way to choose.

    draws: a key of DRAWS: which remaining pairs it looks at at once, and so which ceiling it has; clustered: whether it
    reads clusterings; learns: whether it is trained on the pairs by gradient descent; pairings: those that it is run
    with; needs: the package that it needs, if any; says: a sentence to read beside its figures, if any.
    """

    name: str
    order: Order
    draws: str = "all"
    clustered: bool = False
    learns: bool = False
    pairings: tuple[str, ...] = ("",)
    needs: str = ""
    says: str = ""


def baseline(name: str, learns: bool) -> bool:
    """Whether the method of that name is a baseline that does not train on the pairs: no selection by mutual
    information, refined or not, and no oracle."""
    return not learns and not name.startswith(("MI", "oracle"))


def pairs_of(name: str, run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of clusterings of a pairing and their weights, (P, 2) and (P,). `weighted`: bipartite, deep layers more."""
    pairs = pairing("bipartite" if name == "weighted" else name, *run.sides)
    return pairs, pair_weights("linear" if name == "weighted" else "uniform", pairs, run.sides[0])


def _greedy(draws: str, objective: str = "mi") -> Order:
    def order(run: Run, pairs: np.ndarray, weights: np.ndarray) -> np.ndarray:
        looked_at = DRAWS[draws]
        if looked_at is None:
            return exact_greedy(run.assignments, pairs, run.draw.size, weights=weights, objective=objective)[0]
        batch, take = looked_at
        return batch_greedy(
            run.assignments, pairs, run.draw.size, batch, take, run.seed, weights=weights, objective=objective
        )[0]

    return order


def _refined(prior: float) -> Order:
    def order(run: Run, pairs: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return refine(run.assignments, pairs, run.draw.size, weights=weights, prior=prior)[0]

    return order


def _close(name: str) -> Order:
    def order(run: Run, _pairs: np.ndarray, _weights: np.ndarray) -> np.ndarray:
        first, second = run.sides
        pairs = [(i, j) for i in range(first) for j in range(second)]
        score = scoring.closeness(run.data.first, run.data.second, run.draw, pairs)[name]
        return scoring.ranked(score, run.seed)

    return order


def _contrast(epochs: int, batch: int) -> Order:
    def order(run: Run, _pairs: np.ndarray, _weights: np.ndarray) -> np.ndarray:
        first, second = run.data.first[-1][run.draw.first], run.data.second[-1][run.draw.second]
        return scoring.ranked(contrastive.scores(first, second, run.seed, epochs, batch), run.seed)

    return order


def oracle(run: Run, draws: str, knows: Callable[[Draw], np.ndarray] = scoring.knows_classes) -> np.ndarray:
    """What one who knows the classes chooses under the same draws."""
    score = knows(run.draw)
    looked_at = DRAWS[draws]
    if looked_at is None:
        return scoring.ranked(score, run.seed)
    batch, take = looked_at
    return scoring.ranked_in_batches(score, run.draw.size, batch, take, run.seed)


def _oracle(draws: str) -> Order:
    return lambda run, _pairs, _weights: oracle(run, draws)


SINGLE = tuple(name for name in PAIRINGS if name.startswith("layer_"))
AMI_SAYS = (
    "diagonal and single layers only, for time: its expected information is summed anew for every candidate, so that a "
    "run of 3,000 pairs and 32 clusters takes 0.7 s a pair of clusterings, and NMI with all 45 pairs 0.1 s"
)
METHODS = (
    Method("random", lambda run, _p, _w: scoring.ranked(np.zeros(len(run.draw)), run.seed)),
    *(Method(f"PCA, {name}", _close(name)) for name in scoring.CLOSENESS),
    *(
        Method(
            f"contrastive, {epochs} epochs of 10",
            _contrast(epochs, 10),
            learns=True,
            needs="torch",
            says=contrastive.SAYS,
        )
        for epochs in (20, 100)
    ),
    *(
        Method(f"{label}, batch 100/25", _greedy("100/25", name), "100/25", True, pairings=pairings, says=says)
        for label, name, pairings, says in (
            ("NMI", "nmi", PAIRINGS, ""),
            ("AMI", "ami", ("diagonal", *SINGLE), AMI_SAYS),
            ("Fowlkes–Mallows", "fowlkes_mallows", PAIRINGS, ""),
            ("Rand", "rand", PAIRINGS, ""),
            ("adjusted Rand", "adjusted_rand", PAIRINGS, ""),
        )
    ),
    Method("MI, batch 20/4", _greedy("20/4"), "20/4", True, pairings=PAIRINGS),
    Method("MI, batch 100/25", _greedy("100/25"), "100/25", True, pairings=PAIRINGS),
    Method("MI, batch 20/1", _greedy("20/1"), "20/1", True, pairings=PAIRINGS),
    Method("MI, exact greedy", _greedy("all"), "all", True, pairings=PAIRINGS),
    Method("MI refined, against the corpus", _refined(math.inf), "all", True, pairings=PAIRINGS),
    Method("MI refined", _refined(PRIOR), "all", True, pairings=PAIRINGS),
    Method("oracle: both classes", lambda run, _p, _w: oracle(run, "all", scoring.knows_agreement)),
    *(
        Method(
            f"oracle: both classes, and which are kept{'' if draws == 'all' else ', batch ' + draws}",
            _oracle(draws),
            draws,
        )
        for draws in DRAWS
    ),
)


def named(names: tuple[str, ...]) -> Iterator[Method]:
    """Methods whose names begin with one of these; all without any. ConfigError for one that none begins with."""
    for name in names:
        if not any(method.name.startswith(name) for method in METHODS):
            raise ConfigError(f"no method {name!r}; there are: {'; '.join(m.name for m in METHODS)}")
    return (m for m in METHODS if not names or m.name.startswith(names))
