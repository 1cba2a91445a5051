"""The loader of vectors: each example once an epoch, in an order that seed and epoch fix, joined by id, from any
step."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.train import planted
from winnow.core import table
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.stage import stage_columns
from winnow.train.loader import Loader, Vectors, batches, order
from winnow.train.vectors import join

INPUTS = {"audio": ("audio.onset", "audio.a0"), "visual": ("visual.motion", "visual.v0")}


@given(st.integers(1, 90), st.integers(1, 17), st.integers(1, 5), st.integers(0, 2**32), st.integers(0, 50))
def test_each_example_comes_once_an_epoch_whatever_the_ranks(count: int, size: int, ranks: int, seed: int, epoch: int):
    """And no order of one epoch is that of another seed or epoch but by chance; ranks change no batch."""
    listed = [batches(count, size, seed, epoch, rank=r, ranks=ranks) for r in range(ranks)]
    rows = np.concatenate([b for of_rank in listed for b in of_rank] or [np.zeros(0, int)])
    assert sorted(rows.tolist()) == list(range(count))
    alone = batches(count, size, seed, epoch)
    assert [b.tolist() for b in alone] == [
        listed[k % ranks][k // ranks].tolist() for k in range(len(alone))
    ]  # the same batches, dealt out
    assert (np.concatenate(alone) == order(count, seed, epoch)).all()
    if count > 20:
        assert not (order(count, seed, epoch) == order(count, seed, epoch + 1)).all()
        assert not (order(count, seed, epoch) == order(count, seed + 1, epoch)).all()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Vectors, list[dict]]:
    """A store of thirty clips whose first number of sound is the clip's own number."""
    folder = tmp_path_factory.mktemp("store")
    rows = planted.samples()
    arrays = planted.vectors_of(rows)
    arrays["audio"][:, 0, -1] = np.arange(len(rows)) + 1
    path = planted.write_vectors(folder / "v.parquet", rows[::-1], {k: a[::-1] for k, a in arrays.items()})
    wanted = pa.array([row["sample_id"] for row in rows])
    return join(Lake(folder / "lake"), folder, wanted, INPUTS, 10, str(path), 0.0).vectors, rows


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 13), st.integers(0, 9), st.integers(1, 3), st.data())
def test_from_any_step_on_come_the_steps_that_would_have_come(store, size: int, seed: int, ranks: int, data) -> None:
    """Vectors are those of the example's id, though the file has another order."""
    vectors, rows = store
    places = vectors.rows_of(pa.array([row["sample_id"] for row in rows]))
    shared = {"size": size, "seed": seed, "epochs": 2, "ranks": ranks, "rank": data.draw(st.integers(0, ranks - 1))}
    try:
        loader = Loader(vectors, places, **shared)
    except ContractError:
        assert -(-30 // size) <= shared["rank"], "this rank has no batch"
        return
    whole = list(loader.steps())
    assert len(whole) == len(loader)
    start = data.draw(st.integers(0, len(whole)))
    rest = list(Loader(vectors, places, **shared).steps(start))
    assert [b.step for b in rest] == list(range(start, len(whole)))
    for one, other in zip(rest, whole[start:], strict=True):
        assert (one.rows == other.rows).all()
        assert (one.inputs["audio"][:, 0, -1] == one.rows + 1).all(), "joined by id, not by position"


def test_the_released_order_of_batches_leaves_the_remainder_out() -> None:
    assert [b.tolist() for b in batches(7, 3, 1, 4, fixed=True)] == [[0, 1, 2], [3, 4, 5]]


def _stage(lake: Lake, stage: str, batch: str, rows: list[dict]) -> dict:
    """Commit a table of a stage, as a release lists it."""
    schema = table.arrow_schema(stage_columns()[stage])
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{f.name: r.get(f.name) for f in schema} for r in rows], schema=schema), sink)
    key = f"{stage}/v=0/batch={batch}/0.parquet"
    lake.write(key, sink.getvalue())
    return {"stage": stage, "batch": batch, "path": key, "sha256": sha256_bytes(sink.getvalue())}


