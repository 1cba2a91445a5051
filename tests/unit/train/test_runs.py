"""Runs: trained, kept whole, gone on from after a kill, tried, compared; and what they learn."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.unit.train import planted
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake
from winnow.train import runs
from winnow.train.config import TrainConfig, load

SMALL = {"narrow": 16, "batch": 7, "epochs": 3, "most_missing": 0.0, "checkpoint_every": 2, "lr_epochs": ()}


def _config(vectors: str, **more: object) -> TrainConfig:
    return TrainConfig(**{"model": "cpsp", "vectors": vectors, **SMALL, **more})


def _train(made_lake: tuple, run: str = "one", task: str = "avel", **more: object) -> dict:
    from winnow.train.fit import train

    lake, settings, vectors = made_lake
    note = more.pop("note", lambda text: None)
    return train(lake, settings, task, _config(vectors, **more), run=run, note=note)


def _files(lake: Lake, run: str, task: str = "avel") -> dict[str, bytes]:
    """What training wrote of a run's numbers: all but what clocks say, the card that names it, and what an evaluation
    of the same run adds, whichever test came first."""
    home = Path(lake.full(f"runs/{task}/{run}"))
    files = {path.relative_to(home).as_posix(): path for path in sorted(home.rglob("*")) if path.is_file()}
    return {
        name: path.read_bytes()
        for name, path in files.items()
        if path.name not in ("run.json", "pace.parquet") and "test" not in name
    }


@pytest.fixture(scope="module")
def made_lake(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    return planted.make_lake(tmp_path_factory.mktemp("train"))


@pytest.fixture(scope="module")
def trained(made_lake: tuple) -> tuple:
    """A house with a run `one`, made once."""
    _train(made_lake)
    return made_lake


def test_a_run_is_whole_and_says_what_it_was_made_from(trained: tuple) -> None:
    lake, _, _ = trained
    run = runs.Run(lake, "avel", "one")
    card, files = run.card(), _files(lake, "one")
    assert set(files) == {
        "metrics-val.json",
        "predictions-val.parquet",
        "values-val.parquet",
        "progress.parquet",
        "validation.parquet",
        f"checkpoints/{card['checkpoint']}",
    }
    assert not run.work.exists()
    assert card["release"] == planted.RELEASE
    assert card["counts"] == {"examples": {"train": 18, "val": 6}, "left_out": {}}
    assert card["categories"] == list(planted.CATEGORIES)
    assert {"code", "torch", "release", "examples", "vectors"} <= set(card["of"])
    progress = pq.read_table(run.home / "progress.parquet").to_pydict()
    assert progress["step"] == list(range(9))
    assert progress["clips"] == [7, 7, 4] * 3, "nothing is dropped"
    assert {"loss_events", "loss_category", "loss_pairs", "loss_segments", "loss_videos"} <= set(progress)
    predictions = pq.read_table(run.home / "predictions-val.parquet").to_pylist()
    assert len(predictions) == 60
    assert {row["split"] for row in predictions} == {"val"}
    assert predictions[0]["segment"] == 0
    assert len(predictions[0]["scores"]) == 4


def test_the_same_run_again_trains_nothing_and_another_one_of_its_name_is_refused(trained: tuple) -> None:
    before = _files(trained[0], "one")
    assert _train(trained)["computed"] is False
    assert _files(trained[0], "one") == before
    with pytest.raises(ConfigError, match="with other seed 0, now 1"):
        _train(trained, seed=1)


def test_two_runs_of_one_seed_are_equal_to_the_byte_and_of_another_are_not(trained: tuple) -> None:
    _train(trained, "again")
    _train(trained, "other", seed=1)
    first = _files(trained[0], "one")
    assert _files(trained[0], "again") == first
    assert _files(trained[0], "other") != first


@pytest.mark.fault("kill -9", "train, at any step", "the run goes on and ends with the bytes of an undisturbed one")
def test_killed_at_any_of_ten_steps_a_run_ends_with_the_same_bytes(tmp_path: Path) -> None:
    """kill -9, in a process of its own, at steps that are and that are not checkpoints; once in the middle of a
    write."""
    made_lake = planted.make_lake(tmp_path)
    more = {"batch": 4, "epochs": 2, "checkpoint_every": 3}
    _train(made_lake, "whole", **more)
    for step in range(10):
        name = f"killed-{step}"
        if (pid := os.fork()) == 0:
            _die_at(made_lake, name, step, more)
        assert os.WIFSIGNALED(os.waitpid(pid, 0)[1])
        assert not runs.Run(made_lake[0], "avel", name).done
        with pytest.raises(ConfigError, match="begun and not finished"):
            runs.Run(made_lake[0], "avel", name).card()
        assert _train(made_lake, name, **more)["computed"]
        assert _files(made_lake[0], name) == _files(made_lake[0], "whole"), step


def _die_at(made_lake: tuple, name: str, step: int, more: dict) -> None:
    """Ends this process as `kill -9` does, before a step's numbers are counted; the seventh while a state is
    written."""
    from winnow.train import fit, record

    real_step, real_write = fit._Loop._step, record.write

    def dying_step(self, batch):
        if batch.step == step and step != 6:
            os.kill(os.getpid(), signal.SIGKILL)
        return real_step(self, batch)

    def dying_write(path, data):
        if step == 6 and path.name == runs.STATE:
            path.with_name(f".{path.name}.new").write_bytes(data[: len(data) // 2])
            if (path.parent / runs.STATE).exists():
                os.kill(os.getpid(), signal.SIGKILL)
        real_write(path, data)

    fit._Loop._step, record.write = dying_step, dying_write
    try:
        _train(made_lake, name, **more)
    finally:
        os._exit(0)


def test_every_look_at_test_is_kept_and_a_second_one_is_said(trained: tuple) -> None:
    from winnow.train.evaluate import evaluate

    lake, settings, _ = trained
    first = evaluate(lake, settings, "avel", "one")
    home = runs.Run(lake, "avel", "one").home
    bytes_ = (home / "predictions-test.parquet").read_bytes()
    second = evaluate(lake, settings, "avel", "one")
    assert (first["look"], second["look"]) == (1, 2)
    assert "warning" not in first
    assert "look 2 at test" in second["warning"]
    assert (home / "predictions-test.parquet").read_bytes() == bytes_
    assert runs.summary(lake, runs.Run(lake, "avel", "one").card())["test_looks"] == 2
    on_val = evaluate(lake, settings, "avel", "one", "val")
    assert "look" not in on_val
    assert on_val["value"] == runs.Run(lake, "avel", "one").metrics("val")["value"], "the checkpoint is what was chosen"


def test_the_figures_are_those_of_winnow_metrics(trained: tuple, tmp_path: Path) -> None:
    import json

    from click.testing import CliRunner

    from winnow.cli.metrics import metrics

    run = runs.Run(trained[0], "avel", "one")
    table = pq.read_table(run.home / "predictions-val.parquet")
    for column in ("predicted", "truth"):
        names = [*planted.CATEGORIES, "background"]
        indices = np.array([names.index(v) for v in table[column].to_pylist()]).reshape(-1, 10)
        np.save(tmp_path / f"{column}.npy", indices)
    files = [f"--predicted={tmp_path / 'predicted.npy'}", f"--truth={tmp_path / 'truth.npy'}", "--background=3"]
    said = json.loads(CliRunner().invoke(metrics, ["ave", *files], catch_exceptions=False).output)
    kept = run.metrics("val")
    assert {k: kept[k] for k in ("accuracy", "event_f1", "samples")} == {
        k: said[k] for k in ("accuracy", "event_f1", "samples")
    }


def test_training_never_reads_the_test_split(trained: tuple) -> None:
    """Labels of test clips that no task could read change nothing."""
    lake, settings, vectors = trained
    rows = planted.samples()
    for row in rows:
        if row["split"] == "test":
            row["labels"] = [0] * 3
    other = Lake(Path(lake.root).parent / "other")
    planted.release(other, rows)
    _train((other, settings, vectors))
    assert _files(other, "one") == _files(lake, "one")


@pytest.mark.parametrize("supervision", ["full", "weak"])
def test_a_model_beats_its_chance_line_and_shuffled_labels_do_not(made_lake: tuple, supervision: str) -> None:
    """Segment accuracy over the share of background, whoever says when there is no event."""
    epochs = 20 if supervision == "full" else 40
    more = {"epochs": epochs, "learning_rate": 3e-3, "clip_norm": 1.0, "supervision": supervision, "evaluate_every": 5}
    found = {}
    for labels in ("true", "shuffled"):
        _train(made_lake, f"{labels}-{supervision}", labels=labels, select="last", **more)
        found[labels] = runs.Run(made_lake[0], "avel", f"{labels}-{supervision}").metrics("val")
    assert found["true"]["value"] >= found["true"]["chance"] + 0.1, found
    assert found["shuffled"]["value"] <= found["shuffled"]["chance"] + 0.1


MODELS = ["psp", "cpsp", "sspsp", "avatt", "dmrn", "avsdn", "cmran"]


@pytest.mark.parametrize("supervision", ["full", "weak"])
@pytest.mark.parametrize("model", MODELS)
def test_eight_clips_are_learnt_by_heart(model: str, supervision: str) -> None:
    """Fully supervised every second, weakly the clip's category."""
    import torch

    from winnow.train.sizes import Sizes
    from winnow.train.tasks import avel

    rows = planted.samples(8)
    arrays = {name: torch.from_numpy(values) for name, values in planted.vectors_of(rows).items()}
    category = torch.tensor([planted.CATEGORIES.index(row["category"]) for row in rows])
    given = {"category": category, "events": torch.tensor([row["labels"] for row in rows]).float()}
    config = TrainConfig(model=model, supervision=supervision)
    torch.manual_seed(0)
    net = avel.build(config, Sizes(planted.AUDIO, planted.VISUAL, planted.POSITIONS, 10, 3, narrow=8))
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    for step in range(300):
        net.train()
        found = avel.terms(config, net(**arrays), given)
        loss = sum(weight * value for weight, value in found.values() if value is not None)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        if step % 10 == 9 and _learnt(net, arrays, given, supervision):
            return
    pytest.fail("not learnt in 300 steps")


