"""Place: where an export goes, a folder or a bucket.

A file comes to its place whole, by one rename or one upload of a file that is complete. Notes of the shards that are
there (`.export/`) let a run that was killed go on; `index.json`, written last, says that all of it is there."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from winnow.core.alone import alone
from winnow.core.errors import ConfigError, ContractError, TransientError
from winnow.core.lake import Lake, sync

INDEX, NOTES = "index.json", ".export"


class Place:
    """A folder, or an address as s3://bucket/prefix."""

    def __init__(self, to: str) -> None:
        if "://" not in to:
            to = str(Path(to).absolute())
        try:
            self.store = Lake(to)
        except ConfigError as error:
            raise ConfigError(str(error).replace("WINNOW_LAKE=", "--to ")) from error
        self.is_local = self.store.is_local

    def __str__(self) -> str:
        return self.store.root

    @contextlib.contextmanager
    def begun(self, plan: dict[str, object]) -> Iterator[None]:
        """Hold the place for one export by this plan; ConfigError where something else lies there, TransientError while
        another process exports to it."""
        mine = json.dumps(plan, sort_keys=True).encode()
        with self._alone():
            there = self.store.read_or_none(f"{NOTES}/plan.json")
            if there is None and (names := [name for name in self.store.list("") if name != INDEX]):
                raise ConfigError(f"{self} is not empty ({', '.join(names[:3])} …): name a folder of its own")
            if there is not None and there != mine:
                raise ConfigError(
                    f"{self} holds an export that was begun otherwise ({_differences(there, plan)}): give it the same "
                    "options again, remove what lies there, or name another folder"
                )
            if there is None:
                self.store.write(f"{NOTES}/plan.json", mine)
            if self.is_local:
                for left in Path(self.store.full(NOTES)).glob("scratch-*"):
                    shutil.rmtree(left, ignore_errors=True)
            try:
                yield
            except BaseException:
                if not self.store.list(f"{NOTES}/done"):  # nothing is here yet that would be worth going on with
                    self.tidy()
                raise

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        if not self.is_local:
            yield
            return
        notes = Path(self.store.full(NOTES))
        notes.mkdir(parents=True, exist_ok=True)
        with alone(notes / "lock", TransientError(f"another process exports to {self}: wait until it is done")):
            yield

    def index(self) -> dict | None:
        """The index of the export that is here, or None before it is whole."""
        return self.store.read_json(INDEX, "remove the folder and export again")

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder to write in: of a local place its own, so that a rename moves what is done."""
        if not self.is_local:
            with tempfile.TemporaryDirectory(prefix="winnow-export-") as made:
                yield Path(made)
            return
        folder = Path(self.store.full(f"{NOTES}/scratch-{os.getpid()}"))
        folder.mkdir(parents=True, exist_ok=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def put(self, source: Path, key: str) -> None:
        """Bring a finished file or folder to its place; what lies there from a run that was killed is replaced."""
        if not self.is_local:
            for path in [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.is_file()):
                more = "" if path == source else f"/{path.relative_to(source).as_posix()}"
                self.store.fs.put_file(str(path), self.store.full(key + more))
            return
        target = Path(self.store.full(key))
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
        else:
            sync(source)
        os.replace(source, target)

    # -- notes of shards -----------------------------------------------------------------------------------------------
    def note(self, name: str) -> dict[str, dict] | None:
        """The files of a shard that an earlier run brought here, or None where they are not all there as they were."""
        try:
            said = self.store.read_json(_note(name), "")
        except ContractError:
            return None
        if said is None:
            return None
        for key, entry in said["files"].items():
            try:
                if self.store.fs.size(self.store.full(key)) != entry["bytes"]:
                    return None
            except FileNotFoundError:
                return None
        return said["files"]

    def write_note(self, name: str, files: dict[str, dict]) -> None:
        """Say that a shard is here."""
        self.store.write(_note(name), json.dumps({"files": files}, sort_keys=True).encode())

    def finish(self, index: bytes, each_synced: bool) -> None:
        """Write the index; from then on the export is whole. What is on its way to the disk is there before: names, and
        files too unless each was synced as it came."""
        if self.is_local and not each_synced:
            os.sync()
        elif self.is_local:
            for folder in sorted(path for path in Path(self.store.full("")).rglob("*") if path.is_dir()):
                sync(folder)
        self.store.write(INDEX, index)
        if self.is_local:
            sync(Path(self.store.full("")))

    def tidy(self) -> None:
        """Remove the notes."""
        if self.is_local:
            shutil.rmtree(self.store.full(NOTES), ignore_errors=True)
            with contextlib.suppress(OSError):
                os.rmdir(self.store.full(""))  # where nothing came of it
        elif self.store.list(NOTES):
            self.store.fs.rm(self.store.full(NOTES), recursive=True)


def _note(name: str) -> str:
    return f"{NOTES}/done/{name.replace('/', '_')}.json"


def _differences(there: bytes, plan: dict[str, object]) -> str:
    try:
        was = json.loads(there)
    except ValueError:
        return "its plan is damaged"
    return ", ".join(f"{key}: {was.get(key)}, not {plan[key]}" for key in plan if was.get(key) != plan[key])
