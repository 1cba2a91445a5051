"""The scorer: cross-fitted, deterministic, calibrated on its null, and not led astray by wrong pairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from winnow.models import correspondence_fit, synchrony
from winnow.models.copies import fold_of
from winnow.models.correspondence import Scorer
from winnow.models.correspondence_fit import Corpus, FitParams, choose_folds, fit, held_out_pairs

CLASSES = 8
SIZES = (12, 10)


def corpus(
    videos: int = 60, clips: int = 3, wrong: float = 0.0, seed: int = 0, sync: float = 1.0
) -> tuple[Corpus, np.ndarray]:
    """Clips whose sides share a class and a rhythm, of which a share `wrong` of videos has the sound of another class;
    and which clips are right."""
    rng = np.random.default_rng(seed)
    looks, sounds = rng.normal(size=(CLASSES, sum(SIZES))) * 1.5, rng.normal(size=(CLASSES, sum(SIZES))) * 1.5
    video, picture, sound, motion, onset, right = [], [], [], [], [], []
    for number in range(videos):
        kind = number % CLASSES
        is_right = rng.random() >= wrong
        heard = kind if is_right else (kind + rng.integers(1, CLASSES)) % CLASSES
        manner = rng.normal(size=(2, sum(SIZES))) * 0.5
        for _ in range(clips):
            video.append(f"{number:020x}")
            picture.append(looks[kind] + manner[0] + rng.normal(size=sum(SIZES)))
            sound.append(sounds[heard] + manner[1] + rng.normal(size=sum(SIZES)))
            rhythm = rng.exponential(size=80)
            motion.append(synchrony.prepared(rhythm + 0.3 * rng.exponential(size=80)))
            follows = sync if is_right else 0.0
            onset.append(synchrony.prepared(follows * rhythm + rng.exponential(size=80)))
            right.append(is_right)
    arrays = (np.array(side, np.float32) for side in (picture, sound))
    return Corpus(np.array(video), *arrays, SIZES, SIZES, np.array(motion), np.array(onset)), np.array(right)


def scored(scorer: Scorer, clips: Corpus) -> dict[str, np.ndarray]:
    rows = [
        scorer.score(str(v), p, s, *(raw(e) for e in (m, o)))
        for v, p, s, m, o in zip(clips.video, clips.picture, clips.sound, clips.motion, clips.onset, strict=True)
    ]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def raw(prepared: np.ndarray) -> np.ndarray:
    """An envelope that `prepared` turns into this one, up to scale."""
    values = prepared[: int(prepared[-1])].astype(np.float64)
    return np.expm1(values - values.min())


@pytest.fixture(scope="module")
def fitted() -> tuple[Corpus, Scorer]:
    clips, _ = corpus()
    return clips, fit(clips, FitParams())


def test_no_clip_is_scored_by_a_model_that_saw_its_video(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tower, every weight and every held-out correlation of fold k comes from clips of other folds."""
    clips, _ = corpus()
    saw: list[tuple[str, set[str]]] = []
    towers, weights, calibrate = (getattr(correspondence_fit, n) for n in ("fit_towers", "fit_weights", "calibrate"))

    def spy(name, function, videos):
        def called(*args):
            saw.append((name, videos(*args)))
            return function(*args)

        monkeypatch.setattr(correspondence_fit, name, called)

    spy("fit_towers", towers, lambda part, *_: set(part.video))
    spy("fit_weights", weights, lambda inner, *_: {v for held in inner for v in held.corpus.video})
    spy("calibrate", calibrate, lambda inner: {v for held in inner for v in held.corpus.video})
    scorer = fit(clips, FitParams())
    folds = len(scorer.folds)
    fold = np.array([fold_of(v, folds) for v in clips.video])
    seen = [videos for name, videos in saw if name in ("fit_weights", "calibrate")]
    assert len(seen) == 2 * folds
    for k, pair in enumerate(zip(seen[::2], seen[1::2], strict=True)):
        mine = set(clips.video[fold == k])
        assert mine
        assert all(not videos & mine for videos in pair)
    trained = [videos for name, videos in saw if name == "fit_towers"]
    for k in range(folds):
        assert set(clips.video[fold != k]) in trained


