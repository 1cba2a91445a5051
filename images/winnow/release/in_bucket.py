"""Releases in a bucket: who may write, files by content, copies to read from, work that is handed from step to step.

A writer holds a lease (`winnow.core.lease`) and writes its token into `current` before it begins, so `current` has
moved on for whoever held the lease before: a writer that was paused, or cut off, changes nothing that anybody reads.
Files by content and a manifest that is created once can be written by anybody at any time.

    published/<2 hex>/<sha256>.<ext>       files of releases, and of work that is under way
    releases/.work/lease                   the lease
    releases/.work/steps-<policy>.json     what a step leaves to the next one: names of files, with their digests
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from winnow.core.errors import ContractError
from winnow.core.lake import Lake, digest, sha256_file
from winnow.core.lease import Lease, LeaseLost
from winnow.core.nearby import AT_A_TIME, Nearby, Wanted, put
from winnow.core.pointer import Pointer
from winnow.release.copies import sealed
from winnow.release.current import CURRENT, naming, text_of

LEASE = "releases/.work/lease"
AGAIN = "winnow release"


@dataclass
class Writer:
    """Who may move `current`: its lease, and `current` as this writer left it when it began."""

    lease: Lease
    since: Pointer

    @property
    def token(self) -> int:
        """Higher than that of any writer before."""
        return self.lease.token


@contextmanager
def one_writer(lake: Lake) -> Iterator[Writer]:
    """Hold the writer's lease; who has to wait is told."""
    with Lease(lake, LEASE, "another release is being made", AGAIN).held() as lease:
        yield Writer(lease, fence(lake, lease))


def fence(lake: Lake, lease: Lease) -> Pointer:
    """Write a writer's token into `current`, so that it has moved on for every writer before; `current` from then on.
    LeaseLost where a later writer's token stands there."""
    since = Pointer(lake, CURRENT)
    release, token = naming(lake.read_or_none(CURRENT))
    if token > lease.token:
        raise LeaseLost(
            f"a later writer has begun ({lake.full(CURRENT)} has its token {token}, this one's is "
            f"{lease.token}). Nothing was changed: run `{AGAIN}` again"
        )
    since.move(text_of(release, lease.token), AGAIN)
    return since


def by_content(name: str, sha256: str) -> str:
    """Key of a file of a release."""
    return f"published/{sha256[:2]}/{sha256}{PurePosixPath(name).suffix}"


def place(
    work: Path, lake: Lake, manifest: dict[str, Any], known: Mapping[str, Mapping[str, Any]], writer: Writer | None
) -> None:
    """Put up the files of a finished work folder, those that the release before has not, and then the manifest. Who has
    it already, with the same id, wrote the same tables: theirs counts."""
    for name, entry in manifest["files"].items():
        entry["key"] = by_content(name, entry["sha256"])
    held = {entry.get("key") for entry in known.values()}
    up = {entry["key"]: name for name, entry in manifest["files"].items()}
    kept = [key for key in up if key in held]
    sizes = {entry["key"]: entry["bytes"] for entry in manifest["files"].values()}
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        there = {
            key
            for key, size in zip(kept, pool.map(lambda key: _size(lake, key), kept), strict=True)
            if size == sizes[key]
        }
    put(lake, [(work / name, key) for key, name in up.items() if key not in there])
    if writer:
        writer.lease.check()
    lake.create(f"releases/{manifest['id']}/manifest.json", sealed(manifest))


def copied(lake: Lake, release: str, files: Mapping[str, Mapping[str, Any]], want: Sequence[str]) -> Path:
    """A folder of copies of a release's files, of all or of those that are wanted; each is what its digest says. A
    release that was made anew under its id has another one."""
    near = Nearby(lake)
    home = f"releases/{digest({name: entry['sha256'] for name, entry in files.items()})}/{release}"
    wanted = {
        Wanted(entry.get("key", f"releases/{release}/{name}"), entry["sha256"], f"{home}/{name}"): name
        for name, entry in files.items()
        if not want or any(name == one or name.startswith(f"{one.rstrip('/')}/") for one in want)
    }
    wanted[Wanted(f"releases/{release}/manifest.json", None, f"{home}/manifest.json")] = "manifest.json"
    if wrong := near.bring(wanted):
        raise damaged(release, [f"{lake.full(file.key)} ({wanted[file]}) is {said}" for file, said in wrong.items()])
    return near.root / home


def damaged(release: str, wrong: Sequence[str]) -> ContractError:
    """What a reader is told of a release whose files are not those that were published."""
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    return ContractError(
        f"release {release} is damaged: {wrong[0]}{more}. Run `winnow verify --release {release}`: it names all and "
        "the command that mends them; `--release` of another one reads that one"
    )


class Handed:
    """What one step of a release leaves to the next, which may run on another machine: the files of the work folder
    below `root`, by content, and a list of them that is moved from what it was when the step began."""

    def __init__(self, lake: Lake, policy: str, root: Path, content: Sequence[str]) -> None:
        self.lake, self.root, self.content = lake, root, content
        self.key = f"releases/.work/steps-{policy}.json"
        self._pointer = Pointer(lake, self.key)
        self.files = (lake.read_json(self.key, f"remove it, then run `{AGAIN} build`") or {}).get("files", {})

    def take(self) -> None:
        """Copy what was left into the work folder."""
        near = Nearby(self.lake)
        wanted = {Wanted(by_content(name, sha256), sha256): name for name, sha256 in self.files.items()}
        if wrong := near.bring(wanted):
            raise ContractError(
                f"{', '.join(wanted[file] for file in wrong)} of what the step before left is gone: run `{AGAIN} build`"
            )
        for name, sha256 in self.files.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(near.path(Wanted(by_content(name, sha256), sha256)), self.root / name)

    def give(self, writer: Writer) -> None:
        """Put up what is new, and then the list. LeaseLost, and the list as it was, where this writer lost its
        lease."""
        there = {path.relative_to(self.root).as_posix(): sha256_file(path) for path in self._work()}
        known = set(self.files.values())
        put(self.lake, [(self.root / n, by_content(n, sha)) for n, sha in there.items() if sha not in known])
        writer.lease.check()
        text = json.dumps({"files": there, "token": writer.token}, indent=1, sort_keys=True)
        self._pointer.move(f"{text}\n".encode(), AGAIN)

    def _work(self) -> list[Path]:
        found = [path for name in self.content for path in self.root.glob(name)]
        return sorted(p for path in found for p in ([path] if path.is_file() else path.rglob("*")) if p.is_file())


def _size(lake: Lake, key: str) -> int | None:
    try:
        size: int | None = lake.fs.size(lake.full(key))
        return size
    except FileNotFoundError:
        return None
