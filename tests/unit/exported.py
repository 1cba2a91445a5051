"""A small published release whose clips are exported: kept and dropped ones in the same tars, all kinds of licences."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import duckdb

from tests.unit import filled
from winnow.core import shard_tar
from winnow.core.lake import Lake, sha256_bytes, sha256_file
from winnow.core.sample import sid
from winnow.release.copies import sealed

RELEASE = "0123456789ab"
COUNT = 20
#: Clips by their place: every fourth is dropped, and one of each licence is recycled.
LICENCES = ("CC-BY-4.0", None, "CC BY-ND 4.0", "unknown", "https://creativecommons.org/publicdomain/zero/1.0/")
RECYCLED = (0, 2, 10, 12)
TITLES = ('A "quoted" title', "Zwei\nZeilen", "犬 🐕 | pipe", None)


def clip_id(place: int) -> str:
    """Id of a clip by its place."""
    return sid("clip", place)


def is_kept(place: int) -> bool:
    """Whether the release keeps it."""
    return place % 4 != 3


def split(place: int) -> str:
    """Its split."""
    return "test" if place % 9 == 8 else "val" if place % 5 == 4 else "train"


def content(place: int) -> bytes:
    """What stands for a clip's file; its length is no multiple of a tar's block."""
    return b"mp4 " + clip_id(place).encode() * (20 + place)


def residual(place: int) -> bytes:
    """What stands for what is left of its sound."""
    return b"fLaC" + clip_id(place).encode() * 3


def row(place: int, **changes: object) -> dict[str, object]:
    """Its row of fct_clips; of numbers with a fraction some have none, and most captions are null."""
    licence, own = LICENCES[place % len(LICENCES)], place % len(LICENCES) == 1
    return {
        "sample_id": clip_id(place),
        "video_id": sid("video", place // 2),
        "batch": "b",
        "candidate_id": f"c{place}",
        "url": f"inbox:b/{place}.mp4" if own else f"https://videos.example/{place}",
        "title": TITLES[place % 4],
        "uploader": "somebody",
        "license": licence,
        "labels": [["dog", "a|b"], [], None][place % 3],
        "label": "dog",
        "caption": "A dog barks" if place == 17 else None,
        "start_s": place * 10.0,
        "end_s": place * 10.0 + 10,
        "duration_s": 10.0,
        "start_ms": place * 10000,
        "end_ms": place * 10000 + 10000,
        "media_sha256": sha256_bytes(content(place)),
        "media_bytes": len(content(place)),
        "width": 640,
        "height": 360,
        "fps": 25.0,
        "z": place + (0.5 if place % 3 else 0.0),
        "score": 1.0,
        "flag": int(place in RECYCLED),
        "is_recycled": place in RECYCLED,
        "residual_z": 3.0 if place in RECYCLED else None,
        "tag_mids": ["/m/1"],
        "tag_scores": [1.0],
        "status": "kept" if is_kept(place) else "dropped",
        "first_failed_rule": None if is_kept(place) else "silent",
        "split": split(place) if is_kept(place) else None,
    } | changes


def build(root: Path, places: Iterable[int] = range(COUNT)) -> Lake:
    """The lake, its release current."""
    lake = Lake(root)
    places = list(places)
    put_files(lake, places)
    publish(lake, RELEASE, [row(place) for place in places])
    lake.write("releases/current", f"{RELEASE}\n".encode())
    return lake


def put_files(lake: Lake, places: list[int]) -> None:
    """The tars: two of clips, one of residuals."""
    for number in range(2):
        _tar(lake, _clips_tar(number), [(f"{clip_id(p)}.mp4", content(p)) for p in places if p % 2 == number])
    _tar(lake, RESIDUALS, [(f"{clip_id(p)}.flac", residual(p)) for p in places if p in RECYCLED])


RESIDUALS = "separate/v=0/batch=b/00000-0000.2222.tar"


def _clips_tar(number: int) -> str:
    return f"clip/v=0/batch=b/0000{number}-0000.1111.tar"


def _tar(lake: Lake, key: str, files: list[tuple[str, bytes]]) -> None:
    path = Path(lake.full(key))
    path.parent.mkdir(parents=True, exist_ok=True)
    shard_tar.write(path, sorted(files))


def publish(lake: Lake, release: str, rows: list[dict[str, object]]) -> Path:
    """A release with these rows of fct_clips, sealed; not made current."""
    folder = Path(lake.full(f"releases/{release}"))
    (folder / "tables").mkdir(parents=True)
    (folder / "ops").mkdir()
    places = {clip_id(place): place for place in range(1000)}
    files = []
    for one in rows:
        place = places[str(one["sample_id"])]
        more = {}
        if place in RECYCLED:
            data = residual(place)
            more = {
                "residual_tar": RESIDUALS,
                "residual_start_s": 0.0,
                "residual_sha256": sha256_bytes(data),
                "residual_bytes": len(data),
            }
        files.append({"sample_id": one["sample_id"], "tar": _clips_tar(place % 2), **more})
    reasons = {
        "batch": "b",
        "step": "release",
        "status": "dropped",
        "reason": "silent",
        "items": 5,
        "explanation": "Why|so",
    }
    with duckdb.connect() as con:
        con.execute("create schema ops")
        filled.fill(con, "fct_clips", "marts/fct_clips.yml", rows)
        filled.fill(con, "rpt_reasons", "reports/rpt_reasons.yml", [reasons])
        filled.fill(con, "ops.fct_clip_files", "ops/fct_clip_files.yml", files)
        for table in ("fct_clips", "rpt_reasons", "ops.fct_clip_files"):
            at = f"ops/{table[4:]}" if table.startswith("ops.") else f"tables/{table}"
            con.execute(f"copy (from {table}) to '{folder / at}.parquet' (format parquet)")
    seal(folder)
    return folder


def seal(folder: Path, **more: object) -> None:
    """The manifest over what lies in a release's folder."""
    listed = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
        for path in sorted(folder.rglob("*.parquet"))
    }
    manifest = {
        "id": folder.name,
        "policy": "hash",
        "before": None,
        "published_at": None,
        "batches": {},
        "files": listed,
    }
    (folder / "manifest.json").write_bytes(sealed(manifest | more))


def carried(place: int) -> bool:
    """Whether its file may come along: its licence allows it, or it is its user's own."""
    return is_kept(place) and LICENCES[place % len(LICENCES)] != "unknown"


def carried_residual(place: int) -> bool:
    """Whether what was made of its sound may: not under a licence without derivatives."""
    return carried(place) and place in RECYCLED and "ND" not in (LICENCES[place % len(LICENCES)] or "")
