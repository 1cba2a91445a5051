"""winnow calibrate: pairs of three kinds, their distributions, what two scorers have in common where nothing fits."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.unit import measured
from tests.unit.measured import commit, write_batch
from winnow.core import corpus_table
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake
from winnow.core.planned_table import INGEST
from winnow.core.runtime import Runtime
from winnow.core.sample import Outcome, sid
from winnow.core.settings import Settings
from winnow.core.shard import Lineage, shard_name
from winnow.core.stage import stage_class, stage_needs
from winnow.fitting.calibrate import calibrate, calibrate_once
from winnow.fitting.calibration import KINDS, Ensemble, classes, describe, draw, ensembles
from winnow.fitting.fit import fit, read_clips
from winnow.models import synchrony
from winnow.models.copies import fold_of
from winnow.models.correspondence import Scorer, information, log_odds

BATCHES = ["2026-11-01", "2026-11-02"]
NONE: frozenset[str] = frozenset()


def clips_of(n: int, folds: int = 2, kinds: int = 3) -> tuple[np.ndarray, np.ndarray, list[frozenset[str]]]:
    """n clips, two a video; a video's fold and label follow from its number."""
    number = np.arange(n) // 2
    labels = [frozenset({f"class {v % kinds}", "sound"} - {"sound"}) for v in number]
    return np.array([f"v{v:05d}" for v in number]), number % folds, labels


@pytest.mark.parametrize("n", [120, 1600])  # all pairs are looked at, or some are drawn
def test_pairs_of_two_clips_stay_in_a_fold_and_share_no_label(n: int) -> None:
    video, fold, labels = clips_of(n)
    sizes = {"corresponding": 50, "random": 60, "non_corresponding": 500}
    pairs = draw(video, fold, labels, sizes=sizes, seed=[3])
    assert pairs.basis == "labels"
    assert {kind: len(of) for kind, of in pairs.of.items()} == sizes
    for kind, of in pairs.of.items():
        assert len({tuple(pair) for pair in of.tolist()}) == len(of), kind
        assert (fold[of[:, 0]] == fold[of[:, 1]]).all()
        assert np.bincount(fold[of[:, 0]]).min() >= 0.45 * len(of)
    assert (pairs.of["corresponding"][:, 0] == pairs.of["corresponding"][:, 1]).all()
    assert (pairs.of["random"][:, 0] != pairs.of["random"][:, 1]).all()
    assert all(labels[i].isdisjoint(labels[j]) for i, j in pairs.of["non_corresponding"])
    again, other = (draw(video, fold, labels, sizes=sizes, seed=[seed]) for seed in (3, 4))
    assert all((again.of[kind] == pairs.of[kind]).all() for kind in KINDS)
    assert not all(np.array_equal(other.of[kind], pairs.of[kind]) for kind in KINDS)


def test_without_labels_pairs_are_of_two_videos() -> None:
    video, fold, labels = clips_of(60)
    for few in ([NONE] * 60, [of if i < 20 else NONE for i, of in enumerate(labels)], [frozenset({"same"})] * 60):
        pairs = draw(video, fold, few)
        i, j = pairs.of["non_corresponding"].T
        assert pairs.basis == "videos"
        assert (video[i] != video[j]).all()
        assert len(i) == 60 * 28  # every clip with the 28 of its fold that are of other videos: all there are
    assert draw(video, fold, labels, basis="videos").basis == "videos"
    assert len(draw(video, fold, [NONE] * 60, basis="labels").of["non_corresponding"]) == 0


@pytest.mark.parametrize(
    ("label", "mids"),
    [
        ("/m/0bt9lr", {"/m/0bt9lr"}),
        (" Dog ", {"/m/0bt9lr"}),
        ("dog barking", {"/m/0bt9lr"}),
        ("playing harp", {"/m/03m5k"}),
        ("church bell ringing", {"/m/03w41f"}),
        ("/m/0abc", {"/m/0abc"}),
        ("hotdog stand", {"hotdog stand"}),
        ("man speaking", {"/m/05zppz"}),
        ("Dog, cat", {"/m/0bt9lr", "/m/01yrx"}),
    ],
)
def test_a_label_names_classes_however_its_list_writes_them(label: str, mids: set[str]) -> None:
    assert classes.named(label) == mids


def test_in_a_mixed_corpus_what_means_the_same_or_lies_under_it_is_no_pair() -> None:
    lists = [
        ["dog barking"],
        ["Dog"],
        ["/m/0bt9lr", "/m/0jbk"],
        ["/m/09x0r"],
        ["/m/05zppz"],
        ["Speech", "playing harp"],
        ["harp"],
        ["Musical instrument"],
        ["a thing of its own"],
    ]
    labels = [frozenset().union(*map(classes.named, of)) for of in lists] * 4
    video = np.array([f"v{n}" for n in range(len(labels))])
    pairs = draw(video, np.zeros(len(labels), np.int64), labels, basis="labels").of["non_corresponding"]
    found = {(int(i) % 9, int(j) % 9) for i, j in pairs}
    alike = [{0, 1, 2}, {3, 4, 5}, {5, 6, 7}, {8}]
    assert found == {(i, j) for i in range(9) for j in range(9) if not any({i, j} <= of for of in alike)}


