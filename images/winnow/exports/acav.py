"""ACAV100M's files from a release: the selected clips, and the shards of the candidates that they lie in.

`output.csv` has no header: shard, file, YouTube id, "[start, end]"; an id or times that are not known are -1 and
[-1.0, -1.0] (released code, subset selection; the released README). Rows are in the order of selection and end with
CR LF, as in the sample that was published. Beside it lie the lists of the shards, `shard-000000.json`: one object a
candidate with `filename`, `id` and `segment` (released code, feature extraction).

A file is named `<id>_<start>.mp4`, the start in whole seconds with three digits or more. Where two clips begin within
one second, the later ones add their milliseconds. A video whose list gave it no id has Winnow's in the name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from winnow.exports.read_acav import NO_ID, NO_SEGMENT, OUTPUT

#: Candidates a shard.
SHARD_CLIPS = 1000


def write(tables: Path, out: Path) -> dict[str, int]:
    """Write the files from `tables/acav_clips.parquet`; files, relative to `out`, and their rows."""
    import duckdb

    path = tables / "acav_clips.parquet"
    if not path.is_file():
        return {}
    quoted = str(path).replace("'", "''")
    with duckdb.connect() as con:
        rows = con.execute(
            "SELECT sample_id, video_id, source_id, start_s, end_s, position, is_selected"
            f" FROM read_parquet('{quoted}') WHERE video_id IS NOT NULL"
            " ORDER BY source_id NULLS LAST, video_id, start_s NULLS LAST, end_s, sample_id"
        ).fetchall()
    if not rows:
        return {}
    out.mkdir(parents=True, exist_ok=True)
    written: dict[str, int] = {}
    selected = []
    used: set[str] = set()
    for first in range(0, len(rows), SHARD_CLIPS):
        shard, listed = f"shard-{first // SHARD_CLIPS:06d}", []
        for _, video_id, source_id, start_s, end_s, position, is_selected in rows[first : first + SHARD_CLIPS]:
            file = _file_name(source_id or video_id, start_s, used)
            known = source_id is not None and start_s is not None and end_s is not None
            segment = [_number(start_s), _number(end_s)] if known else NO_SEGMENT
            listed.append({"filename": file, "id": source_id if known else NO_ID, "segment": segment})
            if is_selected:
                selected.append((position, (shard, file, source_id if known else NO_ID, str(segment))))
        (out / f"{shard}.json").write_text(json.dumps(listed) + "\n", encoding="utf-8")
        written[f"{shard}.json"] = len(listed)
    (out / OUTPUT).write_bytes(_csv(row for _, row in sorted(selected)))
    return {OUTPUT: len(selected), **written}


def _file_name(video: str, start_s: float | None, used: set[str]) -> str:
    """The clip's file; names that the shards have already are taken."""
    stem = f"{video}_{int(start_s or 0):03d}"
    name = f"{stem}.mp4"
    if name in used:
        name = f"{stem}_{round((start_s or 0) * 1000) % 1000:03d}.mp4"
    more = 2
    while name in used:
        name, more = f"{stem}_{more}.mp4", more + 1
    used.add(name)
    return name


def _number(seconds: float) -> int | float:
    """Whole seconds as an integer, as ACAV100M writes them."""
    return int(seconds) if seconds == int(seconds) else seconds


def _csv(rows: Iterable[tuple[object, ...]]) -> bytes:
    import csv
    import io

    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()
