"""The two-tower scorer: learns what goes with what, never from the video it scores, and scores without torch."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from tests import needs
from tests.unit.measured import clip, write_batch
from winnow.cli import main
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.runtime import Runtime
from winnow.core.settings import Settings
from winnow.core.shard import Lineage
from winnow.core.stage import stage_class, stage_needs
from winnow.fitting import fit as builtin
from winnow.models.copies import Known, fold_of
from winnow.models.correspondence import joined
from winnow.models.layers import AUDIO_LAYERS, VISUAL_LAYERS
from winnow.models.two_tower import Tower, TwoTowerModel

FIRST, LATER = "2026-11-01", "2026-11-02"


def rows_of(lake: Lake, batch: str, name: str = "two_tower") -> dict[str, dict]:
    lineage = Lineage(lake, batch, stage_needs())
    tables = [lineage.committed(name, number) for number in lineage.numbers(name)]
    rows = [row for m in tables for row in pq.read_table(io.BytesIO(lake.read_table(m))).to_pylist()]
    return {row["sample_id"]: row for row in rows}


def run(lake: Lake, batch: str, name: str = "two_tower") -> None:
    cls = stage_class(name)
    Runtime(cls(cls.Params(), lake, Settings(lake=lake.root)), lake, batch, log=lambda line: None).run()


@pytest.fixture(scope="module")
def torch() -> None:
    needs.package("torch", "safetensors")


@pytest.fixture(scope="module")
def scored(torch: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, dict]:
    from winnow.fitting.fit_two_tower import fit

    lake = Lake(tmp_path_factory.mktemp("lake"))
    write_batch(lake, FIRST, range(60), silent=frozenset({7}))
    write_batch(lake, LATER, range(60, 72), per_shard=5)
    answer = fit(lake, [FIRST])
    for batch in (FIRST, LATER):
        run(lake, batch)
    return lake, answer


@pytest.mark.usefixtures("torch")
def test_every_clip_is_scored_by_its_folds_towers(scored: tuple[Lake, dict]) -> None:
    lake, answer = scored
    model = TwoTowerModel.loads(lake.read(lake.model_key("two_tower", answer["model"], "safetensors")))
    rows = rows_of(lake, FIRST)
    assert [row["reason"] for row in rows.values() if row["outcome"] == "failed"] == ["no_input"] * 2
    for video in range(60):
        for number in range(2 if video != 7 else 0):
            row, seen, heard = clip(video, number)
            found, fold = rows[row["sample_id"]], fold_of(row["video_id"], answer["folds"])
            picture = joined(seen, [layer.column for layer in VISUAL_LAYERS])
            sound = joined(heard, [layer.column for layer in AUDIO_LAYERS])
            a, b = model.picture[fold](picture), model.sound[fold](sound)
            assert found["fold"] == fold
            assert found["model"] == answer["model"] == lake.model_current("two_tower")
            assert found["score"] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=2e-6)
            assert found["frame_scores"] == pytest.approx([found["score"]], abs=2e-6)
            assert (found["frame_times"], found["n_frames"]) == ([5.0], 1), "layers of a whole clip have one time"


@pytest.mark.usefixtures("torch")
def test_it_tells_true_pairs_from_false_ones_in_videos_it_never_saw(scored: tuple[Lake, dict]) -> None:
    from sklearn.metrics import roc_auc_score

    lake, answer = scored
    assert answer["auc"] > 0.85
    rows = [row for row in rows_of(lake, LATER).values() if row["outcome"] == "ok"]
    kinds = {clip(video, number)[0]["sample_id"]: video % 6 for video in range(60, 72) for number in range(2)}
    true, false = [row["score"] for row in rows], []
    for one in rows:
        for other in rows:
            if one["fold"] == other["fold"] and kinds[one["sample_id"]] != kinds[other["sample_id"]]:
                false.append(np.dot(one["picture"], other["sound"]))
    assert len(false) > 20
    assert roc_auc_score([1] * len(true) + [0] * len(false), true + false) > 0.97


@pytest.mark.usefixtures("torch")
def test_folds_are_the_built_in_scorers(scored: tuple[Lake, dict]) -> None:
    lake, answer = scored
    assert builtin.fit(lake, [FIRST])["folds"] == answer["folds"]
    run(lake, FIRST, "correspond")
    theirs, ours = rows_of(lake, FIRST, "correspond"), rows_of(lake, FIRST)
    assert all(ours[i]["fold"] == row["fold"] for i, row in theirs.items())


@pytest.mark.usefixtures("torch")
def test_a_folds_towers_never_saw_its_videos(scored: tuple[Lake, dict]) -> None:
    """Other pictures and sounds in one fold's videos: that fold's towers stay what they were, all others change."""
    from winnow.models import two_tower_fit

    lake, answer = scored
    corpus, _ = builtin.read_corpus(lake, [FIRST])
    params = two_tower_fit.FitParams(max_steps=3, min_steps=3)
    before = two_tower_fit.fit(corpus, params)
    mine = np.array([fold_of(v, answer["folds"]) == 1 for v in corpus.video])
    rng = np.random.default_rng(0)
    changed = replace(
        corpus,
        picture=np.where(mine[:, None], rng.normal(size=corpus.picture.shape), corpus.picture).astype(np.float32),
        sound=np.where(mine[:, None], rng.normal(size=corpus.sound.shape), corpus.sound).astype(np.float32),
    )
    after = two_tower_fit.fit(changed, params)
    for k in range(answer["folds"]):
        for one, other in ((before.picture[k], after.picture[k]), (before.sound[k], after.sound[k])):
            assert np.array_equal(one.hidden, other.hidden) == (k == 1)


@pytest.mark.usefixtures("torch")
def test_the_same_corpus_and_seed_give_the_same_bytes(scored: tuple[Lake, dict]) -> None:
    from winnow.models import two_tower_fit

    lake, _ = scored
    corpus, _ = builtin.read_corpus(lake, [FIRST])
    params = two_tower_fit.FitParams(max_steps=4, min_steps=4)
    first, again = (two_tower_fit.fit(corpus, params).dumps() for _ in range(2))
    assert first == again
    assert two_tower_fit.fit(corpus, replace(params, seed=1)).dumps() != first
    sampled = two_tower_fit.fit(corpus, replace(params, max_clips=60))
    assert sampled.dumps() != first


@pytest.mark.usefixtures("torch")
def test_it_is_frozen_by_its_digest_and_not_fitted_twice(
    scored: tuple[Lake, dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    from winnow.fitting import fit_two_tower
    from winnow.models import two_tower_fit

    lake, answer = scored
    card = json.loads(lake.read(lake.model_key("two_tower", answer["model"], "json")))
    data = lake.read(lake.model_key("two_tower", answer["model"], "safetensors"))
    assert card["sha256"] == sha256_bytes(data)
    assert card["identity"]["params"]["temperature"] == 0.2
    assert TwoTowerModel.loads(data).dumps() == data
    monkeypatch.setattr(two_tower_fit, "fit", lambda *_: pytest.fail("fitted again"))
    assert fit_two_tower.fit(lake, [FIRST, FIRST]) == {**answer, "computed": False}
    monkeypatch.setattr(main, "deployment", lambda: (lake, None))
    done = CliRunner().invoke(main.cli, ["fit", "--scorer", "two_tower", "--batches", FIRST])
    assert json.loads(done.output.splitlines()[-1])["model"] == answer["model"]
    done = CliRunner().invoke(main.cli, ["fit", "--scorer", "two_tower", "--batches", "2026-12-24", "--if-unfitted"])
    assert json.loads(done.output.splitlines()[-1])["model"] == answer["model"], "it stays, and no batch is read"


@pytest.mark.usefixtures("torch")
def test_the_frozen_towers_are_the_trained_ones_without_their_blur(scored: tuple[Lake, dict]) -> None:
    """NumPy's numbers against torch's."""
    import torch

    from winnow.models.two_tower_fit import FitParams, Side

    side = Side(20, FitParams(noise=0, dropout=0), torch.Generator().manual_seed(0))
    rng = np.random.default_rng(0)
    features, mean, scale = rng.normal(3, 9, (7, 20)), rng.normal(size=20), rng.uniform(0.5, 2, 20)
    tower = side.frozen(mean, scale)
    with torch.no_grad():
        wanted = side(torch.from_numpy(np.clip((features - mean) * scale, -4, 4).astype(np.float32))).numpy()
    np.testing.assert_allclose(tower(features), wanted, atol=1e-4)


@pytest.mark.usefixtures("torch")
def test_clips_of_one_video_are_not_told_apart() -> None:
    import torch

    from winnow.models.contrastive import info_nce

    rng = np.random.default_rng(0)
    a, b = (torch.from_numpy(rng.normal(size=(4, 5))) for _ in range(2))
    never = torch.zeros(4, 4, dtype=torch.bool)
    never[0, 1] = never[1, 0] = True
    cosine = (a / a.norm(dim=1, keepdim=True)) @ (b / b.norm(dim=1, keepdim=True)).T / 0.2
    weight = torch.exp(cosine) * ~never
    rows, columns = (torch.log(weight.sum(dim=d)) - torch.diag(cosine) for d in (1, 0))
    wanted = float((rows.mean() + columns.mean()) / 2)
    assert float(info_nce(a, b, 0.2, never)) == pytest.approx(wanted, rel=1e-9)
    assert float(info_nce(a, b, 0.2)) > wanted


@pytest.mark.usefixtures("torch")
def test_too_few_videos_and_missing_tables_are_refused(tmp_path: Path) -> None:
    from winnow.fitting.fit_two_tower import fit

    lake = Lake(tmp_path)
    write_batch(lake, FIRST, range(3), clips=20)
    with pytest.raises(ContractError, match="60 clips of 3 videos"):
        fit(lake, [FIRST])
    with pytest.raises(ContractError, match="winnow plan --batch 2026-12-24"):
        fit(lake, ["2026-12-24"])
    with pytest.raises(ContractError, match="no batch was named"):
        fit(lake, [])
    with pytest.raises(ConfigError, match="winnow fit --scorer two_tower"):
        stage_class("two_tower")(stage_class("two_tower").Params(), lake, Settings()).setup()
    assert lake.model_current("two_tower") is None


def towers(folds: int = 3) -> TwoTowerModel:
    rng = np.random.default_rng(0)
    make = lambda d: Tower(*(rng.normal(size=s).astype(np.float32) for s in (d, d, (d, 8), 8, (8, 4), 4)))  # noqa: E731
    known = Known(np.array([7], np.uint64), np.array([0]), np.array([1]), folds)
    return TwoTowerModel([make(268) for _ in range(folds)], [make(266) for _ in range(folds)], known)


def test_what_is_no_whole_model_is_refused() -> None:
    data = towers().dumps()
    assert TwoTowerModel.loads(data).dumps() == data
    assert TwoTowerModel.loads(data).known.folds == 3
    for broken in (b"", data[:100], data[:-4], b"\x80\x04]q\x00."):
        with pytest.raises(ContractError, match="no two-tower model"):
            TwoTowerModel.loads(broken)


def test_scoring_needs_no_torch(tmp_path: Path) -> None:
    """In an interpreter that has none."""
    lake = Lake(tmp_path)
    write_batch(lake, FIRST, range(6))
    sizes = [sum(layer.dim for layer in layers) for layers in (VISUAL_LAYERS, AUDIO_LAYERS)]
    assert sizes == [268, 266]
    lake.create(lake.model_key("two_tower", "0" * 12, "safetensors"), towers().dumps())
    lake.set_model_current("two_tower", "0" * 12)
    code = f"""if True:
        import sys
        sys.modules["torch"] = None
        from winnow.core.lake import Lake
        from winnow.core.runtime import run_stage
        from winnow.core.settings import Settings
        print(run_stage(Lake({str(tmp_path)!r}), "two_tower", {FIRST!r}, {{}}, Settings(lake={str(tmp_path)!r}))["ok"])
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "12"