def _measured(lake: Lake, ids: list[str], short: int = 0) -> list[dict]:
    """Tables of `audio` and `visual`: cell c of the grid is c, the first layer is the clip's number; `short` cells
    less."""
    shards = []
    for stage, grid, layer, width in (("audio", "onset", "a0", 66), ("visual", "motion", "v0", 64)):
        rows = [
            {
                "sample_id": name,
                "outcome": "ok",
                "grid_hz": 8.0,
                grid: list(range(80 - short)),
                layer: [float(k)] * width,
            }
            for k, name in enumerate(ids)
        ]
        shards.append(_stage(lake, stage, "b1", rows))
    return shards


def test_vectors_of_stage_tables_are_cells_and_layers_by_second(tmp_path: Path) -> None:
    rows = planted.samples()
    lake, ids = Lake(tmp_path), [row["sample_id"] for row in rows]
    folder = planted.release(lake, rows, shards=_measured(lake, ids, short=3))
    found = join(lake, folder, pa.array(ids), INPUTS, 10, None, 0.0)
    audio, visual = (found.vectors.arrays[name][found.places[4]] for name in ("audio", "visual"))
    assert audio.shape == (10, 8 + 66)
    assert visual.shape == (10, 1, 8 + 64)
    assert audio[3].tolist() == [*range(24, 32), *[4.0] * 66]
    assert audio[9, :8].tolist() == [72, 73, 74, 75, 76, 76, 76, 76], "a clip that is short repeats its last cell"
    again = join(lake, folder, pa.array(ids), INPUTS, 10, None, 0.0)
    assert len(list((tmp_path / "vectors").iterdir())) == 1, "made once"
    assert (again.places == found.places).all()


def test_what_has_no_vectors_is_counted_and_too_much_of_it_names_the_command(tmp_path: Path) -> None:
    rows = planted.samples()
    lake, ids = Lake(tmp_path), [row["sample_id"] for row in rows]
    shards = _measured(lake, ids[:-1])
    shards.append(
        _stage(lake, "audio", "b2", [{"sample_id": ids[-1], "outcome": "failed", "reason": "no_audio_stream"}])
    )
    folder = planted.release(lake, rows, shards=shards)
    found = join(lake, folder, pa.array(ids), INPUTS, 10, None, 0.05)
    assert found.left_out == {"no_audio_stream": [ids[-1]]}
    assert len(found.kept) == 29
    with pytest.raises(ContractError, match=f"1 of 30 .* clip {ids[-1]}: it failed as no_audio_stream"):
        join(lake, folder, pa.array(ids), INPUTS, 10, None, 0.0)
    strange = pa.array([*ids, "f" * 20])
    with pytest.raises(ContractError, match="winnow run visual --batch b2"):
        join(lake, folder, strange.slice(30), INPUTS, 10, None, 0.0)
    with pytest.raises(ConfigError, match=r"'visual\.v99' is no vector of a stage"):
        join(lake, folder, pa.array(ids), INPUTS | {"visual": ("visual.v99",)}, 10, None, 0.0)
    with pytest.raises(ContractError, match="no table of stage joint: run `winnow run joint --batch b1`"):
        join(lake, folder, pa.array(ids), INPUTS | {"visual": ("joint.picture",)}, 10, None, 0.0)


def test_a_silent_clip_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = planted.samples()
    arrays = planted.vectors_of(rows)
    arrays["audio"][3] = 0
    path = planted.write_vectors(tmp_path / "v.parquet", rows, arrays)
    ids = [row["sample_id"] for row in rows]
    found = join(Lake(tmp_path / "lake"), tmp_path, pa.array(ids), INPUTS, 10, str(path), 0.0)
    assert found.left_out == {"silent": [ids[3]]}
    assert 3 not in found.kept
