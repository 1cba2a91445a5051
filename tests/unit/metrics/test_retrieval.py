"""R@k and MRR: hand values, ties, classes, permutations, chance; and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from winnow.core.errors import ContractError
from winnow.metrics import retrieval


def test_a_hand_case_of_three() -> None:
    """Cosines of unit vectors chosen so that ranks are 1, 2 and 3."""
    queries = np.eye(3)
    gallery = np.array([[0.9, 0.1, 0.3], [0.5, 0.4, 0.5], [0.1, 0.6, 0.2]])
    gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)
    assert retrieval.ranks(queries, gallery).tolist() == [1, 2, 3]
    assert retrieval.figures(np.array([1.0, 2.0, 3.0]), (1, 2)) == {
        "R@1": pytest.approx(1 / 3),
        "R@2": pytest.approx(2 / 3),
        "MRR": pytest.approx((1 + 1 / 2 + 1 / 3) / 3),
    }


def test_ties_count_half_and_length_counts_nothing() -> None:
    same = np.tile([[0.3, 0.1, -2.0]], (7, 1)) * np.arange(1, 8)[:, None]
    assert retrieval.ranks(same, same).tolist() == [4.0] * 7, "one of seven that are alike stands in the middle"
    labels = np.array([0, 0, 0, 1, 1, 1, 1])
    found = retrieval.class_ranks(same, same, labels, labels)
    assert found[:3].tolist() == [2.0] * 3, "the first of three among four others that are alike"
    assert found[3:].tolist() == [pytest.approx(1 + 3 / 5)] * 4


def test_a_gallery_may_be_larger_than_the_queries() -> None:
    gallery = np.eye(5)
    assert retrieval.ranks(np.eye(5)[[4, 1]], gallery, np.array([4, 0])).tolist() == [1.0, 1 + 1 + 3 / 2]


def _pairs(count: int = 240, noise: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    heard = rng.normal(size=(count, 8))
    return heard, heard + noise * rng.normal(size=heard.shape)


def test_the_order_of_clips_changes_nothing_and_shuffled_partners_are_chance() -> None:
    heard, seen = _pairs()
    order = np.random.default_rng(1).permutation(len(heard))
    labels = np.arange(len(heard)) % 4
    said = retrieval.score(heard, seen, labels=labels)
    moved = retrieval.score(heard[order], seen[order], labels=labels[order])
    for name in ("R@1", "R@5", "R@10", "MRR"):
        assert moved[name] == pytest.approx(said[name], abs=1e-12)
        assert moved["class"][name] == pytest.approx(said["class"][name], abs=1e-12)
    swapped = retrieval.score(seen, heard)
    assert swapped["audio_to_visual"] == said["visual_to_audio"]
    dealt = retrieval.score(heard, seen[order])
    assert abs(dealt["R@1"] - 1 / 240) <= 3 * np.sqrt(1 / 240 / 480)
    assert dealt["class"]["R@5"] if "class" in dealt else True
    low, high = said["intervals"]["R@5"]
    assert low < said["R@5"] < high


def test_chance_by_class_is_that_of_drawing_k() -> None:
    labels = np.array([0, 0, 1, 2, -1])
    want = np.mean([1 - 3 / 5 * 2 / 4, 1 - 3 / 5 * 2 / 4, 2 / 5, 2 / 5])
    assert retrieval.chance_of_class(labels, labels, 2) == pytest.approx(want)
    rng = np.random.default_rng(0)
    drawn = [
        retrieval.figures(retrieval.class_ranks(*rng.normal(size=(2, 5, 3)), labels, labels), (2,))["R@2"]
        for _ in range(400)
    ]
    assert np.mean(drawn) == pytest.approx(want, abs=0.03)


def test_groups_widen_intervals() -> None:
    heard, seen = _pairs(noise=0.6)
    group = np.arange(len(heard)) // 60
    heard[group == 0] *= -1
    alone, tied = (retrieval.score(heard, seen, groups=g)["intervals"]["R@5"] for g in (None, group))
    assert tied[1] - tied[0] > 2 * (alone[1] - alone[0])


@pytest.mark.parametrize(
    ("heard", "seen", "said"),
    [
        (np.eye(4), np.eye(4), "a gallery of 4 is smaller than the k of R@5"),
        (np.eye(6), np.ones((6, 5)), "queries have 6 numbers and the gallery 5"),
        (np.eye(6), np.full((6, 6), np.nan), "row 0 of the gallery is zero or not finite"),
        (np.zeros((6, 6)), np.eye(6), "row 0 of the queries is zero or not finite"),
        (np.eye(6), np.eye(6)[0], "gallery are"),
    ],
)
def test_what_cannot_be_scored_says_why(heard: np.ndarray, seen: np.ndarray, said: str) -> None:
    with pytest.raises(ContractError, match=said):
        retrieval.score(heard, seen, ks=(1, 5))


def test_the_command_answers_what_the_function_does(tmp_path: Path) -> None:
    from winnow.cli.metrics import metrics

    heard, seen = _pairs(20)
    for name, values in (("audio", heard), ("visual", seen)):
        np.save(tmp_path / f"{name}.npy", values)
    (tmp_path / "labels").write_text("\n".join(["dog", "bell"] * 10) + "\n")
    given = [f"--audio={tmp_path / 'audio.npy'}", f"--visual={tmp_path / 'visual.npy'}", "--ks=1,5"]
    done = CliRunner().invoke(metrics, ["retrieval", *given, f"--labels={tmp_path / 'labels'}"], catch_exceptions=False)
    assert json.loads(done.output) == retrieval.score(heard, seen, labels=np.array([1, 0] * 10), ks=(1, 5))
    (tmp_path / "labels").write_text("dog\n")
    with pytest.raises(ContractError, match="has 1 lines, and there are 20 clips"):
        CliRunner().invoke(metrics, ["retrieval", *given, f"--labels={tmp_path / 'labels'}"], catch_exceptions=False)
