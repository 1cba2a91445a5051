"""Publish: a finished work folder becomes `releases/<id>/`, and `current` names it.

    releases/<id>/tables/*.parquet   published tables: the same inputs give the same bytes
    releases/<id>/ops/*.parquet      what clocks, hosts and history determine
    releases/<id>/winnow.duckdb      all of it as one read-only database
    releases/<id>/report.html, gates/, manifest.json
    releases/current                 a small file: the id

The folder appears by one rename, complete, and is never changed afterwards. `current` is replaced by one rename too; a
reader resolves it once and then reads one release to the end, so it sees the old one or the new one and never a mix.
Old releases stay, and a file that the release before has to the byte is that one's under another name (a hard link).
The id is a digest of the published tables and the policy: the same content has the same id everywhere.

A bucket has no rename. There files lie by content (`published/<2 hex>/<sha256>.<ext>`), so what a release shares with
the one before is one object, and whoever writes it writes the same bytes; `manifest.json`, created exclusively when
all of them are there, says which is which; `current` is moved last (`winnow.release.in_bucket`).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from winnow import __version__
from winnow.core.admitted import tables_digest
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake, digest, sha256_file, sync
from winnow.core.pointer import Pointer
from winnow.release import in_bucket
from winnow.release.copies import sealed
from winnow.release.current import CURRENT, naming, text_of

CONTENT = ("tables", "ops", "gates", "exports", "winnow.duckdb", "report.html")
REQUIRED = ("tables", "ops", "gates", "winnow.duckdb", "report.html")


def current(lake: Lake) -> str | None:
    """Id of the current release, or None before the first; ContractError where the file that names it is empty."""
    data = lake.read_or_none(CURRENT)
    if data is not None and not data.strip():
        raise ContractError(_wrong(lake, "is empty"))
    return naming(data)[0]


def resolve(lake: Lake, release: str | None = None) -> str:
    """The id of a release that exists: the one asked for (any unambiguous beginning of it), else the current one."""
    if release is None:
        found = current(lake)
        if found is None:
            raise ConfigError(f"nothing is published in {lake.root} yet: run `winnow release`")
        if not lake.exists(f"releases/{found}/manifest.json"):
            raise ContractError(_wrong(lake, f"names {found!r}, and no such release lies beside it"))
        return found
    there = [name for name in releases(lake) if name.startswith(release)] if release else []
    if len(there) != 1:
        known = ", ".join(releases(lake)) or "none"
        raise ConfigError(f"{release!r} names {'no' if not there else 'more than one'} release; there are: {known}")
    return there[0]


def _wrong(lake: Lake, what: str) -> str:
    there = ", ".join(releases(lake)) or "none"
    return (
        f"{lake.full('releases/current')} {what}; there are: {there}. Write one of these into it, or remove it and run "
        "`winnow release`"
    )


def releases(lake: Lake) -> list[str]:
    """Ids of all published releases."""
    return [n for n in lake.list("releases") if lake.exists(f"releases/{n}/manifest.json")]


def folder(lake: Lake, release: str | None = None, want: Sequence[str] = ()) -> Path:
    """Folder of a release; resolve it once and read everything from there. Of a release in a bucket a folder of copies:
    of all files, or of those that `want` names or whose folder it names. ContractError when one of the files is not
    there or has another size than was published (digests are compared by `winnow verify`, and of copies always)."""
    found = resolve(lake, release)
    root = Path(lake.full(f"releases/{found}"))
    files = manifest(lake, found).get("files", {})
    if not lake.is_local or any("key" in entry for entry in files.values()):
        return in_bucket.copied(lake, found, files, want)
    wrong = []
    for name, entry in files.items():
        try:
            size = (root / name).stat().st_size
        except FileNotFoundError:
            wrong.append(f"{root / name} is missing")
            continue
        if size != entry["bytes"]:
            wrong.append(f"{root / name} has {size} bytes and was published with {entry['bytes']}")
    if wrong:
        raise in_bucket.damaged(found, wrong)
    return root


def file(lake: Lake, release: str, name: str) -> Path | None:
    """One file of a release, or None for one that it does not have."""
    if lake.is_local:
        path = Path(lake.full(f"releases/{release}/{name}"))
        if path.is_file():
            return path
    if name not in manifest(lake, release).get("files", {}):
        return None
    return folder(lake, release, (name,)) / name


def address(lake: Lake, release: str) -> str:
    """Where a release lies, for people and programs."""
    where = f"releases/{release}"
    return lake.full(where) if lake.is_local else f"{lake.root.rstrip('/')}/{where}"


def manifest(lake: Lake, release: str) -> dict[str, Any]:
    """What a release says of itself; ContractError for one that is empty, cut short or not there."""
    key = f"releases/{release}/manifest.json"
    value = lake.read_json(key, f"run `winnow verify --release {release}`, which says how to mend it")
    if value is None:
        raise ContractError(_wrong(lake, f"names {release!r}, and no such release lies beside it"))
    return value


def report_path(lake: Lake, release: str | None = None) -> Path:
    """The report page of a release."""
    return folder(lake, release, ("report.html",)) / "report.html"


def content_id(work: Path, policy: str) -> str:
    """Id of what was built: 12 hex over the published tables' bytes and the policy."""
    tables = {path.name: sha256_file(path) for path in sorted((work / "tables").glob("*.parquet"))}
    if not tables:
        raise ContractError(f"{work} has no tables: the build wrote nothing that could be published")
    return digest({"tables": tables, "policy": policy})