def _learnt(net, arrays: dict, given: dict, supervision: str) -> bool:
    import torch

    from winnow.train.tasks import avel

    net.eval()
    with torch.inference_mode():
        found = avel.answers(net(**arrays))
    category = given["category"].numpy()
    if supervision == "weak":
        return bool((found["scores"][..., :3].max(1).argmax(-1) == category).all())
    truth = np.where(given["events"].numpy() > 0, category[:, None], 3)
    return float((found["predicted"] == truth).mean()) > 0.97


@pytest.mark.parametrize("model", ["han", "cpsp"])
def test_video_parsing_learns_from_clip_labels(tmp_path: Path, model: str) -> None:
    """Eight videos by heart: Type@AV above 0.95 of the training labels spread over all seconds; and a whole run, whose
    metric names its gate."""
    import torch

    from winnow.metrics import avvp
    from winnow.train.sizes import Sizes
    from winnow.train.tasks import parse

    rows = planted.samples(30, "llp")
    arrays = {name: torch.from_numpy(values[:8]) for name, values in planted.vectors_of(rows).items()}
    labels = torch.nn.functional.one_hot(torch.arange(8) % 3, 3).float()
    config = TrainConfig(model=model)
    torch.manual_seed(0)
    net = parse.build(config, Sizes(planted.AUDIO, planted.VISUAL, planted.POSITIONS, 10, 3, narrow=16))
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    spread, reached = np.repeat(labels.numpy()[:, None] > 0, 10, 1), 0.0
    for step in range(300):
        net.train()
        found = parse.terms(config, net(**arrays), {"labels": labels})
        optimiser.zero_grad()
        sum(weight * value for weight, value in found.values() if value is not None).backward()
        optimiser.step()
        if step % 20 == 19 and reached <= 95:
            net.eval()
            with torch.inference_mode():
                said = parse.answers(net(**arrays))
            masks = [avvp.masks(said["segments"][:, :, k], said["clip"]) for k in (0, 1)]
            reached = avvp.score(*masks, spread, spread)["segment"]["type_av"]
        if reached > 95:
            break
    assert reached > 95
    made_lake = planted.make_lake(tmp_path, rows)
    answer = _train(made_lake, task="parse", model=model, epochs=2)
    assert answer["metric"] == f"segment type_av, gate {'video' if model == 'han' else 'modality'}"


