"""`winnow annotate`: good rows are kept, bad ones are named, and what goes out to a labelling tool comes back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.unit import explored, synthetic
from winnow.cli import annotate
from winnow.cli.main import cli
from winnow.core import corpus_table
from winnow.core.errors import ContractError
from winnow.core.lake import Lake

A, B, C = (f"{i:020x}" for i in range(3))


def run(lake: Lake | Path, *arguments: object) -> Result:
    root = lake.root if isinstance(lake, Lake) else lake
    return CliRunner().invoke(cli, ["annotate", *map(str, arguments)], env={"WINNOW_LAKE": str(root)})


def said(result: Result) -> dict:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout.splitlines()[-1])


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


HEADER = "sample_id,rater_id,onscreen_present,offscreen_present,created_at"


def test_bad_ratings_are_named_and_lose_no_good_ones(lake, tmp_path):
    file = write(
        tmp_path / "ratings.csv",
        HEADER,
        f"{A},Ann,yes,no,2026-01-01",
        f"{B},Ann,perhaps,no,",
        "nonsense,Ann,yes,no,",
        f"{C},,yes,no,",
        f"{A},Bob,unsure,1,2026-01-02T10:00:00+01:00",
        f"{C},Bob,yes",
    )
    result = run(lake, "import-ratings", file)
    answer = said(result)
    assert (answer["table"], answer["rows"], answer["bad"], answer["computed"]) == ("rating", 2, 4, True)
    lines = result.stderr.splitlines()
    assert [line.split(": ")[1] for line in lines[:4]] == ["row 1", "row 2", "row 3", "row 5"]
    for line, why in zip(lines, ("perhaps", "no id of a clip", "rater_id", "3 cells under 5 columns"), strict=False):
        assert why in line
        assert "ratings.csv" in line
    stored = corpus_table.read(lake, "rating").to_pylist()
    assert [(row["rater_id"], row["onscreen_present"], row["offscreen_present"]) for row in stored] == [
        ("Ann", True, False),
        ("Bob", None, True),
    ]
    assert stored[1]["created_at"] == "2026-01-02T09:00:00.000000Z"
    assert said(run(lake, "import-ratings", file))["computed"] is False
    assert corpus_table.read(lake, "rating").num_rows == 2
    (key,) = corpus_table.files(lake, "rating")
    assert corpus_table.provenance(lake, key)["provenance"]["source"] == "ratings.csv"


@pytest.mark.parametrize("command", ["import-ratings", "import-labels", "import-splits"])
def test_a_file_of_another_kind_is_refused_in_words(lake, tmp_path, command):
    result = run(lake, command, write(tmp_path / "other.csv", "a,b,c", "1,2,3"))
    assert isinstance(result.exception, ContractError)
    assert "other.csv has no row that could be used" in str(result.exception)
    assert all(lake.list(f"corpus/{table}") == [] for table in corpus_table.TABLES)


def test_many_bad_rows_are_counted_and_not_all_printed(lake, tmp_path, monkeypatch):
    monkeypatch.setattr(annotate, "SHOWN", 3)
    result = run(lake, "import-ratings", write(tmp_path / "r.csv", HEADER, f"{A},Ann,1,0,", *["x,Ann,1,0,"] * 9))
    assert said(result)["bad"] == 9
    assert result.stderr.count("no id of a clip") == 3
    assert "and 6 more bad rows" in result.stderr


def test_a_long_file_becomes_several_files_of_the_corpus(lake, tmp_path, monkeypatch):
    monkeypatch.setattr(annotate, "PIECE", 4)
    file = write(tmp_path / "r.csv", HEADER, *[f"{i:020x},Ann,1,0," for i in range(10)])
    answer = said(run(lake, "import-ratings", file))
    assert (answer["rows"], len(answer["files"])) == (10, 3)
    assert {row["sample_id"] for row in corpus_table.read(lake, "rating").to_pylist()} == {
        f"{i:020x}" for i in range(10)
    }
    assert said(run(lake, "import-ratings", file))["computed"] is False


def test_ratings_of_a_labelling_tool_come_in(lake, tmp_path):
    def chosen(name: str, *choices: str) -> dict:
        return {"from_name": name, "type": "choices", "value": {"choices": list(choices)}}

    done = {"completed_by": 7, "created_at": "2026-01-01T00:00:00Z"}
    both = [chosen("onscreen", "yes"), chosen("offscreen", "no")]
    tasks = [
        {"data": {"sample_id": A}, "annotations": [{**done, "result": both}]},
        {"data": {"sample_id": B}, "annotations": [{**done, "result": []}]},
    ]
    result = run(lake, "import-ratings", write(tmp_path / "export.json", json.dumps(tasks)))
    assert (said(result)["rows"], said(result)["bad"]) == (1, 1)
    assert corpus_table.read(lake, "rating").to_pylist()[0]["rater_id"] == "7"


def test_segment_labels_come_in(lake, tmp_path):
    seconds = ",".join(f"second_{i}" for i in range(10))
    file = write(
        tmp_path / "labels.csv",
        f"sample_id,category,annotator_id,{seconds}",
        f"{A},dog,Ann,0,1,1,0,0,0,0,0,0,0",
        f"{B},dog,Ann,0,1,2,0,0,0,0,0,0,0",
    )
    result = run(lake, "import-labels", file)
    assert (said(result)["rows"], said(result)["bad"]) == (1, 1)
    assert "row 1" in result.stderr
    (row,) = corpus_table.read(lake, "segment_label").to_pylist()
    assert (row["sample_id"], row["labels"], row["source"]) == (A, [0, 1, 1] + [0] * 7, "labels.csv")


def test_splits_of_both_families_come_in_by_what_the_file_looks_like(lake, tmp_path):
    digest = "827f6b53467db2d5218ed8247418c4c0"
    path = f"data/videos/mp4/{digest[:3]}/{digest[3:6]}/{digest}.mp4"
    answer = said(run(lake, "import-splits", write(tmp_path / "unfiltered_validate_clips.csv", f"{path},0.0,5.0")))
    assert (answer["rows"], answer["bad"]) == (1, 0)
    avel = write(tmp_path / "avel.csv", "category,video_id,split", "dog,abcdefghijk,train", "dog,lmnopqrstuv,wrong")
    result = run(lake, "import-splits", avel)
    assert (said(result)["rows"], said(result)["bad"]) == (1, 1)
    rows = corpus_table.read(lake, "given_split").to_pylist()
    assert {(row["family"], row["split"], row["source"]) for row in rows} == {
        ("audioscope", "validate", "unfiltered_validate_clips.csv"),
        ("avel", "train", "avel.csv"),
    }
    forced = run(lake, "import-splits", avel, "--family", "audioscope")
    assert isinstance(forced.exception, ContractError)


def test_proposals_are_made_once_and_say_what_has_none(lake, monkeypatch):
    lake.write("batches/2026-11-01.json", b"{}")
    synthetic.commit(lake, "2026-11-01", synthetic.rows(synthetic.candidates(0)))
    answer = said(run(lake, "propose"))
    rows = corpus_table.read(lake, "segment_label").to_pylist()
    assert answer["proposals"] == len(rows) > 10
    assert all(row["annotator_id"].startswith("proposal:") and len(row["labels"]) == 10 for row in rows)
    assert answer["computed"] is True
    assert said(run(lake, "propose", "--batches", "2026-11-01"))["computed"] is False
    other = said(run(lake, "propose", "--least-z", "99"))
    assert other["annotators"] != answer["annotators"]
    monkeypatch.setattr("winnow.annotations.proposals.TOLERANCE_S", -1.0)
    result = run(lake, "propose")
    assert sum(said(result)["passed_over"].values()) + said(result)["proposals"] == answer["proposals"]
    assert "clips without a proposal: longer than 10 s" in result.stderr


def test_tasks_go_out_for_what_nobody_annotated_and_come_back(tmp_path):
    lake, _ = explored.build(tmp_path / "lake")
    asked = sorted(explored.sample_id(place) for place in (0, 5, 6, 7))
    proposal = {"sample_id": asked[0], "family": "avel", "category": "dog barking", "annotator_id": "proposal:1f"}
    corpus_table.add(lake, "segment_label", [{**proposal, "labels": [0, 1, 1, 0, 0, 0, 0, 1, 0, 0]}], provenance={})
    corpus_table.add(
        lake,
        "segment_label",
        [
            {
                **proposal,
                "sample_id": asked[1],
                "annotator_id": "Ann",
                "labels": [1] * 10,
                "created_at": "2026-01-01T00:00:00.000000Z",
            }
        ],
        provenance={},
    )
    out = tmp_path / "out"
    answer = said(run(lake, "export-tasks", "--out", out, "--media", "http://127.0.0.1:1/"))
    assert {name: answer[name] for name in ("tasks", "proposed", "clips")} == {"tasks": 3, "proposed": 1, "clips": 3}
    tasks = json.loads((out / "tasks.json").read_text())
    assert [task["data"]["sample_id"] for task in tasks] == [asked[0], *asked[2:]]
    assert tasks[0]["data"]["media"] == f"http://127.0.0.1:1/{asked[0]}.mp4"
    assert tasks[0]["predictions"][0]["model_version"] == "proposal:1f"
    assert "<Video" in (out / "interface.xml").read_text()
    places = {explored.sample_id(place): place for place in range(explored.COUNT)}
    for task in tasks:
        name = task["data"]["sample_id"]
        assert (out / "clips" / f"{name}.mp4").read_bytes() == explored.content(places[name])
    mark = {"type": "labels", "value": {"start": 2.0, "end": 4.0, "labels": ["event"]}}
    done = [{**task, "predictions": [], "annotations": [{"completed_by": 7, "result": [mark]}]} for task in tasks]
    back = said(run(lake, "import-labels", write(tmp_path / "done.json", json.dumps(done))))
    assert (back["rows"], back["bad"]) == (3, 0)
    stored = corpus_table.read(lake, "segment_label").to_pylist()
    by = {row["sample_id"]: row["labels"] for row in stored if row["annotator_id"] == "7"}
    assert by == {task["data"]["sample_id"]: [0, 0, 1, 1] + [0] * 6 for task in tasks}
    assert said(run(lake, "export-tasks", "--out", out, "--no-clips"))["tasks"] == 0


def test_tasks_can_be_few(tmp_path):
    lake, _ = explored.build(tmp_path / "lake")
    answer = said(run(lake, "export-tasks", "--out", tmp_path / "out", "--limit", 2, "--no-clips"))
    assert (answer["tasks"], answer["clips"]) == (2, 0)
    assert not (tmp_path / "out" / "clips").exists()