def test_a_folds_model_does_not_depend_on_the_folds_own_clips(fitted: tuple[Corpus, Scorer]) -> None:
    """The same by its effect: other pictures and sounds in fold k leave fold k's model as it is, but for its null."""
    clips, scorer = fitted
    folds = len(scorer.folds)
    mine = np.array([fold_of(v, folds) for v in clips.video]) == 2
    noise = np.random.default_rng(1).normal(size=clips.picture.shape).astype(np.float32) * 9
    changed = replace(
        clips, picture=np.where(mine[:, None], noise, clips.picture), sound=np.where(mine[:, None], noise, clips.sound)
    )
    before, after = scorer.folds[2], fit(changed, FitParams()).folds[2]
    assert np.array_equal(before.picture.projection, after.picture.projection)
    assert np.array_equal(before.sound.projection, after.sound.projection)
    assert np.array_equal(before.correlation, after.correlation)
    assert np.array_equal(before.weights, after.weights)
    assert before.null_mean != after.null_mean
    assert not np.array_equal(scorer.folds[1].weights, fit(changed, FitParams()).folds[1].weights)


def test_a_video_keeps_its_fold() -> None:
    assert [fold_of(f"video-{i}", 8) for i in range(6)] == [4, 4, 3, 5, 1, 5]
    counts = np.bincount([fold_of(f"{i:020x}", 8) for i in range(4000)])
    assert counts.min() > 400


def test_the_bank_is_of_the_fold_and_never_of_the_clips_own_group(fitted: tuple[Corpus, Scorer]) -> None:
    from winnow.models.correspondence import mismatches

    clips, scorer = fitted
    videos = np.unique(clips.video).tolist()
    for k, model in enumerate(scorer.folds):
        assert {fold_of(videos[number], len(scorer.folds)) for number in model.bank_group} == {k}
    model = scorer.folds[0]
    clip = (model.bank_picture[0], model.bank_sound[0], model.bank_motion[0], model.bank_onset[0])
    others = int((model.bank_group != model.bank_group[0]).sum())
    kept = int(np.ceil(others * (1 - scorer.alike)))
    assert len(mismatches(model, [model.bank_group[0]], *clip, scorer.alike)) == 2 * kept


def test_fit_is_deterministic_and_survives_a_round_trip(fitted: tuple[Corpus, Scorer]) -> None:
    clips, scorer = fitted
    data = scorer.dumps()
    assert fit(clips, FitParams()).dumps() == data
    assert Scorer.loads(data).dumps() == data
    assert fit(clips, FitParams(seed=1, weight_clips=20)).dumps() != data
    one = scored(scorer, clips.take(np.arange(5)))
    again = scored(Scorer.loads(data), clips.take(np.arange(5)))
    assert all(np.array_equal(one[name], again[name]) for name in one)


def test_wrong_pairs_are_told_from_right_ones() -> None:
    clips, right = corpus(wrong=0.2)
    rows = scored(fit(clips, FitParams()), clips)
    assert 0.1 < 1 - right.mean() < 0.3
    assert roc_auc_score(right, rows["z"]) > 0.95
    assert (rows["z"][right] >= 1.645).mean() > 0.8
    assert (rows["z"][~right] >= 1.645).mean() < 0.15


def test_later_videos_are_scored_as_well_by_the_frozen_scorer() -> None:
    clips, right = corpus(videos=90, wrong=0.2)
    first = clips.take(np.flatnonzero([int(v, 16) < 60 for v in clips.video]))
    later = np.flatnonzero([int(v, 16) >= 60 for v in clips.video])
    rows = scored(fit(first, FitParams()), clips.take(later))
    assert roc_auc_score(right[later], rows["z"]) > 0.95