def test_runs_are_listed_and_compared_only_on_the_same_examples(trained: tuple) -> None:
    lake = trained[0]
    _train(trained, "dmrn", model="dmrn")
    assert {"one", "dmrn"} <= {card["run"] for card in runs.listed(lake, "avel")}
    found = runs.compare(lake, "avel", ["one", "dmrn"], "val")
    assert [row["run"] for row in found["runs"]] == ["one", "dmrn"]
    assert found["runs"][0]["over_first"] == 0
    _train(trained, "half", half=True)
    with pytest.raises(ContractError, match="do not compare"):
        runs.compare(lake, "avel", ["one", "half"], "val")
    with pytest.raises(ConfigError, match="winnow evaluate avel --run dmrn --split test"):
        runs.compare(lake, "avel", ["dmrn", "one"], "test")


def test_presets_are_read_and_what_they_do_not_know_is_an_error(tmp_path: Path) -> None:
    assert load("avel", "paper").batch == 64
    assert load("avel", "paper", model="psp").lr_factor == 0.8
    assert load("avel", "paper", model="cmran", supervision="weak").clip_norm == 0.5
    assert load("avel", "paper", ["batch=8"]).batch == 8
    assert load("parse", "paper").learning_rate == pytest.approx(3e-4)
    assert load("parse", "paper", model="cpsp").select == "last"
    assert load("avel", "demo").narrow == 4
    (tmp_path / "mine.yaml").write_text("batch: 5\nbatsh: 6\n")
    with pytest.raises(ConfigError, match="'batsh' is no option"):
        load("avel", str(tmp_path / "mine.yaml"))
    (tmp_path / "mine.yaml").write_text("avel.cps: {batch: 5}\n")
    with pytest.raises(ConfigError, match=r"'avel\.cps' is no section"):
        load("avel", str(tmp_path / "mine.yaml"))
    for bad, said in (("batch=many", "batch"), ("batch", "key=value"), ("learning_rate=-1", "learning_rate")):
        with pytest.raises(ConfigError, match=said):
            load("avel", None, [bad])
    with pytest.raises(ConfigError, match="no preset; presets are demo, paper"):
        load("avel", "papre")
    with pytest.raises(ConfigError, match=r"spsa_axis is of avel\.cpsp"):
        load("avel", None, [], ["spsa_axis"], "psp")
    with pytest.raises(ConfigError, match="no model 'pspc'"):
        load("avel", None, [], [], "pspc")
