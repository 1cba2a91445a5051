"""AudioScope's files: names and columns as the READMEs state them, read back by our reader and by one written here."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from winnow.exports import audioscope
from winnow.exports.read_audioscope import FILES, file_of, read_list

PATHS = [f"data/videos/mp4/{n}a1/b2c/{n}a1b2c3d4e5f60718293a4b5c6d7e8f9.mp4" for n in range(10)]
#: The tables of the two READMEs, in their order.
V2 = [
    "unfiltered_train_clips.csv",
    "unfiltered_train_onscreen_unanimous_clips.csv",
    "unfiltered_train_offscreen_unanimous_clips.csv",
    "unfiltered_validate_clips.csv",
    "unfiltered_validate_onscreen_unanimous_clips.csv",
    "unfiltered_validate_offscreen_unanimous_clips.csv",
    "unfiltered_test_clips.csv",
    "unfiltered_test_onscreen_unanimous_clips.csv",
    "unfiltered_test_offscreen_unanimous_clips.csv",
    "unfiltered_validate_onscreen_unanimous_plus_random_unfiltered_mom_clips.csv",
    "unfiltered_validate_offscreen_unanimous_plus_random_unfiltered_mom_clips.csv",
    "unfiltered_test_onscreen_unanimous_plus_random_unfiltered_mom_clips.csv",
    "unfiltered_test_offscreen_unanimous_plus_random_unfiltered_mom_clips.csv",
]
V1 = [
    "filtered_train_clips.csv",
    "filtered_train_onscreen_unanimous_clips.csv",
    "filtered_train_offscreen_unanimous_clips.csv",
    "filtered_validate_clips.csv",
    "filtered_validate_onscreen_unanimous_clips.csv",
    "filtered_validate_offscreen_unanimous_clips.csv",
    "filtered_test_clips.csv",
    "filtered_test_onscreen_unanimous_clips.csv",
    "filtered_test_offscreen_unanimous_clips.csv",
    "filtered_validate_onscreen_unanimous_plus_offscreen_unanimous_mom_clips.csv",
    "filtered_validate_offscreen_unanimous_plus_offscreen_unanimous_mom_clips.csv",
    "filtered_test_onscreen_unanimous_plus_offscreen_unanimous_mom_clips.csv",
    "filtered_test_offscreen_unanimous_plus_offscreen_unanimous_mom_clips.csv",
]


def clip(path: str, start_s: float, split: str | None, label: str | None = None, **more: object) -> dict:
    end_s = start_s + more.pop("length_s", 5.0)
    return {
        "sample_id": f"{path}{start_s}",
        "video": path,
        "start_s": start_s,
        "end_s": end_s,
        "start_ms": round(start_s * 1000),
        "end_ms": round(end_s * 1000),
        "split": split,
        "label": label,
        "in_v2": True,
        "in_v1": False,
        "in_mixit": False,
        "output_offset_s": None,
        **more,
    }


def mixture(version: str, split: str, label: str, position: int, one: dict, two: dict) -> dict:
    sides = {
        f"clip{n}_{name}": side[name]
        for n, side in ((1, one), (2, two))
        for name in ("video", "start_s", "end_s", "output_offset_s")
    }
    return {"list_version": version, "split": split, "label": label, "position": position, **sides}


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """Some clips of every list, in no order; one without a split."""
    mixit = {"in_v2": False, "in_mixit": True}
    clips = [
        clip(PATHS[3], 7.25, "test", "onscreen_only"),
        clip(PATHS[3], 0.5, "test", "offscreen_only", in_v1=True),
        clip(PATHS[1], 12.0, "test"),
        clip(PATHS[1], 2.0, "test"),
        clip(PATHS[5], 2.0, "train"),
        clip(PATHS[6], 2.0, None, "onscreen_only", in_v1=True),
        clip(PATHS[7], 0.0, "test", output_offset_s=0.0, length_s=10.0, **mixit),
        clip(PATHS[8], 3.5, "test", output_offset_s=2.5, length_s=6.0, **mixit),
    ]
    mixtures = [
        mixture("v2", "test", "onscreen_only", 2, clips[0], clips[3]),
        mixture("v2", "test", "onscreen_only", 1, clips[0], clips[2]),
        mixture("v2", "test", "offscreen_only", 1, clips[1], clips[2]),
        mixture("mixit", "test", "any", 1, clips[7], clips[6]),
    ]
    folder = tmp_path / "tables"
    folder.mkdir()
    doubles = {"output_offset_s", "clip1_output_offset_s", "clip2_output_offset_s"}
    for name, rows in (("clips", clips), ("mixtures", mixtures)):
        table = pa.Table.from_pylist(rows)
        for column in doubles & set(table.column_names):
            at = table.column_names.index(column)
            table = table.set_column(at, column, table[column].cast(pa.float64()))
        pq.write_table(table, folder / f"audioscope_{name}.parquet")
    return folder


def independently(path: Path) -> list[list]:
    """A reader from the READMEs' text: comma-separated, paths in columns 1 and, of a pair, halfway; numbers else."""
    rows = []
    for line in path.read_text().splitlines():
        cells = line.split(",")
        assert len(cells) in (3, 4, 6, 8)
        rows.append([cell if cell.startswith("data/videos/mp4/") else float(cell) for cell in cells])
    return rows


