"""Ingest: what lies in `<inbox>/<partition>/` becomes the batch's table of candidates, one row per clip of a list.

Files are taken by their content: unchanged files are not read again, whatever their dates say. Rows come in the order
of list paths and list rows, then the media that no list names, so the first of two equal rows is always the same one.
What is no candidate stays a row with a reason; what is no list and no media (hidden and temporary files, links, other
types) is named in the answer. Of every list the answer says what its columns were taken for and how many rows it had.

A list of which nothing could be read is an error, and no row: everything else is committed first, so that nothing else
waits for it or is lost, and the command fails again until the list is mended, set aside or taken away.
"""

from __future__ import annotations

import io
import multiprocessing
from collections import Counter
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from winnow.batch.inbox import Inbox, stamp
from winnow.batch.joining import Late, patched
from winnow.batch.rows import Rows
from winnow.core.errors import PartlyDone, TransientError
from winnow.core.fingerprint import code_digest
from winnow.core.lake import Lake, digest, sha256_file
from winnow.core.manifest import Manifest
from winnow.core.planned_table import INGEST
from winnow.core.sample import check_batch
from winnow.core.settings import Settings

SHARD_ROWS = 10_000
#: Lists of more bytes than this are read in a process of their own, while this one commits.
APART_BYTES = 16 << 20


def ingest(batch: str, settings: Settings, lake: Lake, *, shard_rows: int = SHARD_ROWS) -> dict[str, Any]:
    """Read a batch's part of the inbox into the `ingest` table.

    Returns counts, `computed`, what was passed over as `skipped`, and under `lists` what each list is: its format, the
    column that each thing was taken from, what was inferred from content, columns kept as extra, rows listed, rows of
    the table, rows joined into others, bad rows. {"empty": True} when there is no row. ConfigError when there is no
    inbox at all: a volume that is not mounted is no empty day. TransientError when a file changes while it is read,
    or another ingest of the batch ended since this one began: the table is then that one's.
    PartlyDone, after everything else is committed, when there is a list of which nothing could be read: it has the
    same counts, in which the list says why it is `refused`.
    """
    check_batch(batch)
    since = lake.head_pointer("ingest", batch)
    inbox = Inbox.of(Path(settings.inbox), batch)
    nothing = {"batch": batch, "empty": True, **({"skipped": inbox.skipped} if inbox.skipped else {})}
    if not inbox.files:
        return nothing
    given = {**inbox.files, **{f"{name} (settings)": path for name, path in inbox.settings.items()}}
    stats = {name: stamp(path) for name, path in given.items()}
    digests = {name: sha256_file(path) for name, path in given.items()}
    code = code_digest(__name__)
    made_from = digest([digests, code, INGEST.columns, shard_rows])
    if (known := INGEST.unchanged(lake, batch, made_from)) is not None:
        return _refuse({**known, "batch": batch, "computed": False, "skipped": inbox.skipped})
    made: list[Manifest] = []
    rows = Rows(batch, inbox, digests, shard_rows)
    large = sum(size for size, _ in stats.values()) > APART_BYTES
    for block in (blocks_apart if large else _blocks)(rows):
        made.append(_commit(lake, batch, len(made), block, digests, code))
    for number, late in sorted(rows.late.items()):
        made[number] = _commit(lake, batch, number, _patched(lake, made[number], late), digests, code)
    for name, path in given.items():
        if stamp(path) != stats[name]:
            raise TransientError(f"{batch}/{name} changed while it was read: wait until it is complete, ingest again")
    reasons: Counter[str] = Counter()
    for manifest in made:
        reasons.update(manifest.reasons)
    total, failed = sum(manifest.rows for manifest in made), sum(reasons.values())
    counts = {
        "rows": total,
        "ok": total - failed,
        "failed": failed,
        "reasons": dict(sorted(reasons.items())),
        "shards": len(made),
        "joined": sum(report.joined for report in rows.reports),
        "lists": [report.as_dict() for report in rows.reports],
    }
    if made:
        names = [manifest.shard for manifest in made]
        INGEST.set_head(lake, batch, INGEST.fingerprint(code), names, made_from, counts, since)
    found = _refuse({**counts, "batch": batch, "computed": True, "skipped": inbox.skipped})
    return found if made else nothing


def _commit(
    lake: Lake, batch: str, number: int, block: Sequence[dict[str, Any]], digests: dict[str, str], code: str
) -> Manifest:
    inputs = {name: digests[name] for name in sorted({str(row["list_path"]) for row in block})}
    return INGEST.commit_rows(lake, batch, number, block, inputs=inputs, code=code)


def _patched(lake: Lake, manifest: Manifest, late: Late) -> list[dict[str, Any]]:
    """The rows of a committed shard with what rows of later blocks say of the same clips."""
    import pyarrow.parquet as pq

    return [patched(row, late) for row in pq.read_table(io.BytesIO(lake.read_table(manifest))).to_pylist()]


def _refuse(found: dict[str, Any]) -> dict[str, Any]:
    """The answer itself, or PartlyDone that names the lists of which nothing was read."""
    refused, batch = [told for told in found.get("lists", ()) if told.get("refused")], found["batch"]
    if refused:
        lines = [f"  {told['list']}: {told['refused']}" for told in refused]
        raise PartlyDone(
            f"{batch}: nothing was read of {len(refused)} of {len(found['lists'])} lists.\n"
            + "\n".join(lines)
            + f"\nEverything else is committed ({found['rows']} rows). Mend each list, or say in <list>.toml beside "
            "it what its columns are or `ignore = true`, or take it away; then run "
            f"`winnow ingest --batch {batch}` again.\nNothing was read of: {', '.join(t['list'] for t in refused)}",
            found,
        )
    return found


def _blocks(rows: Rows) -> Iterator[list[dict[str, Any]]]:
    """The table's rows, a block at a time."""
    block = []
    for record in rows:
        block.append(record)
        if rows.is_full:
            yield block
            block = []
    if block:
        yield block


def blocks_apart(rows: Rows) -> Iterator[list[dict[str, Any]]]:
    """The same, read by another process: reading and committing take a core each. It waits until a block is taken, so
    no more than two are held. In a process that may have no children it is read here."""
    if multiprocessing.current_process().daemon:
        yield from _blocks(rows)
        return
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe(duplex=False)
    reader = spawn.Process(target=_send_blocks, args=(theirs, rows), daemon=True)
    reader.start()
    theirs.close()
    try:
        while isinstance(block := ours.recv(), list):
            yield block
        if isinstance(block, Exception):
            raise block
        rows.reports, rows.late = block
    except EOFError:
        raise TransientError("the process that reads the lists ended early (out of memory?): ingest again") from None
    finally:
        reader.terminate()
        reader.join()


def _send_blocks(pipe: Connection, rows: Rows) -> None:
    try:
        for block in _blocks(rows):
            pipe.send(block)
        pipe.send((rows.reports, rows.late))
    except Exception as error:
        pipe.send(error)
