"""Ingest: what lies in `<inbox>/<partition>/` becomes the batch's table of candidates, one row per row of a list.

Files are taken by their content: unchanged files are not read again, whatever their dates say. Rows come in the order
of file paths and list rows, so the first of two equal rows is always the same one. What is no candidate stays a row
with a reason; what is no list and no media (hidden and temporary files, links, other types) is named in the answer.
"""

from __future__ import annotations

import multiprocessing
import os
import stat
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path

from winnow.core.errors import ConfigError, TransientError
from winnow.core.fingerprint import code_digest
from winnow.core.lake import Lake, digest, sha256_file
from winnow.core.planned_table import INGEST
from winnow.core.sample import Reason, SampleFailed, candidate_id, check_batch, sid
from winnow.core.settings import Settings
from winnow.sources import source_of
from winnow.sources.candidate import candidate
from winnow.sources.columns import Header
from winnow.sources.urls import canonical

SHARD_ROWS = 10_000
#: Lists of more bytes than this are read in a process of their own, while this one commits.
APART_BYTES = 16 << 20
TEMPORARY = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".download", ".swp", ".ytdl", "~")
MAX_DEPTH = 16


def ingest(batch: str, settings: Settings, lake: Lake, *, shard_rows: int = SHARD_ROWS) -> dict:
    """Read a batch's part of the inbox into the `ingest` table. Returns counts, `computed`, and what was passed over as
    `skipped`; {"empty": True} when there is no row. ConfigError when there is no inbox at all: a volume that is not
    mounted is no empty day. TransientError when a file changes while it is read."""
    check_batch(batch)
    files, skipped = _files(Path(settings.inbox), batch)
    nothing = {"batch": batch, "empty": True, **({"skipped": skipped} if skipped else {})}
    if not files:
        return nothing
    stats = {name: _stamp(path) for name, path in files.items()}
    digests = {name: sha256_file(path) for name, path in files.items()}
    code = code_digest(__name__)
    made_from = digest([digests, code, INGEST.columns, shard_rows])
    if (known := INGEST.unchanged(lake, batch, made_from)) is not None:
        return {**known, "batch": batch, "computed": False, "skipped": skipped}
    names: list[str] = []
    reasons, rows = Counter(), 0
    large = sum(size for size, _ in stats.values()) > APART_BYTES
    for block in (_blocks_apart if large else _blocks)(shard_rows, batch, files, digests):
        inputs = {name: digests[name] for name in sorted({str(r["list_path"]) for r in block})}
        manifest = INGEST.commit_rows(lake, batch, len(names), block, inputs=inputs, code=code)
        names.append(manifest.shard)
        rows += manifest.rows
        reasons.update(manifest.reasons)
    for name, path in files.items():
        if _stamp(path) != stats[name]:
            raise TransientError(f"{batch}/{name} changed while it was read: wait until it is complete, ingest again")
    if not names:
        return nothing
    failed = sum(reasons.values())
    counts = {
        "rows": rows, "ok": rows - failed, "failed": failed, "reasons": dict(sorted(reasons.items())),
        "shards": len(names),
    }  # fmt: skip
    INGEST.set_head(lake, batch, INGEST.fingerprint(code), names, made_from, counts)
    return {**counts, "batch": batch, "computed": True, "skipped": skipped}


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _files(inbox: Path, batch: str) -> tuple[dict[str, Path], list[str]]:
    """Lists and media of a partition by their path inside it, ordered; and what was passed over, each with why."""
    if not inbox.is_dir():
        raise ConfigError(
            f"WINNOW_INBOX={inbox}: there is no such folder. Make it, or mount the volume that holds it "
            "(k8s/README.md); lists are read from local or mounted file systems only"
        )
    top, root = inbox / batch, inbox.resolve()
    if not top.is_dir():
        return {}, []
    if not top.resolve().is_relative_to(root):
        raise ConfigError(f"{top} leads out of the inbox: put the files themselves there")
    files: dict[str, Path] = {}
    skipped: list[str] = []
    for folder, inner, names in os.walk(top):
        here = Path(folder)
        for name in sorted(inner):
            path = here / name
            why = "hidden" if name.startswith(".") else "a link" if path.is_symlink() else ""
            if not why and len(path.relative_to(top).parts) > MAX_DEPTH:
                why = f"deeper than {MAX_DEPTH} folders"
            if why:
                inner.remove(name)
                skipped.append(f"{_shown(path, top)}/: {why}")
        for name in names:
            path = here / name
            why = _passed_over(path, root)
            if why:
                skipped.append(f"{_shown(path, top)}: {why}")
            else:
                files[path.relative_to(top).as_posix()] = path
    return dict(sorted(files.items())), sorted(skipped)