def test_the_lists_have_the_published_names_and_columns() -> None:
    named = {version: [Path(f.name).name for f in FILES if f.version == version] for version in ("v2", "v1", "mixit")}
    assert sorted(named["v2"]) == sorted(V2)
    assert sorted(named["v1"]) == sorted(V1)
    assert len(named["mixit"]) == 4
    folders = {f.version: Path(f.name).parent.name for f in FILES}
    assert folders == {
        "v2": "audioscope_v2_yfcc100m_clip_lists",
        "v1": "audioscope_yfcc100m_clip_lists",
        "mixit": "yfcc100m_clip_lists",
    }
    columns = {(f.version, f.mixtures): len(f.columns) for f in FILES}
    assert columns == {
        ("v2", False): 3,
        ("v2", True): 6,
        ("v1", False): 3,
        ("v1", True): 6,
        ("mixit", False): 4,
        ("mixit", True): 8,
    }


def test_what_is_written_is_read_back_by_both_readers(tables: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    written = audioscope.write(tables, out)
    assert set(written) == {f.name for f in FILES}
    v2 = out / "audioscope_v2_yfcc100m_clip_lists"
    assert independently(v2 / "unfiltered_test_clips.csv") == [
        [PATHS[1], 2.0, 7.0],
        [PATHS[1], 12.0, 17.0],
        [PATHS[3], 0.5, 5.5],
        [PATHS[3], 7.25, 12.25],
    ]
    assert independently(v2 / "unfiltered_test_onscreen_unanimous_clips.csv") == [[PATHS[3], 7.25, 12.25]]
    assert independently(v2 / "unfiltered_validate_clips.csv") == []
    assert independently(v2 / "unfiltered_test_onscreen_unanimous_plus_random_unfiltered_mom_clips.csv") == [
        [PATHS[3], 7.25, 12.25, PATHS[1], 12.0, 17.0],
        [PATHS[3], 7.25, 12.25, PATHS[1], 2.0, 7.0],
    ]
    v1 = out / "audioscope_yfcc100m_clip_lists"
    assert independently(v1 / "filtered_test_offscreen_unanimous_clips.csv") == [[PATHS[3], 0.5, 5.5]]
    mixit = out / "yfcc100m_clip_lists"
    assert independently(mixit / "test_clips.csv") == [[PATHS[7], 0.0, 10.0, 0.0], [PATHS[8], 3.5, 9.5, 2.5]]
    assert independently(mixit / "test_mom_clips.csv") == [[PATHS[8], 3.5, 9.5, 2.5, PATHS[7], 0.0, 10.0, 0.0]]
    for file in FILES:
        rows = list(read_list(out / file.name, file))
        assert all(row.values is not None for row in rows)
        assert [list(row.values.values()) for row in rows] == independently(out / file.name)
        assert len(rows) == written[file.name]
        assert all(tuple(row.values) == file.columns for row in rows)


def test_the_same_tables_give_the_same_bytes(tables: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        audioscope.write(tables, tmp_path / name)
    for file in FILES:
        assert (tmp_path / "a" / file.name).read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_a_version_without_clips_has_no_files(tables: Path, tmp_path: Path) -> None:
    path = tables / "audioscope_clips.parquet"
    table = pq.read_table(path)
    pq.write_table(table.filter(pa.array([not flag for flag in table["in_mixit"].to_pylist()])).slice(0, 1), path)
    written = audioscope.write(tables, tmp_path / "out")
    assert set(written) == {f.name for f in FILES if f.version == "v2"}
    pq.write_table(table.filter(pa.array([split is None for split in table["split"].to_pylist()])), path)
    assert audioscope.write(tables, tmp_path / "none") == {}
    pq.write_table(table.slice(0, 0), path)
    assert audioscope.write(tables, tmp_path / "none") == {}
    assert not (tmp_path / "none").exists()
    path.unlink()
    assert audioscope.write(tables, tmp_path / "none") == {}


@pytest.mark.parametrize("header", ["", "video path,input start time,input end time\n"])
def test_the_reader_takes_published_lists_with_and_without_a_header(tmp_path: Path, header: str) -> None:
    path = tmp_path / "filtered_test_clips.csv"
    readme = "data/videos/mp4/827/f6b/827f6b53467db2d5218ed8247418c4c.mp4"
    path.write_text(f"{header}{readme},0,5.0\n{readme.replace('/f6b/', '/f6c/')},0,5\n{PATHS[0]},5,5\n{PATHS[0]},1,x\n")
    rows = list(read_list(path))
    assert rows[0].values == {"video": readme, "start_s": 0.0, "end_s": 5.0}
    assert [row.values is None for row in rows] == [False, True, True, True]
    assert "first characters" in rows[1].problem
    assert "not after its start" in rows[2].problem
    assert "end_s is 'x'" in rows[3].problem


def test_a_bad_first_row_is_no_header_and_another_file_is_no_list(tmp_path: Path) -> None:
    path = tmp_path / "unfiltered_test_clips.csv"
    path.write_text(f"elsewhere.mp4,0,5\n{PATHS[0]},0,5,1\n{PATHS[0]},0,5\n")
    rows = list(read_list(path))
    assert [row.values is None for row in rows] == [True, True, False]
    assert "4 cells" in rows[1].problem
    assert file_of(path) == next(f for f in FILES if f.name.endswith("/unfiltered_test_clips.csv"))
    assert file_of(tmp_path / "other.csv") is None
    [row] = read_list(tmp_path / "other.csv")
    assert "no list of AudioScope" in row.problem