def test_a_distribution_is_told_by_its_fit_and_a_histogram_on_its_grid() -> None:
    rng = np.random.default_rng(0)
    values = {
        "non_corresponding": rng.normal(2, 0.5, 40_000),
        "corresponding": rng.normal(5, 1, 900),
        "random": rng.exponential(1, 900),
    }
    found = describe(values)
    null = found["non_corresponding"]
    assert null["mean"] == pytest.approx(values["non_corresponding"].mean(), abs=1e-9)
    assert null["std"] == pytest.approx(values["non_corresponding"].std(), abs=1e-9)
    assert abs(null["skewness"]) < 0.05
    assert abs(null["kurtosis"]) < 0.1
    assert null["above_3std"] == pytest.approx(0.00135, abs=6e-4)
    assert found["random"]["skewness"] == pytest.approx(2, abs=0.5)
    for kind, of in found.items():
        assert sum(of["hist_counts"]) == of["n"] == len(values[kind])
        assert (of["hist_start"], of["hist_width"]) == (null["hist_start"], null["hist_width"])
        for k in (0, 1.5, 3):
            edge = round((null["mean"] + k * null["std"] - of["hist_start"]) / of["hist_width"], 3)
            assert edge == int(edge)
            above = int((values[kind] > null["mean"] + k * null["std"]).sum())
            assert sum(of["hist_counts"][int(edge) :]) == pytest.approx(above, abs=1)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Two measured batches without labels, a fitted built-in scorer, its scores, and vectors of a two-tower model."""
    lake = Lake(tmp_path_factory.mktemp("lake"))
    write_batch(lake, BATCHES[0], range(40), silent=frozenset({7}))
    write_batch(lake, BATCHES[1], range(40, 52), per_shard=5)
    fit(lake, BATCHES)
    for batch in BATCHES:
        stage = stage_class("correspond")
        Runtime(stage(stage.Params(), lake, Settings(lake=lake.root)), lake, batch, log=lambda line: None).run()
        write_vectors(lake, batch)
    return lake


def write_vectors(lake: Lake, batch: str, model: str = "t1", v: str = measured.V) -> None:
    """Two-tower rows: picture and sound of a clip point where its video's number says, in folds of another count."""
    lineage, schema = Lineage(lake, batch, stage_needs()), stage_class("two_tower").schema
    for number in lineage.numbers("clip"):
        inputs = lineage.require_inputs("two_tower", number)
        rows = pq.read_table(io.BytesIO(lake.read_table(inputs["clip"]))).to_pylist()
        outcomes = []
        for row in rows:
            angle = int(row["video_id"][:4], 16)
            side = np.array([np.cos(angle), np.sin(angle)], np.float32)
            values = {"video_id": row["video_id"], "score": 1.0, "sound": side, "picture": side, "model": model}
            outcomes.append(Outcome.ok(row["sample_id"], values | {"fold": fold_of("other" + row["video_id"], 3)}))
        made = commit(lake, "two_tower", batch, number, outcomes, schema, inputs, v)
        assert made.shard == shard_name(number, {need: m.sha256 for need, m in inputs.items()})
    lake.set_head("two_tower", batch, {"v": v})


def table(lake: Lake, name: str = "calibration") -> list[dict]:
    return corpus_table.read(lake, name).to_pylist()


def test_every_scorer_with_scores_is_calibrated(lake: Lake) -> None:
    answer = calibrate(lake, BATCHES)
    assert [of["scorer"] for of in answer["calibrated"]] == ["builtin", "semantic", "sync", "two_tower"]
    assert set(answer["skipped"]) == {"bridge", "ridge", "joint"}
    rows = {(row["scorer"], row["kind"]): row for row in table(lake)}
    assert len(rows) == 4 * 3
    for scorer in ("builtin", "semantic", "sync", "two_tower"):
        own, other = rows[scorer, "corresponding"], rows[scorer, "non_corresponding"]
        assert own["mean"] > other["mean"] + other["std"], scorer
        assert (own["basis"], own["seed"], own["batches"]) == ("videos", 0, BATCHES)
        assert own["n"] == {"two_tower": 104}.get(scorer, 102)  # a silent video's clips have vectors here, no score
    assert calibrate(lake, BATCHES)["file"] == answer["file"]
    assert calibrate(lake, BATCHES, seed=1)["file"] != answer["file"]
    assert calibrate(lake, list(reversed(BATCHES)), seed=0)["file"] == answer["file"]


