"""AudioSet's segment lists, Panda-70M's lists, and the Python lists in Panda's cells."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests import needs
from winnow.batch.ingest import ingest
from winnow.core.lake import Lake
from winnow.core.sample import candidate_id, sid
from winnow.core.settings import Settings
from winnow.sources import audioset, panda, source_of
from winnow.sources import csv as general_csv
from winnow.sources.candidate import candidate
from winnow.sources.cells import records, row_of
from winnow.sources.columns import Header
from winnow.sources.literal import MAX_DEPTH, MAX_ITEMS, parse_list
from winnow.sources.row import MAX_ROW_BYTES, Row

ID, OTHER = "AbCdEfGhIjK", "-b_dEfGhI-_"
PREAMBLE = (
    "# Segments csv created Sun Mar  5 10:54:31 2017\n"
    "# num_ytids=3, num_segs=3, num_unique_labels=527, num_positive_labels=9\n"
    "# YTID, start_seconds, end_seconds, positive_labels\n"
)
PANDA_HEADER = [
    "videoID",
    "url",
    "timestamp",
    "caption",
    "matching_score",
    "desirable_filtering",
    "shot_boundary_detection",
]
URL = f"https://www.youtube.com/watch?v={ID}"


def read(path: Path, text: str | bytes, name: str) -> list[Row]:
    """Rows of a list, by the reader that its first lines choose."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    source = source_of(path)
    assert source is not None
    assert source.name == name
    return list(source.read(path))


def problems(rows: list[Row]) -> list[str]:
    return [row.problem for row in rows if row.problem is not None]


def candidates(tmp_path: Path) -> list[dict]:
    """What ingest makes of `inbox/day`, in the lists' order."""
    lake = Lake(tmp_path / "lake")
    done = ingest("day", Settings(inbox=tmp_path / "inbox"), lake)
    found = [row for path in Path(lake.full("ingest")).rglob("*.parquet") for row in pq.read_table(path).to_pylist()]
    assert len(found) == done["rows"]
    return sorted(found, key=lambda row: (row["list_path"], row["list_row"]))


def day(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox" / "day"
    folder.mkdir(parents=True)
    return folder


# -- AudioSet ----------------------------------------------------------------------------------------------------------
def test_audioset(tmp_path: Path) -> None:
    rows = read(
        tmp_path / "eval_segments.csv",
        PREAMBLE + f'{OTHER}, 30.000, 40.000, "/m/09x0r,/t/dd00088"\n{ID}, 0.5, 10, "/m/09x0r"\n',
        "audioset",
    )
    assert rows == [
        Row(0, {"youtube_id": OTHER, "start": 30.0, "end": 40.0, "labels": ["/m/09x0r", "/t/dd00088"]}),
        Row(1, {"youtube_id": ID, "start": 0.5, "end": 10.0, "labels": ["/m/09x0r"]}),
    ]


def test_faults_of_audiosets_lists_spoil_only_their_rows(tmp_path: Path) -> None:
    good = f'{ID}, 30.000, 40.000, "/m/09x0r"\n'
    rows = read(
        tmp_path / "a.csv",
        PREAMBLE.encode()
        + good.encode()
        + b"\n# a comment\n \xff\n"
        + f'{ID}, x, 40.000, "/m/09x0r"\n{ID}, 1, nan, "/m/09x0r"\n{ID}, -1, 2, "/m/09x0r"\n{ID}, 30.000\n'.encode()
        + f'{ID}, 1, 2, ""\n{ID}, 1, 2, "{",".join(["/m/0"] * 601)}"\n{ID}, 1, 2, "/m/09x0r\n'.encode()
        + b"x" * (MAX_ROW_BYTES + 9)
        + b"\n"
        + good.encode(),
        "audioset",
    )
    assert [row.number for row in rows] == list(range(11))
    assert [bool(row.problem) for row in rows] == [False, *[True] * 9, False]
    assert [p.partition(":")[0] for p in problems(rows)] == [f"line {n}" for n in range(7, 16)]


def test_labels_that_are_no_class_are_kept(tmp_path: Path) -> None:
    (row,) = read(tmp_path / "a.csv", PREAMBLE + f'{ID}, 0.000, 10.000, "/m/zzz, Zoo ,/m/09x0r"\n', "audioset")
    assert row.values["labels"] == ["/m/zzz", "Zoo", "/m/09x0r"]


@pytest.mark.parametrize(
    "text",
    [PREAMBLE.replace("YTID", "url"), "url,start\n", f"# a\nurl\n{PREAMBLE}", PREAMBLE.replace("labels", "labels, x")],
)
def test_other_lists_are_not_audiosets(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    assert source_of(tmp_path / "a.csv").name == "csv"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80) | st.from_regex(audioset.LINE.pattern.decode(), fullmatch=False).map(str.encode))
@example(f'{ID}, 0.000, 10.000, "/m/09x0r"\r\n'.encode())
def test_the_short_way_through_a_line_gives_what_the_long_one_gives(tmp_path_factory, line: bytes) -> None:
    """Every line is read as `cells.records` and `values_of` read it, whether or not the one pattern takes it."""
    path = tmp_path_factory.getbasetemp() / "line.csv"
    path.write_bytes(b"#\n" + line)
    slow = [
        row_of(number, at, cells, said, audioset.values_of) for number, (at, cells, said) in enumerate(records(path))
    ]
    if b"," in line and not any(sign in line for sign in b"\t;"):
        assert list(audioset.read(path)) == slow
    else:
        assert len(list(audioset.read(path))) == len(slow)


