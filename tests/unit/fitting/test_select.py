"""winnow select: the corpus's clips in the order in which they add information; from scratch and batch by batch."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from tests.unit.measured import write_batch
from winnow.cli.corpus import select as command
from winnow.core import corpus_table
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake
from winnow.core.runtime import run_stage
from winnow.core.settings import Settings
from winnow.fitting.candidates import Candidates, candidates
from winnow.fitting.cluster import cluster
from winnow.fitting.select import SelectParams, rounds, select
from winnow.selection import PRESETS, mutual_information, pairing, refine
from winnow.selection.kmeans.centroids import KMeansParams

BATCHES = ["2026-11-01", "2026-11-02", "2026-11-03"]
VIDEOS = {BATCHES[0]: range(24), BATCHES[1]: range(24, 48), BATCHES[2]: range(44, 66)}
ALL = SelectParams(among="admitted")


def assign(lake: Lake, batches: list[str]) -> None:
    for batch in batches:
        run_stage(lake, "cluster", batch, {}, Settings(lake=lake.root))


def lake_of(folder: Path, batches: list[str] = BATCHES, per_shard: int = 8) -> Lake:
    lake = Lake(folder)
    for batch in batches:
        write_batch(lake, batch, VIDEOS[batch], per_shard=per_shard)
    cluster(lake, Settings(lake=lake.root), batches[:1], params=KMeansParams(clusters=6))
    assign(lake, batches)
    return lake


def rows(lake: Lake) -> list[dict]:
    return corpus_table.read(lake, "selection").to_pylist()


def publish(lake: Lake, status: dict[str, str]) -> None:
    """What a release leaves, as far as `select` reads it."""
    table = pa.table({"sample_id": list(status), "status": list(status.values())})
    path = Path(lake.full("releases/r1/tables/fct_clips.parquet"))
    path.parent.mkdir(parents=True)
    pq.write_table(table, path)
    lake.write("releases/r1/manifest.json", b"{}")
    lake.write("releases/current", b"r1")


def test_order_and_gains_of_a_selection_from_scratch(tmp_path: Path) -> None:
    lake = lake_of(tmp_path)
    answer = select(lake, BATCHES, params=ALL)
    table = rows(lake)
    assert (answer["candidates"], answer["selected"], len(table)) == (132, 26, 132)
    ordered = [row for row in table if row["position"] is not None]
    assert [row["position"] for row in ordered] == list(range(26)) == [row["round_position"] for row in ordered]
    assert {row["round"] for row in table} == {1}
    assert {row["round_candidates"] for row in table} == {132}
    assert sum(row["gain"] for row in ordered) == pytest.approx(answer["mi"], abs=1e-5)
    found = candidates(lake, BATCHES, "admitted")
    pairs = pairing("bipartite", 5, 5)
    place = {clip: i for i, clip in enumerate(found.ids.astype(str).tolist())}
    chosen = np.array([place[row["sample_id"]] for row in ordered])
    assert answer["mi"] == pytest.approx(mutual_information(found.clusters, pairs, chosen), abs=1e-6)
    assert answer["curve"]["0.2"] == pytest.approx(answer["mi"], abs=1e-5)
    assert answer["curve"]["0.05"] < answer["curve"]["0.2"]


def test_a_smaller_share_is_the_beginning_of_a_larger_one(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, BATCHES[:1])
    select(lake, BATCHES[:1], params=SelectParams(among="admitted", share=1.0))
    whole = [row["sample_id"] for row in rows(lake)]
    for method in ("batch", "exact"):
        select(lake, BATCHES[:1], params=SelectParams(among="admitted", size=12, method=method))
        part = [row["sample_id"] for row in rows(lake) if row["position"] is not None]
        assert len(part) == 12
        assert (part == whole[:12]) == (method == "batch")


def test_neither_shards_nor_order_of_batches_matter(tmp_path: Path) -> None:
    few, many = lake_of(tmp_path / "few", per_shard=24), lake_of(tmp_path / "many", per_shard=5)
    first, second = select(few, BATCHES, params=ALL), select(many, BATCHES[::-1], params=ALL)
    assert first == second
    assert select(few, BATCHES, params=ALL) == {**first, "computed": False}
    assert select(few, BATCHES, params=SelectParams(among="admitted", seed=1))["file"] != first["file"]


def test_batch_by_batch_keeps_what_was_selected_and_comes_close_to_from_scratch(tmp_path: Path) -> None:
    lake = lake_of(tmp_path)
    before: list[str] = []
    for number in range(1, 4):
        answer = select(lake, BATCHES[:number], params=ALL, incremental=number > 1)
        ordered = [row["sample_id"] for row in rows(lake) if row["position"] is not None]
        assert ordered[: len(before)] == before
        assert answer["rounds"] == number
        assert answer["added"] == len(ordered) - len(before) > 0
        before = ordered
    table = rows(lake)
    assert len({row["sample_id"] for row in table}) == len(table) == 132
    by_round = {number: [row for row in table if row["round"] == number] for number in (1, 2, 3)}
    # The third batch shares four videos with the second: their clips had their chance.
    assert [len(part) for part in by_round.values()] == [48, 48, 36]
    assert all({row["round_candidates"] for row in part} == {len(part)} for part in by_round.values())
    assert [sum(row["position"] is not None for row in part) for part in by_round.values()] == [10, 10, 7]
    assert answer["mi_from_scratch"] > 0.5
    assert answer["mi_difference"] < 0.01


def test_in_a_noisy_corpus_the_difference_stays_under_one_percent() -> None:
    rng = np.random.default_rng(0)
    n, clusters = 9000, 16
    kind = rng.integers(0, clusters, n)
    sides = [np.where(rng.random(n) < 0.4, rng.integers(0, clusters, n), kind) for _ in range(4)]
    mixed = rng.random(n) < 0.5
    sides[2:] = [np.where(mixed, rng.permutation(side), side) for side in sides[2:]]
    matrix = np.stack(sides, axis=1).astype(np.int32)
    ids = np.array([f"{i:020x}" for i in range(n)])
    pairs, weights = pairing("bipartite", 2, 2), np.ones(4)
    earlier = None
    for end in (3000, 6000, 9000):
        earlier, _ = rounds(Candidates(ids[:end], matrix[:end], 2, "m"), pairs, weights, ALL, earlier)
    scratch, _ = rounds(Candidates(ids, matrix, 2, "m"), pairs, weights, ALL, None)
    mi = []
    for table in (earlier, scratch):
        chosen = table.filter(table["position"].is_valid())["sample_id"].to_pylist()
        assert len(chosen) == 1800
        mi.append(mutual_information(matrix, pairs, np.searchsorted(ids, chosen)))
    assert mi[1] > mutual_information(matrix, pairs) * 1.2
    assert abs(mi[1] - mi[0]) / mi[1] < 0.01, mi


def test_presets_are_asked_for_by_name(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, BATCHES[:1])
    names = next(option for option in command.params if option.name == "preset").type.choices
    assert list(names) == list(PRESETS)
    for asked, how in (
        ([], "20:1"),
        (["--preset", "acav"], "20:4"),
        (["--preset", "acav", "--take", "2"], "20:2"),
        (["--preset", "acav", "--batch", "9"], "9:4"),
    ):
        called = ["--batches", BATCHES[0], "--among", "admitted", *asked]
        done = CliRunner().invoke(command, called, env={"WINNOW_LAKE": str(lake.root)})
        assert done.exit_code == 0, done.output
        assert {row["method"] for row in rows(lake)} == {f"batch {how} mi uniform seed 0"}


def test_a_clip_costs_bytes_and_no_python_objects() -> None:
    n, rng = 20_000, np.random.default_rng(0)
    ids = np.array([f"{i:020x}" for i in range(n)], "S")
    found = Candidates(ids, rng.integers(0, 8, (n, 4)).astype(np.uint8), 2, "m")
    pairs, weights = pairing("bipartite", 2, 2), np.ones(4)
    rounds(found, pairs, weights, ALL, None)
    tracemalloc.start()
    try:
        table, size = rounds(found, pairs, weights, ALL, None)
        peak = tracemalloc.get_traced_memory()[1] + table.nbytes
    finally:
        tracemalloc.stop()
    assert peak < 200 * n
    assert table["sample_id"][size:].to_pylist() == sorted(table["sample_id"][size:].to_pylist())


def test_places_of_clips() -> None:
    found = Candidates(np.array([f"{i:020x}" for i in (2, 4, 6)], "S"), np.zeros((3, 2), np.uint8), 1, "m")
    wanted = pa.chunked_array([[], [f"{i:020x}" for i in (7, 4, 1)], [f"{i:020x}" for i in (6, 3, 2)]], pa.string())
    assert found.places(wanted).tolist() == [-1, 1, -1, 2, -1, 0]
    assert found.places(wanted.slice(2, 2)).tolist() == [-1, 2]
    assert found.places(wanted.slice(0, 0)).tolist() == []


def test_only_what_the_release_keeps_stands_for_selection(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, BATCHES[:1])
    clips = candidates(lake, BATCHES[:1], "admitted").ids.astype(str).tolist()
    with pytest.raises(ConfigError, match="winnow release"):
        select(lake, BATCHES[:1])
    publish(lake, {clip: "kept" if i % 2 else "dropped" for i, clip in enumerate(clips)})
    answer = select(lake, BATCHES[:1])
    assert answer["candidates"] == 24
    assert {row["sample_id"] for row in rows(lake)} == set(clips[1::2])


def test_assignments_of_other_centres_are_refused(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, BATCHES[:2])
    first = select(lake, BATCHES[:2], params=ALL)
    old = lake.model_current("cluster")
    new = cluster(lake, Settings(lake=lake.root), BATCHES[:2], params=KMeansParams(clusters=4))["model"]
    with pytest.raises(ContractError, match=f"{BATCHES[0]} is assigned to the centres {old}, .* are {new}"):
        select(lake, BATCHES[:2], params=ALL)
    assign(lake, BATCHES[:1])
    with pytest.raises(ContractError, match=f"winnow run cluster --batch {BATCHES[1]}"):
        select(lake, BATCHES[:2], params=ALL)
    assert {row["model"] for row in rows(lake)} == {old}
    assign(lake, BATCHES[1:2])
    with pytest.raises(ContractError, match=f"has model '{old}', this one '{new}': select from scratch"):
        select(lake, BATCHES[:2], params=ALL, incremental=True)
    assert select(lake, BATCHES[:2], params=ALL)["model"] == new != first["model"]


def test_what_cannot_be_continued_is_refused(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, BATCHES[:2])
    with pytest.raises(ContractError, match="without --incremental first"):
        select(lake, BATCHES[:1], params=ALL, incremental=True)
    select(lake, BATCHES[:2], params=ALL)
    other = SelectParams(among="admitted", pairing="combination")
    with pytest.raises(ContractError, match="has pairing 'bipartite', this one 'combination'"):
        select(lake, BATCHES[:2], params=other, incremental=True)
    with pytest.raises(ContractError, match="stand for selection no longer"):
        select(lake, BATCHES[:1], params=ALL, incremental=True)
    with pytest.raises(ConfigError, match="no --size"):
        select(lake, BATCHES[:2], params=SelectParams(among="admitted", size=3), incremental=True)
    nothing = select(lake, BATCHES[:2], params=ALL, incremental=True)
    assert nothing["added"] == 0


def test_wrong_arguments_and_missing_assignments(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, BATCHES[:1])
    with pytest.raises(ConfigError, match="share 0"):
        SelectParams(share=0.0)
    with pytest.raises(ConfigError, match="method"):
        SelectParams(method="best")
    with pytest.raises(ConfigError, match="there are 48 candidates"):
        select(lake, BATCHES[:1], params=SelectParams(among="admitted", size=49))
    write_batch(lake, BATCHES[1], VIDEOS[BATCHES[1]])
    with pytest.raises(ContractError, match=f"winnow run cluster --batch {BATCHES[1]}"):
        select(lake, BATCHES[:2], params=ALL)
    with pytest.raises(ContractError, match="no centres"):
        select(Lake(tmp_path / "empty"), BATCHES[:1], params=ALL)


def test_where_a_selection_comes_from_is_kept(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, BATCHES[:1])
    answer = select(lake, BATCHES[:1], params=ALL)
    said = corpus_table.provenance(lake, f"corpus/selection/{answer['file']}.parquet")["provenance"]
    assert said["params"]["share"] == 0.2
    assert (said["model"], said["batches"]) == (answer["model"], BATCHES[:1])
    assert json.dumps(said)


def test_the_mixture_orders_by_what_it_explains_and_gains_are_still_information(tmp_path: Path) -> None:
    lake = lake_of(tmp_path)
    mixture = SelectParams(among="admitted", method="mixture", share=0.5)
    answer = select(lake, BATCHES, params=mixture)
    ordered = [row for row in rows(lake) if row["position"] is not None]
    assert (answer["selected"], len(ordered)) == (66, 66)
    assert {row["method"] for row in rows(lake)} == {"mixture mi uniform seed 0"}
    found = candidates(lake, BATCHES, "admitted")
    pairs = pairing("bipartite", 5, 5)
    chosen = np.array([found.ids.astype(str).tolist().index(row["sample_id"]) for row in ordered])
    assert chosen.tolist() == refine(found.clusters, pairs, 66)[0].tolist()
    sums = np.cumsum([row["gain"] for row in ordered])
    for cut in (1, 7, 66):
        assert sums[cut - 1] == pytest.approx(mutual_information(found.clusters, pairs, chosen[:cut]), abs=1e-9)
    assert answer["mi"] == pytest.approx(sums[-1], abs=1e-6)
    assert select(lake, BATCHES, params=mixture)["computed"] is False
    with pytest.raises(ConfigError, match="from scratch"):
        select(lake, BATCHES, params=mixture, incremental=True)
    for wrong in ({"pairing": "combination"}, {"objective": "nmi"}):
        with pytest.raises(ConfigError, match="mixture"):
            SelectParams(method="mixture", **wrong)
