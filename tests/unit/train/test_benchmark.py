"""The benchmark of a release: sets of one size that nothing ties to what is tried on, runs, their collected figures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from tests.unit.train import planted, sounding
from winnow.core import corpus_table
from winnow.core import settings as deployed
from winnow.core.errors import ConfigError, ContractError
from winnow.core.sample import sid
from winnow.train import drawing, plan, runs

WHAT = {"models": ["cpsp"], "seeds": 1, "preset": "demo"}
SMALL = ("narrow=16", "epochs=1", "batch=7")


def _clips(rows: list[dict]) -> list[dict]:
    """Every third clip of a category was dropped; the first ones score highest."""
    return [
        {
            "sample_id": row["sample_id"],
            "video_id": row["video_id"],
            "uploader": None,
            "status": "dropped" if k // 3 % 3 == 2 else "kept",
            "effective_z": float(len(rows) - k),
        }
        for k, row in enumerate(rows)
    ]


def _world(folder: Path, clips: list[dict] | None = None, pairs: tuple = (), count: int = 90) -> tuple:
    rows = planted.samples(count)
    lake, settings, vectors = planted.make_lake(folder, rows)
    tables = Path(lake.full(f"releases/{planted.RELEASE}")) / "tables"
    pq.write_table(pa.Table.from_pylist(clips or _clips(rows)), tables / "fct_clips.parquet")
    listed = {"first_id": [a for a, _ in pairs], "second_id": [b for _, b in pairs], "ties": [True for _ in pairs]}
    schema = pa.schema([("first_id", pa.string()), ("second_id", pa.string()), ("ties", pa.bool_())])
    pq.write_table(pa.table(listed, schema=schema), tables / "fct_duplicates.parquet")
    return lake, settings, (f"vectors={vectors}", *SMALL)


def _lists(lake, made: dict) -> dict[str, dict[str, dict]]:
    cells = plan.read(lake, made["plan"])["cells"]
    return {
        name: {row["sample_id"]: row for row in pq.read_table(lake.full(cell["list"])).to_pylist()}
        for name, cell in cells.items()
    }


# -- drawing -----------------------------------------------------------------------------------------------------------
def test_groups_are_chains_of_what_clips_share() -> None:
    clips = {"a": ("v1", "u1"), "b": ("v1", None), "c": ("v2", "u1"), "d": ("v3", None), "e": ("v4", "v3")}
    assert drawing.groups(clips, []) == {"a": "a", "b": "a", "c": "a", "d": "d", "e": "e"}
    assert drawing.groups(clips, [("x", "c"), ("d", "x")])["d"] == "a", "through a clip that is not of them"


def _pool(statuses: str, splits: str, groups: str | None = None) -> drawing.Pool:
    """k: kept, d: dropped, u: undecided; t: train, v: val, e: test."""
    ids = np.array([f"{k:02d}" for k in range(len(statuses))], object)
    names = {"k": "kept", "d": "dropped", "u": "undecided", "t": "train", "v": "val", "e": "test"}
    status, split = (np.array([names[c] for c in text], object) for text in (statuses, splits))
    score = np.array([np.nan if s == "u" else float(k % 7) for k, s in enumerate(statuses)])
    return drawing.Pool(ids, split, status, score, ids if groups is None else np.array(list(groups), object))


def test_each_set_takes_what_it_is_named_by() -> None:
    pool = _pool("kkkkddduukd", "ttttttttvee")
    found = drawing.candidates(pool)
    assert found["release"].tolist() == [0, 1, 2, 3]
    assert found["rejected"].tolist() == [4, 5, 6], "what is undecided was not rejected"
    assert found["random"].tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert found["top"].tolist() == [6, 5, 4, 3, 2, 1, 0], "by score; what has none is not among them"
    assert pool.tried.tolist() == [9], "of val and test what the release keeps"


def test_what_is_tied_to_val_or_test_is_in_no_set() -> None:
    pool = _pool("kkkkdk", "tttttd".replace("d", "e"), "abcdda".replace("d", "e", 1))
    assert pool.group.tolist() == ["a", "b", "c", "e", "d", "a"]
    assert pool.tied.tolist() == [0]
    assert all(0 not in rows for rows in drawing.candidates(pool).values())


def test_sets_are_of_the_smallest_ones_size_and_draws_follow_the_seed() -> None:
    pool = _pool("k" * 30 + "d" * 9 + "kk", "t" * 39 + "ve")
    size, left = drawing.size_of(pool)
    assert (size, left) == (9, {})
    drawn = {name: drawing.draw(pool, name, size, 0) for name in drawing.SETS}
    assert {len(rows) for rows in drawn.values()} == {9}
    assert drawn["release"].tolist() == drawing.draw(pool, "release", size, 0).tolist()
    assert drawn["release"].tolist() != drawing.draw(pool, "release", size, 1).tolist()
    assert drawn["top"].tolist() == drawing.draw(pool, "top", size, 1).tolist()
    assert drawing.size_of(pool, 8)[0] == 8


def test_a_set_with_too_few_clips_is_left_out_and_too_few_of_all_is_an_error() -> None:
    pool = _pool("k" * 30 + "d" * 7 + "kk", "t" * 37 + "ve")
    assert drawing.size_of(pool) == (30, {"rejected": "7 clips, 8 are wanted"})
    with pytest.raises(ContractError, match="7 labelled clips with vectors can be in the training set 'release'"):
        drawing.size_of(_pool("k" * 7 + "kk", "t" * 7 + "ve"))
    with pytest.raises(ContractError, match="keeps no labelled clip with vectors in split test"):
        drawing.size_of(_pool("k" * 9 + "kd", "t" * 9 + "ve"))
    with pytest.raises(ConfigError, match="--size 7"):
        drawing.size_of(pool, 7)


# -- a plan ------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    return _world(tmp_path_factory.mktemp("benchmark"))


def test_a_plan_says_its_cells_and_the_same_one_again_is_the_same(world: tuple) -> None:
    lake, _, settings = world
    made = plan.make(lake, None, ["avel"], settings=settings, **WHAT)
    assert made["cells"] == [f"avel/cpsp/{name}/0" for name in drawing.SETS]
    assert made["tasks"]["avel"]["size"] == 18, "54 clips of train, a third of them dropped"
    assert made["tasks"]["avel"]["tried_on"] == {"val": 12, "test": 12}
    again = plan.make(lake, None, ["avel"], settings=settings, **WHAT)
    assert again == {**made, "computed": False}
    more = plan.make(lake, None, ["avel"], settings=settings, **{**WHAT, "seeds": 2})
    names = [{key: cell["run"] for key, cell in plan.read(lake, one["plan"])["cells"].items()} for one in (made, more)]
    assert names[0].items() < names[1].items(), "another seed leaves the other runs alone"


def test_all_sets_have_one_size_and_are_tried_on_the_same_clips(world: tuple) -> None:
    lake, _, settings = world
    lists = _lists(lake, plan.make(lake, None, ["avel"], settings=settings, **WHAT))
    tried = [{i for i, row in rows.items() if row["split"] != "train"} for rows in lists.values()]
    assert all(one == tried[0] for one in tried)
    assert [sum(row["split"] == "train" for row in rows.values()) for rows in lists.values()] == [18] * 4
    steps = {
        cell["config"]["max_steps"]
        for cell in plan.read(lake, plan.make(lake, None, ["avel"], settings=settings, **WHAT)["plan"])[
            "cells"
        ].values()
    }
    assert steps == {3}, "18 clips in batches of 7, one epoch"


@pytest.mark.parametrize("tie", ["video", "uploader", "pair"])
def test_no_set_shares_anything_with_what_is_tried_on(tmp_path: Path, tie: str) -> None:
    """The first clips of train and a clip of test, tied in each way."""
    rows = planted.samples(90)
    clips = _clips(rows)
    test = next(k for k, row in enumerate(rows) if row["split"] == "test" and k // 3 % 3 != 2)
    pairs = ((rows[0]["sample_id"], rows[test]["sample_id"]),) if tie == "pair" else ()
    if tie != "pair":
        for k in (0, test):
            clips[k]["video_id" if tie == "video" else "uploader"] = "shared"
    lake, _, settings = _world(tmp_path, clips, pairs)
    made = plan.make(lake, None, ["avel"], settings=settings, **WHAT)
    assert made["tasks"]["avel"]["tied"] == 1
    for name, listed in _lists(lake, made).items():
        assert rows[0]["sample_id"] not in listed, name
        groups = [{r["group_id"] for r in listed.values() if (r["split"] == "train") is side} for side in (True, False)]
        assert not groups[0] & groups[1]


def test_what_cannot_be_a_benchmark_says_why(world: tuple) -> None:
    lake, _, settings = world
    with pytest.raises(ConfigError, match="there is no task 'avle'"):
        plan.make(lake, None, ["avle"])
    with pytest.raises(ConfigError, match="task avel has none of the models han; it has cpsp"):
        plan.make(lake, None, ["avel"], models=["han"])
    with pytest.raises(ConfigError, match="no task of avel has a model hna"):
        plan.make(lake, None, ["avel"], models=["cpsp", "hna"])
    with pytest.raises(ConfigError, match="--set seed=3: a benchmark sets seed itself"):
        plan.make(lake, None, ["avel"], settings=["seed=3"])
    with pytest.raises(ConfigError, match="needs --tasks"):
        plan.make(lake, None, [])
    with pytest.raises(ConfigError, match="there is no benchmark 'nothing'"):
        plan.read(lake, "nothing")
    made = plan.make(lake, None, ["avel"], settings=settings, **WHAT)
    with pytest.raises(ConfigError, match="no cell 'avel/cpsp/best/0'; the first of 4 is avel/cpsp/random/0"):
        plan.cell_of(plan.read(lake, made["plan"]), "avel/cpsp/best/0")


# -- tasks that take sounds apart --------------------------------------------------------------------------------------
def _heard(folder: Path) -> tuple:
    """Clips of which the release drops ten more, that score lowest; one of those is of the video of a test clip."""
    rows = sounding.clips()
    mixes = sounding.mixtures(rows)
    for k in range(10):
        name, label = f"dropped-{k}", sounding.LABELS[k % 2]
        rows.append(
            {
                **rows[k],
                "name": name,
                "sample_id": sid("clip", name),
                "video_id": f"v-{name}",
                "group_id": f"g-{name}",
                "label": label,
                "split": None,
                "status": "dropped",
                "data": sounding.mp4(100 + k, label, False),
            }
        )
    rows[-1]["video_id"] = next(row["video_id"] for row in rows if row["split"] == "test")
    for k, row in enumerate(rows):
        row |= {"uploader": None, "effective_z": float(-k)}
    return sounding.make_lake(folder, rows, mixes)


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    return _heard(tmp_path_factory.mktemp("heard"))


@pytest.mark.parametrize(("task", "model"), [("query-separate", "clipsep"), ("onscreen", "mixit4-cross")])
def test_sounds_are_mixed_of_each_sets_own_clips_and_tried_on_what_the_task_is(
    heard: tuple, task: str, model: str
) -> None:
    from winnow.train.cells import collect, evaluate, train

    lake, settings, query = heard
    options = (
        "rate_hz=8000",
        "batch=8",
        "narrow=32",
        "epochs=1",
        "clip_s=1.0",
        "per_s=8",
        "samples=7936",
        "source_s=1.0",
        *([f"vectors={query}"] if task == "query-separate" else []),
    )
    made = plan.make(lake, None, [task], models=[model], seeds=1, settings=options)
    assert made["cells"] == [f"{task}/{model}/{name}/0" for name in drawing.SETS]
    told = made["tasks"][task]
    assert told["size"] == 9, "of ten dropped clips one is of a test clip's video"
    assert told["tied"] == 1
    assert told["candidates"]["random"] == 16 + 9
    assert told["tried_on"] == ({"val": 8, "test": 8} if task == "query-separate" else {"val": 16, "test": 16})
    lists = _lists(lake, made)
    for name, cell in plan.read(lake, made["plan"])["cells"].items():
        train(lake, settings, made["plan"], name)
        evaluate(lake, settings, made["plan"], name)
        run = runs.Run(lake, task, cell["run"])
        assert run.card()["counts"]["examples"]["train"] == 9
        drawn = {clip for clip, row in lists[name].items() if row["split"] == "train"}
        assert {clip.startswith("dropped") for clip in _names(drawn)} == {
            "release": {False},
            "random": {False, True},
            "rejected": {True},
            "top": {False},
        }[cell["set"]]
    collect(lake, made["plan"])
    rows = [row for row in corpus_table.read(lake, "run_metrics").to_pylist() if row["task"] == task]
    assert {row["ceiling"] for row in rows} == {None}
    assert {row["clips"] for row in rows} == {9}
    groups = [{row["group_id"] for row in rows if row["set"] == name} for name in drawing.SETS]
    assert len(groups[0]) == (8 if task == "query-separate" else 4), "of mixtures the clip that is seen"
    assert all(one == groups[0] for one in groups)


def _names(ids: set[str]) -> set[str]:
    known = {sid("clip", f"{kind}-{k}"): f"{kind}-{k}" for kind in ("train", "dropped") for k in range(16)}
    return {known[one] for one in ids}


def test_too_many_kept_clips_that_cannot_be_mixed_are_told_before_a_set_is_drawn(heard: tuple) -> None:
    lake, _, query = heard
    few = planted.write_vectors(
        Path(query).with_name("few.parquet"), sounding.clips()[:20], {"query": np.zeros((20, 1, 8), np.float32)}
    )
    with pytest.raises(ContractError, match=r"12 of 32 clips that the release keeps cannot be mixed, .*: missing"):
        plan.make(
            lake,
            None,
            ["query-separate"],
            models=["clipsep"],
            seeds=1,
            settings=(f"vectors={few}", "rate_hz=8000", "samples=7936", "source_s=1.0"),
        )


# -- clips of a list ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("split", "known", "message"),
    [("val", True, "in split val, which the release has in train"), ("train", False, "of which it has no label")],
)
def test_a_list_that_is_not_of_this_release_stops_the_run(
    world: tuple, tmp_path: Path, split: str, known: bool, message: str
) -> None:
    from winnow.train.config import TrainConfig
    from winnow.train.prepare import prepare
    from winnow.train.tasks import task_module

    lake, _, settings = world
    path = tmp_path / "list.parquet"
    clip = planted.samples(1)[0]["sample_id"] if known else "f" * 20
    pq.write_table(pa.table({"sample_id": [clip], "split": [split]}), path)
    config = TrainConfig(model="cpsp", vectors=settings[0].partition("=")[2], clips=str(path))
    with pytest.raises(ContractError, match=message):
        prepare(lake, task_module("avel"), "avel", config, None)
    with pytest.raises(ContractError, match="a Parquet of sample_id and split is wanted"):
        prepare(lake, task_module("avel"), "avel", config.model_copy(update={"clips": str(tmp_path / "none")}), None)


# -- the commands ------------------------------------------------------------------------------------------------------
@pytest.fixture
def _anew() -> Iterator[None]:
    """Settings are read anew, before and after."""
    deployed.load.cache_clear()
    yield
    deployed.load.cache_clear()


def _winnow(lake, *arguments: str) -> dict:
    from winnow.cli.benchmark import benchmark

    done = CliRunner().invoke(
        benchmark, list(arguments), env={"WINNOW_LAKE": lake.root, "WINNOW_DEVICE": "cpu"}, catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.usefixtures("_anew")
def test_the_steps_train_try_and_collect_and_the_same_again_trains_nothing(world: tuple) -> None:
    lake, _, settings = world
    what = ["--tasks", "avel", "--models", "cpsp", *(part for one in settings for part in ("--set", one))]
    assert _winnow(lake, "features", "--models", "") == {"no_tasks": True}
    found = _winnow(lake, "features", *what)
    assert found["found"]["avel"] == {"clips": 90, "left_out": {}}
    made = _winnow(lake, "sets", "--release", found["release"], *what, "--seeds", "1")
    with pytest.raises(ContractError, match=f"was not tried: run `winnow benchmark train --plan {made['plan']} --cell"):
        _winnow(lake, "collect", "--plan", made["plan"])
    for cell in made["cells"]:
        assert _winnow(lake, "train", "--plan", made["plan"], "--cell", cell)["computed"]
        first = _winnow(lake, "evaluate", "--plan", made["plan"], "--cell", cell)
        again = _winnow(lake, "evaluate", "--plan", made["plan"], "--cell", cell)
        assert (first.pop("computed"), again.pop("computed")) == (True, False)
        assert again == first
        assert not _winnow(lake, "train", "--plan", made["plan"], "--cell", cell)["computed"]
        run = runs.Run(lake, "avel", first["run"])
        assert len(run.looks()) == 1, "test was read once"
        assert run.card()["counts"]["examples"] == {"train": 18, "val": 12}
        values = pq.read_table(run.home / "values-test.parquet")
        assert np.mean(values["value"]) == pytest.approx(first["value"], abs=1e-12)
        assert np.mean(values["chance"]) == pytest.approx(first["chance"], abs=1e-12)
    collected = _winnow(lake, "collect", "--plan", made["plan"])
    assert collected["computed"]
    assert not _winnow(lake, "collect", "--plan", made["plan"])["computed"]
    rows = [row for row in corpus_table.read(lake, "run_metrics").to_pylist() if row["model"] == "cpsp"]
    assert len(rows) == 4 * 12
    assert {(row["clips"], row["ceiling"], row["split"], row["metric"]) for row in rows} == {
        (18, 1.0, "test", "accuracy")
    }
    assert {row["set"]: row["verdict"] for row in collected["results"]}["random"] == "reference"
    told = _winnow(lake, "all", *what, "--seeds", "1")
    assert told["plan"] == made["plan"]
    assert not told["computed"]


def test_figures_of_another_model_stay_and_those_of_the_same_one_are_replaced(world: tuple) -> None:
    from winnow.train.cells import collect, evaluate, train

    lake, settings, options = world
    made = plan.make(lake, None, ["avel"], settings=options, models=["psp"], seeds=1)
    for cell in made["cells"]:
        train(lake, settings, made["plan"], cell)
        evaluate(lake, settings, made["plan"], cell)
    collect(lake, made["plan"])
    before = corpus_table.read(lake, "run_metrics").num_rows
    other = plan.make(lake, None, ["avel"], settings=(*options, "learning_rate=0.01"), models=["psp"], seeds=1)
    assert other["plan"] != made["plan"]
    for cell in other["cells"]:
        train(lake, settings, other["plan"], cell)
        evaluate(lake, settings, other["plan"], cell)
    collect(lake, other["plan"])
    rows = corpus_table.read(lake, "run_metrics").to_pylist()
    assert len(rows) == before
    cells = plan.read(lake, other["plan"])["cells"].values()
    assert {row["run"] for row in rows if row["model"] == "psp"} == {cell["run"] for cell in cells}
