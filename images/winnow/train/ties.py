"""What a release says of its clips, and which of them are tied: by a video, an uploader, or near-duplicates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from winnow.core.errors import ContractError
from winnow.train import drawing
from winnow.train.drawing import Pool


def facts(folder: Path) -> tuple[dict[str, dict], dict[str, str]]:
    """Clip → {"status", "score"}, and clip → its group (`drawing.groups`)."""
    import pyarrow.parquet as pq

    names = ["sample_id", "video_id", "uploader", "status", "effective_z"]
    path, pairs = (folder / "tables" / f"{name}.parquet" for name in ("fct_clips", "fct_duplicates"))
    if not path.is_file():
        raise ContractError(f"{path} is not there: what the release keeps and drops is not known")
    rows = pq.read_table(path, columns=names).to_pylist()
    alike = []
    if pairs.is_file():
        read = pq.read_table(pairs, columns=["first_id", "second_id", "ties"]).to_pylist()
        alike = [(row["first_id"], row["second_id"]) for row in read if row["ties"]]
    shared = {row["sample_id"]: (row["video_id"], row["uploader"]) for row in rows}
    facts = {row["sample_id"]: {"status": row["status"], "score": row["effective_z"]} for row in rows}
    return facts, drawing.groups(shared, alike)


def pool(
    ids: Sequence[str],
    splits: Sequence[str],
    clips: Sequence[str],
    facts: Mapping[str, Mapping],
    groups: Mapping[str, str],
) -> Pool:
    """The pool of these examples, each of a clip: what is known of the clip holds of it."""
    scores = [facts[clip]["score"] for clip in clips]
    return Pool(
        np.array(ids, object),
        np.array(splits, object),
        np.array([facts[clip]["status"] for clip in clips], object),
        np.array([np.nan if score is None else score for score in scores], np.float64),
        np.array([groups[clip] for clip in clips], object),
    )
