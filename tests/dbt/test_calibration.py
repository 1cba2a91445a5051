"""Calibrated scores in a release: sigma of every scorer, AVSET-10M's rule switched on, and another k or tag threshold:
dbt alone runs, no manifest is touched, and what entered and left is told."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.dbt.conftest import DAYS, Built
from tests.dbt.lake import Candidate, Clip, rows_of, write_batch
from winnow.core import corpus_table
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.fitting.calibration import describe

#: z is ten times the score, and the calibration below makes it its sigma too.
Z = {"far": 2.0, "below": 3.0, "above": 3.5, "well_above": 4.25, "high": 6.0}
SPOKEN = {"speech": 0.4}


def clip_of(video: str) -> str:
    return rows_of(Candidate(video))["clip"][0]["sample_id"]


def calibration(mean: float, std: float, scorer: str = "builtin", model: str = "m") -> list[dict]:
    """Rows of the corpus table for a scorer's model: exactly this mean and deviation."""
    draw = np.random.default_rng(0).normal(size=4000)
    null = (draw - draw.mean()) / draw.std() * std + mean
    values = {"corresponding": null[:500] + 5 * std, "random": null[:500], "non_corresponding": null}
    same = {"scorer": scorer, "model": model, "basis": "videos", "clips": 90, "folds": 3, "seed": 0}
    return [{**same, "kind": kind, "batches": list(DAYS), **of} for kind, of in describe(values).items()]


def project(folder: Path, k: float, speech: float, points: str, scorer: str = "builtin") -> Path:
    """The dbt project with another k, another threshold of tags, other points that decide, and AVSET-10M's scorer."""
    out = folder / "dbt"
    shutil.copytree(Settings().dbt_dir, out)
    seed, settings = out / "seeds/thresholds.csv", out / "dbt_project.yml"
    text, changed = re.subn(r"(sigma_avset,<=),3,", rf"\g<1>,{k:g},", seed.read_text())
    text, changed_too = re.subn(r"(speech_heard,speech,>=),0\.3,", rf"\g<1>,{speech:g},", text)
    seed.write_text(text)
    words, switched = re.subn(r"release_points: \[release\]", f"release_points: [{points}]", settings.read_text())
    words, asked = re.subn(r"avset_scorer: builtin", f"avset_scorer: {scorer}", words)
    settings.write_text(words)
    assert (changed, changed_too, switched, asked) == (1, 1, 1, 1)
    return out


@pytest.fixture(scope="module")
def calibrated(
    build: Callable[..., Built], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Lake, Built, Built, list]:
    """A lake whose scorer is calibrated, two releases of it with other thresholds, and its files between them."""
    lake = Lake(tmp_path_factory.mktemp("lake"))
    listed = [Candidate(name, clips=(Clip(z=z),)) for name, z in Z.items()]
    listed += [Candidate("spoken", clips=(Clip(z=6.0, tags=SPOKEN),))]
    listed += [Candidate("recycled", clips=(Clip(z=1.0, tags={"speech": 0.9}, residual_z=5.0),))]
    write_batch(lake, DAYS[0], 0, listed)
    write_batch(lake, DAYS[1], 1, [Candidate("far", times=(0.0, 10.0))])  # the same seconds again
    corpus_table.replace(lake, "calibration", calibration(0.0, 0.1), provenance={})
    first = build(lake, dbt_dir=project(tmp_path_factory.mktemp("first"), 3, 0.3, "release, avset"))
    first.publish("first")
    before = files(lake)
    second = build(lake, dbt_dir=project(tmp_path_factory.mktemp("second"), 4, 0.5, "release, avset"))
    return lake, first, second, [before, files(lake)]


