"""ACAV100M's tables: a selection's order is cut by a rule, in each of its rounds, and what it holds is added up."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from tests.dbt.conftest import DAYS, Built
from tests.dbt.lake import Candidate, Clip, V, write_batch, write_table
from winnow.core import corpus_table
from winnow.core.lake import Lake
from winnow.core.sample import clip_id
from winnow.core.settings import Settings
from winnow.core.stage import stage_columns
from winnow.exports import acav
from winnow.release.dbt_run import run_dbt

ROOT = Path(__file__).resolve().parents[2]
MODEL = "0123456789ab"


def videos(day: int, count: int) -> list[Candidate]:
    """Kept clips of a day, two of a video: even ones with all a list can say, odd ones without an id of their own."""
    clips = (Clip(0.0, 10.0), Clip(69.5, 79.5))
    return [Candidate(f"AbCdEfGh{day}-{i}", clips=clips, row=i) for i in range(count)]


def clip_ids(candidates: list[Candidate]) -> list[str]:
    return [clip_id(c.video_id, clip.start_s, clip.end_s) for c in candidates for clip in c.clips]


def write_clustered(lake: Lake, day: int, candidates: list[Candidate]) -> None:
    """One admitted batch whose clips are assigned to clusters."""
    head = write_batch(lake, DAYS[day], day, candidates, shard_size=4, admit=False)
    files = []
    columns = stage_columns()["cluster"]
    for number in range(0, len(candidates), 4):
        values = {"outcome": "ok", "visual_clusters": [number, 1], "audio_clusters": [2, 3], "model": MODEL}
        rows = [{"sample_id": clip, **values} for clip in clip_ids(candidates[number : number + 4])]
        m = write_table(lake, "cluster", DAYS[day], number // 4, rows, columns)
        files.append({"shard": m.shard, "path": lake.table_key(m), "sha256": m.sha256, "rows": m.rows})
    head["stages"]["cluster"] = {"v": V, "files": files}
    lake.write(f"batches/{DAYS[day]}.json", json.dumps(head).encode())


def selection(rounds: list[tuple[list[str], int]], among: str = "kept") -> list[dict]:
    """Rows of a selection: of every round its candidates, and how many of them were put in order."""
    rows, position = [], 0
    for number, (clips, count) in enumerate(rounds, 1):
        for place, clip in enumerate(clips):
            row = {
                "sample_id": clip,
                "round": number,
                "round_candidates": len(clips),
                "among": among,
                "pairing": "bipartite",
                "method": "batch 20:1 mi uniform seed 0",
                "model": MODEL,
            }
            if place < count:
                row |= {"position": position, "round_position": place, "gain": 0.5 / (position + 1)}
                position += 1
            rows.append(row)
    return rows


@pytest.fixture(scope="module")
def world(build: Callable[..., Built], tmp_path_factory: pytest.TempPathFactory) -> tuple[Built, list[list[str]]]:
    """Two days of 10 videos; the first day's 20 clips stood in round 1, the second's in round 2, half put in order. In
    a third round a clip that is not kept stood as a kept one, one as one of all that are admitted, and one is gone."""
    lake = Lake(tmp_path_factory.mktemp("acav"))
    weak = [Candidate(f"weak{i}", clips=(Clip(0.0, 10.0, z=0.1),), row=10 + i) for i in range(2)]
    days = [videos(0, 10), [*videos(1, 10), *weak]]
    for day, candidates in enumerate(days):
        write_clustered(lake, day, candidates)
    ids = [clip_ids(days[0]), clip_ids(videos(1, 10)), [*clip_ids(weak), "f" * 20]]
    rows = selection([(ids[0], 10), (ids[1], 10), (ids[2], 3)])
    for row in rows[-3:]:
        row |= {"round_candidates": 20, "among": "admitted" if row["sample_id"] != ids[2][0] else "kept"}
    corpus_table.replace(lake, "selection", rows, provenance={})
    return build(lake), ids


def test_the_order_is_cut_at_the_share_in_every_round(world: tuple[Built, list[list[str]]]) -> None:
    built, ids = world
    rows = built.rows("SELECT sample_id, round, position, is_selected FROM acav_clips ORDER BY position")
    assert len(rows) == 43
    assert {row[0] for row in rows if row[3] and row[1] < 3} == {*ids[0][:4], *ids[1][:4]}
    assert [row[2] for row in rows if row[2] is not None] == list(range(23))
    [(cluster, model)] = built.rows(f"SELECT visual_clusters, model FROM acav_clips WHERE sample_id = '{ids[0][0]}'")
    assert (cluster, model) == ([0, 1], MODEL)


def test_a_clip_that_is_not_kept_is_selected_only_where_all_stood(world: tuple[Built, list[list[str]]]) -> None:
    built, ids = world
    rows = built.rows("SELECT sample_id, status, is_selected FROM acav_clips WHERE round = 3 ORDER BY position")
    assert rows == [(ids[2][0], "dropped", False), (ids[2][1], "dropped", True), ("f" * 20, None, False)]


def test_another_share_is_cut_without_computing_the_order_again(
    world: tuple[Built, list[list[str]]], tmp_path: Path
) -> None:
    """A copy of the project in which only the number differs, built as far as the one table."""
    project, out = tmp_path / "project", tmp_path / "dbt"
    shutil.copytree(ROOT / "dbt", project, ignore=shutil.ignore_patterns("target", "logs"))
    path = project / "seeds" / "thresholds.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rules = list(csv.DictReader(file))
    for rule in rules:
        rule["value"] = "0.35" if rule["rule"] == "beyond_share" else rule["value"]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rules[0])
        writer.writeheader()
        writer.writerows(rules)
    built, ids = world
    shutil.copytree(built.work / "dbt", out)
    assert selected(out) == {*ids[0][:4], *ids[1][:4]}
    settings = Settings(lake=built.lake.root, dbt_dir=project)
    variables = json.dumps({"split_policy": "hash"})
    run_dbt(["build", "--select", "thresholds", "acav_clips", "--vars", variables], out, settings)
    assert selected(out) == {*ids[0][:7], *ids[1][:7]}


def selected(out: Path) -> set[str]:
    """Selected clips of the first two rounds in dbt's own file."""
    with duckdb.connect(str(out / "warehouse.duckdb"), read_only=True) as con:
        query = "SELECT sample_id FROM main.acav_clips WHERE is_selected AND round < 3"
        return {clip for (clip,) in con.execute(query).fetchall()}


