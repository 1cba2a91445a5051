"""A small corpus of AudioScope's kind: listed videos and clips, ratings, given splits; and its release."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.dbt.lake import write_table
from winnow.annotations.ratings import rating
from winnow.core import corpus_table
from winnow.core.lake import Lake
from winnow.core.sample import candidate_id, clip_id, sid
from winnow.core.stage import stage_columns
from winnow.sources import yfcc_path

BATCH = "2026-11-01"


def path_of(name: str) -> str:
    """A well-formed path of YFCC100M for any name."""
    return yfcc_path.path_of((sid(name) * 2)[:32])


def video_id(path: str) -> str:
    """Id of the video."""
    return sid("video", yfcc_path.URL_PREFIX + path)


@dataclass(frozen=True)
class Listed:
    """One row of a list: a video with a duration (s), or one of its clips; a clip with `z` was cut and scored too."""

    path: str
    uploader: str | None = None
    duration_s: float | None = None
    times: tuple[float, float] | None = None
    extra: dict = field(default_factory=dict)
    z: float | None = None

    @property
    def clip(self) -> str:
        """The listed clip's id."""
        return clip_id(video_id(self.path), *self.times)


def write_lists(lake: Lake, rows: Sequence[Listed], batch: str = BATCH, seq: int = 0) -> None:
    """Commit and admit a batch of candidates; nothing else has run on it, so all are pending."""
    table = []
    for number, row in enumerate(rows):
        start_s, end_s = row.times or (None, None)
        vid = video_id(row.path)
        table.append(
            {
                "sample_id": candidate_id(vid, start_s, end_s),
                "outcome": "ok",
                "video_id": vid,
                "source": "yfcc",
                "list_path": "list.csv",
                "list_row": number,
                "url": yfcc_path.URL_PREFIX + row.path,
                "uploader": row.uploader,
                "duration_s": row.duration_s,
                "start_s": start_s,
                "end_s": end_s,
                "extra": json.dumps(row.extra) if row.extra else None,
            }
        )
    tables = {"ingest": table, **_scored([row for row in rows if row.z is not None])}
    head: dict = {"batch": batch, "seq": seq, "stages": {}}
    for stage, records in tables.items():
        manifest = write_table(lake, stage, batch, 0, records, stage_columns()[stage])
        file = {"shard": manifest.shard, "path": lake.table_key(manifest), "sha256": manifest.sha256}
        head["stages"][stage] = {"v": manifest.fingerprint, "files": [file | {"rows": manifest.rows}]}
    lake.write(f"batches/{batch}.json", json.dumps(head).encode())


def _scored(rows: Sequence[Listed]) -> dict[str, list[dict]]:
    """Listed clips that were fetched, cut and scored, as stage tables."""
    tables: dict[str, list[dict]] = {}
    for row in rows:
        vid, (start_s, end_s) = video_id(row.path), row.times
        candidate = {"sample_id": candidate_id(vid, start_s, end_s), "outcome": "ok"}
        for stage in ("screen", "decide", "plan"):
            tables.setdefault(stage, []).append(candidate)
        tables.setdefault("fetch", []).append({**candidate, "media_sha256": sid("source", row.path) * 3})
        keys = {"sample_id": row.clip, "outcome": "ok", "video_id": vid}
        cut = {**keys, "candidate_id": candidate["sample_id"], "start_s": start_s, "end_s": end_s}
        cut |= {"duration_s": end_s - start_s, "media_sha256": sid("media", row.clip) * 3}
        tables.setdefault("clip", []).append(cut)
        tables.setdefault("correspond", []).append({**keys, "z": row.z, "score": row.z / 2, "model": "m"})
    return tables


def rate(lake: Lake, answers: Iterable[tuple[str, tuple[float, float], str, bool | None, bool | None]]) -> None:
    """Add ratings: (path, times, rater, on-screen, off-screen)."""
    rows = []
    for path, (start_s, end_s), rater, on, off in answers:
        said = [{True: "yes", False: "no", None: "unsure"}[answer] for answer in (on, off)]
        rows.append(
            rating(
                {
                    "video": path,
                    "start_s": start_s,
                    "end_s": end_s,
                    "rater_id": rater,
                    "onscreen_present": said[0],
                    "offscreen_present": said[1],
                }
            )
        )
    corpus_table.add(lake, "rating", rows, provenance={"made": "by a test"})


def label(lake: Lake, path: str, times: tuple[float, float], state: str) -> None:
    """Two raters who agree."""
    on, off = state == "onscreen_only", state == "offscreen_only"
    rate(lake, [(path, times, rater, on, off) for rater in ("r1", "r2")])


def give(lake: Lake, splits: dict[str, str]) -> None:
    """Add published splits: path → split."""
    rows = [{"family": "audioscope", "key": k, "split": s, "source": f"{s}.csv"} for k, s in splits.items()]
    corpus_table.add(lake, "given_split", rows, provenance={"made": "by a test"})
