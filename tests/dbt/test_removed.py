"""The ledger of what was removed, what people say of it, and what another threshold changes: one lake, built twice."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.dbt.conftest import DAYS, Built
from tests.dbt.lake import Candidate, Clip, V, rows_of, write_batch, write_table
from winnow.core import corpus_table
from winnow.core.errors import ContractError
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.core.stage import stage_columns
from winnow.estimates.precision import stratified, wilson
from winnow.fitting.calibration import describe
from winnow.release.dbt_run import run_dbt

LONG = "declared_duration_s 9000.5 > 7200.0 s"
SILENT, FROZEN = {"silence_ratio": 1.0}, {"stillness": 1.0}
FATES = {
    "bad": Candidate("a", bad_row="missing_url"),
    "long": Candidate(
        "b", rejected="declared_too_long", rejected_for=LONG, times=(0.0, 90.0), declared_duration_s=8000
    ),
    "gone": Candidate("c", fetch_reason="gone"),
    "broken": Candidate("d", clip_reason="undecodable"),
    "waits": Candidate("e", stops_before="fetch"),
    "unscored": Candidate("f", clips=(Clip(absent=("correspond",)),)),
    "all_of_it": Candidate("g", clips=(Clip(0, 2.5, 0.5, probe={**SILENT, **FROZEN}),)),
    "unread": Candidate("h", clips=(Clip(failed={"visual": "undecodable", "correspond": "no_input"}),)),
    "apart": Candidate("i", clips=(Clip(0, 10, 1.25),)),
    **{f"kept{n}": Candidate(f"k{n}", clips=(Clip(0, 10, float(z)),)) for n, z in enumerate((3, 4, 5, 6))},
    "covered": Candidate("l", labels=("Dog",), clips=(Clip(tags={"speech": 0.75, "music": 0.1}),)),
    "listed": Candidate("m", labels=("Speech", "Dog"), clips=(Clip(tags={"speech": 0.1, "outside_dbfs": -90.0}),)),
    "both": Candidate("n", clips=(Clip(0, 10, 0.5),)),
}
#: Rows of stages that few lakes have, all of the second shard: stage, clip, what it says of it.
MORE = [
    ("panns", "listed", {"outcome": "ok", "speech": 0.2, "music": 0.1, "other": 0.9, "tagger": "cnn14@p"}),
    ("panns", "both", {"outcome": "failed", "reason": "no_input"}),
    ("bridge", "both", {"outcome": "failed", "reason": "no_input"}),
    ("joint", "both", {"outcome": "failed", "reason": "undecodable"}),
    ("two_tower", "both", {"outcome": "ok", "score": 1.0, "model": "t"}),
    ("two_tower", "covered", {"outcome": "failed", "reason": "no_input"}),
]
VERDICTS = [
    ("kept0", "ann", "does_not"),
    ("kept1", "ann", "corresponds"),
    ("kept2", "ann", "corresponds"),
    ("kept2", "bob", "does_not"),
    ("apart", "ann", "corresponds"),
    ("apart", "bob", "corresponds"),
]


def clip_of(name: str) -> str:
    """Id of a candidate's only clip."""
    return rows_of(FATES[name])["clip"][0]["sample_id"]


