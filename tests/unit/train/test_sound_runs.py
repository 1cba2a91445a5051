"""Runs of the tasks that take sounds apart: whole, gone on with after a kill, tried at val's bias; what stops them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.unit import mixed
from tests.unit.train import planted, sounding
from tests.unit.train.lazily import Lazy
from tests.unit.train.test_runs import _files
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake
from winnow.train import runs
from winnow.train.config import TrainConfig, load

fit, trying, preparing, mixtures = (Lazy(f"winnow.train.{name}") for name in ("fit", "evaluate", "prepare", "mixtures"))
onscreen, query_separate = (Lazy(f"winnow.train.tasks.{name}") for name in ("onscreen", "query_separate"))
SMALL = {
    "rate_hz": sounding.RATE_HZ,
    "batch": 8,
    "narrow": 32,
    "epochs": 2,
    "most_missing": 0.0,
    "lr_epochs": (),
    "checkpoint_every": 1,
    "clip_s": 1.0,
    "per_s": 8,
    "samples": 7_936,
    "source_s": 1.0,
}
FIRST = {"onscreen": "mixit4-cross", "query-separate": "clipsep"}


@pytest.fixture(scope="module")
def made_lake(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    return sounding.make_lake(tmp_path_factory.mktemp("sounding"))


def _config(made_lake: tuple, task: str, **more: object) -> TrainConfig:
    given = {"model": FIRST[task], **SMALL, **more}
    return TrainConfig(**given, vectors=made_lake[2] if task == "query-separate" else None)


def _train(made_lake: tuple, task: str, run: str, **more: object) -> dict:
    return fit.train(made_lake[0], made_lake[1], task, _config(made_lake, task, **more), run=run)


@pytest.mark.parametrize("task", ["onscreen", "query-separate"])
def test_a_run_is_whole_and_goes_on_after_a_kill_with_the_same_bytes(made_lake: tuple, task: str) -> None:
    lake = made_lake[0]
    _train(made_lake, task, "whole")
    run = runs.Run(lake, task, "whole")
    card = run.card()
    assert card["counts"]["examples"] == {"train": 16, "val": 16 if task == "onscreen" else 8}
    assert card["left_out"] == {}
    progress = pq.read_table(run.home / "progress.parquet").to_pydict()
    assert progress["clips"] == [8] * 4
    assert len(set(progress["loss"])) == 4, "other partners in another epoch"
    if (pid := os.fork()) == 0:
        _die(made_lake, task)
    assert os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    assert _train(made_lake, task, "killed")["computed"]
    assert _files(lake, "killed", task) == _files(lake, "whole", task)


def _die(made_lake: tuple, task: str) -> None:
    """Ends this process before its fourth step."""
    from winnow.train import fit as loop

    real = loop._Loop._step

    def dying(self, batch):
        if batch.step == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, batch)

    loop._Loop._step = dying
    try:
        _train(made_lake, task, "killed")
    finally:
        os._exit(0)


def test_suppression_is_calibrated_on_val_and_test_is_scored_at_that_bias(made_lake: tuple) -> None:
    lake, deployed, _ = made_lake
    _train(made_lake, "onscreen", "tried", epochs=1, core_blocks=1)
    on_val = runs.Run(lake, "onscreen", "tried").metrics("val")
    assert on_val["osr_db"] == pytest.approx(6.0, abs=onscreen.WITHIN_DB)
    found = trying.evaluate(lake, deployed, "onscreen", "tried")
    assert found["bias"] == on_val["calibration"]["bias"]
    assert "calibration" not in found
    assert (found["onscreen"], found["offscreen"], found["look"]) == (8, 8, 1)
    assert found["mixit_db"] > found["chance"]
    values = pq.read_table(runs.Run(lake, "onscreen", "tried").home / "values-test.parquet").to_pydict()
    assert len(values["value"]) == 8, "a figure of each on-screen mixture"
    assert np.mean(values["value"]) == pytest.approx(found["value"])


def test_a_query_run_tells_the_mixture_beside_its_figures(made_lake: tuple) -> None:
    lake, deployed, _ = made_lake
    _train(made_lake, "query-separate", "tried", epochs=1)
    first, second = (trying.evaluate(lake, deployed, "query-separate", "tried") for _ in range(2))
    assert (first["look"], second["look"]) == (1, 2)
    assert first["clips"] == 8
    assert first["silent"] == 0
    assert set(first["sdr_db"]) == {"mean", "standard_error", "median"}
    assert first["chance"] == first["mixture_sdr_db"]["mean"]
    assert {k: v for k, v in first.items() if k != "look"} == {
        k: v for k, v in second.items() if k not in ("look", "warning")
    }, "pairs that are tried are the same ones"


@pytest.fixture(scope="module")
def prepared(made_lake: tuple) -> dict:
    modules = {"onscreen": onscreen, "query-separate": query_separate}
    return {
        task: preparing.prepare(made_lake[0], m, task, _config(made_lake, task), None) for task, m in modules.items()
    }


def test_mixtures_are_drawn_of_clips_that_are_not_tied(prepared: dict) -> None:
    """Two sounds that are other clips' own, halved for queries; of val as they were rendered."""
    found = prepared["onscreen"]
    source, train_rows = found.joined.vectors, found.rows("train")
    own = source.take(train_rows)["sound"][:, 0]
    drawn = source.draw(train_rows, 5, 0)
    assert (drawn["sound"][:, 0] == own).all()
    for k in range(len(train_rows)):
        whose = [j for j in range(len(own)) if (own[j] == drawn["sound"][k, 1]).all()]
        assert whose
        assert k not in whose
    assert (source.draw(train_rows, 5, 0)["sound"] == drawn["sound"]).all()
    assert not (source.draw(train_rows, 5, 1)["sound"] == drawn["sound"]).all()
    assert np.abs(source.take(found.rows("val"))["sound"]).max(2).min() > 0.1, "both sounds of a rendered mixture"
    asked = prepared["query-separate"].joined.vectors.draw(np.arange(8), 5, 0)
    assert asked["sound"].shape == (8, 2, 7_936)
    assert asked["query"].argmax(2).tolist() != []
    assert (asked["query"][:, 0].argmax(1) != asked["query"][:, 1].argmax(1)).all(), "of another label"
    assert 0.5 / 2 * 0.29 <= np.abs(asked["sound"]).max(2).min() <= np.abs(asked["sound"]).max() <= 1.5 / 2 * 0.31


