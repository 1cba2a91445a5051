"""The files of VGGSound-AVEL's and AVE's sets: as the originals are laid out, the same bytes for the same rows, and
read back by our readers and by a small one that knows only the specification."""

from __future__ import annotations

import csv
import json
import random
import shutil
import time
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from winnow import exports
from winnow.annotations.avel_splits import read_splits
from winnow.annotations.segment_labels import read_labels
from winnow.core.errors import ContractError
from winnow.exports import avel, read_avel
from winnow.sources import youtube_clips

TEN = [0, 1, 1, 1, 1, 1, 0, 1, 1, 1]
FULL, HALF, AVE = (files.folder for files in read_avel.SETS)


#: Columns that come back from the labels.
BACK = ("family", "sample_id", "video", "start_s", "category", "labels")


def row(
    family: str, number: int, category: str, split: str | None, start_s: float | None = 30.0, **more: object
) -> dict:
    video = f"{number:011d}"
    sample_id = youtube_clips.sample_id(video, start_s, None if start_s is None else start_s + 10)
    return {
        "family": family,
        "sample_id": sample_id,
        "category": category,
        "video": video,
        "clip": youtube_clips.name_of(video, start_s),
        "start_s": start_s,
        "split": split,
        "in_half": number % 2 == 0,
        "labels": TEN if number % 3 else [1] * 10,
        **more,
    }


def rows() -> list[dict]:
    """Three categories of AVEL, one with a comma, two clips of a video, one clip in no split; AVE's video with two
    events."""
    names = ["dog", "bell, big", "öl"]
    splits = ["train", "train", "train", "val", "test"]
    made = [row("avel", n, names[n % 3], splits[n % 5]) for n in range(40)]
    made += [row("avel", 0, "dog", "train", 7.5), row("avel", 77, "dog", None)]
    made += [row("ave", 3, c, "train", None, labels=TEN) for c in ("Male speech, man speaking", "Dog")]
    return [*made, row("ave", 4, "Dog", "test", None), row("llp", 5, "Dog", "test")]


