"""What lies in a partition of the inbox: lists, each with its settings, media, and what is passed over and why."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from winnow.core.errors import ConfigError
from winnow.sources import LISTS, Source, folder, list_settings, source_named, source_of, unread
from winnow.sources.list_settings import ListSettings
from winnow.sources.row import ListRefused

TEMPORARY = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".download", ".swp", ".ytdl", "~")
MAX_DEPTH = 16


@dataclass
class Inbox:
    """The files of a partition by their path inside it, ordered; `skipped` names what was passed over, each with why.
    `settings` are the files that hold lists' settings, by the list."""

    files: dict[str, Path] = field(default_factory=dict)
    settings: dict[str, Path] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, inbox: Path, batch: str) -> Inbox:
        """A partition's files. ConfigError when there is no inbox at all, or the partition leads out of it."""
        if not inbox.is_dir():
            raise ConfigError(
                f"WINNOW_INBOX={inbox}: there is no such folder. Make it, or mount the volume that holds it "
                "(k8s/README.md); lists are read from local or mounted file systems only"
            )
        top, root = inbox / batch, inbox.resolve()
        if not top.is_dir():
            return cls()
        if not top.resolve().is_relative_to(root):
            raise ConfigError(f"{top} leads out of the inbox: put the files themselves there")
        made = cls()
        for here, inner, names in os.walk(top):
            made._walk(top, root, Path(here), inner, names)
        made._set_aside()
        made.files = dict(sorted(made.files.items()))
        made.skipped.sort()
        return made

    def _walk(self, top: Path, root: Path, here: Path, inner: list[str], names: list[str]) -> None:
        for name in sorted(inner):
            path = here / name
            why = "hidden" if name.startswith(".") else "a link" if path.is_symlink() else ""
            if not why and len(path.relative_to(top).parts) > MAX_DEPTH:
                why = f"deeper than {MAX_DEPTH} folders"
            if why:
                inner.remove(name)
                self.skipped.append(f"{_shown(path, top)}/: {why}")
        present = set(names)
        for name in names:
            path = here / name
            why = _passed_over(path, root, present)
            place = path.relative_to(top).as_posix()
            if why:
                self.skipped.append(f"{_shown(path, top)}: {why}")
            elif name.endswith(list_settings.SUFFIX):
                self.settings[place.removesuffix(list_settings.SUFFIX)] = path
            else:
                self.files[place] = path

    def _set_aside(self) -> None:
        """Lists whose settings set them aside, and settings of no list."""
        for name, path in sorted(self.settings.items()):
            if name not in self.files:
                self.skipped.append(f"{name}{list_settings.SUFFIX}: settings of a list that is not there")
                del self.settings[name]
                continue
            try:
                aside = list_settings.read(path).ignore
            except ListRefused:
                continue  # said where the list is read
            if aside:
                self.skipped.append(f"{name}: its settings set it aside")
                del self.files[name], self.settings[name]

    def source(self, name: str) -> tuple[Source | None, ListSettings]:
        """The format of a file, and its settings. ListRefused where these are wrong."""
        path = self.settings.get(name)
        settings = list_settings.read(path) if path else ListSettings()
        return (source_named(settings.format) if settings.format else source_of(self.files[name])), settings


def beside(files: Mapping[str, Path], list_path: str, known: dict[str, dict[str, str]]) -> dict[str, str]:
    """What a list may call the media below its folder → their path in the partition: the path from the folder, and the
    name with or without its extension where only one has it. `known` keeps the answers, by folder."""
    here = str(PurePosixPath(list_path).parent)
    if here in known:
        return known[here]
    prefix = "" if here == "." else f"{here}/"
    media = [f for f in files if f.startswith(prefix) and PurePosixPath(f).suffix.lower() in folder.EXTENSIONS]
    names = [(f.removeprefix(prefix), PurePosixPath(f).name, PurePosixPath(f).stem, f) for f in media]
    counts = Counter(name for _, *both, _ in names for name in dict.fromkeys(both))
    found = {name: f for _, *both, f in names for name in both if counts[name] == 1}
    known[here] = found | {form: f for path, *_, f in names for form in (path, f"./{path}")}
    return known[here]


def stamp(path: Path) -> tuple[int, int]:
    """Size and time of change of a file."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _passed_over(path: Path, root: Path, present: set[str]) -> str:
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
    if name.endswith(".info.json") and any(
        f"{name.removesuffix('.info.json')}{extension}" in present for extension in folder.EXTENSIONS
    ):
        return "a downloader's record of the video beside it"
    if name.endswith(list_settings.SUFFIX) or f"{name}{list_settings.SUFFIX}" in present:
        return ""
    return "" if source_of(path) or unread(name) else f"neither a list ({LISTS}) nor media"


def _shown(path: Path, top: Path) -> str:
    return path.relative_to(top).as_posix().encode("utf-8", "replace").decode()