def files(lake: Lake) -> dict[str, tuple[bytes, int]]:
    """Every stage table, manifest, stand and corpus table: bytes and time of change."""
    made = {"cache", "parts"}
    kept = [p for p in sorted(Path(lake.root).rglob("*")) if p.is_file() and made.isdisjoint(p.parts)]
    return {p.relative_to(lake.root).as_posix(): (p.read_bytes(), p.stat().st_mtime_ns) for p in kept}


def test_every_score_has_its_sigma_threshold_and_answer(calibrated: tuple) -> None:
    _, first, _, _ = calibrated
    asked = "select score, sigma, k, threshold, passes from fct_scores where sample_id = '{}' and scorer = '{}'"
    for name, z in Z.items():
        assert first.rows(asked.format(clip_of(name), "builtin")) == [
            (pytest.approx(z / 10), pytest.approx(z), 3.0, pytest.approx(0.3), z > 3)
        ]
    assert first.rows(asked.format(clip_of("high"), "sync")) == [(0.5, None, 3.0, None, None)]
    sounds = dict(
        first.rows(
            f"select sound, sigma from fct_scores where sample_id = '{clip_of('recycled')}' and scorer = 'builtin'"
        )
    )
    assert sounds == {"mixture": pytest.approx(1), "residual": pytest.approx(5)}
    (told,) = first.rows(
        "select k, threshold, non_corresponding_pairs, clips, clips_below from rpt_calibration where scorer = 'builtin'"
    )
    assert told == (3.0, pytest.approx(0.3), 4000, 7, 3)  # far, below, and recycled as it was recorded


def test_the_rule_decides_where_it_is_switched_on(calibrated: tuple) -> None:
    _, first, _, _ = calibrated
    ends = dict(first.rows("select sample_id, coalesce(first_failed_rule, status) from fct_clips"))
    expected = {
        "far": "avset_low_correspondence",
        "below": "avset_low_correspondence",
        "above": "kept",
        "well_above": "kept",
        "high": "kept",
        "spoken": "covered",
        "recycled": "kept",
    }
    assert {name: ends[clip_of(name)] for name in expected} == expected
    counted = dict(first.rows("select rule, pass_alone from rpt_release_rules where decides"))
    assert counted["avset_low_correspondence"] == 5
    assert (counted["avset_uncalibrated"], counted["low_correspondence"]) == (7, 6), "a covered clip has no effective z"
    assert first.rows(
        f"select reason, measure, measured, threshold from fct_removed where sample_id = '{clip_of('below')}'"
    ) == [("avset_low_correspondence", "sigma_avset", pytest.approx(3.0), 3.0)]


def test_another_k_or_tag_threshold_touches_no_manifest_and_says_what_entered_and_left(calibrated: tuple) -> None:
    _, _, second, (before, after) = calibrated
    assert before == after
    assert sum(name.endswith(".json") and "/v=" in name for name in after) > 20, "the manifests were looked at"
    changes = set(second.rows("select sample_id, change, coalesce(rule_before, rule_now) from ops.rpt_changes"))
    assert changes == {
        (clip_of("above"), "left", "avset_low_correspondence"),
        (clip_of("spoken"), "entered", "covered"),
    }
    assert len(second.rows("select * from fct_scores where k = 4")) == len(second.rows("select * from fct_scores"))
    rules = set(second.rows("select rule, compared_before, compared_now from ops.rpt_rule_changes"))
    assert ("avset_low_correspondence", "sigma_avset <= 3 sigma", "sigma_avset <= 4 sigma") in {
        (rule, re.sub(r"\.0\b", "", old or ""), re.sub(r"\.0\b", "", new or "")) for rule, old, new in rules
    }