def test_the_control_deals_out_pictures_and_queries_of_train_alone(made_lake: tuple, prepared: dict) -> None:
    for task, module, name in (("onscreen", onscreen, "pictures"), ("query-separate", query_separate, "query")):
        plain = prepared[task]
        dealt = preparing.prepare(made_lake[0], module, task, _config(made_lake, task, labels="shuffled"), None)
        rows, val = plain.rows("train"), plain.rows("val")
        one, other = (p.joined.vectors.draw(rows, 0, 0) for p in (plain, dealt))
        assert (one["sound"] == other["sound"]).all()
        assert not (one[name] == other[name]).all()
        assert (plain.joined.vectors.take(val)[name] == dealt.joined.vectors.take(val)[name]).all()


# -- bad input ---------------------------------------------------------------------------------------------------------
def _stops(made_lake: tuple, task: str, message: str, **more: object) -> None:
    with pytest.raises(ContractError, match=message):
        _train(made_lake, task, "bad", **more)
    assert not runs.Run(made_lake[0], task, "bad").home.exists()
    assert not runs.Run(made_lake[0], task, "bad").work.exists(), "no half run"


def _few() -> list[dict]:
    """Four clips of train and four of val."""
    rows = sounding.clips()
    return [row for row in rows if row["name"] in ("train-0", "train-1", "train-2", "train-3")] + [
        row for row in rows if row["name"] in ("val-0", "val-1", "val-4", "val-5")
    ]


def test_silence_is_left_out_and_counted(tmp_path: Path) -> None:
    """A silent clip of train, and mixtures whose reference is silent."""
    rows = _few()
    for name in ("train-0", "val-0"):
        row = next(row for row in rows if row["name"] == name)
        row["data"] = sounding.mp4(99, row["label"], True, silent=True)
    mixes = [
        mixed.mixture(one, two, split="validate", label=label)
        for one, two, label in (
            ("val-0", "val-1", mixtures.ON),
            ("val-1", "val-0", mixtures.ON),
            ("val-1", "val-4", mixtures.ON),
            ("val-4", "val-5", mixtures.OFF),
        )
    ]
    made_lake = sounding.make_lake(tmp_path, rows, mixes)
    ids = {row["name"]: row["sample_id"] for row in rows}
    found = preparing.prepare(made_lake[0], onscreen, "onscreen", _config(made_lake, "onscreen"), None)
    silent = found.joined.left_out["silent"]
    assert silent == sorted([ids["train-0"], mixes[0]["mixture_id"], mixes[1]["mixture_id"]])
    asked = preparing.prepare(
        made_lake[0], query_separate, "query-separate", _config(made_lake, "query-separate"), None
    )
    assert asked.joined.left_out["silent"] == sorted([ids["train-0"], ids["val-0"]])


