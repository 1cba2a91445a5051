"""The decision before fetch: what it decides, that it is committed once, and when dbt is started at all."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.dbt.lake import Candidate, V, rows_of, write_table
from winnow.batch import decide
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake
from winnow.core.planned_table import DECIDE
from winnow.core.settings import Settings
from winnow.core.shard import shard_name
from winnow.core.stage import stage_columns
from winnow.release import dbt_run

BATCH = "2026-11-01"
CANDIDATES = [
    Candidate("plain"),
    Candidate("long", declared_duration_s=7201.0),
    Candidate("at the limit", declared_duration_s=7200.0),
    Candidate("segment", times=(5.0, 5.5)),
    Candidate("long segment of a long video", times=(0.0, 99.0), declared_duration_s=9999.0),
    Candidate("bad", bad_row="missing_url"),
]
REJECTED = {
    "long": "declared_too_long",
    "segment": "segment_too_short",
    "long segment of a long video": "declared_too_long",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the dbt project that a test may change."""
    copy = tmp_path / "dbt"
    shutil.copytree(Settings().dbt_dir, copy)
    return copy


@pytest.fixture
def screened(lake: Lake) -> Lake:
    """A lake with one batch that is ingested and screened."""
    write_screened(lake, CANDIDATES)
    return lake


def write_screened(lake: Lake, candidates: list[Candidate]) -> None:
    columns = stage_columns()
    rows = [rows_of(replace(c, row=i)) for i, c in enumerate(candidates)]
    ingest = write_table(lake, "ingest", BATCH, 0, [r for row in rows for r in row["ingest"]], columns["ingest"])
    lake.set_head("ingest", BATCH, {"v": V, "shards": [ingest.shard]})
    name = shard_name(0, {"ingest": ingest.sha256})
    write_table(lake, "screen", BATCH, 0, [r for row in rows for r in row["screen"]], columns["screen"], name=name)
    lake.set_head("screen", BATCH, {"v": V})


def decided(lake: Lake) -> dict[str, dict]:
    """The committed decisions, by source id."""
    head = lake.head("decide", BATCH)
    manifest = lake.manifest("decide", head["v"], BATCH, head["shards"][0])
    return {row["source_id"]: row for row in pq.read_table(io.BytesIO(lake.read_table(manifest))).to_pylist()}


def test_candidates_are_accepted_or_rejected_by_the_first_rule(screened: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(lake=screened.root)
    answer = decide.decide_fetch(BATCH, settings, screened)
    rows = decided(screened)
    assert {name: row["reason"] for name, row in rows.items() if row["outcome"] == "failed"} == REJECTED
    assert set(rows) == {c.video for c in CANDIDATES if not c.bad_row}
    assert rows["long"]["detail"] == "declared_duration_s 7201.0 > 7200.0 s"
    assert rows["segment"]["start_s"] == 5.0
    assert rows["plain"]["url"] == CANDIDATES[0].url
    assert rows["plain"]["batch"] == BATCH
    assert {k: answer[k] for k in ("computed", "rows", "accepted", "rejected", "reasons")} == {
        "computed": True,
        "rows": 5,
        "accepted": 2,
        "rejected": 3,
        "reasons": {"declared_too_long": 2, "segment_too_short": 1},
    }
    assert list(next(iter(rows.values()))) == ["sample_id", "outcome", "reason", "detail", *DECIDE.columns]

    monkeypatch.setattr(dbt_run, "run_dbt", lambda *a, **k: pytest.fail("dbt was started although nothing changed"))
    assert decide.decide_fetch(BATCH, settings, screened) == {**answer, "computed": False}


def test_a_changed_rule_decides_again_and_the_old_decision_stays(screened: Lake, project: Path) -> None:
    settings = Settings(lake=screened.root, dbt_dir=project)
    before = decide.decide_fetch(BATCH, settings, screened)
    seed = project / "seeds/thresholds.csv"
    seed.write_text(seed.read_text().replace("declared_duration_s,>,7200,", "declared_duration_s,>,9000,"))
    after = decide.decide_fetch(BATCH, settings, screened)
    assert after["computed"]
    assert after["v"] != before["v"]
    assert after["reasons"] == {"declared_too_long": 1, "segment_too_short": 1}
    assert decided(screened)["long"]["outcome"] == "ok"
    assert screened.exists(f"decide/v={before['v']}/batch={BATCH}")
    for answer, longest in ((before, 7200.0), (after, 9000.0)):
        folder = f"decide/v={answer['v']}/batch={BATCH}"
        (name,) = (name for name in screened.list(folder) if name.endswith(".json"))
        rules = json.loads(screened.read(f"{folder}/{name}"))["params"]["rules"]
        assert {rule["point"] for rule in rules} == {"fetch"}
        assert {rule["value"] for rule in rules if rule["rule"] == "declared_too_long"} == {longest}


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("seeds/thresholds.csv", lambda text: text.replace("z,<,1.645", "z,<,3")),
        ("models/reports/rpt_funnel.sql", lambda text: text + "-- later\n"),
        ("models/staging/stg_probe.sql", lambda text: text + "-- later\n"),
        ("README.md", lambda text: text + "more\n"),
        ("models/intermediate/decide_fetch.sql", lambda text: "-- said otherwise\n" + text + "\n{# more #}\n"),
        ("macros/measures.sql", lambda text: text.replace("{% macro", "{#- a macro -#}\n{% macro")),
        ("dbt_project.yml", lambda text: "# said otherwise\n" + text),
    ],
)
def test_what_the_decision_does_not_depend_on_changes_nothing(
    project: Path, file: str, changes: Callable[[str], str]
) -> None:
    before = decide.rules_digest(project)
    path = project / file
    assert changes(path.read_text()) != path.read_text()
    path.write_text(changes(path.read_text()))
    assert decide.rules_digest(project) == before