def test_the_sweep_falls_and_is_the_normal_distributions(calibrated: tuple) -> None:
    _, first, second, _ = calibrated
    swept = first.rows(
        "select k, non_corresponding_share, corresponding_share, clips_kept from rpt_calibration_sweep "
        "where scorer = 'builtin' order by k"
    )
    assert len(swept) == 21
    for (_, *one), (_, *two) in pairwise(swept):
        assert all(a >= b for a, b in zip(one, two, strict=True))
    at = {k: rest for k, *rest in swept}
    assert at[1.0][0] == pytest.approx(0.1587, abs=0.02)
    assert at[2.0][0] == pytest.approx(0.0228, abs=0.01)
    assert at[3.0][1] == pytest.approx(0.977, abs=0.02)
    assert [at[k][2] for k in (0.0, 2.0, 3.0, 4.0, 5.0)] == [7, 5, 4, 3, 2]
    assert (
        second.rows(
            "select k, non_corresponding_share, corresponding_share, clips_kept from rpt_calibration_sweep "
            "where scorer = 'builtin' order by k"
        )
        == swept
    )


def test_without_a_calibration_nothing_changes_and_the_rule_would_say_so(release: Built) -> None:
    assert release.rows("select count(*) from fct_clips where flag = 0 and effective_z is distinct from z") == [(0,)]
    ((clips,),) = release.rows("select count(*) from fct_clips")
    assert release.rows("select rule, decides, pass_alone from rpt_release_rules where point = 'avset' order by 1") == [
        ("avset_low_correspondence", False, 0),  # nothing has a sigma that could pass
        ("avset_no_score", False, clips),
        ("avset_uncalibrated", False, 0),
    ]
    told = release.rows("select scorer, threshold, clips from rpt_calibration order by 1")
    assert [(scorer, threshold) for scorer, threshold, _ in told] == [
        ("builtin", None),
        ("semantic", None),
        ("sync", None),
    ]
    assert min(clips for *_, clips in told) > 50


def test_a_recycled_clip_is_judged_by_avsets_scorer_of_its_residual(
    build: Callable[..., Built], lake: Lake, tmp_path: Path
) -> None:
    """By another scorer than the built-in one: high enough, too low, and not scored, which is not uncalibrated."""
    flagged = {"z": 6.0, "tags": {"speech": 0.9}, "residual_z": 5.0}
    clips = {
        "plain": Clip(z=6.0, two_tower=(0.5, None)),
        "good": Clip(**flagged, two_tower=(0.1, 0.5)),
        "bad": Clip(**flagged, two_tower=(0.5, 0.2)),
        "silent": Clip(**flagged, two_tower=(0.5, None)),
        "unseen": Clip(z=6.0),
        "failed": Clip(z=6.0, two_tower=(0.5, None), failed={"two_tower": "undecodable"}),
    }
    write_batch(lake, DAYS[0], 0, [Candidate(name, clips=(clip,)) for name, clip in clips.items()])
    calibrated = [*calibration(0.0, 0.1), *calibration(0.0, 0.1, "two_tower", "t")]
    corpus_table.replace(lake, "calibration", calibrated, provenance={})
    built = build(lake, dbt_dir=project(tmp_path, 3, 0.3, "release, avset", "two_tower"))
    ends = dict(built.rows("select sample_id, coalesce(first_failed_rule, status) from fct_clips"))
    assert {name: ends[clip_of(name)] for name in clips} == {
        "plain": "kept",
        "good": "kept",
        "bad": "avset_low_correspondence",
        "silent": "avset_no_score",
        "unseen": "avset_no_score",
        "failed": "avset_no_score",
    }
    assert set(built.rows("select sample_id, avc, avc_sound, flag from avset_clips")) == {
        (clip_of("plain"), 0.5, "mixture", 0),
        (clip_of("good"), 0.5, "residual", 1),
    }
    asked = "select reason, measured, scorer, sound, score from fct_removed where sample_id = '{}' and kind = 'rule'"
    assert built.rows(asked.format(clip_of("bad"))) == [
        ("avset_low_correspondence", pytest.approx(2.0), "two_tower", "residual", 0.2)
    ]
    assert built.rows(asked.format(clip_of("silent"))) == [("avset_no_score", 0.0, None, None, None)]