def _passed_over(path: Path, root: Path) -> str:
    """Why a file of the inbox is not read; '' when it is."""
    name = path.name
    if name.startswith("."):
        return "hidden"
    if name.lower().endswith(TEMPORARY):
        return "temporary"
    if not name.isprintable():
        return "its name is not plain text"
    try:
        if not path.resolve(strict=True).is_relative_to(root):
            return "a link out of the inbox"
        found = path.stat()
    except (OSError, RuntimeError):
        return "a broken link"
    if not stat.S_ISREG(found.st_mode):
        return "not a file"
    if found.st_size == 0:
        return "empty"
    return "" if source_of(path) else "neither a list (.csv .tsv .jsonl .ndjson .parquet .pq) nor media"


def _shown(path: Path, top: Path) -> str:
    return path.relative_to(top).as_posix().encode("utf-8", "replace").decode()


def _blocks(shard_rows: int, *lists) -> Iterator[list[dict]]:
    """The rows of `_records`, so many at a time."""
    records = _records(*lists)
    while block := list(islice(records, shard_rows)):
        yield block


def _blocks_apart(*lists) -> Iterator[list[dict]]:
    """The same, read by another process: reading and committing take a core each. It waits until a block is taken, so
    no more than two are held. In a process that may have no children it is read here."""
    if multiprocessing.current_process().daemon:
        yield from _blocks(*lists)
        return
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe(duplex=False)
    reader = spawn.Process(target=_send_blocks, args=(theirs, *lists), daemon=True)
    reader.start()
    theirs.close()
    try:
        while (block := ours.recv()) is not None:
            if isinstance(block, Exception):
                raise block
            yield block
    except EOFError:
        raise TransientError("the process that reads the lists ended early (out of memory?): ingest again") from None
    finally:
        reader.terminate()
        reader.join()


def _send_blocks(pipe: Connection, *lists) -> None:
    try:
        for block in _blocks(*lists):
            pipe.send(block)
        pipe.send(None)
    except Exception as error:
        pipe.send(error)


def _records(batch: str, files: dict[str, Path], digests: dict[str, str]) -> Iterator[dict[str, object]]:
    """The table's rows in order, ids and outcomes included; a repeated candidate is a `duplicate_row`."""
    from winnow.core.table import KEY_COLUMNS

    nothing = dict.fromkeys((*KEY_COLUMNS, *INGEST.columns))
    seen: dict[int, int] = {}  # candidate id → place of its first row, both as integers: there may be millions
    names = list(files)
    for order, (name, path) in enumerate(files.items()):
        source = source_of(path)
        assert source is not None
        header, columns = Header(()), None
        for row in source.read(path):
            record: dict[str, object] = nothing.copy()
            record |= {"batch": batch, "source": source.name, "list_path": name, "list_row": row.number}
            failure: SampleFailed | None
            if row.values is None:
                failure = SampleFailed(Reason.bad_row, row.problem or "unreadable")
            else:
                if row.values.keys() != columns:
                    columns = row.values.keys()
                    header = Header(columns)
                found, failure = candidate(row.values, header)
                record |= found
                if source.name == "folder":
                    record |= {"url": f"inbox:{batch}/{name}", "content_sha256": digests[name]}
                    failure = None
            if failure is None:
                address = f"inbox:{digests[name]}" if source.name == "folder" else canonical(str(record["url"]))
                record["video_id"] = sid("video", address)
                key = candidate_id(record["video_id"], record["start_s"], record["end_s"])
                place = order << 40 | row.number
                first = seen.setdefault(int(key, 16), place)
                if first != place:
                    what = f"the same as row {first & (1 << 40) - 1} of {names[first >> 40]}"
                    failure = SampleFailed(Reason.duplicate_row, what)
            if failure is None:
                record |= {"sample_id": key, "outcome": "ok"}
            else:
                record |= {
                    "sample_id": sid("row", name, row.number), "outcome": "failed",
                    "reason": failure.reason.value, "detail": failure.detail[:500],
                }  # fmt: skip
            yield record
