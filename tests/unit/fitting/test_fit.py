"""winnow fit: reads named batches from the lake, freezes a scorer by its digest, never fits the same twice."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.unit import measured
from tests.unit.measured import write_batch
from winnow.cli.main import cli
from winnow.core.errors import ContractError
from winnow.core.lake import Lake, sha256_bytes
from winnow.fitting.fit import fit, read_corpus
from winnow.models import correspondence_fit, synchrony
from winnow.models.correspondence import Scorer, information, log_odds, null_of
from winnow.release.scorers import scorers

BATCHES = ["2026-11-01", "2026-11-02"]


def lake_of(folder: Path, per_shard: int = 8) -> Lake:
    lake = Lake(folder)
    write_batch(lake, BATCHES[0], range(30), per_shard=per_shard, silent=frozenset({4}))
    write_batch(lake, BATCHES[1], range(30, 50), per_shard=per_shard)
    return lake


def model_bytes(lake: Lake, answer: dict) -> bytes:
    return lake.read(lake.model_key("correspond", answer["model"]))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, dict]:
    lake = lake_of(tmp_path_factory.mktemp("lake"))
    return lake, fit(lake, BATCHES)


def test_freezes_a_scorer_and_makes_it_current(fitted: tuple[Lake, dict]) -> None:
    lake, answer = fitted
    assert answer["computed"] is True
    assert (answer["clips"], answer["videos"]) == (98, 49)
    assert answer["auc"] > 0.8
    assert lake.model_current("correspond") == answer["model"]
    card = json.loads(lake.read(lake.model_key("correspond", answer["model"], "json")))
    assert card["batches"] == BATCHES
    assert card["identity"]["params"]["seed"] == 0
    assert card["sha256"] == sha256_bytes(model_bytes(lake, answer))
    assert len(card["nulls"]) == len(card["weights"]) == answer["folds"]
    assert sum(null["clips"] for null in card["nulls"]) == 98
    with np.load(lake.model_path("correspond", answer["model"]), allow_pickle=False) as arrays:
        assert not any(arrays[name].dtype.hasobject for name in arrays.files)


def test_the_card_says_how_good_it_is_and_a_release_reads_that(fitted: tuple[Lake, dict]) -> None:
    lake, answer = fitted
    quality = answer["quality"]
    assert quality["is_trusted"]
    assert 0.5 < quality["auc_low"] <= quality["auc"] <= quality["auc_high"]
    assert (quality["clips"], quality["groups"], quality["clips_effective"]) == (98, 49, 49.0)
    card = json.loads(lake.read(lake.model_key("correspond", answer["model"], "json")))
    assert card["quality"] == quality
    assert card["training"]["auc"] == quality["auc"]
    *left_out, other = card["stability"]
    assert [row["number"] for row in left_out] == list(range(answer["folds"]))
    # Every clip stands in one fold and is scored once without each other fold.
    assert sum(row["clips"] for row in left_out) == 98 * (answer["folds"] - 1)
    assert (other["kind"], other["clips"]) == ("other_folds", 98)
    assert sum(row["flipped"] for row in left_out) < 0.1 * sum(row["clips"] for row in left_out)
    assert other["flipped"] < 0.2 * 98
    assert scorers(lake) == [
        {"model": answer["model"], **quality, "trusted_because": None, "refits": answer["stability"]}
    ]


def test_a_scorer_near_chance_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sounds of other videos, drawn anew for each clip."""
    real = measured.clip

    def strange(video: int, number: int) -> tuple[dict, dict, dict]:
        other = int(np.random.default_rng([9, video, number]).integers(1_000, 9_000))
        return *real(video, number)[:2], real(other, number)[2]

    monkeypatch.setattr(measured, "clip", strange)
    lake = lake_of(tmp_path)
    monkeypatch.setenv("WINNOW_LAKE", lake.root)
    done = CliRunner().invoke(cli, ["fit", "--batches", ",".join(BATCHES)], catch_exceptions=False)
    quality = json.loads(done.stdout.splitlines()[-1])["quality"]
    assert not quality["is_trusted"]
    assert quality["auc_low"] < 0.5 < quality["auc_high"]
    assert re.search(r"this scorer cannot be trusted. .* AUC of 0\.\d+ \(.* on 98 clips of 49 videos", done.stderr)