def test_a_mixture_of_a_clip_with_itself_stops(tmp_path: Path) -> None:
    mixes = [mixed.mixture("val-0", "val-0", split="validate", label=mixtures.ON)]
    made_lake = sounding.make_lake(tmp_path, _few(), mixes)
    _stops(made_lake, "onscreen", f"mixture {mixes[0]['mixture_id']} is of clip .* with itself")


def test_without_labels_partners_or_vectors_nothing_is_trained(made_lake: tuple, tmp_path: Path) -> None:
    on = [mixed.mixture("val-0", "val-1", split="validate", label=mixtures.ON)]
    few = sounding.make_lake(tmp_path, _few(), on)
    _stops(few, "onscreen", "no rendered mixture in val whose first clip is labelled offscreen_only")
    _stops(few, "onscreen", "batch mix-none has no rendered mixture in val", mixtures="mix-none")
    same = [row | {"label": "bell"} for row in _few()]
    alike = sounding.make_lake(tmp_path / "alike", same, on)
    _stops(alike, "query-separate", "no two training clips of other videos and labels .* no partner 8")
    half = planted.write_vectors(tmp_path / "half.parquet", _few()[:5], {"query": np.ones((5, 1, 8), np.float32)})
    _stops((few[0], few[1], str(half)), "query-separate", "3 of 8 clips have no query vector, more than 0%")
    _stops(made_lake, "query-separate", "samples=9000 are more than source_s=1.0 s hold", samples=9_000)
    with pytest.raises(ConfigError, match=r"is of query-separate\.clipsep-nit, not of query-separate clipsep"):
        load("query-separate", "demo", [], ["nit_clamp"], "clipsep")
    with pytest.raises(ConfigError, match="'samplez' is no option"):
        load("onscreen", "demo", ["samplez=1"])
    assert load("query-separate", "demo", [], ["nit_clamp"]).faithful == ("nit_clamp",)


def test_a_checkpoint_of_another_encoder_is_refused(made_lake: tuple, tmp_path: Path) -> None:
    lake, deployed, path = made_lake
    _train(made_lake, "query-separate", "encoded", epochs=1)
    run = runs.Run(lake, "query-separate", "encoded")
    text = (run.home / runs.CARD).read_text()
    wide = planted.write_vectors(tmp_path / "w.parquet", sounding.clips(), {"query": np.ones((32, 1, 9), np.float32)})
    (run.home / runs.CARD).write_text(text.replace(path, str(wide)))
    with pytest.raises(ContractError, match="is of another model or of vectors of other sizes than run encoded"):
        trying.evaluate(lake, deployed, "query-separate", "encoded")
    (run.home / runs.CARD).write_text(text.replace('"encoders": {}', '"encoders": {"query": "open_clip"}'))
    with pytest.raises(ContractError, match="was trained on vectors of query open_clip, and these are of networks"):
        trying.evaluate(lake, deployed, "query-separate", "encoded")
    assert run.looks() == []


def test_a_store_of_clips_is_made_once_without_those_that_cannot_be_decoded(tmp_path: Path) -> None:
    from winnow.train.clip_store import decoded
    from winnow.train.shards import ClipFiles

    rows = _few()
    rows[2]["data"] = b"no film" * 50
    lake = Lake(tmp_path / "lake")
    mixed.publish(lake, sounding.RELEASE, {row["name"]: row["data"] for row in rows}, [])
    files = ClipFiles.of_release(lake, ids=[row["sample_id"] for row in rows])
    part = mixtures.Part(1.0, 8, sounding.RATE_HZ, mixed=False)
    with pytest.raises(ContractError, match="1 of 8 clips cannot be decoded, more than 10%"):
        decoded(lake, files, part, ("sound", "pictures"), 0.1)
    assert lake.list("vectors") == [], "nothing half-made"
    store, failed = decoded(lake, files, part, ("sound", "pictures"), 0.2)
    assert list(failed) == [rows[2]["sample_id"]]
    assert len(store.ids) == len(store.arrays["sound"]) == 7
    for row in (rows[0], rows[7]):
        at = store.ids.to_pylist().index(row["sample_id"])
        assert (store.arrays["sound"][at] == sounding.part(row["data"])["sound"]).all()
    again, _ = decoded(lake, files, part, ("sound", "pictures"), 0.2)
    assert again.card == store.card