def test_every_real_class_goes_through_to_the_table(tmp_path: Path) -> None:
    with needs.data("audioset/class_labels_indices.csv").open(newline="") as file:
        mids = [row["mid"] for row in csv.DictReader(file)]
    lines = [f'{i:011d}, {i}.000, {i + 10}.000, "{mid},{mids[i - 1]}"\n' for i, mid in enumerate(mids)]
    (day(tmp_path) / "unbalanced_train_segments.csv").write_text(PREAMBLE + "".join(lines))
    found = candidates(tmp_path)
    general = [
        candidate(row.values, Header(row.values))[0]
        for row in general_csv.read(tmp_path / "inbox" / "day" / "unbalanced_train_segments.csv")
    ]
    assert [{key: row[key] for key in general[0]} for row in found] == general
    assert [row["labels"] for row in found] == [[mid, mids[i - 1]] for i, mid in enumerate(mids)]
    last = found[-1]
    assert (last["outcome"], last["source"], last["source_id"]) == ("ok", "audioset", "00000000526")
    assert (last["start_s"], last["end_s"], last["extra"], last["list_row"]) == (526.0, 536.0, None, 526)
    assert last["url"] == "https://www.youtube.com/watch?v=00000000526"
    assert last["sample_id"] == candidate_id(sid("video", "youtube:00000000526"), 526.0, 536.0)


# -- Python lists ------------------------------------------------------------------------------------------------------
_ITEMS = st.recursive(
    st.text()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.none(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=20,
)


def depth(value: object) -> int:
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@settings(max_examples=400, deadline=None)
@given(st.lists(_ITEMS, max_size=5).filter(lambda value: depth(value) <= MAX_DEPTH))
@example(["it's", 'a "b"', "both ' and \"", "new\nline", "\\", "\x00", "é\u2028", "tab\t"])
@example([1e300, -0.0, 1e-7, 10**20])
def test_what_python_writes_is_read_back(value: list) -> None:
    text = repr(value)
    if "\\ud" in text:  # a lone surrogate is no text
        return
    assert parse_list(text) == value
    assert parse_list(f" {text} ") == value


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet="[]()',\"\\ 0123456789.eE+-NoneTruxnuU\n", max_size=60) | st.text(max_size=30))
def test_nothing_makes_the_parser_do_more_than_refuse(text: str) -> None:
    try:
        found = parse_list(text)
    except ValueError:
        return
    assert isinstance(found, list)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no list"),
        ("1", "no list in brackets"),
        ("[1", "no list, from"),
        ("[1)", "another bracket"),
        ("[1] 2", "goes on after its end"),
        ("[1,,2]", "an item is wanted"),
        ("[,]", "an item is wanted"),
        ("[1 2]", "a comma is wanted"),
        ("['a' 'b']", "a comma is wanted"),
        ("[__import__('os')]", "no list, from"),
        ("['a'.upper()]", "no list, from"),
        ("{'a': 1}", "no list"),
        ("[" * 100_000, "nested more than"),
        ("[" + "9" * 4000 + "]", "a number of 4000 digits"),
        ("['" + "x" * 50, "no list, from"),
        ("[" + "0," * (MAX_ITEMS + 1) + "]", "more than"),
    ],
)
def test_what_is_no_list_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_list(text)


def test_a_number_beyond_floats_is_nothing() -> None:
    assert parse_list("[1e999, nan, -1e999]") == [None, None, None]


# -- Panda-70M ---------------------------------------------------------------------------------------------------------
def panda_row(**cells: object) -> list[str]:
    row = {
        "videoID": ID,
        "url": URL,
        "timestamp": [["0:00:14.180", "0:00:23.130"], ["0:01:00.000", "0:01:08.500"]],
        "caption": ["A dog's bowl, red.", 'A "quoted" cat.'],
        "matching_score": [0.44, 0.5],
        "desirable_filtering": ["desirable", "1_still_foreground_image"],
        "shot_boundary_detection": [[["0:00:00.000", "0:00:08.950"]], []],
    } | cells
    return [str(value) for value in row.values()]