def publish(
    work: Path,
    lake: Lake,
    *,
    release: str,
    key: str | None,
    base: str | None,
    policy: str,
    writer: in_bucket.Writer | None = None,
) -> dict[str, object]:
    """Make a built, gated and reported work folder visible.

    `base` is the release that was current when it was built: when another one was published since, this one was built
    on what is no longer current (its splits, its list of changes) and ContractError says to build again. `key` is
    remembered as leading to this release. In a bucket `writer` is who may move `current`. A process that dies anywhere
    in here leaves the old release current and whole.
    """
    if missing := [name for name in REQUIRED if not (work / name).exists()]:
        steps = {"gates": "gate", "report.html": "report"}
        raise ContractError(
            f"{work} has no {', '.join(missing)}: run `winnow release {steps.get(missing[0], 'build')}` first"
        )
    try:
        passed = json.loads((work / "gates" / "release.json").read_text(encoding="utf-8"))["passed"]
    except (ValueError, KeyError, TypeError):
        raise ContractError(
            f"{work / 'gates' / 'release.json'} is cut short or damaged: run `winnow release gate` first"
        ) from None
    if not passed:
        raise ContractError(f"the gate of release {release} did not pass; its page is {work / 'gates' / 'index.html'}")
    if content_id(work, policy) != release:
        raise ContractError(f"the tables in {work} changed after they were built: run `winnow release build` again")
    since = writer.since if writer else Pointer(lake, CURRENT)
    before = current(lake)
    if before not in (base, release):
        raise ContractError(
            f"release {before} was published while {release} was built on {base}: run `winnow release` again"
        )
    existed = lake.exists(f"releases/{release}/manifest.json")
    if not existed:
        made = _manifest(work, release=release, base=base, policy=policy)
        known = manifest(lake, before).get("files", {}) if before else {}
        if lake.is_local:
            _share(work, Path(lake.full(f"releases/{before}")), made["files"], known)
            _place(work, Path(lake.full(f"releases/{release}")), made)
        else:
            in_bucket.place(work, lake, made, known, writer)
    if key is not None:
        lake.write(f"releases/inputs/{key}", f"{release}\n".encode())
    if before != release:
        since.move(text_of(release, writer.token if writer else 0), "winnow release")
    return {
        "release": release,
        "before": before,
        "already": existed and before == release,
        "folder": address(lake, release),
        "report": f"{address(lake, release)}/report.html" if lake.is_local else str(report_path(lake, release)),
    }


def _share(
    work: Path, before: Path, files: Mapping[str, Mapping[str, Any]], known: Mapping[str, Mapping[str, Any]]
) -> None:
    """Let the files of a work folder that the release before has be that release's: a hard link, so that a release
    takes the space of what is new. Only one that still is what was published of it is shared, and where the file system
    has no links, none."""
    there = {entry["sha256"]: name for name, entry in known.items()}
    scratch = work / "shared"
    for name, entry in files.items():
        if entry["sha256"] in there:
            scratch.unlink(missing_ok=True)
            with suppress(OSError):
                os.link(before / there[entry["sha256"]], scratch)
                if sha256_file(scratch) == entry["sha256"]:
                    os.replace(scratch, work / name)


def _place(work: Path, target: Path, manifest: dict[str, object]) -> None:
    """Assemble the release's folder beside its place, all of it on the disk, then rename it there."""
    staged = work / "publish"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir()
    for name in CONTENT:
        source = work / name
        if source.is_dir():
            shutil.copytree(source, staged / name, copy_function=_link)
        elif source.exists():
            _link(str(source), str(staged / name))
    (staged / "manifest.json").write_bytes(sealed(manifest))
    for path in _files(staged):
        path.chmod(0o444)
        sync(path)
    for folder in [staged, *(path for path in staged.rglob("*") if path.is_dir())]:
        sync(folder)
    os.rename(staged, target)
    sync(target.parent)


def _link(source: str, target: str) -> str:
    """A hard link where the file system has them, else a copy: a release's bytes are written once."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target


def _files(root: Path) -> Iterator[Path]:
    return (path for path in sorted(root.rglob("*")) if path.is_file())


def _manifest(work: Path, *, release: str, base: str | None, policy: str) -> dict[str, Any]:
    """What the release is: every file's digest, and what made it."""
    import pyarrow.parquet as pq

    files = {}
    for name in CONTENT:
        root = work / name
        for path in [root] if root.is_file() else _files(root):
            entry: dict[str, object] = {"sha256": sha256_file(path), "bytes": path.stat().st_size}
            if path.suffix == ".parquet":
                entry["rows"] = pq.read_metadata(path).num_rows
            files[path.relative_to(work).as_posix()] = entry
    batches = pq.read_table(work / "ops" / "dim_batches.parquet", columns=["batch", "seq"]).to_pylist()
    shards = pq.read_table(work / "ops" / "fct_shards.parquet").to_pylist()
    stages: dict[str, dict[str, dict[str, Any]]] = {}
    for row in shards:
        stages.setdefault(row["stage"], {})[row["v"]] = {
            "params": json.loads(row["params"] or "{}"),
            "model": row["model"],
        }
    return {
        "id": release,
        "policy": policy,
        "before": base,
        "winnow": __version__,
        "published_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "batches": {
            row["batch"]: {
                "seq": row["seq"],
                "tables": tables_digest(s["sha256"] for s in shards if s["batch"] == row["batch"]),
            }
            for row in sorted(batches, key=lambda row: row["seq"])
        },
        "stages": stages,
        "models": sorted({row["model"] for row in shards if row["model"]}),
        "thresholds": files["tables/thresholds.parquet"]["sha256"],
        "files": files,
    }