@pytest.fixture(scope="module")
def first(build: Callable[..., Built], tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The release that is audited, and published."""
    lake = Lake(tmp_path_factory.mktemp("removed"))
    head, columns = write_batch(lake, DAYS[0], 0, FATES.values(), admit=False), stage_columns()
    for stage in sorted({stage for stage, _, _ in MORE}):
        rows = [{"sample_id": clip_of(name), **said} for at, name, said in MORE if at == stage]
        made = write_table(lake, stage, DAYS[0], 1, rows, columns[stage])
        file = {"shard": made.shard, "path": lake.table_key(made), "sha256": made.sha256, "rows": made.rows}
        head["stages"][stage] = {"v": V, "files": [file]}
    lake.write(f"batches/{DAYS[0]}.json", json.dumps(head).encode())
    draw = np.random.default_rng(0).normal(size=500)
    pairs = describe({"corresponding": draw + 5, "random": draw, "non_corresponding": draw})
    same = {"basis": "videos", "clips": 90, "folds": 3, "seed": 0, "batches": [DAYS[0]]}
    rows = [
        {"scorer": scorer, "model": model, "kind": kind, **same, **of}
        for scorer, model in (("builtin", "m"), ("two_tower", "t"))
        for kind, of in pairs.items()
    ]
    corpus_table.replace(lake, "calibration", rows, provenance={})
    # The same seconds as kept0's once more.
    write_batch(lake, DAYS[1], 1, [Candidate("k0", times=(0.0, 10.0))])
    built = build(lake)
    built.publish("0123456789ab")
    return built


@pytest.fixture(scope="module")
def second(build: Callable[..., Built], first: Built, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The next one, of the same tables: another threshold, and what people said of the first."""
    strata = {
        "kept / low": ["kept0", "kept1"],
        "kept / high": ["kept2", "kept3"],
        "dropped / low_correspondence": ["apart"],
    }
    rows = [
        {
            "audit": "a1",
            "release": "0123456789ab",
            "sample_id": clip_of(name),
            "stratum": stratum,
            "drawn": len(names),
            "status": stratum.split(" / ")[0],
            "rule": stratum.split(" / ")[1] if "dropped" in stratum else "",
            "position": 0,
            "population": 10 * len(names),
            "seed": 0,
        }
        for stratum, names in strata.items()
        for name in names
    ]
    corpus_table.add(first.lake, "audit_sample", rows, provenance={})
    said = [
        {"release": "0123456789ab", "sample_id": clip_of(name), "reviewer": who, "verdict": verdict}
        for name, who, verdict in VERDICTS
    ]
    corpus_table.add(first.lake, "verdict", said, provenance={})
    project = tmp_path_factory.mktemp("project") / "dbt"
    shutil.copytree(Settings().dbt_dir, project)
    seed = project / "seeds" / "thresholds.csv"
    seed.write_text(re.sub(r"(low_correspondence,effective_z,<),1.645,", r"\1,4.5,", seed.read_text()))
    return build(first.lake, dbt_dir=project)


def removed(built: Built, columns: str, name: str) -> set[tuple]:
    bad = "reason = 'missing_url'" if name == "bad" else f"candidate_id = '{FATES[name].id}' and batch = '{DAYS[0]}'"
    return set(built.rows(f"select {columns} from fct_removed where {bad}"))


# -- the ledger --------------------------------------------------------------------------------------------------------
def test_every_rule_that_fires_and_every_failure_stands_in_the_ledger(first: Built) -> None:
    why = "step, kind, reason, is_first"
    assert removed(first, why, "bad") == {("ingest", "failure", "missing_url", True)}
    assert removed(first, why, "gone") == {("fetch", "failure", "gone", True)}
    assert removed(first, why, "broken") == {("clip", "failure", "undecodable", True)}
    assert removed(first, why, "waits") == removed(first, why, "unscored") == set()
    assert removed(first, why, "kept0") == set()
    assert removed(first, why, "all_of_it") == {
        ("release", "rule", "too_short", True),
        ("release", "rule", "silent", False),
        ("release", "rule", "frozen", False),
        ("release", "rule", "low_correspondence", False),
    }
    assert removed(first, why, "unread") == {
        ("release", "rule", "unmeasured", True),
        ("visual", "failure", "undecodable", False),
        ("correspond", "failure", "no_input", False),
    }
    assert first.rows(f"select reason, measured, is_first from fct_removed where batch = '{DAYS[1]}'") == [
        ("duplicate_clip", 2.0, True)
    ]


def test_a_row_says_what_was_measured_against_what_by_whom(first: Built) -> None:
    compared = "reason, measure, measured, op, threshold, unit"
    assert removed(first, compared, "apart") == {("low_correspondence", "effective_z", 1.25, "<", 1.645, "sigma")}
    assert removed(first, "sample_id, score, sound, scorer, model, detail, start_s, end_s, url", "apart") == {
        (
            clip_of("apart"),
            0.125,
            "mixture",
            "builtin",
            "m",
            "effective_z 1.25 < 1.645 sigma",
            0.0,
            10.0,
            FATES["apart"].url,
        )
    }
    # Before fetch the decision's own figures count, whatever the list and the rules say now; other rules as they are.
    assert removed(first, f"is_first, {compared}", "long") == {
        (True, "declared_too_long", "declared_duration_s", 9000.5, ">", 7200.0, "s"),
        (False, "segment_too_long", "segment_s", 90.0, ">", 60.0, "s"),
    }
    assert removed(first, "detail, start_s, end_s, sample_id, scorer", "bad") == {(None, None, None, "", None)}


def test_what_a_tagger_decided_names_the_tag_its_threshold_and_the_tagger(first: Built) -> None:
    why = "step, reason, is_first, measure, measured, op, threshold, score, sound, scorer, model, detail"
    assert removed(first, why, "covered") == {
        (
            "release",
            "covered",
            True,
            "is_covered",
            1.0,
            "=",
            1.0,
            0.75,
            "mixture",
            "tags",
            "t",
            "speech heard, not listed",
        ),
        ("separate", "speech_heard", False, "speech", 0.75, ">=", 0.3, 0.75, "mixture", "tags", "t", None),
        (
            "separate",
            "heard_outside_speech",
            False,
            "outside_dbfs",
            -30.0,
            ">=",
            -70.0,
            -30.0,
            "mixture",
            "tags",
            "t",
            None,
        ),
        ("two_tower", "no_input", False, *[None] * 4, 0.5, "mixture", "builtin", "m", None),
    }
    # The list decides, and no tag does: the network's score of Speech is low.
    assert removed(first, why, "listed") == {
        (
            "release",
            "covered",
            True,
            "is_covered",
            1.0,
            "=",
            1.0,
            0.2,
            "mixture",
            "panns",
            "cnn14@p",
            "Speech listed beside another class",
        ),
        ("separate", "other_heard", False, "other", 0.9, ">=", 0.3, 0.9, "mixture", "panns", "cnn14@p", None),
    }


def test_several_scorers_that_decide_are_all_named_and_those_that_failed(first: Built) -> None:
    assert removed(first, "step, reason, is_first, score, sound, scorer, model", "both") == {
        ("release", "low_correspondence", True, None, "mixture", "builtin, two_tower", "m, t"),
        *(
            (stage, reason, False, 0.05, "mixture", "builtin", "m")
            for stage, reason in (("panns", "no_input"), ("bridge", "no_input"), ("joint", "undecodable"))
        ),
    }


def test_the_removed_are_a_table_of_clips(first: Built) -> None:
    names = "select column_name, column_type from (describe {})"
    assert first.rows(names.format("removed_clips")) == first.rows(names.format("fct_clips"))
    wanted = {clip_of(name) for name in ("all_of_it", "unread", "apart", "covered", "listed", "both")}
    assert {row[0] for row in first.rows("select sample_id from removed_clips")} == wanted
    apart = {row[0] for row in first.rows("select sample_id from non_corresponding_clips")}
    assert apart == {clip_of("apart"), clip_of("both")}


def test_the_ledger_adds_up_to_the_funnel_and_names_the_outcomes(release: Built) -> None:
    funnel = release.rows("select batch, step, items_in - passed - pending from rpt_funnel")
    counts = Counter(dict.fromkeys(((b, s) for b, s, _ in funnel), 0))
    counts.update(release.rows("select batch, step from fct_removed where is_first"))
    assert counts == {(batch, step): lost for batch, step, lost in funnel}
    same = "batch, candidate_id, sample_id, step, reason"
    ended = release.rows(f"select {same} from fct_outcomes where status in ('dropped', 'failed') order by all")
    assert release.rows(f"select {same} from fct_removed where is_first order by all") == ended
    assert len(ended) > 60


def test_a_hole_in_the_ledger_stops_the_build(first: Built, tmp_path: Path) -> None:
    project = tmp_path / "dbt"
    shutil.copytree(Settings().dbt_dir, project)
    model = project / "models/marts/fct_removed.sql"
    model.write_text(model.read_text() + "    and judged.reason != 'gone'\n")
    shutil.copytree(first.work / "dbt", tmp_path / "out")
    settings = Settings(lake=first.lake.root, dbt_dir=project)
    variables = json.dumps({"split_policy": "hash"})
    selection = ["--select", "fct_removed", "--exclude-resource-type", "unit_test"]
    with pytest.raises(ContractError) as failure:
        run_dbt(["build", "--vars", variables, *selection], tmp_path / "out", settings)
    assert "test removed_names_the_outcomes_reason" in str(failure.value)
    assert "test removed_adds_up_to_the_funnel" in str(failure.value)


# -- another threshold -------------------------------------------------------------------------------------------------
def test_another_threshold_names_the_clips_that_left_and_the_rule(second: Built) -> None:
    assert second.rows("select rule, change, compared_before, compared_now from ops.rpt_rule_changes") == [
        ("low_correspondence", "changed", "effective_z < 1.645 sigma", "effective_z < 4.5 sigma")
    ]
    left = (
        "select sample_id, rule_now, detail_now, label from ops.rpt_changes where change = 'left' order by detail_now"
    )
    assert second.rows(left) == [
        (clip_of(name), "low_correspondence", f"effective_z {z} < 4.5 sigma", "dog")
        for name, z in (("kept0", 3.0), ("kept1", 4.0))
    ]
    assert second.rows("select count(*) from ops.rpt_changes") == [(2,)]
    assert {row[0] for row in second.rows("select sample_id from non_corresponding_clips")} == {
        clip_of(name) for name in ("apart", "both", "kept0", "kept1")
    }


# -- an audit ----------------------------------------------------------------------------------------------------------
def test_an_audit_of_the_release_before_is_estimated_and_says_what_moved(second: Built) -> None:
    [kept] = second.rows(
        "select population, drawn, reviewed, corresponds, does_not, unsure, disputed, moved, share, share_low,"
        " share_high, covered_share, strata_judged from rpt_audit where scope = 'status' and part = 'kept'"
    )
    assert kept[:8] == (40, 4, 3, 1, 1, 1, 1, 2)
    # Only the lower stratum has a verdict: one of two.
    assert kept[8:11] == pytest.approx((0.5, *wilson(1, 2)), abs=1e-6)
    assert kept[11:] == (0.5, 1)
    [(share, low, high)] = second.rows(
        "select share, share_low, share_high from rpt_audit where part = 'low_correspondence'"
    )
    assert (share, low, high) == pytest.approx(stratified([(10, 1, 1)]), abs=1e-6)
    assert second.rows(
        f"select verdict, is_disputed, status_now from fct_audit where sample_id = '{clip_of('kept2')}'"
    ) == [("unsure", True, "kept")]
    agreement = "select reviewers, clips_compared, clips_unanimous, agreement from rpt_audit_agreement order by 1"
    assert second.rows(agreement) == [("1 and 2", 2, 1, 0.0), ("all", 2, 1, 0.0)]


def test_without_an_audit_there_are_no_rows(first: Built) -> None:
    assert [first.rows(f"select count(*) from {t}") for t in ("rpt_audit", "fct_audit", "rpt_audit_agreement")] == [
        [(0,)]
    ] * 3
