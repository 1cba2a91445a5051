"""k-means: nearest centres beyond rounding, centres that no order or thread changes, inertia as of full Lloyd's."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from winnow.core.errors import ConfigError, ContractError
from winnow.selection.kmeans import centroids as kmeans
from winnow.selection.kmeans import kernels as kernels
from winnow.selection.kmeans.centroids import ID, Centroids, KMeansParams, draw, fit_layers
from winnow.selection.kmeans.frame import Frame
from winnow.selection.kmeans.lloyd import Crew, Tally, lloyd, neighbours
from winnow.selection.kmeans.start import plus_plus

#: So that a small corpus is drawn from, and read as a stream, like a large one.
SMALL_SAMPLE = 2000


def corpus(n: int, dim: int, kinds: int, seed: int = 0) -> np.ndarray:
    """Vectors of kinds of unequal size, elongated and noisy: float32 (n, dim)."""
    rng = np.random.default_rng(seed)
    share = rng.random(kinds) ** 2
    kind = rng.choice(kinds, n, p=share / share.sum())
    rows = rng.normal(size=(kinds, dim))[kind] * 1.2 + rng.normal(size=(n, 4)) @ rng.normal(size=(4, dim))
    return (3 + rows + 0.5 * rng.normal(size=(n, dim))).astype(np.float32)


def stream(
    layers: dict[str, np.ndarray], cut: int, order: np.ndarray | None = None
) -> Callable[[], Iterator[dict[str, np.ndarray]]]:
    """A corpus as blocks of `cut` rows, in another order of rows."""
    n = len(next(iter(layers.values())))
    order = np.arange(n) if order is None else order
    ids = np.arange(n, dtype=np.uint64) * np.uint64(7919)

    def blocks() -> Iterator[dict[str, np.ndarray]]:
        for first in range(0, n, cut):
            at = order[first : first + cut]
            yield {ID: ids[at], **{name: array[at] for name, array in layers.items()}}

    return blocks


def inertia(rows: np.ndarray, centroids: Centroids, name: str = "x") -> float:
    """Sum of squared distances to the nearest centre, by the definition, in the space of the vectors."""
    layer = centroids.layers[name]
    centres = layer.centres.astype(np.float64) / layer.frame.factor + layer.frame.centre
    total = 0.0
    for block in np.array_split(rows.astype(np.float64), max(len(rows) // 500, 1)):
        total += ((block[:, None, :] - centres) ** 2).sum(axis=2).min(axis=1).sum()
    return total


@pytest.fixture
def small_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KMeansParams, "sample_rows", property(lambda _: SMALL_SAMPLE))


@pytest.mark.usefixtures("small_sample")
def test_neither_order_nor_blocks_nor_threads_change_a_byte() -> None:
    layers = {"x": corpus(7000, 24, 9), "y": corpus(7000, 17, 5, seed=1).astype(np.float16)}
    params = KMeansParams(clusters=12, passes=3)
    first = fit_layers(stream(layers, 7000), params).dumps()
    shuffled = np.random.default_rng(3).permutation(7000)
    assert fit_layers(stream(layers, 333, shuffled), params, threads=3).dumps() == first
    assert fit_layers(stream(layers, 1024), KMeansParams(clusters=12, passes=3, seed=1)).dumps() != first
    assert fit_layers(stream({"y": layers["y"]}, 500), params).layers["y"].centres.tobytes() == (
        Centroids.loads(first).layers["y"].centres.tobytes()
    )


@pytest.mark.usefixtures("small_sample")
def test_layers_are_sampled_together_or_apart_to_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = {f"x{i}": corpus(4000, 24 + i, 9, seed=i).astype(np.float16) for i in range(8)}
    params = KMeansParams(clusters=4, passes=1, starts=1, iterations=2)
    together, peaks = fit_layers(stream(layers, 500), params).dumps(), []
    for most in (1 << 30, 400_000, 1):
        monkeypatch.setattr(kmeans, "SAMPLE_BYTES", most)
        tracemalloc.start()
        try:
            assert fit_layers(stream(layers, 500), params).dumps() == together
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[0] - peaks[2] > 4 * 2 * SMALL_SAMPLE * 24


@pytest.mark.parametrize("whiten", [False, True])
def test_inertia_is_within_two_thousandths_of_full_lloyd(monkeypatch: pytest.MonkeyPatch, whiten: bool) -> None:
    """A sample of a third of the corpus: of real ones it is smaller, but 65,536 rows. Mean over three corpora."""
    monkeypatch.setattr(KMeansParams, "sample_rows", property(lambda _: 7000))
    above_end, above_others = [], []
    for seed in range(3):
        rows = corpus(20000, 16, 12, seed=seed)
        rows[:, 3] *= 20
        fitted = fit_layers(stream({"x": rows}, 5000), KMeansParams(clusters=12, whiten=whiten), threads=2)
        assert fitted.layers["x"].figures["passes"] > 1
        scaled = rows.astype(np.float64) / (rows.astype(np.float64).std(axis=0) if whiten else 1.0)
        layer = fitted.layers["x"]
        labels = layer.assign(rows)
        means = np.stack([scaled[labels == j].mean(axis=0) for j in range(12)])
        found = ((scaled - means[labels]) ** 2).sum()
        if whiten:
            assert layer.frame.factor * rows.std(axis=0) == pytest.approx(np.ones(16), rel=0.05)
        else:
            assert layer.figures["inertia"] == pytest.approx(inertia(rows, fitted), rel=1e-3)
        above_end.append(found / KMeans(12, init=means, n_init=1, tol=0, max_iter=1000).fit(scaled).inertia_)
        others = [KMeans(12, n_init=1, tol=0, random_state=seed).fit(scaled).inertia_ for seed in range(3)]
        above_others.append(found / np.median(others))
    assert np.mean(above_end) <= 1.002
    assert np.mean(above_others) <= 1.002


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_the_sample_is_that_of_the_lowest_hashed_ids(monkeypatch: pytest.MonkeyPatch, kind: type) -> None:
    """Whatever the blocks are: it is thinned out while the stream goes by."""
    monkeypatch.setattr(KMeansParams, "sample_rows", property(lambda _: 101))
    rows = np.random.default_rng(0).normal(size=(5000, 3)).astype(kind)
    ids = np.arange(5000, dtype=np.uint64) * np.uint64(7919)
    wanted = rows[np.argsort(kernels.keys_of(ids, np.uint64(7)))[:101]]
    for cut in (1, 37, 151, 5000):
        found, count = draw(stream({"x": rows}, cut), KMeansParams(clusters=2, seed=7))
        assert count == 5000
        assert found["x"].dtype == kind
        assert np.array_equal(found["x"], wanted)
    few, _ = draw(stream({"x": rows[:60]}, 11), KMeansParams(clusters=2, seed=7))
    assert np.array_equal(few["x"], rows[np.argsort(kernels.keys_of(ids[:60], np.uint64(7)))])


def test_many_clusters_iterate_among_neighbours_without_loss() -> None:
    """Beyond 4 · NEAR centres most iterations look at near centres only: the end is as good as without."""
    rows = corpus(4000, 8, 300)
    frame = Frame.of(rows, False)
    prepared = frame.prepare(rows)
    begin = plus_plus(prepared, 160, np.random.default_rng(0))
    near = neighbours(begin)
    gaps = ((begin[:, None].astype(float) - begin) ** 2).sum(axis=2)
    assert all(set(near[j]) == set(np.argsort(gaps[j], kind="stable")[: near.shape[1]]) for j in range(160))
    with Crew(2) as crew:
        centres, objective, _ = lloyd(crew, prepared, begin, frame.step, 1e-6, 200)
        labels = crew.labels(prepared, centres)
        again = labels.copy()
        whole, some = crew.tally(prepared, centres), crew.tally_near(prepared, centres, neighbours(centres), again)
    assert (labels == again).mean() > 0.999
    assert np.abs(whole.counts - some.counts).sum() <= 8
    plain = KMeans(160, init=begin, n_init=1, tol=0).fit(prepared).inertia_
    assert objective <= plain * 1.003


def test_assignments_are_the_nearest_centres_in_float64() -> None:
    rng = np.random.default_rng(0)
    rows = np.round(rng.normal(size=(3000, 6)) * 2).astype(np.float32)  # many exact ties
    fitted = fit_layers(stream({"x": rows}, 3000), KMeansParams(clusters=40))
    layer = fitted.layers["x"]
    prepared = layer.frame.prepare(rows).astype(np.float64)
    exact = ((prepared[:, None, :] - layer.centres.astype(np.float64)) ** 2).sum(axis=2)
    labels = fitted.assign({"x": rows})["x"]
    assert (labels == exact.argmin(axis=1)).all()
    one_by_one = np.concatenate([layer.assign(rows[i : i + 1]) for i in range(50)])
    assert (one_by_one == labels[:50]).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 12), st.integers(0, 5), st.integers(0, 10**6))
def test_ties_go_to_the_lowest_number(n: int, dim: int, clusters: int, spread: int, seed: int) -> None:
    """Small whole numbers: distances are exact, equal ones frequent, and centres may stand twice."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(-spread, spread + 1, size=(n, dim)).astype(np.float32)
    centres = rng.integers(-spread, spread + 1, size=(clusters, dim)).astype(np.float32)
    gaps = ((rows[:, None, :].astype(int) - centres.astype(int)) ** 2).sum(axis=2)
    with Crew(2) as crew:
        assert (crew.labels(rows, centres) == gaps.argmin(axis=1)).all()
        tally = crew.tally(rows, centres, step=1.0)
    assert tally.counts.tolist() == np.bincount(gaps.argmin(axis=1), minlength=clusters).tolist()
    assert tally.squares == int((rows.astype(int) ** 2).sum())


