"""Given lists of task parse: LLP's files say splits and labels, the release which clips there are."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.train import planted
from tests.unit.train.test_runs import _train
from winnow.core.errors import ConfigError, ContractError
from winnow.sources import youtube_clips
from winnow.train import parsing_lists, runs
from winnow.train.config import load

FILES = {"train": "AVVP_train.csv", "val": "AVVP_val_pd.csv", "test": "AVVP_test_pd.csv"}
HEAD = "filename\tonset\toffset\tevent_labels"


def _name(k: int) -> str:
    """The k-th clip, as LLP writes it: some times have fractions, and a video may have several clips."""
    return f"video_{k // 2:05d}_{30 * (k % 2)}_{30 * (k % 2) + 10}" if k else "video_00000_12.5_22.5"


def _id(name: str) -> str:
    return youtube_clips.sample_id(*youtube_clips.parse(name, short_ids=True), short_ids=True)


@pytest.fixture
def listed(tmp_path: Path) -> tuple[tuple, Path]:
    """A release that has no label of its own, and LLP's five files for its clips: a lake as `_train` takes it."""
    rows = planted.samples(family="llp")
    splits = {v: ("train", "train", "train", "val", "test")[v % 5] for v in range(15)}
    for k, row in enumerate(rows):
        row |= {"sample_id": _id(_name(k)), "split": splits[k // 2], "video_id": f"v{k // 2}", "group_id": f"v{k // 2}"}
    lake, settings, vectors = planted.make_lake(tmp_path, rows)
    tables = Path(lake.full(f"releases/{planted.RELEASE}")) / "tables"
    (tables / "avel_samples.parquet").unlink()
    clips = [{k: row[k] for k in ("sample_id", "video_id", "group_id")} | {"status": "kept"} for row in rows]
    pq.write_table(pa.Table.from_pylist(clips), tables / "fct_clips.parquet")
    folder = tmp_path / "llp"
    folder.mkdir()
    for split, file in FILES.items():
        lines = [f"{_name(k)}\t{row['category']}" for k, row in enumerate(rows) if row["split"] == split]
        (folder / file).write_text("\n".join(["filename\tevent_labels", *lines, ""]))
    for side, word in (("audible", "audio"), ("visible", "visual")):
        lines = [
            f"{_name(k)}\t{s}\t{s + 1}\t{row['category']}"
            for k, row in enumerate(rows)
            if row["split"] != "train"
            for s in range(10)
            if row[side][s]
        ]
        (folder / f"AVVP_eval_{word}.csv").write_text("\n".join([HEAD, *lines, ""]))
    (folder / "AVVP_dataset_full.csv").write_text("filename\tevent_labels\nnobody_0000_0_10\tdog\n")
    return (lake, settings, vectors, rows), folder


def _add(folder: Path, file: str, *lines: str) -> None:
    with (folder / file).open("a") as opened:
        opened.writelines(f"{line}\n" for line in lines)


def _release(made: tuple) -> Path:
    return Path(made[0].full(f"releases/{planted.RELEASE}"))


def test_splits_and_labels_are_those_of_the_lists(listed: tuple) -> None:
    made, folder = listed
    found = parsing_lists.read(_release(made), folder)
    assert dict(zip(found.id, found.split, strict=True)) == {row["sample_id"]: row["split"] for row in made[3]}
    assert found.categories == planted.CATEGORIES
    at = {sample_id: k for k, sample_id in enumerate(found.id)}
    for row in made[3]:
        k, c = at[row["sample_id"]], planted.CATEGORIES.index(row["category"])
        assert found.target[k].nonzero()[0].tolist() == [c]
        told = row["split"] != "train"
        assert found.heard[k, :, c].tolist() == [told and bool(v) for v in row["audible"]]
        assert found.seen[k, :, c].tolist() == [told and bool(v) for v in row["visible"]]
    assert found.left_out == {}
    assert set(parsing_lists.read(_release(made), folder, test=False).split) == {"train", "val"}


def test_what_the_release_lacks_and_what_cannot_be_read_is_counted_and_said(listed: tuple) -> None:
    (lake, settings, vectors, rows), folder = listed
    heard = next(_name(k) for k, row in enumerate(rows) if row["split"] == "val")
    _add(folder, "AVVP_train.csv", "elsewhere00_0_10\tdog", "elsewhere00_7.25_17.25\tdog")
    _add(folder, "AVVP_eval_audio.csv", f"{heard}\t5\t5\tdog", "unplaced000_0_10\t1\t2.5\tdog")
    lines = len((folder / "AVVP_eval_audio.csv").read_text().splitlines())
    said: list[str] = []
    done = _train((lake, settings, vectors), "one", "parse", model="han", lists=str(folder), epochs=1, note=said.append)
    assert done["computed"]
    assert [line for line in said if line.startswith("given lists")] == [
        f"given lists: 1 bad line, the first is AVVP_eval_audio.csv, line {lines - 1}: an event of 0 s, at 5 s",
        "given lists: 1 no split, the first is unplaced000_0_10",
        "given lists: 2 not in release, the first is elsewhere00_0_10",
    ]
    counted = runs.Run(lake, "parse", "one").card()["counts"]
    assert counted["left_out"] == {"bad_line": 1, "no_split": 1, "not_in_release": 2}
    _add(folder, "AVVP_train.csv", f"{_name(0)}\tdog")
    with pytest.raises(ConfigError, match="with other examples"):
        _train((lake, settings, vectors), "one", "parse", model="han", lists=str(folder), epochs=1)


def test_a_leak_between_the_lists_stops_unless_it_is_allowed(listed: tuple) -> None:
    made, folder = listed
    text = (folder / "AVVP_train.csv").read_text()
    moved = next(line for line in text.splitlines() if line.startswith(_name(1)))
    (folder / "AVVP_train.csv").write_text(text.replace(f"{moved}\n", ""))
    _add(folder, "AVVP_val_pd.csv", moved)
    with pytest.raises(ContractError, match=r"llp: video v0 stands in \w+ and in \w+ .*allow_leaks=true"):
        parsing_lists.read(_release(made), folder)
    assert len(parsing_lists.read(_release(made), folder, leaks=True)) == 30
    _add(folder, "AVVP_train.csv", moved)
    with pytest.raises(ContractError, match=f"clip {_id(_name(1))} stands in (train and in val|val and in train)"):
        parsing_lists.read(_release(made), folder, leaks=True)


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("AVVP_val_pd.csv", "has no list of LLP for val"),
        ("AVVP_eval_visual.csv", "does not say when events of val and test are heard and seen"),
    ],
)
def test_a_list_that_is_not_there_is_named(listed: tuple, gone: str, said: str) -> None:
    made, folder = listed
    (folder / gone).unlink()
    with pytest.raises(ContractError, match=said):
        parsing_lists.read(_release(made), folder)


def test_lists_of_other_clips_and_of_another_task_are_refused(listed: tuple, tmp_path: Path) -> None:
    made, folder = listed
    clips = _release(made) / "tables" / "fct_clips.parquet"
    pq.write_table(pq.read_table(clips).slice(0, 0), clips)
    with pytest.raises(ContractError, match="keeps none of its 30 clips; the first is "):
        parsing_lists.read(_release(made), folder)
    with pytest.raises(ContractError, match="a folder with LLP's lists is wanted"):
        parsing_lists.read(_release(made), tmp_path / "none")
    with pytest.raises(ConfigError, match="lists is an option of task parse"):
        load("avel", settings=["lists=llp"])
