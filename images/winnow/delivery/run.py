"""Run: an export from its plan to its index.

Shards are written by several processes, each whole before it is named; the same release and options give the same
bytes, whoever writes them and however often it is begun again."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

from winnow.core.errors import ConfigError
from winnow.core.lake import Lake, sha256_file
from winnow.delivery import card, croissant, formats, rows, source
from winnow.delivery.options import Options
from winnow.delivery.place import Place
from winnow.release import publish
from winnow.release.copies import KIND, sealed

#: An export of less media is written by one process: others would take longer to start, bytes.
ALONE_BYTES = 64 << 20
#: What an export looks like: another number, other bytes for the same release and options.
VERSION = 1


def export(lake: Lake, to: str, options: Options, release: str | None = None, jobs: int | None = None) -> dict:
    """Write the kept clips of a release to a folder or an address. Returns {"release", "to", "already", "clips",
    "files", "references", "bytes"}; `already` where the same export is there and whole. ConfigError where something
    else is."""
    root = publish.folder(lake, release)
    plan = {"kind": KIND, "version": VERSION, "release": root.name, **asdict(options)}
    plan = json.loads(json.dumps(plan))
    place = Place(to)
    if (there := place.index()) is not None:
        if there.get("plan") != plan:
            of = (there.get("plan") or {}).get("release")
            raise ConfigError(f"{place} holds another export, of release {of}: name another folder, or remove it")
        place.tidy()
        return _answer(place, there, already=True)
    with place.begun(plan), place.scratch() as scratch:
        base = scratch / "rows.duckdb"
        with rows.connect(base) as con:
            shards = rows.prepare(
                con, root, options.splits, options.media, options.shard_bytes, formats.EXTENSIONS[options.format]
            )
            source.index(lake, con)
        files = _write_shards(lake, place, base, shards, options, scratch, jobs)
        with rows.connect(base, read_only=True) as con:
            facts = card.Facts.read(con, root, options, files)
            files |= _tables(place, con, facts, scratch)
            for name, text in (card.files(facts) | croissant.files(facts, files)).items():
                (scratch / name).parent.mkdir(exist_ok=True)
                (scratch / name).write_text(text, encoding="utf-8")
                files[name] = {"bytes": (scratch / name).stat().st_size, "sha256": sha256_file(scratch / name)}
                place.put(scratch / name, name)
        index = {"plan": plan, "splits": facts.splits, "licences": facts.licences, "files": dict(sorted(files.items()))}
        text = sealed(index)
        place.finish(text)
    place.tidy()
    return _answer(place, json.loads(text), already=False)


def _answer(place: Place, index: dict, already: bool) -> dict:
    splits = index["splits"].values()
    sums = {name: sum(split[name] for split in splits) for name in ("clips", "with_file", "references")}
    size = sum(entry["bytes"] for entry in index["files"].values())
    return {"release": index["plan"]["release"], "to": str(place), "already": already, **sums, "bytes": size}


def _tables(place: Place, con, facts: card.Facts, scratch: Path) -> dict[str, dict]:
    """`tables/<split>.parquet`: every clip of a split, those without a file too."""
    found = {}
    for split in facts.splits:
        target = scratch / f"{split}.parquet"
        con.execute(
            f"COPY ({rows.select(con, split)}) TO {rows.quoted(target)}"
            " (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"
        )
        key = f"tables/{split}.parquet"
        found[key] = {
            "bytes": target.stat().st_size,
            "sha256": sha256_file(target),
            "rows": facts.splits[split]["clips"],
        }
        place.put(target, key)
    return found


# -- shards ------------------------------------------------------------------------------------------------------------
def _write_shards(
    lake: Lake, place: Place, base: Path, shards: list[rows.Shard], options: Options, scratch: Path, jobs: int | None
) -> dict[str, dict]:
    files: dict[str, dict] = {}
    todo = []
    with progress(shards) as done:
        for shard in shards:
            there = place.note(shard.name)
            if there is None:
                todo.append(shard)
            else:
                files |= there
                done(shard, there)
        for shard, written in _written(lake, place, base, todo, options, scratch, jobs):
            files |= written
            done(shard, written)
    return files


def _written(
    lake: Lake, place: Place, base: Path, todo: list[rows.Shard], options: Options, scratch: Path, jobs: int | None
) -> Iterator[tuple[rows.Shard, dict[str, dict]]]:
    work = (lake.root, str(place), str(base), options.format, str(scratch))
    many = min(jobs or len(os.sched_getaffinity(0)), len(todo))
    if many < 2 or (jobs is None and sum(shard.bytes for shard in todo) < ALONE_BYTES):
        for shard in todo:
            yield shard, write_shard(*work, shard)
        return
    with ProcessPoolExecutor(many, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(write_shard, *work, shard): shard for shard in todo}
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def write_shard(lake: str, to: str, base: str, form: str, scratch: str, shard: rows.Shard) -> dict[str, dict]:
    """Write one shard and bring it to its place; its files with their sizes and digests."""
    place, clips = Place(to), source.Clips(Lake(lake))
    path = Path(scratch) / f"{shard.name.replace('/', '_')}{formats.EXTENSIONS[form]}"
    try:
        with rows.connect(Path(base), read_only=True) as con:
            files = formats.WRITERS[form](path, shard, clips.read(rows.of_shard(con, shard)))
    finally:
        clips.close()
    place.put(path, f"{shard.name}{formats.EXTENSIONS[form]}")
    place.write_note(shard.name, files)
    return files


@contextmanager
def progress(shards: list[rows.Shard]):
    """Says on a terminal how far it is; elsewhere nothing."""
    began, whole = time.monotonic(), sum(shard.bytes for shard in shards)
    so_far = {"shards": 0, "bytes": 0}
    shown = sys.stderr.isatty()

    def done(shard: rows.Shard, _: dict) -> None:
        so_far["shards"] += 1
        so_far["bytes"] += shard.bytes
        if not shown:
            return
        spent_s = time.monotonic() - began
        left_s = spent_s * (whole - so_far["bytes"]) / so_far["bytes"]
        print(
            f"\rexport: {so_far['shards']} of {len(shards)} shards, {so_far['bytes'] / 1e6:,.0f} of {whole / 1e6:,.0f} "
            f"MB, {so_far['bytes'] / 1e6 / max(spent_s, 1e-3):,.0f} MB/s, {left_s:.0f} s left  ",
            end="", file=sys.stderr, flush=True,
        )  # fmt: skip

    yield done
    if shown and shards:
        print(file=sys.stderr)