@pytest.mark.parametrize(
    ("file", "more"),
    [
        ("models/staging/stg_screen.sql", "limit 1"),
        ("models/intermediate/decide_fetch.sql", "limit 1"),
        ("macros/measures.sql", "{% macro another() %}1{% endmacro %}"),
        ("dbt_project.yml", "on-run-end: select 1"),
    ],
)
def test_what_the_decision_depends_on_changes_its_digest(project: Path, file: str, more: str) -> None:
    before = decide.rules_digest(project)
    (project / file).write_text((project / file).read_text() + f"\n{more}\n")
    assert decide.rules_digest(project) != before


def test_a_rule_that_could_never_fire_is_refused(screened: Lake, project: Path) -> None:
    seed = project / "seeds/thresholds.csv"
    seed.write_text(
        seed.read_text().replace("declared_too_long,declared_duration_s", "declared_too_long,declared_duraton_s")
    )
    with pytest.raises(ContractError, match="rules_before_fetch_name_measures_that_exist"):
        decide.decide_fetch(BATCH, Settings(lake=screened.root, dbt_dir=project), screened)
    assert screened.head("decide", BATCH) is None


def test_a_batch_that_is_not_screened_says_what_to_run(lake: Lake, screened: Lake) -> None:
    with pytest.raises(ContractError, match="winnow ingest --batch 2026-12-24"):
        decide.decide_fetch("2026-12-24", Settings(lake=lake.root), lake)
    screened.set_head("screen", BATCH, {"v": "ffffffffffff"})
    with pytest.raises(ContractError, match=f"winnow run screen --batch {BATCH}"):
        decide.decide_fetch(BATCH, Settings(lake=lake.root), lake)


def test_a_deployment_without_the_project_is_a_configuration_error(screened: Lake, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="WINNOW_DBT_DIR"):
        decide.decide_fetch(BATCH, Settings(lake=screened.root, dbt_dir=tmp_path), screened)


def test_acavs_rules_decide_where_the_dataset_asks_for_them(lake: Lake, project: Path) -> None:
    """The house's rules first, then ACAV100M's, each candidate under the first that fires; its bounds are inclusive."""
    said: dict[str, dict] = {
        "kept at 30": {"declared_duration_s": 30.0, "language": "ja"},
        "kept at 597": {
            "declared_duration_s": 597.0,
            "language": "en",
            "keyword_lists": ["artist"],
            "category": "pets",
        },
        "acav_too_short": {"declared_duration_s": 29.0, "language": "tr"},
        "acav_too_long": {"declared_duration_s": 598.0},
        "declared_too_long": {"declared_duration_s": 7201.0},
        "acav_unknown_duration": {},
        "acav_language": {"declared_duration_s": 60.0, "language": "tr", "category": "gaming"},
        "acav_gaming_category": {"declared_duration_s": 60.0, "language": "en", "category": "gaming"},
        "acav_artist": {"declared_duration_s": 60.0, "category": "music", "keyword_lists": ["artist", "officialvideo"]},
        "acav_official_video": {"declared_duration_s": 60.0, "keyword_lists": ["officialvideo", "tutorial"]},
        "acav_tutorial": {"declared_duration_s": 60.0, "keyword_lists": ["tutorial"]},
    }
    candidates = [Candidate(name, declared_duration_s=v.get("declared_duration_s")) for name, v in said.items()]
    columns = stage_columns()
    rows = [rows_of(replace(c, row=i)) for i, c in enumerate(candidates)]
    screened = [{**row["screen"][0], **said[c.video]} for row, c in zip(rows, candidates, strict=True)]
    ingest = write_table(lake, "ingest", BATCH, 0, [r for row in rows for r in row["ingest"]], columns["ingest"])
    lake.set_head("ingest", BATCH, {"v": V, "shards": [ingest.shard]})
    name = shard_name(0, {"ingest": ingest.sha256})
    write_table(lake, "screen", BATCH, 0, screened, columns["screen"], name=name)
    lake.set_head("screen", BATCH, {"v": V})

    own_rules = decide.decide_fetch(BATCH, Settings(dbt_dir=project), lake)
    assert own_rules["reasons"] == {"declared_too_long": 1}
    file = project / "dbt_project.yml"
    file.write_text(file.read_text().replace("fetch_points: [fetch]", "fetch_points: [fetch, acav]"))
    acav = decide.decide_fetch(BATCH, Settings(dbt_dir=project), lake)
    assert acav["computed"] is True
    assert acav["reasons"] == {name: 1 for name in said if not name.startswith("kept")}
    assert acav["accepted"] == 2
