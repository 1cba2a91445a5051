"""Copies: a release or an export in some folder, or under some address, each file against what its manifest says.

`manifest.json` of a release and `index.json` of an export are sealed: they hold a digest of themselves and are written
in one way only, so a byte that changed in them is found like one in a file that they list.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from winnow.core.errors import ConfigError
from winnow.core.lake import Lake, digest, sha256_file
from winnow.release.mending import Fault

#: What an export's index says that it is.
KIND = "winnow.export"
#: Which file lists the others, by kind of copy.
LISTS = {"export": "index.json", "release": "manifest.json"}
_SEAL = "seal"


def sealed(value: dict[str, Any]) -> bytes:
    """The bytes of a list of files with its own digest in it."""
    value = {key: one for key, one in value.items() if key != _SEAL}
    return (json.dumps({**value, _SEAL: digest(value, 64)}, indent=1, sort_keys=True) + "\n").encode()


def broken(data: bytes) -> str | None:
    """What is wrong with such a list, in a word; None where nothing is. One of a release that was published before
    lists were sealed is only read."""
    try:
        value = json.loads(data)
        files = value["files"]
        assert all(isinstance(entry["bytes"], int) and len(entry["sha256"]) == 64 for entry in files.values())
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError):
        return "cut short" if not data.rstrip().endswith(b"}") else "damaged"
    if _SEAL not in value and set(value) <= _BEFORE_SEALS:
        return None
    return None if sealed(value) == data else "changed"


_BEFORE_SEALS = {
    "id",
    "policy",
    "before",
    "winnow",
    "published_at",
    "batches",
    "stages",
    "models",
    "thresholds",
    "files",
}


def verify(where: str | Path) -> dict[str, Any]:
    """Read every file of a copy: {"ok", "read": {kind: files}, "faults": [{"what", "where", "mend"}]}. ConfigError for
    a folder that holds neither a release nor an export."""
    store = Lake(where)
    seen: Counter[str] = Counter()
    faults: list[Fault] = []
    found = {kind: data for kind, name in LISTS.items() if (data := store.read_or_none(name)) is not None}
    if not found:
        raise ConfigError(f"{where} has no {' or '.join(LISTS.values())}: it is no copy of a release or an export")
    kind, data = next(iter(found.items()))
    name = LISTS[kind]
    mend = f"copy it again from where this copy was made, then `winnow verify {where}`"
    seen[f"{kind}s"] += 1
    if wrong := broken(data):
        faults.append(Fault(wrong, name, mend))
    listed = {} if wrong in ("cut short", "damaged") else json.loads(data)["files"]
    for key, entry in sorted(listed.items()):
        try:
            with store.local(key) as path:
                seen["files"] += 1
                size = path.stat().st_size
                if size != entry["bytes"]:
                    faults.append(Fault("cut short" if size < entry["bytes"] else "changed", key, mend))
                elif sha256_file(path) != entry["sha256"]:
                    faults.append(Fault("changed", key, mend))
        except FileNotFoundError:
            faults.append(Fault("missing", key, mend))
    if listed:
        faults += [Fault("not listed", key, "remove it") for key in sorted(_there(store) - set(listed) - {name})]
    return {"ok": not faults, "read": dict(sorted(seen.items())), "faults": [asdict(fault) for fault in faults]}


def _there(store: Lake) -> set[str]:
    """Every file of a copy, relative to it; what is hidden is a file system's own."""
    base = PurePosixPath(store.base)
    keys = (PurePosixPath(path).relative_to(base) for path in store.fs.find(store.base))
    return {str(key) for key in keys if not any(part.startswith(".") for part in key.parts)}
