"""Clean: old things go. What no release that is kept, no head and no running writer names any more is removed: tables
of superseded versions, compact ones that no head names, all parts of a batch but its newest, what killed commands left,
source videos; and the files of what was taken down.

Releases are kept by count or age where the deployment (`WINNOW_KEEP_RELEASES`, `WINNOW_KEEP_DAYS`) or the command says
so; else all. A running writer is left alone: no release is made meanwhile, nothing goes that is younger than
`older_than_s` or was superseded later than that, and heads are asked again, and held, as each batch's files go. Models,
the corpus's tables, runs of training and caches are not touched.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from winnow.core.admitted import batch_head
from winnow.core.errors import ConfigError
from winnow.core.lake import Lake
from winnow.core.manifest import Manifest
from winnow.core.pointer import locked
from winnow.release import parts, publish, steps
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

    def run(self) -> dict[str, object]:
        """All of it. Returns {"dry_run", "releases": {"kept", "removed"}, "frees": {kind: {"files", "bytes"}}, "bytes",
        "taken_down": what still waits for which release}."""
        if not self.lake.is_local:
            raise ConfigError(f"WINNOW_LAKE={self.lake.root}: only a lake on a local or mounted file system is cleaned")
        with steps.one_writer(self.lake):
            kept = kept_releases(self.lake, self.keep, self.days)
            gone = [release for release in publish.releases(self.lake) if release not in kept]
            self.now = self._clock()
            self.roots = Roots(self.lake, kept)
            for release in gone:
                self._release(release)
            self._left_of_releases()
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
        folder = Path(self.lake.full(f"releases/{release}"))
        for name in self.lake.list("releases/inputs"):
            said = self.lake.read_or_none(f"releases/inputs/{name}") or b""
            if not self.dry and said.decode(errors="replace").strip() == release:
                self.lake.remove(f"releases/inputs/{name}")
        self._count("releases", (path for path in folder.rglob("*") if path.is_file()))
        if not self.dry:
            aside = Path(self.lake.full(f"{steps.WORK}/gone-{release}"))
            shutil.rmtree(aside, ignore_errors=True)
            os.rename(folder, aside)
            shutil.rmtree(aside)

    def _left_of_releases(self) -> None:
        """Work folders of commands that were killed: this one holds the writer's lock, so none is alive."""
        work = Path(self.lake.full(steps.WORK))
        for left in [*work.glob("run-*"), *work.glob("gone-*")]:
            self._count("scratch", (path for path in left.rglob("*") if path.is_file()))
            if not self.dry:
                shutil.rmtree(left)

    # -- tables --------------------------------------------------------------------------------------------------------
    def _tables(self, stage: str, fingerprint: str, batch: str) -> list[Manifest]:
        """One version of a stage's table of a batch; the commits that stay of it."""
        folder = self.lake.folder(stage, fingerprint, batch)
        with locked(self.lake) if not self.dry else contextlib.nullcontext():
            head = self._heads(stage, batch)
            there = self.lake.list(folder)
            families = {family(f"{folder}/{name}") for name in there}
            gone = set() if head else self.roots.superseded(stage, batch, fingerprint, families)
            gone -= {family(f"{folder}/{name}") for name in there if self._is_young(f"{folder}/{name}")}
            going = [name for name in there if family(f"{folder}/{name}") in gone]
            self._remove("tables", folder, sorted(going, key=lambda name: not name.endswith(".json")))
            manifests, expected = [], set()
            for name in (name for name in there if name.endswith(".json") and name not in going):
                manifest = self.lake.manifest(stage, fingerprint, batch, name.removesuffix(".json"))
                if manifest is not None:
                    manifests.append(manifest)
                    expected |= {name, manifest.file, self.lake.tar_key(manifest).rpartition("/")[2]}
            left = [name for name in there if name not in expected and name not in going]
            hidden = [path.name for path in Path(self.lake.full(folder)).glob(".*")]
            old = [name for name in [*left, *hidden] if not self._is_young(f"{folder}/{name}")]
            self._remove("scratch", folder, old)
        if not self.dry and not manifests:
            with contextlib.suppress(OSError):  # others write here
                os.rmdir(self.lake.full(folder))
                os.rmdir(Path(self.lake.full(folder)).parent)
        return manifests

    def _compact(self, name: str) -> None:
        """Compact tables of a batch that no head names any more: its shards were measured anew, or it is gone."""
        folder, batch = f"compact/{name}", name.removeprefix("batch=")
        with locked(self.lake) if not self.dry else contextlib.nullcontext():
            if self._heads("", batch):
                return
            there = self.lake.list(folder)
            hidden = [path.name for path in Path(self.lake.full(folder)).glob(".*")]
            loose = [one for one in there if f"{folder}/{one}" not in self.roots.compact]
            self._remove("tables", folder, [one for one in loose if not self._is_young(f"{folder}/{one}")])
            self._remove("scratch", folder, [one for one in hidden if not self._is_young(f"{folder}/{one}")])

    def _parts(self, name: str) -> None:
        """Parts of a batch that the next release does not begin with: all but the newest, and all of one that is gone.
        None is lost with them: a release makes what it misses."""
        batch = name.removeprefix("batch=")
        with locked(self.lake) if not self.dry else contextlib.nullcontext():
            if self._heads("", batch):
                return
            where = parts.folder(batch)
            there = self.lake.list(where)
            named = parts.newest(self.lake, batch) if batch in self.roots.heads else set()
            loose = [one for one in there if f"{where}/{one}" not in named | self.roots.parts]
            old = [one for one in loose if not self._is_young(f"{where}/{one}")]
            self._remove("tables", where, sorted(old, key=lambda one: not one.endswith(".json")))
            hidden = [path.name for path in Path(self.lake.full(where)).glob(".*")]
            self._remove("scratch", where, [one for one in hidden if not self._is_young(f"{where}/{one}")])

    def _heads(self, stage: str, batch: str) -> bool:
        """Whether what says which version counts, of the stage or of the batch, is young, or moved since this began:
        whoever read it before may still read what it named."""
        keys = (f"{stage}/batch={batch}.json", f"batches/{batch}.json")
        return any(self._is_young(key) for key in keys) or batch_head(self.lake, batch) != self.roots.heads.get(batch)

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
            loose = [one for one in self.lake.list(folder) if f"{folder}/{one}" not in named]
            hidden = [path.name for path in Path(self.lake.full(folder)).glob(".*")]
            old = [one for one in [*loose, *hidden] if taking.is_refused(one) or not self._is_young(f"{folder}/{one}")]
            taken = {one for one in old if f"{folder}/{one}" in taking.videos}
            self._remove("taken_down", folder, sorted(taken))
            self._remove("media", folder, [one for one in old if one in loose and one not in taken])
            self._remove("scratch", folder, [one for one in old if one in hidden])

    # -- files ---------------------------------------------------------------------------------------------------------
    def _remove(self, kind: str, folder: str, names: Iterable[str]) -> None:
        for name in names:
            path = Path(self.lake.full(f"{folder}/{name}"))
            self._count(kind, [path])
            if not self.dry:
                path.unlink(missing_ok=True)

    def _count(self, kind: str, paths: Iterable[Path]) -> None:
        """A file that has another name besides frees nothing."""
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                stat = path.stat()
                self.files[kind] += 1
                self.freed[kind] += stat.st_size if stat.st_nlink == 1 else 0

    def _is_young(self, key: str) -> bool:
        """Whether a file was written so lately that its writer, or who read what it replaced, may be at work."""
        try:
            return self.now - Path(self.lake.full(key)).stat().st_mtime < self.older_than_s
        except FileNotFoundError:
            return False

    def _clock(self) -> float:
        """The time as the file system has it, which dates the others' files too."""
        path = Path(self.lake.full(f"{steps.WORK}/.now"))
        path.unlink(missing_ok=True)
        path.touch()
        try:
            return path.stat().st_mtime
        finally:
            path.unlink()


def clean(
    lake: Lake,
    *,
    keep: int | None = None,
    days: float | None = None,
    older_than_s: float = DAY_S,
    dry: bool = False,
) -> dict[str, object]:
    """Remove what nothing names any more; see `Clean.run`. ConfigError for a lake in a store and for a number of
    releases that keeps none; ContractError where a release or a head is damaged: then nothing is certain."""
    return Clean(lake, keep, days, older_than_s, dry).run()
