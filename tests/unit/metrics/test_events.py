"""AVE and AVVP metrics: cases worked out by hand, and a loop written apart from the vectorised code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from winnow.cli.main import cli
from winnow.core.errors import ConfigError, ContractError
from winnow.metrics import ave, avvp

B = 3  # background of three categories


def test_accuracy_counts_every_segment() -> None:
    truth = np.array([[B, 0, 0, 0, B, B, B, B, B, B], [2] * 10, [B] * 10])
    predicted = np.array([[B, 0, 0, B, B, B, B, B, B, 0], [2] * 5 + [1] * 5, [B] * 9 + [1]])
    found = ave.score(predicted, truth, B)
    assert (found.samples, found.segments, found.correct) == (3, 30, 22)
    assert found.accuracy == pytest.approx(22 / 30)
    assert found.background_accuracy == pytest.approx(15 / 17)
    assert found.event_accuracy == pytest.approx(7 / 13)
    assert found.by_category == pytest.approx({0: 0.8, 2: 0.5, B: 0.9})


def test_accuracy_of_events_or_background_alone() -> None:
    assert ave.score(np.full((2, 10), 1), np.full((2, 10), 1), B).background_accuracy is None
    assert ave.score(np.full((2, 10), 1), np.full((2, 10), B), B).event_accuracy is None


def test_labels_from_one_hot_have_background_last() -> None:
    labels = np.zeros((2, 10, B + 1))
    labels[:, :, B] = 1
    labels[0, 2:5] = np.eye(B + 1)[1]
    assert ave.from_one_hot(labels).tolist() == [[B, B, 1, 1, 1, B, B, B, B, B], [B] * 10]


def test_two_heads_give_background_at_a_half_and_below() -> None:
    event = np.array([[0.0, 1e-9, -4.0, 7.0]])
    assert ave.from_heads(event, np.array([[0.1, 0.9, 0.3]])).tolist() == [[B, 1, B, 1]]


def test_a_sample_has_one_category() -> None:
    truth = np.array([[0] * 5 + [B] * 5, [0] * 5 + [2] * 5])
    with pytest.raises(ContractError, match="first is sample 1 with 0 and 2"):
        ave.score(truth, truth, B)
    with pytest.raises(ContractError, match="classes from 0 to 3"):
        ave.score(truth, np.full((2, 10), 4), B)
    with pytest.raises(ContractError, match="class indices"):
        ave.score(truth.astype(float), truth, B)


def mask(*runs: tuple[int, int], classes: int = 1, kind: int = 0) -> np.ndarray:
    out = np.zeros((1, 10, classes), bool)
    for start, end in runs:
        out[0, start:end, kind] = True
    return out


def test_probabilities_need_both_thresholds() -> None:
    segment = np.array([[[0.5, 0.9], [0.49, 0.9]]])
    assert avvp.masks(segment, np.array([[0.5, 0.49]])).tolist() == [[[True, False], [False, False]]]
    with pytest.raises(ContractError, match="were logits given"):
        avvp.masks(segment * 3, np.array([[0.5, 0.5]]))


def test_nothing_said_about_nothing_is_right() -> None:
    none = np.zeros((1, 10, 4), bool)
    assert avvp.score(none, none, none, none) == {
        level: {"a": 100.0, "v": 100.0, "av": 100.0, "type_av": 100.0, "event_av": 100.0}
        for level in ("segment", "event")
    }


def test_segment_level_by_hand() -> None:
    """A: 3 hits, 1 stray, 2 misses: 6/9. V: 0 hits, 2 strays: 0. AV: none predicted, none true: 1 by definition.
    Event@AV: 3 hits, 3 strays, 2 misses: 6/11."""
    none = np.zeros((1, 10, 1), bool)
    found = avvp.score(mask((1, 5)), mask((7, 9)), mask((2, 7)), none)["segment"]
    assert found == pytest.approx(
        {"a": 100 * 6 / 9, "v": 0.0, "av": 100.0, "type_av": (100 * 6 / 9 + 0 + 100) / 3, "event_av": 100 * 6 / 11}
    )


def test_event_level_by_hand() -> None:
    """Predicted 0–2 and 3–5, true 0–4: the first shares 2 of 4 (exactly 0.5, right), the second 1 of 5 (wrong)."""
    none = np.zeros((1, 10, 1), bool)
    found = avvp.score(mask((0, 2), (3, 5)), none, mask((0, 4)), none)["event"]
    assert found["a"] == pytest.approx(100 * 2 / 3)
    assert found["v"] == 100.0


def test_two_predicted_runs_may_meet_one_true_run() -> None:
    """No matching one to one: each of two classes of evidence counts by itself. Here a true run of one segment and a
    predicted run of two meet (1 of 2)."""
    counts = avvp.event_counts(mask((0, 2), (8, 10)), mask((1, 2), (8, 9)))
    assert [c.item() for c in counts] == [2, 0, 0]
    twice = avvp.event_counts(mask((0, 3)), mask((0, 1), (2, 3)))
    assert [c.item() for c in twice] == [0, 1, 2]
    # 0–5 shares 2 of 5 with each half of the truth, and 3 of 5 with neither.
    assert [c.item() for c in avvp.event_counts(mask((0, 5)), mask((0, 3)))] == [1, 0, 0]


def test_classes_without_anything_do_not_count() -> None:
    right = mask((0, 5), classes=25, kind=3)
    other = right | mask((0, 5), classes=25, kind=9)
    none = np.zeros((1, 10, 25), bool)
    assert avvp.score(right, none, right, none)["segment"]["a"] == 100.0
    assert avvp.score(other, none, right, none)["segment"]["a"] == 50.0


def plain(predicted: dict[str, np.ndarray], true: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """The same definitions as loops over videos, classes, runs and segments."""

    def runs(row: np.ndarray) -> list[set[int]]:
        found: list[set[int]] = []
        for i, there in enumerate(row):
            if there:
                if i and row[i - 1]:
                    found[-1].add(i)
                else:
                    found.append({i})
        return found

    def meets(one: set[int], others: list[set[int]]) -> bool:
        return any(len(one & other) / len(one | other) >= 0.5 for other in others)

    def counts(level: str, p: np.ndarray, t: np.ndarray) -> tuple[int, int, int]:
        if level == "segment":
            return (
                sum(a and b for a, b in zip(p, t, strict=True)),
                sum(a and not b for a, b in zip(p, t, strict=True)),
                sum(b and not a for a, b in zip(p, t, strict=True)),
            )
        mine, yours = runs(p), runs(t)
        hits = sum(meets(r, yours) for r in mine)
        return hits, len(mine) - hits, sum(not meets(r, mine) for r in yours)

    out: dict[str, dict[str, float]] = {}
    videos, _, classes = true["a"].shape
    for level in ("segment", "event"):
        sums = dict.fromkeys(("a", "v", "av", "event_av"), 0.0)
        for video in range(videos):
            fs: dict[str, list[float]] = {name: [] for name in sums}
            for c in range(classes):
                found = {k: counts(level, predicted[k][video, :, c], true[k][video, :, c]) for k in ("a", "v", "av")}
                found["event_av"] = tuple(x + y for x, y in zip(found["a"], found["v"], strict=True))
                for name, (tp, fp, fn) in found.items():
                    if tp + fp + fn:
                        fs[name].append(2 * tp / (2 * tp + fp + fn))
            for name in sums:
                sums[name] += sum(fs[name]) / len(fs[name]) if fs[name] else 1.0
        means = {name: 100 * value / videos for name, value in sums.items()}
        out[level] = {**means, "type_av": (means["a"] + means["v"] + means["av"]) / 3}
    return out


@pytest.mark.parametrize(("density", "segments"), [(0.05, 10), (0.5, 10), (0.9, 10), (0.4, 7), (0.3, 1)])
def test_random_predictions_against_plain_loops(density: float, segments: int) -> None:
    rng = np.random.default_rng(round(100 * density) + segments)
    shape = (60, segments, 5)
    masks = {
        side: {k: rng.random(shape) < density * rng.random((60, 1, 5)) for k in ("a", "v")}
        for side in ("predicted", "true")
    }
    for side in masks.values():
        side["av"] = side["a"] & side["v"]
    predicted, true = masks["predicted"], masks["true"]
    found = avvp.score(predicted["a"], predicted["v"], true["a"], true["v"])
    wanted = plain(predicted, true)
    for level in avvp.LEVELS:
        assert found[level] == pytest.approx(wanted[level], abs=1e-9)


def test_what_is_no_mask_is_refused() -> None:
    good = np.zeros((2, 10, 3), bool)
    with pytest.raises(ContractError, match="predicted audio is a mask of 0 and 1"):
        avvp.score(good + 0.5, good, good, good)
    with pytest.raises(ContractError, match="shapes differ"):
        avvp.score(good, good, good, good[:1])
    with pytest.raises(ContractError, match="true visual is"):
        avvp.score(good, good, good, good[0])


def call(*arguments: object) -> dict:
    done = CliRunner().invoke(cli, ["metrics", *map(str, arguments)], standalone_mode=False, catch_exceptions=False)
    return json.loads(done.stdout.splitlines()[-1])


def test_ave_from_tables_and_arrays(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("dog\nbell\n")
    head = "id," + ",".join(f"s{i}" for i in range(10))
    (tmp_path / "true.csv").write_text(f"{head}\nv1{',dog' * 4}{',background' * 6}\nv2{',bell' * 10}\n")
    (tmp_path / "made.csv").write_text(f"{head}\nv2{',bell' * 9},dog\nv1{',dog' * 5}{',background' * 5}\n")
    tables = ["ave", "--predicted", tmp_path / "made.csv", "--truth", tmp_path / "true.csv"]
    done = call(*tables, "--classes", tmp_path / "classes.txt")
    assert (done["segments"], done["correct"], done["accuracy"]) == (20, 18, 0.9)
    assert done["by_category"] == {"bell": 0.9, "dog": 0.9}
    np.save(tmp_path / "made.npy", np.array([[0] * 5 + [2] * 5, [1] * 9 + [0]]))
    np.save(tmp_path / "true.npy", np.eye(3)[np.array([[0] * 4 + [2] * 6, [1] * 10])])
    arrays = ["ave", "--predicted", tmp_path / "made.npy", "--truth", tmp_path / "true.npy"]
    assert call(*arrays, "--background", 2)["accuracy"] == 0.9
    with pytest.raises(ConfigError, match="how many categories"):
        call(*arrays)
    with pytest.raises(ContractError, match="3 classes with background, not 6"):
        call(*arrays, "--background", 5)
    (tmp_path / "made.csv").write_text(f"{head}\nv3{',bell' * 10}\nv1{',cow' * 10}\n")
    with pytest.raises(ContractError, match="v1 has 'cow'"):
        call(*tables, "--classes", tmp_path / "classes.txt")


def test_avvp_from_llps_tables_and_arrays(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("Speech\nCar\n")
    (tmp_path / "videos.csv").write_text("filename\tevent_labels\nb_0_10\tCar\na_0_10\tSpeech\n")
    head = "filename\tonset\toffset\tevent_labels\n"
    (tmp_path / "true_a.csv").write_text(head + "a_0_10\t0\t5\tSpeech\nb_0_10\t3\t3\tCar\nother_0_10\t0\t9\tCar\n")
    (tmp_path / "true_v.csv").write_text(head + "b_0_10\t2\t10\tCar\n")
    segment = np.zeros((2, 10, 2))
    segment[1, 0:4, 0] = 0.8
    segment[0, 1:10, 1] = 0.7
    heard, seen = segment * [1, 0], segment * [0, 1]
    np.save(tmp_path / "pa.npy", heard)
    np.save(tmp_path / "pv.npy", seen)
    np.save(tmp_path / "pooled.npy", np.array([[0.2, 0.6], [0.9, 0.9]]))
    names = ["--videos", tmp_path / "videos.csv", "--classes", tmp_path / "classes.txt"]
    command = [
        "avvp",
        "--predicted-audio",
        tmp_path / "pa.npy",
        "--predicted-visual",
        tmp_path / "pv.npy",
        "--true-audio",
        tmp_path / "true_a.csv",
        "--true-visual",
        tmp_path / "true_v.csv",
    ]
    done = call(*command, *names, "--pooled", tmp_path / "pooled.npy")
    assert done["videos"] == 2
    # A: video a 2·4/(2·4+1), video b nothing: 1. V: video b 2·8/(2·8+1), video a nothing: 1.
    assert done["segment"]["a"] == pytest.approx(100 * (8 / 9 + 1) / 2)
    assert done["segment"]["v"] == pytest.approx(100 * (16 / 17 + 1) / 2)
    assert done["event"]["type_av"] == 100.0
    with pytest.raises(ContractError, match="mask of 0 and 1"):
        call(*command, *names)
    with pytest.raises(ConfigError, match="say which videos"):
        call(*command)
    (tmp_path / "true_v.csv").write_text(head + "b_0_10\t2\tten\tCar\n")
    with pytest.raises(ContractError, match=r"true_v\.csv line 2"):
        call(*command, *names)
