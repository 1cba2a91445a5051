"""Task retrieve: the loss's hand values, heads, runs through the commands' functions, control, baselines, bad input."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.unit.train import paired, planted
from winnow.core.errors import ConfigError, ContractError
from winnow.metrics import retrieval
from winnow.train import pairs, runs
from winnow.train.config import TrainConfig, load

SMALL = ("narrow=32", "batch=12", "epochs=20", "weight_decay=0.01", "recall=1,5")


def _config(vectors: str, *more: str, model: str = "both", faithful: tuple[str, ...] = ()) -> TrainConfig:
    return load("retrieve", None, [f"vectors={vectors}", *SMALL, *more], faithful, model)


def _train(made_lake: tuple, run: str, *more: str, **what: object) -> dict:
    from winnow.train.fit import train

    lake, settings, vectors = made_lake
    return train(lake, settings, "retrieve", _config(vectors, *more, **what), run=run)


def _try(made_lake: tuple, run: str, split: str = "test") -> dict:
    from winnow.train.evaluate import evaluate

    return evaluate(made_lake[0], made_lake[1], "retrieve", run, split)


@pytest.fixture(scope="module")
def made_lake(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    return paired.make_lake(tmp_path_factory.mktemp("retrieve"), paired.clips(120))


@pytest.fixture(scope="module")
def trained(made_lake: tuple) -> tuple:
    _train(made_lake, "both")
    return made_lake


# -- loss and head -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("batch", "temperature"), [(8, 0.05), (64, 0.1)])
def test_the_loss_of_orthonormal_and_of_constant_vectors(batch: int, temperature: float) -> None:
    import torch

    from winnow.train.pair_losses import info_nce

    eye, same = torch.eye(batch, dtype=torch.float64), torch.ones(batch, 3, dtype=torch.float64)
    least = math.log(1 + (batch - 1) * math.exp(-1 / temperature))
    assert float(info_nce(eye, eye, temperature)) == pytest.approx(least, rel=1e-9)
    assert float(info_nce(same, same, temperature)) == pytest.approx(math.log(batch))
    first, second = torch.randn(2, batch, 5, dtype=torch.float64)
    assert float(info_nce(first, second, temperature)) == pytest.approx(float(info_nce(second, first, temperature)))


def test_clips_of_one_video_are_no_negatives_and_give_no_gradient() -> None:
    import torch

    from winnow.train.pair_losses import contrast, info_nce

    logits = torch.randn(4, 4, dtype=torch.float64, requires_grad=True)
    contrast(logits, torch.tensor([7, 7, 8, 9])).backward()
    assert logits.grad[0, 1] == logits.grad[1, 0] == 0
    assert (logits.grad[0, 2:] != 0).all()
    assert info_nce(torch.randn(3, 2), torch.randn(3, 2), 0.1, torch.tensor([5, 5, 5])) is None, "nothing to compare"
    assert info_nce(torch.randn(1, 2), torch.randn(1, 2), 0.1) is None


def test_the_loss_over_two_processes_is_that_of_one_with_its_gradient(tmp_path: Path) -> None:
    import torch
    from torch import multiprocessing

    from winnow.train.pair_losses import info_nce

    torch.manual_seed(0)
    layer, rows = torch.nn.Linear(4, 3), torch.randn(2, 6, 4)
    loss = info_nce(layer(rows[0]), rows[1, :, :3], 0.1)
    loss.backward()
    torch.save({"layer": layer.state_dict(), "rows": rows}, tmp_path / "given.pt")
    multiprocessing.start_processes(_rank, (str(tmp_path),), nprocs=2, start_method="fork")
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    assert [float(one["loss"]) for one in found] == [pytest.approx(float(loss.detach()), abs=1e-6)] * 2
    mean = (found[0]["gradient"] + found[1]["gradient"]) / 2
    assert torch.allclose(mean, layer.weight.grad, atol=1e-6)


def _rank(rank: int, folder: str) -> None:
    import torch
    from torch import distributed

    from winnow.train.pair_losses import gathered, info_nce

    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    given = torch.load(f"{folder}/given.pt")
    layer = torch.nn.Linear(4, 3)
    layer.load_state_dict(given["layer"])
    rows = given["rows"][:, rank * 3 : rank * 3 + 3]
    loss = info_nce(gathered(layer(rows[0])), gathered(rows[1, :, :3].contiguous()), 0.1)
    loss.backward()
    torch.save({"loss": loss.detach(), "gradient": layer.weight.grad}, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_the_published_head_has_its_numbers_and_all_of_them_learn() -> None:
    import torch

    from winnow.train.sizes import Sizes
    from winnow.train.tasks import retrieve

    for visual, count in ((768, 3_678_464), (1024, 4_203_520)):
        net = retrieve.build(TrainConfig(model="audio"), Sizes(1024, visual, 1, 1, 0))
        assert sum(p.numel() for p in net.parameters()) == count
    for model in ("audio", "both"):
        config = TrainConfig(model=model)
        net = retrieve.build(config, Sizes(6, 5, 1, 1, 0, narrow=64))
        out = net(torch.randn(9, 6), torch.randn(9, 5))
        given = {"video": torch.arange(9)}
        weight, loss = retrieve.terms(config, out, given)["pairs"]
        (weight * loss).backward()
        # A shift before batch normalisation is taken out again by it.
        dead = {f"{side}.{k}.bias" for side in ("audio", "visual") for k in (0, 3)}
        assert all(p.grad.abs().sum() > 1e-7 for name, p in net.named_parameters() if name not in dead)
        assert set(retrieve.terms(config, net(torch.randn(1, 6), torch.randn(1, 5)), {"video": torch.arange(1)})) == {
            "pairs"
        }, "a batch of one keeps its axis"


@pytest.mark.parametrize("model", ["audio", "both"])
def test_eight_pairs_are_learnt_by_heart(model: str) -> None:
    import torch

    from winnow.train.sizes import Sizes
    from winnow.train.tasks import retrieve

    torch.manual_seed(0)
    heard, seen, config = torch.randn(8, 7), torch.randn(8, 6), TrainConfig(model=model, temperature=0.05)
    net = retrieve.build(config, Sizes(7, 6, 1, 1, 0, narrow=16))
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3)
    for _ in range(150):
        out = net(heard, seen)
        loss = retrieve.terms(config, out, {"video": torch.arange(8)})["pairs"][1]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        found = retrieve.answers(net.eval()(heard, seen))
    assert retrieval.ranks(found["audio"], found["visual"]).tolist() == [1.0] * 8


# -- runs --------------------------------------------------------------------------------------------------------------
def test_a_run_finds_partners_and_the_shuffled_one_is_chance(trained: tuple) -> None:
    said = _try(trained, "both")
    assert said["metric"] == "R@5 of 24"
    assert said["value"] > 2 * said["chance"]
    assert said["class"]["R@1"] > said["class"]["chances"]["R@1"] + 0.2
    assert said["groups"] == 24
    _train(trained, "dealt", "labels=shuffled", "select=last")
    dealt = _try(trained, "dealt")
    assert dealt["value"] < dealt["chance"] + 0.2 < said["value"]


def test_figures_are_those_of_winnow_metrics_and_of_each_clip(trained: tuple) -> None:
    run = runs.Run(trained[0], "retrieve", "both")
    kept, table = run.metrics("val"), pq.read_table(run.home / "predictions-val.parquet").to_pydict()
    labels = np.unique(table["category"], return_inverse=True)[1]
    vectors = (np.array(table[side]) for side in ("audio", "visual"))
    again = retrieval.score(*vectors, labels=labels, groups=np.array(table["video_id"]), ks=(1, 5))
    assert json.loads(json.dumps(again)) == {name: kept[name] for name in again}
    each = pq.read_table(run.home / "values-val.parquet")
    assert np.mean(each["value"]) == pytest.approx(kept["value"], abs=1e-12)
    assert np.mean(each["chance"]) == pytest.approx(kept["chance"], abs=1e-12)


def test_two_runs_of_one_seed_are_equal_to_the_byte(trained: tuple) -> None:
    _train(trained, "again")
    first, second = (runs.Run(trained[0], "retrieve", name).home for name in ("both", "again"))
    names = ["metrics-val.json", "predictions-val.parquet", "progress.parquet", "validation.parquet"]
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)
    assert pq.read_table(first / "progress.parquet")["learning_rate"][-1].as_py() < 1e-5, "falls along a cosine"


@pytest.mark.parametrize("model", ["audio", "ridge", "untrained", "random"])
def test_models_beside_it_are_tried_the_same_way(trained: tuple, model: str) -> None:
    said = _train(trained, model, model=model)
    tried = _try(trained, model)
    if model in ("audio", "ridge"):
        assert tried["value"] > 2 * tried["chance"]
    else:
        assert tried["value"] < 2 * tried["chance"]
    assert (said["steps"] == 0) is (model != "audio")


@pytest.mark.parametrize("name", ["raw_visual", "own_negatives", "same_video"])
def test_deviations_still_run_and_change_what_is_learned(made_lake: tuple, name: str) -> None:
    _train(made_lake, f"plain-{name}", "max_steps=3", model="audio")
    _train(made_lake, name, "max_steps=3", model="audio", faithful=(name,))
    losses = [
        pq.read_table(runs.Run(made_lake[0], "retrieve", run).home / "progress.parquet")["loss"].to_pylist()
        for run in (f"plain-{name}", name)
    ]
    assert (losses[0] == losses[1]) is (name == "same_video"), "each clip here is of its own video"


@pytest.mark.parametrize("model", ["both", "audio"])
def test_heads_that_learn_nothing_good_stay_where_they_began_at_the_ridge(trained: tuple, model: str) -> None:
    """With a rate that ruins them the best of val is what stood before the first step: of two heads the ridge itself,
    to the figure; of one, a ridge from sound to picture."""
    _train(trained, f"ridge-{model}", model="ridge")
    said = _train(trained, f"ruined-{model}", "learning_rate=30", "epochs=3", model=model)
    assert said["steps"] > 0
    run = runs.Run(trained[0], "retrieve", f"ruined-{model}")
    tried = pq.read_table(run.home / "validation.parquet").to_pylist()
    assert (run.card()["checkpoint_step"], tried[0]["step"], tried[0]["epoch"]) == (0, 0, -1)
    assert tried[0]["value"] > max(row["value"] for row in tried[1:])
    ridge = runs.Run(trained[0], "retrieve", f"ridge-{model}").metrics("val")
    if model == "both":
        assert {k: ridge[k] for k in ("R@1", "R@5", "MRR")} == {k: run.metrics("val")[k] for k in ("R@1", "R@5", "MRR")}
    assert run.metrics("val")["value"] > 2 * ridge["chance"]
    assert load("retrieve", "paper", model=model).start == "random", "the published heads start from nothing"


# -- sets --------------------------------------------------------------------------------------------------------------
def test_what_the_release_does_not_keep_is_trained_on_by_a_list_alone(tmp_path: Path) -> None:
    rows = paired.clips(60, dropped=4)
    lake, _, _ = paired.make_lake(tmp_path, rows)
    folder = Path(lake.full(f"releases/{planted.RELEASE}"))
    kept, every = (pairs.read(folder, every=flag) for flag in (False, True))
    dropped = {row["sample_id"] for row in rows if row["status"] == "dropped"}
    assert dropped
    assert not dropped & set(kept.id.tolist())
    assert set(every.id.tolist()) - set(kept.id.tolist()) == dropped
    assert set(every.split[np.isin(every.id, sorted(dropped))]) == {"train"}
    assert not (pairs.read(folder, test=False).split == "test").any()


def test_the_control_gives_no_clip_its_own_sound(tmp_path: Path) -> None:
    import pyarrow as pa

    from winnow.train.loader import Vectors

    ids, arrays = pa.array([str(k) for k in range(6)]), {n: np.arange(6.0)[:, None] for n in ("audio", "visual")}
    dealt = pairs.Dealt.of(Vectors(ids, arrays, {}), np.array([1, 2, 4, 5]), 0).take(np.arange(6))
    assert dealt["visual"][:, 0].tolist() == list(range(6))
    assert dealt["audio"][[0, 3], 0].tolist() == [0, 3], "not of train"
    assert all(dealt["audio"][k, 0] != k for k in (1, 2, 4, 5))
    assert sorted(dealt["audio"][:, 0]) == list(range(6))


# -- bad input ---------------------------------------------------------------------------------------------------------
def _two_splits(rows: list[dict]) -> None:
    rows[9]["video_id"] = rows[0]["video_id"]


@pytest.mark.parametrize(
    ("change", "more", "said"),
    [
        (None, ("recall=1,25",), "split val has 24 clips with vectors, a gallery smaller than the k of R@25"),
        (None, ("audio=visual.motion", "vectors="), "'visual.motion' is an envelope over time"),
        (_two_splits, (), "video video-0 stands in train and in val"),
        (lambda rows: [row.update(status="dropped") for row in rows], (), "no clip that the release keeps in a split"),
    ],
)
def test_bad_input_is_one_line_and_no_run(tmp_path: Path, change, more: tuple, said: str) -> None:
    rows = paired.clips(120)
    if change:
        change(rows)
    made_lake = paired.make_lake(tmp_path, rows)
    with pytest.raises((ConfigError, ContractError), match=said):
        _train(made_lake, "one", *more)
    assert runs.listed(made_lake[0]) == []


def test_vectors_that_are_not_finite_or_of_no_common_space_are_named(tmp_path: Path) -> None:
    rows = paired.clips(60)
    arrays = paired.vectors_of(rows)
    with pytest.raises(ContractError, match="of one space, and sound has 12 numbers, pictures 10"):
        _train(paired.make_lake(tmp_path / "a", rows, **arrays), "one", model="zeroshot")
    arrays["audio"][5, 3] = np.nan
    with pytest.raises(ContractError, match=r"audio of clip 0{19}5 has values that are not finite"):
        _train(paired.make_lake(tmp_path / "b", rows, **arrays), "one")
    arrays = paired.vectors_of(rows)
    shared = {side: np.tile(arrays["audio"], 1) for side in ("audio", "visual")}
    made_lake = paired.make_lake(tmp_path / "c", rows, **shared)
    _train(made_lake, "one", model="zeroshot")
    assert _try(made_lake, "one")["R@1"] == 1.0


def test_a_checkpoint_of_another_encoder_is_refused(tmp_path: Path) -> None:
    rows = paired.clips(60)
    lake, _, vectors = made_lake = paired.make_lake(tmp_path, rows)
    arrays = paired.vectors_of(rows)
    planted.write_vectors(Path(vectors), rows, arrays, encoders=json.dumps({"audio": "yamnet w8a8"}))
    _train(made_lake, "one", "epochs=1")
    planted.write_vectors(Path(vectors), rows, arrays, encoders=json.dumps({"audio": "yamnet fp32"}))
    with pytest.raises(ContractError, match="vectors of audio yamnet w8a8, and these are of audio yamnet fp32"):
        _try(made_lake, "one")
    assert runs.Run(lake, "retrieve", "one").looks() == []


def test_a_gallery_that_is_too_small_is_no_look_at_test(tmp_path: Path) -> None:
    rows = paired.clips(120)
    tested = [row["sample_id"] for row in rows if row["split"] == "test"]
    rows = [row for row in rows if row["sample_id"] not in tested[3:]]
    made_lake = paired.make_lake(tmp_path, rows)
    _train(made_lake, "one", "epochs=1")
    with pytest.raises(ContractError, match=r"split test has 3 clips .*R@5"):
        _try(made_lake, "one")
    assert runs.Run(made_lake[0], "retrieve", "one").looks() == []