def tables(folder: Path, made: list[dict]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    schema = pa.schema(
        [
            *((n, pa.string()) for n in ("family", "sample_id", "category", "video", "clip", "split")),
            ("start_s", pa.float64()),
            ("in_half", pa.bool_()),
            ("labels", pa.list_(pa.int32())),
        ]
    )
    pq.write_table(pa.Table.from_pylist(made, schema=schema), folder / "avel_samples.parquet")
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    exports.write("avel", tables(tmp_path / "tables", rows()), tmp_path / "out")
    return tmp_path / "out"


def test_the_layout_is_the_originals(out: Path, tmp_path: Path) -> None:
    """A reader written from the specification alone: no module of the package is used."""
    with (out / FULL / "vggsound-avel100k.csv").open(encoding="utf-8", newline="") as file:
        listed = list(csv.DictReader(file))
    assert list(listed[0]) == ["category", "video_id", "start", "split"]
    assert len(listed) == 41
    assert [(r["category"], r["video_id"], float(r["start"])) for r in listed] == sorted(
        (r["category"], r["video_id"], float(r["start"])) for r in listed
    )
    assert {r["start"] for r in listed} == {"30", "7.5"}
    categories = (out / FULL / "categories.txt").read_text(encoding="utf-8").split("\n")[:-1]
    assert categories == ["bell, big", "dog", "öl"]
    with h5py.File(out / FULL / "labels.h5") as file:
        labels = file["avadataset"][:]
    with h5py.File(out / FULL / "mil_labels.h5") as file:
        whole = file["avadataset"][:]
    assert labels.shape == (41, 10, 4)
    assert (labels.sum(axis=2) == 1).all()
    truth = {(r["video"], r["start_s"]): r for r in rows() if r["family"] == "avel"}
    for place, listed_row in enumerate(listed):
        sample = truth[listed_row["video_id"], float(listed_row["start"])]
        at = categories.index(sample["category"])
        assert listed_row["split"] == sample["split"]
        assert labels[place, :, at].tolist() == sample["labels"]
        assert labels[place, :, -1].tolist() == [1 - label for label in sample["labels"]]
        assert whole[place].tolist() == [int(k == at) for k in range(4)]
    for split in ("train", "val", "test"):
        with h5py.File(out / FULL / f"{split}_order.h5") as file:
            order = file["order"][:]
        assert order.tolist() == [place for place, r in enumerate(listed) if r["split"] == split]
        assert order.dtype == np.int64
    merged = {
        k: v for item in json.loads((out / FULL / "vggsound-avel100k_labels.json").read_text()) for k, v in item.items()
    }
    assert merged["00000000001_000030"]["label"] == TEN
    by_clip = json.loads((out / FULL / "video_label_dict.json").read_text(encoding="utf-8"))
    assert by_clip["00000000002_000030"] == "öl"
    by_category = json.loads((out / FULL / "label_video_dict.json").read_text(encoding="utf-8"))
    assert sorted((c, k) for k, c in by_clip.items()) == sorted((c, k) for c, keys in by_category.items() for k in keys)


def test_every_set_has_its_members(out: Path) -> None:
    found = {name: read_avel.read_set(out / name) for name in (FULL, HALF, AVE)}
    assert [len(one.samples) for one in found.values()] == [41, 21, 3]
    halves = {s["clip"] for s in found[HALF].samples}
    assert halves == {r["clip"] for r in rows() if r["family"] == "avel" and r["in_half"] and r["split"]}
    in_full = {s["clip"]: s["split"] for s in found[FULL].samples}
    assert all(in_full[s["clip"]] == s["split"] for s in found[HALF].samples)
    assert [s["start_s"] for s in found[AVE].samples] == [None] * 3
    assert found[AVE].categories == ["Dog", "Male speech, man speaking"]
    assert read_avel.read_dict(out / AVE / "video_label_dict.json")["00000000003"] == [
        "Dog",
        "Male speech, man speaking",
    ]
    labels = [r.values for r in read_avel.read_labels_json(out / FULL / "vggsound-avel100k_labels.json")]
    assert [r["clip"] for r in labels] == [s["clip"] for s in found[FULL].samples]
    assert sorted(
        found[FULL].orders["train"].tolist() + found[FULL].orders["val"].tolist() + found[FULL].orders["test"].tolist()
    ) == list(range(41))


def test_exports_come_back_as_labels_and_splits(out: Path) -> None:
    for family, path in (
        ("avel", out / FULL / "vggsound-avel100k_labels.json"),
        ("ave", out / AVE / "ave_labels.json"),
    ):
        read = [{name: r.values[name] for name in BACK} for r in read_labels(path)]
        wanted = [{name: r[name] for name in BACK} for r in rows() if r["family"] == family and r["split"]]
        assert sorted(read, key=str) == sorted(wanted, key=str)
    splits = {r.values["key"]: r.values["split"] for r in read_splits(out / FULL / "vggsound-avel100k.csv")}
    assert splits == {r["clip"]: r["split"] for r in rows() if r["family"] == "avel" and r["split"]}
    splits = {r.values["key"]: (r.values["family"], r.values["split"]) for r in read_splits(out / AVE / "ave.csv")}
    assert splits["00000000003&Dog"] == ("ave", "train")
    assert len(splits) == 3


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    shuffled = rows()
    random.Random(0).shuffle(shuffled)
    made = []
    for name, given in (("one", rows()), ("two", shuffled)):
        exports.write("avel", tables(tmp_path / name, given), tmp_path / name / "out")
        made.append({p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name / "out").rglob("*.*")})
        time.sleep(1.1)  # HDF5 keeps times in seconds
    assert len(made[0]) == 3 * 10
    assert made[0] == made[1]


def test_what_has_no_samples_writes_nothing(tmp_path: Path) -> None:
    assert exports.write("avel", tmp_path, tmp_path / "out") == {}
    assert exports.write("avel", tables(tmp_path / "tables", [row("llp", 1, "Dog", "test")]), tmp_path / "out") == {}
    assert not (tmp_path / "out").exists()