def test_information_adds_up_and_batches_are_counted(world: tuple[Built, list[list[str]]]) -> None:
    built, _ = world
    curve = built.rows(
        "SELECT percent, clips, clips_selected, information_nats, information_share "
        "FROM rpt_acav_selection ORDER BY percent"
    )
    assert [row[:2] for row in curve] == [(3, 3), (8, 6), *((3 + 5 * i, 2 * i + 5) for i in range(2, 10))]
    assert [row[2] for row in curve] == [2, 5, 7, *[9] * 7]
    assert curve[-1][3] == pytest.approx(sum(0.5 / (i + 1) for i in range(23)), abs=1e-9)
    assert curve[-1][4] == 1.0
    assert built.rows("SELECT * FROM rpt_acav_batches ORDER BY batch") == [
        (DAYS[0], 20, 10, 4, 0.2, 1, 1),
        (DAYS[1], 22, 12, 5, 5 / 22, 2, 3),
    ]


def test_the_export_lists_what_is_selected(world: tuple[Built, list[list[str]]], tmp_path: Path) -> None:
    built, _ = world
    written = acav.write(built.work / "tables", tmp_path)
    assert written["output.csv"] == 9
    assert (built.work / "exports" / "acav" / "output.csv").read_bytes() == (tmp_path / "output.csv").read_bytes()


def test_a_corpus_without_a_selection_has_empty_tables(release: Built, tmp_path: Path) -> None:
    for table in ("acav_clips", "rpt_acav_selection", "rpt_acav_batches"):
        assert release.rows(f"SELECT count(*) FROM {table}") == [(0,)]
    assert acav.write(release.work / "tables", tmp_path) == {}
