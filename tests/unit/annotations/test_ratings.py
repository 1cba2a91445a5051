"""Ratings as CSV and as Label Studio exports them; agreement and calibrated coincidence by known values."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pyarrow as pa
import pytest

from winnow.annotations.ratings import read_ratings
from winnow.core import corpus_table
from winnow.core.lake import Lake
from winnow.core.sample import clip_id, sid
from winnow.estimates.agreement import agreement
from winnow.estimates.platt import platt, probabilities
from winnow.sources import yfcc_path

PATH = "data/videos/mp4/827/f6b/827f6b53467db2d5218ed8247418c4c.mp4"
CLIP = clip_id(sid("video", yfcc_path.URL_PREFIX + PATH), 1.5, 6.5)
HEADER = "video,start_s,end_s,rater_id,onscreen_present,offscreen_present,created_at\n"


def csv_rows(tmp_path: Path, text: str) -> list:
    path = tmp_path / "ratings.csv"
    path.write_text(text, encoding="utf-8")
    return list(read_ratings(path))


# -- CSV ---------------------------------------------------------------------------------------------------------------
def test_a_csv_names_clips_by_path_and_times_or_by_id(tmp_path: Path) -> None:
    text = f"{HEADER}{PATH},1.5,6.5,anna,yes,no,2026-11-01T09:30:00+02:00\n"
    [row] = csv_rows(tmp_path, text)
    assert row.values == {
        "sample_id": CLIP,
        "video": PATH,
        "start_s": 1.5,
        "end_s": 6.5,
        "rater_id": "anna",
        "onscreen_present": True,
        "offscreen_present": False,
        "created_at": "2026-11-01T07:30:00.000000Z",
    }
    [row] = csv_rows(tmp_path, f"clip_id,Rater,On-Screen,off screen\n{CLIP},7,1,unsure\n")
    assert row.values["sample_id"] == CLIP
    assert (row.values["onscreen_present"], row.values["offscreen_present"]) == (True, None)
    assert (row.values["rater_id"], row.values["created_at"]) == ("7", None)


def test_the_rows_fit_the_corpus_table(tmp_path: Path) -> None:
    rows = csv_rows(tmp_path, f"{HEADER}{PATH},1.5,6.5,anna,yes,,2026-11-01\n")
    done = corpus_table.add(Lake(tmp_path / "lake"), "rating", [row.values for row in rows], provenance={})
    assert (done["rows"], done["computed"]) == (1, True)


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (f"{PATH},1.5,6.5,anna,maybe,no,", "onscreen_present is 'maybe'"),
        (f"{PATH},1.5,,anna,yes,no,", "names no clip"),
        (f"{PATH},6.5,1.5,anna,yes,no,", "not after its start"),
        (f"{PATH},-1,4,anna,yes,no,", "start is '-1'"),
        (f"{PATH},1.5,nan,anna,yes,no,", "end is 'nan'"),
        (f"{PATH},1.5,6.5,,yes,no,", "rater_id is missing"),
        (f"{PATH},1.5,6.5,anna,yes,no,yesterday", "created_at is 'yesterday'"),
        (f"{PATH.replace('/f6b/', '/f6c/')},1.5,6.5,anna,yes,no,", "first characters"),
        ("file:///etc/passwd,1.5,6.5,anna,yes,no,", "a list may not name file"),
        (f"{PATH},1.5,6.5,anna,yes", "5 cells under 7 columns"),
    ],
)
def test_a_bad_row_says_what_is_wrong_and_spoils_only_itself(tmp_path: Path, record: str, why: str) -> None:
    good = f"{PATH},1.5,6.5,anna,yes,no,\n"
    rows = csv_rows(tmp_path, f"{HEADER}{good}{record}\n{good}")
    assert [row.values is None for row in rows] == [False, True, False]
    assert "line 3" in rows[1].problem
    assert why in rows[1].problem


def test_an_id_that_is_not_the_clip_of_those_times_is_refused(tmp_path: Path) -> None:
    text = (
        f"sample_id,{HEADER}{'0' * 20},{PATH},1.5,6.5,anna,yes,no,\n{CLIP},{PATH},1.5,6.5,anna,yes,no,\nx,,,,a,1,1,\n"
    )
    rows = csv_rows(tmp_path, text)
    assert CLIP in rows[0].problem
    assert rows[1].values["sample_id"] == CLIP
    assert "20 hexadecimal digits" in rows[2].problem


def test_a_file_of_other_columns_is_one_problem(tmp_path: Path) -> None:
    [row] = csv_rows(tmp_path, "a,b\n1,2\n3,4\n")
    assert "no column for rater_id" in row.problem
    assert csv_rows(tmp_path, "") == []


# -- Label Studio ------------------------------------------------------------------------------------------------------
def studio(tmp_path: Path, tasks: object) -> list:
    path = tmp_path / "export.json"
    path.write_text(json.dumps(tasks), encoding="utf-8")
    return list(read_ratings(path))


def choice(name: str, *chosen: str) -> dict:
    return {"from_name": name, "to_name": "video", "type": "choices", "value": {"choices": list(chosen)}}


def task(*annotations: dict, **data: object) -> dict:
    return {"id": 1, "data": data or {"video": PATH, "start_s": 1.5, "end_s": 6.5}, "annotations": list(annotations)}


def annotation(*results: dict, **more: object) -> dict:
    return {"id": 5, "completed_by": 10, "created_at": "2026-11-01T22:16:08.728353Z", "result": list(results), **more}


def test_two_controls_that_answer_yes_or_no(tmp_path: Path) -> None:
    results = (choice("onscreen", "Yes"), choice("off_screen_sound", "No"))
    mail = {"completed_by": {"id": 3, "email": "anna@example.org"}}
    later = {"updated_at": "2026-11-02T00:00:00Z"}
    one, two = studio(tmp_path, [task(annotation(*results), annotation(*results, **mail, **later))])
    assert one.values["sample_id"] == two.values["sample_id"] == CLIP
    assert (one.values["onscreen_present"], one.values["offscreen_present"]) == (True, False)
    assert (one.values["rater_id"], two.values["rater_id"]) == ("10", "anna@example.org")
    assert two.values["created_at"] == "2026-11-02T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("chosen", "answers"),
    [
        (["On-screen"], (True, False)),
        (["on-screen sound", "off-screen sound"], (True, True)),
        (["Off-screen only"], (False, True)),
        (["None"], (False, False)),
        (["Unsure"], (None, None)),
    ],
)
def test_one_control_that_names_what_is_heard(tmp_path: Path, chosen: list[str], answers: tuple) -> None:
    [row] = studio(tmp_path, [task(annotation(choice("heard", *chosen)), sample_id=CLIP)])
    assert (row.values["onscreen_present"], row.values["offscreen_present"]) == answers


def test_what_is_no_answer_is_a_problem_and_cancelled_ones_are_none(tmp_path: Path) -> None:
    yes, no = choice("onscreen", "yes"), choice("offscreen", "no")
    rows = studio(
        tmp_path,
        [
            task(annotation(yes, no, was_cancelled=True)),
            task(annotation(yes)),
            task(annotation(choice("onscreen", "yes", "no"), no)),
            task(annotation(yes, no, completed_by=None)),
            task(annotation(yes, no), colour="red"),
            task(annotation(yes, no), video="\ud800", start_s=0, end_s=1),
            "no task",
            {"id": 9, "data": {}, "annotations": [None]},
            task(annotation(yes, no)),
        ],
    )
    assert [row.values is None for row in rows] == [True] * 7 + [False]
    assert "no choice answers offscreen_present" in rows[0].problem
    assert "2 answers" in rows[1].problem
    assert "names no clip" in rows[3].problem


@pytest.mark.parametrize("text", ["{", '{"a": 1}', "[" * 100_000, "NaN"])
def test_a_file_that_is_no_export_is_one_problem(tmp_path: Path, text: str) -> None:
    path = tmp_path / "export.json"
    path.write_text(text)
    [row] = read_ratings(path)
    assert row.values is None
    assert "export.json" in row.problem


# -- what they come to -------------------------------------------------------------------------------------------------
def counts(*rows: tuple[int, int, int, int]) -> pa.Table:
    names = ("onscreen_yes", "onscreen_no", "offscreen_yes", "offscreen_no")
    return pa.table(
        {"split": ["test"] * len(rows), **dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))}
    )


def test_alpha_of_a_worked_example() -> None:
    """Two raters, clips yy, yy, nn, yn: values 8 (5 yes); observed 2/8, expected 2·5·3/(8·7) = 30/56."""
    table = agreement(counts((2, 0, 2, 0), (2, 0, 2, 0), (0, 2, 2, 0), (1, 1, 1, 0)))
    rows = {(row["question"], row["split"]): row for row in table.to_pylist()}
    assert rows["onscreen", "all"] == rows["onscreen", "test"] | {"split": "all"}
    assert rows["onscreen", "all"]["alpha"] == round(1 - (2 / 8) / (30 / 56), 6)
    assert rows["onscreen", "all"]["clips_unanimous"] == 3
    # Everybody says yes, and one clip has a single answer: nothing to compare chance with.
    assert rows["offscreen", "all"]["alpha"] is None
    assert (rows["offscreen", "all"]["clips_compared"], rows["offscreen", "all"]["answers"]) == (3, 7)


def test_agreement_of_nothing_is_nothing() -> None:
    assert agreement(counts((1, 0, 1, 0)).slice(0, 0)).num_rows == 0


def test_platt_finds_the_log_odds_of_two_normal_distributions() -> None:
    """For N(d, 1) against N(0, 1) the log-odds are d z - d²/2."""
    z = np.array([2.0 + NormalDist().inv_cdf((i + 0.5) / 20_000) for i in range(20_000)])
    slope, offset = platt(z)
    assert slope == pytest.approx(2.0, abs=0.02)
    assert offset == pytest.approx(-2.0, abs=0.03)


def test_probabilities_of_each_scorer_by_itself_and_none_without_enough_or_without_separation() -> None:
    z = [3.0 + i / 100 for i in range(100)] + [0.0]
    rows = pa.table(
        {
            "sample_id": [f"{i:05d}" for i in range(303)],
            "model": ["good"] * 101 + ["few"] * 101 + ["blind"] * 101,
            "z": z + z + [-v for v in z],
        }
    )
    rows = pa.concat_tables([rows.slice(0, 101), rows.slice(101, 99), rows.slice(202, 101)])
    p = probabilities(rows, least=100)["coincidence_p"].to_pylist()
    assert min(p[:100]) > 0.8
    assert p[100] < 0.2
    assert p[:100] == sorted(p[:100])
    assert p[101:] == [None] * 200
    assert probabilities(rows.slice(0, 0), least=100).num_rows == 0
