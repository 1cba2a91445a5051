"""ACAV100M's metadata list: its fields, the defects of its rows, and the sample file that its authors published."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests import needs
from winnow.batch.decide import decide_fetch
from winnow.batch.ingest import ingest
from winnow.core.lake import Lake
from winnow.core.runtime import run_stage
from winnow.core.settings import Settings
from winnow.sources import acav, source_of
from winnow.sources.row import MAX_ROW_BYTES

ADDRESS = "https://www.youtube.com/watch?v=AbCdEfGhIjK"


def line(first: str = ADDRESS, length: object = "38", duration: object = "37", **latest: object) -> str:
    value = {
        "MediaVersionList": [{"Duration": duration}],
        "LatestDAFeature": {"Title": "A dog", "Description": "barks", "YouTubeCategory": "Pets", "VideoLength": length},
    }
    value["LatestDAFeature"].update(latest)
    return f"{first}\t{json.dumps(value)}"


def read(tmp_path: Path, *lines: str | bytes) -> list:
    path = tmp_path / "metadata.tsv"
    path.write_bytes(b"\n".join(one if isinstance(one, bytes) else one.encode() for one in lines) + b"\n")
    found = source_of(path)
    assert found is not None
    assert found.name == "acav"
    return list(acav.read(path))


def test_a_row(tmp_path: Path) -> None:
    (row,) = read(tmp_path, line(PubDate="1536772177"))
    assert row.values == {
        "url": ADDRESS,
        "id": "AbCdEfGhIjK",
        "title": "A dog",
        "description": "barks",
        "duration": 37,
        "category": "Pets",
        "published_at": "1536772177",
    }
    (row,) = read(tmp_path, line("AbCdEfGhIjK"))
    assert (row.values["youtube_id"], row.values["id"]) == ("AbCdEfGhIjK", "AbCdEfGhIjK")


@pytest.mark.parametrize(
    ("length", "duration", "seconds"),
    [
        ("38", "40", 37),
        (38, "40", 37),
        ("0", "40", 0),
        ("", "40", 40),
        (None, 40, 40),
        ("x", "y", None),
        (None, None, None),
        (True, "12", 12),
        ("-5", "12", 12),
        ("1e9", "12", 12),
        ("9" * 30, "12", 12),
    ],
)
def test_the_duration_is_the_length_less_one_else_the_files(
    tmp_path: Path, length: object, duration: object, seconds: int | None
) -> None:
    (row,) = read(tmp_path, line(length=length, duration=duration))
    assert row.values["duration"] == seconds


def test_bad_rows_spoil_only_themselves(tmp_path: Path) -> None:
    rows = read(
        tmp_path,
        line(),
        "no tab at all",
        f"{line()}\tone too many",
        f"{ADDRESS}\tnot json",
        f"{ADDRESS}\t[1, 2]",
        f"{ADDRESS}\t" + "[" * 100_000,
        b"\xff\xfe\t{}",
        f"{ADDRESS}\t" + "x" * (MAX_ROW_BYTES + 1),
        "",
        f'{ADDRESS}\t{{"LatestDAFeature": "text", "MediaVersionList": []}}',
        line("AbCdEfGhIjX"),
    )
    assert [row.number for row in rows] == list(range(10))
    problems = [row.problem or "" for row in rows]
    assert [bool(problem) for problem in problems] == [False, True, True, True, True, True, True, True, False, False]
    assert problems[1].startswith("line 2: 1 fields; an address, one tab and a JSON object are wanted")
    assert problems[2].startswith("line 3: 3 fields")
    assert "not JSON" in problems[3]
    assert "a JSON object is wanted, not list" in problems[4]
    assert "not UTF-8" in problems[6]
    assert "longer than" in problems[7]
    assert (rows[8].values["title"], rows[8].values["duration"]) == (None, None)


@pytest.mark.parametrize(
    "defect",
    [
        "no tab at all",
        f"{line()}\tone too many",
        f"{ADDRESS}\tnot json",
        f"{ADDRESS}\t[1, 2]",
        b"\xff\xfe\t{}",
        f"{ADDRESS}\t" + "[" * 100_000,
        f"{ADDRESS}\t" + "x" * (MAX_ROW_BYTES + 1),
    ],
)
def test_a_bad_first_row_does_not_hide_the_format(tmp_path: Path, defect: str | bytes) -> None:
    rows = read(tmp_path, defect, line(), line("AbCdEfGhIjX"))
    assert [bool(row.problem) for row in rows] == [True, False, False]


def test_a_general_list_with_objects_is_not_acavs(tmp_path: Path) -> None:
    path = tmp_path / "list.tsv"
    path.write_text(f'url\tabout\n{ADDRESS}\t{{"a": 1}}\n')
    assert source_of(path).name == "csv"


def test_the_published_sample_goes_through_the_filter(tmp_path: Path) -> None:
    sample = needs.data("acav/metadata.tsv")
    inbox = tmp_path / "inbox" / "acav"
    inbox.mkdir(parents=True)
    (inbox / "metadata.tsv").write_bytes(sample.read_bytes())
    project = tmp_path / "dbt"
    shutil.copytree(Settings().dbt_dir, project)
    choice = (project / "dbt_project.yml").read_text()
    (project / "dbt_project.yml").write_text(choice.replace("fetch_points: [fetch]", "fetch_points: [fetch, acav]"))
    settings = Settings(inbox=tmp_path / "inbox", lake=str(tmp_path / "lake"), dbt_dir=project)
    lake = Lake(settings.lake)
    assert ingest("acav", settings, lake)["ok"] == 3
    params = {"keywords": str(sample.parent / "keywords")}
    assert run_stage(lake, "screen", "acav", params, settings)["ok"] == 3
    (path,) = Path(lake.full("screen")).rglob("*.parquet")
    import pyarrow.parquet as pq

    rows = sorted(pq.read_table(path).to_pylist(), key=lambda row: row["declared_duration_s"])
    assert [(r["declared_duration_s"], r["language"], r["category"], r["keyword_lists"]) for r in rows] == [
        (37.0, "tr", "people & blogs", []),
        (124.0, "es", "people & blogs", []),
        (149.0, "en", "entertainment", []),
    ]
    decided = decide_fetch("acav", settings, lake)
    assert (decided["accepted"], decided["reasons"]) == (2, {"acav_language": 1})
