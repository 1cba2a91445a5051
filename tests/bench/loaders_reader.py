"""Reads an export with one loader; run by `loaders.py` in an environment without Winnow.

Prints one JSON object: by what the loader can open (a format's clips, its tables), rows (id and z) by split, whether
media are read (then rows with a file alone), and what is wrong beside rows, in words.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

FLOATS, TEXTS, LISTS = ("z", "start_s", "fps"), ("id", "caption", "title"), ("labels", "tag_scores")


def types(row: Mapping, where: str) -> list[str]:
    """What of a row has another type than its column."""
    wrong = [name for name in FLOATS if row[name] is not None and not isinstance(row[name], float)]
    wrong += [name for name in TEXTS if row[name] is not None and not isinstance(row[name], str)]
    wrong += [name for name in LISTS if row[name] is not None and not hasattr(row[name], "__len__")]
    return [f"{where}: type of {name}" for name in wrong]


def pair(row: Mapping) -> list:
    """What rows are compared by."""
    return [row["id"], None if row["z"] is None else float(row["z"])]


def media(row: Mapping, clip: bytes | None, residual: bytes | None, where: str) -> list[str]:
    """What of a row's files is not what the row says."""
    wrong = []
    if clip is None or hashlib.sha256(clip).hexdigest() != row["media_sha256"]:
        wrong.append(f"{where}: bytes of a clip")
    known = row["residual_sha256"]
    if bool(residual) != row["has_residual"] or (residual and hashlib.sha256(residual).hexdigest() != known):
        wrong.append(f"{where}: bytes of a residual")
    return wrong


def hugging_face(folder: Path, form: str) -> Iterable[tuple[str, dict]]:
    """`load_dataset` of the folder, by its card."""
    from datasets import Audio, Video, get_dataset_config_names, load_dataset

    for at in (folder, folder / "tables"):
        (config,) = get_dataset_config_names(str(at))
        splits, wrong = {}, []
        for split, data in load_dataset(str(at)).items():
            for name, feature in data.features.items():
                if isinstance(feature, (Audio, Video)):
                    data = data.cast_column(name, type(feature)(decode=False))
            rows = []
            for one in data:
                row = one.get("json", one)
                rows.append(pair(row))
                wrong += types(row, config)
                if config == "clips":
                    clip = one["mp4" if form == "webdataset" else "video"]
                    rest = {"bytes": one["flac"]} if form == "webdataset" else one.get("residual")
                    if form == "folder":
                        path, name = Path(clip["path"]), one["residual_path"]
                        clip = {"bytes": path.read_bytes()}
                        rest = {"bytes": (path.parent / name).read_bytes()} if name else None
                    wrong += media(row, clip["bytes"], rest and rest["bytes"], config)
            splits[str(split)] = rows
        yield (
            f"datasets {config} of {'tables' if at != folder else '.'}",
            {"splits": splits, "wrong": sorted(set(wrong)), "media": config == "clips"},
        )


def webdataset(folder: Path) -> dict:
    """webdataset under torch's DataLoader, two workers."""
    if importlib.util.find_spec("torch") is None:
        return {"skipped": "torch is not installed"}
    import torch
    import webdataset as wds

    splits, wrong = {}, []
    for at in sorted((folder / "data").iterdir()):
        shards = sorted(str(path) for path in at.glob("*.tar"))
        data = wds.WebDataset(shards, shardshuffle=False, empty_check=False).decode()
        rows = []
        for one in torch.utils.data.DataLoader(data, batch_size=None, num_workers=min(2, len(shards))):
            rows.append(pair(one["json"]))
            wrong += types(one["json"], at.name) + media(one["json"], one["mp4"], one.get("flac"), at.name)
        splits[at.name] = rows
    return {"splits": splits, "wrong": sorted(set(wrong)), "media": True}


def croissant(folder: Path) -> dict:
    """mlcroissant: the document is valid, and its record sets load."""
    import mlcroissant

    data = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
    wrong = [str(one) for one in data.metadata.ctx.issues.errors]
    splits = {}
    for record_set in data.metadata.record_sets:
        if record_set.name == "splits":
            continue
        rows = []
        for record in data.records(record_set=record_set.uuid):
            row = {name.partition("/")[2]: value for name, value in record.items()}
            rows.append([row["id"].decode(), None if row["z"] is None or row["z"] != row["z"] else float(row["z"])])
        splits[record_set.name] = rows
    return {"splits": splits, "wrong": wrong, "media": False}


def duck(folder: Path) -> dict:
    """DuckDB over all tables."""
    import duckdb

    splits: dict[str, list] = {}
    for split, clip, z in duckdb.sql(f"select split, id, z from '{folder}/tables/*.parquet'").fetchall():
        splits.setdefault(split, []).append([clip, z])
    return {"splits": splits, "wrong": [], "media": False}


def pandas(folder: Path, form: str) -> Iterable[tuple[str, dict]]:
    """pandas over the tables, and over the clips where they are Parquet."""
    import pandas as pd

    for name, pattern in (("tables", "tables/*.parquet"), ("clips", "data/*/*.parquet")):
        splits: dict[str, list] = {}
        if name == "clips" and form != "parquet":
            continue
        wrong = []
        for path in sorted(folder.glob(pattern)):
            frame = pd.read_parquet(path)
            wrong += [f"type of {column}" for column in FLOATS if frame[column].dtype != "float64"]
            for row in frame.to_dict("records"):
                splits.setdefault(row["split"], []).append([row["id"], row["z"]])
                if name == "clips":
                    wrong += media(row, row["video"]["bytes"], row["residual"] and row["residual"]["bytes"], name)
        if splits:
            yield f"pandas {name}", {"splits": splits, "wrong": sorted(set(wrong)), "media": name == "clips"}


def main(folder: Path, form: str, loader: str) -> None:
    """Print what a loader reads."""
    loaders: dict[str, Callable[[], dict]] = {
        "datasets": lambda: dict(hugging_face(folder, form)),
        "webdataset": lambda: {"webdataset": webdataset(folder)},
        "mlcroissant": lambda: {"mlcroissant": croissant(folder)},
        "duckdb": lambda: {"duckdb": duck(folder)},
        "pandas": lambda: dict(pandas(folder, form)),
    }
    print(json.dumps(loaders[loader]()))


main(Path(sys.argv[1]), *sys.argv[2:])