def test_z_is_calibrated_on_mismatched_pairs(fitted: tuple[Corpus, Scorer]) -> None:
    """Of pairs of two videos that look different about one in twenty reaches 1.645; alike ones are no mismatch."""
    clips, scorer = fitted
    pairs = held_out_pairs(scorer, clips)
    seen, heard = pairs[:, 0].astype(int), pairs[:, 1].astype(int)
    kind = np.array([int(v, 16) % CLASSES for v in clips.video])
    z = pairs[(kind[seen] != kind[heard]), 2]
    assert len(z) > 500
    assert 0.01 < (z >= 1.645).mean() < 0.09
    assert abs(z.mean()) < 0.3
    assert z.std() == pytest.approx(1, abs=0.25)


def test_an_error_is_as_large_as_z_scatters_over_other_corpora() -> None:
    """Clips of one world, scored by scorers of five other samples of it: their z scatter as their errors say, within a
    factor of two."""
    clips, _ = corpus(videos=90)
    asked = clips.take(np.flatnonzero([int(v, 16) >= 80 for v in clips.video]))
    rng, rest = np.random.default_rng(0), clips.take(np.flatnonzero([int(v, 16) < 80 for v in clips.video]))
    found = []
    for _ in range(5):
        some = rng.choice(80, 40, replace=False)
        found.append(
            scored(fit(rest.take(np.flatnonzero(np.isin([int(v, 16) for v in rest.video], some))), FitParams()), asked)
        )
    scatter = np.sqrt(np.array([rows["z"] for rows in found]).var(axis=0, ddof=1).mean())
    said = np.sqrt(np.square([rows["z_error"] for rows in found]).mean())
    assert scatter / 2 < said < scatter * 2


def test_unrelated_sides_are_not_made_to_agree() -> None:
    """Where nothing corresponds, a true pair looks like any other."""
    rng = np.random.default_rng(0)
    clips, _ = corpus(sync=0.0)
    shuffled = replace(clips, sound=clips.sound[rng.permutation(len(clips))])
    z = scored(fit(shuffled, FitParams()), shuffled)["z"]
    assert (z >= 1.645).mean() < 0.15
    assert abs(z.mean()) < 0.5


def test_sync_alone_finds_what_looks_and_sounds_right() -> None:
    clips, right = corpus(wrong=0.25)
    classless = replace(clips, sound=np.zeros_like(clips.sound))
    assert roc_auc_score(right, scored(fit(classless, FitParams()), classless)["z"]) > 0.8


def test_folds_follow_the_number_of_videos() -> None:
    assert choose_folds([f"{i:020x}" for i in range(400)], 8) == 8
    assert 3 <= choose_folds([f"{i:020x}" for i in range(14)], 8) < 8
    assert choose_folds(["a", "b", "c"], 8) == 0
    assert choose_folds([], 8) == 0


def test_a_small_corpus_gives_finite_scores() -> None:
    clips, _ = corpus(videos=12, clips=1)
    rows = scored(fit(clips, FitParams()), clips)
    assert all(np.isfinite(values).all() for values in rows.values())


def test_synchrony_knows_lag_and_scale() -> None:
    rhythm = np.random.default_rng(0).exponential(size=80)
    many = np.array([synchrony.prepared(np.roll(rhythm, shift) * 7) for shift in (0, 1, -2, 20)])
    found = synchrony.peaks(synchrony.prepared(rhythm), many, one_is_motion=True)
    assert found[0] == pytest.approx(1, abs=1e-6)
    assert found[1:3].min() > 0.9
    assert found[3] < 0.5
    swapped = [synchrony.peaks(m, synchrony.prepared(rhythm)[None], one_is_motion=False)[0] for m in many]
    assert np.allclose(found, swapped)


def test_synchrony_of_different_lengths_and_of_nothing() -> None:
    rhythm = np.random.default_rng(0).exponential(size=80)
    short = synchrony.prepared(rhythm[:40])
    assert synchrony.peaks(synchrony.prepared(rhythm), short[None], one_is_motion=True)[0] > 0.95
    for nothing in (np.zeros(80), np.zeros(0), np.full(80, 3.0)):
        assert (
            synchrony.peaks(synchrony.prepared(rhythm), synchrony.prepared(nothing)[None], one_is_motion=True)[0] == 0
        )
