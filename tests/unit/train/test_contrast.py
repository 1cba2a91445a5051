"""Tasks contrast and probe: what pairs teach, kill and resume, the probe on top of it, overlap, bad input; on vectors
and on decoded clips."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.train import paired, planted
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.metrics import classes
from winnow.train import runs
from winnow.train.config import load

SMALL = ("batch=12", "epochs=15", "recall=1,5", "weight_decay=0.01", "evaluate_every=5")


def _train(made_lake: tuple, run: str, *more: str, task: str = "contrast", model: str = "frozen") -> dict:
    from winnow.train.fit import train

    lake, settings, vectors = made_lake
    given = [*SMALL, *([f"vectors={vectors}"] if vectors else []), *more]
    return train(lake, settings, task, load(task, None, given, (), model), run=run)


def _probe(made_lake: tuple, run: str, *more: str, model: str = "frozen") -> dict:
    _train(made_lake, run, "epochs=40", *more, task="probe", model=model)
    return _try(made_lake, run, "probe")


def _try(made_lake: tuple, run: str, task: str = "contrast", split: str = "test") -> dict:
    from winnow.train.evaluate import evaluate

    return evaluate(made_lake[0], made_lake[1], task, run, split)


def _files(made_lake: tuple, run: str) -> dict[str, bytes]:
    home = runs.Run(made_lake[0], "contrast", run).home
    names = ["metrics-val.json", "predictions-val.parquet", "progress.parquet", "validation.parquet"]
    return {name: (home / name).read_bytes() for name in names} | {p.name: b"" for p in home.glob("checkpoints/*")}


@pytest.fixture(scope="module")
def made_lake(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    return paired.make_lake(tmp_path_factory.mktemp("contrast"), paired.clips(120))


@pytest.fixture(scope="module")
def trained(made_lake: tuple) -> tuple:
    _train(made_lake, "one")
    return made_lake


# -- contrast ----------------------------------------------------------------------------------------------------------
def test_pairs_teach_to_find_partners_and_shuffled_ones_do_not(trained: tuple) -> None:
    said = _try(trained, "one")
    assert said["R@1"] > 3 / said["gallery"], "A to V over three times chance"
    _train(trained, "dealt", "labels=shuffled", "select=last")
    dealt = _try(trained, "dealt")
    assert dealt["value"] < dealt["chance"] + 0.2 < said["value"]


def test_killed_at_any_step_a_run_ends_with_the_same_bytes(trained: tuple) -> None:
    from winnow.train import fit

    real, more = fit._Loop._step, ("epochs=2", "checkpoint_every=3", "amsgrad=true")
    _train(trained, "whole", *more)
    for step in (4, 8):
        if (pid := os.fork()) == 0:

            def dying(self, batch, at=step):
                if batch.step == at:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(self, batch)

            fit._Loop._step = dying
            try:
                _train(trained, f"killed-{step}", *more)
            finally:
                os._exit(0)
        assert os.WIFSIGNALED(os.waitpid(pid, 0)[1])
        _train(trained, f"killed-{step}", *more)
        assert _files(trained, f"killed-{step}") == _files(trained, "whole")


def test_the_rate_rises_and_falls_and_norms_do_not_decay() -> None:
    import torch

    from winnow.train import state
    from winnow.train.config import TrainConfig
    from winnow.train.nets.contrast import projection

    config = TrainConfig(
        schedule="linear", warmup=4, learning_rate=1.0, optimiser="adamw", weight_decay=0.5, amsgrad=True
    )
    assert [state.rate(config, step, 0, 12) for step in (0, 3, 4, 11)] == [0.25, 1.0, 1.0, 0.125]
    cosine = TrainConfig(schedule="cosine", epochs=4, learning_rate=1.0)
    assert [round(state.rate(cosine, 0, epoch, 0), 6) for epoch in (0, 2)] == [1.0, 0.5]
    layers = projection(6)
    optimiser = state.optimiser(layers, config)
    decays = {id(p): g["weight_decay"] for g in optimiser.param_groups for p in g["params"]}
    assert [decays[id(p)] for p in layers.parameters()] == [0.5, 0.0, 0.0, 0.5, 0.5]
    for _ in range(3):
        optimiser.zero_grad()
        layers(torch.randn(5, 6)).sum().backward()
        optimiser.step()
    kept = state.dump_state(layers, optimiser, state.Position(3), "same")
    other = projection(6)
    again = state.optimiser(other, config)
    state.load_state(kept, "here", other, again, "same")
    assert state.dump_state(other, again, state.Position(3), "same") == kept, "with the largest second moments"


# -- probe -------------------------------------------------------------------------------------------------------------
def test_one_hot_features_are_read_in_full_and_shuffled_classes_are_chance(tmp_path: Path) -> None:
    rows = paired.clips(120)
    hot = np.eye(3, 8, dtype=np.float32)[[planted.CATEGORIES.index(row["label"]) for row in rows]]
    made_lake = paired.make_lake(tmp_path, rows, audio=hot, visual=hot)
    said = _probe(made_lake, "vectors", model="vectors")
    assert (said["value"], said["top_5"], said["views"]) == (1.0, 1.0, 1)
    assert _probe(made_lake, "audio", "sides=audio", model="vectors")["value"] == 1.0
    dealt = _probe(made_lake, "dealt", "labels=shuffled", model="vectors")
    assert dealt["value"] < 1 / 3 + 3 * np.sqrt(2 / 9 / 24)
    assert said["chance"] == pytest.approx(1 / 3)


def test_a_probe_changes_nothing_under_it_and_is_scored_as_winnow_metrics_does(trained: tuple) -> None:
    from winnow.train import state

    said = _probe(trained, "probe-one", "of=one")
    assert said["value"] > said["chance"] + 0.2
    homes = [runs.Run(trained[0], task, name) for task, name in (("contrast", "one"), ("probe", "probe-one"))]
    tensors = [state.load(run.checkpoint(run.card()).read_bytes(), run.name)[0] for run in homes]
    for name, value in tensors[0].items():
        assert (tensors[1][f"net.under.{name}"] == value).all(), name
    assert any("running_mean" in name for name in tensors[0])
    card = homes[1].card()
    assert card["counts"]["examples"] == {"train": 24, "val": 0}, "the release's clips of val"
    assert card["of"]["under"] == homes[0].card()["identity"]
    table = pq.read_table(homes[1].home / "predictions-test.parquet").to_pydict()
    target = np.array([planted.CATEGORIES.index(name) for name in table["category"]])
    again = classes.score(np.array(table["scores"]), target)
    assert {name: said[name] for name in again} == again


def test_the_command_trains_the_probe_of_a_run_where_it_is_not_there(trained: tuple, monkeypatch) -> None:
    from click.testing import CliRunner

    from winnow.cli.train import evaluate

    lake = trained[0]
    monkeypatch.setenv("WINNOW_LAKE", lake.root)
    monkeypatch.setenv("WINNOW_DEVICE", "cpu")

    def ask(*words: str) -> dict:
        found = CliRunner().invoke(evaluate, list(words), catch_exceptions=False, standalone_mode=False)
        if found.exception:
            raise found.exception
        return json.loads(found.stdout.splitlines()[-1])

    first = ask("probe", "--run", "one", "--set", "epochs=20", "--set", "batch=8")
    assert (first["metric"], first["look"]) == ("top-1", 1)
    assert ask("probe", "--run", "one")["look"] == 2
    with pytest.raises(ConfigError, match="probe one is trained"):
        ask("probe", "--run", "one", "--set", "epochs=2")
    with pytest.raises(ConfigError, match="no run 'two' of contrast to probe"):
        ask("probe", "--run", "two")
    with pytest.raises(ConfigError, match="are of task probe"):
        ask("contrast", "--run", "one", "--set", "epochs=2")


def _table(made_lake: tuple, rows: list[dict]) -> str:
    path = Path(made_lake[0].root).parent / f"classes-{len(list(Path(made_lake[0].root).parent.iterdir()))}.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return str(path)


def test_what_is_tied_to_the_corpus_is_left_out_of_a_probe(trained: tuple) -> None:
    """A table whose first clips are of train: learned from; the rest of val and test."""
    rows = paired.clips(120)
    listed = [
        {"sample_id": row["sample_id"], "label": row["label"], "split": "test" if row["split"] == "test" else "train"}
        for row in rows
    ]
    path = _table(trained, listed)
    said = _train(trained, "tied", "of=one", f"classes={path}", "epochs=2", task="probe")
    card = runs.Run(trained[0], "probe", "tied").card()
    assert card["counts"] == {"examples": {"train": 24, "val": 0}, "left_out": {"tied to what was learned from": 72}}
    assert said["computed"]
    only = _table(trained, [row for row, whole in zip(listed, rows, strict=True) if whole["split"] == "train"])
    with pytest.raises(
        ContractError, match="no clip is left for a probe to learn from: tied to what was learned from 72"
    ):
        _train(trained, "none", "of=one", f"classes={only}", task="probe")


@pytest.mark.parametrize(
    ("more", "model", "said"),
    [
        ((), "frozen", "a probe needs --set of=RUN"),
        (("of=one",), "vectors", "leave --set of out"),
        (("of=one",), "tiny", "run one of contrast is of model frozen, not tiny"),
        (("of=two",), "frozen", "task contrast has no run 'two'"),
        (("of=one", "classes=/nothing"), "frozen", "a Parquet of sample_id, label, split is wanted"),
    ],
)
def test_a_probe_of_nothing_says_why(trained: tuple, more: tuple, model: str, said: str) -> None:
    with pytest.raises((ConfigError, ContractError), match=said):
        _train(trained, "bad", *more, task="probe", model=model)
    assert not runs.Run(trained[0], "probe", "bad").done


def test_a_class_without_a_clip_to_learn_from_stops_or_is_left_out(tmp_path: Path) -> None:
    rows = paired.clips(120)
    for row in rows:
        if row["split"] == "val" and row["label"] == "drum":
            row["label"] = "dog"
    made_lake = paired.make_lake(tmp_path, rows)
    with pytest.raises(ContractError, match="class 'drum' has no clip for a probe to learn from: --set rare=drop"):
        _train(made_lake, "one", task="probe", model="vectors")
    said = _probe(made_lake, "two", "rare=drop", model="vectors")
    assert (said["clips"], said["classes"]) == (16, 2)


def test_vectors_of_another_width_are_of_another_encoder(trained: tuple, tmp_path: Path) -> None:
    rows = paired.clips(120)
    arrays = {name: values[:, :7] for name, values in paired.vectors_of(rows).items()}
    path = planted.write_vectors(tmp_path / "other.parquet", rows, arrays)
    with pytest.raises(ContractError, match="learned from vectors of 12 and 10 numbers, and these have 7 and 7"):
        _train(trained, "bad", "of=one", f"vectors={path}", task="probe")


# -- the benchmark of a release ----------------------------------------------------------------------------------------
def test_a_benchmark_trains_pairs_on_four_sets_and_probes_what_stands_under(tmp_path: Path) -> None:
    from winnow.train import cells, plan

    lake, settings, vectors = paired.make_lake(tmp_path, paired.clips(90, dropped=2))
    given = {
        "models": ["both", "frozen", "vectors"],
        "seeds": 1,
        "settings": [f"vectors={vectors}", "epochs=3", "narrow=64"],
    }
    made = plan.make(lake, None, ["retrieve", "contrast", "probe"], **given)
    assert len(made["cells"]) == 16
    assert made["tasks"]["retrieve"]["candidates"] == {"release": 27, "random": 54, "rejected": 27, "top": 54}
    for cell in made["cells"]:
        assert cells.train(lake, settings, made["plan"], cell)["computed"]
        cells.evaluate(lake, settings, made["plan"], cell)
    found = plan.read(lake, made["plan"])["cells"]
    assert found["probe/frozen/top/0"]["under"]["run"] == found["contrast/frozen/top/0"]["run"], "trained once"
    card = runs.Run(lake, "probe", found["probe/frozen/top/0"]["run"]).card()
    assert card["config"]["of"] == found["contrast/frozen/top/0"]["run"]
    assert card["counts"]["examples"]["train"] == 18
    steps = {runs.Run(lake, "retrieve", c["run"]).card()["steps"] for c in found.values() if c["task"] == "retrieve"}
    assert steps == {3}
    said = {(r["task"], r["model"], r["set"]): r for r in cells.collect(lake, made["plan"])["results"]}
    assert said["retrieve", "both", "release"]["metric"] == "R@5 of 18"
    assert said["retrieve", "both", "release"]["ceiling"] == 1.0
    assert said["probe", "vectors", "release"]["metric"] == "top-1"
    assert not any(cells.train(lake, settings, made["plan"], cell)["computed"] for cell in made["cells"])


# -- decoded clips -----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def decoded(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    """Twelve clips, each of a grey and a pitch: six to learn from, three in val, three in test."""
    lake, rows = Lake(tmp_path_factory.mktemp("decoded") / "lake"), paired.clips(12)
    for k, row in enumerate(rows):
        row |= {"split": "train" if k < 6 else "val" if k < 9 else "test", "label": planted.CATEGORIES[k % 2]}
    files = {row["sample_id"]: paired.media(k) for k, row in enumerate(rows)}
    paired.shards(lake, rows, files)
    return lake, Settings(lake=lake.root, device="cpu"), ""


TINY = ("batch=3", "epochs=2", "recall=1,2")


def test_towers_learn_from_shards_and_go_on_after_a_stop(decoded: tuple, tmp_path: Path) -> None:
    from winnow.train import fit

    _train(decoded, "one", *TINY, model="tiny")
    _train(decoded, "kept", *TINY, f"cache={tmp_path}", model="tiny")
    assert _files(decoded, "kept") == _files(decoded, "one"), "a cache changes nothing"
    assert list(tmp_path.iterdir())
    real = fit._Loop._step

    def dying(self, batch):
        if batch.step == 2:
            raise KeyboardInterrupt
        return real(self, batch)

    fit._Loop._step = dying
    try:
        with pytest.raises(KeyboardInterrupt):
            _train(decoded, "stopped", *TINY, "checkpoint_every=1", model="tiny")
    finally:
        fit._Loop._step = real
    _train(decoded, "stopped", *TINY, "checkpoint_every=1", model="tiny")
    assert _files(decoded, "stopped") == _files(decoded, "one")
    _train(decoded, "dealt", *TINY, "labels=shuffled", model="tiny")
    assert _files(decoded, "dealt") != _files(decoded, "one")
    said = _try(decoded, "one")
    assert said["gallery"] == 3


def test_a_probe_of_towers_sums_over_windows_and_cuts(decoded: tuple) -> None:
    _train(decoded, "under", *TINY, model="tiny")
    _train(decoded, "probe", "of=under", "epochs=2", task="probe", model="tiny")
    said = _try(decoded, "probe", "probe")
    assert said["views"] == 30
    table = pq.read_table(runs.Run(decoded[0], "probe", "probe").home / "predictions-test.parquet")
    assert np.sum(table["scores"].to_pylist(), 1) == pytest.approx([30.0] * 3, abs=1e-3)


def test_a_clip_that_cannot_be_decoded_stops_a_trial_and_is_left_out_of_a_batch(tmp_path: Path) -> None:
    from winnow.train.clips import Clips
    from winnow.train.shards import ClipFiles, Window

    lake, rows = Lake(tmp_path / "lake"), paired.clips(3)
    files = {row["sample_id"]: paired.media(k) for k, row in enumerate(rows)}
    files[rows[1]["sample_id"]] = b"no clip" * 99
    paired.shards(lake, rows, files)
    clips = Clips(ClipFiles.of_release(lake, ids=sorted(files)), Window(2.0, 4.0, 72, 72, 16_000, crop=True))
    with pytest.raises(ContractError, match=rf"clip {rows[1]['sample_id']} cannot be decoded"):
        clips.take(np.arange(3))
    assert clips.take(np.array([0, 2]))["pictures"].shape == (2, 8, 72, 72, 3)
    made_lake = lake, Settings(lake=lake.root, device="cpu"), ""
    listed = Path(lake.full(f"releases/{planted.RELEASE}/ops/fct_clip_files.parquet"))
    pq.write_table(pa.table({"sample_id": ["x"], "tar": ["clip/0.tar"]}), listed)
    with pytest.raises(ContractError, match="3 of 3 clips have no file"):
        _train(made_lake, "one", *TINY, model="tiny")
