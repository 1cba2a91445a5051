"""Bad input: one line with file, id and reason, and no run that is half there."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from tests.unit.train import planted
from tests.unit.train.test_runs import _train
from winnow.core import own_fault
from winnow.core.errors import ConfigError, ContractError, TransientError
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.train import runs, sets


def _nothing(lake: Lake) -> None:
    """No run is there."""
    assert runs.listed(lake) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r[3].update(labels=[1] * 9), r"avel_samples.*labels of clip 0{19}3 \(bell\) has 9 seconds"),
        (lambda r: r[9].update(category="gong"), r"category 'gong' of clip 0{19}9 has no training clip"),
        (lambda r: r.append({**r[0], "category": "dog", "split": "test"}), r"clip 0{20} stands in train and in test"),
        (lambda r: r[9].update(video_id="video-0"), r"video video-0 stands in train and in val .*allow_leaks"),
        (lambda r: r[9].update(group_id="group-0"), r"group group-0 stands in train and in val .*allow_leaks"),
        (lambda r: r[2].update(labels=[0] * 10), r"clip 0{19}2 \(drum\) has no second with an event"),
        (lambda r: r[2].update(split="dev"), r"clip 0{19}2 is in split 'dev'"),
        (lambda r: [row.update(split=None) for row in r], "no sample of family avel .*import-labels"),
    ],
)
def test_what_is_wrong_with_labels_is_named(tmp_path: Path, change, said: str) -> None:
    rows = planted.samples()
    change(rows)
    folder = planted.release(Lake(tmp_path), rows)
    with pytest.raises(ContractError, match=said):
        sets.read(folder, "avel")


def test_a_leak_may_be_trained_on_by_name(tmp_path: Path) -> None:
    rows = planted.samples()
    rows[9]["video_id"] = "video-0"
    assert len(sets.read(planted.release(Lake(tmp_path), rows), "avel", leaks=True)) == 30


def test_parsing_wants_what_is_heard_and_what_is_seen(tmp_path: Path) -> None:
    rows = planted.samples(family="llp")
    for row in rows:
        if row["split"] == "train":
            row["audible"] = row["visible"] = None
    folder = planted.release(Lake(tmp_path / "a"), rows)
    assert len(sets.read(folder, "parse")) == 30, "training clips need their labels alone"
    rows[9]["audible"] = None
    with pytest.raises(ContractError, match=r"audible of clip 0{19}9 \(bell\) is not known, and it is in val"):
        sets.read(planted.release(Lake(tmp_path / "b"), rows), "parse")
    with pytest.raises(ContractError, match="no sample of family llp"):
        sets.read(planted.release(Lake(tmp_path / "c"), planted.samples()), "parse")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r, a, m: a["visual"].__setitem__((7, 3, 1, 2), np.nan), r"visual of clip 0{19}7 .*not finite"),
        (lambda r, a, m: m.update(layout="channels_first"), "layout 'channels_first'"),
        (lambda r, a, m: a.pop("audio"), "has no column audio"),
        (lambda r, a, m: m.update(shape='{"audio": [10, 7], "visual": [10, 4, 12]}'), r"audio of clip 0{20} has 80 "),
        (lambda r, a, m: a.update(audio=a["audio"][:, :9]), r"audio of clip 0{20} is \(9, 8\).*10 seconds"),
        (lambda r, a, m: r.__setitem__(5, r[4]), r"clip 0{19}4 stands in it twice"),
        (lambda r, a, m: [r.pop(), *(a.update({k: v[:-1]}) for k, v in list(a.items()))], None),
    ],
)
def test_what_is_wrong_with_vectors_is_named_and_nothing_is_trained(tmp_path: Path, change, said: str | None) -> None:
    rows, more = planted.samples(), {}
    lake, settings, _ = planted.make_lake(tmp_path, rows)
    arrays, listed = planted.vectors_of(rows), list(rows)
    change(listed, arrays, more)
    path = planted.write_vectors(tmp_path / "broken.parquet", listed, arrays, **more)
    if said is None:  # the last clip, of the test split, is missing: training never asks for it
        assert _train((lake, settings, str(path)))["computed"]
        return
    with pytest.raises(ContractError, match=said):
        _train((lake, settings, str(path)))
    _nothing(lake)
    assert list(Path(lake.full("vectors")).glob(".*")) == []


def test_a_loss_that_is_not_a_number_stops_the_run_and_keeps_the_state_before(tmp_path: Path) -> None:
    made_lake = planted.make_lake(tmp_path)
    with pytest.raises(ContractError, match=r"the loss is nan at step \d+ \(epoch \d\) on clips 0{18}..,"):
        _train(made_lake, learning_rate=1e30, clip_norm=None, epochs=9)
    run = runs.Run(made_lake[0], "avel", "one")
    assert (run.work / runs.STATE).is_file()
    _nothing(made_lake[0])


def test_a_full_disk_is_no_half_run_and_the_same_command_goes_on(tmp_path: Path, monkeypatch) -> None:
    from winnow.train import record

    made_lake = planted.make_lake(tmp_path)

    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(record, "write", full)
        with pytest.raises(OSError, match="No space left") as caught:
            _train(made_lake)
    assert isinstance(own_fault.of(caught.value), TransientError)
    _nothing(made_lake[0])
    assert _train(made_lake)["computed"]


def test_a_batch_that_no_device_holds_says_which_one_fitted(tmp_path: Path, monkeypatch) -> None:
    import torch

    from winnow.train import fit

    real = fit._Loop._forward

    def small(self, inputs):
        if len(inputs["audio"]) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, inputs)

    monkeypatch.setattr(fit._Loop, "_forward", small)
    made_lake = planted.make_lake(tmp_path)
    with pytest.raises(ConfigError, match="no room for batches of 7; 3 fitted: --set batch=3"):
        _train(made_lake)
    _nothing(made_lake[0])


def test_tensorboard_that_is_not_installed_is_said_before_anything_is_trained(tmp_path: Path, monkeypatch) -> None:
    from winnow.train import record

    monkeypatch.setattr(record, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'winnow\[tensorboard\]'"):
        _train((Lake(tmp_path), Settings(lake=str(tmp_path)), "none"), tensorboard=True)


def test_a_gpu_that_is_asked_for_and_absent_is_an_error(tmp_path: Path) -> None:
    lake, settings, vectors = planted.make_lake(tmp_path)
    with pytest.raises(ConfigError, match="WINNOW_DEVICE=cuda:7"):
        _train((lake, settings.model_copy(update={"device": "cuda:7"}), vectors))
    _nothing(lake)


def test_a_batch_of_one_keeps_its_axis_and_a_term_without_negatives_is_counted(tmp_path: Path) -> None:
    made_lake = planted.make_lake(tmp_path)
    assert _train(made_lake, batch=1, max_steps=4)["steps"] == 4
    card = runs.Run(made_lake[0], "avel", "one").card()
    assert card["skipped"] == {"videos": 4}
    progress = pq.read_table(runs.Run(made_lake[0], "avel", "one").home / "progress.parquet")
    assert progress["loss_category"].null_count == 0


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    made_lake = planted.make_lake(tmp_path_factory.mktemp("bad"))
    _train(made_lake, epochs=1)
    _train(made_lake, "dmrn", model="dmrn", epochs=1)
    _train(made_lake, "other", seed=1, epochs=1)
    return made_lake


def test_a_checkpoint_of_another_model_class_list_or_release_is_refused(trained: tuple, tmp_path: Path) -> None:
    from winnow.train.evaluate import evaluate

    lake, settings, _ = trained
    copied = Lake(tmp_path / "lake")
    shutil.copytree(lake.root, copied.root)
    run = runs.Run(copied, "avel", "one")
    card = run.card()
    rows = [{**row, "category": row["category"] + "!"} for row in planted.samples()]
    planted.release(copied, rows, "ba9876543210")
    with pytest.raises(ContractError, match="run one knows 3 classes of release 0123456789ab"):
        evaluate(copied, settings, "avel", "one", release="ba9876543210")
    for name in ("dmrn", "other"):  # of another network; of the same one, with other numbers
        other = runs.Run(copied, "avel", name)
        strange = other.home / "checkpoints" / other.card()["checkpoint"]
        shutil.copy(strange, run.home / "checkpoints" / strange.name)
        (run.home / runs.CARD).write_text(json.dumps({**card, "checkpoint": strange.name}))
        with pytest.raises(ContractError, match=f"{strange.name} is of another model"):
            evaluate(copied, settings, "avel", "one")
    (run.home / "checkpoints" / strange.name).write_bytes(b"changed")
    with pytest.raises(ContractError, match="is not the checkpoint of run one"):
        evaluate(copied, settings, "avel", "one")
    shutil.rmtree(Path(copied.full(f"releases/{planted.RELEASE}")))
    with pytest.raises(ConfigError, match=planted.RELEASE):
        evaluate(copied, settings, "avel", "one")
    assert run.looks() == [], "nothing was looked at"
    with pytest.raises(ConfigError, match="task avel has no run 'two'; there are: dmrn, one, other"):
        evaluate(copied, settings, "avel", "two")


def test_a_state_of_another_run_is_not_gone_on_from(tmp_path: Path) -> None:
    made_lake = planted.make_lake(tmp_path)
    with pytest.raises(ContractError, match="the loss is nan"):
        _train(made_lake, learning_rate=1e30, clip_norm=None, epochs=9)
    with pytest.raises(ContractError, match="is of a run with other options, data or code"):
        _train(made_lake)


def test_two_processes_do_not_train_one_run(tmp_path: Path) -> None:
    made_lake = planted.make_lake(tmp_path)
    with runs.Run(made_lake[0], "avel", "one").working(), pytest.raises(ConfigError, match="by another process"):
        _train(made_lake)


def test_the_commands_train_try_list_and_compare(trained: tuple, monkeypatch) -> None:
    from winnow.cli.main import cli

    lake, _, vectors = trained
    monkeypatch.setenv("WINNOW_LAKE", lake.root)
    monkeypatch.setenv("WINNOW_DEVICE", "cpu")

    def ask(*words: str) -> dict:
        found = CliRunner().invoke(cli, list(words), catch_exceptions=False)
        return json.loads(found.stdout.splitlines()[-1])

    small = [f"--set={name}" for name in ("narrow=16", "epochs=1", "batch=9", f"vectors={vectors}")]
    said = ask("train", "avel", "--config", "demo", *small, "--model", "psp", "--run", "told", "--release", "0123")
    assert (said["run"], said["model"], said["computed"]) == ("told", "psp", True)
    assert ask("evaluate", "avel", "--run", "told")["look"] == 1
    assert {row["run"] for row in ask("runs", "list", "--task", "avel")["runs"]} >= {"told", "one", "dmrn"}
    table = CliRunner().invoke(cli, ["runs", "list"], catch_exceptions=False).stderr.splitlines()
    assert table[0].split()[:5] == ["task", "run", "model", "supervision", "metric"]
    assert len(table) == 5
    assert len(ask("runs", "show", "avel", "--run", "told")["test_looks"]) == 1
    assert ask("runs", "compare", "avel", "--runs", "one,told", "--split", "val")["runs"][0]["run"] == "one"
