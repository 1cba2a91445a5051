"""Selection by a mixture: what it finds, what it maximises, what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest

from winnow.benchmark import protocol, scoring
from winnow.core.errors import ConfigError, ContractError
from winnow.selection import batch_greedy, pairing
from winnow.selection.refine import PRIOR, log_ratio, refine, responsibilities


def corpus(variant: str, seed: int = 0, noise: float = 0.15) -> tuple[protocol.Draw, np.ndarray]:
    """Pairs of 1,000 samples and their noisy clusterings, three a side: a cluster is a class but for noise."""
    rng = np.random.default_rng(seed)
    classes = np.repeat(np.arange(10), 100)
    draw = protocol.draw(classes, classes, seed, variant)
    columns = [
        np.where(rng.random(len(draw)) < noise, rng.integers(0, 10, len(draw)), rng.permutation(10)[seen])
        for seen in draw.classes.T[[0, 0, 0, 1, 1, 1]]
    ]
    return draw, np.stack(columns, axis=1)


@pytest.mark.parametrize("variant", protocol.VARIANTS)
def test_refine_finds_the_dependent_half(variant: str) -> None:
    draw, assignments = corpus(variant)
    order, gain = refine(assignments, pairing("bipartite", 3, 3), draw.size, prior=PRIOR)
    ceiling = protocol.precision(scoring.ranked(scoring.knows_classes(draw), 0)[: draw.size], draw.true)
    assert protocol.precision(order, draw.true) > 0.95 * ceiling
    assert len(set(order)) == len(order) == draw.size
    assert (np.diff(gain) <= 0).all()


def test_more_mutual_information_is_not_more_truth() -> None:
    """What the mixture is for: exact greedy finds more mutual information than the true pairs have, with others."""
    from winnow.selection import exact_greedy, mutual_information

    draw, assignments = corpus("chance", noise=0.05)
    pairs = pairing("bipartite", 3, 3)
    greedy = exact_greedy(assignments, pairs, draw.size)[0]
    assert mutual_information(assignments, pairs, greedy) > 1.2 * mutual_information(assignments, pairs, draw.true)
    assert protocol.precision(greedy, draw.true) < 0.85
    assert protocol.precision(refine(assignments, pairs, draw.size, prior=PRIOR)[0], draw.true) > 0.97


def test_perfect_clusters_do_not_help_mutual_information() -> None:
    """Clusters are the classes, n samples each. A selection of 5 n pairs has most mutual information when ten cells
    hold it: those of the five kept classes, and five of the mismatched block, no two in a row or column, which are full
    with n / 5 pairs each: 4 n of 5 n are true. The entropy of shares 0.16 and 0.04, five each, is 2.11 nats, that of
    the true pairs ln 5 = 1.61."""
    from winnow.selection import exact_greedy, mutual_information

    draw, _ = corpus("chance")
    greedy = exact_greedy(draw.classes, [(0, 1)], draw.size)[0]
    assert protocol.precision(greedy, draw.true) == pytest.approx(0.8, abs=0.04)
    assert mutual_information(draw.classes, [(0, 1)], greedy) == pytest.approx(2.11, abs=0.06)
    assert mutual_information(draw.classes, [(0, 1)], draw.true) == pytest.approx(math.log(5))
    assert protocol.precision(refine(draw.classes, [(0, 1)], draw.size, prior=PRIOR)[0], draw.true) > 0.97


@pytest.mark.parametrize("prior", [0.0, 10.0, math.inf])
def test_no_turn_lowers_the_free_energy(prior: float) -> None:
    draw, assignments = corpus("chance")
    pairs = pairing("bipartite", 3, 3)
    weights, share = np.full(len(pairs), 1 / len(pairs)), np.full(len(draw), 0.5)
    energies = []
    for _ in range(25):
        ratio, energy = log_ratio(assignments.astype(np.uint8), 10, pairs, weights, share, prior)
        energies.append(energy)
        share = responsibilities(ratio, draw.size)
        assert share.sum() == pytest.approx(draw.size, abs=1e-6)
    assert np.diff(energies).min() > -1e-6
    assert energies[-1] > energies[0] + 10


def test_an_infinite_prior_weighs_cells_by_the_corpus() -> None:
    """2 × 2 clusters: 40 + 40 clips in which both sides agree, 10 + 10 in which they do not."""
    assignments = np.repeat([[0, 0], [1, 1], [0, 1], [1, 0]], [40, 40, 10, 10], axis=0)
    order, gain = refine(assignments, [(0, 1)], 80)
    assert order.tolist() == list(range(80))
    joint = gain[0] - math.log(4)  # ln q of a cell in which both agree, against ½ · ½ by chance
    assert math.log(0.25) < joint < math.log(0.5)  # between telling nothing and being certain of all 80
    assert np.ptp(gain) < 1e-9


def test_a_cluster_of_one_side_alone_counts_without_a_prior_and_not_with_an_infinite_one() -> None:
    """Clusters 0 and 1 always agree, 2 and 3 never tell: without a prior, what is seldom in the rest is selected."""
    rng = np.random.default_rng(0)
    kept, rest = rng.integers(0, 2, 200), rng.integers(2, 4, (200, 2))
    assignments = np.concatenate([np.stack([kept, kept], axis=1), rest])
    odd = np.array([[0, 2]] * 8)  # one side of the kept, the other of the rest
    both = np.concatenate([assignments, odd])
    pairs, weights = np.array([[0, 1]]), np.ones(1)
    share = np.r_[np.ones(200), np.zeros(200), np.full(8, 0.5)]
    free, _ = log_ratio(both.astype(np.uint8), 4, pairs, weights, share, 0.0)
    held, _ = log_ratio(both.astype(np.uint8), 4, pairs, weights, share, math.inf)
    same = (rest == [2, 2]).all(axis=1)
    assert free[-1] > free[200:400][same].max() + 1  # cluster 0 of one side lifts it
    assert held[-1] < held[:200].min() - 2
    assert set(refine(assignments, pairs, 200, prior=PRIOR)[0]) == set(range(200))


def test_a_prior_keeps_a_small_corpus_from_reading_accidents_as_kinds() -> None:
    """Where mismatches strike all kinds alike, a cluster that is rare in the rest is so by accident. Two clusters of
    either side make a class, 400 clips."""
    classes = np.repeat(np.arange(10), 40)
    found = {0.0: [], PRIOR: []}
    for seed in range(4):
        draw = protocol.draw(classes, classes, seed, "samples")
        assignments = 2 * draw.classes + np.random.default_rng(seed).integers(0, 2, draw.classes.shape)
        for prior, precisions in found.items():
            order = refine(assignments, [(0, 1)], draw.size, prior=prior)[0]
            precisions.append(protocol.precision(order, draw.true))
    assert np.mean(found[PRIOR]) > np.mean(found[0.0]) + 0.05, found
    assert np.mean(found[PRIOR]) > 0.85


def test_where_kinds_are_unequal_and_mismatches_strike_all_only_the_infinite_prior_holds() -> None:
    """Why `winnow select` offers no other: with marginals of its own the rest becomes the rare kinds."""
    from winnow.benchmark import kinds

    share = kinds.sizes(4000)
    found: dict[str, list[float]] = {"finite": [], "infinite": [], "greedy": []}
    for seed in (1000, 1001):  # seeds of which nothing was chosen
        kind = np.repeat(np.arange(len(share)), share)
        draw = protocol.draw(kind, kind, seed, "samples")
        rng = np.random.default_rng(seed)
        sides = [
            np.where(rng.random((4000, 5)) < 0.3, rng.permutation(kind)[:, None], c[:, None]) for c in draw.classes.T
        ]
        assignments, pairs = np.concatenate(sides, axis=1), pairing("bipartite", 5, 5)
        orders = {
            "finite": refine(assignments, pairs, draw.size, prior=PRIOR)[0],
            "infinite": refine(assignments, pairs, draw.size)[0],
            "greedy": batch_greedy(assignments, pairs, draw.size)[0],
        }
        for name, order in orders.items():
            found[name].append(protocol.precision(order, draw.true))
    assert np.mean(found["infinite"]) > np.mean(found["greedy"]) - 0.02, found
    assert np.mean(found["finite"]) < np.mean(found["infinite"]) - 0.05, found


def test_refine_is_deterministic_and_does_not_care_for_the_order_of_clips() -> None:
    draw, assignments = corpus("samples")
    pairs, place = pairing("diagonal", 3, 3), np.random.default_rng(3).permutation(len(assignments))
    order, gain = refine(assignments, pairs, 300)
    assert np.array_equal(order, refine(assignments, pairs, 300)[0])
    moved, moved_gain = refine(assignments[place], pairs, 300)
    assert np.allclose(gain, moved_gain)
    certain = set(order[gain > gain[-1] + 1e-6])
    assert certain <= set(place[moved])
    assert draw.true[list(certain)].mean() > 0.8


def test_refine_starts_from_a_selection_and_weighs_pairs() -> None:
    draw, assignments = corpus("chance")
    pairs = pairing("bipartite", 3, 3)
    rng = np.random.default_rng(0)
    assignments[:, 5] = rng.integers(0, 10, len(draw))  # says nothing
    equal = refine(assignments, pairs, draw.size, prior=PRIOR)[0]
    alone = refine(assignments, pairs, draw.size, weights=(pairs[:, 1] == 5).astype(float), prior=PRIOR)[0]
    weights = (pairs[:, 1] != 5).astype(float)
    told = refine(assignments, pairs, draw.size, weights=weights, prior=PRIOR)[0]
    assert protocol.precision(told, draw.true) > 0.95
    assert protocol.precision(told, draw.true) > protocol.precision(alone, draw.true) + 0.1
    begun = refine(assignments, pairs, draw.size, start=equal, prior=PRIOR)[0]
    assert protocol.precision(begun, draw.true) > 0.85


def test_refine_refuses_what_makes_no_sense() -> None:
    _, assignments = corpus("chance")
    assert [len(x) for x in refine(assignments, [(0, 3)], 0)] == [0, 0]
    assert sorted(refine(assignments, [(0, 3)], len(assignments))[0]) == list(range(len(assignments)))
    with pytest.raises(ConfigError, match="size"):
        refine(assignments, [(0, 3)], len(assignments) + 1)
    with pytest.raises(ConfigError, match="pairs"):
        refine(assignments, [(0, 9)], 5)
    with pytest.raises(ConfigError, match="prior"):
        refine(assignments, [(0, 3)], 5, prior=-1)
    with pytest.raises(ContractError):
        refine(assignments * 0.5, [(0, 3)], 5)
