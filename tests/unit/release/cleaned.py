"""A lake with everything that `winnow clean` removes, and what it must leave; and one of whose clips one was taken
down."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import duckdb

from tests.unit import exported, published
from tests.unit.release.committed import DAY, V, commit
from winnow.core import compact, shard_tar
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.manifest import Manifest
from winnow.release import publish
from winnow.release.takedown import takedown

OLD, CLIPS = "1" * 12, {"a": b"clip a", "b": b"clip b" * 300}


def files(lake: Lake) -> set[str]:
    """Everything that lies in a lake but for locks."""
    root = Path(lake.root)
    return {
        str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and p.name not in ("lock", ".pointers.lock")
    }


def video(lake: Lake, data: bytes) -> str:
    (path := Path(lake.root).parent / "video.mp4").write_bytes(data)
    return lake.put_media(path, "mp4")


def admit(lake: Lake, *manifests: Manifest) -> None:
    stages = {
        m.stage: {
            "v": m.fingerprint,
            "files": [{"shard": m.shard, "path": lake.table_key(m), "sha256": m.sha256, "rows": m.rows}],
        }
        for m in manifests
    }
    lake.write(f"batches/{DAY}.json", json.dumps({"batch": DAY, "seq": 1, "stages": stages}).encode())
    lake.create("batches/seq/00000001", DAY.encode())


def clip_table(lake: Lake, fingerprint: str = V) -> Manifest:
    rows = [{"sample_id": k, "candidate_id": "c", "media_sha256": sha256_bytes(data)} for k, data in CLIPS.items()]
    return commit(lake, "clip", [{**row, "version": fingerprint} for row in rows], fingerprint=fingerprint, **CLIPS)


def make(root: Path) -> Lake:
    """One admitted batch, two releases, and everything that may go: an older version of its clips, a table without a
    manifest, a source video that nothing names, what killed writers left."""
    lake = Lake(root)
    old = clip_table(lake, OLD)
    source = video(lake, b"a whole video")
    listed = commit(lake, "ingest", [{"sample_id": "c"}])
    row = {"sample_id": "c", "media_sha256": source, "media_ext": "mp4", "url": "https://videos.example/1"}
    admit(lake, listed, commit(lake, "fetch", [row]), clip_table(lake))
    compact.compacted(lake, DAY, {"clip": (OLD, [old])}, None)  # as it was admitted before
    head = json.loads(lake.read(f"batches/{DAY}.json"))
    of_clip = [lake.manifest("clip", V, DAY, head["stages"]["clip"]["files"][0]["shard"])]
    head["stages"] |= compact.compacted(lake, DAY, {"clip": (V, of_clip)}, None)
    lake.write(f"batches/{DAY}.json", json.dumps(head).encode())
    published.put(lake, 1)
    published.put(lake, 2)
    lake.write(f"{lake.folder('clip', V, DAY)}/00001-dead.1234.parquet", b"its writer was killed")
    lake.write(f"{lake.folder('clip', V, DAY)}/.00001-dead.tar.12345678", b"half of a tar")
    lake.write("releases/.work/run-killed/dbt/warehouse.duckdb", b"half of a release")
    video(lake, b"a video that nothing names")
    assert old.fingerprint == OLD
    return lake


def release(lake: Lake, name: str, clips: dict[str, str | None], named: list[str]) -> None:
    """A release in use: its clips with the rule that drops each, and those whose files it names."""
    folder = Path(lake.full(f"releases/{name}"))
    (folder / "tables").mkdir(parents=True)
    (folder / "ops").mkdir()
    with duckdb.connect() as con:
        con.execute(
            "create table clips (sample_id varchar, video_id varchar, source_id varchar, url varchar,"
            " uploader varchar, source_sha256 varchar, status varchar, first_failed_rule varchar,"
            " detail varchar)"
        )
        for clip, rule in clips.items():
            status = "dropped" if rule else "kept"
            con.execute("insert into clips values (?, 'v', null, null, null, null, ?, ?, null)", [clip, status, rule])
        tar = next(f for f in lake.list(lake.folder("clip", V, DAY)) if f.endswith(".tar"))
        con.execute(f"copy clips to '{folder}/tables/fct_clips.parquet'")
        con.execute(
            f"copy (select unnest(?) as sample_id, '{lake.folder('clip', V, DAY)}/{tar}' as tar)"
            f" to '{folder}/ops/fct_clip_files.parquet'",
            [named],
        )
    exported.seal(folder, published_at=f"2026-11-0{name[-1]}")
    lake.write("releases/current", f"{name}\n".encode())


def take(lake: Lake) -> None:
    """Clip b was taken down: release 1 names its file, release 2 says that it is gone."""
    for name in publish.releases(lake):
        shutil.rmtree(lake.full(f"releases/{name}"))
    release(lake, "release1", {"a": None, "b": None}, ["a", "b"])
    assert takedown(lake, "id", ["b"], "asked")["releases"] == {"release1": 1}
    release(lake, "release2", {"a": None, "b": "taken_down"}, ["a"])


def manifest(lake: Lake, stage: str = "clip") -> Manifest:
    (name,) = [name for name in lake.list(lake.folder(stage, V, DAY)) if name.endswith(".json")]
    return lake.manifest(stage, V, DAY, name.removesuffix(".json"))


def members(lake: Lake, stage: str = "clip") -> list[str]:
    opened = shard_tar.ShardTar(Path(lake.full(lake.tar_key(manifest(lake, stage)))))
    try:
        return opened.names()
    finally:
        opened.close()
