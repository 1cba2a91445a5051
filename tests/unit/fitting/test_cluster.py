"""winnow cluster: centres are fitted on the lake and frozen by their digest; the stage assigns clips to them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.unit.manifests import manifest_of
from tests.unit.measured import V, write_batch
from winnow.core import table
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.runtime import run_stage
from winnow.core.sample import Outcome, Reason
from winnow.core.settings import Settings
from winnow.core.shard import Lineage, shard_name
from winnow.core.stage import stage_class, stage_needs, stage_optional_needs
from winnow.fitting.cluster import Seen, Vectors, cluster, number_of
from winnow.models.layers import AUDIO_LAYERS, VISUAL_LAYERS
from winnow.selection.kmeans import centroids as kmeans
from winnow.selection.kmeans.centroids import Centroids, KMeansParams

BATCHES = ["2026-11-01", "2026-11-02"]
PARAMS = KMeansParams(clusters=6)


def lake_of(folder: Path, per_shard: int = 8) -> Lake:
    lake = Lake(folder)
    write_batch(lake, BATCHES[0], range(30), per_shard=per_shard, silent=frozenset({4}))
    write_batch(lake, BATCHES[1], range(30, 50), per_shard=per_shard)
    return lake


def settings_of(lake: Lake, threads: int = 2) -> Settings:
    return Settings(lake=lake.root, threads=threads)


def fit(lake: Lake, batches: list[str] = BATCHES, **more) -> dict:
    more = {"params": PARAMS, **more}
    return cluster(lake, settings_of(lake), batches, **more)


def assigned(lake: Lake, batch: str) -> dict[str, dict]:
    run_stage(lake, "cluster", batch, {}, settings_of(lake))
    lineage = Lineage(lake, batch, stage_needs(), stage_optional_needs())
    tables = [lake.read_table(lineage.committed("cluster", n)) for n in lineage.numbers("cluster")]
    return {row["sample_id"]: row for data in tables for row in pq.read_table(io.BytesIO(data)).to_pylist()}


def add_features(lake: Lake, batch: str, stage: str, fails: int = 0, v: str = V) -> None:
    """Commit a pretrained stage's table over a batch's clips; the first `fails` clips of each shard failed."""
    lineage = Lineage(lake, batch, stage_needs(), stage_optional_needs())
    for number in lineage.numbers(stage):
        clips = lineage.committed("clip", number)
        ids = pq.read_table(io.BytesIO(lake.read_table(clips)))["sample_id"].to_pylist()
        rng = np.random.default_rng([int(ids[0][:8], 16), len(stage)])
        count = "n_frames" if stage == "open_clip" else "n_windows"
        rows = []
        for place, clip in enumerate(ids):
            values = {f"layer_{i}": rng.normal(size=8 + i).astype(np.float16) for i in range(5)}
            if stage == "open_clip":
                values["embedding"] = rng.normal(size=4).astype(np.float16)
            values |= {count: 1, "model": "net@0"}
            failed = Outcome.failed(clip, Reason.undecodable, "no picture could be decoded")
            rows.append(failed if place < fails else Outcome.ok(clip, values))
        data = table.to_bytes(table.from_outcomes(rows, stage_class(stage).schema, stage))
        name = shard_name(number, {"clip": clips.sha256})
        lake.commit(
            manifest_of(data, stage, batch, name, len(ids), fingerprint=v),
            data,
        )
    lake.set_head(stage, batch, {"v": v})


def test_centres_are_frozen_and_current(tmp_path: Path) -> None:
    lake = lake_of(tmp_path)
    answer = fit(lake)
    assert (answer["computed"], answer["clips"], answer["left_out"]) == (True, 98, 2)
    assert lake.model_current("cluster") == answer["model"]
    card = json.loads(lake.read(lake.model_key("cluster", answer["model"], "json")))
    data = lake.read(lake.model_key("cluster", answer["model"]))
    assert card["sha256"] == sha256_bytes(data)
    assert card["layers"] == {
        "visual": [f"visual.{layer.column}" for layer in VISUAL_LAYERS],
        "audio": [f"audio.{layer.column}" for layer in AUDIO_LAYERS],
    }
    centroids = Centroids.loads(data)
    assert centroids.layers["visual.v0"].centres.shape == (6, VISUAL_LAYERS[0].dim)
    assert card["figures"]["audio.a0"]["rows"] == 98


def test_the_same_corpus_is_not_clustered_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = lake_of(tmp_path)
    first = fit(lake)
    others = [fit(lake, BATCHES[:1]), fit(lake, params=KMeansParams(clusters=5)), fit(lake, visual=["visual.v0"])]
    assert len({first["model"], *(other["model"] for other in others)}) == 4
    monkeypatch.setattr(kmeans, "fit_layers", lambda *_, **__: pytest.fail("clustered again"))
    again = fit(lake, [*BATCHES[::-1], BATCHES[0]])
    assert again == {**first, "computed": False}
    assert lake.model_current("cluster") == first["model"]


def test_kept_centres_stay_whatever_came_since(tmp_path: Path) -> None:
    lake = lake_of(tmp_path)
    first = fit(lake, BATCHES[:1], keep=True)  # there are none: they are fitted
    assert first["computed"]
    kept = fit(lake, BATCHES, params=KMeansParams(clusters=5), keep=True)
    assert (kept["model"], kept["computed"], kept["batches"]) == (first["model"], False, BATCHES)
    assert lake.model_current("cluster") == first["model"]
    with pytest.raises(ContractError, match="other layers"):
        fit(lake, visual=["visual.v0"], keep=True)
    assert fit(lake, BATCHES)["model"] != first["model"]


def test_a_dry_run_says_when_nothing_is_admitted(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    assert (cluster(lake, settings_of(lake), dry_run=True)["empty"]) is True
    assert "empty" not in cluster(lake, settings_of(lake), BATCHES, dry_run=True)
    with pytest.raises(ContractError, match="no batch is admitted"):
        cluster(lake, settings_of(lake))


def test_neither_shards_nor_threads_nor_order_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = lake_of(tmp_path / "few", per_shard=30), lake_of(tmp_path / "many", per_shard=3)
    first = fit(few)
    monkeypatch.setattr("winnow.fitting.cluster.BLOCK_ROWS", 7)
    second = cluster(many, settings_of(many, threads=1), BATCHES[::-1], params=PARAMS)
    assert first == second
    one, other = (lake.read(lake.model_key("cluster", first["model"])) for lake in (few, many))
    assert one == other


def test_a_clip_of_two_batches_counts_once(tmp_path: Path) -> None:
    lake = lake_of(tmp_path)
    write_batch(lake, "2026-11-03", range(25, 35))
    corpus = Vectors(lake, [*BATCHES, "2026-11-03"], ["visual.v0", "audio.a0"])
    corpus.content()
    assert corpus.clips == 98
    ids = np.concatenate([block["id"] for block in corpus.blocks()])
    assert len(ids) == len(set(ids.tolist())) == 98


def test_numbers_are_seen_once_whatever_is_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Seen, "RECENT", 5)
    numbers = [int(n) for n in np.random.default_rng(0).integers(0, 40, 200)] + [2**64 - 1, 2**64 - 1]
    seen, known = Seen(), set()
    for number in numbers:
        assert seen.add(number) == (number not in known)
        known.add(number)


def test_the_stage_gives_the_nearest_centres(tmp_path: Path) -> None:
    lake = lake_of(tmp_path)
    model = fit(lake)["model"]
    rows = assigned(lake, BATCHES[0])
    assert len(rows) == 60
    silent = [row for row in rows.values() if row["outcome"] == "failed"]
    assert [(row["reason"], row["detail"]) for row in silent] == [("no_input", "audio: no_audio_stream")] * 2
    centroids = Centroids.loads(lake.read(lake.model_key("cluster", model)))
    corpus = Vectors(lake, BATCHES[:1], list(centroids.layers))
    seen, named = 0, {number_of(clip): row for clip, row in rows.items()}
    for layers in corpus.blocks():
        for place, number in enumerate(layers["id"].tolist()):
            row = named[number]
            assert row["model"] == model
            for side, prefix, count in (("visual", "v", 5), ("audio", "a", 5)):
                for i in range(count):
                    name = f"{side}.{prefix}{i}"
                    c = centroids.layers[name]
                    gap = (layers[name][place] - c.frame.centre) * c.frame.factor - c.centres
                    assert row[f"{side}_clusters"][i] == (gap**2).sum(axis=1).argmin()
            seen += 1
    assert seen == 58


def test_without_centres_the_stage_says_what_to_run(tmp_path: Path) -> None:
    lake = lake_of(tmp_path)
    with pytest.raises(ConfigError, match="winnow cluster"):
        run_stage(lake, "cluster", BATCHES[0], {}, settings_of(lake))


def test_a_refit_moves_every_assignment_to_its_own_digest(tmp_path: Path) -> None:
    lake = lake_of(tmp_path)
    first = fit(lake)["model"]
    before = {row["model"] for row in assigned(lake, BATCHES[0]).values() if row["outcome"] == "ok"}
    second = fit(lake, params=KMeansParams(clusters=4))["model"]
    after = {row["model"] for row in assigned(lake, BATCHES[0]).values() if row["outcome"] == "ok"}
    assert (before, after) == ({first}, {second})


def test_pretrained_layers(tmp_path: Path) -> None:
    lake = lake_of(tmp_path)
    with pytest.raises(ContractError, match=f"winnow run open_clip --batch {BATCHES[0]}"):
        fit(lake, visual=["open_clip"], audio=["panns"])
    for batch in BATCHES:
        add_features(lake, batch, "open_clip", fails=1)
        add_features(lake, batch, "panns")
    answer = fit(lake, visual=["open_clip"], audio=["panns", "audio.a0"])
    assert answer["left_out"] == 2 + len(Lineage(lake, BATCHES[0], stage_needs()).numbers("clip")) + 3
    rows = assigned(lake, BATCHES[0])
    assert {len(row["audio_clusters"]) for row in rows.values() if row["outcome"] == "ok"} == {6}
    assert {row["detail"] for row in rows.values() if row["outcome"] == "failed"} == {
        "open_clip: no row",
        "audio: no_audio_stream",
    }


@pytest.mark.parametrize("stage", ["visual", "audio", "open_clip"])
def test_features_of_two_versions_are_neither_fitted_nor_assigned_together(tmp_path: Path, stage: str) -> None:
    lake, other = Lake(tmp_path), "1" * 12
    write_batch(lake, BATCHES[0], range(30))
    write_batch(lake, BATCHES[1], range(30, 50), v={stage: other})
    for batch, v in zip(BATCHES, (V, other), strict=True):
        add_features(lake, batch, "open_clip", v=v if stage == "open_clip" else V)
    visual = ["open_clip" if stage == "open_clip" else "visual"]
    with pytest.raises(ContractError, match=f"{stage} .*v={V}: {BATCHES[0]}; v={other}: {BATCHES[1]}.*run {stage}"):
        fit(lake, visual=visual)
    first = fit(lake, BATCHES[:1], visual=visual)["model"]
    card = json.loads(lake.read(lake.model_key("cluster", first, "json")))
    assert card["features"] == card["identity"]["features"] == {visual[0]: V, "audio": V}
    assert assigned(lake, BATCHES[0])
    with pytest.raises(ContractError, match=f"{stage} of batch {BATCHES[1]} is v={other}.* v={V}.*run {stage}"):
        assigned(lake, BATCHES[1])


def test_other_versions_of_layers_that_are_not_clustered_do_not_matter(tmp_path: Path) -> None:
    lake = lake_of(tmp_path)
    for batch, v in zip(BATCHES, (V, "1" * 12), strict=True):
        add_features(lake, batch, "open_clip", v=v)
    fit(lake)
    assert assigned(lake, BATCHES[1])


def test_what_cannot_be_clustered_is_refused(tmp_path: Path) -> None:
    lake = lake_of(tmp_path)
    with pytest.raises(ConfigError, match="no visual layer"):
        fit(lake, visual=["visual.v9"])
    with pytest.raises(ConfigError, match="each once"):
        fit(lake, audio=["audio", "audio.a1"])
    with pytest.raises(ContractError, match="no batch is admitted"):
        fit(lake, [])
    with pytest.raises(ContractError, match="winnow plan --batch 2026-12-24"):
        fit(lake, ["2026-12-24"])
    assert lake.model_current("cluster") is None
    assert fit(lake, dry_run=True)["batches"] == BATCHES
