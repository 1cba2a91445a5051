"""Holdings: what batches stand on (source videos, models, tables of the corpus), and releases, each read and compared
with its digest, for `winnow.release.verify`."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from winnow.core import corpus_table
from winnow.core.errors import ContractError
from winnow.core.lake import Lake, sha256_bytes, sha256_file
from winnow.release import publish
from winnow.release.copies import broken
from winnow.release.mending import Fault, adding, fitting, removing, republishing, writing


@dataclass
class Holdings:
    """One walk. `faults` in the order in which they are met; `seen` counts what was read, by kind."""

    lake: Lake
    faults: list[Fault] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    _media: set[str] = field(default_factory=set)
    _models: set[tuple[str, str]] = field(default_factory=set)

    def answer(self) -> dict[str, object]:
        """{"ok", "read": {kind: files}, "faults": [{"what", "where", "mend"}]}."""
        faults = [asdict(fault) for fault in self.faults]
        return {"ok": not faults, "read": dict(sorted(self.seen.items())), "faults": faults}

    def media(self, key: str, remove: list[str], command: str) -> None:
        """A source video: its name is its digest. Read once, whoever names it."""
        if key in self._media:
            return
        self._media.add(key)
        mend = removing(self.lake, remove, command)
        try:
            with self.lake.local(key) as path:
                self.seen["media"] += 1
                if sha256_file(path) != key.rpartition("/")[2].partition(".")[0]:
                    self.found("changed", key, mend)
        except FileNotFoundError:
            self.found("missing", key, mend)

    def model(self, name: str, model: str) -> None:
        """A fitted model and its card."""
        if (name, model) in self._models:
            return
        self._models.add((name, model))
        card_key = self.lake.model_key(name, model, "json")
        beside = [f"models/{name}/{one}" for one in self.lake.list(f"models/{name}") if one.startswith(f"{model}.")]
        there = [one for one in beside if one != card_key]
        mend = removing(self.lake, [card_key, *there], fitting(name))
        try:
            card = self.lake.read_json(card_key, "")
        except ContractError as error:
            self.found(torn(error), card_key, mend)
            return
        if card is None:
            self.found("missing", card_key, mend)
            return
        self.seen["models"] += 1
        mend = removing(self.lake, [card_key, *there], fitting(name, card))
        if not there:
            self.found("missing", f"models/{name}/{model}: the model of {card_key}", mend)
        for key in there:
            if "sha256" in card and sha256_bytes(self.lake.read(key)) != card["sha256"]:
                self.found("changed", key, mend)

    def model_in_use(self, name: str) -> None:
        """What `current` of a fitted model names."""
        key = f"models/{name}/current"
        try:
            model = self.lake.model_current(name)
        except ContractError as error:
            self.found(torn(error), key, removing(self.lake, [key], fitting(name)))
            return
        if model is not None and not self.lake.exists(self.lake.model_key(name, model, "json")):
            self.found("damaged", key, removing(self.lake, [key], fitting(name)))

    def corpus(self, table: str) -> None:
        """A table of the corpus: its files are named by their digests, each with a card."""
        pointer = f"corpus/{table}/current"
        try:
            files = corpus_table.files(self.lake, table)
        except ContractError as error:
            self.found(torn(error), pointer, removing(self.lake, [pointer], adding(table, {})))
            return
        for key in files:
            card_key = key.removesuffix(".parquet") + ".json"
            card: dict[str, Any] = {}
            try:
                card = self.lake.read_json(card_key, "") or {}
                wrong = None if card else "missing"
            except ContractError as error:
                wrong = torn(error)
            mend = removing(self.lake, [key, card_key, pointer], adding(table, card))
            if wrong:
                self.found(wrong, card_key, mend)
            data = self.lake.read_or_none(key)
            self.seen["corpus"] += data is not None
            if data is None:
                self.found("missing", key, mend)
            elif not corpus_table.holds(key, sha256_bytes(data)):
                self.found("changed", key, mend)

    # -- releases ------------------------------------------------------------------------------------------------------
    def release_in_use(self) -> None:
        """What `current` names; where that is nothing, the last release is the one that none was built on."""
        key = "releases/current"
        try:
            if publish.current(self.lake) is not None:
                publish.resolve(self.lake)
                return
            what = "missing"
        except ContractError:
            what = "damaged"
        there, before = publish.releases(self.lake), set()
        for name in there:
            with suppress(ContractError):  # a fault of its own
                before.add(publish.manifest(self.lake, name).get("before"))
        last = [name for name in there if name not in before]
        if there or what == "damaged":
            mend = writing(self.lake, key, last[0]) if len(last) == 1 else removing(self.lake, [key], "winnow release")
            self.found(what, key, mend)

    def release(self, release: str) -> None:
        """Every file of a release: size and digest."""
        root = f"releases/{release}"
        if not self.lake.exists(f"{root}/manifest.json"):
            self.found("missing", f"{root}/manifest.json", republishing(self.lake, release, None))
            return
        try:
            manifest = publish.manifest(self.lake, release)
        except ContractError as error:
            self.found(torn(error), f"{root}/manifest.json", republishing(self.lake, release, None))
            return
        self.seen["releases"] += 1
        mend = republishing(self.lake, release, manifest.get("before"))
        if (wrong := broken(self.lake.read(f"{root}/manifest.json"))) is not None:
            self.found(wrong, f"{root}/manifest.json", mend)
            return
        for name, entry in sorted(manifest.get("files", {}).items()):
            key = entry.get("key", f"{root}/{name}")
            mend = republishing(self.lake, release, manifest.get("before"), entry.get("key"))
            try:
                with self.lake.local(key) as path:
                    self.seen["release files"] += 1
                    size = path.stat().st_size
                    if size != entry["bytes"]:
                        self.found("cut short" if size < entry["bytes"] else "changed", key, mend)
                    elif sha256_file(path) != entry["sha256"]:
                        self.found("changed", key, mend)
            except FileNotFoundError:
                self.found("missing", key, mend)

    def found(self, what: str, where: str, mend: str) -> None:
        """Note a fault."""
        self.faults.append(Fault(what, where, mend))


def torn(error: ContractError) -> str:
    """What a small file that could not be read is."""
    return "cut short" if " is empty" in str(error) or " is cut short" in str(error) else "damaged"
