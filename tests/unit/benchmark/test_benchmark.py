"""The correspondence-retrieval benchmark: its protocol, its data, its oracle, its table."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests import needs
from winnow.benchmark import datasets, digits, methods, picture_layers, protocol, render, scoring, table
from winnow.core.errors import ConfigError
from winnow.selection import batch_greedy, pairing

CLASSES = np.repeat(np.arange(10), 40)


def draw_of(variant: str, seed: int = 0) -> protocol.Draw:
    return protocol.draw(CLASSES, np.random.default_rng(9).permutation(CLASSES), seed, variant)


# -- protocol ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("variant", protocol.VARIANTS)
def test_every_sample_is_used_once_and_half_of_the_pairs_are_true(variant: str) -> None:
    draw = draw_of(variant)
    assert sorted(draw.first) == list(range(400))
    assert sorted(draw.second) == list(range(400))
    assert draw.size == 200
    assert (draw.classes[draw.true, 0] == draw.classes[draw.true, 1]).all()


@pytest.mark.parametrize("variant", ["chance", "distinct"])
def test_the_true_half_is_half_of_the_classes(variant: str) -> None:
    draw = draw_of(variant)
    assert len(draw.kept) == 5
    assert set(draw.classes[draw.true, 0]) == set(draw.kept)
    assert not set(draw.classes[~draw.true].ravel()) & set(draw.kept)
    assert set(draw_of(variant, seed=1).kept) != set(draw.kept)


def test_pairing_is_by_class_and_not_by_instance() -> None:
    draw = protocol.draw(CLASSES, CLASSES, 0)
    assert (draw.first[draw.true] == draw.second[draw.true]).mean() < 0.1


def test_true_pairs_lie_at_random_positions() -> None:
    places = np.concatenate([np.flatnonzero(draw_of("chance", seed).true) for seed in range(20)])
    assert abs(places.mean() - 199.5) < 12
    assert all(
        0.3 < np.mean([draw_of("chance", seed).true[i] for seed in range(60)]) < 0.7 for i in (0, 1, 199, 398, 399)
    )


def test_mismatched_pairs_share_a_class_by_chance_or_never() -> None:
    shared = [(d.classes[~d.true, 0] == d.classes[~d.true, 1]).mean() for d in (draw_of("chance", s) for s in range(9))]
    assert 0.15 < np.mean(shared) < 0.25  # one in five remaining classes
    for seed in range(9):
        apart = draw_of("distinct", seed)
        assert (apart.classes[~apart.true, 0] != apart.classes[~apart.true, 1]).all()
    pairs = np.concatenate([d.classes[~d.true] for d in (draw_of("distinct", s) for s in range(30))])
    table_ = np.zeros((10, 10))
    np.add.at(table_, (pairs[:, 0], pairs[:, 1]), 1)
    others = table_[~np.eye(10, dtype=bool)]
    assert others.min() > 0.3 * others.mean()  # swaps favour no class


def test_in_samples_a_class_says_nothing_about_truth() -> None:
    draws = [draw_of("samples", seed) for seed in range(10)]
    share = [np.mean([d.true[d.classes[:, 0] == c].mean() for d in draws]) for c in range(10)]
    assert max(share) - min(share) < 0.15
    assert 0.05 < np.mean([(d.classes[~d.true, 0] == d.classes[~d.true, 1]).mean() for d in draws]) < 0.15


def test_the_same_seed_gives_the_same_draw_and_another_gives_another() -> None:
    again, other = draw_of("chance"), draw_of("chance", 1)
    for name in ("first", "second", "true", "classes", "kept"):
        assert np.array_equal(getattr(draw_of("chance"), name), getattr(again, name))
    assert not np.array_equal(other.first, again.first)


def test_uneven_classes_are_cut_to_the_smaller_view_and_too_few_are_refused() -> None:
    draw = protocol.draw(np.repeat([0, 1, 2, 3], [9, 8, 7, 6]), np.repeat([3, 2, 1, 0, 5], [9, 3, 8, 4, 6]), 0)
    assert [int((draw.classes[:, 0] == c).sum()) for c in range(4)] == [4, 8, 3, 6]
    with pytest.raises(ConfigError, match="two classes"):
        protocol.draw(np.zeros(5, int), np.zeros(5, int), 0)
    with pytest.raises(ConfigError, match="no variant"):
        draw_of("other")
    with pytest.raises(ConfigError, match="two remaining classes"):
        protocol.draw(np.repeat([0, 1], 5), np.repeat([0, 1], 5), 0, "distinct")


def test_precision_of_a_hand_case() -> None:
    true = np.array([True, False, True, False, True])
    assert protocol.precision(np.array([0, 1, 4, 3]), true) == 0.5
    assert protocol.precision(np.array([4]), true) == 1
    assert protocol.precision(np.array([1, 3]), true) == 0
    assert protocol.precision(np.array([], int), true) == 0


# -- what an oracle reaches --------------------------------------------------------------------------------------------
def test_the_ceiling_of_batches_is_that_of_the_differential_equation() -> None:
    """Of n true among 2n, batches of b that take the share q: all true until the pool holds the share q of true ones,
    then T falls as P ** (1 / q). 100/25 ends at 0.8945, 20/4 at 0.9181, up to the noise of the draws."""
    classes = np.repeat(np.arange(10), 400)
    draw = protocol.draw(classes, classes, 0)
    data = datasets.Dataset("x", [], [], classes, classes, "")
    for draws, end in (("100/25", 0.8945), ("20/4", 0.9181 - 0.015)):  # small batches run short of true ones earlier
        order = methods.oracle(methods.Run(data, draw, 0), draws)
        assert len(set(order)) == draw.size == 2000
        assert protocol.precision(order, draw.true) == pytest.approx(end, abs=0.012)
    assert protocol.precision(methods.oracle(methods.Run(data, draw, 0), "all")[: draw.size], draw.true) == 1


def test_knowing_both_classes_is_not_knowing_which_are_kept() -> None:
    draw = draw_of("chance")
    assert set(scoring.knows_classes(draw)) == {0.0, 1.0}
    agreement = scoring.ranked(scoring.knows_agreement(draw), 0)[: draw.size]
    assert 0.75 < protocol.precision(agreement, draw.true) < 0.9
    samples = draw_of("samples")
    assert 0.8 < scoring.knows_classes(samples).max() <= 1
    assert np.array_equal(scoring.knows_classes(samples) > 0, scoring.knows_agreement(samples) > 0)


def test_batches_take_the_best_of_what_they_draw() -> None:
    score = np.arange(50.0)
    assert scoring.ranked_in_batches(score, 10, 50, 1, 0).tolist() == list(range(49, 39, -1))
    order = scoring.ranked_in_batches(score, 50, 20, 4, 0)
    assert sorted(order) == list(range(50))
    assert (np.diff(score[order[1:49].reshape(12, 4)]) < 0).all()  # the first is one drawn at random
    assert np.array_equal(order, scoring.ranked_in_batches(score, 50, 20, 4, 0))
    assert scoring.ranked_in_batches(np.zeros(50), 10, 50, 1, 0).tolist() == list(range(10))


@pytest.mark.parametrize("seed", range(5))
def test_the_oracle_draws_what_batch_greedy_draws(seed: int) -> None:
    """Where all that is drawn is taken, both take the same pairs in every round, until none are left; where the best
    are taken, both look at the same first batch."""
    rng = np.random.default_rng(seed)
    assignments, pairs = rng.integers(0, 4, (200, 4)), pairing("bipartite", 2, 2)
    greedy = batch_greedy(assignments, pairs, 200, 20, 20, seed)[0]
    oracle = scoring.ranked_in_batches(rng.random(200), 200, 20, 20, seed)
    for start, end in zip([0, *range(1, 200, 20)], [*range(1, 200, 20), 200], strict=True):
        assert set(greedy[start:end]) == set(oracle[start:end])
    drawn = set(greedy[1:21])
    assert set(batch_greedy(assignments, pairs, 5, 20, 4, seed)[0][1:]) < drawn
    assert set(scoring.ranked_in_batches(rng.random(200), 5, 20, 4, seed)[1:]) < drawn


def test_equal_scores_are_ranked_at_random_and_others_by_score() -> None:
    score = np.repeat([0.0, 1.0], 500)
    order = scoring.ranked(score, 0)
    assert (order[:500] >= 500).all()
    assert abs(np.corrcoef(order[:500], np.arange(500))[0, 1]) < 0.15


# -- the table ---------------------------------------------------------------------------------------------------------
def run_command(*arguments: str) -> dict:
    from winnow.cli.main import cli

    done = CliRunner().invoke(cli, ["benchmark", "retrieval", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout.splitlines()[-1])


def test_the_table_end_to_end(tmp_path: Path) -> None:
    arguments = ["--data", "digits-rotated", "--per-class", "60", "--seeds", "0", "--clusters", "10"]
    arguments += [
        "--variants",
        "chance,samples",
        "--methods",
        "random; PCA, cosine; NMI; MI, batch 100/25; MI refined; oracle",
    ]
    answer = run_command(*arguments, "--out", str(tmp_path / "a"))
    body = json.loads((tmp_path / "a" / "retrieval.json").read_text())
    rows = {(r["variant"], r["method"], r["pairing"]): r for r in body["rows"]}
    assert answer["rows"] == len(body["rows"]) == len(rows)
    for variant in ("chance", "samples"):
        chance = rows[variant, "random", ""]["precision"]
        assert abs(chance - 0.5) < 0.08
        assert rows[variant, "MI refined", "bipartite"]["precision"] > chance + 0.2
        assert rows[variant, "MI, batch 100/25", "bipartite"]["precision"] > chance + 0.08
        assert rows[variant, "MI, batch 100/25", "bipartite"]["ceiling"] < 0.95
    row = rows["chance", "MI refined", "bipartite"]
    assert row["of_ceiling"] == pytest.approx(row["precision"] / row["ceiling"], abs=1e-6)
    assert row["curve"][-1] == row["precision"] == row["each"][0]
    assert rows["chance", "oracle: both classes, and which are kept", ""]["precision"] == 1
    greedy = rows["chance", "MI, batch 100/25", "bipartite"]
    assert greedy["mi"] > greedy["mi_true"]  # said in the notes below
    with (tmp_path / "a" / "retrieval.csv").open() as file:
        assert [r["precision"] for r in csv.DictReader(file)] == [str(r["precision"]) for r in body["rows"]]
    text = (tmp_path / "a" / "retrieval.md").read_text()
    assert "not for want of search" in text
    baselines = [
        r for r in body["rows"] if r["variant"] == "chance" and r["method"].startswith(("random", "PCA", "NMI"))
    ]
    first = max(baselines, key=lambda r: r["precision"])
    assert first["method"] == "NMI, batch 100/25"  # clusterings make it no less of a baseline
    assert f"is {first['method']} ({first['pairing']}, 10 clusters) with {first['precision']:.3f}; the best" in text
    assert "Not above that baseline: MI, batch 100/25" in text
    nmi = rows["chance", "NMI, batch 100/25", "bipartite"]
    assert greedy["entropy"] > nmi["entropy"] > nmi["entropy_true"]  # why, as the notes say
    assert str(tmp_path) not in text
    plot = (tmp_path / "a" / "retrieval.svg").read_text()
    assert "digits-rotated, chance" in plot
    assert "<dc:date>" not in plot
    run_command(*arguments, "--out", str(tmp_path / "b"))
    for kind in ("csv", "json", "md", "svg"):
        assert (tmp_path / "a" / f"retrieval.{kind}").read_bytes() == (
            tmp_path / "b" / f"retrieval.{kind}"
        ).read_bytes()


def test_a_baseline_neither_trains_nor_knows_nor_goes_by_mutual_information() -> None:
    names = {method.name for method in methods.METHODS if methods.baseline(method.name, method.learns)}
    assert {name.split(",")[0] for name in names} == {
        "random",
        "PCA",
        "NMI",
        "AMI",
        "Fowlkes–Mallows",
        "Rand",
        "adjusted Rand",
    }


def test_the_bench_compares_the_default_with_every_baseline_at_its_best() -> None:
    from tests.bench import retrieval as bench

    def row(method: str, precision: float, pairing: str = "", clusters: int | None = None) -> table.Row:
        fixed = {"draws": "all", "learns": False, "precision": precision, "of_ceiling": precision}
        return table.Row(bench.aimed_data(), "chance", method, pairing, clusters, **fixed)

    found, plain = row(bench.AIMED, 0.96, "bipartite", 32), row("PCA, cosine", 0.6)
    assert bench.holds([found, plain, row("NMI, batch 100/25", 0.95, "diagonal", 10), row("oracle: all", 1.0)])
    assert not bench.holds([found, plain, row("NMI, batch 100/25", 0.97, "diagonal", 10)])
    assert not bench.holds([row(bench.AIMED, 0.9, "bipartite", 32), row(bench.AIMED, 0.99, "layer_0", 10), plain])


def test_every_method_that_clusters_has_every_pairing_or_says_why() -> None:
    for method in methods.METHODS:
        if method.clustered and method.pairings != methods.PAIRINGS:
            assert "only, for time" in method.says, method.name


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    from winnow.benchmark.command import retrieval
    from winnow.cli.benchmark import DATA

    assert DATA == datasets.NAMES
    good = {
        "data": ("digits-rotated",),
        "lake_root": None,
        "variants": ("chance",),
        "methods": ("random",),
        "clusters": (10,),
        "seeds": (0,),
        "per_class": 10,
        "out": tmp_path,
        "work": tmp_path,
    }
    for wrong in ({"data": ("cats",)}, {"variants": ("x",)}, {"methods": ("magic",)}, {"seeds": ()}, {"data": ()}):
        with pytest.raises(ConfigError):
            retrieval(**(good | wrong))


def test_a_row_that_cannot_be_made_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    images, classes = digits.handwritten(20, 0)
    layers = picture_layers.describe(images, 0)
    data = datasets.Dataset("x", layers, layers[:3], classes, classes, "")
    monkeypatch.setattr("winnow.benchmark.contrastive.available", lambda: False)
    rows = list(
        table.run(
            data, list(methods.named(("contrastive", "MI refined"))), seeds=[0], clusters=[8], variants=["chance"]
        )
    )
    skipped = {row.pairing or row.method: row.note for row in rows if row.precision is None}
    assert skipped["contrastive, 20 epochs of 10"] == "skipped: torch is not installed"
    assert {"diagonal", "layer_3", "layer_4"} <= set(skipped)
    assert all(row.precision is not None for row in rows if row.pairing in ("bipartite", "layer_0", "weighted"))
    text = render.markdown(rows, {"x": "said"}, {"seeds": [0], "command": "c"})
    assert "torch is not installed" in text


def test_the_learning_rate_rises_over_an_epoch_and_falls_to_nothing() -> None:
    from winnow.benchmark.contrastive import rate

    assert [rate(step, 2, 6) for step in range(7)] == [0.5, 1, 1, 0.75, 0.5, 0.25, 0]
    assert [rate(step, 3, 3) for step in range(3)] == pytest.approx([1 / 3, 2 / 3, 1])


def test_contrastive_learns_what_belongs_together() -> None:
    needs.package("torch")
    from winnow.benchmark import contrastive

    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(8), 40)
    draw = protocol.draw(classes, classes, 0)
    sides = [rng.normal(size=(8, 6))[draw.classes[:, s]] + rng.normal(0, 0.2, (len(draw), 6)) for s in (0, 1)]
    score = contrastive.scores(*sides, seed=0, epochs=40, batch=32)
    assert protocol.precision(scoring.ranked(score, 0)[: draw.size], draw.true) > 0.8
    assert np.array_equal(score, contrastive.scores(*sides, seed=0, epochs=40, batch=32))
