"""open_clip and panns as stages: from real small files to half-precision tables, with networks of random weights."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests import needs
from tests.unit.signals import moving_square, mp4, sine
from tests.unit.torch_models import IDS, commit_clips, read, run, settings, weights_folder
from winnow.core.errors import ConfigError
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.core.stage import identity, stage_class
from winnow.models.weights import find

SHORT = {"open_clip": {"model": "tiny", "frames_hz": 2.0}, "panns": {"window_s": 1.0}}
WIDTHS = {
    "open_clip": {**{f"layer_{i}": 48 for i in range(5)}, "embedding": 24},
    "panns": {"layer_0": 64, "layer_1": 128, "layer_2": 512, "layer_3": 1024, "layer_4": 2048, "scores": 527},
}
COUNTED = {"open_clip": "n_frames", "panns": "n_windows"}


@pytest.fixture(scope="module", autouse=True)
def _packages() -> None:
    needs.package("torch", "open_clip", "panns_inference", "safetensors")


@pytest.fixture(scope="module")
def clips() -> dict[str, bytes]:
    """Three clips of different length and sound, one that is silent, one without pictures, and one that is none."""
    made = [mp4(moving_square(s, seed=s), sine(s, 220.0 * s, -12)) for s in (1, 2, 3)]
    made += [mp4(moving_square(1)), mp4(None, sine(1, 500, -12)), b"no file"]
    return dict(zip(IDS, made, strict=True))


def vectors(table: pa.Table, name: str) -> list[dict[str, np.ndarray]]:
    return [{k: np.asarray(row[k], np.float64) for k in WIDTHS[name]} for row in table.to_pylist() if row["model"]]


@pytest.mark.parametrize("name", ["open_clip", "panns"])
def test_a_batch_becomes_fixed_lists_of_half_precision(name: str, clips: dict, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    commit_clips(lake, "day", [clips], tmp_path)
    summary = run(lake, name, "day", settings(lake), **SHORT[name])
    assert (summary.ok, summary.failed) == (4, 2)
    manifest, table = read(lake, name, "day")
    for column, width in WIDTHS[name].items():
        assert table.schema.field(column).type == pa.list_(pa.float16(), width)
    rows = {row["sample_id"]: row for row in table.to_pylist()}
    lacking = IDS[4] if name == "open_clip" else IDS[3]
    assert rows[lacking]["reason"] == ("no_video_stream" if name == "open_clip" else "no_audio_stream")
    assert rows[IDS[5]]["reason"] == "undecodable"
    assert all(rows[lacking][column] is None for column in WIDTHS[name])
    per_s = 2 if name == "open_clip" else 1
    assert [rows[i][COUNTED[name]] for i in IDS[:3]] == [per_s * s for s in (1, 2, 3)]
    measured = vectors(table, name)
    assert all(np.isfinite(v).all() and v.std() > 0 for row in measured for v in row.values())
    assert all(np.abs(measured[0][c] - measured[1][c]).max() > 1e-3 for c in WIDTHS[name]), "clips differ"
    found = find(weights_folder(), name, SHORT[name].get("model", "cnn14"))
    assert {row["model"] for row in table.to_pylist()} == {found.label, None}
    assert manifest.model == found.digest
    again = run(lake, name, "day", settings(lake), **SHORT[name])
    assert (again.computed, again.skipped) == (0, 1)


@pytest.mark.parametrize("name", ["open_clip", "panns"])
def test_a_clips_bytes_depend_on_no_neighbour_thread_or_setting(name: str, clips: dict, tmp_path: Path) -> None:
    """One shard of three clips, in order; then each in a shard of its own, with other settings and more threads."""
    three, lake, alone = {i: clips[i] for i in IDS[:3]}, Lake(tmp_path / "a"), Lake(tmp_path / "b")
    commit_clips(lake, "day", [three], tmp_path)
    commit_clips(alone, "day", [{i: data} for i, data in three.items()], tmp_path)
    run(lake, name, "day", settings(lake), **SHORT[name])
    cls = stage_class(name)
    wide = type(cls.resources)(cpu=4, memory_mb=1, gpu=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cls, "resources", wide)
        patch.setattr(os, "sched_getaffinity", lambda _: range(4))
        run(alone, name, "day", settings(alone, model_batch=1), **SHORT[name])
    (manifest, together), apart = read(lake, name, "day"), [read(alone, name, "day", k) for k in range(3)]
    assert together.equals(pa.concat_tables(table for _, table in apart))
    assert {m.fingerprint for m, _ in apart} == {manifest.fingerprint}, "no setting is part of a table's version"


@pytest.mark.parametrize("name", ["open_clip", "panns"])
def test_precision_changes_values_a_little_and_the_version(name: str, clips: dict, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    commit_clips(lake, "day", [{IDS[0]: clips[IDS[0]]}], tmp_path)
    versions, tables = [], []
    for precision in ("fp32", "bf16"):
        versions.append(run(lake, name, "day", settings(lake), precision=precision, **SHORT[name]).v)
        tables.append(vectors(read(lake, name, "day")[1], name)[0])
    assert versions[0] != versions[1]
    for column in WIDTHS[name]:
        difference = np.abs(tables[0][column] - tables[1][column]).max() / np.abs(tables[0][column]).max()
        assert 0 < difference < 0.05, column


def test_the_table_reads_back_as_numbers(clips: dict, tmp_path: Path) -> None:
    """DuckDB, which dbt and the gates read with, takes half-precision lists from Parquet as floats."""
    import duckdb

    lake = Lake(tmp_path / "lake")
    commit_clips(lake, "day", [{IDS[0]: clips[IDS[0]]}], tmp_path)
    run(lake, "open_clip", "day", settings(lake), **SHORT["open_clip"])
    manifest, table = read(lake, "open_clip", "day")
    path = lake.full(lake.table_key(manifest))
    (found,) = duckdb.sql(f"select layer_4, len(embedding) as width from '{path}'").fetchall()
    assert found[1] == 24
    np.testing.assert_array_equal(np.float16(found[0]), table["layer_4"][0].as_py())
    assert io.BytesIO(lake.read_table(manifest)).getbuffer().nbytes < 20000


def test_without_a_checkpoint_a_run_ends_before_any_work(tmp_path: Path) -> None:
    for name in ("open_clip", "panns"):
        cls = stage_class(name)
        with pytest.raises(ConfigError, match="no verified SHA-256"):
            identity(cls(cls.Params(), Lake(tmp_path), Settings(weights=tmp_path)))


@pytest.mark.parametrize(
    ("name", "params", "device", "said"),
    [
        ("open_clip", {"model": "tiny", "blocks": (1, 2, 3, 4, 8)}, "cpu", "5 numbers from 1 to 7"),
        ("open_clip", {"model": "tiny", "blocks": (1, 2)}, "cpu", "5 numbers from 1 to 7"),
        ("panns", {"blocks": (0, 1, 2, 3)}, "cpu", "4 numbers from 1 to 6"),
        ("open_clip", {"model": "tiny"}, "tpu", "auto, cpu, cuda"),
        ("open_clip", {"model": "tiny"}, "meta", "run on cpu and cuda"),
        ("open_clip", {"model": "tiny"}, "cuda:31", "sees .* CUDA devices"),
    ],
)
def test_what_cannot_be_is_refused_at_set_up(tmp_path: Path, name: str, params: dict, device: str, said: str) -> None:
    cls, lake = stage_class(name), Lake(tmp_path)
    stage = cls(cls.Params(**params), lake, settings(lake, device=device))
    with pytest.raises(ConfigError, match=said):
        stage.setup()
