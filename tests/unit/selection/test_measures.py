"""Measures of two clusterings against scikit-learn; pairings; what `mutual_information` refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from winnow.core.errors import ConfigError, ContractError
from winnow.selection import contingency, exact_greedy, gains, mutual_information, pair_weights, pairing
from winnow.selection.measures import OBJECTIVES

SKLEARN = {
    "mi": metrics.mutual_info_score,
    "ami": metrics.adjusted_mutual_info_score,
    "nmi": metrics.normalized_mutual_info_score,
    "fowlkes_mallows": metrics.fowlkes_mallows_score,
    "rand": metrics.rand_score,
    "adjusted_rand": metrics.adjusted_rand_score,
}


def agree(left: np.ndarray, right: np.ndarray) -> None:
    """Every measure of these labels is scikit-learn's to 1e-9."""
    table = contingency(np.stack([left, right], axis=1), [(0, 1)])[0]
    for name, reference in SKLEARN.items():
        assert OBJECTIVES[name](table) == pytest.approx(reference(left, right), abs=1e-9), name


@pytest.mark.parametrize("n", [2, 7, 50, 1000, 20_000])
@pytest.mark.parametrize("clusters", [1, 2, 10, 32])
@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0])
def test_measures_are_those_of_scikit_learn(n, clusters, noise):
    rng = np.random.default_rng([n, clusters, int(noise * 10)])
    left = rng.integers(clusters, size=n)
    right = np.where(rng.random(n) < noise, rng.integers(clusters, size=n), left)
    agree(left, right)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=40))
def test_measures_of_any_small_labels_are_those_of_scikit_learn(labels):
    agree(*np.array(labels).T)


def test_all_different_and_constant_labels():
    apart, one = np.arange(12), np.zeros(12, int)
    agree(apart, apart)
    agree(apart, one)
    agree(one, one)
    agree(apart, np.arange(12) // 2)


def test_mutual_information_is_the_mean_over_pairs_and_of_a_subset():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 6, (400, 4))
    labels[:, 2] = np.where(rng.random(400) < 0.5, labels[:, 0], labels[:, 2])
    pairs = pairing("bipartite", 2, 2)
    each = np.array([metrics.mutual_info_score(labels[:, i], labels[:, j]) for i, j in pairs])
    assert mutual_information(labels, pairs) == pytest.approx(each.mean(), abs=1e-9)
    weights = [1, 0, 2.5, 0.5]
    assert mutual_information(labels, pairs, weights=weights) == pytest.approx(each @ weights / 4, abs=1e-9)
    chosen = np.flatnonzero(rng.random(400) < 0.3)
    each = [metrics.mutual_info_score(labels[chosen, i], labels[chosen, j]) for i, j in pairs]
    assert mutual_information(labels, pairs, chosen) == pytest.approx(np.mean(each), abs=1e-9)
    mask = np.isin(np.arange(400), chosen)
    assert mutual_information(labels, pairs, mask) == mutual_information(labels, pairs, chosen)
    assert mutual_information(labels, pairs, []) == 0
    assert mutual_information(labels[:0], pairs) == 0


def test_pairings():
    assert pairing("combination", 2, 2).tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    assert pairing("bipartite", 2, 3).tolist() == [[0, 2], [0, 3], [0, 4], [1, 2], [1, 3], [1, 4]]
    assert pairing("diagonal", 3, 3).tolist() == [[0, 3], [1, 4], [2, 5]]
    assert pairing("layer_4", 5, 5).tolist() == pairing("penultimate", 5, 5).tolist() == [[4, 9]]
    assert pairing("layer_0", 2, 3).tolist() == [[0, 2]]
    assert [len(pairing(name, 5, 5)) for name in ("combination", "bipartite", "diagonal")] == [45, 25, 5]
    for name in ("diagonals", "layer_", "layer_-1", "layer_x", "layer_5", "layer_²"):
        with pytest.raises(ConfigError, match="pairing"):
            pairing(name, 5, 5)
    with pytest.raises(ConfigError, match="2 visual and 3 audio"):
        pairing("diagonal", 2, 3)
    with pytest.raises(ConfigError, match="needs a visual and an audio"):
        pairing("combination", 0, 5)


def test_pair_weights():
    pairs = pairing("bipartite", 2, 2)
    assert pair_weights("uniform", pairs, 2).tolist() == [1, 1, 1, 1]
    assert pair_weights("linear", pairs, 2).tolist() == [1, 2, 2, 3]
    assert pair_weights("log", pairs, 2) == pytest.approx([1, 1 + np.log(2), 1 + np.log(2), 1 + np.log(3)])
    assert pair_weights("exp", pairs, 2) == pytest.approx([1, np.e, np.e, np.e**2])
    assert pair_weights("onehot", pairs, 2).tolist() == [0, 0, 0, 1]
    with pytest.raises(ConfigError, match="quadratic"):
        pair_weights("quadratic", pairs, 2)


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        (np.zeros(5, int), r"shape \(5,\)"),
        (np.zeros((5, 1), int), "at least 2 layers"),
        (np.zeros((5, 2)), "float64"),
        (np.array([[0, 1], [2, -3]]), r"assignments\[1, 1\] = -3"),
    ],
)
def test_assignments_that_break_their_promise(labels, match):
    with pytest.raises(ContractError, match=match):
        mutual_information(labels, [(0, 1)])


def test_arguments_that_are_wrong():
    labels = np.zeros((5, 2), int)
    for pairs in ([(0, 2)], [(-1, 0)], [(0, 0)], [], [0, 1], [(0.0, 1.0)]):
        with pytest.raises(ConfigError, match="pairs"):
            mutual_information(labels, pairs)
    for subset in ([5], [-1], [0, 0], [0.5], [[0]]):
        with pytest.raises(ConfigError, match="subset"):
            mutual_information(labels, [(0, 1)], subset)
    for weights in ([1, 2], [-1], [np.nan], [0]):
        with pytest.raises(ConfigError, match="weights"):
            mutual_information(labels, [(0, 1)], weights=weights)
    with pytest.raises(ConfigError, match="cells"):
        mutual_information(np.arange(100_000).reshape(-1, 2), [(0, 1)])


def test_ids_with_gaps_count_as_if_they_had_none():
    labels = np.random.default_rng(1).integers(0, 5, (200, 2))
    for apart in (30, 60, 400, 15_000, 10**12):
        assert mutual_information(labels * apart, [(0, 1)]) == mutual_information(labels, [(0, 1)])
    assert mutual_information(labels.astype(np.uint16).copy("F"), [(0, 1)]) == mutual_information(labels, [(0, 1)])


def test_gains_are_what_each_clip_adds() -> None:
    rng = np.random.default_rng(4)
    rows, pairs, weights = rng.integers(0, 5, (60, 4)), np.array([(0, 2), (1, 3), (0, 3)]), np.array([1.0, 0.5, 2.0])
    order = rng.permutation(60)[:40]
    found = np.cumsum(gains(rows, pairs, order, weights=weights))
    wanted = [mutual_information(rows, pairs, order[: k + 1], weights=weights) for k in range(40)]
    assert found == pytest.approx(wanted, abs=1e-12)
    greedy, gain = exact_greedy(rows, pairs, 40)
    assert gains(rows, pairs, greedy) == pytest.approx(gain, abs=1e-9)
    with pytest.raises(ConfigError, match="order"):
        gains(rows, pairs, [1, 1])