def test_the_same_corpus_is_not_fitted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = lake_of(tmp_path)
    first = fit(lake, BATCHES)
    other = fit(lake, BATCHES[:1])
    assert other["model"] != first["model"]
    monkeypatch.setattr(correspondence_fit, "fit", lambda *_: pytest.fail("fitted again"))
    again = fit(lake, [BATCHES[1], BATCHES[0], BATCHES[0]])
    assert again == {**first, "computed": False}
    assert lake.model_current("correspond") == first["model"]


def test_neither_shards_nor_their_order_matter(tmp_path: Path) -> None:
    few, many = lake_of(tmp_path / "few", per_shard=30), lake_of(tmp_path / "many", per_shard=3)
    first, second = fit(few, BATCHES), fit(many, BATCHES[::-1])
    assert first == second
    assert model_bytes(few, first) == model_bytes(many, second)


def test_a_seed_is_part_of_what_a_scorer_is(tmp_path: Path) -> None:
    lake = lake_of(tmp_path)
    assert fit(lake, BATCHES, seed=1)["model"] != fit(lake, BATCHES)["model"]


def test_clips_without_sound_are_left_out_and_a_clip_counts_once(tmp_path: Path) -> None:
    lake = lake_of(tmp_path)
    write_batch(lake, "2026-11-03", range(25, 35))
    corpus, _ = read_corpus(lake, [*BATCHES, "2026-11-03"])
    assert len(corpus) == 98
    assert len(set(corpus.video)) == 49
    assert corpus.picture.dtype == np.float32


def test_a_larger_corpus_is_sampled_by_the_seed(tmp_path: Path) -> None:
    lake = lake_of(tmp_path)
    params = correspondence_fit.FitParams(max_clips=60)
    answers = [fit(lake, BATCHES, params=params, seed=seed) for seed in (0, 1)]
    cards = [json.loads(lake.read(lake.model_key("correspond", a["model"], "json"))) for a in answers]
    assert [sum(null["clips"] for null in card["nulls"]) for card in cards] == [60, 60]
    assert model_bytes(lake, answers[0]) != model_bytes(lake, answers[1])


def test_what_is_missing_is_named_with_the_command_that_makes_it(tmp_path: Path) -> None:
    lake = lake_of(tmp_path)
    with pytest.raises(ContractError, match="winnow plan --batch 2026-12-24"):
        fit(lake, [*BATCHES, "2026-12-24"])
    lake.remove(f"audio/batch={BATCHES[0]}.json")
    with pytest.raises(ContractError, match=f"winnow run audio --batch {BATCHES[0]}"):
        fit(lake, BATCHES)
    with pytest.raises(ContractError, match="no batch was named"):
        fit(lake, [])


def test_too_few_videos_are_refused(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    write_batch(lake, BATCHES[0], range(3), clips=20)
    with pytest.raises(ContractError, match="60 clips of 3 videos"):
        fit(lake, BATCHES[:1])
    assert lake.model_current("correspond") is None


def test_leaving_copies_out_keeps_what_was_kept(fitted: tuple[Lake, dict], tmp_path: Path) -> None:
    """Media that stand under another id too count once: what is fitted with and without them differs by the folds of
    their groups alone."""
    (bare, few), full = fitted, lake_of(tmp_path)
    write_batch(full, "2026-11-03", range(60, 66), copies=dict(zip(range(60, 66), range(10, 16), strict=True)))
    many = fit(full, [*BATCHES, "2026-11-03"])
    assert (many["clips"], many["groups"]) == (few["clips"], few["groups"]) == (98, 49)
    one, other = (Scorer.loads(model_bytes(*at)) for at in ((bare, few), (full, many)))
    corpus, _ = read_corpus(bare, BATCHES)
    kept = [{at for at in range(len(corpus)) if z_of(scorer, corpus, at) >= 1.645} for scorer in (one, other)]
    assert len(kept[0] & kept[1]) > 0.9 * len(kept[0] | kept[1]) > 50


def z_of(scorer: Scorer, corpus: correspondence_fit.Corpus, at: int) -> float:
    group, fold = scorer.known.find(str(corpus.video[at]), corpus.picture[at], corpus.sound[at])
    model = scorer.folds[fold]
    a, b = model.picture(corpus.picture[at]), model.sound(corpus.sound[at])
    m, o = corpus.motion[at], corpus.onset[at]
    semantic, sync = information(a, b[None], model.correlation), synchrony.peaks(m, o[None], one_is_motion=True)
    mean, std = null_of(model, [group], a, b, m, o, scorer.alike)
    return float((log_odds(semantic, sync, model.weights)[0] - mean) / std)
