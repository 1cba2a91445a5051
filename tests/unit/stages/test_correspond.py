"""correspond: scores by the frozen scorer, the same row whatever else is in the shard; later batches too."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.unit.measured import clip, write_batch
from winnow.core.errors import ConfigError
from winnow.core.lake import Lake
from winnow.core.runtime import Runtime
from winnow.core.sample import sid
from winnow.core.settings import Settings
from winnow.core.shard import Lineage
from winnow.core.stage import stage_needs
from winnow.fitting.fit import fit
from winnow.models.copies import fold_of
from winnow.stages.correspond import Correspond

FIRST, LATER = "2026-11-01", "2026-11-02"


def run(lake: Lake, batch: str):
    stage = Correspond(Correspond.Params(), lake, Settings(lake=lake.root))
    return Runtime(stage, lake, batch, log=lambda line: None).run()


def rows_of(lake: Lake, batch: str) -> dict[str, dict]:
    lineage = Lineage(lake, batch, stage_needs())
    tables = [lineage.committed("correspond", number) for number in lineage.numbers("correspond")]
    rows = [row for m in tables for row in pq.read_table(io.BytesIO(lake.read_table(m))).to_pylist()]
    return {row["sample_id"]: row for row in rows}


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, dict]:
    lake = Lake(tmp_path_factory.mktemp("lake"))
    write_batch(lake, FIRST, range(40), silent=frozenset({7}), copies={38: 5, 39: 5})
    write_batch(lake, LATER, range(40, 52), per_shard=5, copies={50: 2, 51: 41})
    answer = fit(lake, [FIRST])
    for batch in (FIRST, LATER):
        run(lake, batch)
    return lake, answer


def test_every_clip_has_a_row_and_its_folds_model(scored: tuple[Lake, dict]) -> None:
    lake, answer = scored
    rows = rows_of(lake, FIRST)
    assert len(rows) == 80
    ok = [row for row in rows.values() if row["outcome"] == "ok"]
    assert len(ok) == 78
    group = {sid("video", video): min(sid("video", copy) for copy in (5, 38, 39)) for video in (5, 38, 39)}
    for row in ok:
        assert row["model"] == answer["model"]
        assert row["fold"] == fold_of(group.get(row["video_id"], row["video_id"]), answer["folds"])
        assert row["z"] == pytest.approx((row["score"] - row["null_mean"]) / row["null_std"], abs=1e-3)
        assert -1 <= row["sync"] <= 1
        assert 0 < row["z_error"] < 2
        assert row["null_std"] > 0
    assert np.mean([row["z"] for row in ok]) > 1.645


def test_a_clip_without_sound_has_no_score_but_a_reason(scored: tuple[Lake, dict]) -> None:
    lost = rows_of(scored[0], FIRST)[clip(7, 0)[0]["sample_id"]]
    assert (lost["outcome"], lost["reason"], lost["z"]) == ("failed", "no_input", None)
    assert "no_audio_stream" in lost["detail"]


def test_later_batches_are_scored_by_the_frozen_scorer(scored: tuple[Lake, dict]) -> None:
    lake, answer = scored
    rows = list(rows_of(lake, LATER).values())
    assert len(rows) == 24
    assert {row["model"] for row in rows} == {answer["model"]}
    assert {row["fold"] for row in rows} <= set(range(answer["folds"]))
    assert np.mean([row["z"] for row in rows]) > 1.645


def test_copies_have_one_score_under_every_id(scored: tuple[Lake, dict]) -> None:
    """Of a fitted clip, in its batch and in a later one; and of one that came later, twice."""
    rows = rows_of(scored[0], FIRST) | rows_of(scored[0], LATER)
    for one, others in ((5, (38, 39)), (2, (50,)), (41, (51,))):
        for number in range(2):
            first, *copies = (rows[clip(video, number)[0]["sample_id"]] for video in (one, *others))
            for copy in copies:
                assert [copy[n] for n in ("z", "score", "fold")] == [first[n] for n in ("z", "score", "fold")]
            assert first["z"] is not None


def test_a_score_does_not_depend_on_the_shard(scored: tuple[Lake, dict], tmp_path: Path) -> None:
    lake, answer = scored
    other = Lake(tmp_path)
    write_batch(other, LATER, range(40, 52), per_shard=1, copies={50: 2, 51: 41})
    for ext in ("npz", "json"):
        key = lake.model_key("correspond", answer["model"], ext)
        other.write(key, lake.read(key))
    other.set_model_current("correspond", answer["model"])
    run(other, LATER)
    assert rows_of(other, LATER) == rows_of(lake, LATER)


def test_refitting_computes_anew_and_says_why(scored: tuple[Lake, dict], tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    write_batch(lake, FIRST, range(40))
    write_batch(lake, LATER, range(40, 52))
    fit(lake, [FIRST])
    assert run(lake, LATER).computed > 0
    assert run(lake, LATER).computed == 0
    fit(lake, [FIRST, LATER])
    summary = run(lake, LATER)
    assert summary.skipped == 0
    assert summary.why == ["model changed"]


def test_without_a_scorer_it_says_what_to_run(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    write_batch(lake, FIRST, range(4))
    with pytest.raises(ConfigError, match="winnow fit --batches"):
        run(lake, FIRST)
