"""Means, intervals and gains of a benchmark, by hand and by simulation."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from winnow.estimates.learned import learned


def _rows(sets: dict[str, list[list[float]]], examples: list[int] | None = None) -> pa.Table:
    """sets: name → by seed the values of groups."""
    shared = {"release": "r", "task": "avel", "model": "m", "split": "test", "metric": "accuracy", "ceiling": 1.0}
    return pa.Table.from_pylist(
        [
            {
                **shared,
                "set": name,
                "seed": seed,
                "group_id": f"g{k:03d}",
                "value": value,
                "chance": 0.25,
                "examples": examples[k] if examples else 1,
            }
            for name, seeds in sets.items()
            for seed, values in enumerate(seeds)
            for k, value in enumerate(values)
        ]
    )


def _by_set(table: pa.Table) -> dict[str, dict]:
    return {row["set"]: row for row in table.to_pylist()}


def test_means_weigh_groups_by_their_examples_and_seeds_alike():
    rows = _rows({"random": [[0.0, 1.0], [0.0, 0.0]], "release": [[1.0, 1.0], [1.0, 0.0]]}, examples=[3, 1])
    found = _by_set(learned(rows))
    assert found["random"]["mean"] == 0.125  # (1/4 + 0) / 2
    assert found["release"]["mean"] == 0.875
    assert found["release"]["gain"] == 0.75
    assert found["random"]["deviation"] == 0.176777  # of 1/4 and 0: 1/8 · sqrt(2)
    assert found["release"]["chance"] == 0.25
    assert (found["release"]["seeds"], found["release"]["groups"], found["release"]["examples"]) == (2, 2, 4)


def test_with_few_groups_there_is_no_interval_and_nothing_is_significant():
    found = _by_set(learned(_rows({"random": [[0.0] * 4], "release": [[1.0] * 4]})))["release"]
    assert (found["low"], found["gain_low"], found["verdict"]) == (None, None, "not significant")


def test_of_one_seed_nothing_is_significant():
    """How far runs differ is not known."""
    sets = {"random": [[0.0] * 9], "release": [[1.0] * 9]}
    found = _by_set(learned(_rows(sets)))["release"]
    assert (found["gain"], found["gain_low"], found["verdict"]) == (1.0, None, "not significant")
    twice = {name: 2 * values for name, values in sets.items()}
    assert _by_set(learned(_rows(twice)))["release"]["verdict"] == "better"


@pytest.mark.parametrize(("shift", "verdict"), [(0.1, "better"), (-0.1, "worse"), (0.0, "not significant")])
def test_the_gain_is_paired(shift, verdict):
    """Groups differ by far more than the sets do: only pairs show it."""
    rng = np.random.default_rng(1)
    base, noise = rng.uniform(0, 1, 40), rng.normal(0, 0.05, (2, 3, 40))
    sets = {"random": (base + noise[0]).tolist(), "release": (base + shift + noise[1]).tolist()}
    found = _by_set(learned(_rows(sets)))
    release, random = found["release"], found["random"]
    assert release["verdict"] == verdict
    assert release["gain_low"] < release["gain"] < release["gain_high"]
    assert release["low"] < random["high"], "unpaired, the intervals overlap"
    assert random["verdict"] == "reference"
    assert random["gain"] is None
    assert learned(_rows(sets)).equals(learned(_rows(sets)))


def test_without_random_candidates_there_is_no_gain():
    found = _by_set(learned(_rows({"release": [[0.5] * 9]})))["release"]
    assert (found["mean"], found["gain"], found["verdict"]) == (0.5, None, None)


def test_of_nothing_there_is_nothing():
    assert learned(_rows({"release": [[0.5]]}).slice(0, 0)).num_rows == 0


def test_runs_on_other_clips_are_no_benchmark():
    rows = _rows({"random": [[0.0] * 6, [0.0] * 6]})
    with pytest.raises(ValueError, match="not tried on the same clips: group 'g005'"):
        learned(rows.slice(0, 11))


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """40 benchmarks without any gain, of 3 seeds and 40 groups: hardly more than 1 in 20 claims one."""
    rng, claimed = np.random.default_rng(3), 0
    for _ in range(40):
        base = rng.uniform(0, 1, 40)
        start = rng.normal(0, 0.02, (2, 3, 1))
        values = base + start + rng.normal(0, 0.1, (2, 3, 40))
        found = _by_set(learned(_rows({"random": values[0].tolist(), "release": values[1].tolist()})))
        claimed += found["release"]["verdict"] != "not significant"
    assert claimed <= 4