def test_features_follow_the_list(out: Path, tmp_path: Path) -> None:
    """Shorter features repeat their last second, longer ones are cut."""
    (full, *_) = read_avel.SETS
    samples = avel.members(tmp_path / "tables", full)

    def audio(sample: dict) -> np.ndarray:
        seconds = 7 if sample["video"].endswith("1") else 12
        base = float(int(sample["video"])) + np.arange(seconds)[:, None]
        return base + np.zeros((1, 128))

    path = out / FULL / read_avel.AUDIO_FEATURES
    assert avel.write_features(path, samples, audio, dtype="float64") == 41
    with h5py.File(path) as file:
        written = file["avadataset"][:]
    assert written.shape == (41, 10, 128)
    assert written.dtype == np.float64
    for place, sample in enumerate(read_avel.read_set(out / FULL).samples):
        expected = int(sample["video"]) + np.minimum(np.arange(10), 6 if sample["video"].endswith("1") else 9)
        assert (written[place, :, 5] == expected).all()
    first = path.read_bytes()
    avel.write_features(path, samples, audio, dtype="float64")
    assert path.read_bytes() == first
    maps = out / FULL / read_avel.VISUAL_FEATURES
    avel.write_features(maps, samples, lambda _: np.ones((10, 7, 7, 8)))
    assert read_avel.read_h5(maps).shape == (41, 10, 7, 7, 8)
    with pytest.raises(ContractError, match=samples[1]["clip"]):
        avel.write_features(maps, samples, lambda s: np.ones((10, 3 if s is samples[0] else 4)))
    with pytest.raises(ContractError, match="no samples"):
        avel.write_features(maps, [], audio)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("categories.txt", "does not fit"),
        ("labels.h5", "no data set|does not fit|other categories"),
        ("mil_labels.h5", "no data set|does not fit|other categories"),
        ("val_order.h5", "no data set|does not fit|other rows"),
        ("vggsound-avel50k.csv", "line 2"),
    ],
)
def test_files_that_disagree_are_named(name: str, message: str, out: Path) -> None:
    folder = out / HALF
    if name.endswith("csv"):
        text = (folder / name).read_text().splitlines()
        (folder / name).write_text("\n".join([text[0], text[1] + ",x", *text[2:]]))
    elif name.endswith("txt"):
        (folder / name).write_text("dog\ncat\nöl\n")
    else:
        shutil.copy(out / FULL / name, folder / name)
    with pytest.raises(ContractError, match=message) as refused:
        read_avel.read_set(folder)
    assert name in str(refused.value)


def test_labels_of_another_category_are_noticed(out: Path) -> None:
    with h5py.File(out / FULL / "labels.h5", "r+") as file:
        labels = file["avadataset"][:]
        file["avadataset"][0] = labels[-1]
    with pytest.raises(ContractError, match="other categories"):
        read_avel.read_set(out / FULL)
    (out / FULL / "labels.h5").write_bytes(b"no HDF5")
    with pytest.raises(ContractError, match="no data set"):
        read_avel.read_set(out / FULL)
    with pytest.raises(ContractError, match="folder of no set"):
        read_avel.read_set(out)


def test_bad_label_files_are_rows_with_problems(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps([{"a": {"label": TEN}}, {"b": TEN}, {"c": [1]}, {"d": {}}, 3]))
    read = list(read_avel.read_labels_json(path))
    assert [r.problem is None for r in read] == [True, True, False, False]
    path.write_text("[")
    with pytest.raises(ContractError, match="not JSON"):
        list(read_avel.read_labels_json(path))
    path.write_text('{"a": [1]}')
    with pytest.raises(ContractError, match="no object of text"):
        read_avel.read_dict(path)
    (tmp_path / "categories.txt").write_text("dog\ndog\n")
    with pytest.raises(ContractError, match="twice"):
        read_avel.read_categories(tmp_path / "categories.txt")
