"""Clean: old things go. What no release that is kept, no head and no running writer names any more is removed: tables
of superseded versions, compact ones that no head names, all parts of a batch but its newest, what killed commands left,
source videos; and the files of what was taken down.

Releases are kept by count or age where the deployment (`WINNOW_KEEP_RELEASES`, `WINNOW_KEEP_DAYS`) or the command says
so; else all. A running writer is left alone: no release is made meanwhile, nothing goes that is younger than
`older_than_s` or was superseded later than that, and heads are asked again, and held, as each batch's files go. Models,
the corpus's tables, runs of training and caches are not touched.

In a bucket no head can be held: one that moves in the moment in which the tables go that it then names is told, and the
batch's next run makes them again. Files of releases lie there by content, and go once no manifest names them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from winnow.core.admitted import batch_head
from winnow.core.lake import Lake
from winnow.core.manifest import Manifest
from winnow.core.nearby import Nearby
from winnow.core.pointer import locked
from winnow.release import parts, publish, steps
from winnow.release.in_bucket import Writer
from winnow.release.listing import Entry, listed, now, written
from winnow.release.roots import DAY_S, Roots, family, kept_releases, tables
from winnow.release.taking import Taking, rows_of

KINDS = ("releases", "tables", "scratch", "media", "taken_down")


@dataclass
class Clean:
    """One pass over a lake. `dry`: only count."""

    lake: Lake
    keep: int | None = None
    days: float | None = None
    older_than_s: float = DAY_S
    dry: bool = False
    files: Counter[str] = field(default_factory=Counter)
    freed: Counter[str] = field(default_factory=Counter)
    writer: Writer | None = None
    #: Keys of the files by content of the releases that go.
    left: set[str] = field(default_factory=set)

    def run(self) -> dict[str, object]:
        """All of it. Returns {"dry_run", "releases": {"kept", "removed"}, "frees": {kind: {"files", "bytes"}}, "bytes",
        "taken_down": what still waits for which release}."""
        with steps.one_writer(self.lake) as self.writer:
            kept = kept_releases(self.lake, self.keep, self.days)
            gone = [release for release in publish.releases(self.lake) if release not in kept]
            self.now = now(self.lake, f"{steps.WORK}/.now")
            self.roots = Roots(self.lake, kept)
            for release in gone:
                self._release(release)
            self._left_of_releases()
            self._published()
            surviving = [manifest for at in tables(self.lake) for manifest in self._tables(*at)]
            for name in self.lake.list("compact"):
                self._compact(name)
            for name in self.lake.list("parts"):
                self._parts(name)
            taking = Taking(self.lake, self.roots, surviving, self.dry)
            waits = taking.run()
            self.files["taken_down"] += taking.files
            self.freed["taken_down"] += taking.freed
            self._media(taking)
        frees = {kind: {"files": self.files[kind], "bytes": self.freed[kind]} for kind in KINDS}
        return {
            "dry_run": self.dry,
            "releases": {"kept": kept, "removed": gone},
            "frees": frees,
            "bytes": self.freed.total(),
            "taken_down": waits,
        }

    # -- releases ------------------------------------------------------------------------------------------------------
    def _release(self, release: str) -> None:
        """A release goes at once for its readers, then file by file."""
        folder = f"releases/{release}"
        for name in self.lake.list("releases/inputs"):
            said = self.lake.read_or_none(f"releases/inputs/{name}") or b""
            if not self.dry and said.decode(errors="replace").strip() == release:
                self.lake.remove(f"releases/inputs/{name}")
        there = listed(self.lake, folder, deep=True)
        if not self.lake.is_local:
            entries = publish.manifest(self.lake, release).get("files", {}).values()
            self.left |= {entry["key"] for entry in entries if "key" in entry}
            self._remove("releases", folder, {name: there[name] for name in sorted(there, key="manifest.json".__ne__)})
            return
        self._count("releases", there)
        if not self.dry:
            aside = Path(self.lake.full(f"{steps.WORK}/gone-{release}"))
            shutil.rmtree(aside, ignore_errors=True)
            os.rename(self.lake.full(folder), aside)
            shutil.rmtree(aside)

    def _published(self) -> None:
        """Files by content that no release names any more, and no step of one that is being made; those of the
        releases that go now are named by nothing else, others were put up by who was killed."""
        for name in self.lake.list("published") if not self.lake.is_local else []:
            folder = f"published/{name}"
            loose = {n: e for n, e in listed(self.lake, folder).items() if f"{folder}/{n}" not in self.roots.published}
            gone = {n: e for n, e in loose.items() if f"{folder}/{n}" in self.left}
            self._remove("releases", folder, gone)
            old = {n: e for n, e in loose.items() if n not in gone and not self._is_young(e)}
            self._remove("scratch", folder, old)

    def _left_of_releases(self) -> None:
        """Work folders of commands that were killed: this one holds the writer's lock, so none is alive."""
        if not self.lake.is_local:
            return
        work = Path(self.lake.full(steps.WORK))
        for left in [*work.glob("run-*"), *work.glob("gone-*")]:
            self._count("scratch", listed(self.lake, f"{steps.WORK}/{left.name}", deep=True))
            if not self.dry:
                shutil.rmtree(left)

    # -- tables --------------------------------------------------------------------------------------------------------
    def _tables(self, stage: str, fingerprint: str, batch: str) -> list[Manifest]:
        """One version of a stage's table of a batch; the commits that stay of it."""
        folder = self.lake.folder(stage, fingerprint, batch)
        with self._held():
            head = self._heads(stage, batch)
            found = listed(self.lake, folder)
            there = {name: entry for name, entry in found.items() if not name.startswith(".")}
            families = {family(f"{folder}/{name}") for name in there}
            gone = set() if head else self.roots.superseded(stage, batch, fingerprint, families)
            gone -= {family(f"{folder}/{name}") for name, entry in there.items() if self._is_young(entry)}
            going = {name: entry for name, entry in there.items() if family(f"{folder}/{name}") in gone}
            by_commit = sorted(going, key=lambda name: not name.endswith(".json"))
            self._remove("tables", folder, {name: going[name] for name in by_commit})
            if going:
                self._still(stage, batch)
            manifests, expected = [], set()
            for name in (name for name in there if name.endswith(".json") and name not in going):
                manifest = self.lake.manifest(stage, fingerprint, batch, name.removesuffix(".json"))
                if manifest is not None:
                    manifests.append(manifest)
                    expected |= {name, manifest.file, self.lake.tar_key(manifest).rpartition("/")[2]}
            left = {name: entry for name, entry in found.items() if name not in expected and name not in going}
            self._remove("scratch", folder, {n: entry for n, entry in left.items() if not self._is_young(entry)})
        if self.lake.is_local and not self.dry and not manifests:
            with contextlib.suppress(OSError):  # others write here
                os.rmdir(self.lake.full(folder))
                os.rmdir(Path(self.lake.full(folder)).parent)
        return manifests

    def _compact(self, name: str) -> None:
        """Compact tables of a batch that no head names any more: its shards were measured anew, or it is gone."""
        folder, batch = f"compact/{name}", name.removeprefix("batch=")
        with self._held():
            if self._heads("", batch):
                return
            old = {n: e for n, e in listed(self.lake, folder).items() if not self._is_young(e)}
            loose = {n: e for n, e in old.items() if f"{folder}/{n}" not in self.roots.compact}
            self._remove("tables", folder, {n: e for n, e in loose.items() if not n.startswith(".")})
            self._remove("scratch", folder, {n: e for n, e in loose.items() if n.startswith(".")})
            if loose:
                self._still("", batch)

    def _parts(self, name: str) -> None:
        """Parts of a batch that the next release does not begin with: all but the newest, and all of one that is gone.
        None is lost with them: a release makes what it misses."""
        batch = name.removeprefix("batch=")
        with self._held():
            if self._heads("", batch):
                return
            where = parts.folder(batch)
            named = parts.newest(self.lake, batch) if batch in self.roots.heads else set()
            old = {n: e for n, e in listed(self.lake, where).items() if not self._is_young(e)}
            loose = {n: e for n, e in old.items() if f"{where}/{n}" not in named | self.roots.parts}
            commits_first = sorted(loose, key=lambda n: not n.endswith(".json"))
            self._remove("tables", where, {n: loose[n] for n in commits_first if not n.startswith(".")})
            self._remove("scratch", where, {n: e for n, e in loose.items() if n.startswith(".")})

    def _heads(self, stage: str, batch: str) -> bool:
        """Whether what says which version counts, of the stage or of the batch, is young, or moved since this began:
        whoever read it before may still read what it named."""
        return self._has_moved(stage, batch) or batch_head(self.lake, batch) != self.roots.heads.get(batch)

    def _has_moved(self, stage: str, batch: str) -> bool:
        when = [written(self.lake, key) for key in (f"{stage}/batch={batch}.json", f"batches/{batch}.json")]
        return any(at is not None and self.now - at < self.older_than_s for at in when)

    def _held(self) -> contextlib.AbstractContextManager[None]:
        """While tables of a batch go, no head moves; where a lock can say so."""
        return locked(self.lake) if self.lake.is_local and not self.dry else contextlib.nullcontext()

    def _still(self, stage: str, batch: str) -> None:
        """Say where no lock held a head, and it moved while tables went that it may name now."""
        if not self.lake.is_local and not self.dry and self._heads(stage, batch):
            print(
                f"winnow: another command moved batch {batch} while superseded tables of it went: `winnow verify "
                f"--batch {batch}` says whether it names one of them, and what makes it again",
                file=sys.stderr,
                flush=True,
            )

    # -- source videos -------------------------------------------------------------------------------------------------
    def _media(self, taking: Taking) -> None:
        """Source videos that no commit of fetch names, or that were taken down, and what killed downloads left."""
        named = {
            self.lake.media_key(row["media_sha256"], row["media_ext"])
            for manifest in taking.manifests
            if manifest.stage == "fetch"
            for row in rows_of(self.lake, manifest, ["media_sha256", "media_ext"])
            if f"{row['media_sha256']}.{row['media_ext']}" not in manifest.removed
        }
        if self.dry:
            named -= taking.videos
        for name in self.lake.list("media"):
            folder = f"media/{name}"
            loose = {n: e for n, e in listed(self.lake, folder).items() if f"{folder}/{n}" not in named}
            for one, entry in loose.items():
                if not taking.is_refused(one) and self._is_young(entry):
                    continue
                kind = "taken_down" if f"{folder}/{one}" in taking.videos else "media"
                self._remove("scratch" if one.startswith(".") else kind, folder, {one: entry})

    # -- files ---------------------------------------------------------------------------------------------------------
    def _remove(self, kind: str, folder: str, files: Mapping[str, Entry]) -> None:
        self._count(kind, files)
        if self.dry:
            return
        if self.writer and files:
            self.writer.lease.check()
        for name in files:
            self.lake.remove(f"{folder}/{name}")
            if not self.lake.is_local:
                Nearby(self.lake).forget(f"{folder}/{name}")

    def _count(self, kind: str, files: Mapping[str, Entry]) -> None:
        self.files[kind] += len(files)
        self.freed[kind] += sum(entry.frees for entry in files.values())

    def _is_young(self, entry: Entry) -> bool:
        """Whether a file was written so lately that its writer, or who read what it replaced, may be at work."""
        return self.now - entry.written < self.older_than_s


def clean(
    lake: Lake,
    *,
    keep: int | None = None,
    days: float | None = None,
    older_than_s: float = DAY_S,
    dry: bool = False,
) -> dict[str, Any]:
    """Remove what nothing names any more; see `Clean.run`. ConfigError for a number of releases that keeps none;
    ContractError where a release or a head is damaged: then nothing is certain; LeaseLost where another writer of a
    lake in a bucket took over."""
    return Clean(lake, keep, days, older_than_s, dry).run()