def test_sums_are_exact_whatever_the_order() -> None:
    rows = corpus(5000, 7, 3) * np.float32(1e3)
    frame = Frame.of(rows[:100], False)
    prepared = frame.prepare(rows)
    steps = np.round(prepared / frame.step).astype(np.int64)
    assert (steps * frame.step == prepared).all()
    labels = np.arange(5000, dtype=np.int32) % 4
    tally = Tally.zero(4, 7)
    kernels.add_up(prepared, labels, tally.sums, tally.counts)
    for j in range(4):
        assert (tally.sums[j] / frame.step).astype(np.int64).tolist() == steps[labels == j].sum(axis=0).tolist()


def test_the_sample_is_a_seeded_set_in_a_fixed_order(small_sample: None) -> None:
    layers = {"x": corpus(9000, 3, 4)}
    params = KMeansParams(clusters=4)
    first, rows = draw(stream(layers, 700), params)
    second, _ = draw(stream(layers, 9000, np.arange(9000)[::-1]), params)
    assert rows == 9000
    assert len(first["x"]) == SMALL_SAMPLE
    assert (first["x"] == second["x"]).all()
    other, _ = draw(stream(layers, 700), KMeansParams(clusters=4, seed=1))
    assert not (first["x"] == other["x"]).all()
    assert np.abs(first["x"].mean(axis=0) - layers["x"].mean(axis=0)).max() < 0.2