def write_panda(path: Path, *rows: list[str], header: list[str] = PANDA_HEADER) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def read_panda(path: Path, *rows: list[str]) -> list[Row]:
    write_panda(path, *rows)
    source = source_of(path)
    assert source.name == "panda"
    return list(source.read(path))


def test_panda_gives_a_candidate_per_clip(tmp_path: Path) -> None:
    rows = read_panda(tmp_path / "panda70m_training_2m.csv", panda_row(), panda_row(videoID=OTHER, url=""))
    assert [row.number for row in rows] == [0, 1, 2, 3]
    assert rows[0].values == {
        "url": URL,
        "youtube_id": None,
        "id": ID,
        "start": "0:00:14.180",
        "end": "0:00:23.130",
        "caption": "A dog's bowl, red.",
        "matching_score": 0.44,
        "desirable": "desirable",
        "shots": [["0:00:00.000", "0:00:08.950"]],
        "clip": 0,
    }
    assert (rows[1].values["caption"], rows[1].values["clip"], rows[1].values["shots"]) == ('A "quoted" cat.', 1, [])
    assert (rows[2].values["url"], rows[2].values["youtube_id"], rows[2].values["id"]) == (None, OTHER, OTHER)


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ({"caption": ["one"]}, "lists of unequal length: timestamp 2, caption 1"),
        ({"matching_score": "[0.1, 0.2, 0.3]"}, "matching_score 3"),
        ({"timestamp": "open('x')"}, "timestamp: no list"),
        ({"caption": "['a', 'b'"}, "caption: no list"),
        ({"caption": ""}, "no caption"),
        (
            {
                "timestamp": [],
                "caption": [],
                "matching_score": [],
                "desirable_filtering": [],
                "shot_boundary_detection": [],
            },
            "0 clips",
        ),
    ],
)
def test_a_broken_list_is_a_row_with_a_reason(tmp_path: Path, cells: dict, why: str) -> None:
    rows = read_panda(tmp_path / "a.csv", panda_row(**cells), panda_row())
    assert [row.number for row in rows] == [0, 1, 2]
    assert rows[0].values is None
    assert rows[0].problem.startswith("line 2: ")
    assert why in rows[0].problem


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ({"timestamp": [["0", "1"], ["2"]]}, "no stretch"),
        ({"timestamp": [["0", "1"], "2"]}, "no stretch"),
        ({"caption": ["a", " "]}, "caption is no text"),
        ({"caption": ["a", 3]}, "caption is no text"),
        ({"caption": ["a", "x" * 10_001]}, "caption is no text"),
        ({"matching_score": [1, "x"]}, "a number is wanted"),
        ({"matching_score": [1, True]}, "a number is wanted"),
        ({"desirable_filtering": ["a", 1]}, "text is wanted"),
        ({"shot_boundary_detection": [[], [3]]}, "no stretch"),
        ({"shot_boundary_detection": [[], "x"]}, "list is wanted"),
    ],
)
def test_a_broken_item_spoils_only_its_clip(tmp_path: Path, cells: dict, why: str) -> None:
    rows = read_panda(tmp_path / "a.csv", panda_row(**cells))
    assert rows[0].values is not None
    assert rows[1].values is None
    assert rows[1].problem.startswith("line 2: clip 1: ")
    assert why in rows[1].problem


def test_panda_becomes_candidates_that_keep_everything(tmp_path: Path) -> None:
    write_panda(
        day(tmp_path) / "p.csv",
        panda_row(),
        panda_row(url="https://youtu.be/" + OTHER, timestamp=[["0:00:05", "0:00:02"], ["9:99:99:99", "1"]]),
        panda_row(caption="[]"),
    )
    found = candidates(tmp_path)
    assert [row["reason"] for row in found] == [None, None, "bad_time", "bad_time", "bad_row"]
    assert (found[0]["start_s"], found[0]["end_s"], found[0]["source"]) == (14.18, 23.13, "panda")
    assert (found[0]["source_id"], found[0]["url"]) == (ID, URL)
    assert json.loads(found[1]["extra"]) == {
        "caption": 'A "quoted" cat.',
        "clip": 1,
        "desirable": "1_still_foreground_image",
        "matching_score": 0.5,
        "shots": [],
    }
    assert found[0]["video_id"] == found[1]["video_id"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=7, max_size=7))
def test_no_cells_make_the_reader_raise(tmp_path_factory, cells: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    with path.open("w", newline="", encoding="utf-8", errors="replace") as file:
        csv.writer(file).writerows([PANDA_HEADER, cells])
    assert all(row.values or row.problem for row in panda.read(path))


@pytest.mark.parametrize(
    "header", [["url", "caption"], ["url", "timestamp", "caption"], ["timestamp", "caption", "matching_score"]]
)
def test_other_lists_are_not_pandas(tmp_path: Path, header: list[str]) -> None:
    write_panda(tmp_path / "a.csv", [], header=header)
    assert source_of(tmp_path / "a.csv").name == "csv"
