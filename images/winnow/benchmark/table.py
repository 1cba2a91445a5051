"""Run every method on every data set, variant, pairing and number of clusters, and gather the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache

import numpy as np

from winnow.benchmark import contrastive, protocol
from winnow.benchmark.datasets import Dataset
from winnow.benchmark.methods import Method, Run, baseline, oracle, pairs_of

#: Shares of all pairs at which the curves are read.
SHARES = tuple(round(0.05 * step, 2) for step in range(1, 11))


@dataclass
class Row:
    """A method on a data set in a variant of the protocol, over all runs.

    precision: share of true pairs among as many selected as there are true ones, mean over runs; deviation: its sample
    standard deviation; ceiling: mean precision of one who knows the classes and which are kept, under the same draws;
    of_ceiling: precision over that; mi, mi_true: mean mutual information of what was selected and of the true pairs,
    nats; entropy, entropy_true: likewise the mean entropy of its clusterings, the higher the more evenly clusters are
    used; each: precision of every run; curve: mean precision of the first picks, at SHARES of all pairs.
    """

    data: str
    variant: str
    method: str
    pairing: str
    clusters: int | None
    draws: str
    learns: bool
    runs: int = 0
    precision: float | None = None
    deviation: float | None = None
    ceiling: float | None = None
    of_ceiling: float | None = None
    mi: float | None = None
    mi_true: float | None = None
    entropy: float | None = None
    entropy_true: float | None = None
    note: str = ""
    each: list[float] = field(default_factory=list)
    curve: list[float] = field(default_factory=list)

    @property
    def baseline(self) -> bool:
        """Whether it is a figure of a baseline that does not train on the pairs (see `methods.baseline`)."""
        return self.precision is not None and baseline(self.method, self.learns)

    def plain(self) -> dict[str, object]:
        """The row as JSON-able values."""
        return asdict(self)


def clusterings(layers: Sequence[np.ndarray], clusters: int, seed: int) -> np.ndarray:
    """k-means of every layer on its own, as `winnow cluster` does it: int64 (n, layers)."""
    from winnow.selection.kmeans.centroids import ID, KMeansParams, fit_layers

    block = {str(place): layer for place, layer in enumerate(layers)}
    ids = np.arange(len(layers[0]), dtype=np.uint64)
    centres = fit_layers(lambda: iter([{ID: ids, **block}]), KMeansParams(clusters=clusters, seed=seed))
    found = centres.assign(block)
    return np.stack([found[name] for name in block], axis=1).astype(np.int64)


def run(
    data: Dataset,
    methods: Sequence[Method],
    *,
    seeds: Sequence[int],
    clusters: Sequence[int],
    variants: Sequence[str] = protocol.VARIANTS,
    note: Callable[[str], None] = lambda _: None,
) -> Iterator[Row]:
    """The rows of one data set, in the order of variants, methods, pairings and numbers of clusters.

    Every run (seed, and what the data adds to it) has its own pairing, its own k-means and its own search. ConfigError
    when the data is too small for the protocol.
    """

    seeds = [data.seeds_from + seed for seed in seeds]

    @lru_cache
    def clustered(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        return clusterings(data.first, count, seed), clusterings(data.second, count, seed)

    for variant in variants:
        draws = [protocol.draw(data.first_class, data.second_class, seed, variant) for seed in seeds]
        ceilings: dict[str, float] = {}
        for method in methods:
            note(f"{data.name}, {variant}: {method.name}")
            if method.draws not in ceilings:
                ceilings[method.draws] = _mean(
                    protocol.precision(oracle(Run(data, draw, seed), method.draws)[: draw.size], draw.true)
                    for draw, seed in zip(draws, seeds, strict=True)
                )
            for pairing in method.pairings:
                for count in clusters if method.clustered else (None,):
                    row = Row(data.name, variant, method.name, pairing, count, method.draws, method.learns)
                    row.ceiling = ceilings[method.draws]
                    if method.needs == "torch" and not contrastive.available():
                        row.note = "skipped: torch is not installed"
                    elif not _possible(pairing, data):
                        row.note = "skipped: the modalities have no such layers"
                    else:
                        _fill(row, method, data, draws, seeds, clustered)
                    yield row


def _possible(pairing: str, data: Dataset) -> bool:
    """Whether the two views have the layers that a pairing names."""
    if pairing.startswith("layer_"):
        return int(pairing[6:]) < min(len(data.first), len(data.second))
    return pairing != "diagonal" or len(data.first) == len(data.second)


def _fill(
    row: Row,
    method: Method,
    data: Dataset,
    draws: Sequence[protocol.Draw],
    seeds: Sequence[int],
    clustered: Callable[[int, int], tuple[np.ndarray, np.ndarray]],
) -> None:
    """Run a method on every draw and write the figures into its row."""
    held, curves = [], []
    for draw, seed in zip(draws, seeds, strict=True):
        run, pairs, weights = Run(data, draw, seed), np.zeros((0, 2), np.int64), np.zeros(0)
        if row.clusters is not None:
            first, second = clustered(row.clusters, seed)
            assignments = np.concatenate([first[draw.first], second[draw.second]], axis=1)
            pairs, weights = pairs_of(row.pairing, run)
            run = replace(run, assignments=assignments)
        order = method.order(run, pairs, weights)[: draw.size]
        assert len(np.unique(order)) == draw.size, f"{method.name} selected {len(order)} of {draw.size}"
        row.each.append(round(protocol.precision(order, draw.true), 6))
        curves.append([protocol.precision(order[: max(round(s * len(draw)), 1)], draw.true) for s in SHARES])
        if row.clusters is not None:
            assignments = run.assignments
            held.append([*_held(assignments, pairs, weights, order), *_held(assignments, pairs, weights, draw.true)])
    row.runs = len(row.each)
    row.precision = _mean(row.each)
    row.deviation = round(float(np.std(row.each, ddof=1)), 6) if row.runs > 1 else None
    row.of_ceiling = round(row.precision / row.ceiling, 6) if row.ceiling else None
    row.curve = [round(float(value), 6) for value in np.mean(curves, axis=0)]
    if held:
        row.mi, row.entropy, row.mi_true, row.entropy_true = map(_mean, zip(*held, strict=True))


def _held(assignments: np.ndarray, pairs: np.ndarray, weights: np.ndarray, chosen: np.ndarray) -> tuple[float, float]:
    """Mean mutual information of the pairs of clusterings and mean entropy of the clusterings among chosen rows."""
    from winnow.selection import mutual_information
    from winnow.selection.measures import entropy

    entropies = [entropy(np.bincount(assignments[chosen, layer])) for layer in np.unique(pairs)]
    return mutual_information(assignments, pairs, chosen, weights=weights), float(np.mean(entropies))


def _mean(values: Iterable[float]) -> float:
    return round(float(np.mean(list(values))), 6)