def test_fewer_different_rows_than_clusters_give_fewer_centres() -> None:
    rows = np.repeat(corpus(5, 6, 5), 40, axis=0)
    layer = fit_layers(stream({"x": rows}, 64), KMeansParams(clusters=16)).layers["x"]
    assert len(layer.centres) == 5
    assert layer.figures["inertia"] == pytest.approx(0, abs=1e-3)
    assert len(set(layer.assign(rows).tolist())) == 5
    constant = fit_layers(stream({"x": np.ones((30, 4), np.float32)}, 30), KMeansParams(clusters=3, whiten=True))
    assert constant.layers["x"].centres.shape == (1, 4)


def test_a_wild_value_does_not_rule(small_sample: None) -> None:
    rows = corpus(6000, 8, 4)
    params = KMeansParams(clusters=4)
    calm = fit_layers(stream({"x": rows}, 1000), params)
    drawn = draw(stream({"x": rows}, 1000), params)[0]["x"]
    outside = next(i for i in range(6000) if not (drawn == rows[i]).all(axis=1).any())
    wild = rows.copy()
    wild[outside] = 1e30
    found = fit_layers(stream({"x": wild}, 1000), params)
    assert inertia(rows, found) < inertia(rows, calm) * 1.02


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("wild", [1e3, 1e7, 1e30, -3e38])
def test_a_wild_value_of_the_sample_does_not_rule_either(wild: float, whiten: bool) -> None:
    """It takes a centre of its own; the others are clustered as they are without it by one centre less."""
    rows = corpus(8000, 8, 20)
    rows[17, 3] = wild
    others = np.delete(rows, 17, axis=0)
    layer = fit_layers(stream({"x": rows}, 1000), KMeansParams(clusters=20, whiten=whiten)).layers["x"]
    labels = layer.assign(rows)
    assert len(set(labels.tolist())) == 20
    assert (labels == labels[17]).sum() == 1
    calm = fit_layers(stream({"x": others}, 1000), KMeansParams(clusters=19, whiten=whiten)).layers["x"]
    scaled = others * calm.frame.factor
    values = []
    for found in (np.delete(labels, 17), calm.assign(others)):
        means = np.stack([scaled[found == j].mean(axis=0) for j in sorted(set(found.tolist()))])
        values.append(((scaled[:, None] - means) ** 2).sum(axis=2).min(axis=1).sum())
    assert values[0] < values[1] * (1.1 if whiten else 1.01)


