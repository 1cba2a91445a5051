"""Greedy selection against a plain reference (`plain_selection`) that computes every mutual information from scratch.

Ties: the reference calls scores within 1e-13 nats of the best equal and takes the lowest index; `winnow.selection`
compares integers in which exact ties are equal (see `winnow.selection.kernels`).
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.plain_selection import clips, information, many, plain_batch, plain_exact
from winnow.core.errors import ConfigError, ContractError
from winnow.selection import batch_greedy, exact_greedy, mutual_information, pair_weights, pairing
from winnow.selection.measures import OBJECTIVES
from winnow.selection.problem import checked_assignments


@pytest.mark.parametrize("seed", range(20))
def test_exact_greedy_picks_what_brute_force_picks(seed):
    labels = clips(300, seed, clusters=4 + seed % 5)
    pairs = pairing(("bipartite", "combination", "diagonal", "layer_1")[seed % 4], 3, 3)
    size = 300 if seed < 4 else 90
    order, gain = exact_greedy(labels, pairs, size)
    assert order.tolist() == plain_exact(labels, pairs, size)
    assert order.dtype == np.int64
    assert gain.dtype == np.float64
    so_far = [information(labels[order[: k + 1]], pairs) for k in range(0, size, 7)]
    assert np.cumsum(gain)[::7] == pytest.approx(so_far, abs=1e-12)


@pytest.mark.parametrize(
    ("n", "size", "batch", "take"),
    [(300, 60, 20, 4), (300, 290, 20, 4), (257, 257, 30, 7), (120, 120, 7, 7), (90, 90, 200, 3), (64, 63, 1, 1)],
)
@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
def test_batch_greedy_picks_what_a_plain_loop_over_the_same_draws_picks(n, size, batch, take, seed):
    labels = clips(n, seed % 1000)
    pairs = pairing("bipartite", 3, 3)
    order, gain = batch_greedy(labels, pairs, size, batch, take, seed)
    assert order.tolist() == plain_batch(labels, pairs, size, batch, take, seed)
    assert np.cumsum(gain)[[0, size // 2, size - 1]] == pytest.approx(
        [information(labels[order[:k]], pairs) for k in (1, size // 2 + 1, size)], abs=1e-12
    )


def test_weighted_selection():
    labels = clips(150, 5)
    pairs = pairing("bipartite", 3, 3)
    for name in ("linear", "exp", "onehot"):
        weights = pair_weights(name, pairs, 3)
        order, gain = exact_greedy(labels, pairs, 70, weights=weights)
        assert order.tolist() == plain_exact(labels, pairs, 70, weights=weights)
        assert gain.sum() == pytest.approx(information(labels[order], pairs, weights), abs=1e-12)
        assert gain.sum() == pytest.approx(mutual_information(labels, pairs, order, weights=weights), abs=1e-12)
        assert exact_greedy(labels, pairs, 70, weights=weights / 1e6)[0].tolist() == order.tolist()
        order, _ = batch_greedy(labels, pairs, 70, 20, 4, 9, weights=weights)
        assert order.tolist() == plain_batch(labels, pairs, 70, 20, 4, 9, weights=weights)


def test_exact_greedy_continues_from_what_is_selected():
    labels, pairs = clips(300, 3), pairing("combination", 3, 3)
    order, gain = exact_greedy(labels, pairs, 120)
    again, more = exact_greedy(labels, pairs, 70, selected=np.random.default_rng(0).permutation(order[:50]))
    assert again.tolist() == order[50:].tolist()
    assert more.tolist() == gain[50:].tolist()
    assert exact_greedy(labels, pairs, 40, selected=order[50:90])[0].tolist() == plain_exact(
        labels, pairs, 40, order[50:90].tolist()
    )
    mask = np.isin(np.arange(300), order[:50])
    assert exact_greedy(labels, pairs, 70, mask)[0].tolist() == again.tolist()


def test_batch_greedy_from_what_is_selected():
    labels, pairs = clips(300, 4), pairing("bipartite", 3, 3)
    chosen = [7, 250, 3, 99, 100, 101]
    order, gain = batch_greedy(labels, pairs, 100, 20, 4, 11, chosen)
    assert order.tolist() == plain_batch(labels, pairs, 100, 20, 4, 11, chosen)
    assert not set(chosen) & set(order.tolist())
    assert gain.sum() == pytest.approx(
        mutual_information(labels, pairs, [*chosen, *order]) - mutual_information(labels, pairs, chosen), abs=1e-12
    )
    # At the end of a round, before half of the pool is gone, one run and its continuation are the same.
    whole, gains = batch_greedy(labels, pairs, 100, 20, 4, 5)
    rest, more = batch_greedy(labels, pairs, 59, 20, 4, 5, whole[:41])
    assert rest.tolist() == whole[41:].tolist()
    assert more.tolist() == gains[41:].tolist()
    everything, _ = batch_greedy(labels, pairs, 200, 20, 4, 5, range(100))
    assert sorted(everything.tolist()) == list(range(100, 300))


def test_a_batch_of_all_is_exact_greedy():
    labels, pairs = clips(300, 6), pairing("combination", 3, 3)
    for batch in (300, 10**6):
        order, gain = batch_greedy(labels, pairs, 200, batch, 1, 77)
        assert (order.tolist(), gain.tolist()) == tuple(x.tolist() for x in exact_greedy(labels, pairs, 200))


def test_a_gain_can_grow_so_bounds_of_earlier_steps_would_be_wrong():
    labels = np.array([[0, 0], [1, 1], [2, 2], [2, 2]])
    gain = [
        information(labels[[*chosen, 3]], [(0, 1)]) - information(labels[chosen], [(0, 1)])
        for chosen in ([0, 2], [0, 1, 0, 1, 2])
    ]
    assert gain[0] < gain[1]


@pytest.mark.parametrize("turn", [1, -1])
def test_exact_ties_of_different_terms_go_to_the_lowest_index(turn):
    """With g(k) = (k + 1) ln(k + 1) − k ln k: g(4) + g(5) + g(6) + g(7) = 16 ln 2 = 8 g(1).

    Two clips fall into cells with 4, 5, 6, 7, 0, 0, 0, 0 clips and with 1 each; their marginals are 8 everywhere.
    Rounding each g would prefer one of them.
    """
    columns = []
    for x in (4, 5, 6, 7, 0, 0, 0, 0):
        counts = {(0, 0): x, (1, 1): 1, (0, 2): 8 - x, (1, 2): 7, (2, 0): 8 - x, (2, 1): 7}
        cells = [cell for cell, count in counts.items() for _ in range(count)]
        columns.append(np.array(cells + [(3, 3)] * (32 - len(cells))))
    labels = np.concatenate([np.hstack(columns), np.array([[0] * 16, [1] * 16])[::turn]])
    pairs = np.arange(16).reshape(8, 2)
    scores = many(labels, pairs, list(range(32)), [32, 33])
    assert scores[0] == pytest.approx(scores[1], abs=1e-14)
    assert exact_greedy(labels, pairs, 1, range(32))[0].tolist() == [32]
    assert batch_greedy(labels, pairs, 2, 2, 2, 0, range(32))[0].tolist() == [32, 33]


def test_counts_beyond_the_table_have_the_same_steps():
    """A long selection has a longer table; with few clusters counts pass the end of either."""
    rng = np.random.default_rng(0)
    labels = np.stack([rng.integers(3, size=40_000) // 2, rng.integers(5, size=40_000) // 4], axis=1)
    for weights in (None, [0.3]):
        order, gain = batch_greedy(labels, [(0, 1)], 39_000, 20, 4, 0, weights=weights)
        short, less = batch_greedy(labels, [(0, 1)], 20_000, 20, 4, 0, weights=weights)
        assert order[:20_000].tolist() == short.tolist()
        assert gain[:20_000].tolist() == less.tolist()
        assert gain.sum() == pytest.approx(mutual_information(labels, [(0, 1)], order), abs=1e-11)
    whole, gains = exact_greedy(labels[:12_000], [(0, 1)], 12_000)
    assert gains.sum() == pytest.approx(mutual_information(labels[:12_000], [(0, 1)]), abs=1e-11)
    assert whole[:9_000].tolist() == exact_greedy(labels[:12_000], [(0, 1)], 9_000)[0].tolist()


def test_kernels_compile_where_no_cache_can_be_written():
    """As in a pod with a read-only root."""
    code = (
        "import numba.core.caching as c\n"
        "def refuse(*a, **k): raise OSError('read-only')\n"
        "c._CacheLocator.ensure_cache_path = refuse\n"
        "from winnow.selection import counting, measures\n"
        "assert measures.expected_mi([1, 1], [1, 1]) > 0\n"
        "assert type(counting.count._cache).__name__ == 'NullCache'\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 60), st.sampled_from(["exact", "batch"]), st.data())
def test_properties(seed, n, kind, data):
    rng = np.random.default_rng(seed)
    clusters = int(rng.integers(1, 9))
    labels = rng.integers(clusters, size=(n, 4))
    pairs = pairing(data.draw(st.sampled_from(["bipartite", "combination", "diagonal", "penultimate"])), 2, 2)
    size = data.draw(st.integers(0, n))
    batch = data.draw(st.integers(1, n + 5))
    take = data.draw(st.integers(1, batch))

    def select(labels, size):
        return (
            exact_greedy(labels, pairs, size) if kind == "exact" else batch_greedy(labels, pairs, size, batch, take, 1)
        )

    order, gain = select(labels, size)
    assert len(set(order.tolist())) == len(order) == len(gain) == size
    assert gain.sum() == pytest.approx(mutual_information(labels, pairs, order), abs=1e-11)
    assert size == 0 or gain[0] == 0
    whole, gains = select(labels, n)
    assert whole[:size].tolist() == order.tolist()
    assert gains[:size].tolist() == gain.tolist()
    renamed = np.stack([rng.permutation(clusters)[column] for column in labels.T], axis=1)
    for same in (renamed, labels.astype(np.int16).copy("F"), labels.astype(np.uint8), labels * 300, labels * 70_000):
        again, its = select(same, size)
        assert again.tolist() == order.tolist()
        assert its.tolist() == gain.tolist()


@pytest.mark.parametrize("objective", sorted(set(OBJECTIVES) - {"mi"}))
def test_other_objectives(objective):
    labels, pairs = clips(60, 8, layers=2, clusters=4), pairing("bipartite", 2, 2)

    def value(chosen):
        tables = [np.zeros((4, 4), int) for _ in pairs]
        for table, (i, j) in zip(tables, pairs, strict=True):
            np.add.at(table, (labels[chosen, i], labels[chosen, j]), 1)
        return np.mean([OBJECTIVES[objective](table) for table in tables])

    order, gain = exact_greedy(labels, pairs, 25, objective=objective)
    for k in range(25):
        chosen = order[:k].tolist()
        candidates = sorted(set(range(60)) - set(chosen))
        scores = [value([*chosen, c]) for c in candidates]
        assert value(order[: k + 1]) == pytest.approx(max(scores), abs=1e-9), k
    assert np.cumsum(gain) == pytest.approx([value(order[: k + 1]) for k in range(25)], abs=1e-9)
    order, gain = batch_greedy(labels, pairs, 30, 10, 3, 2, objective=objective)
    assert len(set(order.tolist())) == 30
    assert gain.sum() == pytest.approx(value(order), abs=1e-9)
    more, _ = batch_greedy(labels, pairs, 8, 10, 3, 2, order, objective=objective)
    assert not set(more.tolist()) & set(order.tolist())


def test_other_objectives_draw_what_mutual_information_draws():
    labels, pairs = clips(200, 8), pairing("bipartite", 3, 3)
    from winnow.selection.objectives import greedy_by
    from winnow.selection.problem import Problem

    problem = Problem.of(labels, pairs, [5, 6], None)
    slow, gain = greedy_by(problem, "mi", 150, 20, 4, 3)
    fast, exact = batch_greedy(labels, pairs, 150, 20, 4, 3, [5, 6])
    assert slow.tolist() == fast.tolist()
    assert gain == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize("apart", [20, 400, 9000, 20_000])
def test_ids_with_gaps_are_picked_as_without(apart, monkeypatch):
    monkeypatch.setattr("winnow.selection.problem.PART_ROWS", 37)
    labels, pairs = clips(300, 4, layers=5, clusters=8), pairing("bipartite", 5, 5)
    gaps = labels * apart + np.arange(10)
    for greedy in (exact_greedy, batch_greedy):
        found, wanted = greedy(gaps, pairs, 60), greedy(labels, pairs, 60)
        assert found[0].tolist() == wanted[0].tolist()
        assert found[1].tolist() == wanted[1].tolist()


def test_only_ids_with_gaps_are_copied():
    dense = np.arange(3000, dtype=np.uint16).reshape(-1, 3) % 1000
    assert np.shares_memory(checked_assignments(dense)[0], dense)
    assert checked_assignments(dense)[1] == 1000
    gaps, clusters = checked_assignments(dense // 10 * 10)
    assert (gaps.dtype, clusters) == (np.uint8, 100)
    few = dense.astype(np.uint8)
    assert np.shares_memory(checked_assignments(few)[0], few)


def test_what_is_refused():
    labels, pairs = clips(30, 0), pairing("bipartite", 3, 3)
    for size in (-1, 31, 2.0, "5", True, None):
        with pytest.raises(ConfigError, match="size"):
            batch_greedy(labels, pairs, size, 20, 4, 0)
        with pytest.raises(ConfigError, match="size"):
            exact_greedy(labels, pairs, size)
    with pytest.raises(ConfigError, match="size = 28: wanted a whole number from 0 to 27"):
        exact_greedy(labels, pairs, 28, [0, 1, 2])
    for batch, take, seed, match in ((0, 1, 0, "batch"), (4, 5, 0, "take"), (4, 0, 0, "take"), (4, 1, -1, "seed")):
        with pytest.raises(ConfigError, match=match):
            batch_greedy(labels, pairs, 5, batch, take, seed)
    for selected in ([30], [-1], [1, 1], [0.5], [[1]], np.zeros(29, bool)):
        with pytest.raises(ConfigError, match="selected"):
            exact_greedy(labels, pairs, 5, selected)
    with pytest.raises(ConfigError, match="objective 'mutual'"):
        exact_greedy(labels, pairs, 5, objective="mutual")
    with pytest.raises(ContractError, match="assignments"):
        exact_greedy(labels - 1, pairs, 5)
    order, gain = exact_greedy(labels[:0], pairs, 0)
    assert len(order) == len(gain) == 0
