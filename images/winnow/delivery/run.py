"""Run: an export from its plan to its index.

Shards are written by several processes, each whole before it is named; the same release and options give the same
bytes, whoever writes them and however often it is begun again."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import lru_cache, partial
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from winnow.core import memory
from winnow.core.confine import end_with
from winnow.core.errors import ConfigError
from winnow.core.lake import Lake, sha256_file
from winnow.delivery import card, croissant, formats, rows, source
from winnow.delivery.options import Options
from winnow.delivery.place import Place
from winnow.release import publish
from winnow.release.copies import KIND, sealed

if TYPE_CHECKING:
    import duckdb

#: An export of less media is written by one process: others would take longer to start, bytes.
ALONE_BYTES = 64 << 20
#: Processes that write at most, however many CPUs there are: the disk is what they wait for then.
MOST_WRITERS = 8
#: Writers above the CPUs: while a shard is brought to the disk its writer waits.
WAITING = 2
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
        with _writers(jobs) as enough:
            with rows.connect(base) as con:
                shards = rows.prepare(
                    con, root, options.splits, options.media, options.shard_bytes, formats.EXTENSIONS[options.format]
                )
                there = {shard: files for shard in shards if (files := place.note(shard.name)) is not None}
                pool = enough([shard for shard in shards if shard not in there])
                source.index(lake, con, map if pool is None else partial(pool.map, chunksize=16))
            try:
                files = _write_shards(lake, place, base, shards, there, options, scratch, pool)
            finally:
                _opened.cache_clear()
        with rows.connect(base, read_only=True) as con:
            facts = card.Facts.read(con, root, options, files)
            files |= _tables(place, con, facts, scratch)
            for name, page in (card.files(facts) | croissant.files(facts, files)).items():
                (scratch / name).parent.mkdir(exist_ok=True)
                (scratch / name).write_text(page, encoding="utf-8")
                files[name] = {"bytes": (scratch / name).stat().st_size, "sha256": sha256_file(scratch / name)}
                place.put(scratch / name, name)
        index = {"plan": plan, "splits": facts.splits, "licences": facts.licences, "files": dict(sorted(files.items()))}
        text = sealed(index)
        place.finish(text, each_synced=options.format != "folder")
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
    lake: Lake,
    place: Place,
    base: Path,
    shards: list[rows.Shard],
    there: dict[rows.Shard, dict[str, dict]],
    options: Options,
    scratch: Path,
    pool: ProcessPoolExecutor | None,
) -> dict[str, dict]:
    """Files of all shards: of those that an earlier run brought, and of the others once they are written."""
    files: dict[str, dict] = {}
    work = (lake.root, str(place), str(base), options.format, str(scratch))
    todo = [shard for shard in shards if shard not in there]
    written = ((shard, write_shard(*work, shard)) for shard in todo) if pool is None else _by(pool, work, todo)
    with progress(shards) as done:
        for shard, made in chain(there.items(), written):
            files |= made
            done(shard, made)
    return files


@contextmanager
def _writers(jobs: int | None) -> Iterator[Callable[[list[rows.Shard]], ProcessPoolExecutor | None]]:
    """What gives the processes that write shards; None where one is enough. A process without threads forks them
    before it has any, which costs nothing; another one starts them where they are needed, which takes a second."""
    many = jobs or min(len(os.sched_getaffinity(0)) + WAITING, MOST_WRITERS)
    pools: list[ProcessPoolExecutor] = []

    def begin(how: str) -> ProcessPoolExecutor:
        context = get_context(how)
        pools.append(ProcessPoolExecutor(many, mp_context=context, initializer=_begin, initargs=(os.getpid(),)))
        pools[-1].submit(os.getpid)
        return pools[-1]

    def enough(todo: list[rows.Shard]) -> ProcessPoolExecutor | None:
        if many < 2 or len(todo) < 2 or (jobs is None and sum(shard.bytes for shard in todo) < ALONE_BYTES):
            return None
        return pools[0] if pools else begin("spawn")

    try:
        if many > 1 and _has_no_threads():
            begin("fork")
        yield enough
    finally:
        for pool in pools:
            pool.shutdown(wait=True, cancel_futures=True)


def _begin(parent: int) -> None:
    """A writer ends with the export, whose pipes forked ones hold open; memory of a clip is kept for the next."""
    end_with(parent)
    memory.keep_freed()


def _has_no_threads() -> bool:
    """Whether this process is one thread, once it has imported what its writers need."""
    import duckdb  # noqa: F401

    with suppress(OSError):
        return len(os.listdir("/proc/self/task")) == 1
    return False


def _by(
    pool: ProcessPoolExecutor, work: tuple[str, str, str, str, str], todo: list[rows.Shard]
) -> Iterator[tuple[rows.Shard, dict]]:
    waiting = {pool.submit(write_shard, *work, shard): shard for shard in todo}
    for future in as_completed(waiting):
        yield waiting[future], future.result()


def write_shard(lake: str, to: str, base: str, form: str, scratch: str, shard: rows.Shard) -> dict[str, dict]:
    """Write one shard and bring it to its place; its files with their sizes and digests."""
    place, clips = Place(to), source.Clips(Lake(lake))
    path = Path(scratch) / f"{shard.name.replace('/', '_')}{formats.EXTENSIONS[form]}"
    try:
        files = formats.WRITERS[form](path, shard, clips.read(rows.of_shard(_opened(base), shard)))
    finally:
        clips.close()
    place.put(path, f"{shard.name}{formats.EXTENSIONS[form]}")
    place.write_note(shard.name, files)
    return files


@lru_cache(maxsize=1)
def _opened(base: str) -> duckdb.DuckDBPyConnection:
    """The rows of the export that a writer is at, opened once."""
    return rows.connect(Path(base), read_only=True)


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
            end="",
            file=sys.stderr,
            flush=True,
        )

    yield done
    if shown and shards:
        print(file=sys.stderr)
