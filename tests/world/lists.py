"""The days' lists: what a person or a crawler would hand in, with the flaws such lists have.

Three formats take turns over the days (CSV, JSONL, Parquet), each with columns nobody asked for, and one day in three
also brings a folder of files without any list. Every day holds a few bad rows: they stand in truth_rows.jsonl with the
reason each should end in. `list_row` counts data rows from 0 (a CSV header is not a row, a broken JSON line is one).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tests.world.classes import CLASSES
from tests.world.plan import PERIOD
from tests.world.video import HOST, Video, batch_key

COLUMNS = ("id", "url", "start", "end", "title", "description", "uploader", "license", "labels")
EXTRA = {"csv": ("view_count", "lang"), "jsonl": ("duration", "tags"), "parquet": ("duration", "crawl_score")}
LICENSES = ("CC-BY-4.0", "CC-BY-4.0", "CC0-1.0", "CC-BY-SA-4.0", "unknown")
ENDINGS = ("", "", "", " (phone camera)", ", part 2", " - raw")
FORMATS = (
    ("candidates.csv", "crawl.jsonl"),
    ("candidates.parquet", "crawl.jsonl"),
    ("candidates.csv", "partner.parquet"),
)

Row = dict[str, object]


def write_lists(root: Path, videos: list[Video], batch: int) -> list[Row]:
    """Write one day's lists under `root`/inbox/<date>/; returns its bad rows for truth_rows.jsonl."""
    folder = root / "inbox" / batch_key(batch)
    folder.mkdir(parents=True, exist_ok=True)
    listed = [v for v in videos if v.batch == batch and not v.url.startswith("inbox:")]
    rng = np.random.default_rng([listed[0].seed if listed else 0, batch, 1 << 20])
    names = FORMATS[batch % PERIOD]
    truth: list[Row] = []
    for order, name in enumerate(names):
        kind = name.rsplit(".", 1)[1]
        rows = [row for video in listed if video.index % 2 == order for row in _rows(video, kind)]
        rows, bad = _spoil(rows, kind, batch, rng)
        truth += [{"batch": batch_key(batch), "list_path": name, **entry} for entry in bad]
        WRITERS[kind](folder / name, rows, COLUMNS + EXTRA[kind])
    return truth


def title(video: Video) -> str:
    """A title such as an uploader writes, by what is seen."""
    rng, words = video.rng(10), CLASSES[video.visual_class]
    return f"{rng.choice(words.things)} {rng.choice(words.places)}{rng.choice(ENDINGS)}"


def _rows(video: Video, kind: str) -> Iterable[Row]:
    """One row per asked segment, or one for the whole video."""
    rng, words = video.rng(11), CLASSES[video.visual_class]
    row: Row = {
        "id": video.video,
        "url": video.url,
        "start": None,
        "end": None,
        "title": title(video),
        "description": words.line if rng.random() < 0.8 else None,
        "uploader": video.uploader,
        "license": str(rng.choice(LICENSES)),
        "labels": [words.label] if rng.random() < 0.92 else None,
    }
    extra: Row = {
        "view_count": int(rng.lognormal(6, 2)),
        "lang": str(rng.choice(["en", "de", "pt", "ja", ""])) or None,
        "duration": round(video.duration_s, 1) if rng.random() < 0.7 else None,
        "tags": [str(t) for t in rng.choice(["field", "nature", "music", "city", "home"], 2, replace=False)],
        "crawl_score": round(float(rng.random()), 3),
    }
    row |= {name: extra[name] for name in EXTRA[kind]}
    for start_s, end_s in video.segments or ((None, None),):
        yield row | {"start": start_s, "end": end_s}


def _spoil(rows: list[Row], kind: str, batch: int, rng: np.random.Generator) -> tuple[list[Row], list[Row]]:
    """Insert this list's bad rows; returns the rows and, for the truth, where each bad one stands."""
    whole = [row for row in rows if row["start"] is None and str(row["url"]).startswith(HOST)]
    if not whole:
        return rows, []
    model = whole[int(rng.integers(len(whole)))]
    made: list[tuple[str, Row | str]] = []
    if kind == "parquet" or (kind == "csv" and batch % PERIOD == 0):
        made += [("missing_url", model | {"id": f"x{batch}a", "url": None})]
        made += [("bad_time", model | {"id": f"x{batch}b", "start": 9.0, "end": 4.5})]
    if kind == "jsonl":
        made += [("bad_row", '{"id": "x' + str(batch) + 'c", "url": "http://media.wor')]
    if kind == "csv" or batch % PERIOD == 1:
        made += [("bad_url", model | {"id": f"x{batch}d", "url": "see the link in my profile"})]
    if kind == "jsonl" and batch % PERIOD == 1:
        made += [("blocked_scheme", model | {"id": f"x{batch}e", "url": "file:///etc/hostname"})]
    if kind == "csv" and batch % PERIOD == 2:
        made += [("outside_media", model | {"id": f"x{batch}f", "start": 4000.0, "end": 4010.0})]
    placed: list[tuple[str, Row | str]] = [("", row) for row in rows]
    for flaw, row in made:
        placed.insert(int(rng.integers(1, len(placed) + 1)), (flaw, row))
    if kind != "jsonl" or batch % PERIOD == 0:
        first = int(rng.integers(len(placed)))
        while placed[first][0]:
            first = int(rng.integers(len(placed)))
        placed.insert(int(rng.integers(first + 1, len(placed) + 1)), ("duplicate_row", placed[first][1]))
    truth = [
        {"list_row": at, "planted": "bad_row", "kind": flaw, "expected": flaw}
        for at, (flaw, _) in enumerate(placed)
        if flaw
    ]
    return [row for _, row in placed], truth


def _write_csv(path: Path, rows: list[Row], columns: tuple[str, ...]) -> None:
    """Comma separated with a header; labels joined by ';'."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        values = {name: ";".join(value) if isinstance(value, list) else value for name, value in row.items()}
        writer.writerow(["" if values[name] is None else values[name] for name in columns])
    path.write_text(text.getvalue(), encoding="utf-8")


def _write_jsonl(path: Path, rows: list[Row], columns: tuple[str, ...]) -> None:
    """One object per line, keys without a value left out; a str among the rows is written as it is (a broken line)."""
    lines = [
        row if isinstance(row, str) else json.dumps({name: row[name] for name in columns if row[name] is not None})
        for row in rows
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_parquet(path: Path, rows: list[Row], columns: tuple[str, ...]) -> None:
    """Native types: doubles for times, list<string> for labels."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"start": pa.float64(), "end": pa.float64(), "duration": pa.float64(), "crawl_score": pa.float64()}
    types["labels"] = pa.list_(pa.string())
    schema = pa.schema([(name, types.get(name, pa.string())) for name in columns])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, compression="zstd")


WRITERS = {"csv": _write_csv, "jsonl": _write_jsonl, "parquet": _write_parquet}