def test_a_clips_own_pair_scores_what_the_stage_scores(lake: Lake) -> None:
    (one, *_) = ensembles(lake, BATCHES, ["builtin", "semantic", "sync"], clips=1000, seed=0)
    assert isinstance(one, Ensemble)
    place = np.arange(len(one.ids))
    found = one.score(np.column_stack([place, place]))
    scored = {}
    for batch in BATCHES:
        lineage = Lineage(lake, batch, stage_needs())
        for number in lineage.numbers("correspond"):
            of = pq.read_table(io.BytesIO(lake.read_table(lineage.committed("correspond", number)))).to_pylist()
            scored |= {row["sample_id"]: row for row in of if row["outcome"] == "ok"}
    assert sorted(scored) == one.ids.tolist()
    for name, column in (("builtin", "score"), ("semantic", "semantic"), ("sync", "sync")):
        assert found[name] == pytest.approx([scored[clip][column] for clip in one.ids], abs=2e-6)
    # The first of a pair is seen, the second is heard.
    scorer = Scorer.loads(lake.read(lake.model_key("correspond", one.model)))
    _, clips, _ = read_clips(lake, BATCHES)
    i, j = next((i, j) for i in place for j in place if one.group[i] != one.group[j] and one.fold[i] == one.fold[j])
    model, mixed = scorer.folds[one.fold[i]], one.score(np.array([[i, j]]))
    seen, heard = model.picture(clips.picture[i]), model.sound(clips.sound[j])
    assert mixed["semantic"] == pytest.approx(information(seen, heard[None], model.correlation))
    assert mixed["sync"] == pytest.approx(synchrony.peaks(clips.motion[i], clips.onset[[j]], one_is_motion=True))
    assert mixed["builtin"] == pytest.approx(log_odds(mixed["semantic"], mixed["sync"], model.weights))


def test_two_scorers_are_compared_on_pairs_that_neither_model_saw(lake: Lake) -> None:
    calibrate(lake, BATCHES)
    rows = {(row["scorer_a"], row["scorer_b"]): row for row in table(lake, "calibration_pair")}
    assert set(rows) == {
        ("builtin", "semantic"),
        ("builtin", "sync"),
        ("builtin", "two_tower"),
        ("semantic", "sync"),
        ("semantic", "two_tower"),
        ("sync", "two_tower"),
    }
    assert rows["builtin", "semantic"]["correlation"] > 0.3
    assert abs(rows["sync", "two_tower"]["correlation"]) < 0.2
    assert rows["sync", "two_tower"]["n"] < rows["semantic", "sync"]["n"]  # in one fold of both, not of one


def test_labels_of_the_lists_make_non_corresponding_pairs(lake: Lake, tmp_path: Path) -> None:
    copy = Lake(tmp_path / "lake")
    write_batch(copy, BATCHES[0], range(40))
    fit(copy, BATCHES[:1])
    rows = [
        Outcome.ok(sid("candidate", v), {"video_id": sid("video", v), "labels": [f" Class{v % 6}"]}) for v in range(40)
    ]
    made = commit(copy, "ingest", BATCHES[0], 0, rows, INGEST.columns, {})
    copy.set_head("ingest", BATCHES[0], {"v": "0" * 12, "shards": [made.shard]})
    by_labels = calibrate(copy, BATCHES[:1])["calibrated"][0]
    by_videos = calibrate(copy, BATCHES[:1], basis="videos")["calibrated"][0]
    assert (by_labels["basis"], by_videos["basis"]) == ("labels", "videos")
    assert by_labels["pairs"] < by_videos["pairs"]
    assert by_labels["mean"] < by_videos["mean"], "pairs of one class agree by chance"


def test_what_an_earlier_model_was_calibrated_with_stays(lake: Lake) -> None:
    calibrate(lake, BATCHES)
    before = [row for row in table(lake) if row["scorer"] == "two_tower"]
    for batch in BATCHES:
        write_vectors(lake, batch, model="t2", v="1" * 12)
    calibrate(lake, BATCHES, ["two_tower"])
    found = table(lake)
    assert {row["model"] for row in found if row["scorer"] == "two_tower"} == {"t1", "t2"}
    assert [row for row in found if row["model"] == "t1"] == before
    assert {row["scorer"] for row in found} == {"builtin", "semantic", "sync", "two_tower"}
    pairs = {(row["scorer_a"], row["scorer_b"], row["model_b"]) for row in table(lake, "calibration_pair")}
    assert ("builtin", "two_tower", "t2") in pairs, "a scorer alone is compared with the others"


def test_what_cannot_be_calibrated_says_why(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    write_batch(lake, BATCHES[0], range(8))
    with pytest.raises(ContractError, match="2026-11-02 has no clips"):
        calibrate(lake, BATCHES)
    with pytest.raises(ConfigError, match="no scorer nobody"):
        calibrate(lake, BATCHES[:1], ["nobody"])
    with pytest.raises(ContractError, match="winnow fit --batches 2026-11-01"):
        calibrate(lake, BATCHES[:1], ["sync"])
    answer = calibrate(lake, BATCHES[:1])
    assert (answer["calibrated"], answer["file"]) == ([], None)
    assert set(answer["skipped"]) == {"builtin", "semantic", "sync", "bridge", "two_tower", "ridge", "joint"}
    assert calibrate_once(lake) is None


def test_the_scorer_in_use_is_calibrated_once(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    write_batch(lake, BATCHES[0], range(30))
    fit(lake, BATCHES[:1])
    done = calibrate_once(lake)
    assert done is not None
    assert len(done["calibrated"]) == 3
    assert calibrate_once(lake) is None