def test_usual_values_are_never_cut() -> None:
    """Long tails, columns of one value in a thousand rows, and one wide column among narrow ones."""
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.exponential(size=(6000, 4)), rng.random((6000, 4)) < 0.001], axis=1).astype(np.float32)
    rows[:, 1] *= 1000
    frame = Frame.of(rows, False)
    assert frame.centre == pytest.approx(rows.mean(axis=0, dtype=np.float64), rel=1e-6)
    assert frame.prepare(rows) == pytest.approx(rows - frame.centre, abs=frame.step)


def test_centroids_are_kept_without_pickles_and_read_back() -> None:
    fitted = fit_layers(stream({"v.x": corpus(300, 5, 3), "a.y": corpus(300, 9, 3)}, 100), KMeansParams(clusters=3))
    back = Centroids.loads(fitted.dumps())
    assert list(back.layers) == ["v.x", "a.y"]
    assert back.dumps() == fitted.dumps()
    rows = {"v.x": corpus(50, 5, 3, seed=2), "a.y": corpus(50, 9, 3, seed=2)}
    before, after = fitted.assign(rows), back.assign(rows)
    assert all((before[name] == after[name]).all() for name in rows)


def test_what_cannot_be_clustered_is_refused() -> None:
    rows = corpus(20, 4, 2)
    with pytest.raises(ConfigError, match="clusters = 0"):
        KMeansParams(clusters=0)
    with pytest.raises(ContractError, match="no rows"):
        fit_layers(lambda: iter(()))
    with pytest.raises(ContractError, match="uint64"):
        fit_layers(lambda: iter([{"x": rows}]))
    with pytest.raises(ContractError, match="wanted floats"):
        fit_layers(lambda: iter([{ID: np.arange(20, dtype=np.uint64), "x": rows[:5]}]))
    blocks = [{ID: np.arange(20, dtype=np.uint64), "x": rows}, {ID: np.arange(20, dtype=np.uint64), "y": rows}]
    with pytest.raises(ContractError, match="those before had"):
        fit_layers(lambda: iter(blocks))
    halves = {ID: np.arange(20, 40, dtype=np.uint64), "x": rows.astype(np.float16)}
    with pytest.raises(ContractError, match=r"x': 'float16\[4\]'}, those before had"):
        fit_layers(lambda: iter([blocks[0], halves]))
    with pytest.raises(ContractError, match="more than once"):
        fit_layers(lambda: iter([{ID: np.zeros(20, np.uint64), "x": rows}]))
    fitted = fit_layers(stream({"x": rows}, 20), KMeansParams(clusters=2))
    with pytest.raises(ContractError, match="4 dimensions"):
        fitted.layers["x"].assign(rows[:, :3])
