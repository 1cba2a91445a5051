"""The ridge scorer: learns which sound a picture lets expect, never from the video that it scores."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from tests import needs
from tests.unit import encoders
from tests.unit.measured import V, clip, commit, write_batch
from tests.unit.signals import mp4, sine
from winnow.cli import main
from winnow.core.errors import ContractError
from winnow.core.lake import Lake
from winnow.core.runtime import Runtime
from winnow.core.sample import Outcome
from winnow.core.settings import Settings
from winnow.core.shard import Lineage
from winnow.core.stage import stage_class, stage_needs, stage_optional_needs
from winnow.fitting.calibrate import calibrate
from winnow.fitting.fit_ridge import fit, read_corpus
from winnow.models import ridge_fit
from winnow.models.copies import fold_of
from winnow.models.ridge import RidgeModel
from winnow.models.scorers import unit

FIRST, LATER = "2026-11-01", "2026-11-02"
KINDS, NETWORKS = 6, ("lite0@0123456789ab", "w8a8@0123456789ab")


def vectors(video: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """What is seen and heard in a clip of one of KINDS kinds of events, half precision."""
    kinds = np.random.default_rng(0).normal(size=(2, KINDS, 24))
    noise = np.random.default_rng([video, number]).normal(0, 0.5, (2, 24))
    return tuple((kinds[side, video % KINDS] + noise[side]).astype(np.float16) for side in (0, 1))


def encode(lake: Lake, batch: str, videos: range, networks: tuple[str, str] = NETWORKS, v: str = V) -> None:
    """Commit what efficientnet and yamnet would of a batch of `write_batch`."""
    kind_of = {clip(video, number)[0]["sample_id"]: (video, number) for video in videos for number in range(2)}
    lineage = Lineage(lake, batch, stage_needs(), stage_optional_needs())
    for side, stage in enumerate(("efficientnet", "yamnet")):
        for number in lineage.numbers(stage):
            cut = lineage.committed("clip", number)
            ids = pq.read_table(io.BytesIO(lake.read_table(cut)))["sample_id"].to_pylist()
            rows = [Outcome.ok(i, {"embedding": vectors(*kind_of[i])[side], "model": networks[side]}) for i in ids]
            if stage == "yamnet" and batch == LATER:
                rows[0].values["tag_mids"] = ["/m/028v0c", "/m/09x0r"]
            commit(lake, stage, batch, number, rows, stage_class(stage).schema, {"clip": cut}, v)
        lake.set_head(stage, batch, {"v": v})


def run(lake: Lake, batch: str, weights: Path = Path("none")) -> None:
    cls = stage_class("ridge")
    Runtime(
        cls(cls.Params(), lake, Settings(lake=lake.root, weights=weights)), lake, batch, log=lambda line: None
    ).run()


def rows_of(lake: Lake, batch: str) -> list[dict]:
    lineage = Lineage(lake, batch, stage_needs(), stage_optional_needs())
    tables = [lineage.committed("ridge", number) for number in lineage.numbers("ridge")]
    return [row for m in tables for row in pq.read_table(io.BytesIO(lake.read_table(m))).to_pylist()]


def batches(lake: Lake) -> Lake:
    write_batch(lake, FIRST, range(60))
    write_batch(lake, LATER, range(60, 72), per_shard=5)
    encode(lake, FIRST, range(60))
    encode(lake, LATER, range(60, 72))
    return lake


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, dict]:
    lake = batches(Lake(tmp_path_factory.mktemp("lake")))
    answer = fit(lake, [FIRST])
    for batch in (FIRST, LATER):
        run(lake, batch)
    return lake, answer


def test_every_clip_is_scored_by_its_folds_map(scored: tuple[Lake, dict]) -> None:
    lake, answer = scored
    model = RidgeModel.loads(lake.read(lake.model_key("ridge", answer["model"])))
    assert model.networks == NETWORKS == tuple(answer["networks"])
    rows = {row["sample_id"]: row for row in rows_of(lake, FIRST)}
    for video in range(0, 60, 7):
        for number in range(2):
            row, _, _ = clip(video, number)
            found, fold = rows[row["sample_id"]], fold_of(row["video_id"], answer["folds"])
            seen, heard = vectors(video, number)
            a, b = unit(model.maps[fold].picture(seen)), unit(model.maps[fold].sound(heard))
            assert (found["fold"], found["model"]) == (fold, answer["model"])
            assert found["score"] == pytest.approx(a @ b, abs=2e-6)
            assert (found["frame_times"], found["n_frames"]) == ([5.0], 1)


def test_it_tells_true_pairs_from_false_ones_in_videos_it_never_saw(scored: tuple[Lake, dict]) -> None:
    lake, answer = scored
    assert answer["auc"] > 0.85
    assert answer["quality"]["is_trusted"]
    assert answer["quality"]["auc_low"] > 0.8
    rows = rows_of(lake, LATER)
    kind = {clip(video, number)[0]["sample_id"]: video % KINDS for video in range(60, 72) for number in range(2)}
    true = [row["score"] for row in rows]
    false = [
        float(np.dot(a["picture"], b["sound"]))
        for a in rows
        for b in rows
        if a["fold"] == b["fold"] and kind[a["sample_id"]] != kind[b["sample_id"]]
    ]
    assert np.mean(np.array(true)[:, None] > np.array(false)) > 0.97


def test_a_folds_map_never_saw_its_videos(scored: tuple[Lake, dict]) -> None:
    lake, answer = scored
    corpus, _ = read_corpus(lake, [FIRST])
    mine = np.array([fold_of(v, answer["folds"]) == 1 for v in corpus.video])
    other = np.random.default_rng(0).normal(size=corpus.picture.shape).astype(np.float32)
    changed = replace(corpus, picture=np.where(mine[:, None], other, corpus.picture))
    before, after = (ridge_fit.fit(one, ridge_fit.FitParams()) for one in (corpus, changed))
    same = [np.array_equal(a.weights, b.weights) for a, b in zip(before.maps, after.maps, strict=True)]
    assert same == [k == 1 for k in range(answer["folds"])]


def test_pairs_that_belong_to_nothing_are_told_as_such(tmp_path: Path) -> None:
    """The same sounds under other pictures: chance, and the card says so."""
    lake = batches(Lake(tmp_path))
    corpus, _ = read_corpus(lake, [FIRST])
    shuffled = replace(corpus, sound=corpus.sound[np.random.default_rng(3).permutation(len(corpus))])
    found = ridge_fit.figures(ridge_fit.fit(shuffled, ridge_fit.FitParams()), shuffled)
    assert abs(found["auc"] - 0.5) < 0.1


def test_the_fit_is_the_same_each_time_and_narrow_sides_are_fitted_as_wide_ones(scored: tuple[Lake, dict]) -> None:
    lake, _ = scored
    corpus, _ = read_corpus(lake, [FIRST])
    one, two = (ridge_fit.fit(corpus, ridge_fit.FitParams()).dumps() for _ in range(2))
    assert one == two
    rng = np.random.default_rng(0)
    seen, heard = rng.normal(size=(30, 40)), rng.normal(size=(30, 50))
    wide = ridge_fit.fit_map(seen, heard, ridge_fit.FitParams())
    standard = (seen - wide.picture_mean) * wide.picture_scale
    target = ((heard - wide.sound_mean) * wide.sound_scale) @ wide.directions
    penalty = np.square(standard).sum(axis=1).mean()
    primal = np.linalg.solve(standard.T @ standard + penalty * np.eye(40), standard.T @ target)
    np.testing.assert_allclose(wide.weights, primal, atol=1e-4)
    np.testing.assert_allclose(wide.directions[:, :20].T @ wide.directions[:, :20], np.eye(20), atol=1e-4)


def test_vectors_of_all_folds_are_of_one_width_where_clips_are_fewer_than_directions(scored: tuple[Lake, dict]) -> None:
    corpus, _ = read_corpus(scored[0], [FIRST])
    rng = np.random.default_rng(0)
    wide = replace(corpus, picture=rng.normal(size=(len(corpus), 150)), sound=rng.normal(size=(len(corpus), 150)))
    model = ridge_fit.fit(wide, ridge_fit.FitParams())
    (width,) = {one.directions.shape[1] for one in model.maps} & {one.weights.shape[1] for one in model.maps}
    assert 80 < width < len(corpus)


def test_the_command_fits_and_calibrates(scored: tuple[Lake, dict], monkeypatch: pytest.MonkeyPatch) -> None:
    lake, answer = scored
    monkeypatch.setattr(main, "deployment", lambda: (lake, None))
    done = CliRunner().invoke(main.fit, ["--scorer", "ridge", "--batches", FIRST], catch_exceptions=False)
    assert f'"model": "{answer["model"]}"' in done.stdout
    assert '"computed": false' in done.stdout
    found = calibrate(lake, [FIRST, LATER], ["ridge"])
    assert [one["scorer"] for one in found["calibrated"]] == ["ridge"]


def test_silence_is_not_fitted_on(scored: tuple[Lake, dict]) -> None:
    shards = 3
    assert len(read_corpus(scored[0], [LATER])[0]) == 2 * 12 - shards


def test_vectors_of_two_networks_are_not_mixed(tmp_path: Path) -> None:
    lake = batches(Lake(tmp_path))
    fit(lake, [FIRST])
    encode(lake, LATER, range(60, 72), ("other@000000000000", NETWORKS[1]), "1" * 12)
    with pytest.raises(ContractError, match=r"efficientnet: vectors of two networks .*lite0@.* in 2026-11-01"):
        fit(lake, [FIRST, LATER])
    with pytest.raises(ContractError, match=r"efficientnet measured this batch by other@.*was fitted on lite0@"):
        run(lake, LATER)


def test_a_batch_that_is_not_measured_names_the_command(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    write_batch(lake, FIRST, range(60))
    with pytest.raises(ContractError, match=f"winnow run efficientnet --batch {FIRST}"):
        fit(lake, [FIRST])


def test_what_separation_left_is_heard_by_the_network_of_the_clips(tmp_path: Path) -> None:
    needs.package("onnxruntime")
    from winnow.core.stage import Sample
    from winnow.models import residual
    from winnow.models.weights import find

    weights = encoders.folder_of(tmp_path / "weights", "yamnet")
    label = find(weights, "yamnet", "tiny").label
    cls = stage_class("ridge")
    stage = cls(cls.Params(), Lake(tmp_path), Settings(weights=weights))
    stage.network = stage.hearing(label)
    wave = sine(1.0, 440, -12, 16000)[0]
    patch = pytest.MonkeyPatch()
    patch.setattr(residual, "waveform", lambda data, rate_hz: wave)
    patch.setattr(Sample, "media", lambda self, ext="mp4": mp4(None, wave[None]))
    with patch.context():
        found = stage.left(Sample("a", {}, {"separate": {}}))
        assert stage.left(Sample("a", {}, {})) is None
    patch.undo()
    expected = stage.network(wave)[0].mean(axis=0, dtype=np.float64).astype(np.float16)
    np.testing.assert_array_equal(found, expected.astype(np.float32))
    with pytest.raises(ContractError, match="the clips were heard by tiny@000000000000"):
        stage.hearing("tiny@000000000000")
